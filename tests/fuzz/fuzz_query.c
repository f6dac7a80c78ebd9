#include "catalog/query.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte tells how much of the input is the query; the rest is the name that it is matched
 * against. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *text = (const char *)data + 1;
    size_t len = data[0] < size - 1 ? data[0] : size - 1;
    struct query *q = NULL;
    struct err e = {0};
    int r = query_parse(text, len, &q, &e);
    if ((r == 0) != (q != NULL) || (r == 0) != (e.text[0] == '\0') || strchr(e.text, '\n') != NULL)
        abort();
    if (r != 0)
        return 0;
    struct query_row row = {.name = text + len,
                            .name_len = size - 1 - len,
                            .dataset = "MUG500+",
                            .anatomy = "lung_lower_lobe",
                            .licence = "CC-BY-4.0",
                            .subject = text + len,
                            .subject_len = (size - 1 - len) / 2,
                            .side = SIDE_LEFT};
    (void)query_match(q, &row);
    query_free(q);
    return 0;
}
