#include "dataset/packs_i.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int packs_name(const char *path, struct buf *out)
{
    size_t start = out->len;
    while (*path != '\0') {
        size_t len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return -EINVAL;
        if (len > 0 && !(len == 1 && path[0] == '.')) {
            buf_str(out, out->len > start ? "/" : "");
            buf_add(out, path, len);
        }
        path += len + (path[len] == '/' ? 1 : 0);
    }
    return out->err;
}

bool packs_below(const char *folder, const char *path, size_t len)
{
    size_t n = strlen(folder);
    return n == 0 || (len >= n && memcmp(folder, path, n) == 0 && (len == n || path[n] == '/'));
}

int packs_compare(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    /* '/' comes before all else but the end. */
    int x = *a == '/' ? 1 : *a == '\0' ? 0 : (unsigned char)*a + 1;
    int y = *b == '/' ? 1 : *b == '\0' ? 0 : (unsigned char)*b + 1;
    return x - y;
}

void packs_remark(void (*remark)(void *arg, const char *line), void *arg, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (remark != NULL)
        remark(arg, line);
}
