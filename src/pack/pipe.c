#include "pack/pipe.h"

#include "base/hash.h"
#include "base/lock.h"
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>

struct work {
    struct pool_job job;
    struct pack_pipe *pipe;
    struct pack_slot slot;
    bool done; /* protected by pipe->lock */
};

struct pack_pipe {
    enum codec_effort effort;
    struct pool *pool;
    struct lock lock;
    pthread_cond_t done;
    unsigned threads, idle; /* coders, and how many of them nobody uses; protected by lock */
    struct codec **coder;   /* the idle ones come first; protected by lock */
    unsigned slots, first, used;
    struct work *work; /* a ring */
};

static void run(struct pool_job *job)
{
    struct work *w = (struct work *)(void *)job; /* its first member */
    struct pack_pipe *p = w->pipe;
    struct pack_slot *s = &w->slot;
    lock_take(&p->lock);
    struct codec *c = p->coder[--p->idle]; /* there are as many as threads */
    lock_drop(&p->lock);
    s->packed_len = codec_encode(c, s->text, s->len, s->offset, p->effort, s->packed, s->facts);
    s->text_sum = hash64(s->text, s->len, 0);
    s->packed_sum = hash64(s->packed, s->packed_len, 0);
    lock_take(&p->lock);
    p->coder[p->idle++] = c;
    w->done = true;
    (void)pthread_cond_signal(&p->done);
    lock_drop(&p->lock);
}

static bool make_slots(struct pack_pipe *p)
{
    p->work = calloc(p->slots, sizeof(*p->work));
    p->coder = calloc(p->threads, sizeof(struct codec *));
    if (p->work == NULL || p->coder == NULL)
        return false;
    for (; p->idle < p->threads; p->idle++)
        if ((p->coder[p->idle] = codec_new(1)) == NULL)
            return false;
    for (unsigned i = 0; i < p->slots; i++) {
        struct work *w = &p->work[i];
        w->pipe = p;
        w->job.run = run;
        w->slot.text = malloc(CODEC_BLOCK_MAX);
        w->slot.packed = malloc(codec_bound(CODEC_BLOCK_MAX));
        w->slot.facts = facts_part_new();
        if (w->slot.text == NULL || w->slot.packed == NULL || w->slot.facts == NULL)
            return false;
    }
    return true;
}

struct pack_pipe *pack_pipe_new(unsigned threads, enum codec_effort effort)
{
    struct pack_pipe *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->effort = effort;
    p->threads = threads;
    p->slots = threads + 2;
    lock_init(&p->lock, LOCK_RANK_LEAF);
    lock_cond_init(&p->done);
    p->pool = pool_create(threads);
    if (p->pool == NULL || !make_slots(p))
        pack_pipe_free(&p);
    return p;
}

struct pack_slot *pack_pipe_free_slot(struct pack_pipe *p)
{
    return p->used < p->slots ? &p->work[(p->first + p->used) % p->slots].slot : NULL;
}

void pack_pipe_put(struct pack_pipe *p)
{
    struct work *w = &p->work[(p->first + p->used++) % p->slots];
    w->done = false;
    pool_run(p->pool, &w->job);
}

struct pack_slot *pack_pipe_take(struct pack_pipe *p)
{
    if (p->used == 0)
        return NULL;
    struct work *w = &p->work[p->first];
    lock_take(&p->lock);
    while (!w->done)
        (void)lock_cond_wait(&p->done, &p->lock, -1);
    lock_drop(&p->lock);
    return &w->slot;
}

void pack_pipe_done(struct pack_pipe *p)
{
    p->first = (p->first + 1) % p->slots;
    p->used--;
}

void pack_pipe_free(struct pack_pipe **pp)
{
    struct pack_pipe *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    pool_destroy(&p->pool);
    for (unsigned i = 0; p->work != NULL && i < p->slots; i++) {
        free(p->work[i].slot.text);
        free(p->work[i].slot.packed);
        facts_part_free(&p->work[i].slot.facts);
    }
    for (unsigned i = 0; p->coder != NULL && i < p->threads; i++)
        codec_free(&p->coder[i]);
    free(p->work);
    free(p->coder);
    (void)pthread_cond_destroy(&p->done);
    lock_destroy(&p->lock);
    free(p);
}
