#include "catalog/ingest_i.h"

#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- one object at several sources ---- */

enum { SOURCE_SHIFT = 40, ORIGIN_KEY = HASH_ID_LEN + 1 + 8 };

static int url_id(const struct ingest *g, const struct ingest_item *item, struct hash_id *id,
                  bool *known)
{
    struct buf url = BUF_INIT;
    if (item->packed != NULL) {
        buf_add(&url, item->packed->url.s, item->packed->url.len);
    } else {
        buf_str(&url, g->place_link);
        buf_add(&url, item->key.s, item->key.len);
    }
    const void *part = url.data;
    *known = url.len > 0;
    int r = url.err != 0 ? url.err : *known ? hash_id(id, &part, &url.len, 1) : 0;
    buf_free(&url);
    return r;
}

int ingest_sort_row(struct ingest *g, const struct ingest_item *item, const struct buf *key,
                    const struct buf *val)
{
    struct hash_id id;
    bool known = false;
    int r = g->o.by_url ? url_id(g, item, &id, &known) : 0;
    if (r != 0 || !known)
        return r != 0 ? r : sort_add(g->items, key->data, key->len, val->data, val->len);
    struct buf first = BUF_INIT, second = BUF_INIT;
    buf_add(&first, id.byte, sizeof(id.byte));
    buf_le(&first, item->packed == NULL, 1);
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_le(&first, (item->order >> shift) & 255, 1);
    buf_le(&second, key->len, 4);
    buf_add(&second, key->data, key->len);
    buf_add(&second, val->data, val->len);
    r = first.err != 0 ? first.err : second.err;
    if (r == 0)
        r = sort_add(g->origins, first.data, first.len, second.data, second.len);
    buf_free(&first);
    buf_free(&second);
    return r;
}

/* The number of the source that a row's key names. */
static uint32_t source_of(const unsigned char *key)
{
    uint32_t number = 0;
    for (size_t i = HASH_ID_LEN + 1; i < ORIGIN_KEY - SOURCE_SHIFT / 8; i++)
        number = number << 8 | key[i];
    return number;
}

int ingest_sort_end(struct ingest *g)
{
    unsigned char first[HASH_ID_LEN] = {0};
    uint32_t source = 0;
    const void *key, *val;
    size_t klen, vlen;
    bool any = false;
    int r = g->origins != NULL ? sort_rewind(g->origins) : 0;
    while (r == 0 && g->origins != NULL) {
        int got = sort_next(g->origins, &key, &klen, &val, &vlen);
        if (got <= 0)
            return got;
        bool again = any && memcmp(first, key, sizeof(first)) == 0;
        if (again && source_of(key) != source)
            continue;
        memcpy(first, key, sizeof(first));
        source = source_of(key);
        any = true;
        struct view v = view_of(val, vlen);
        size_t len = (size_t)view_le(&v, 4);
        const char *own = view_take(&v, len);
        if (own == NULL)
            return -EBADMSG;
        r = sort_add(g->items, own, len, v.p, (size_t)(v.end - v.p));
    }
    return r;
}

/* ---- where an object in a pack belongs ---- */

static bool is(struct slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.s, text, s.len) == 0;
}

static bool begins(struct slice s, const char *text, size_t len)
{
    return s.len >= len && memcmp(s.s, text, len) == 0;
}

/* What follows "datasets/ID/" in a path, wherever that stands in it, or "ID/" at its start; the
 * whole path where neither is there. *exported: the first of these. */
static struct slice below_dataset(struct slice path, const char *id, bool *exported)
{
    static const char folder[] = "datasets/";
    const size_t skip = sizeof(folder) - 1;
    size_t len = strlen(id);
    *exported = false;
    for (size_t at = 0; at < path.len; at++) {
        struct slice rest = {path.s + at, path.len - at};
        if ((at > 0 && path.s[at - 1] != '/') || !begins(rest, folder, skip))
            continue;
        rest = (struct slice){rest.s + skip, rest.len - skip};
        *exported = rest.len > len && begins(rest, id, len) && rest.s[len] == '/';
        if (*exported)
            return (struct slice){rest.s + len + 1, rest.len - len - 1};
    }
    if (path.len > len && begins(path, id, len) && path.s[len] == '/')
        return (struct slice){path.s + len + 1, path.len - len - 1};
    return path;
}

static size_t find(const struct registry *r, struct slice id)
{
    char text[65];
    if (id.len == 0 || id.len >= sizeof(text) || memchr(id.s, 0, id.len) != NULL)
        return SIZE_MAX;
    memcpy(text, id.s, id.len);
    text[id.len] = 0;
    return registry_find(r, text);
}

bool ingest_pack_place(const struct ingest *g, const struct ingest_item *item, size_t *dataset,
                       struct shape_name *shape, struct buf *folder)
{
    const struct registry *r = g->o.registry;
    const struct ingest_packed *p = item->packed;
    size_t named = item->forced != SIZE_MAX ? item->forced : find(r, p->dataset);
    bool exported;
    registry_classify(r, item->name.s, item->name.len, named, shape);
    *dataset = shape->dataset;
    if (named == SIZE_MAX && *dataset + 1 == registry_count(r)) {
        size_t own = registry_find(r, p->fallback);
        (void)below_dataset(p->path, registry_at(r, *dataset)->id, &exported);
        *dataset = own != SIZE_MAX && !exported ? own : *dataset;
    }
    struct slice rest = below_dataset(p->path, registry_at(r, *dataset)->id, &exported);
    for (size_t i = 0; exported && p->url.len == 0 && i < 4; i++)
        if (is(rest, ingest_text_names[i]))
            return false;
    const char *slash = memrchr(rest.s, '/', rest.len);
    char *path = ingest_folder_path(rest.s, slash != NULL ? (size_t)(slash - rest.s) : 0);
    if (path == NULL)
        folder->err = -ENOMEM;
    else
        buf_str(folder, path);
    free(path);
    return true;
}
