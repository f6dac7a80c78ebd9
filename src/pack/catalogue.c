#include "pack/writer_i.h"

#include "base/fsio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DATASETS_MAX = 4096, JSON_MAX = 256 << 10, FOLLOW_SAME_FOLDER = 1 };

static int set_json(struct pack_dataset *d, const char *json, struct err *e)
{
    char *copy = strdup(json);
    if (copy == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    free(d->json);
    d->json = copy;
    return 0;
}

int pack_writer_dataset(struct pack_writer *w, const char *id, const char *json, struct err *e)
{
    if (id[0] == '\0' || strlen(id) > 255 || strlen(json) > JSON_MAX)
        return err_set(e, -EINVAL, "%.64s: an id or an entry that is too long", id);
    for (size_t i = 0; i < w->datasets; i++)
        if (strcmp(w->dataset[i].id, id) == 0)
            return set_json(&w->dataset[i], json, e);
    if (w->datasets == DATASETS_MAX)
        return err_set(e, -E2BIG, "%s: over %d datasets in a pack", id, DATASETS_MAX);
    struct pack_dataset *grown = realloc(w->dataset, (w->datasets + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    w->dataset = grown;
    grown[w->datasets] = (struct pack_dataset){strdup(id), NULL};
    if (grown[w->datasets].id == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    return set_json(&grown[w->datasets++], json, e);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct pack_dataset *)a)->id, ((const struct pack_dataset *)b)->id);
}

static int put_datasets(struct pack_writer *w, struct pack_pages *pages)
{
    struct buf bytes = BUF_INIT;
    int r = 0;
    if (w->datasets > 0)
        qsort(w->dataset, w->datasets, sizeof(*w->dataset), by_id);
    for (size_t i = 0; i < w->datasets && r == 0; i++) {
        const struct pack_dataset *d = &w->dataset[i];
        struct pack_slice id = {d->id, strlen(d->id)}, json = {d->json, strlen(d->json)};
        buf_clear(&bytes);
        pack_dataset_encode(id, json, &bytes);
        r = bytes.err != 0 ? bytes.err
                           : pack_pages_add(pages, PACK_PAGE_DATASETS, bytes.data, bytes.len);
    }
    buf_free(&bytes);
    return r;
}

/* A row's path, from its key. */
static void path_of(const void *key, size_t len, struct buf *out)
{
    buf_clear(out);
    buf_add(out, key, len);
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\0')
            out->data[i] = '/';
}

/* What a catalogue being written remembers of the row before. */
struct order {
    struct buf path, before;
    uint8_t type;
};

/* 0; FOLLOW_SAME_FOLDER where the row before is of the same folder; or -errno with `e`. */
static int follow(struct order *o, uint8_t type, struct err *e)
{
    struct pack_slice path = {o->path.data, o->path.len}, before = {o->before.data, o->before.len};
    int n = path.len < 300 ? (int)path.len : 300;
    int r = before.len > 0 ? pack_path_follow(before, o->type, path) : 0;
    if (r == -EEXIST && type == PACK_FOLDER && o->type == PACK_FOLDER)
        return FOLLOW_SAME_FOLDER;
    if (r == -EEXIST)
        return err_set(e, r, "%.*s: two files of one name", n, path.s);
    if (r != 0)
        return err_set(e, r, "%.*s: a file where another path has a folder", n, path.s);
    struct buf swap = o->before;
    o->before = o->path;
    o->path = swap;
    o->type = type;
    return 0;
}

static int put_rows(struct pack_writer *w, struct pack_pages *pages, struct order *o,
                    struct pack_trailer *t, struct err *e)
{
    const void *key, *value;
    size_t key_len, value_len;
    int r = sort_rewind(w->rows);
    while (r == 0 && (r = sort_next(w->rows, &key, &key_len, &value, &value_len)) == 1) {
        struct view v = view_of(value, value_len);
        uint8_t type = (uint8_t)view_le(&v, 1);
        uint64_t size = view_le(&v, 8);
        path_of(key, key_len, &o->path);
        r = o->path.err != 0 ? o->path.err : follow(o, type, e);
        if (r == FOLLOW_SAME_FOLDER) {
            r = 0;
            continue;
        }
        t->text += size;
        t->files++;
        if (r == 0)
            r = pack_pages_add(pages, PACK_PAGE_ROWS, v.p, (size_t)(v.end - v.p));
    }
    return r;
}

static int put_pages(struct pack_writer *w, struct pack_trailer *t, struct err *e)
{
    struct order o = {.type = PACK_FOLDER};
    struct pack_pages *pages = pack_pages_new(w->fd, w->pos);
    int r = pages == NULL ? -ENOMEM : put_datasets(w, pages);
    if (r == 0)
        r = put_rows(w, pages, &o, t, e);
    if (r == 0)
        r = pack_pages_end(pages, t);
    pack_pages_free(&pages);
    buf_free(&o.path);
    buf_free(&o.before);
    return r;
}

int pack_writer_catalogue(struct pack_writer *w, struct err *e)
{
    unsigned char trailer[PACK_TRAILER];
    struct pack_trailer t = {.files = 0};
    int r = put_pages(w, &t, e);
    uint64_t end = t.catalogue + t.catalogue_len;
    /* The trailer says that all before it is there: it may reach the disk last only. */
    if (r == 0)
        r = fsync(w->fd) != 0 ? -errno : 0;
    pack_trailer_write(&t, trailer);
    if (r == 0)
        r = fsio_pwrite_all(w->fd, trailer, sizeof(trailer), end);
    if (r == 0 && ftruncate(w->fd, (off_t)(end + sizeof(trailer))) != 0)
        r = -errno;
    if (r != 0)
        return err_set(e, r, "%s: %s", w->path, err_text(r));
    return 0;
}

static int take_rows(struct pack_writer *w, struct pack *p, struct err *e)
{
    struct pack_row row;
    struct pack_slice id, json;
    int r;
    while ((r = pack_next(p, &row, e)) == 1) {
        struct pack_slice bytes = pack_row_bytes(p);
        r = pack_writer_row(w, row.path, row.type, row.size, bytes.s, bytes.len);
        if (r != 0)
            return err_set(e, r, "%s", err_text(r));
    }
    while (r == 0 && (r = pack_next_dataset(p, &id, &json, e)) == 1) {
        char *name = strndup(id.s, id.len), *text = strndup(json.s, json.len);
        r = name == NULL || text == NULL ? err_set(e, -ENOMEM, "out of memory")
                                         : pack_writer_dataset(w, name, text, e);
        free(name);
        free(text);
    }
    return r;
}

int pack_writer_take_over(struct pack_writer *w, struct err *e)
{
    struct pack_io io;
    struct pack *p = NULL;
    int r = pack_file_open(w->path, &io, e);
    if (r != 0)
        return r;
    r = pack_open(&io, &p, e);
    if (r == 0)
        r = take_rows(w, p, e);
    if (r != 0)
        err_prefix(e, w->path);
    pack_close(&p);
    pack_file_close(&io);
    return r;
}
