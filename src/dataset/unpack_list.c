#include "dataset/packs_i.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

enum { LICENCES_MAX = 10000, TEXT_MAX = 256 };

struct licence {
    char *dataset, *licence;
};

struct unpack_licences {
    struct licence *row; /* in order of dataset */
    size_t count;
};

/* Texts of a row as C strings. */
struct texts {
    struct buf all;
    size_t url, etag, dataset;
};

static int add(struct unpack_licences *l, struct pack_slice id, struct pack_slice json)
{
    struct json *entry = json_parse(json.s, json.len, NULL);
    const char *licence = json_string(json_get(entry, "licence"), "");
    int r = 0;
    if (licence[0] != '\0' && id.len <= TEXT_MAX && strlen(licence) <= TEXT_MAX) {
        struct licence *row = realloc(l->row, (l->count + 1) * sizeof(*row));
        l->row = row != NULL ? row : l->row;
        if (row != NULL) {
            row += l->count++;
            row->dataset = strndup(id.s, id.len);
            row->licence = strdup(licence);
        }
        r = row == NULL || row->dataset == NULL || row->licence == NULL ? -1 : 0;
    }
    json_free(entry);
    return r;
}

struct unpack_licences *unpack_licences_read(struct pack *p, int *r, struct err *e)
{
    struct unpack_licences *l = calloc(1, sizeof(*l));
    struct pack_slice id, json;
    *r = 0;
    while (l != NULL && l->count < LICENCES_MAX && (*r = pack_next_dataset(p, &id, &json, e)) == 1)
        if (add(l, id, json) != 0)
            unpack_licences_free(&l);
    return l;
}

void unpack_licences_free(struct unpack_licences **lp)
{
    struct unpack_licences *l = *lp;
    *lp = NULL;
    for (size_t i = 0; l != NULL && i < l->count; i++) {
        free(l->row[i].dataset);
        free(l->row[i].licence);
    }
    if (l != NULL)
        free(l->row);
    free(l);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct licence *)a)->dataset, ((const struct licence *)b)->dataset);
}

static const char *licence_of(const struct unpack_licences *l, const char *dataset)
{
    struct licence key = {.dataset = (char *)(uintptr_t)dataset};
    const struct licence *found =
        l->count > 0 ? bsearch(&key, l->row, l->count, sizeof(key), compare) : NULL;
    return found != NULL ? found->licence : "";
}

static size_t keep(struct buf *all, struct pack_slice s)
{
    size_t at = all->len;
    buf_add(all, s.s, s.len);
    buf_add(all, "", 1);
    return at;
}

static void describe(const struct pack_row *row, struct medshapefs_packed_file *f)
{
    f->folder = row->type == PACK_FOLDER;
    f->bytes = row->size;
    f->mtime = row->mtime;
    f->mtime_ns = row->mtime_ns;
    f->sha256 = row->sha256;
    for (size_t i = 0; i < row->blocks; i++)
        f->packed += row->block[i].packed;
    f->shape = row->has_facts && row->facts.health != FACTS_UNKNOWN;
    f->health = facts_health_name(row->has_facts ? row->facts.health : FACTS_UNKNOWN);
    f->binary = row->facts.binary;
    f->closed = row->facts.closed;
    f->facets = row->facts.facets;
    f->vertices = row->facts.vertices;
    memcpy(f->min, row->facts.min, sizeof(f->min));
    memcpy(f->max, row->facts.max, sizeof(f->max));
    f->surface = row->facts.surface;
    f->volume = row->facts.volume;
}

bool unpack_list_row(const struct medshapefs_unpack *o, const struct pack_row *row,
                     const struct unpack_licences *l)
{
    struct texts t = {BUF_INIT, 0, 0, 0};
    struct medshapefs_packed_file f = {.folder = false};
    (void)keep(&t.all, row->path);
    t.url = keep(&t.all, row->url);
    t.etag = keep(&t.all, row->etag);
    t.dataset = keep(&t.all, row->dataset);
    bool more = t.all.err == 0;
    if (more) {
        f.path = t.all.data;
        f.url = t.all.data + t.url;
        f.etag = t.all.data + t.etag;
        f.dataset = t.all.data + t.dataset;
        f.licence = licence_of(l, f.dataset);
        describe(row, &f);
        more = o->row(o->arg, &f);
    }
    buf_free(&t.all);
    return more;
}
