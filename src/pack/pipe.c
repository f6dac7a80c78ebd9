#include "pack/pipe_i.h"

#include "base/hash.h"
#include "base/lock.h"
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUEUE = 256, /* blocks in the pipe */
    ALIGN = 64,
    ROOM = (CODEC_BLOCK_MAX + CODEC_HEAD + ALIGN - 1) / ALIGN * ALIGN, /* of a whole block */
};

struct work {
    struct pool_job job;
    struct pack_pipe *pipe;
    struct pack_slot slot;
    bool done; /* protected by pipe->lock */
};

/* What one thread packs with. */
struct kit {
    struct kit *next;
    struct codec *codec;
    unsigned char *out;
};

/* The bytes of blocks lie one behind the other in a ring, so that many small ones may wait; one
 * that does not fit before the end of the ring begins at 0. */
struct pack_pipe {
    enum codec_effort effort;
    struct pool *pool;
    struct lock lock;
    pthread_cond_t done;
    struct kit *kit; /* those that nobody uses; protected by lock */
    unsigned char *ring;
    size_t size, head, tail; /* of the ring: from tail to head it is in use; all, where they meet */
    unsigned first, used;    /* of the queue */
    struct work queue[QUEUE];
    struct facts_part *spare[QUEUE];
    unsigned spares;
};

static void kit_free(struct kit *k)
{
    if (k != NULL) {
        codec_free(&k->codec);
        free(k->out);
    }
    free(k);
}

static struct kit *kit_new(void)
{
    struct kit *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return NULL;
    k->codec = codec_new(1);
    k->out = malloc(codec_bound(CODEC_BLOCK_MAX));
    if (k->codec != NULL && k->out != NULL)
        return k;
    kit_free(k);
    return NULL;
}

static void pack(struct kit *k, enum codec_effort effort, struct pack_slot *s)
{
    s->text_sum = hash64(s->bytes, s->len, 0);
    s->packed_len = codec_encode(k->codec, s->bytes, s->len, s->offset, effort, k->out, s->facts);
    memcpy(s->bytes, k->out, s->packed_len); /* at most CODEC_HEAD longer than the text */
    s->packed_sum = hash64(s->bytes, s->packed_len, 0);
}

static void run(struct pool_job *job)
{
    struct work *w = (struct work *)(void *)job; /* its first member */
    struct pack_pipe *p = w->pipe;
    lock_take(&p->lock);
    struct kit *k = p->kit; /* there are as many as threads */
    p->kit = k->next;
    lock_drop(&p->lock);
    pack(k, p->effort, &w->slot);
    lock_take(&p->lock);
    k->next = p->kit;
    p->kit = k;
    w->done = true;
    (void)pthread_cond_signal(&p->done);
    lock_drop(&p->lock);
}

static bool add_kit(struct pack_pipe *p)
{
    struct kit *k = kit_new();
    if (k == NULL)
        return false;
    k->next = p->kit;
    p->kit = k;
    return true;
}

struct pack_pipe *pack_pipe_new(unsigned threads, enum codec_effort effort)
{
    struct pack_pipe *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->effort = effort;
    p->size = (threads + 1) * (size_t)ROOM;
    lock_init(&p->lock, LOCK_RANK_LEAF);
    lock_cond_init(&p->done);
    p->ring = malloc(p->size);
    bool fine = p->ring != NULL;
    for (unsigned i = 0; i < threads && fine; i++)
        fine = add_kit(p);
    if (fine)
        p->pool = pool_create(threads);
    if (p->pool == NULL)
        pack_pipe_free(&p);
    return p;
}

/* Where in the ring a whole block has room: true and *at. */
static bool find_room(struct pack_pipe *p, size_t *at)
{
    if (p->used == 0)
        p->head = p->tail = 0;
    *at = p->head;
    if (p->used > 0 && p->head <= p->tail)
        return p->tail - p->head >= ROOM;
    if (p->size - p->head >= ROOM)
        return true;
    *at = 0;
    return p->tail >= ROOM;
}

struct pack_slot *pack_pipe_free_slot(struct pack_pipe *p)
{
    size_t at;
    if (p->used == QUEUE || !find_room(p, &at))
        return NULL;
    struct work *w = &p->queue[(p->first + p->used) % QUEUE];
    *w = (struct work){.job.run = run, .pipe = p, .slot.bytes = p->ring + at};
    return &w->slot;
}

void pack_pipe_put(struct pack_pipe *p)
{
    struct work *w = &p->queue[(p->first + p->used++) % QUEUE];
    struct pack_slot *s = &w->slot;
    size_t bytes = (s->len + CODEC_HEAD + ALIGN - 1) / ALIGN * ALIGN;
    p->head = (size_t)(s->bytes - p->ring) + bytes;
    if (s->shape)
        s->facts = p->spares > 0 ? p->spare[--p->spares] : facts_part_new();
    pool_run(p->pool, &w->job);
}

struct pack_slot *pack_pipe_take(struct pack_pipe *p)
{
    if (p->used == 0)
        return NULL;
    struct work *w = &p->queue[p->first];
    lock_take(&p->lock);
    while (!w->done)
        (void)lock_cond_wait(&p->done, &p->lock, -1);
    lock_drop(&p->lock);
    return &w->slot;
}

void pack_pipe_done(struct pack_pipe *p)
{
    struct pack_slot *s = &p->queue[p->first].slot;
    if (s->facts != NULL)
        p->spare[p->spares++] = s->facts;
    p->first = (p->first + 1) % QUEUE;
    p->used--;
    if (p->used > 0)
        p->tail = (size_t)(p->queue[p->first].slot.bytes - p->ring);
}

void pack_pipe_free(struct pack_pipe **pp)
{
    struct pack_pipe *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    pool_destroy(&p->pool);
    while (p->used > 0)
        pack_pipe_done(p);
    while (p->spares > 0)
        facts_part_free(&p->spare[--p->spares]);
    for (struct kit *k = p->kit, *next; k != NULL; k = next) {
        next = k->next;
        kit_free(k);
    }
    free(p->ring);
    (void)pthread_cond_destroy(&p->done);
    lock_destroy(&p->lock);
    free(p);
}
