#include "dataset/dataset_i.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file whose blob is open. In the table while `blob` is NULL: somebody is opening it. */
struct object {
    struct object *chain;
    struct object *newer, *older;
    uint64_t id;
    struct blob *blob;
};

void objects_init(struct medshapefs *m)
{
    lock_init(&m->objects.lock, LOCK_RANK_DOOR);
    lock_cond_init(&m->objects.opened);
}

static struct object **slot_of(struct objects *o, uint64_t id)
{
    struct object **at = &o->slot[(id * 0x9E3779B97F4A7C15ULL) >> 54];
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->chain;
    return at;
}

static void unlink_use(struct objects *o, struct object *x)
{
    *(x->newer != NULL ? &x->newer->older : &o->newest) = x->older;
    *(x->older != NULL ? &x->older->newer : &o->oldest) = x->newer;
}

static void link_use(struct objects *o, struct object *x)
{
    x->newer = NULL;
    x->older = o->newest;
    *(o->newest != NULL ? &o->newest->newer : &o->oldest) = x;
    o->newest = x;
}

/* Takes an entry out of the table; returns its blob, which the caller puts after dropping the lock.
 */
static struct blob *take_out(struct objects *o, uint64_t id)
{
    struct object **at = slot_of(o, id);
    struct object *x = *at;
    if (x == NULL || x->blob == NULL)
        return NULL;
    struct blob *b = x->blob;
    *at = x->chain;
    unlink_use(o, x);
    o->count--;
    free(x);
    return b;
}

/* One idle blob too many, if there is: taken out. */
static struct blob *shrink(struct objects *o)
{
    if (o->count <= OBJECTS_MAX)
        return NULL;
    struct object *x = o->oldest;
    while (x != NULL && (x->blob == NULL || !blob_idle(x->blob)))
        x = x->newer;
    return x != NULL ? take_out(o, x->id) : NULL;
}

void objects_free(struct medshapefs *m)
{
    struct objects *o = &m->objects;
    while (o->newest != NULL) {
        struct blob *b = take_out(o, o->newest->id);
        blob_put(&b);
    }
    (void)pthread_cond_destroy(&o->opened);
    lock_destroy(&o->lock);
}

/* Finds the blob in the table, or puts in an empty entry that the caller is to fill (NULL is
 * returned). */
static struct blob *find_or_claim(struct medshapefs *m, uint64_t id, struct blob **spent, int *err)
{
    struct objects *o = &m->objects;
    *spent = NULL;
    *err = 0;
    for (;;) {
        struct object **at = slot_of(o, id), *x = *at;
        if (x != NULL && x->blob == NULL) {
            (void)lock_cond_wait(&o->opened, &o->lock, -1);
            continue;
        }
        if (x != NULL && !blob_spent(x->blob)) {
            unlink_use(o, x);
            link_use(o, x);
            return blob_get(x->blob);
        }
        if (x != NULL)
            *spent = take_out(o, id);
        x = calloc(1, sizeof(*x));
        if (x == NULL) {
            *err = -ENOMEM;
            return NULL;
        }
        x->id = id;
        *slot_of(o, id) = x;
        link_use(o, x);
        o->count++;
        return NULL;
    }
}

/* Fills the entry that find_or_claim() made, or takes it back. */
static void settle(struct medshapefs *m, uint64_t id, struct blob *b)
{
    struct objects *o = &m->objects;
    struct blob *idle = NULL;
    lock_take(&o->lock);
    struct object **at = slot_of(o, id), *x = *at;
    if (b != NULL) {
        x->blob = blob_get(b);
        idle = shrink(o);
    } else {
        *at = x->chain;
        unlink_use(o, x);
        o->count--;
        free(x);
    }
    (void)pthread_cond_broadcast(&o->opened);
    lock_drop(&o->lock);
    blob_put(&idle);
}

/* The blob of a file whose size is known, with a reference; -EAGAIN: it is not. */
static int object_open(struct medshapefs *m, uint64_t id, struct blob **out)
{
    struct spec s;
    struct blob *spent;
    int r;
    lock_take(&m->objects.lock);
    *out = find_or_claim(m, id, &spent, &r);
    lock_drop(&m->objects.lock);
    blob_put(&spent);
    if (*out != NULL || r != 0)
        return r;
    r = spec_load(m, id, &s);
    if (r == 0) {
        r = s.known ? blob_open(m->env, &s.object, out) : -EAGAIN;
        spec_free(&s);
    }
    settle(m, id, *out);
    return r;
}

void object_retire(struct medshapefs *m, uint64_t id)
{
    lock_take(&m->objects.lock);
    struct blob *b = take_out(&m->objects, id);
    lock_drop(&m->objects.lock);
    if (b != NULL)
        blob_retire(b);
    blob_put(&b);
}

void object_reopen(struct medshapefs *m, uint64_t id)
{
    lock_take(&m->objects.lock);
    struct blob *b = take_out(&m->objects, id);
    lock_drop(&m->objects.lock);
    blob_put(&b);
}

struct reading {
    struct medshapefs *m;
    uint64_t id, off;
    size_t len;
    void (*done)(void *arg, struct medshapefs_data data);
    void *arg;
};

/* A parked read carries its reader's `arg`, by which it can be cancelled; `done` comes along in a
 * small note. */
struct note {
    void (*done)(void *arg, struct medshapefs_data data);
    void *arg;
};

static void read_done(void *arg, struct blob_answer a)
{
    struct note n = *(struct note *)arg;
    free(arg);
    n.done(n.arg, (struct medshapefs_data){a.err, a.span, a.count});
}

static void read_after_learning(void *arg, int err, const struct medshapefs_attr *attr)
{
    struct reading r = *(struct reading *)arg;
    (void)attr;
    free(arg);
    if (err != 0)
        r.done(r.arg, (struct medshapefs_data){.err = err});
    else
        object_read(r.m, r.id, r.off, r.len, r.done, r.arg);
}

static void learn_then_read(struct reading r)
{
    struct reading *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        r.done(r.arg, (struct medshapefs_data){.err = -ENOMEM});
        return;
    }
    *copy = r;
    size_learn(r.m, r.id, read_after_learning, copy);
}

void object_read(struct medshapefs *m, uint64_t id, uint64_t off, size_t len,
                 void (*done)(void *arg, struct medshapefs_data data), void *arg)
{
    struct blob *b = NULL;
    int r = object_stale(m, id) ? -ESTALE : object_open(m, id, &b);
    if (r == -EAGAIN) {
        learn_then_read((struct reading){m, id, off, len, done, arg});
        return;
    }
    if (r != 0) {
        done(arg, (struct medshapefs_data){.err = r});
        return;
    }
    struct note *n = malloc(sizeof(*n));
    if (n == NULL) {
        done(arg, (struct medshapefs_data){.err = -ENOMEM});
    } else {
        *n = (struct note){done, arg};
        blob_read(b, off, len, read_done, n);
    }
    blob_put(&b);
}

static bool note_is(const void *note, const void *arg)
{
    return ((const struct note *)note)->arg == arg;
}

bool object_cancel(struct medshapefs *m, uint64_t id, void *arg)
{
    struct objects *o = &m->objects;
    if (size_cancel(m, id, arg))
        return true;
    lock_take(&o->lock);
    struct object *x = *slot_of(o, id);
    struct blob *b = x != NULL && x->blob != NULL ? blob_get(x->blob) : NULL;
    lock_drop(&o->lock);
    void *note = b != NULL ? blob_cancel(b, note_is, arg) : NULL;
    free(note);
    blob_put(&b);
    return note != NULL;
}
