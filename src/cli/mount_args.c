#include "cli/mount_args_i.h"

#include <string.h>

/* The length of the first option: up to a comma that is not escaped, or to the end. */
static size_t option_len(const char *text)
{
    size_t n = 0;
    while (text[n] != '\0' && text[n] != ',')
        n += text[n] == '\\' && text[n + 1] == ',' ? 2 : 1;
    return n;
}

static void escaped(struct buf *out, const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == ',')
            buf_str(out, "\\");
        buf_add(out, p, 1);
    }
}

static void one(struct buf *out, const char *option, size_t len, const char *source,
                const char *folder)
{
    static const char config[] = "config=", from[] = "source=", cache[] = "cache=";
    if (len == 0 || strncmp(option, config, strlen(config)) == 0)
        return;
    if (out->len > 0)
        buf_str(out, ",");
    if (source != NULL && strncmp(option, from, strlen(from)) == 0) {
        buf_str(out, from);
        escaped(out, source);
        return;
    }
    if (len > strlen(cache) && strncmp(option, cache, strlen(cache)) == 0 &&
        option[strlen(cache)] != '/') {
        buf_str(out, cache);
        escaped(out, folder);
        buf_str(out, "/");
        option += strlen(cache);
        len -= strlen(cache);
    }
    buf_add(out, option, len);
}

void mount_args_options(struct buf *out, const char *options, const char *source,
                        const char *folder)
{
    const char *p = options != NULL ? options : "";
    while (*p != '\0') {
        size_t len = option_len(p);
        one(out, p, len, source, folder);
        p += len;
        p += *p == ',' ? 1 : 0;
    }
}
