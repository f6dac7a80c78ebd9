/* A small pool of threads that run jobs in the order in which they came. A job never waits for
 * another job. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

struct pool;

/* A job; the caller embeds it in its own object and keeps that alive until `run` was called. */
struct pool_job {
    struct pool_job *next;              /* the pool's */
    void (*run)(struct pool_job *self); /* called once, on a thread of the pool */
};

/* Starts `threads` threads; NULL when there is no memory or no thread. The caller destroys it. */
struct pool *pool_create(unsigned threads);

/* How many threads keep this machine's CPUs busy, 1 to `most`. Any thread. */
unsigned pool_cpus(unsigned most);

/* Queues a job. Any thread; never blocks. */
void pool_run(struct pool *p, struct pool_job *job);

/* Runs what is queued to the end, joins the threads, frees, and empties *p. NULL inside is fine. */
void pool_destroy(struct pool **p);

#endif
