#include "dataset/dataset_i.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        !facts_get(m->facts, id, catalog_url_hash(link, n->key), &fact))
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
}

int spec_load(struct medshapefs *m, uint64_t id, struct spec *s)
{
    *s = (struct spec){.known = false};
    struct shelf *shelf = shelf_take(m);
    struct db_txn t = catalog_begin(shelf->catalog);
    struct node n;
    struct slice link;
    struct db_slice bytes;
    int r = -ESTALE;
    if (catalog_node(&t, id, &n) && n.kind == NODE_FILE &&
        catalog_place(&t, n.place, &link, &bytes)) {
        const struct catalog_dataset *d = catalog_dataset_at(shelf->catalog, n.dataset);
        (void)snprintf(s->tag, sizeof(s->tag), "%s", d != NULL ? d->id : "");
        s->known =
            object_version(m, shelf->catalog, &t, id, &n, &s->object.version, &s->generation);
        s->url = catalog_url_hash(link, n.key);
        s->key = strndup(n.key.s, n.key.len);
        r = s->key == NULL ? -ENOMEM : source_place_decode(bytes.data, bytes.len, &s->place);
    }
    db_abort(&t);
    shelf_put(&shelf);
    s->object.id = id;
    s->object.place = &s->place;
    s->object.key = s->key;
    s->object.key_len = s->key != NULL ? strlen(s->key) : 0;
    s->object.tag = s->tag;
    if (r != 0)
        spec_free(s);
    return r;
}
