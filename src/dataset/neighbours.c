/* Files that lie beside each other in a folder and in a pack. */
#include "dataset/dataset_i.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A look along a folder. */
struct look {
    struct medshapefs *m;
    const struct catalog *catalog;
    struct db_txn *txn;
    uint64_t folder, until; /* until: the first id that is not told of */
    uint32_t number;        /* of the pack's place */
    struct source_place place;
    bool (*row)(void *arg, const struct blob_object *o);
    void *arg;
};

static int tell(const struct look *l, uint64_t id, const struct node *n)
{
    struct source_extent *from;
    uint32_t generation, count;
    const struct catalog_dataset *d = catalog_dataset_at(l->catalog, n->dataset);
    struct blob_object o = {.id = id,
                            .folder = l->folder,
                            .place = &l->place,
                            .key = n->key.s,
                            .key_len = n->key.len,
                            .tag = d != NULL ? d->id : ""};
    if (!object_version(l->m, l->catalog, l->txn, id, n, &o.version, &generation) ||
        o.version.size > STORE_BLOCK ||
        source_extents(n->key.s, n->key.len, o.version.size, &from, &count) != 0)
        return 0;
    struct blob_extent block = {.offset = 0};
    if (count == 1)
        block = (struct blob_extent){from->offset, from->packed, from->text, from->packed_sum,
                                     from->text_sum};
    free(from);
    struct blob_extents extents = {
        .pack = {.size = l->place.pack_size, .mtime = -1}, .count = count, .at = &block};
    o.extents = &extents;
    return count != 1 || l->row(l->arg, &o) ? 0 : 1;
}

static int child(void *arg, uint64_t id)
{
    const struct look *l = arg;
    struct node n;
    if (id >= l->until)
        return 1;
    if (!catalog_node(l->txn, id, &n) || n.kind != NODE_FILE || n.place != l->number)
        return 0;
    return tell(l, id, &n);
}

/* Files of a folder of a pack are given their ids in one go: those before one have the ids before
 * its own. */
static void look(struct look *l, uint64_t id, bool before)
{
    struct slice link;
    struct db_slice bytes;
    struct node n;
    uint64_t after = !before ? id : id > BLOB_NEIGHBOURS ? id - BLOB_NEIGHBOURS - 1 : 0;
    if (!catalog_node(l->txn, id, &n) || n.kind != NODE_FILE ||
        !catalog_place(l->txn, n.place, &link, &bytes) || !source_is_pack(bytes.data, bytes.len) ||
        source_place_decode(bytes.data, bytes.len, &l->place) != 0)
        return;
    l->folder = n.parent;
    l->number = n.place;
    l->until = before ? id : UINT64_MAX;
    (void)catalog_children(l->txn, n.parent, after, child, l);
    source_place_free(&l->place);
}

void object_neighbours(void *arg, uint64_t id, bool before,
                       bool (*row)(void *row_arg, const struct blob_object *o), void *row_arg)
{
    struct medshapefs *m = arg;
    struct shelf *shelf = shelf_take(m);
    struct db_txn t = catalog_begin(shelf->catalog);
    struct look l = {.m = m, .catalog = shelf->catalog, .txn = &t, .row = row, .arg = row_arg};
    look(&l, id, before);
    db_abort(&t);
    shelf_put(&shelf);
}
