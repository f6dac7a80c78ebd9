/* Small objects that lie beside each other in a pack: one request brings many.
 *
 * A flight for an object of one block may take blocks of its neighbours along: those that the cache
 * lacks, of the same folder, before or after it. What comes for them is checked by its sum and
 * written to their own objects in the cache, so that whoever opens them next finds them there; who
 * reads one that is still under way waits for it. They are extras: what fails of them is dropped,
 * and their readers ask by flights of their own.
 *
 * How much is taken along is a window (siblings_window.c) for each place where somebody reads: it
 * doubles while what was brought is read, and is the smallest again where it is not. */
#ifndef BLOB_SIBLINGS_I_H
#define BLOB_SIBLINGS_I_H

#include "base/hash.h"
#include "base/lock.h"
#include "base/pool.h"
#include "blob/blob.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SIBLINGS_MAX = BLOB_NEIGHBOURS, /* objects that are looked at for one request */
    SIBLINGS_WINDOW_MIN = 64 << 10, /* packed bytes beside the object */
    SIBLINGS_JUMP_MAX = 256 << 10,  /* the same where reads jump about, and before the object */
    SIBLINGS_GAP = 64 << 10, /* bytes between two wanted ones that may be fetched for nothing */
    SIBLINGS_RUNS = 32,
    SIBLINGS_RUNS_FOLDER = 4,
    SIBLINGS_MARKS = 8192,
};

struct blob_flight;

/* ---- the window (siblings_window.c) ---- */

/* A place where somebody reads. */
struct siblings_run {
    uint64_t stamp;        /* of its last use; 0: a free slot */
    uint64_t folder, pack; /* the caller's number, a hash of the pack's link */
    uint64_t first, end;   /* bytes of the pack that were asked for */
    uint64_t edge;         /* who reads here or behind is to find more: it is asked for ahead */
    uint64_t last;         /* the id of the last object that was asked for */
    uint32_t window;
    uint64_t brought, used; /* bytes, of late */
    bool hit;               /* something of what was brought last was read */
    bool busy;              /* is being planned: it keeps its slot */
};

struct siblings_windows {
    struct lock lock;       /* for all of these */
    pthread_cond_t planned; /* a run is not busy any more */
    uint64_t clock;
    struct siblings_run run[SIBLINGS_RUNS];
    uint64_t mark[SIBLINGS_MARKS]; /* names of objects that were brought and not read yet */
};

/* Where an object is. */
struct siblings_spot {
    uint64_t folder, pack;
    uint64_t first, end; /* its bytes in the pack */
    const struct hash_id *content;
};

/* What may be asked for; ends with siblings_window_set(). */
struct siblings_ask {
    struct siblings_run *run;
    uint32_t window;
    bool ahead;
    uint64_t after, from; /* ahead: the id and the end in the pack of what was asked for before */
};

/* Prepares and ends the table. */
void siblings_windows_init(struct siblings_windows *w);
/* Ends it. */
void siblings_windows_end(struct siblings_windows *w);

/* An object is to be fetched: 1: so much may come along; 0: nothing; -EAGAIN: it may come along by
 * what another thread has planned for a few moments, while this one waited. */
int siblings_window_miss(struct siblings_windows *w, const struct siblings_spot *at,
                         struct siblings_ask *ask);

/* An object is read for the first time: returns the bytes of it that came along with another one
 * (0: none), and *more where it is time to ask ahead. Any thread. */
uint64_t siblings_window_read(struct siblings_windows *w, const struct siblings_spot *at,
                              struct siblings_ask *ask, bool *more);

/* What became of an ask: bytes [first, end) of the pack are on their way, the last of them those of
 * object `last`; first == end: none. */
void siblings_window_set(struct siblings_windows *w, const struct siblings_ask *ask, uint64_t first,
                         uint64_t end, uint64_t last);

/* Notes that an object comes along. */
void siblings_window_mark(struct siblings_windows *w, const struct hash_id *content);

/* ---- what comes along (siblings.c) ---- */

/* One object's block. */
struct sibling {
    struct hash_id content; /* the cache's name of it */
    uint64_t id, size;
    struct blob_extent extent;
    char tag[64];
    unsigned char *data;  /* packed, once it came */
    bool over;            /* is stored, or never will be; protected by blob_siblings.lock */
    struct blob *waiting; /* a reference; protected by blob_siblings.lock */
};

/* What one flight takes along, in order of offset. */
struct siblings {
    struct siblings *next; /* of the environment's; protected by blob_siblings.lock */
    struct blob_env *env;
    struct blob_flight *flight;
    uint64_t first, end; /* in the pack: all of them */
    uint64_t extra;      /* bytes that the request has more by them */
    /* The engine thread's. */
    uint32_t coming;
    size_t filled;
    /* Protected by blob_siblings.lock: */
    uint32_t arrived, stored;
    bool storing;
    struct pool_job job;
    uint32_t count;
    struct sibling at[];
};

/* An environment's. */
struct blob_siblings {
    struct lock lock;
    struct siblings *list; /* protected by lock */
    struct siblings_windows windows;
};

/* Makes and frees it: NULL when out of memory. The pool has ended before it is freed. */
struct blob_siblings *blob_siblings_new(void);
/* Frees it and empties *s. NULL inside is fine. */
void blob_siblings_free(struct blob_siblings **s);

/* True where a blob is a small object of a pack whose neighbours may come along. */
bool siblings_fit(const struct blob *b);

/* True where a flight brings the blob along: it is told by blob_arrived(). b->lock is held. */
bool siblings_await(struct blob *b);

/* Takes bytes at `pos` of the pack. 0 or -ENOMEM. The engine's thread. */
int siblings_feed(struct siblings *s, uint64_t pos, const unsigned char *data, size_t len);

/* ---- the choice (siblings_choose.c) ---- */

/* Chooses what is to come along with `b`, registers it and settles the ask; NULL: nothing. No lock
 * held. */
struct siblings *siblings_choose(struct blob *b, const struct siblings_ask *ask);

/* Makes what was chosen known to siblings_await(), and marks it. */
void siblings_register(struct siblings *s);

/* True where a flight brings that content. */
bool siblings_coming(struct blob_siblings *s, const struct hash_id *content);

#endif
