/* Blobs: the bytes of one version of one object, read through the cache. Nobody waits in here: what
 * is not at hand is parked and answered, exactly once, by whoever brings it (a thread of the pool).
 *
 * A read whose pieces are all present is answered at once from the cache file's mapping; one that
 * touches packed blocks, from their unpacked form, which a thread of the pool makes. Else it is
 * put on the blob's list of waiters and the absent pieces are asked for by flights: one HTTP
 * request each over a run of pieces. A piece is checked, written and checksummed as soon as it is
 * whole; then those waiters are answered whose range is complete. A failed flight is tried again
 * with growing pauses while somebody waits for it, and its error is given once to all of them,
 * never kept. */
#ifndef BLOB_BLOB_H
#define BLOB_BLOB_H

#include "base/hash.h"
#include "blob/store.h"
#include "blob/version.h"
#include "conf/conf.h"
#include "net/http.h"
#include "source/source.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct blob;
struct blob_env;

/* One packed block of an object in a pack. */
struct blob_extent {
    uint64_t offset;               /* in the pack */
    uint32_t packed;               /* bytes there */
    uint64_t text;                 /* 4 MiB; the last block's may be less */
    uint64_t packed_sum, text_sum; /* XXH3-64 */
};

/* An object's blocks in file order, from the pack's catalogue. */
struct blob_extents {
    struct blob_version pack; /* the pack itself, when its catalogue was read */
    uint32_t count;
    const struct blob_extent *at;
};

/* An object at its source. blob_open() and blob_learn() copy what they keep. */
struct blob_object {
    uint64_t id;     /* the caller's number, for its callbacks */
    uint64_t folder; /* the caller's number of the folder that it is in; with `extents` only */
    const struct source_place *place;
    const char *key;
    size_t key_len;
    const char *tag; /* dataset's id */
    struct blob_version version;
    /* NULL: the URL is the object's. Else it is the pack's, which is http(s):// or,
     * percent-encoded, file:// (then it is read in place); `version` is the object's own: the size
     * of its text. */
    const struct blob_extents *extents;
};

/* One failure, for errors.json. */
struct blob_failure {
    uint64_t id;
    const char *url; /* without query where it has secrets: as index.csv shows it */
    int status;      /* HTTP status, 0: no answer */
    int err;         /* -errno that a reader got */
    const char *why;
};

/* Counters; each only grows. */
struct blob_stats {
    uint64_t reads, bytes, hits, waits, flights, retries, direct, changed, failed, learnt,
        readahead;
    /* Flights that brought neighbours of small objects of a pack along, the bytes that they asked
     * for by that, and those of them that somebody read: the rest was for nothing. */
    uint64_t sibling_flights, sibling_bytes, sibling_used;
    uint64_t decoded,
        decode_ns; /* packed blocks that were unpacked; CPU time of that and of printing
                    */
};

enum { BLOB_NEIGHBOURS = 512 };

/* What blobs need, and whom they tell. Callbacks come on threads of the pool, with no lock held. */
struct blob_env_options {
    const struct conf *conf;
    struct http *http;   /* outlives the environment */
    struct store *store; /* or NULL: no cache */
    void (*failed)(void *arg, const struct blob_failure *f);
    /* The origin shows another version than `id`'s: the blob answers -ESTALE from now on. */
    void (*changed)(void *arg, uint64_t id, const struct blob_version *now);
    /* Calls `row`, until it returns false, with objects of the same folder and pack as object `id`
     * whose versions are known, in ascending order of id: those behind it, or with `before` at most
     * BLOB_NEIGHBOURS in front of it. Also on the thread of a reader, with no lock held; reads the
     * catalogue's disk. May be NULL: nothing is brought along. */
    void (*neighbours)(void *arg, uint64_t id, bool before,
                       bool (*row)(void *row_arg, const struct blob_object *o), void *row_arg);
    void *arg;
};

/* Starts the environment (its pool and its clock). 0 or -errno with `e`. */
int blob_env_open(const struct blob_env_options *o, struct blob_env **out, struct err *e);

/* Ends: call after http_stop() and after the last blob_get(); http_close() comes later. Whoever
 * still waits gets -ECANCELED. Empties *env. */
void blob_env_close(struct blob_env **env);

/* Counters. Any thread. */
void blob_env_stats(struct blob_env *env, struct blob_stats *out);

/* Lets sources that answered 401 be asked again. */
void blob_env_unstop(struct blob_env *env);

/* Opens a blob with one reference. Disk I/O, no network. 0 or -errno (-EINVAL: the extents are not
 * those of an object of its size; -ENOENT, -EACCES, ...: a local pack). */
int blob_open(struct blob_env *env, const struct blob_object *o, struct blob **out);

/* Bytes of the object's version that the cache holds. Any thread; reads the cache's index. */
uint64_t blob_cached(struct blob_env *env, const struct blob_object *o);

/* Takes and gives back a reference; the last one frees it. Any thread. */
struct blob *blob_get(struct blob *b);
/* Gives a reference back and empties *b; NULL inside is fine. */
void blob_put(struct blob **b);

/* How a read ends: err 0 and all of the range as spans, valid during the call; else -errno. */
struct blob_answer {
    int err;
    const struct iovec *span;
    int count;
};

/* Reads `len` bytes at `off`, cut to the size (0 bytes at or after the end). `done` is called
 * exactly once, now on this thread or later on one of the pool, unless blob_cancel() takes the read
 * back. Any thread; may read the cache's disk, never waits for the network. */
void blob_read(struct blob *b, uint64_t off, size_t len,
               void (*done)(void *arg, struct blob_answer a), void *arg);

/* Takes a parked read back whose `arg` satisfies `is`: returns that arg, and its done is never
 * called; NULL: there is none (it is being answered). */
void *blob_cancel(struct blob *b, bool (*is)(const void *arg, const void *wanted),
                  const void *wanted);

/* True while nobody but the caller holds a reference. */
bool blob_idle(const struct blob *b);

/* True once its content is no more what the origin or the cache's name stands for: open another. */
bool blob_spent(const struct blob *b);

/* Marks it as changed at the origin: reads, parked ones too, get -ESTALE. */
void blob_retire(struct blob *b);

/* Asks the origin for the object's size: HEAD, else a range of two bytes, else the whole body is
 * counted. `done` comes exactly once, on a thread of the pool: 0 and the version, or -errno.
 * `background`: others go first. */
void blob_learn(struct blob_env *env, const struct blob_object *o, bool background,
                void (*done)(void *arg, int err, const struct blob_version *v), void *arg);

#endif
