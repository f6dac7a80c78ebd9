#include "blob/store_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/log.h"

enum {
    ROUND_MS = 10,    /* between two rounds: what kill -9 may cost */
    SYNC_MS = 5000,   /* from a row to the disk */
    SWEEP_MS = 50,    /* between two folders of the sweep */
    INDEX_MS = 30000, /* between two attempts at an index */
};

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the keeper has to do something next. With the lock held. */
static int64_t due(const struct store *s)
{
    int64_t at = sooner(sooner(s->sync_due, s->sweep_due), s->index_due);
    if (s->queued > 0 || s->urgent)
        at = sooner(at, s->last_round + ROUND_MS);
    if (s->closing || s->flush_wanted > s->flush_done)
        at = 0;
    return at;
}

/* Ends all that is live: their rows, and mostly their names, are gone. With the lock held. */
static void drop_all(struct store *s)
{
    for (size_t i = 0; i < STORE_BUCKETS; i++)
        for (struct store_object *o = s->bucket[i], *next; o != NULL; o = next) {
            next = o->next;
            if (!o->busy)
                store_object_drop(o);
        }
}

static void begin_anew(struct store *s)
{
    lock_take(&s->lock);
    struct store_index *old = s->index;
    s->index = NULL;
    s->index_bad = false;
    drop_all(s);
    lock_drop(&s->lock);
    store_index_unref(old);
    store_index_remove(s->dir);

    struct store_index *ix = NULL;
    struct store_totals totals = {0};
    struct err e = {0};
    int err = fsio_mkdirs(s->dir, 0700);
    if (err == 0)
        err = store_index_open(s->dir, &ix, &totals, &e);
    if (err != 0 && s->index_due == INT64_MAX)
        log_warn("%s: no cache index: %s", s->dir, e.code != 0 ? e.text : err_text(err));
    lock_take(&s->lock);
    s->index = ix;
    s->objects = totals.objects;
    s->sum = totals.sum;
    lock_drop(&s->lock);
    s->index_due = ix == NULL ? clock_ms() + INDEX_MS : INT64_MAX;
    s->sync_due = INT64_MAX;
    s->sweep_at = 0;
    s->sweep_due = ix == NULL ? INT64_MAX : 0;
}

/* The index may have been deleted below us, or found to be damaged. */
static void check_index(struct store *s, int64_t now)
{
    lock_take(&s->lock);
    bool bad = s->index_bad;
    lock_drop(&s->lock);
    if (s->index == NULL ? now < s->index_due : !bad && !store_index_lost(s->index, s->dir))
        return;
    if (s->index != NULL)
        log_warn("%s: the index %s; the cache begins anew", s->dir,
                 bad ? "is damaged" : "was deleted");
    begin_anew(s);
}

static void sweep_step(struct store *s, int64_t now)
{
    bool found = false;
    while (!found && s->sweep_at < STORE_FOLDERS)
        found = store_sweep(s, s->index, s->sweep_at++);
    s->sweep_due = s->sweep_at < STORE_FOLDERS ? now + SWEEP_MS : INT64_MAX;
}

static void sync_index(struct store *s)
{
    int err = db_sync(s->index->db);
    if (err != 0)
        store_note_write(s, err);
    s->sync_due = err != 0 ? clock_ms() + SYNC_MS : INT64_MAX;
}

static void round_of(struct store *s, bool closing)
{
    int64_t now = clock_ms();
    check_index(s, now);
    bool wrote = store_persist(s, s->index);
    if (s->index != NULL) {
        wrote = store_evict(s, s->index) || wrote;
        if (wrote && s->sync_due == INT64_MAX)
            s->sync_due = now + SYNC_MS;
        if (s->sync_due <= now || (closing && s->sync_due != INT64_MAX))
            sync_index(s);
        if (s->sweep_due <= now && !closing)
            sweep_step(s, now);
    }
    s->last_round = clock_ms();
}

void *store_keeper(void *store)
{
    struct store *s = store;
    bool closing = false;
    lock_take(&s->lock);
    while (!closing) {
        int64_t at;
        while ((at = due(s)) > clock_ms())
            (void)lock_cond_wait(&s->wake, &s->lock, at == INT64_MAX ? -1 : at - clock_ms());
        uint64_t flushed = s->flush_wanted;
        closing = s->closing;
        s->urgent = false;
        lock_drop(&s->lock);
        round_of(s, closing);
        lock_take(&s->lock);
        s->flush_done = flushed;
        (void)pthread_cond_broadcast(&s->changed);
    }
    lock_drop(&s->lock);
    return NULL;
}
