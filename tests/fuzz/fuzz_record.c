/* Rows of the catalogue: any bytes are refused, or their slices lie in the row and what was read
 * comes out the same when it is written and read again. */
#include "catalog/catalog.h"
#include "catalog/ingest_i.h"
#include "catalog/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool fine)
{
    if (!fine)
        abort();
}

static void check_slice(struct slice s, const uint8_t *data, size_t size)
{
    const uint8_t *at = (const uint8_t *)s.s;
    check(s.len == 0 || (at >= data && s.len <= size && (size_t)(at - data) <= size - s.len));
}

static bool same(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
}

static void check_same_file(const struct node *n, const struct node *m)
{
    check(same(n->subject, m->subject) && same(n->etag, m->etag) && same(n->key, m->key) &&
          same(n->remote, m->remote));
    check(n->place == m->place && n->side == m->side && n->anatomy == m->anatomy);
}

static void check_node(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf again = BUF_INIT;
    struct node n, m;
    if (node_decode(data, size, &n) != 0)
        return;
    const struct slice slices[] = {n.name, n.target, n.subject, n.etag, n.key, n.remote};
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
        check_slice(slices[i], data, size);
    node_encode(&n, &again);
    if (again.err != 0)
        return;
    check(node_decode(again.data, again.len, &m) == 0);
    check(n.kind == m.kind && n.parent == m.parent && n.size == m.size && n.mtime == m.mtime);
    check(same(n.name, m.name) && same(n.target, m.target));
    check_same_file(&n, &m);
}

static void check_row(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf again = BUF_INIT;
    struct ingest_row r, q;
    if (ingest_row_decode(data, size, &r) != 0)
        return;
    const struct slice slices[] = {r.subject, r.anatomy, r.etag, r.key, r.remote};
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
        check_slice(slices[i], data, size);
    ingest_row_encode(&r, &again);
    check(again.err != 0 || ingest_row_decode(again.data, again.len, &q) == 0);
    if (again.err == 0)
        check(same(r.subject, q.subject) && same(r.anatomy, q.anatomy) && same(r.etag, q.etag) &&
              same(r.key, q.key) && same(r.remote, q.remote) && r.size == q.size);
}

static void check_dataset(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf again = BUF_INIT;
    struct catalog_dataset d = {.id = NULL};
    if (catalog_dataset_decode(data, size, &d) == 0) {
        check(d.id != NULL && d.title != NULL && d.licence != NULL);
        catalog_dataset_encode(&d, &again);
    }
    free(d.id);
    free(d.title);
    free(d.licence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalog_info info;
    (void)catalog_info_decode(data, size, &info);
    check_node(data, size);
    check_row(data, size);
    check_dataset(data, size);
    return 0;
}
