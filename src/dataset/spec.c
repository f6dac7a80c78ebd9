#include "dataset/dataset_i.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void object_url(struct db_txn *t, const struct node *n, struct buf *out)
{
    struct slice link;
    struct db_slice place;
    if (catalog_place(t, n->place, &link, &place))
        source_encoded_url(place.data, place.len, n->key.s, n->key.len, out);
}

uint64_t object_fact_url(struct slice link, struct db_slice place, struct slice key)
{
    const char *part[2] = {link.s, key.s};
    size_t len[2] = {link.len, key.len};
    (void)source_identity(place.data, place.len, key.s, key.len, part, len);
    return catalog_url_hash((struct slice){part[0], len[0]}, (struct slice){part[1], len[1]});
}

bool object_version(struct medshapefs *m, const struct catalog *c, struct db_txn *t, uint64_t id,
                    const struct node *n, struct blob_version *v, uint32_t *generation)
{
    struct fact fact;
    struct slice link;
    struct db_slice bytes;
    *generation = 0;
    *v = (struct blob_version){.size = n->size, .mtime = n->mtime};
    size_t len = n->etag.len < sizeof(v->etag) ? n->etag.len : 0;
    memcpy(v->etag, n->etag.s, len);
    if (!facts_any(m->facts) || !catalog_place(t, n->place, &link, &bytes) ||
        !facts_get(m->facts, id, object_fact_url(link, bytes, n->key), &fact))
        return v->size != CATALOG_UNKNOWN;
    *generation = fact.generation;
    if (n->size == CATALOG_UNKNOWN || fact.when > c->info.refreshed) {
        v->size = fact.size;
        v->mtime = fact.mtime >= 0 ? fact.mtime : n->mtime;
        memcpy(v->etag, fact.etag, sizeof(v->etag));
    }
    return v->size != CATALOG_UNKNOWN;
}

void spec_free(struct spec *s)
{
    source_place_free(&s->place);
    free(s->key);
    free(s->blocks);
}

/* Where an object in a pack lies in it. */
static int load_extents(struct spec *s)
{
    struct source_extent *from;
    uint32_t count;
    int r = source_extents(s->key, strlen(s->key), s->object.version.size, &from, &count);
    if (r != 0)
        return r == -EBADMSG ? -EIO : r;
    s->blocks = calloc((size_t)count + 1, sizeof(s->blocks[0]));
    for (uint32_t i = 0; s->blocks != NULL && i < count; i++)
        s->blocks[i] = (struct blob_extent){from[i].offset, from[i].packed, from[i].text,
                                            from[i].packed_sum, from[i].text_sum};
    free(from);
    s->extents =
        (struct blob_extents){.pack = {.size = s->place.pack_size, .mtime = s->place.pack_mtime},
                              .count = count,
                              .at = s->blocks};
    (void)snprintf(s->extents.pack.etag, sizeof(s->extents.pack.etag), "%s", s->place.pack_etag);
    s->object.extents = &s->extents;
    return s->blocks != NULL ? 0 : -ENOMEM;
}

int spec_load(struct medshapefs *m, uint64_t id, struct spec *s)
{
    *s = (struct spec){.known = false};
    struct shelf *shelf = shelf_take(m);
    struct db_txn t = catalog_begin(shelf->catalog);
    struct node n;
    struct slice link;
    struct db_slice bytes;
    uint64_t folder = 0;
    int r = -ESTALE;
    if (catalog_node(&t, id, &n) && n.kind == NODE_FILE &&
        catalog_place(&t, n.place, &link, &bytes)) {
        const struct catalog_dataset *d = catalog_dataset_at(shelf->catalog, n.dataset);
        (void)snprintf(s->tag, sizeof(s->tag), "%s", d != NULL ? d->id : "");
        s->known =
            object_version(m, shelf->catalog, &t, id, &n, &s->object.version, &s->generation);
        s->url = object_fact_url(link, bytes, n.key);
        folder = n.parent;
        s->key = strndup(n.key.s, n.key.len);
        r = s->key == NULL ? -ENOMEM : source_place_decode(bytes.data, bytes.len, &s->place);
    }
    db_abort(&t);
    shelf_put(&shelf);
    s->object.id = id;
    s->object.folder = folder;
    s->object.place = &s->place;
    s->object.key = s->key;
    s->object.key_len = s->key != NULL ? strlen(s->key) : 0;
    s->object.tag = s->tag;
    if (r == 0 && s->place.pack)
        r = load_extents(s);
    if (r != 0)
        spec_free(s);
    return r;
}
