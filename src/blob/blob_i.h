/* Private to the files of blob.h: blobs, waiters, flights, and their locks. What holds while
 * blob->lock is free:
 *
 * - a waiter on the list lacks at least one piece, and each piece that it lacks is covered by a
 * flight;
 * - a flight on the list holds a reference of its blob; with none of its own it is about to end;
 * - a spent blob has no waiter.
 *
 * A flight's `refs` counts its transfer and its pieces on the way to the disk; who drops the last
 * one ends it. */
#ifndef BLOB_BLOB_I_H
#define BLOB_BLOB_I_H

#include "base/lock.h"
#include "base/pool.h"
#include "blob/blob.h"
#include "blob/check.h"

#include <stdatomic.h>

enum {
    BLOB_SMALL = 2 << 20,   /* objects up to this size are fetched whole */
    BLOB_REQUEST = 2 << 20, /* longest range of one request */
    BLOB_WINDOW_MIN =
        512 << 10, /* read-ahead: first window, doubled while the reading is sequential */
    BLOB_WINDOW_MAX = 8 << 20,
    BLOB_DIRECT_BUDGET = 16 << 20, /* bytes of all reads that go past a sick cache */
    BLOB_STOPPED_MAX = 64,
};

struct blob_env {
    struct blob_env_options o;
    struct pool *pool;
    struct lock lock;
    pthread_cond_t wake;
    struct blob *active;       /* blobs with waiters; protected by lock */
    struct blob_direct *queue; /* direct reads that wait for the budget; protected by lock */
    size_t direct_bytes;       /* protected by lock */
    unsigned stopped_count;    /* protected by lock */
    uint64_t stopped[BLOB_STOPPED_MAX]; /* hashes of the names of sources that answered 401;
                                           protected by lock */
    bool ending;                        /* protected by lock */
    pthread_t clock;
    atomic_ullong reads, bytes, hits, waits, flights, retries, direct, changed, failed, learnt,
        readahead;
};

struct blob_waiter {
    struct blob_waiter *next;
    uint64_t off;
    size_t len;
    int64_t deadline; /* clock_ms() */
    bool again;       /* the kernel's second question of one read(2), see struct blob_failed */
    int err;
    void (*done)(void *arg, struct blob_answer a);
    void *arg;
};

/* The read that failed last. When the kernel's read-ahead fails, it asks at once again for the one
 * page that somebody wants: that question is sent, but it shares the first one's deadline, so that
 * no read(2) waits for twice retry_for. */
struct blob_failed {
    uint64_t off, end;
    int64_t when, deadline; /* clock_ms() */
};

struct blob_flight {
    struct blob_flight *next; /* of its blob */
    struct blob *blob;
    uint32_t first, end; /* pieces that are still asked for, end exclusive */
    unsigned attempt;
    int64_t started;
    atomic_int refs;
    /* The engine thread's alone while the transfer runs. */
    atomic_ulong request; /* id in the engine, 0 before it is known */
    uint64_t pos;         /* absolute offset of the next byte of the body */
    unsigned char *piece; /* being filled */
    size_t filled;
    bool judged; /* the header passed */
    /* Shared. */
    atomic_bool whole; /* the server sends all from byte 0 */
    bool dropped;      /* cancelled, since nobody waits: covers nothing; protected by blob->lock */
    atomic_int queued; /* pieces on their way to the disk */
    atomic_bool paused;
    atomic_int write_err;
    /* How the transfer ended. */
    struct pool_job ended;
    int err;
    struct http_resp resp;
    struct blob_version now; /* with err -ESTALE */
};

struct blob {
    struct blob_env *env;
    atomic_int refs;
    uint64_t id;
    struct source_place place;
    char *key;
    char *url;
    bool html_name;
    struct blob_version version;
    struct store_file *file; /* NULL: the cache cannot hold it, read past it */
    atomic_bool spent;
    _Atomic(struct blob_flight *) whole; /* the one flight that receives all from byte 0, if any */
    struct lock lock;
    struct blob_waiter *waiters; /* protected by lock */
    struct blob_flight *fleet;   /* protected by lock */
    struct blob_failed failed;   /* protected by lock */
    uint64_t ra_next,
        ra_front; /* read-ahead: where a sequential reader goes on; end of what was asked; lock */
    uint64_t ra_window;
    atomic_ullong ra_edge;    /* a sequential read past it is to ask for more */
    struct blob *active_next; /* protected by env->lock */
    bool active;
};

/* Fills the request for bytes of an object (len 0: all). `text` holds its strings. 0 or -errno. */
int blob_request(const struct blob *b, uint64_t first, uint64_t len, struct buf *text,
                 struct http_req *req);

/* Starts what is missing for the read [off, off+len) and its read-ahead; b->lock is held. */
void blob_plan(struct blob *b, uint64_t off, size_t len);

/* A read that lacks nothing has passed ra_edge: where it is a sequential one, asks for what comes
 * next. */
void blob_read_on(struct blob *b, uint64_t off, size_t len);

/* Cancels the flights that nobody waits for, so that the next reader asks anew; b->lock is held. */
void blob_drop_idle(struct blob *b);

/* True where all pieces of the range are PRESENT. */
bool blob_has(const struct blob *b, uint64_t off, size_t len);

/* Takes those waiters off that are complete, or whose range touches [first, end) when `err` is not
 * 0 (they get it); b->lock is held. The caller drops the lock and hands the list to
 * blob_answer_all(). */
struct blob_waiter *blob_take(struct blob *b, uint64_t first, uint64_t end, int err);

/* Notes that a waiter fails; b->lock is held. */
void blob_note_failed(struct blob *b, const struct blob_waiter *w);

/* Answers and frees waiters; no lock held. */
void blob_answer_all(struct blob *b, struct blob_waiter *list);

/* Tells the clock that the blob has waiters. */
void blob_watch(struct blob *b);

/* Reads a range past the cache, for a waiter that is on no list; owns it. */
void blob_direct_read(struct blob *b, struct blob_waiter *w);

/* True where the source has answered 401. */
bool blob_stopped(struct blob_env *env, const char *source);

/* Tells the environment's owner of a failure; a 401 stops the source. No lock held. */
void blob_report(struct blob_env *env, uint64_t id, const char *url, const char *source, int err,
                 const struct http_resp *resp);

/* The same where nothing was sent: `err` is -ENETUNREACH (offline) or -EACCES (the source is
 * stopped). */
void blob_report_barred(struct blob_env *env, uint64_t id, const char *url, const char *source,
                        int err);

/* True where a failed transfer is worth another try. */
bool blob_worth(int err, const struct http_resp *resp);

/* What a reader gets when a transfer is not tried again. */
int blob_final_err(int err, const struct http_resp *resp);

#endif
