/* Inside the content cache.
 *
 * An object goes through: busy (in the table, its row being read or its file being removed: whoever
 * wants it waits), live (in the table, with references by open files and by the queue), evicted
 * (out of the table; its file has no name or soon none, its rows are nobody's business any more),
 * freed with the last reference.
 *
 * One lock (store.lock, never held across I/O) guards the table, the queue and the sums. The state
 * of a piece is an atomic: its checksum is written before it, its block is marked dirty after it.
 * The keeper alone writes the index.
 *
 * store.sum is, at any moment, the sum of `held` over all rows whose object is not in the table,
 * and of held + stale over all that is.
 *
 * An object's file holds its text at 0 and, behind that, a slot for each block's packed form; one
 * of the two is a hole, or soon will be. A block goes from pieces to packed so: the packed form is
 * written to the slot; under the lock all its pieces become PACKED; the keeper writes the row; the
 * packing thread waits until that is committed and nobody has a lease on the mapping, and gives the
 * pieces' bytes back to the disk. A lease is counted before the pieces are looked at, and looked at
 * by the packing thread after they became PACKED: no reader ever sees the hole. Writers of either
 * form are counted in the cell, and wait while bytes are given back. */
#ifndef BLOB_STORE_I_H
#define BLOB_STORE_I_H

#include "base/buf.h"
#include "base/lock.h"
#include "blob/store.h"
#include "db/db.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#define STORE_SIZE_MAX ((uint64_t)256 << 30) /* of one object: its table of pieces is memory */

enum {
    STORE_TAG_MAX = 63,
    STORE_BUCKETS = 1024,
    STORE_FOLDERS = 256,    /* below data/, by the first byte of the id */
    STORE_SLOT_MORE = 4096, /* a packed form may be longer than its text by less than that */
};

enum store_table { STORE_T_OBJECT, STORE_T_BLOCK, STORE_T_LRU, STORE_TABLES };

extern const char *const store_tables[STORE_TABLES]; /* their names */

/* What is held: bytes on disk, of text, and those on disk that are packed. */
struct store_sum {
    uint64_t disk, text, packed;
};

/* Adds, modulo 2^64. */
static inline void store_sum_add(struct store_sum *to, struct store_sum more)
{
    to->disk += more.disk;
    to->text += more.text;
    to->packed += more.packed;
}

/* Takes away, modulo 2^64. */
static inline void store_sum_sub(struct store_sum *from, struct store_sum less)
{
    from->disk -= less.disk;
    from->text -= less.text;
    from->packed -= less.packed;
}

/* True where all numbers are the same. */
static inline bool store_sum_equal(struct store_sum a, struct store_sum b)
{
    return a.disk == b.disk && a.text == b.text && a.packed == b.packed;
}

/* Row of an object. */
struct store_row {
    uint64_t size;
    struct store_sum held; /* what its blocks name */
    uint64_t use; /* its place in the order of use, about milliseconds since 1970; unique */
    char tag[STORE_TAG_MAX + 1];
};

enum store_form {
    STORE_FORM_PIECES, /* bits and sum */
    STORE_FORM_PACKED, /* packed */
};

/* Row of a block. */
struct store_block {
    uint8_t form;                     /* enum store_form; others are of later versions */
    uint8_t version;                  /* of the row: 0 */
    uint32_t bits;                    /* pieces that are there */
    uint64_t sum[STORE_BLOCK_PIECES]; /* by piece; 0 where it is not there */
    struct store_packed packed;
};

/* Appends a row's bytes to `out`. */
void store_row_encode(const struct store_row *row, struct buf *out);

/* 0, or -EBADMSG for bytes that store_row_encode() does not make. */
int store_row_decode(const void *data, size_t len, struct store_row *row);

/* Appends a block's bytes to `out`. */
void store_block_encode(const struct store_block *block, struct buf *out);

/* 0; -ENOTSUP for a row of a later version; -EBADMSG for other bytes that store_block_encode() does
 * not make. */
int store_block_decode(const void *data, size_t len, struct store_block *block);

/* The index while it is open; counted references, so that it can be begun anew below its readers.
 */
struct store_index {
    struct db *db;
    atomic_uint refs;
    dev_t dev;
    ino_t ino;
};

struct store_totals {
    uint64_t objects, last_use;
    struct store_sum sum;
};

/* A block in memory. */
struct store_cell {
    atomic_uint readers; /* leases on its part of the mapping */
    /* By store.lock: */
    bool packed; /* the pieces' states say the same to those without the lock */
    bool busy;   /* bytes are being given back: writers wait */
    bool wanted; /* to be packed */
    bool tried;  /* packing does not pay */
    bool spare;  /* the form that does not count may take room on the disk */
    unsigned writers;
    int64_t wanted_ms;
    uint64_t spare_since; /* value of object.changes; given back once that is committed */
    struct store_packed as;
};

struct store_object {
    struct store *store;
    struct store_object *next;       /* in its bucket */
    struct store_object *queue_next; /* in the queue */
    struct hash_id id;
    uint64_t size;
    uint32_t pieces;
    /* By store.lock: */
    unsigned refs;
    bool in_table, busy, queued;
    bool touched;                   /* used since its row was written */
    bool indexed;                   /* has a row */
    bool forget;                    /* its row describes a file that is gone: delete it first */
    bool pack_queued;               /* on the packing thread's list */
    struct store_object *pack_next; /* there */
    struct store_sum held, row_held, stale; /* here, as its row says, and of a row to forget */
    uint64_t changes, committed; /* number of changes to its blocks; what the index has of them */
    char tag[STORE_TAG_MAX + 1];
    /* Anybody's: */
    _Atomic bool evicted;
    _Atomic int64_t touched_ms;
    _Atomic uint8_t *state; /* enum store_state, by piece */
    _Atomic uint8_t *dirty; /* by block */
    uint32_t blocks;
    struct store_cell *cell; /* by block */
    _Atomic uint64_t sum[];  /* by piece; cell, state and dirty lie behind it */
};

struct store_file {
    struct store_object *object;
    int fd;
    unsigned char *map;
};

struct store {
    char dir[PATH_MAX - 64];
    uint64_t size, min_free;
    pthread_t keeper;
    struct lock lock;
    /* By lock: */
    pthread_cond_t wake;    /* the keeper */
    pthread_cond_t changed; /* an object is no longer busy, or a flush is done */
    struct store_object *bucket[STORE_BUCKETS];
    struct store_object *queue, **queue_end;
    uint64_t queued;
    struct store_index *index; /* NULL while there can be none */
    uint64_t objects;
    struct store_sum sum;
    struct store_packer *packer; /* NULL: nothing is packed */
    uint64_t flush_wanted, flush_done;
    bool closing, urgent, squeezed /* the disk was full */, index_bad,
        ailing /* the sick line is in the log */;
    /* Anybody's: */
    _Atomic uint64_t reserve, evicted, damaged, write_errors, packed_blocks;
    _Atomic int64_t sick_until;
    /* The keeper's: */
    uint64_t last_use;
    int64_t last_round, sync_due, sweep_due, index_due; /* clock_ms(), or INT64_MAX for never */
    int64_t free_due; /* not before is the free disk looked at again */
    unsigned sweep_at;
};

/* Bytes of a piece: 128 KiB, less for the last one. */
size_t store_piece_len(const struct store_object *o, uint32_t piece);

/* Writes the path of an object's file. */
void store_path(const struct store *s, const struct hash_id *id, char out[PATH_MAX]);

/* Notes that writing failed or worked: sickness and its two log lines. */
void store_note_write(struct store *s, int err);

/* ---- the table of objects (store_object.c) ---- */

/* A new object with one reference, outside the table; NULL when out of memory. */
struct store_object *store_object_new(struct store *s, const struct hash_id *id, uint64_t size);

/* Looks up; NULL when it is not in the table. With the lock held. */
struct store_object *store_object_find(struct store *s, const struct hash_id *id);

/* Puts an object into the table. With the lock held. */
void store_object_insert(struct store_object *o);

/* Takes an object out of the table, if it is there. With the lock held. */
void store_object_remove(struct store_object *o);

/* Gives a reference back. When the last one goes, a file that holds nothing and has no row is
 * removed: disk I/O. */
void store_object_unref(struct store_object *o);

/* Hands an object to the keeper unless it waits there already. With the lock held. */
void store_object_queue(struct store_object *o);

/* Takes the first object off the queue, with its reference; NULL at the end. With the lock held. */
struct store_object *store_object_dequeue(struct store *s);

/* Ends an object that is live: evicted, out of the table, its row left to be found stale. With the
 * lock held. */
void store_object_drop(struct store_object *o);

/* Claims an id for removal: the object, busy and evicted, with a reference; NULL when it is busy,
 * or open and not `open_too`. Takes the lock. */
struct store_object *store_object_claim(struct store *s, const struct hash_id *id, bool open_too);

/* Ends a claim and wakes who waits for it. `had_row`: its row of `row_held` was deleted. Takes the
 * lock. */
void store_object_release(struct store_object *o, bool had_row, struct store_sum row_held);

/* ---- an object's file (store_file.c) ---- */

/* Opens the file of a live object: 0 and *fd; -ESTALE where there is no such file, or the object
 * was evicted; or -errno. */
int store_open_file(const struct store_object *o, int *fd);

/* The index is to learn what became of a block, by one of its pieces. With the lock held. */
void store_note_change(struct store_object *o, uint32_t piece);

/* ---- packed blocks (store_packed.c, store_pack.c) ---- */

/* Bytes of text of a block: 4 MiB, less for the last one. */
size_t store_block_len(const struct store_object *o, uint32_t block);

/* Where a block's packed form is in the file, and how long it may be. */
uint64_t store_slot(const struct store_object *o, uint32_t block);
/* The longest packed form of a block. */
size_t store_slot_len(const struct store_object *o, uint32_t block);

/* What a packed block adds to the sums. */
struct store_sum store_packed_sum(const struct store_packed *p);

/* Counts a writer of a piece or of the packed form, once nobody gives bytes of the block back: 0; 1
 * where it is packed already (nobody was counted); -EBUSY after some seconds. Takes the lock. */
int store_cell_enter(struct store_object *o, uint32_t block);

/* True where all pieces of a block are PRESENT. No lock. */
bool store_block_whole(const struct store_object *o, uint32_t block);

/* Makes a block PACKED: its form is in the slot. With the lock held. */
void store_become_packed(struct store_object *o, uint32_t block, const struct store_packed *p);

/* Asks for packing where a block is whole and packing may pay. With the lock held. */
void store_want_packed(struct store_object *o, uint32_t block);

/* Looks for room that an object's file takes for nothing (after a kill), by what its descriptor
 * tells: notes it in the cells. For one that was loaded just now. */
void store_find_spare(struct store_object *o, int fd);

/* Puts an object on the packing thread's list, if there is one. With the lock held. */
void store_pack_queue(struct store_object *o);

/* Wakes the packing thread: a commit may be what it waits for. With the lock held. */
void store_pack_wake(struct store *s);

/* ---- the index (store_index.c) ---- */

/* Opens the index of `dir`, anew where it is damaged, and adds it up. 0 or -errno with `e`. */
int store_index_open(const char *dir, struct store_index **out, struct store_totals *totals,
                     struct err *e);

/* Removes the files of the index. */
void store_index_remove(const char *dir);

/* True when the file of the index is no longer the one that is open. */
bool store_index_lost(const struct store_index *ix, const char *dir);

/* The index with a reference, or NULL. Takes the lock. */
struct store_index *store_index_ref(struct store *s);

/* Gives a reference back; the last one closes. NULL is fine. */
void store_index_unref(struct store_index *ix);

/* Reads an object's row: 1, 0 when there is none, or -errno (-EBADMSG: damaged). */
int store_index_row(struct db_txn *t, const struct hash_id *id, struct store_row *row);

/* Fills an object from its rows, its pieces UNPROVED: 1, 0 when there is none, or -errno. */
int store_index_load(struct store_index *ix, struct store_object *o, struct store_row *row);

/* Writes an object's row and its place in the order of use; `old_use` is its place until now, or 0.
 */
void store_index_put(struct db_txn *t, const struct hash_id *id, const struct store_row *row,
                     uint64_t old_use);

/* Writes a block's row, or deletes it when it has no piece. */
void store_index_put_block(struct db_txn *t, const struct hash_id *id, uint32_t number,
                           const struct store_block *block);

/* Deletes all rows of an object. `use`: a place in the order of use that is to go too. */
void store_index_delete(struct db_txn *t, const struct hash_id *id, uint64_t use);

/* The key of a place in the order of use. */
struct db_key store_index_use_key(uint64_t use, const struct hash_id *id);

/* ---- after a power cut (store_salvage.c) ----
 * The index is written without waiting for the disk: kill -9 does not hurt it, a machine that stops
 * can tear it. A mark with the boot's id is there while the index is open; found after another
 * boot, the rows are copied to a new file. */

/* Puts a sound index in place of one that may be torn, or none. A child process does the reading.
 */
void store_salvage(const char *dir);

/* Writes the mark. */
void store_salvage_mark(const char *dir);

/* Removes the mark: the index is on disk. */
void store_salvage_unmark(const char *dir);

/* ---- the keeper (store_keeper.c, store_persist.c, store_evict.c) ---- */

/* Runs until s->closing; the argument is the store. */
void *store_keeper(void *store);

/* Writes the rows of all that is queued. Returns true when something was written. */
bool store_persist(struct store *s, struct store_index *ix);

/* Removes objects until the cache is small enough, if it is too large. Returns true when something
 * was removed. */
bool store_evict(struct store *s, struct store_index *ix);

/* Removes the files without a row of one of the STORE_FOLDERS. Returns true when there was such a
 * folder. */
bool store_sweep(struct store *s, struct store_index *ix, unsigned folder);

#endif
