#include "catalog/catalog.h"

#include "base/hash.h"
#include "base/obj.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const catalog_tables[CATALOG_TABLES] = {
    "meta", "node", "child", "name", "place", "heap", "dataset", "class",
};

struct db_key catalog_id_key(uint64_t id)
{
    struct db_key k = {.len = 0};
    db_key_u(&k, id, 8);
    return k;
}

struct db_key catalog_child_key(uint64_t folder, uint64_t child)
{
    struct db_key k = {.len = 0};
    db_key_u(&k, folder, 8);
    db_key_u(&k, child, 8);
    return k;
}

struct db_key catalog_name_key(const char *name, size_t len, uint64_t folder)
{
    struct db_key k = {.len = 0};
    db_key_add(&k, name, len);
    db_key_u(&k, 0, 1);
    db_key_u(&k, folder, 8);
    return k;
}

void catalog_dataset_encode(const struct catalog_dataset *d, struct buf *out)
{
    buf_lstr(out, d->id, strlen(d->id));
    buf_lstr(out, d->title, strlen(d->title));
    buf_lstr(out, d->licence, strlen(d->licence));
    const uint64_t numbers[] = {d->folder, d->shapes, d->files, d->bytes, d->unknown_sizes};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        buf_le(out, numbers[i], 8);
}

static char *take_text(struct view *v)
{
    const char *s;
    size_t len;
    view_str(v, &s, &len);
    return strndup(s, len);
}

int catalog_dataset_decode(const void *data, size_t len, struct catalog_dataset *out)
{
    struct view v = view_of(data, len);
    out->id = take_text(&v);
    out->title = take_text(&v);
    out->licence = take_text(&v);
    out->folder = view_le(&v, 8);
    out->shapes = view_le(&v, 8);
    out->files = view_le(&v, 8);
    out->bytes = view_le(&v, 8);
    out->unknown_sizes = view_le(&v, 8);
    return out->id == NULL || out->title == NULL || out->licence == NULL ? -ENOMEM : v.err;
}

void catalog_info_encode(const struct catalog_info *info, struct buf *out)
{
    const uint64_t numbers[] = {
        CATALOG_FORMAT, (uint64_t)info->refreshed, info->next_id, info->files, info->shapes,
        info->bytes,    info->unknown_sizes,       info->heap,    info->lines, info->without_sizes};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        buf_le(out, numbers[i], 8);
}

int catalog_info_decode(const void *data, size_t len, struct catalog_info *out)
{
    struct view v = view_of(data, len);
    if (view_le(&v, 8) != CATALOG_FORMAT)
        return -EBADMSG;
    out->refreshed = (int64_t)view_le(&v, 8);
    out->next_id = view_le(&v, 8);
    out->files = view_le(&v, 8);
    out->shapes = view_le(&v, 8);
    out->bytes = view_le(&v, 8);
    out->unknown_sizes = view_le(&v, 8);
    out->heap = view_le(&v, 8);
    out->lines = view_le(&v, 8);
    out->without_sizes = view_le(&v, 8) != 0;
    return v.err;
}

static int load_dataset(void *arg, struct db_slice key, struct db_slice val)
{
    struct catalog *c = arg;
    (void)key;
    struct catalog_dataset *grown = realloc(c->datasets, (c->dataset_count + 1) * sizeof(grown[0]));
    if (grown == NULL)
        return -ENOMEM;
    c->datasets = grown;
    grown[c->dataset_count] = (struct catalog_dataset){.id = NULL};
    return catalog_dataset_decode(val.data, val.len, &grown[c->dataset_count++]);
}

static int load_class(void *arg, struct db_slice key, struct db_slice val)
{
    struct catalog *c = arg;
    (void)key;
    struct catalog_class *grown = realloc(c->classes, (c->class_count + 1) * sizeof(grown[0]));
    if (grown == NULL)
        return -ENOMEM;
    c->classes = grown;
    struct view v = view_of(val.data, val.len);
    struct catalog_class *class = &grown[c->class_count++];
    class->folder = view_le(&v, 8);
    class->name = take_text(&v);
    return class->name == NULL ? -ENOMEM : v.err;
}

static int load_tables(struct catalog *c)
{
    struct db_txn t = db_begin(c->db, false);
    struct db_slice val;
    int r = db_get(&t, CATALOG_META, "info", 4, &val)
                ? catalog_info_decode(val.data, val.len, &c->info)
                : -EBADMSG;
    if (r == 0)
        r = db_scan(&t, CATALOG_DATASET, "", 0, load_dataset, c);
    if (r == 0)
        r = db_scan(&t, CATALOG_CLASS, "", 0, load_class, c);
    db_abort(&t);
    return r;
}

int catalog_open(const char *path, struct catalog **out, struct err *e)
{
    if (access(path, F_OK) != 0)
        return err_set(e, -ENOENT, "%s: there is no catalogue yet (run 'medshapefs refresh')",
                       path);
    struct catalog *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(e, -ENOMEM, "%s: out of memory", path);
    int r = db_open(path, DB_READ_ONLY, catalog_tables, CATALOG_TABLES, &c->db, e);
    if (r == 0 && (r = load_tables(c)) != 0)
        (void)err_set(e, r,
                      "%s: not a catalogue of this version, or damaged (run 'medshapefs refresh')",
                      path);
    if (r != 0)
        catalog_close(&c);
    *out = c;
    return r;
}

void catalog_close(struct catalog **cp)
{
    struct catalog *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    db_close(&c->db);
    for (size_t i = 0; i < c->dataset_count; i++) {
        free(c->datasets[i].id);
        free(c->datasets[i].title);
        free(c->datasets[i].licence);
    }
    for (size_t i = 0; i < c->class_count; i++)
        free(c->classes[i].name);
    free(c->datasets);
    free(c->classes);
    free(c);
}

struct db_txn catalog_begin(struct catalog *c)
{
    return db_begin(c->db, false);
}

bool catalog_node(struct db_txn *t, uint64_t id, struct node *out)
{
    struct db_key k = catalog_id_key(id);
    struct db_slice val;
    return db_get(t, CATALOG_NODE, k.data, k.len, &val) && node_decode(val.data, val.len, out) == 0;
}

bool catalog_lookup(struct db_txn *t, uint64_t folder, const char *name, size_t len, uint64_t *id)
{
    struct db_key k = catalog_name_key(name, len, folder);
    struct db_slice val;
    if (k.len > DB_MAX_KEY || !db_get(t, CATALOG_NAME, k.data, k.len, &val) || val.len != 8)
        return false;
    *id = db_key_read(val.data, 8);
    return true;
}

struct children {
    uint64_t folder;
    int (*row)(void *arg, uint64_t id);
    void *arg;
    int result;
};

static int child_row(void *arg, struct db_slice key, struct db_slice val)
{
    struct children *c = arg;
    (void)val;
    if (key.len != 16 || db_key_read(key.data, 8) != c->folder)
        return 1;
    c->result = c->row(c->arg, db_key_read((const unsigned char *)key.data + 8, 8));
    return c->result;
}

int catalog_children(struct db_txn *t, uint64_t folder, uint64_t after,
                     int (*row)(void *arg, uint64_t id), void *arg)
{
    struct children c = {folder, row, arg, 0};
    struct db_key k = catalog_child_key(folder, after == 0 ? 0 : after + 1);
    int r = db_scan(t, CATALOG_CHILD, k.data, k.len, child_row, &c);
    return r < 0 ? r : c.result;
}

struct named {
    const char *name;
    size_t len;
    int (*row)(void *arg, uint64_t id);
    void *arg;
    int result;
};

static int named_row(void *arg, struct db_slice key, struct db_slice val)
{
    struct named *n = arg;
    if (key.len != n->len + 9 || memcmp(key.data, n->name, n->len) != 0 || val.len != 8)
        return 1;
    n->result = n->row(n->arg, db_key_read(val.data, 8));
    return n->result;
}

int catalog_named(struct db_txn *t, const char *name, size_t len,
                  int (*row)(void *arg, uint64_t id), void *arg)
{
    struct named n = {name, len, row, arg, 0};
    struct db_key k = catalog_name_key(name, len, 0);
    if (k.len > DB_MAX_KEY)
        return 0;
    int r = db_scan(t, CATALOG_NAME, k.data, k.len, named_row, &n);
    return r < 0 ? r : n.result;
}

struct nodes {
    int (*row)(void *arg, uint64_t id, const struct node *n);
    void *arg;
};

static int node_row(void *arg, struct db_slice key, struct db_slice val)
{
    const struct nodes *n = arg;
    struct node node;
    if (key.len != 8 || node_decode(val.data, val.len, &node) != 0)
        return -EBADMSG;
    return n->row(n->arg, db_key_read(key.data, 8), &node);
}

int catalog_nodes(struct db_txn *t, uint64_t after,
                  int (*row)(void *arg, uint64_t id, const struct node *n), void *arg)
{
    struct nodes n = {row, arg};
    struct db_key k = catalog_id_key(after + 1);
    return db_scan(t, CATALOG_NODE, k.data, k.len, node_row, &n);
}

bool catalog_place(struct db_txn *t, uint32_t number, struct slice *link, struct db_slice *bytes)
{
    struct db_key k = {.len = 0};
    struct db_slice row;
    db_key_u(&k, number, 4);
    if (!db_get(t, CATALOG_PLACE, k.data, k.len, &row))
        return false;
    struct view v = view_of(row.data, row.len);
    view_str(&v, &link->s, &link->len);
    bytes->data = v.p;
    bytes->len = (size_t)(v.end - v.p);
    return v.err == 0;
}

uint64_t catalog_url_hash(struct slice link, struct slice key)
{
    return hash64(key.s, key.len, hash64(link.s, link.len, 0));
}

bool catalog_meta(struct db_txn *t, const char *name, uint64_t *value)
{
    struct db_slice row;
    if (!db_get(t, CATALOG_META, name, strlen(name), &row) || row.len != 8)
        return false;
    *value = db_key_read(row.data, 8);
    return true;
}

/* Copies from the heap at `off`, at most to the end of its chunk. */
static size_t heap_copy(struct db_txn *t, uint64_t off, char *out, size_t len)
{
    struct db_key k = catalog_id_key(off / CATALOG_CHUNK);
    struct db_slice val;
    size_t at = (size_t)(off % CATALOG_CHUNK);
    if (!db_get(t, CATALOG_HEAP, k.data, k.len, &val) || at >= val.len)
        return 0;
    if (len > val.len - at)
        len = val.len - at;
    memcpy(out, (const char *)val.data + at, len);
    return len;
}

size_t catalog_text(struct db_txn *t, const struct node *n, uint64_t off, char *out, size_t len)
{
    size_t done = 0;
    for (int i = 0; i < 2; i++) {
        while (done < len && off < n->extent[i].len) {
            uint64_t left = n->extent[i].len - off;
            size_t want = left < len - done ? (size_t)left : len - done;
            size_t got = heap_copy(t, n->extent[i].off + off, out + done, want);
            if (got == 0)
                return done;
            done += got;
            off += got;
        }
        off = off > n->extent[i].len ? off - n->extent[i].len : 0;
    }
    return done;
}

const struct catalog_dataset *catalog_dataset_at(const struct catalog *c, uint16_t number)
{
    return number < c->dataset_count ? &c->datasets[number] : NULL;
}

const char *catalog_class_name(const struct catalog *c, uint16_t number)
{
    return number < c->class_count ? c->classes[number].name : "";
}
