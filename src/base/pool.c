#include "base/pool.h"

#include "base/lock.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct pool {
    struct lock lock;
    pthread_cond_t wake;
    struct pool_job *head, **tail; /* protected by lock */
    bool ending;                   /* protected by lock */
    unsigned threads;
    pthread_t thread[];
};

static void *pool_main(void *arg)
{
    struct pool *p = arg;
    lock_take(&p->lock);
    for (;;) {
        while (p->head == NULL && !p->ending)
            (void)lock_cond_wait(&p->wake, &p->lock, -1);
        struct pool_job *job = p->head;
        if (job == NULL)
            break;
        p->head = job->next;
        if (p->head == NULL)
            p->tail = &p->head;
        lock_drop(&p->lock);
        job->run(job);
        lock_take(&p->lock);
    }
    lock_drop(&p->lock);
    return NULL;
}

struct pool *pool_create(unsigned threads)
{
    struct pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->thread[0]));
    if (p == NULL)
        return NULL;
    lock_init(&p->lock, LOCK_RANK_LEAF);
    lock_cond_init(&p->wake);
    p->tail = &p->head;
    for (; p->threads < threads; p->threads++)
        if (pthread_create(&p->thread[p->threads], NULL, pool_main, p) != 0)
            break;
    if (p->threads == 0)
        pool_destroy(&p);
    return p;
}

unsigned pool_cpus(unsigned most)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : (unsigned long)cpus < most ? (unsigned)cpus : most;
}

void pool_run(struct pool *p, struct pool_job *job)
{
    job->next = NULL;
    lock_take(&p->lock);
    *p->tail = job;
    p->tail = &job->next;
    (void)pthread_cond_signal(&p->wake);
    lock_drop(&p->lock);
}

void pool_destroy(struct pool **pp)
{
    struct pool *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    lock_take(&p->lock);
    p->ending = true;
    (void)pthread_cond_broadcast(&p->wake);
    lock_drop(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        (void)pthread_join(p->thread[i], NULL);
    (void)pthread_cond_destroy(&p->wake);
    lock_destroy(&p->lock);
    free(p);
}
