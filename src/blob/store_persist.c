#include "blob/store_i.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
    ROWS_AT_ONCE = 256, /* objects in a transaction: its memory */
    USE_MS = 60000,     /* an object that is being filled moves up no more often */
};

/* What a transaction says of an object. */
struct saved {
    struct store_object *object;
    bool skip; /* evicted before */
    int was;   /* 1: there was a row before, of was_held bytes */
    struct store_sum was_held;
    bool indexed; /* there is one now */
    struct store_sum held;
    uint64_t use, changes;
};

static uint64_t next_use(struct store *s)
{
    uint64_t now = (uint64_t)clock_wall() * 1000;
    s->last_use = now > s->last_use ? now : s->last_use + 1;
    return s->last_use;
}

static void save_block(struct db_txn *t, const struct store_object *o, uint32_t number)
{
    struct store_block block = {.form = STORE_FORM_PIECES};
    uint32_t first = number * STORE_BLOCK_PIECES;
    lock_take(&o->store->lock);
    if (o->cell[number].packed) {
        block.form = STORE_FORM_PACKED;
        block.packed = o->cell[number].as;
    }
    for (uint32_t i = 0; i < STORE_BLOCK_PIECES && first + i < o->pieces; i++)
        if (!o->cell[number].packed && atomic_load(&o->state[first + i]) != STORE_ABSENT) {
            block.bits |= 1U << i;
            block.sum[i] = atomic_load(&o->sum[first + i]);
        }
    lock_drop(&o->store->lock);
    store_index_put_block(t, &o->id, number, &block);
}

static void save_blocks(struct db_txn *t, struct store_object *o)
{
    uint32_t blocks = (o->pieces + STORE_BLOCK_PIECES - 1) / STORE_BLOCK_PIECES;
    for (uint32_t i = 0; i < blocks; i++)
        if (atomic_exchange(&o->dirty[i], 0) != 0)
            save_block(t, o, i);
}

static void save(struct db_txn *t, struct store *s, struct saved *v)
{
    struct store_object *o = v->object;
    struct store_row row = {.size = o->size};
    lock_take(&s->lock);
    v->skip = atomic_load(&o->evicted);
    bool touched = o->touched;
    bool forget = o->forget;
    row.held = o->held;
    v->changes = o->changes;
    (void)snprintf(row.tag, sizeof(row.tag), "%s", o->tag);
    o->touched = false;
    lock_drop(&s->lock);
    if (v->skip)
        return;

    struct store_row old;
    v->was = store_index_row(t, &o->id, &old);
    if (v->was < 0) {
        t->err = v->was;
        return;
    }
    v->was_held = v->was > 0 ? old.held : (struct store_sum){0};
    v->held = row.held;
    v->indexed = row.held.disk > 0;
    v->use = v->was > 0 ? old.use : 0;
    if (forget || !v->indexed)
        store_index_delete(t, &o->id, v->use);
    if (!v->indexed)
        return;
    if (forget)
        v->use = 0;
    save_blocks(t, o);
    bool old_enough = (uint64_t)clock_wall() * 1000 > v->use + USE_MS;
    row.use = touched || old_enough || v->use == 0 ? next_use(s) : v->use;
    store_index_put(t, &o->id, &row, v->use);
}

/* The transaction is in the index: the sums follow. */
static void account(struct store *s, const struct saved *v)
{
    struct store_object *o = v->object;
    if (v->skip)
        return;
    lock_take(&s->lock);
    if (atomic_load(&o->evicted)) { /* since: only the row counts */
        store_sum_add(&s->sum, v->held);
        store_sum_sub(&s->sum, v->was_held);
    } else {
        store_sum_sub(&s->sum, o->stale);
        if (v->was > 0 && !o->indexed)
            store_sum_sub(&s->sum, v->was_held);
        o->stale = (struct store_sum){0};
    }
    s->objects += (v->indexed ? 1U : 0U) - (uint64_t)v->was;
    o->indexed = v->indexed;
    o->row_held = v->held;
    o->forget = false;
    o->committed = v->changes;
    store_pack_wake(s);
    lock_drop(&s->lock);
}

/* What cannot be named in the index is not kept: it would take room that nobody counts. */
static void give_up(struct store *s, const struct saved *v)
{
    char path[PATH_MAX];
    struct store_object *o = v->object;
    lock_take(&s->lock);
    bool as_it_was = o->indexed && !o->forget && o->committed == o->changes &&
                     store_sum_equal(o->held, o->row_held);
    lock_drop(&s->lock);
    if (v->skip || as_it_was || (o = store_object_claim(s, &o->id, true)) == NULL)
        return;
    store_path(s, &o->id, path);
    (void)unlink(path);
    store_object_release(o, false, (struct store_sum){0});
}

static void failed(struct store *s, int err)
{
    if (err == -EBADMSG || err == -ENOTRECOVERABLE || err == -EINVAL) {
        lock_take(&s->lock);
        s->index_bad = true;
        s->urgent = true;
        lock_drop(&s->lock);
    } else {
        store_note_write(s, err);
    }
}

static size_t take(struct store *s, struct saved *batch, size_t max)
{
    size_t count = 0;
    lock_take(&s->lock);
    while (count < max) {
        struct store_object *o = store_object_dequeue(s);
        if (o == NULL)
            break;
        batch[count++] = (struct saved){.object = o};
    }
    lock_drop(&s->lock);
    return count;
}

static bool persist_batch(struct store *s, struct store_index *ix, struct saved *batch,
                          size_t count)
{
    int err = -ENOENT;
    if (ix != NULL) {
        struct db_txn t = db_begin(ix->db, true);
        for (size_t i = 0; i < count && t.err == 0; i++)
            save(&t, s, &batch[i]);
        err = db_commit(&t);
        if (err != 0)
            failed(s, err);
    }
    for (size_t i = 0; i < count; i++) {
        if (err == 0)
            account(s, &batch[i]);
        else
            give_up(s, &batch[i]);
        store_object_unref(batch[i].object);
    }
    return err == 0;
}

bool store_persist(struct store *s, struct store_index *ix)
{
    struct saved batch[ROWS_AT_ONCE];
    bool wrote = false;
    lock_take(&s->lock);
    uint64_t left = s->queued;
    lock_drop(&s->lock);
    while (left > 0) {
        size_t count = take(s, batch, left < ROWS_AT_ONCE ? (size_t)left : ROWS_AT_ONCE);
        if (count == 0)
            break;
        wrote = persist_batch(s, ix, batch, count) || wrote;
        left -= count;
    }
    return wrote;
}
