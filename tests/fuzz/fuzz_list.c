/* A list of links: whatever the bytes, the same lines come in any chunks, and each is taken apart.
 */
#include "source/list_i.h"
#include "source/place_i.h"

#include "base/hash.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    struct place_url url;
};

static int on_line(void *arg, uint64_t number, const char *text, size_t len, const char *why)
{
    struct seen *s = arg;
    s->hash = hash64(text, len, s->hash + number + (why != NULL));
    if (why == NULL)
        (void)place_parse(&s->url, text, len, &why);
    return 0;
}

static uint64_t run(const char *data, size_t size, size_t step)
{
    struct seen s = {0, PLACE_URL_INIT};
    struct list l;
    list_begin(&l, on_line, &s);
    for (size_t i = 0; i < size; i += step)
        (void)list_feed(&l, data + i, step < size - i ? step : size - i);
    (void)list_end(&l);
    place_url_free(&s.url);
    return s.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    (void)list_refusal(text, size);
    if (size > 0 && run(text, size, size) != run(text, size, 1 + data[0] % 64))
        abort();
    return 0;
}
