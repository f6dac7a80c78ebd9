#include "dataset/dataset_i.h"

#include "base/str.h"
#include "source/source.h"

#include <errno.h>
#include <string.h>

/* What the attributes are made from. */
struct about {
    struct medshapefs *m;
    uint64_t id;
    const struct catalog *catalog;
    const struct node *node;
    struct db_slice place;
    const struct blob_version *version;
};

static void add(struct buf *out, struct slice s)
{
    buf_add(out, s.s, s.len);
}

static void mime_type(const struct about *a, struct buf *out)
{
    static const char *const types[][2] = {
        {".stl", "model/stl"},  {".json", "application/json"}, {".npz", "application/x-npz"},
        {".txt", "text/plain"}, {".csv", "text/csv"},          {".html", "text/html"}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (str_iends(a->node->name.s, a->node->name.len, types[i][0]))
            buf_str(out, types[i][1]);
}

static void origin_url(const struct about *a, struct buf *out)
{
    source_encoded_url(a->place.data, a->place.len, a->node->key.s, a->node->key.len, out);
}

static void dataset_id(const struct about *a, struct buf *out)
{
    const struct catalog_dataset *d = catalog_dataset_at(a->catalog, a->node->dataset);
    buf_str(out, d != NULL ? d->id : "");
}

static void licence(const struct about *a, struct buf *out)
{
    const struct catalog_dataset *d = catalog_dataset_at(a->catalog, a->node->dataset);
    buf_str(out, d != NULL ? d->licence : "");
}

static void anatomy(const struct about *a, struct buf *out)
{
    buf_str(out, catalog_class_name(a->catalog, a->node->anatomy));
}

static void subject(const struct about *a, struct buf *out)
{
    add(out, a->node->subject);
}

static void side(const struct about *a, struct buf *out)
{
    buf_str(out, side_text(a->node->side));
}

static void etag(const struct about *a, struct buf *out)
{
    buf_str(out, a->version->etag);
}

static void cached_bytes(const struct about *a, struct buf *out)
{
    struct spec s;
    if (a->m->env == NULL || spec_load(a->m, a->id, &s) != 0)
        return;
    buf_fmt(out, "%llu", (unsigned long long)(s.known ? blob_cached(a->m->env, &s.object) : 0));
    spec_free(&s);
}

/* What a whole STL has shown, to whoever packed it. */
static void health(const struct about *a, struct buf *out)
{
    bool packed = source_is_pack(a->place.data, a->place.len);
    buf_str(out, packed ? source_health(a->node->key.s, a->node->key.len) : "unknown");
}

/* The SHA-256 of the content, where a pack tells it. */
static void checksum(const struct about *a, struct buf *out)
{
    static const char before[] = "\"sha256-";
    const char *tag = a->version->etag;
    size_t skip = sizeof(before) - 1, len = strlen(tag);
    if (source_is_pack(a->place.data, a->place.len) && len == skip + 65 &&
        memcmp(tag, before, skip) == 0)
        buf_add(out, tag + skip, 64);
}

static void remote_name(const struct about *a, struct buf *out)
{
    add(out, a->node->remote.len > 0 ? a->node->remote : a->node->name);
}

static const struct {
    const char *name;
    void (*make)(const struct about *a, struct buf *out);
} attributes[] = {{"user.mime_type", mime_type},
                  {"user.xdg.origin.url", origin_url},
                  {"user.medshapefs.dataset", dataset_id},
                  {"user.medshapefs.licence", licence},
                  {"user.medshapefs.anatomy", anatomy},
                  {"user.medshapefs.subject", subject},
                  {"user.medshapefs.side", side},
                  {"user.medshapefs.etag", etag},
                  {"user.medshapefs.cached_bytes", cached_bytes},
                  {"user.medshapefs.checksum", checksum},
                  {"user.medshapefs.health", health},
                  {"user.medshapefs.name", remote_name}};

enum { ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]) };

/* Calls `use` with what is known of a file; -ENODATA for what is no file of a source. */
static int with_about(struct medshapefs *m, uint64_t ino,
                      int (*use)(const struct about *a, void *arg), void *arg)
{
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct node n;
    struct slice link;
    struct blob_version v;
    uint32_t generation;
    uint64_t id = tree_id(ino);
    struct about a = {.m = m, .id = id, .catalog = s->catalog, .node = &n, .version = &v};
    int r = -ENODATA;
    if (id != UINT64_MAX && catalog_node(&t, id, &n) && n.kind == NODE_FILE &&
        catalog_place(&t, n.place, &link, &a.place)) {
        (void)object_version(m, s->catalog, &t, id, &n, &v, &generation);
        r = use(&a, arg);
    }
    db_abort(&t);
    shelf_put(&s);
    return r;
}

struct wanted {
    const char *name;
    struct buf *out;
};

static int get_one(const struct about *a, void *arg)
{
    const struct wanted *w = arg;
    size_t before = w->out->len;
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (strcmp(attributes[i].name, w->name) == 0)
            attributes[i].make(a, w->out);
    return w->out->err != 0 ? w->out->err : w->out->len > before ? 0 : -ENODATA;
}

static int list_all(const struct about *a, void *arg)
{
    struct buf *names = arg;
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        struct buf value = BUF_INIT;
        attributes[i].make(a, &value);
        if (value.len > 0)
            buf_add(names, attributes[i].name, strlen(attributes[i].name) + 1);
        buf_free(&value);
    }
    return names->err;
}

int medshapefs_getxattr(struct medshapefs *m, uint64_t ino, const char *name, struct buf *value)
{
    struct wanted w = {name, value};
    return with_about(m, ino, get_one, &w);
}

int medshapefs_listxattr(struct medshapefs *m, uint64_t ino, struct buf *names)
{
    int r = with_about(m, ino, list_all, names);
    return r == -ENODATA ? 0 : r;
}
