#include "dataset/dataset_i.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

bool folder_has(const struct folder *f, const struct node *n)
{
    if (n->kind != NODE_FILE)
        return false;
    if (f->query == NULL)
        return n->anatomy == f->anatomy;
    const struct catalog_dataset *d = catalog_dataset_at(f->catalog, n->dataset);
    struct query_row row = {.name = n->name.s,
                            .name_len = n->name.len,
                            .dataset = d != NULL ? d->id : "",
                            .anatomy = catalog_class_name(f->catalog, n->anatomy),
                            .licence = d != NULL ? d->licence : "",
                            .subject = n->subject.s,
                            .subject_len = n->subject.len,
                            .side = n->side};
    return query_match(f->query, &row);
}

/* Counts those in the folder that have a name, and where among its dataset's one of them stands. */
struct rank {
    const struct folder *folder;
    uint64_t id;
    uint16_t dataset;
    unsigned others, before; /* others of the name in the folder; of these, those of this dataset
                                with a lower id */
};

static int rank_row(void *arg, uint64_t id)
{
    struct rank *r = arg;
    struct node n;
    if (id == r->id || !catalog_node(r->folder->txn, id, &n) || !folder_has(r->folder, &n))
        return 0;
    r->others++;
    r->before += n.dataset == r->dataset && id < r->id;
    return 0;
}

/* STEM~DATASET.stl, and a number where there are several; cut so that it is a name. */
static void made_name(const struct node *n, const char *dataset, unsigned number, struct buf *out)
{
    const char *dot = memrchr(n->name.s, '.', n->name.len);
    size_t stem = dot != NULL ? (size_t)(dot - n->name.s) : n->name.len;
    char tail[128];
    int len = snprintf(tail, sizeof(tail), "~%.64s", dataset);
    if (number > 1)
        len += snprintf(tail + len, sizeof(tail) - (size_t)len, "~%u", number);
    size_t suffix = n->name.len - stem;
    if (suffix + (size_t)len < STR_NAME_MAX && stem + suffix + (size_t)len > STR_NAME_MAX)
        stem = STR_NAME_MAX - suffix - (size_t)len;
    buf_add(out, n->name.s, stem);
    buf_add(out, tail, (size_t)len);
    buf_add(out, dot != NULL ? dot : "", suffix);
}

void folder_name(const struct folder *f, uint64_t id, const struct node *n, struct buf *out)
{
    struct rank r = {.folder = f, .id = id, .dataset = n->dataset};
    const struct catalog_dataset *d = catalog_dataset_at(f->catalog, n->dataset);
    (void)catalog_named(f->txn, n->name.s, n->name.len, rank_row, &r);
    if (r.others == 0 || d == NULL) {
        buf_add(out, n->name.s, n->name.len);
        return;
    }
    /* Another shape may be called at its source what this one is made to be called. */
    size_t start = out->len;
    struct rank taken = {.folder = f, .id = id};
    unsigned number = r.before + 1;
    do {
        out->len = start;
        taken.others = 0;
        made_name(n, d->id, number, out);
        if (out->err == 0)
            (void)catalog_named(f->txn, out->data + start, out->len - start, rank_row, &taken);
        number += r.others + 1;
    } while (taken.others > 0);
}

struct search_by_name {
    const struct folder *folder;
    const char *name;
    uint64_t id;
};

static int name_row(void *arg, uint64_t id)
{
    struct search_by_name *x = arg;
    struct node n;
    if (!catalog_node(x->folder->txn, id, &n) || !folder_has(x->folder, &n))
        return 0;
    struct buf shown = BUF_INIT;
    folder_name(x->folder, id, &n, &shown);
    bool found = strcmp(buf_cstr(&shown), x->name) == 0;
    buf_free(&shown);
    x->id = id;
    return found;
}

/* Tries the name without what stands from `tilde` to the suffix. */
static bool find_without(struct search_by_name *x, const char *tilde)
{
    const char *dot = strrchr(x->name, '.');
    char plain[512];
    int n = snprintf(plain, sizeof(plain), "%.*s%s", (int)(tilde - x->name), x->name,
                     dot != NULL && dot > tilde ? dot : "");
    return catalog_named(x->folder->txn, plain, (size_t)n, name_row, x) > 0;
}

bool folder_find(const struct folder *f, const char *name, uint64_t *id)
{
    struct search_by_name x = {f, name, 0};
    size_t len = strlen(name);
    bool found = len <= STR_NAME_MAX && catalog_named(f->txn, name, len, name_row, &x) > 0;
    for (const char *tilde = strchr(name, '~'); !found && len <= STR_NAME_MAX && tilde != NULL;
         tilde = strchr(tilde + 1, '~'))
        found = find_without(&x, tilde);
    *id = x.id;
    return found;
}
