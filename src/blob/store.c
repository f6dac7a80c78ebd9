#include "blob/store_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SICK_MS = 30000,
    FLUSH_MS = 60000, /* longest wait of store_flush() */
};

static struct store *create(const char *dir, uint64_t size, uint64_t min_free)
{
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    (void)snprintf(s->dir, sizeof(s->dir), "%s", dir);
    s->size = size;
    s->min_free = min_free;
    s->queue_end = &s->queue;
    s->sync_due = s->index_due = INT64_MAX;
    lock_init(&s->lock, LOCK_RANK_STORE);
    lock_cond_init(&s->wake);
    lock_cond_init(&s->changed);
    return s;
}

static void destroy(struct store *s)
{
    store_index_unref(s->index);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_cond_destroy(&s->wake);
    lock_destroy(&s->lock);
    free(s);
}

static int start(struct store *s, struct err *e)
{
    int err = fsio_mkdirs(s->dir, 0700);
    if (err != 0)
        return err_set(e, err, "%s: %s (cache.dir must be a folder that can be written)", s->dir,
                       err_text(err));
    struct store_totals totals;
    err = store_index_open(s->dir, &s->index, &totals, e);
    if (err != 0)
        return err;
    s->objects = totals.objects;
    s->sum = totals.sum;
    s->last_use = totals.last_use;
    s->urgent = true; /* the limit may have become smaller */
    err = -pthread_create(&s->keeper, NULL, store_keeper, s);
    return err == 0 ? 0 : err_set(e, err, "%s: no thread for the cache: %s", s->dir, err_text(err));
}

int store_open(const char *dir, uint64_t size, uint64_t min_free, struct store **out, struct err *e)
{
    *out = NULL;
    if (strlen(dir) >= sizeof(((struct store *)NULL)->dir))
        return err_set(e, -ENAMETOOLONG, "%s: %s", dir, err_text(-ENAMETOOLONG));
    struct store *s = create(dir, size, min_free);
    if (s == NULL)
        return err_set(e, -ENOMEM, "%s: %s", dir, err_text(-ENOMEM));
    int err = start(s, e);
    if (err != 0) {
        destroy(s);
        return err;
    }
    *out = s;
    return 0;
}

void store_close(struct store **ps)
{
    struct store *s = *ps;
    *ps = NULL;
    if (s == NULL)
        return;
    store_pack_stop(s);
    lock_take(&s->lock);
    s->closing = true;
    (void)pthread_cond_signal(&s->wake);
    lock_drop(&s->lock);
    (void)pthread_join(s->keeper, NULL);
    if (s->index != NULL && s->sync_due == INT64_MAX)
        store_salvage_unmark(s->dir);
    destroy(s);
}

void store_reserve(struct store *s, uint64_t bytes)
{
    if (atomic_exchange(&s->reserve, bytes) >= bytes)
        return;
    lock_take(&s->lock);
    s->urgent = true;
    (void)pthread_cond_signal(&s->wake);
    lock_drop(&s->lock);
}

static void begin_sickness(struct store *s, int err)
{
    lock_take(&s->lock);
    bool news = !s->ailing;
    s->ailing = true;
    if (err == -ENOSPC || err == -EDQUOT) {
        s->squeezed = true;
        s->urgent = true;
        (void)pthread_cond_signal(&s->wake);
    }
    lock_drop(&s->lock);
    atomic_store(&s->sick_until, clock_ms() + SICK_MS);
    (void)atomic_fetch_add(&s->write_errors, 1);
    if (news)
        log_warn("%s: %s; reading without the cache", s->dir, err_text(err));
}

void store_note_write(struct store *s, int err)
{
    if (err != 0) {
        begin_sickness(s, err);
        return;
    }
    if (atomic_load(&s->sick_until) == 0 || store_sick(s))
        return;
    lock_take(&s->lock);
    bool news = s->ailing;
    s->ailing = false;
    lock_drop(&s->lock);
    atomic_store(&s->sick_until, 0);
    if (news)
        log_info("%s: the cache can be written again", s->dir);
}

bool store_sick(const struct store *s)
{
    int64_t until = atomic_load(&s->sick_until);
    return until != 0 && clock_ms() < until;
}

void store_flush(struct store *s)
{
    int64_t until = clock_ms() + FLUSH_MS;
    int64_t left = FLUSH_MS;
    lock_take(&s->lock);
    uint64_t wanted = ++s->flush_wanted;
    (void)pthread_cond_signal(&s->wake);
    while (s->flush_done < wanted && (left = until - clock_ms()) > 0)
        (void)lock_cond_wait(&s->changed, &s->lock, left);
    lock_drop(&s->lock);
}

void store_stats(struct store *s, struct store_stats *out)
{
    lock_take(&s->lock);
    out->objects = s->objects;
    out->bytes = s->sum.disk;
    out->text = s->sum.text;
    out->packed_bytes = s->sum.packed;
    out->packed_text = s->sum.text - (s->sum.disk - s->sum.packed);
    lock_drop(&s->lock);
    out->limit = s->size;
    out->evicted = atomic_load(&s->evicted);
    out->damaged = atomic_load(&s->damaged);
    out->write_errors = atomic_load(&s->write_errors);
    out->packed_blocks = atomic_load(&s->packed_blocks);
}
