#include "dataset/dataset_i.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool object_stale(struct medshapefs *m, uint64_t id)
{
    struct objects *o = &m->objects;
    bool stale = false;
    lock_take(&o->lock);
    for (size_t i = 0; i < o->stale_count && !stale; i++)
        stale = o->stale[i] == id;
    lock_drop(&o->lock);
    return stale;
}

void object_renewed(struct medshapefs *m, uint64_t id)
{
    struct objects *o = &m->objects;
    lock_take(&o->lock);
    for (size_t i = 0; i < o->stale_count; i++)
        if (o->stale[i] == id) {
            o->stale[i] = o->stale[--o->stale_count];
            break;
        }
    lock_drop(&o->lock);
}

static void mark_stale(struct medshapefs *m, uint64_t id)
{
    struct objects *o = &m->objects;
    object_renewed(m, id);
    lock_take(&o->lock);
    if (o->stale_count < STALE_MAX)
        o->stale[o->stale_count++] = id;
    lock_drop(&o->lock);
}

/* What is known of a node's present object, as a fact; false where there is no such file. */
static bool fact_of(struct medshapefs *m, uint64_t id, struct fact *fact)
{
    struct spec s;
    if (spec_load(m, id, &s) != 0)
        return false;
    *fact = (struct fact){.url = s.url,
                          .size = s.object.version.size,
                          .mtime = s.object.version.mtime,
                          .generation = s.generation};
    memcpy(fact->etag, s.object.version.etag, sizeof(fact->etag));
    spec_free(&s);
    return true;
}

/* Adds a row to errors.json: time and path, and the object's own URL where none is given. */
static void note_failure(struct medshapefs *m, uint64_t id, struct failure *row)
{
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct node n;
    struct buf path = BUF_INIT, url = BUF_INIT;
    if (catalog_node(&t, id, &n)) {
        tree_path(&t, &n, &path);
        if (row->url[0] == '\0' && n.kind == NODE_FILE)
            object_url(&t, &n, &url);
    }
    db_abort(&t);
    shelf_put(&s);
    row->time = clock_wall();
    (void)snprintf(row->path, sizeof(row->path), "%s", buf_cstr(&path));
    if (url.len > 0)
        (void)snprintf(row->url, sizeof(row->url), "%s", buf_cstr(&url));
    buf_free(&path);
    buf_free(&url);
    state_failure(m, row);
}

void object_changed(void *arg, uint64_t id, const struct blob_version *now)
{
    struct medshapefs *m = arg;
    struct fact fact;
    if (!fact_of(m, id, &fact))
        return;
    fact.size = now->size;
    fact.mtime = now->mtime;
    fact.generation++;
    fact.when = clock_wall() + 1; /* newer than a catalogue of this very second */
    memcpy(fact.etag, now->etag, sizeof(fact.etag));
    mark_stale(m, id);
    (void)facts_put(m->facts, id, &fact);
    note_failure(m, id, &(struct failure){.err = -ESTALE, .reason = "changed at the source"});
    reload_tell(m, id);
}

void object_replaced(struct medshapefs *m, uint64_t id)
{
    struct fact fact;
    if (!fact_of(m, id, &fact))
        return;
    fact.generation++;
    mark_stale(m, id);
    (void)facts_put(m->facts, id, &fact);
    object_retire(m, id);
}

void object_failed(void *arg, const struct blob_failure *f)
{
    struct failure row = {.status = f->status, .err = f->err};
    (void)snprintf(row.url, sizeof(row.url), "%s", f->url);
    (void)snprintf(row.reason, sizeof(row.reason), "%s", f->why);
    note_failure(arg, f->id, &row);
}
