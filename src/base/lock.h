/* Mutexes with a rank. A thread may take a lock only while all that it holds rank lower, and holds
 * none across I/O or the network. Debug builds (no NDEBUG) assert the rank at each lock. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Low is taken first. */
enum lock_rank {
    LOCK_RANK_DOOR = 1, /* fs and dataset state */
    LOCK_RANK_CATALOG,  /* which catalogue is current */
    LOCK_RANK_TABLE,    /* table of open blobs */
    LOCK_RANK_BLOB,     /* one blob */
    LOCK_RANK_STORE,    /* cache accounting */
    LOCK_RANK_ENGINE,   /* the queue of the HTTP engine */
    LOCK_RANK_LEAF,     /* pool, statistics, errors */
};

struct lock {
    pthread_mutex_t mutex;
    int rank;
};

/* Prepares a lock; never fails on Linux. */
void lock_init(struct lock *l, enum lock_rank rank);

/* Ends a lock that nobody holds. */
void lock_destroy(struct lock *l);

/* Takes the lock; asserts the rank. */
void lock_take(struct lock *l);

/* Gives the lock back. */
void lock_drop(struct lock *l);

/* Prepares a condition on CLOCK_MONOTONIC. */
void lock_cond_init(pthread_cond_t *cond);

/* Waits on `cond` with `l` held, until woken or until `ms` from now (negative: for ever). Returns
 * false on time-out. */
bool lock_cond_wait(pthread_cond_t *cond, struct lock *l, int64_t ms);

#endif
