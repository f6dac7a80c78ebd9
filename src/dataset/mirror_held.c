#include "dataset/mirror_i.h"

#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_PLACES = 4096 };

static uint64_t path_hash(const char *path, size_t len)
{
    uint64_t h = hash64(path, len, 0);
    return h != 0 ? h : 1;
}

static uint64_t etag_hash(const char *etag, size_t len)
{
    return len > 0 ? hash64(etag, len, 1) | 1 : 0;
}

static uint64_t when_hash(int64_t mtime, uint32_t ns)
{
    uint64_t when[2] = {(uint64_t)mtime, ns};
    return hash64(when, sizeof(when), 2);
}

static struct held *place_of(const struct held_table *t, uint64_t path)
{
    size_t i = (size_t)path & (t->places - 1);
    while (t->at[i].path != 0 && t->at[i].path != path)
        i = (i + 1) & (t->places - 1);
    return &t->at[i];
}

static int grow(struct held_table *t)
{
    struct held_table old = *t;
    if (t->count * 3 < t->places * 2)
        return 0;
    t->places = t->places == 0 ? FIRST_PLACES : t->places * 2;
    t->at = calloc(t->places, sizeof(*t->at));
    if (t->at == NULL) {
        *t = old;
        return -ENOMEM;
    }
    for (size_t i = 0; i < old.places; i++)
        if (old.at[i].path != 0)
            *place_of(t, old.at[i].path) = old.at[i];
    free(old.at);
    return 0;
}

static int put(struct held_table *t, const struct held *what)
{
    int r = grow(t);
    if (r != 0)
        return r;
    struct held *h = place_of(t, what->path);
    t->count += h->path == 0 ? 1 : 0;
    *h = *what;
    return 0;
}

int held_add(struct held_table *t, const struct pack_row *row, unsigned pack)
{
    int r = put(t, &(struct held){.path = path_hash(row->path.s, row->path.len),
                                  .etag = etag_hash(row->etag.s, row->etag.len),
                                  .when = when_hash(row->mtime, row->mtime_ns),
                                  .size = row->size,
                                  .pack = pack,
                                  .kind = row->type == PACK_FOLDER ? HELD_FOLDER : HELD_FILE});
    for (size_t i = row->path.len; i > 0 && r == 0; i--)
        if (row->path.s[i - 1] == '/')
            r = put(t, &(struct held){.path = path_hash(row->path.s, i - 1),
                                      .pack = pack,
                                      .kind = HELD_ABOVE});
    return r;
}

const struct held *held_find(const struct held_table *t, const char *path, size_t len)
{
    const struct held *h = t->places > 0 ? place_of(t, path_hash(path, len)) : NULL;
    return h != NULL && h->path != 0 ? h : NULL;
}

bool held_is(const struct held *h, const char *etag, int64_t mtime, uint32_t ns)
{
    uint64_t tag = etag_hash(etag, strlen(etag));
    if (h->kind == HELD_ABOVE)
        return false;
    return tag != 0 && h->etag != 0 ? h->etag == tag : h->when == when_hash(mtime, ns);
}

bool held_clashes(const struct held_table *t, const char *path, unsigned pack)
{
    size_t len = strlen(path);
    const struct held *h = held_find(t, path, len);
    if (h != NULL && h->pack == pack)
        return true;
    for (size_t i = len; i > 0; i--)
        if (path[i - 1] == '/' && (h = held_find(t, path, i - 1)) != NULL && h->pack == pack &&
            h->kind == HELD_FILE)
            return true;
    return false;
}

void held_totals(const struct held_table *t, uint64_t *rows, uint64_t *text)
{
    *rows = *text = 0;
    for (size_t i = 0; i < t->places; i++)
        if (t->at[i].path != 0 && t->at[i].kind != HELD_ABOVE) {
            *rows += 1;
            *text += t->at[i].size;
        }
}
