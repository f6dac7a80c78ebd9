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

/* A look along a folder at files whose size is not known. */
struct ahead {
    struct medshapefs *m;
    struct shelf *shelf;
    struct db_txn *txn;
    unsigned left; /* nodes that may still be looked at */
    uint64_t until;
    bool reached;
    uint16_t anatomy; /* CATALOG_NONE: of any class */
    uint64_t id[64];
    unsigned count;
};

enum { GAP = 256 }; /* files of known size that a walk may have passed since the last one learnt */

static bool is_unknown(const struct ahead *a, uint64_t id, struct node *n)
{
    struct blob_version v;
    uint32_t generation;
    return catalog_node(a->txn, id, n) && n->kind == NODE_FILE &&
           !object_version(a->m, a->shelf->catalog, a->txn, id, n, &v, &generation);
}

static int between_row(void *arg, uint64_t id)
{
    struct ahead *a = arg;
    struct node n;
    a->reached = id == a->until;
    return id >= a->until || a->left-- == 0 || is_unknown(a, id, &n);
}

/* True where whoever walks the folder comes to `id` next after `last`: all between them is known.
 */
static bool follows(struct ahead *a, uint64_t folder, uint64_t last, uint64_t id)
{
    a->until = id;
    a->left = GAP;
    a->reached = false;
    (void)catalog_children(a->txn, folder, last, between_row, a);
    return a->reached;
}

static int ahead_row(void *arg, uint64_t id)
{
    struct ahead *a = arg;
    struct node n;
    if (a->left-- == 0)
        return 1;
    if (is_unknown(a, id, &n) && (a->anatomy == CATALOG_NONE || n.anatomy == a->anatomy))
        a->id[a->count++] = id;
    return 0;
}

/* Finds what a walk that stood at `last` and stands at `id` comes to next. The kernel does not tell
 * which folder is being walked, a dataset's or a class's: where it may be either, only what is in
 * both. False: it is no walk. */
static bool find_ahead(struct ahead *a, uint64_t last, uint64_t id)
{
    struct node n, before;
    if (!catalog_node(a->txn, id, &n) || !catalog_node(a->txn, last, &before))
        return false;
    uint64_t class = n.anatomy != CATALOG_NONE && n.anatomy == before.anatomy
                         ? a->shelf->catalog->classes[n.anatomy].folder
                         : 0;
    bool in_class = class != 0 && follows(a, class, last, id);
    bool in_parent = n.parent == before.parent && follows(a, n.parent, last, id);
    a->anatomy = in_class ? n.anatomy : CATALOG_NONE;
    a->left = a->m->conf->network.connections;
    if (in_class || in_parent)
        (void)catalog_children(a->txn, in_parent ? n.parent : class, id, ahead_row, a);
    return in_class || in_parent;
}

/* Somebody stats file after file of a folder: the next ones are asked for ahead, `connections` at a
 * time. */
static void learn_ahead(struct medshapefs *m, uint64_t id)
{
    struct ahead a = {.m = m, .shelf = shelf_take(m)};
    struct db_txn t = catalog_begin(a.shelf->catalog);
    struct objects *o = &m->objects;
    a.txn = &t;
    lock_take(&o->lock);
    uint64_t last = o->last_learnt;
    o->last_learnt = id;
    lock_drop(&o->lock);
    bool walking = last != 0 && find_ahead(&a, last, id);
    db_abort(&t);
    shelf_put(&a.shelf);
    lock_take(&o->lock);
    bool tell = walking && !o->walk_told;
    o->walk_told = o->walk_told || tell;
    lock_drop(&o->lock);
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
