#include "dataset/dataset_i.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Somebody who waits for a size. */
struct asker {
    struct asker *next;
    void (*done)(void *arg, int err, const struct medshapefs_attr *attr);
    void *arg;
};

/* One size that is being asked for at the source. */
struct learner {
    struct learner *next;
    struct medshapefs *m;
    uint64_t id, url;
    struct asker *askers;
};

bool size_cancel(struct medshapefs *m, uint64_t id, const void *arg)
{
    struct objects *o = &m->objects;
    struct asker *found = NULL;
    lock_take(&o->lock);
    for (struct learner *l = o->learners; l != NULL && found == NULL; l = l->next)
        for (struct asker **at = &l->askers; l->id == id && *at != NULL; at = &(*at)->next)
            if ((*at)->arg == arg) {
                found = *at;
                *at = found->next;
                break;
            }
    lock_drop(&o->lock);
    free(found);
    return found != NULL;
}

static void answer(struct medshapefs *m, uint64_t id, int err, struct asker *list)
{
    struct medshapefs_attr attr = {.ino = tree_ino(id)};
    struct node n;
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    if (err == 0 && catalog_node(&t, id, &n))
        tree_attr(m, s->catalog, &t, id, &n, &attr);
    else if (err == 0)
        err = -ESTALE;
    db_abort(&t);
    shelf_put(&s);
    while (list != NULL) {
        struct asker *a = list;
        list = a->next;
        a->done(a->arg, err, &attr);
        free(a);
    }
}

static void learnt(void *arg, int err, const struct blob_version *v)
{
    struct learner *l = arg;
    struct medshapefs *m = l->m;
    struct objects *o = &m->objects;
    if (err == 0) {
        struct fact fact = {
            .url = l->url, .size = v->size, .mtime = v->mtime, .when = clock_wall()};
        memcpy(fact.etag, v->etag, sizeof(fact.etag));
        err = facts_put(m->facts, l->id, &fact);
    }
    lock_take(&o->lock);
    struct learner **at = &o->learners;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    struct asker *list = l->askers;
    lock_drop(&o->lock);
    answer(m, l->id, err, list);
    free(l);
}

/* Joins who learns that size already, or becomes the one (true; *mine is to be started). */
static bool join(struct medshapefs *m, uint64_t id, struct asker *a, struct learner **mine)
{
    struct objects *o = &m->objects;
    struct learner *fresh = calloc(1, sizeof(*fresh));
    lock_take(&o->lock);
    struct learner *l = o->learners;
    while (l != NULL && l->id != id)
        l = l->next;
    bool start = l == NULL && fresh != NULL;
    if (start) {
        l = fresh;
        *l = (struct learner){.next = o->learners, .m = m, .id = id};
        o->learners = l;
    }
    if (l != NULL && a != NULL) {
        a->next = l->askers;
        l->askers = a;
    }
    lock_drop(&o->lock);
    if (!start)
        free(fresh);
    *mine = start ? l : NULL;
    return l != NULL;
}

static void start_learner(struct learner *l, bool background)
{
    struct spec s;
    int r = spec_load(l->m, l->id, &s);
    if (r != 0) {
        learnt(l, r, NULL);
        return;
    }
    l->url = s.url;
    if (s.known)
        learnt(l, 0, &s.object.version);
    else
        blob_learn(l->m->env, &s.object, background, learnt, l);
    spec_free(&s);
}

struct ahead {
    struct medshapefs *m;
    struct shelf *shelf;
    struct db_txn *txn;
    unsigned left;
    uint64_t id[64];
    unsigned count;
};

static int ahead_row(void *arg, uint64_t id)
{
    struct ahead *a = arg;
    struct node n;
    struct blob_version v;
    uint32_t generation;
    if (a->left-- == 0)
        return 1;
    if (catalog_node(a->txn, id, &n) && n.kind == NODE_FILE &&
        !object_version(a->m, a->shelf->catalog, a->txn, id, &n, &v, &generation))
        a->id[a->count++] = id;
    return 0;
}

/* Somebody stats file after file of a folder: the next ones are asked for ahead, `connections` at a
 * time. */
static void learn_ahead(struct medshapefs *m, uint64_t id)
{
    struct ahead a = {.m = m, .left = m->conf->network.connections};
    struct node n;
    a.shelf = shelf_take(m);
    struct db_txn t = catalog_begin(a.shelf->catalog);
    a.txn = &t;
    bool found = catalog_node(&t, id, &n);
    struct objects *o = &m->objects;
    lock_take(&o->lock);
    bool walking =
        found && o->last_parent == n.parent && id > o->last_learnt && id - o->last_learnt < 256;
    bool tell = walking && !o->walk_told;
    o->walk_told = o->walk_told || tell;
    o->last_parent = found ? n.parent : 0;
    o->last_learnt = id;
    lock_drop(&o->lock);
    if (walking)
        (void)catalog_children(&t, n.parent, id, ahead_row, &a);
    db_abort(&t);
    shelf_put(&a.shelf);
    if (tell)
        log_info("sizes are asked for one by one: the source tells none in bulk, so each file that "
                 "is looked at costs a "
                 "request (names alone cost none: ls -U, find -name)");
    for (unsigned i = 0; i < a.count; i++) {
        struct learner *l;
        if (join(m, a.id[i], NULL, &l) && l != NULL)
            start_learner(l, true);
    }
}

void size_learn(struct medshapefs *m, uint64_t id,
                void (*done)(void *, int, const struct medshapefs_attr *), void *arg)
{
    struct asker *a = malloc(sizeof(*a));
    struct learner *l = NULL;
    if (a == NULL) {
        done(arg, -ENOMEM, NULL);
        return;
    }
    *a = (struct asker){.done = done, .arg = arg};
    if (!join(m, id, a, &l)) {
        free(a);
        done(arg, -ENOMEM, NULL);
        return;
    }
    if (l != NULL)
        start_learner(l, false);
    learn_ahead(m, id);
}
