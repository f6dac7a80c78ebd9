#include "blob/store_i.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t store_piece_len(const struct store_object *o, uint32_t piece)
{
    uint64_t rest = o->size - (uint64_t)piece * STORE_PIECE;
    return rest < STORE_PIECE ? (size_t)rest : STORE_PIECE;
}

struct store_object *store_object_new(struct store *s, const struct hash_id *id, uint64_t size)
{
    size_t pieces = (size_t)((size + STORE_PIECE - 1) / STORE_PIECE);
    size_t blocks = (pieces + STORE_BLOCK_PIECES - 1) / STORE_BLOCK_PIECES;
    struct store_object *o = calloc(1, sizeof(*o) + pieces * (sizeof(o->sum[0]) + 1) +
                                           blocks * (sizeof(o->cell[0]) + 1));
    if (o == NULL)
        return NULL;
    o->store = s;
    o->id = *id;
    o->size = size;
    o->pieces = (uint32_t)pieces;
    o->refs = 1;
    o->touched_ms = INT64_MIN / 2;
    o->blocks = (uint32_t)blocks;
    o->cell = (struct store_cell *)(void *)(o->sum + pieces);
    o->state = (_Atomic uint8_t *)(o->cell + blocks);
    o->dirty = o->state + pieces;
    return o;
}

static struct store_object **bucket_of(struct store *s, const struct hash_id *id)
{
    unsigned n = (unsigned)(id->byte[0] | id->byte[1] << 8);
    return &s->bucket[n % STORE_BUCKETS];
}

struct store_object *store_object_find(struct store *s, const struct hash_id *id)
{
    struct store_object *o = *bucket_of(s, id);
    while (o != NULL && memcmp(&o->id, id, sizeof(*id)) != 0)
        o = o->next;
    return o;
}

void store_object_insert(struct store_object *o)
{
    struct store_object **bucket = bucket_of(o->store, &o->id);
    o->next = *bucket;
    *bucket = o;
    o->in_table = true;
}

void store_object_remove(struct store_object *o)
{
    if (!o->in_table)
        return;
    struct store_object **at = bucket_of(o->store, &o->id);
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    o->in_table = false;
}

void store_object_unref(struct store_object *o)
{
    struct store *s = o->store;
    lock_take(&s->lock);
    if (o->refs == 1 && o->in_table && o->held.disk == 0 && !o->indexed) {
        char path[PATH_MAX];
        o->busy = true;
        lock_drop(&s->lock);
        store_path(s, &o->id, path);
        (void)unlink(path);
        lock_take(&s->lock);
        (void)pthread_cond_broadcast(&s->changed);
    }
    bool last = --o->refs == 0;
    if (last)
        store_object_remove(o);
    lock_drop(&s->lock);
    if (last)
        free(o);
}

void store_object_queue(struct store_object *o)
{
    struct store *s = o->store;
    if (o->queued)
        return;
    o->queued = true;
    o->refs++;
    o->queue_next = NULL;
    *s->queue_end = o;
    s->queue_end = &o->queue_next;
    if (s->queued++ == 0)
        (void)pthread_cond_signal(&s->wake);
}

struct store_object *store_object_dequeue(struct store *s)
{
    struct store_object *o = s->queue;
    if (o == NULL)
        return NULL;
    s->queue = o->queue_next;
    if (s->queue == NULL)
        s->queue_end = &s->queue;
    s->queued--;
    o->queued = false;
    return o;
}

/* What an object holds no longer counts. With the lock held. */
static void take_sums(struct store_object *o)
{
    store_sum_sub(&o->store->sum, o->held);
    store_sum_sub(&o->store->sum, o->stale);
    o->held = o->stale = (struct store_sum){0};
}

void store_object_drop(struct store_object *o)
{
    if (atomic_exchange(&o->evicted, true))
        return;
    store_sum_add(&o->store->sum, o->row_held);
    take_sums(o);
    store_object_remove(o);
}

struct store_object *store_object_claim(struct store *s, const struct hash_id *id, bool open_too)
{
    lock_take(&s->lock);
    struct store_object *o = store_object_find(s, id);
    if (o == NULL) {
        o = store_object_new(s, id, 0);
        if (o != NULL)
            store_object_insert(o);
    } else if (!open_too || o->busy) {
        o = NULL;
    } else {
        o->refs++;
    }
    if (o != NULL) {
        o->busy = true;
        atomic_store(&o->evicted, true);
    }
    lock_drop(&s->lock);
    return o;
}

void store_object_release(struct store_object *o, bool had_row, struct store_sum row_held)
{
    struct store *s = o->store;
    lock_take(&s->lock);
    if (o->pieces == 0 && had_row) /* made by the claim */
        store_sum_sub(&s->sum, row_held);
    else if (!had_row)
        store_sum_add(&s->sum, o->row_held);
    take_sums(o);
    s->objects -= had_row ? 1 : 0;
    store_object_remove(o);
    o->busy = false;
    (void)pthread_cond_broadcast(&s->changed);
    lock_drop(&s->lock);
    store_object_unref(o);
}

uint64_t store_held(struct store *s, const struct hash_id *id)
{
    struct store_row row;
    lock_take(&s->lock);
    const struct store_object *o = store_object_find(s, id);
    bool open = o != NULL && !o->busy && !o->evicted;
    uint64_t held = open ? o->held.text : 0;
    lock_drop(&s->lock);
    struct store_index *ix = open ? NULL : store_index_ref(s);
    if (ix != NULL) {
        struct db_txn t = db_begin(ix->db, false);
        held = store_index_row(&t, id, &row) > 0 ? row.held.text : 0;
        db_abort(&t);
    }
    store_index_unref(ix);
    return held;
}
