#include "blob/blob_i.h"

#include "base/clock.h"
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AGAIN_MS = 100, AGAIN_WAIT_MS = 250 };

/* It says what the object is, so that nothing in the cache is ever invalidated. In a pack that is
 * its blocks. */
int blob_content_id(const struct blob_object *o, struct hash_id *id)
{
    struct buf text = BUF_INIT;
    source_url(o->place, o->key, o->key_len, &text);
    const char *url = buf_cstr(&text);
    const struct blob_version *v = &o->version;
    const char *source = o->place->source;
    bool tagged = v->etag[0] != '\0' || o->extents != NULL;
    uint64_t numbers[3] = {v->size, tagged ? 0 : (uint64_t)v->mtime};
    size_t count = 2;
    if (o->extents != NULL)
        numbers[count++] = blob_extents_sum(o->extents);
    const void *parts[] = {source, url, v->etag, numbers};
    const size_t lens[] = {strlen(source), strlen(url), strlen(v->etag),
                           count * sizeof(numbers[0])};
    int r = text.err != 0 ? text.err : hash_id(id, parts, lens, 4);
    buf_free(&text);
    return r;
}

uint64_t blob_cached(struct blob_env *env, const struct blob_object *o)
{
    struct hash_id id;
    bool known = env->o.store != NULL && blob_content_id(o, &id) == 0;
    return known ? store_held(env->o.store, &id) : 0;
}

static void free_blob(struct blob *b)
{
    store_put(&b->file);
    if (b->local >= 0)
        (void)close(b->local);
    free(b->extents);
    source_place_free(&b->place);
    free(b->key);
    free(b->url);
    lock_destroy(&b->lock);
    free(b);
}

static int fill_blob(struct blob *b, const struct blob_object *o)
{
    struct buf url = BUF_INIT;
    b->key = strndup(o->key, o->key_len);
    source_url(o->place, o->key, o->key_len, &url);
    b->url = buf_take(&url);
    if (source_place_copy(o->place, &b->place) != 0 || b->key == NULL || b->url == NULL)
        return -ENOMEM;
    b->html_name =
        str_iends(b->url, strlen(b->url), ".html") || str_iends(b->url, strlen(b->url), ".htm");
    return 0;
}

int blob_open(struct blob_env *env, const struct blob_object *o, struct blob **out)
{
    struct blob *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return -ENOMEM;
    b->env = env;
    b->id = o->id;
    b->folder = o->folder;
    b->version = o->version;
    b->local = -1;
    atomic_store(&b->refs, 1);
    atomic_store(&b->ra_edge, UINT64_MAX);
    lock_init(&b->lock, LOCK_RANK_BLOB);
    int r = fill_blob(b, o);
    if (r == 0)
        r = blob_content_id(o, &b->content);
    if (r == 0 && o->extents != NULL)
        r = blob_copy_extents(b, o->extents);
    if (r != 0) {
        free_blob(b);
        return r;
    }
    if (env->o.store != NULL && b->local < 0 &&
        store_get(env->o.store, &b->content, b->version.size, o->tag, &b->file) != 0)
        b->file = NULL; /* a sick cache disk: read past it */
    *out = b;
    return 0;
}

struct blob *blob_get(struct blob *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void blob_put(struct blob **bp)
{
    struct blob *b = *bp;
    *bp = NULL;
    if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
        free_blob(b);
}

bool blob_spent(const struct blob *b)
{
    return atomic_load(&b->spent) || (b->file != NULL && store_evicted(b->file)) ||
           (b->file == NULL && b->local < 0 && b->env->o.store != NULL &&
            !store_sick(b->env->o.store));
}

bool blob_has(const struct blob *b, uint64_t off, size_t len)
{
    uint32_t end = (uint32_t)((off + len + STORE_PIECE - 1) / STORE_PIECE);
    for (uint32_t p = (uint32_t)(off / STORE_PIECE); p < end; p++)
        if (store_state(b->file, p) < STORE_PRESENT)
            return false;
    return true;
}

/* Proves what the index says is there; true where the whole range is held then. */
static bool prove(struct blob *b, uint64_t off, size_t len)
{
    bool all = true;
    uint32_t end = (uint32_t)((off + len + STORE_PIECE - 1) / STORE_PIECE);
    for (uint32_t p = (uint32_t)(off / STORE_PIECE); p < end; p++) {
        if (store_state(b->file, p) == STORE_UNPROVED)
            (void)store_prove(b->file, p);
        all = all && store_state(b->file, p) >= STORE_PRESENT;
    }
    return all;
}

/* The list as blob_i.h describes it; asserted in debug builds. */
static void check(const struct blob *b)
{
#ifndef NDEBUG
    assert(!atomic_load(&b->spent) || b->waiters == NULL);
    for (const struct blob_flight *f = b->fleet; f != NULL; f = f->next)
        assert(f->blob == b && atomic_load(&f->refs) >= 0);
#else
    (void)b;
#endif
}

void blob_note_failed(struct blob *b, const struct blob_waiter *w)
{
    if (!w->again)
        b->failed = (struct blob_failed){w->off, w->off + w->len, clock_ms(), w->deadline};
}

/* Shortens the wait of a read that only asks again for what has failed this very moment. */
static void share_deadline(struct blob *b, struct blob_waiter *w)
{
    const struct blob_failed *f = &b->failed;
    int64_t now = clock_ms(), soon = now + AGAIN_WAIT_MS;
    if (w->off < f->off || w->off >= f->end || now - f->when > AGAIN_MS)
        return;
    w->again = true;
    w->deadline = f->deadline > soon ? f->deadline : soon;
    b->failed.end = 0;
}

/* Puts a waiter on the list and starts what it lacks; or gives it back at once with the reason in
 * w->err. */
static bool park(struct blob *b, struct blob_waiter *w)
{
    struct siblings *along = blob_siblings_for(b);
    struct blob_waiter *came = NULL;
    lock_take(&b->lock);
    if (atomic_load(&b->spent))
        w->err = -ESTALE;
    else if (blob_has(b, w->off, w->len))
        w->err = 0;
    else
        w->err = 1;
    bool parked = w->err == 1;
    if (parked) {
        w->err = 0;
        share_deadline(b, w);
        w->next = b->waiters;
        b->waiters = w;
        b->along = along;
        blob_plan(b, w->off, w->len);
        along = b->along; /* no flight took it */
        b->along = NULL;
        came = blob_take(b, 0, 0, 0); /* by somebody else's flight, just now */
        check(b);
    }
    lock_drop(&b->lock);
    blob_answer_all(b, came);
    if (along != NULL)
        blob_siblings_end(along);
    if (parked)
        blob_watch(b);
    return parked;
}

struct blob_waiter *blob_waiter_new(const struct blob *b, uint64_t off, size_t len,
                                    void (*done)(void *, struct blob_answer), void *arg)
{
    struct blob_waiter *w = calloc(1, sizeof(*w));
    if (w != NULL)
        *w = (struct blob_waiter){.off = off,
                                  .len = len,
                                  .deadline = clock_ms() + b->env->o.conf->network.retry_for_ms,
                                  .done = done,
                                  .arg = arg};
    return w;
}

int blob_barred(const struct blob *b)
{
    if (b->env->o.conf->offline)
        return -ENETUNREACH;
    return blob_stopped(b->env, b->place.source) ? -EACCES : 0;
}

void blob_fetch(struct blob *b, struct blob_waiter *w, bool past)
{
    int r = blob_barred(b);
    if (r != 0) {
        blob_report_barred(b->env, b->id, b->url, b->place.source, r);
        w->err = r;
        blob_answer_all(b, w);
        return;
    }
    atomic_fetch_add(&b->env->waits, 1);
    if (past || b->file == NULL || store_sick(b->env->o.store))
        blob_direct_read(b, w);
    else if (!park(b, w))
        blob_answer_all(b, w);
}

static void read_absent(struct blob *b, uint64_t off, size_t len,
                        void (*done)(void *, struct blob_answer), void *arg)
{
    struct blob_waiter *w = blob_waiter_new(b, off, len, done, arg);
    if (w == NULL)
        done(arg, (struct blob_answer){.err = -ENOMEM});
    else
        blob_fetch(b, w, false);
}

void blob_read(struct blob *b, uint64_t off, size_t len,
               void (*done)(void *arg, struct blob_answer a), void *arg)
{
    struct blob_env *env = b->env;
    atomic_fetch_add(&env->reads, 1);
    if (off >= b->version.size || len == 0) {
        done(arg, (struct blob_answer){0, NULL, 0});
        return;
    }
    blob_siblings_read(b);
    if (len > b->version.size - off)
        len = (size_t)(b->version.size - off);
    if (atomic_load(&b->spent)) {
        done(arg, (struct blob_answer){.err = -ESTALE});
    } else if (b->local >= 0 || (b->file != NULL && prove(b, off, len))) {
        atomic_fetch_add(&env->hits, 1);
        if (b->local < 0 && off + len > atomic_load(&b->ra_edge) && blob_barred(b) == 0 &&
            !store_sick(env->o.store))
            blob_read_on(b, off, len);
        blob_serve_read(b, off, len, done, arg);
    } else {
        read_absent(b, off, len, done, arg);
    }
}

void *blob_cancel(struct blob *b, bool (*is)(const void *arg, const void *wanted),
                  const void *wanted)
{
    lock_take(&b->lock);
    struct blob_waiter **at = &b->waiters;
    while (*at != NULL && !is((*at)->arg, wanted))
        at = &(*at)->next;
    struct blob_waiter *w = *at;
    if (w != NULL)
        *at = w->next;
    lock_drop(&b->lock);
    void *arg = w != NULL ? w->arg : NULL;
    free(w);
    return arg;
}

bool blob_idle(const struct blob *b)
{
    return atomic_load(&b->refs) == 1;
}

struct blob_waiter *blob_take(struct blob *b, uint64_t first, uint64_t end, int err)
{
    struct blob_waiter *taken = NULL;
    for (struct blob_waiter **at = &b->waiters; *at != NULL;) {
        struct blob_waiter *w = *at;
        bool whole = blob_has(b, w->off, w->len);
        bool hit = err != 0 && w->off < end && w->off + w->len > first;
        if (!whole && !hit) {
            at = &w->next;
            continue;
        }
        w->err = whole ? 0 : err;
        if (!whole)
            blob_note_failed(b, w);
        *at = w->next;
        w->next = taken;
        taken = w;
    }
    return taken;
}

void blob_answer_all(struct blob *b, struct blob_waiter *list)
{
    while (list != NULL) {
        struct blob_waiter *w = list;
        list = w->next;
        w->next = NULL;
        if (w->err == 0) {
            blob_serve(b, w);
            continue;
        }
        w->done(w->arg, (struct blob_answer){.err = w->err});
        free(w);
    }
}

void blob_retire(struct blob *b)
{
    lock_take(&b->lock);
    atomic_store(&b->spent, true);
    struct blob_waiter *list = b->waiters;
    b->waiters = NULL;
    for (struct blob_waiter *w = list; w != NULL; w = w->next)
        w->err = -ESTALE;
    lock_drop(&b->lock);
    blob_answer_all(b, list);
}
