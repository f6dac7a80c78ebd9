#include "base/lock.h"

#include "base/clock.h"

#include <assert.h>

#ifndef NDEBUG
/* Ranks held by this thread, as a bit each: enough to assert the order. */
static _Thread_local unsigned held;
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    (void)pthread_mutex_init(&l->mutex, NULL);
    l->rank = (int)rank;
}

void lock_destroy(struct lock *l)
{
    (void)pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
#ifndef NDEBUG
    assert(held >> l->rank == 0);
    held |= 1U << l->rank;
#endif
    (void)pthread_mutex_lock(&l->mutex);
}

void lock_drop(struct lock *l)
{
#ifndef NDEBUG
    held &= ~(1U << l->rank); /* before: whoever takes the lock next may end its life */
#endif
    (void)pthread_mutex_unlock(&l->mutex);
}

void lock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

bool lock_cond_wait(pthread_cond_t *cond, struct lock *l, int64_t ms)
{
    if (ms < 0)
        return pthread_cond_wait(cond, &l->mutex) == 0;
    struct timespec until = clock_after(ms);
    return pthread_cond_timedwait(cond, &l->mutex, &until) == 0;
}
