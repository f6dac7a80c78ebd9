#include "dataset/packs_i.h"

#include "base/lock.h"
#include "base/pool.h"

#include <stdlib.h>

enum {
    THREADS_MAX = 6, /* with what each of them and each job takes, 64 MiB */
    SPARE_JOBS = 4,
};

struct work {
    struct pool_job job;
    struct unpack_crew *crew;
    struct unpack_job what;
    bool done; /* protected by crew->lock */
};

struct unpack_crew {
    struct pool *pool;
    struct lock lock;
    pthread_cond_t done;
    unsigned threads, idle;               /* idle is protected by lock */
    struct unpack_kit kit[THREADS_MAX];   /* they are lent, the idle ones */
    struct unpack_kit *free[THREADS_MAX]; /* protected by lock */
    unsigned jobs, first, used;
    struct work work[THREADS_MAX + SPARE_JOBS]; /* a ring */
};

static void run(struct pool_job *job)
{
    struct work *w = (struct work *)(void *)job; /* its first member */
    struct unpack_crew *c = w->crew;
    lock_take(&c->lock);
    struct unpack_kit *kit = c->free[--c->idle]; /* there are as many as threads */
    lock_drop(&c->lock);
    w->what.run(&w->what, kit);
    lock_take(&c->lock);
    c->free[c->idle++] = kit;
    w->done = true;
    (void)pthread_cond_signal(&c->done);
    lock_drop(&c->lock);
}

static bool equip(struct unpack_crew *c)
{
    for (; c->idle < c->threads; c->idle++) {
        struct unpack_kit *kit = &c->kit[c->idle];
        if ((kit->codec = codec_new(0)) == NULL)
            return false;
        c->free[c->idle] = kit;
    }
    for (unsigned i = 0; i < c->jobs; i++) {
        c->work[i].crew = c;
        c->work[i].job.run = run;
        if ((c->work[i].what.text = malloc(CODEC_BLOCK_MAX)) == NULL)
            return false;
    }
    return true;
}

struct unpack_crew *unpack_crew_new(void)
{
    struct unpack_crew *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->threads = pool_cpus(THREADS_MAX);
    c->jobs = c->threads + SPARE_JOBS;
    lock_init(&c->lock, LOCK_RANK_LEAF);
    lock_cond_init(&c->done);
    c->pool = pool_create(c->threads);
    if (c->pool == NULL || !equip(c))
        unpack_crew_free(&c);
    return c;
}

struct unpack_job *unpack_crew_free_job(struct unpack_crew *c)
{
    return c->used < c->jobs ? &c->work[(c->first + c->used) % c->jobs].what : NULL;
}

void unpack_crew_put(struct unpack_crew *c)
{
    struct work *w = &c->work[(c->first + c->used++) % c->jobs];
    w->done = false;
    pool_run(c->pool, &w->job);
}

struct unpack_job *unpack_crew_take(struct unpack_crew *c)
{
    if (c->used == 0)
        return NULL;
    struct work *w = &c->work[c->first];
    lock_take(&c->lock);
    while (!w->done)
        (void)lock_cond_wait(&c->done, &c->lock, -1);
    lock_drop(&c->lock);
    return &w->what;
}

void unpack_crew_done(struct unpack_crew *c)
{
    c->first = (c->first + 1) % c->jobs;
    c->used--;
}

void unpack_crew_free(struct unpack_crew **cp)
{
    struct unpack_crew *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    pool_destroy(&c->pool);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        codec_free(&c->kit[i].codec);
        buf_free(&c->kit[i].scratch);
    }
    for (unsigned i = 0; i < c->jobs; i++)
        free(c->work[i].what.text);
    (void)pthread_cond_destroy(&c->done);
    lock_destroy(&c->lock);
    free(c);
}
