#include "catalog/ingest_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Chunks a transaction: LMDB holds in memory what a transaction writes. */
enum { HEAP_BATCH = 128 };

static void flush_chunk(struct ingest *g, uint64_t number)
{
    struct db_key k = catalog_id_key(number);
    db_append(&g->txn, CATALOG_HEAP, k.data, k.len, g->heap.data, g->heap.len);
    buf_clear(&g->heap);
    (void)ingest_batch(g, (number + 1) % HEAP_BATCH == 0);
}

uint64_t ingest_heap_add(struct ingest *g, const void *data, size_t len)
{
    uint64_t begin = g->heap_len;
    const char *p = data;
    while (len > 0 && g->heap.err == 0) {
        size_t room = CATALOG_CHUNK - g->heap.len;
        size_t n = len < room ? len : room;
        buf_add(&g->heap, p, n);
        g->heap_len += n;
        p += n;
        len -= n;
        if (g->heap.len == CATALOG_CHUNK)
            flush_chunk(g, g->heap_len / CATALOG_CHUNK - 1);
    }
    return begin;
}

void ingest_index_line(struct ingest *g, const char *path, const struct ingest_row *r,
                       uint64_t size, int64_t mtime, struct buf *out)
{
    struct buf full = BUF_INIT, url = BUF_INIT, anatomy = BUF_INIT;
    struct slice link;
    struct db_slice bytes;
    const struct dataset *d = registry_at(g->o.registry, r->dataset);
    if (r->shown.len == 0 && catalog_place(&g->txn, r->place, &link, &bytes))
        buf_add(&url, link.s, link.len);
    struct slice rest = r->shown.len > 0 ? r->shown : r->key;
    buf_add(&url, rest.s, rest.len);
    buf_fmt(&full, "datasets/%s", path);
    buf_add(&anatomy, r->anatomy.s, r->anatomy.len);
    struct texts_row row = {.path = buf_cstr(&full),
                            .dataset = d->id,
                            .anatomy = buf_cstr(&anatomy),
                            .subject = r->subject.s,
                            .subject_len = r->subject.len,
                            .side = r->side,
                            .licence = registry_licence(d),
                            .bytes = size,
                            .mtime = mtime,
                            .url = buf_cstr(&url)};
    texts_index_row(out, &row);
    buf_free(&full);
    buf_free(&url);
    buf_free(&anatomy);
}

/* One line of index.csv on its way into the heap. */
struct line {
    char *path, *text;
    size_t len;
    int state; /* 1: there is one, 0: the end, -errno */
};

static void next_spooled(struct ingest *g, struct line *l)
{
    uint32_t head[2];
    free(l->path);
    free(l->text);
    *l = (struct line){.state = 0};
    if (fread(head, sizeof(head), 1, g->spool) != 1)
        return;
    l->path = calloc(1, (size_t)head[0] + 1);
    l->text = malloc(head[1]);
    l->len = head[1];
    bool ok = l->path != NULL && l->text != NULL && fread(l->path, head[0], 1, g->spool) == 1 &&
              fread(l->text, head[1], 1, g->spool) == 1;
    l->state = ok ? 1 : -EIO;
}

/* Adds a line to the heap and to the range of its dataset, which the path begins with. */
static int add_line(struct ingest *g, const char *path, const char *text, size_t len)
{
    char id[INGEST_PATH_MAX];
    size_t n = strcspn(path, "/");
    (void)snprintf(id, sizeof(id), "%.*s", (int)n, path);
    size_t i = registry_find(g->o.registry, id);
    if (i == SIZE_MAX)
        return -EBADMSG;
    uint64_t at = ingest_heap_add(g, text, len);
    if (g->datasets[i].index_len == 0)
        g->datasets[i].index_off = at;
    g->datasets[i].index_len += len;
    return g->heap.err != 0 ? g->heap.err : g->txn.err;
}

static int merge_lines(struct ingest *g)
{
    struct line spooled = {.state = 0};
    const void *key = NULL, *val = NULL;
    size_t klen = 0, vlen = 0;
    int r = fflush(g->spool) == 0 ? sort_rewind(g->late_index) : -EIO;
    rewind(g->spool);
    next_spooled(g, &spooled);
    int late = r == 0 ? sort_next(g->late_index, &key, &klen, &val, &vlen) : 0;
    while (r == 0 && spooled.state >= 0 && late >= 0 && (spooled.state > 0 || late > 0)) {
        char path[INGEST_PATH_MAX + 64];
        (void)snprintf(path, sizeof(path), "%.*s", (int)klen, late > 0 ? (const char *)key : "");
        if (late == 0 || (spooled.state > 0 && strcmp(spooled.path, path) < 0)) {
            r = add_line(g, spooled.path, spooled.text, spooled.len);
            next_spooled(g, &spooled);
        } else {
            r = add_line(g, path, val, vlen);
            late = sort_next(g->late_index, &key, &klen, &val, &vlen);
        }
    }
    r = r != 0 ? r : spooled.state < 0 ? spooled.state : late < 0 ? late : 0;
    free(spooled.path);
    free(spooled.text);
    return r;
}

/* Writes the node of a text again, now that its bytes are in the heap. */
static void set_text(struct ingest *g, uint64_t id, uint64_t off, uint64_t len, uint64_t off2,
                     uint64_t len2)
{
    struct node n;
    struct buf row = BUF_INIT;
    if (!catalog_node(&g->txn, id, &n))
        return;
    n.size = len + len2;
    n.extent[0].off = off;
    n.extent[0].len = len;
    n.extent[1].off = off2;
    n.extent[1].len = len2;
    node_encode(&n, &row);
    struct db_key key = catalog_id_key(id);
    db_put(&g->txn, CATALOG_NODE, key.data, key.len, row.data, row.len);
    buf_free(&row);
}

static void add_text(struct ingest *g, uint64_t id, struct buf *text)
{
    uint64_t off = ingest_heap_add(g, text->data, text->len);
    set_text(g, id, off, text->len, 0, 0);
    if (text->err != 0 && g->txn.err == 0)
        g->txn.err = text->err;
    buf_clear(text);
}

static void dataset_texts(struct ingest *g, size_t i, uint64_t header, struct buf *text)
{
    const struct dataset *d = registry_at(g->o.registry, i);
    struct ingest_dataset *mine = &g->datasets[i];
    texts_licence(text, d);
    add_text(g, mine->text[0], text);
    texts_citation(text, d);
    add_text(g, mine->text[1], text);
    texts_dataset_json(text, d, &mine->counts, g->o.sources, g->o.source_count);
    add_text(g, mine->text[2], text);
    set_text(g, mine->text[3], header, strlen(texts_index_header()), mine->index_off,
             mine->index_len);
}

static void dataset_row(struct ingest *g, size_t i)
{
    const struct dataset *d = registry_at(g->o.registry, i);
    const struct ingest_dataset *mine = &g->datasets[i];
    struct catalog_dataset row = {.id = (char *)(uintptr_t)d->id,
                                  .title = (char *)(uintptr_t)(d->title != NULL ? d->title : d->id),
                                  .licence = (char *)(uintptr_t)registry_licence(d),
                                  .folder = mine->folder,
                                  .shapes = mine->counts.shapes,
                                  .files = mine->counts.files,
                                  .bytes = mine->counts.bytes,
                                  .unknown_sizes = mine->counts.unknown_sizes};
    struct buf out = BUF_INIT;
    struct db_key key = {.len = 0};
    catalog_dataset_encode(&row, &out);
    db_key_u(&key, i, 2);
    db_put(&g->txn, CATALOG_DATASET, key.data, key.len, out.data, out.len);
    buf_free(&out);
}

static void class_rows(struct ingest *g)
{
    for (size_t i = 0; i < g->class_count; i++) {
        struct buf out = BUF_INIT;
        struct db_key key = {.len = 0};
        buf_le(&out, g->classes[i].folder, 8);
        buf_lstr(&out, g->classes[i].name, strlen(g->classes[i].name));
        db_key_u(&key, i, 2);
        db_put(&g->txn, CATALOG_CLASS, key.data, key.len, out.data, out.len);
        buf_free(&out);
    }
}

static void root_texts(struct ingest *g, struct buf *text)
{
    size_t count = registry_count(g->o.registry), shown = 0;
    const struct dataset **all =
        calloc(count, sizeof(all[0])); // NOLINT(bugprone-sizeof-expression)
    for (size_t i = 0; all != NULL && i < count; i++)
        if (g->datasets[i].folder != 0)
            all[shown++] = registry_at(g->o.registry, i);
    texts_readme(text, g->o.sources, g->o.source_count, g->info.shapes, shown, g->o.now);
    add_text(g, NODE_README, text);
    texts_citation_all(text, all, shown);
    add_text(g, NODE_CITATION, text);
    free(all);
}

int ingest_write_texts(struct ingest *g)
{
    const char *head = texts_index_header();
    uint64_t header = ingest_heap_add(g, head, strlen(head));
    uint64_t lines = g->heap_len;
    int r = merge_lines(g);
    if (r != 0)
        return r;
    set_text(g, NODE_INDEX, header, strlen(head), lines, g->heap_len - lines);
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < registry_count(g->o.registry); i++) {
        if (g->datasets[i].folder != 0)
            dataset_texts(g, i, header, &text);
        dataset_row(g, i);
    }
    root_texts(g, &text);
    class_rows(g);
    if (g->heap.len > 0)
        flush_chunk(g, g->heap_len / CATALOG_CHUNK);
    g->info.heap = g->heap_len;
    buf_free(&text);
    return g->heap.err != 0 ? g->heap.err : g->txn.err;
}
