/* Private to the files of blob.h: blobs, waiters, flights, and their locks. What holds while
 * blob->lock is free:
 *
 * - a waiter on the list lacks at least one piece, and each piece that it lacks is covered by a
 * flight, or comes along with one of another blob (siblings_i.h);
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
    BLOB_WINDOW_PACKED = 64 << 20, /* the same of text that comes packed: some 1 MiB of the line */
    BLOB_DIRECT_BUDGET = 16 << 20, /* bytes of all reads that go past a sick cache */
    BLOB_STOPPED_MAX = 64,
};

struct blob_siblings;
struct siblings;

struct blob_env {
    struct blob_env_options o;
    struct pool *pool;
    struct blob_siblings *siblings;
    struct lock lock;
    pthread_cond_t wake;
    struct blob *active;       /* blobs with waiters; protected by lock */
    struct blob_direct *queue; /* direct reads that wait for the budget; protected by lock */
    size_t direct_bytes;       /* protected by lock */
    unsigned stopped_count;    /* protected by lock */
    uint64_t stopped[BLOB_STOPPED_MAX]; /* hashes of the names of sources that answered 401;
                                           protected by lock */
    bool ending;                        /* protected by lock */
    bool over; /* the clock has ended: nobody else fails waiters; protected by lock */
    pthread_t clock;
    struct decoded *decoded;
    atomic_bool unpacked; /* `decoded` may hold something */
    atomic_uint flying;   /* flights that have not ended */
    atomic_llong landed;  /* when the last one ended, clock_ms() */
    atomic_ullong reads, bytes, hits, waits, flights, retries, direct, changed, failed, learnt,
        readahead, decoded_blocks, decode_ns, sibling_flights, sibling_bytes, sibling_used;
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
    uint32_t first, end; /* pieces that are still asked for, end exclusive; none: siblings only */
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
    /* Of an object of a pack. */
    uint32_t block;         /* being filled; the engine thread's */
    bool other;             /* the pack's version is another one; the engine thread's */
    atomic_bool bad;        /* a block does not match its checksum */
    struct siblings *along; /* what comes along, at the first try only; or NULL */
};

struct blob {
    struct blob_env *env;
    atomic_int refs;
    uint64_t id, folder;
    struct source_place place;
    char *key;
    char *url;
    bool html_name;
    struct blob_version version;
    struct hash_id content;      /* the cache's name of it */
    struct blob_extent *extents; /* its blocks in a pack, or NULL */
    struct blob_version pack;    /* that pack */
    int local;                   /* the pack is this file, else -1 */
    struct store_file *file;     /* NULL: the cache cannot hold it, read past it */
    atomic_bool spent;
    _Atomic(struct blob_flight *) whole; /* the one flight that receives all from byte 0, if any */
    struct lock lock;
    struct blob_waiter *waiters; /* protected by lock */
    struct blob_flight *fleet;   /* protected by lock */
    struct blob_failed failed;   /* protected by lock */
    uint64_t ra_next,
        ra_front; /* read-ahead: where a sequential reader goes on; end of what was asked; lock */
    uint64_t ra_window;
    atomic_ullong ra_edge; /* a sequential read past it is to ask for more */
    atomic_uint hinted;    /* packed blocks before it were hinted to the disk for such a reader */
    atomic_ullong seq_next, seq_run; /* packed blocks: where a sequential reader goes on, and how
                                        many bytes it has read */
    struct siblings *along;          /* for the flight that is about to start; protected by lock */
    atomic_bool noted;               /* blob_siblings_read() has seen its first read */
    struct blob *active_next;        /* protected by env->lock */
    bool active;
};

/* Fills the request for bytes of an object (len 0: all). `text` holds its strings. 0 or -errno. */
int blob_request(const struct blob *b, uint64_t first, uint64_t len, struct buf *text,
                 struct http_req *req);

/* Sends a request for pieces [first, end) and for b->along, which is the flight's then; b->lock is
 * held. 0 or -errno. */
int blob_flight_start(struct blob *b, uint32_t first, uint32_t end);

/* Takes and gives back a reference of a flight; the last one ends it. No lock held. */
void blob_flight_ref(struct blob_flight *f);
/* Gives a reference back. */
void blob_flight_unref(struct blob_flight *f);

/* Pieces may have come by somebody else's flight, or will not come: answers whom that is enough
 * for, and starts flights for the others. No lock held. */
void blob_arrived(struct blob *b);

/* Plans anew for those who lack a piece that nobody fetches any more, and takes those off who lack
 * none; b->lock is held. The caller drops it and hands the list to blob_answer_all(). */
struct blob_waiter *blob_plan_orphans(struct blob *b);

/* The cache's name of this version of an object. 0 or -ENOMEM. */
int blob_content_id(const struct blob_object *o, struct hash_id *id);

/* The error of a read that must not go to the network, or 0. */
int blob_barred(const struct blob *b);

/* Starts flights for the absent pieces of [off, end) that no flight covers; b->lock is held. */
void blob_start_missing(struct blob *b, uint64_t off, uint64_t end);

/* Starts what is missing for the read [off, off+len) and its read-ahead; b->lock is held. */
void blob_plan(struct blob *b, uint64_t off, size_t len);

/* A read that lacks nothing has passed ra_edge: where it is a sequential one, asks for what comes
 * next. */
void blob_read_on(struct blob *b, uint64_t off, size_t len);

/* Cancels the flights that nobody waits for, so that the next reader asks anew; b->lock is held. */
void blob_drop_idle(struct blob *b);

/* True where all pieces of the range are PRESENT or PACKED. */
bool blob_has(const struct blob *b, uint64_t off, size_t len);

/* Takes those waiters off that are complete, or whose range touches [first, end) when `err` is not
 * 0 (they get it); b->lock is held. The caller drops the lock and hands the list to
 * blob_answer_all(). */
struct blob_waiter *blob_take(struct blob *b, uint64_t first, uint64_t end, int err);

/* Notes that a waiter fails; b->lock is held. */
void blob_note_failed(struct blob *b, const struct blob_waiter *w);

/* Answers and frees waiters; no lock held. */
void blob_answer_all(struct blob *b, struct blob_waiter *list);

/* Tells the clock that the blob has waiters; at the end it fails them itself. No lock held. */
void blob_watch(struct blob *b);

/* Tells the clock that packed blocks were unpacked, so that it drops them some time. */
void blob_env_wake(struct blob_env *env);

/* Answers a read whose range is held, now or as soon as its packed blocks are unpacked; owns the
 * waiter, which is on no list. Where a block turns out to be damaged the read goes on as one that
 * lacks it. No lock held. */
void blob_serve(struct blob *b, struct blob_waiter *w);

/* The same for blob_read(), without a waiter where it can answer at once. */
void blob_serve_read(struct blob *b, uint64_t off, size_t len,
                     void (*done)(void *, struct blob_answer), void *arg);

/* A waiter for a range; NULL when out of memory. */
struct blob_waiter *blob_waiter_new(const struct blob *b, uint64_t off, size_t len,
                                    void (*done)(void *, struct blob_answer), void *arg);

/* Reads what is not held: parks the waiter, or reads past the cache (`past`: in any case), or
 * answers with the reason why not. Owns the waiter, which is on no list. No lock held. */
void blob_fetch(struct blob *b, struct blob_waiter *w, bool past);

/* ---- what comes along with a flight for a small object of a pack (siblings.c) ---- */

/* A read of a blob: where it is its first, counts it and asks ahead where that is due. No lock
 * held. */
void blob_siblings_read(struct blob *b);

/* What a flight for `b` is to take along, or NULL. Reads the catalogue and the cache's index; no
 * lock held. Whoever gets it starts a flight with it or calls blob_siblings_end(). */
struct siblings *blob_siblings_for(struct blob *b);

/* Its flight has ended, or there is none: who waits still is told, all is freed. No lock held. */
void blob_siblings_end(struct siblings *s);

/* ---- blocks of a pack (extent.c) ---- */

/* True where extents may be those of an object of `size` bytes. Pure. */
bool blob_extents_right(const struct blob_extents *e, uint64_t size);

/* Keeps an object's extents, and opens the pack where it is a local file. 0 or -errno as
 * blob_open(). */
int blob_copy_extents(struct blob *b, const struct blob_extents *e);

/* A hash of what the blocks are, wherever they lie: it goes into the cache's name of the object. */
uint64_t blob_extents_sum(const struct blob_extents *e);

/* A packed block's bytes as store_read_packed() gives them, or from the local pack. Disk I/O. */
int blob_load_packed(struct blob *b, uint32_t block, struct buf *packed, struct store_packed *info);

/* What store_drop_packed() does; nothing for a local pack. */
void blob_drop_packed(struct blob *b, uint32_t block, const struct store_packed *info,
                      bool damaged);

/* True where a block is at hand packed. */
bool blob_is_packed(const struct blob *b, uint32_t block);

/* The block behind the one that piece `end` - 1 is in. */
static inline uint32_t blob_block_end(uint32_t end)
{
    return (end + STORE_BLOCK_PIECES - 1) / STORE_BLOCK_PIECES;
}

/* The byte range in the pack of blocks [block, end). */
void blob_extent_range(const struct blob *b, uint32_t block, uint32_t end, uint64_t *first,
                       uint64_t *len);

/* The end of a run of blocks from `block` on, before `stop`, that one request may bring. */
uint32_t blob_extent_run(const struct blob *b, uint32_t block, uint32_t stop);

/* True where an answer brings bytes [first, first + len) of the pack: *pos is where its body
 * begins. *other: the pack is another version now (416 too, where this is false). */
bool blob_extent_good(const struct blob *b, const struct http_resp *resp, uint64_t first,
                      uint64_t len, bool *other, uint64_t *pos);

/* Unpacks text [off, off + len) of a block whose packed bytes came: 0, -EBADMSG (a checksum does
 * not match), -ENOTSUP or -ENOMEM. */
int blob_extent_unpack(const struct blob *b, uint32_t block, const void *packed, size_t off,
                       size_t len, void *out);

/* The byte range in the pack that a flight asks for. */
void blob_extent_asked(const struct blob_flight *f, uint64_t *first, uint64_t *len);

/* What a flight does for an object of a pack with a header, with some of the body (*whole: f->piece
 * holds all of block f->block now), with a block that is whole, and at its end. */
int blob_extent_head(struct blob_flight *f, const struct http_resp *resp);
/* See above; returns how many bytes it took, or -errno. */
ssize_t blob_extent_feed(struct blob_flight *f, const unsigned char *data, size_t len, bool *whole);
/* See above; 0 or -errno of the cache's disk. */
int blob_extent_store(struct blob_flight *f, uint32_t block, const void *data, size_t len);
/* See above: sets f->err where a block was wrong. */
void blob_extent_judge(struct blob_flight *f);

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
