#include "dataset/dataset_i.h"

#include "base/str.h"
#include "source/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct usage {
    const struct catalog *catalog;
    struct {
        uint64_t text, disk;
    } * cached;
};

static int usage_row(void *arg, const char *tag, uint64_t text, uint64_t disk)
{
    struct usage *u = arg;
    for (size_t i = 0; i < u->catalog->dataset_count; i++)
        if (strcmp(u->catalog->datasets[i].id, tag) == 0) {
            u->cached[i].text += text;
            u->cached[i].disk += disk;
        }
    return 0;
}

int medshapefs_datasets(struct medshapefs *m,
                        void (*row)(void *arg, const struct medshapefs_dataset *d), void *arg)
{
    struct shelf *s = shelf_take(m);
    const struct catalog *c = s->catalog;
    struct usage u = {c, calloc(c->dataset_count + 1, sizeof(*u.cached))};
    if (u.cached != NULL)
        (void)store_usage(m->content_dir, usage_row, &u);
    for (size_t i = 0; u.cached != NULL && i < c->dataset_count; i++) {
        const struct catalog_dataset *d = &c->datasets[i];
        struct medshapefs_dataset x = {.id = d->id,
                                       .title = d->title,
                                       .licence = d->licence,
                                       .shapes = d->shapes,
                                       .files = d->files,
                                       .bytes = d->bytes,
                                       .unknown_sizes = d->unknown_sizes,
                                       .cached = u.cached[i].text,
                                       .cached_disk = u.cached[i].disk};
        if (d->folder != 0)
            row(arg, &x);
    }
    int r = u.cached != NULL ? 0 : -ENOMEM;
    free(u.cached);
    shelf_put(&s);
    return r;
}

static int text_of(struct catalog *c, uint64_t folder, const char *file, struct buf *out)
{
    struct db_txn t = catalog_begin(c);
    struct node n;
    uint64_t id;
    int r = -ENOENT;
    if (catalog_lookup(&t, folder, file, strlen(file), &id) && catalog_node(&t, id, &n) &&
        n.kind == NODE_TEXT && n.size < SIZE_MAX && (r = buf_reserve(out, (size_t)n.size + 1)) == 0)
        out->len += catalog_text(&t, &n, 0, out->data + out->len, (size_t)n.size);
    db_abort(&t);
    return r;
}

static const struct catalog_dataset *find_dataset(const struct catalog *c, const char *id)
{
    const struct catalog_dataset *found = NULL;
    for (size_t i = 0; i < c->dataset_count; i++) {
        const struct catalog_dataset *d = &c->datasets[i];
        if (d->folder != 0 && strcmp(d->id, id) == 0)
            return d;
        if (d->folder != 0 && str_loose_eq(d->id, strlen(d->id), id, strlen(id)))
            found = d;
    }
    return found;
}

/* Up to three ids that share a beginning or contain the text. */
static void near_ids(const struct catalog *c, const char *id, struct buf *out)
{
    char lower[64];
    size_t n = 0, given = 0;
    for (; id[n] != '\0' && n + 1 < sizeof(lower); n++)
        lower[n] = (char)(id[n] >= 'A' && id[n] <= 'Z' ? id[n] + 32 : id[n]);
    for (size_t len = n; len >= 2 && given == 0; len--)
        for (size_t i = 0; i < c->dataset_count && given < 3; i++)
            if (c->datasets[i].folder != 0 &&
                str_icontains(c->datasets[i].id, strlen(c->datasets[i].id), lower, len))
                buf_fmt(out, "%s%s", given++ == 0 ? "near: " : ", ", c->datasets[i].id);
    buf_str(out, given > 0 ? "; " : "");
}

int medshapefs_dataset_file(struct medshapefs *m, const char *id, const char *file, struct buf *out,
                            struct err *e)
{
    struct shelf *s = shelf_take(m);
    const struct catalog_dataset *d = find_dataset(s->catalog, id);
    int r = d != NULL ? text_of(s->catalog, d->folder, file, out) : -ENOENT;
    if (d == NULL) {
        struct buf near = BUF_INIT;
        near_ids(s->catalog, id, &near);
        (void)err_set(e, r, "%s: there is no such dataset (%s'medshapefs datasets' lists them)", id,
                      buf_cstr(&near));
        buf_free(&near);
    } else if (r != 0) {
        (void)err_set(e, r, "%s/%s: %s", id, file, err_text(r));
    }
    shelf_put(&s);
    return r;
}

int medshapefs_root_file(struct medshapefs *m, const char *file, struct buf *out)
{
    struct shelf *s = shelf_take(m);
    int r = text_of(s->catalog, NODE_ROOT, file, out);
    shelf_put(&s);
    return r;
}

struct finding {
    struct medshapefs *m;
    struct folder folder;
    bool (*row)(void *arg, const struct medshapefs_match *x);
    void *arg;
    uint64_t count;
    struct buf path, url, subject;
};

static int found_row(void *arg, uint64_t id, const struct node *n)
{
    struct finding *f = arg;
    struct blob_version v;
    uint32_t generation;
    const struct catalog *c = f->folder.catalog;
    if (!folder_has(&f->folder, n))
        return 0;
    f->count++;
    const struct catalog_dataset *d = catalog_dataset_at(c, n->dataset);
    if (f->row == NULL || d == NULL)
        return 0;
    buf_clear(&f->path);
    buf_clear(&f->url);
    buf_clear(&f->subject);
    tree_path(f->folder.txn, n, &f->path);
    object_url(f->folder.txn, n, &f->url);
    buf_add(&f->subject, n->subject.s, n->subject.len);
    bool known = object_version(f->m, c, f->folder.txn, id, n, &v, &generation);
    struct medshapefs_match x = {.path = buf_cstr(&f->path),
                                 .url = buf_cstr(&f->url),
                                 .dataset = d->id,
                                 .anatomy = catalog_class_name(c, n->anatomy),
                                 .subject = buf_cstr(&f->subject),
                                 .side = side_text(n->side),
                                 .licence = d->licence,
                                 .bytes = known ? v.size : UINT64_MAX};
    return f->row(f->arg, &x) ? 0 : 1;
}

int medshapefs_search(struct medshapefs *m, const char *query,
                      bool (*row)(void *arg, const struct medshapefs_match *x), void *arg,
                      uint64_t *count, struct err *e)
{
    struct query *q;
    int r = query_parse(query, strlen(query), &q, e);
    if (r != 0)
        return r;
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct finding f = {
        .m = m, .folder = {s->catalog, &t, CATALOG_NONE, q}, .row = row, .arg = arg};
    r = catalog_nodes(&t, NODE_FIRST - 1, found_row, &f);
    db_abort(&t);
    shelf_put(&s);
    buf_free(&f.path);
    buf_free(&f.url);
    buf_free(&f.subject);
    query_free(q);
    *count = f.count;
    return r < 0 ? err_set(e, r, "search: %s", err_text(r)) : 0;
}
