/* An answer to PROPFIND: each file's name is one path component, each ETag fits a header, and
 * chunks do not matter. */
#include "source/webdav_i.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_file(void *arg, const struct webdav_file *f)
{
    uint64_t *hash = arg;
    if (f->name_len == 0 || memchr(f->name, '/', f->name_len) != NULL ||
        memchr(f->name, '\0', f->name_len) != NULL || strpbrk(f->etag, "\r\n") != NULL ||
        strlen(f->etag) >= WEBDAV_ETAG_MAX || f->mtime < -1)
        abort();
    *hash = hash64(f->name, f->name_len, *hash + f->size);
    return 0;
}

static int run(const uint8_t *data, size_t size, size_t step, uint64_t *hash)
{
    struct webdav *w = webdav_create("http://h/d/", on_file, hash);
    int r = w == NULL ? -1 : 0;
    for (size_t i = 0; r == 0 && i < size; i += step)
        r = webdav_feed(w, data + i, step < size - i ? step : size - i);
    if (r == 0)
        r = webdav_end(w);
    webdav_destroy(&w);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = 0, parts = 0;
    int r = run(data, size, size + 1, &whole);
    int r2 = run(data, size, size > 0 ? 1 + data[0] % 64 : 1, &parts);
    if (r == 0 && (r2 != 0 || whole != parts))
        abort();
    return 0;
}
