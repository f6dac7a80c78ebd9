/* Any bytes as a configuration file and as mount options: refused or taken, never worse, and each
 * value of a file that is JSON has its line. */
#include "conf/conf_i.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const char *text, size_t len, unsigned lines, const struct json *root,
                        const struct json *v)
{
    unsigned line = conf_line_of(text, len, root, v);
    if (line == 0 || line > lines)
        abort();
    for (const struct json *c = json_first(v); c != NULL; c = json_next(c))
        check_lines(text, len, lines, root, c);
}

static void try_file(const char *text, size_t len)
{
    struct conf *c = calloc(1, sizeof(*c));
    struct err e = {0};
    unsigned lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    struct json *root = len < 4096 ? json_parse(text, len, NULL) : NULL;
    if (root != NULL)
        check_lines(text, len, lines, root, root);
    json_free(root);
    if (c != NULL && conf_file_parse(c, "fuzz.json", text, len, &e) != 0 && e.text[0] == '\0')
        abort();
    conf_free(c);
}

static void try_options(const char *text)
{
    struct conf *c = calloc(1, sizeof(*c));
    struct err e = {0};
    if (c != NULL && conf_options_take(c, text, &e) != 0 && e.text[0] == '\0')
        abort();
    conf_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    try_file(text, size);
    try_options(text);
    free(text);
    return 0;
}
