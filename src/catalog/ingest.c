#include "catalog/ingest_i.h"

#include "base/fsio.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SORT_MEMORY = 12 << 20, LATE_MEMORY = 4 << 20 };

void ingest_row_encode(const struct ingest_row *r, struct buf *out)
{
    buf_le(out, r->place, 4);
    buf_le(out, r->size, 8);
    buf_le(out, (uint64_t)r->mtime, 8);
    buf_le(out, r->dataset, 2);
    buf_le(out, (uint64_t)r->side, 1);
    buf_lstr(out, r->subject.s, r->subject.len);
    buf_lstr(out, r->anatomy.s, r->anatomy.len);
    buf_lstr(out, r->etag.s, r->etag.len);
    buf_lstr(out, r->remote.s, r->remote.len);
    buf_lstr(out, r->shown.s, r->shown.len);
    buf_add(out, r->key.s, r->key.len);
}

int ingest_row_decode(const void *data, size_t len, struct ingest_row *out)
{
    struct view v = view_of(data, len);
    out->place = (uint32_t)view_le(&v, 4);
    out->size = view_le(&v, 8);
    out->mtime = (int64_t)view_le(&v, 8);
    out->dataset = (uint16_t)view_le(&v, 2);
    out->side = (enum side)view_le(&v, 1);
    view_str(&v, &out->subject.s, &out->subject.len);
    view_str(&v, &out->anatomy.s, &out->anatomy.len);
    view_str(&v, &out->etag.s, &out->etag.len);
    view_str(&v, &out->remote.s, &out->remote.len);
    view_str(&v, &out->shown.s, &out->shown.len);
    out->key = (struct slice){(const char *)v.p, (size_t)(v.end - v.p)};
    return v.err;
}

/* Beside the catalogue, as it grows with it: /tmp may be in memory. */
static FILE *open_spool(const char *dir)
{
    int fd = fsio_temp_file(dir);
    FILE *f = fd >= 0 ? fdopen(fd, "w+e") : NULL;
    if (f == NULL && fd >= 0)
        (void)close(fd);
    return f;
}

static int open_files(struct ingest *g, struct err *e)
{
    if (snprintf(g->new_path, sizeof(g->new_path), "%s.new", g->o.path) >= (int)sizeof(g->new_path))
        return err_set(e, -ENAMETOOLONG, "%s: the path is too long", g->o.path);
    (void)unlink(g->new_path);
    int r = db_open(g->new_path, DB_NO_SYNC, catalog_tables, CATALOG_TABLES, &g->db, e);
    if (r != 0)
        return r;
    size_t count = registry_count(g->o.registry);
    g->items = sort_create(g->o.temp_dir, SORT_MEMORY);
    if (g->o.by_url)
        g->origins = sort_create(g->o.temp_dir, SORT_MEMORY);
    g->late = sort_create(g->o.temp_dir, LATE_MEMORY);
    g->late_index = sort_create(g->o.temp_dir, LATE_MEMORY);
    g->spool = open_spool(g->o.temp_dir);
    g->datasets = calloc(count, sizeof(g->datasets[0]));
    g->classes = calloc(INGEST_MAX_CLASSES, sizeof(g->classes[0]));
    g->class_slot = calloc((size_t)2 * INGEST_MAX_CLASSES, sizeof(g->class_slot[0]));
    g->place_folder = strdup("");
    g->place_link = strdup("");
    if (g->items == NULL || g->late == NULL || g->late_index == NULL || g->spool == NULL ||
        g->datasets == NULL || g->classes == NULL || g->class_slot == NULL ||
        g->place_folder == NULL || g->place_link == NULL || (g->o.by_url && g->origins == NULL))
        return err_set(e, -ENOMEM, "catalogue: out of memory or of temporary files");
    return 0;
}

int ingest_begin(const struct ingest_options *o, struct ingest **out, struct err *e)
{
    struct ingest *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return err_set(e, -ENOMEM, "catalogue: out of memory");
    g->o = *o;
    int r = open_files(g, e);
    if (r != 0) {
        ingest_abort(&g);
        return r;
    }
    g->info.refreshed = o->now;
    g->info.next_id = o->old != NULL ? o->old->info.next_id : NODE_FIRST;
    if (o->old != NULL)
        g->old_txn = catalog_begin(o->old);
    g->txn = db_begin(g->db, true);
    *out = g;
    return 0;
}

void ingest_abort(struct ingest **gp)
{
    struct ingest *g = *gp;
    *gp = NULL;
    if (g == NULL)
        return;
    if (g->txn.db != NULL)
        db_abort(&g->txn);
    if (g->old_txn.db != NULL)
        db_abort(&g->old_txn);
    if (g->db != NULL) {
        db_close(&g->db);
        (void)unlink(g->new_path);
        char lock[PATH_MAX + 8];
        (void)snprintf(lock, sizeof(lock), "%s-lock", g->new_path);
        (void)unlink(lock);
    }
    sort_destroy(&g->items);
    sort_destroy(&g->origins);
    sort_destroy(&g->late);
    sort_destroy(&g->late_index);
    if (g->spool != NULL)
        (void)fclose(g->spool);
    for (size_t i = 0; i < g->class_count; i++)
        free(g->classes[i].name);
    free(g->classes);
    free(g->class_slot);
    free(g->datasets);
    free(g->place_folder);
    free(g->place_link);
    buf_free(&g->heap);
    free(g);
}

int ingest_batch(struct ingest *g, bool now)
{
    if (g->txn.err == 0 && !now && ++g->in_batch < INGEST_BATCH)
        return 0;
    g->in_batch = 0;
    int r = db_commit(&g->txn);
    g->txn = db_begin(g->db, true);
    if (r != 0)
        g->txn.err = r; /* sticky over batches */
    return r;
}

char *ingest_folder_path(const char *folder, size_t len)
{
    struct buf out = BUF_INIT;
    for (size_t at = 0; at < len && len <= INGEST_PATH_MAX / 2;) {
        const char *slash = memchr(folder + at, '/', len - at);
        size_t n = slash != NULL ? (size_t)(slash - folder) - at : len - at;
        if (n > 0) {
            str_safe_name(&out, folder + at, n);
            buf_str(&out, "/");
        }
        at += n + 1;
    }
    if (len > INGEST_PATH_MAX / 2 || out.len > INGEST_PATH_MAX / 2) {
        buf_clear(&out);
        str_safe_name(&out, folder, len);
        buf_str(&out, "/");
    }
    return buf_take(&out);
}

int ingest_place(struct ingest *g, const void *data, size_t len, const char *link,
                 const char *folder, uint32_t *number)
{
    struct buf row = BUF_INIT;
    struct db_key key = {.len = 0};
    *number = g->places++;
    db_key_u(&key, *number, 4);
    buf_lstr(&row, link, strlen(link));
    buf_add(&row, data, len);
    if (row.err == 0)
        db_append(&g->txn, CATALOG_PLACE, key.data, key.len, row.data, row.len);
    int r = row.err != 0 ? row.err : g->txn.err;
    buf_free(&row);
    free(g->place_folder);
    g->place_folder = ingest_folder_path(folder, strlen(folder));
    free(g->place_link);
    g->place_link = strdup(link);
    if (g->place_folder == NULL || g->place_link == NULL)
        return -ENOMEM;
    return r != 0 ? r : ingest_batch(g, false);
}

static bool same(const char *a, size_t alen, struct slice b)
{
    return alen == b.len && memcmp(a, b.s, alen) == 0;
}

static int sort_item(struct ingest *g, const struct ingest_item *item,
                     const struct shape_name *shape, size_t dataset, const char *folder)
{
    struct ingest_row row = {.place = item->place,
                             .size = item->size,
                             .mtime = item->mtime,
                             .dataset = (uint16_t)dataset,
                             .side = shape->side,
                             .subject = {shape->subject, shape->subject_len},
                             .anatomy = slice_of(shape->anatomy),
                             .etag = item->etag,
                             .key = item->key};
    struct buf key = BUF_INIT, val = BUF_INIT;
    if (item->packed != NULL)
        row.shown = item->packed->shown;
    buf_str(&key, registry_at(g->o.registry, dataset)->id);
    buf_str(&key, "/");
    buf_str(&key, folder);
    size_t name_at = key.len;
    str_safe_name(&key, item->name.s, item->name.len);
    if (key.err == 0 && !same(key.data + name_at, key.len - name_at, item->name))
        row.remote = item->name;
    buf_le(&key, 0, 1);
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_le(&key, (item->order >> shift) & 255, 1);
    ingest_row_encode(&row, &val);
    int r = key.err != 0 ? key.err : val.err;
    if (r == 0)
        r = ingest_sort_row(g, item, &key, &val);
    buf_free(&key);
    buf_free(&val);
    return r;
}

int ingest_item(struct ingest *g, const struct ingest_item *item)
{
    struct shape_name shape;
    struct buf folder = BUF_INIT;
    size_t dataset;
    int r = 0;
    if (item->packed == NULL) {
        registry_classify(g->o.registry, item->name.s, item->name.len, item->forced, &shape);
        return sort_item(g, item, &shape, shape.dataset, g->place_folder);
    }
    if (ingest_pack_place(g, item, &dataset, &shape, &folder))
        r = folder.err != 0 ? folder.err : sort_item(g, item, &shape, dataset, buf_cstr(&folder));
    buf_free(&folder);
    return r;
}

void ingest_meta(struct ingest *g, const char *name, uint64_t value)
{
    struct db_key v = catalog_id_key(value);
    db_put(&g->txn, CATALOG_META, name, strlen(name), v.data, v.len);
}

static int write_info(struct ingest *g)
{
    struct buf row = BUF_INIT;
    catalog_info_encode(&g->info, &row);
    if (row.err == 0)
        db_put(&g->txn, CATALOG_META, "info", 4, row.data, row.len);
    buf_free(&row);
    return ingest_batch(g, true);
}

static int build(struct ingest *g)
{
    int r = ingest_skeleton(g);
    if (r == 0)
        r = ingest_sort_end(g);
    if (r == 0)
        r = ingest_place_all(g);
    if (r == 0)
        r = ingest_write_texts(g);
    if (r == 0)
        r = write_info(g);
    db_abort(&g->txn);
    g->txn.db = NULL;
    return r != 0 ? r : db_sync(g->db);
}

static int swap_in(struct ingest *g)
{
    char lock[PATH_MAX + 8];
    db_close(&g->db);
    (void)snprintf(lock, sizeof(lock), "%s-lock", g->new_path);
    (void)unlink(lock);
    if (rename(g->new_path, g->o.path) != 0)
        return -errno;
    return fsio_sync_parent(g->o.path);
}

int ingest_finish(struct ingest **gp, bool without_sizes, struct catalog_info *info, struct err *e)
{
    struct ingest *g = *gp;
    g->info.without_sizes = without_sizes;
    int r = build(g);
    if (r == 0)
        r = swap_in(g);
    if (r != 0)
        (void)err_set(e, r, "%s: cannot write the catalogue: %s (the old one stays)", g->o.path,
                      err_text(r));
    *info = g->info;
    ingest_abort(gp);
    return r;
}
