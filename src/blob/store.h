/* The content cache on disk: one sparse file an object, pieces with checksums, an LMDB index, least
 * recently used eviction. Safe to delete at any time; a row is written after its data, and no row
 * is trusted after a start before its piece's checksum has matched once.
 *
 * Two units. A piece (128 KiB) is fetched, present and checksummed; a block (32 pieces, 4 MiB) is
 * what a codec packs, and has one row in the index: a bit and a checksum for each piece, or, once
 * it is packed, codec, lengths and two checksums. One cache may hold both forms, and one object
 * too.
 *
 * Numbers: "disk" is what is taken (a packed block's length rounded up to 4 KiB), and what the
 * limit counts; "text" is what can be read of it. */
#ifndef BLOB_STORE_H
#define BLOB_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_PIECE = 128 * 1024,
    STORE_BLOCK_PIECES = 32,
    STORE_BLOCK = STORE_BLOCK_PIECES * STORE_PIECE,
};

enum store_state {
    STORE_ABSENT,
    STORE_UNPROVED, /* the index says that it is there; store_prove() must say so first */
    STORE_PRESENT,
    STORE_PACKED, /* its block is: store_read_packed() and a codec bring it back */
};

/* A packed block. */
struct store_packed {
    uint8_t codec, version; /* its first two bytes */
    uint32_t len;           /* bytes, packed */
    uint64_t text;          /* bytes, unpacked */
    uint64_t packed_sum;    /* XXH3-64 */
    uint64_t text_sum;
    uint32_t turn; /* tells this packed form from a later one of the same block */
};

struct store;
struct store_file; /* an object that is open; counted references */

/* Opens or creates the cache in folder `dir` (made when missing), at most `size` bytes in all,
 * `reserve` of which other folders of the same cache already take, keeping `min_free` bytes of the
 * disk free. A damaged index is thrown away and begun anew. Starts the keeper thread (the only
 * writer of the index), which persists, touches, evicts, and sweeps files that no row names. 0 or
 * -errno with `e`. Call after fork(). */
int store_open(const char *dir, uint64_t size, uint64_t min_free, struct store **out,
               struct err *e);

/* Persists what is left, ends the keeper, empties *s. All files must have been put back. */
void store_close(struct store **s);

/* Bytes that the rest of cache.dir (catalogue, facts) takes: counts against `size`. Any thread. */
void store_reserve(struct store *s, uint64_t bytes);

/* Opens an object of `size` bytes (0 is fine), new or as the index has it. `tag` (at most 63 bytes:
 * the dataset's id) is kept with it for store_usage(). One id should not be open twice: the
 * caller keeps a table. 0, or -errno (also -EMFILE, -EBUSY while the object is being removed): read
 * without the cache. Disk I/O. */
int store_get(struct store *s, const struct hash_id *id, uint64_t size, const char *tag,
              struct store_file **out);

/* Gives an object back, empties *f; its mapping ends here. NULL inside is fine. Any thread. */
void store_put(struct store_file **f);

/* Number of pieces: size / 128 KiB, rounded up. */
uint32_t store_pieces(const struct store_file *f);

/* The state of a piece. Any thread, no lock, no I/O. */
enum store_state store_state(const struct store_file *f, uint32_t piece);

/* Reads an UNPROVED piece and compares its checksum: 0 and it is PRESENT; -EBADMSG and it is ABSENT
 * (it was damaged; the index forgets it); other -errno: the disk. Disk I/O; any thread, the same
 * piece at once too. */
int store_prove(struct store_file *f, uint32_t piece);

/* Writes a whole piece (the last one may be short), makes it PRESENT and hands its row to the
 * keeper. 0 or -errno
 * (-ENOSPC, -EIO): nothing has changed then, and the store counts as sick for 30 s. Disk I/O; any
 * thread, pieces of one file at once too. */
int store_write(struct store_file *f, uint32_t piece, const void *data, size_t len);

/* A range of the object, mapped read-only, where all its pieces are PRESENT, else NULL. They stay
 * as they are until store_release(), which is to come soon: packing waits for it. Better looked at
 * by write(2) than by the CPU: a file that somebody cut short gives SIGBUS. Any thread; no lock, no
 * I/O.
 */
const unsigned char *store_lease(struct store_file *f, uint64_t off, size_t len);

/* Ends a lease of exactly that range. */
void store_release(struct store_file *f, uint64_t off, size_t len);

/* Copies a range whose pieces are all PRESENT: 0; -EBADMSG where they are not (any more); other
 * -errno: the disk. Disk I/O; any thread. */
int store_read(struct store_file *f, uint64_t off, size_t len, void *out);

/* Reads a packed block's bytes over `packed` and tells what it is: 0; -ENOENT: it is not packed;
 * -EBADMSG: it was damaged, and is ABSENT now; other -errno: the disk, or memory. Disk I/O; any
 * thread. */
int store_read_packed(struct store_file *f, uint32_t block, struct buf *packed,
                      struct store_packed *info);

/* Has the disk fetch a packed block's bytes, without waiting, before they are asked for. Any
 * thread.
 */
void store_hint_packed(struct store_file *f, uint32_t block);

/* The packed form that `info` tells does not decode, or not to its text: the block becomes ABSENT,
 * unless it is another one by now. `damaged`: counts as such (an unknown codec does not). */
void store_drop_packed(struct store_file *f, uint32_t block, const struct store_packed *info,
                       bool damaged);

/* Keeps a block as it came packed (`text_sum` is believed): checks packed_sum, writes, makes it
 * PACKED and hands its row to the keeper. 0, also where it is there already; -EBADMSG: the sum does
 * not match; -EINVAL: no such block, or longer than its text and 4 KiB; other -errno as
 * store_write(). Disk I/O; any thread. */
int store_write_packed(struct store_file *f, uint32_t block, const void *packed, size_t len,
                       uint64_t packed_sum, uint64_t text_sum);

/* Starts the thread that has blocks packed whose pieces are all PRESENT, at the lowest priority:
 * while `busy` says false, or once a block has been complete for 2 s. What does not get smaller by
 * a quarter stays as it is. -EOPNOTSUPP: the file system cannot give a part of a file back, all
 * stays as it is; else 0 or -errno. */
int store_pack_start(struct store *s, bool (*busy)(void *arg), void *arg);

/* Ends it, after the block that it is at; what waits is packed when it is read again. Without
 * effect where it does not run. */
void store_pack_stop(struct store *s);

/* Notes a use, at most once a minute a file. Any thread; no I/O. */
void store_touch(struct store_file *f);

/* True once eviction took the file's name away: whoever opens the object next must get a new
 * store_file. Any thread. */
bool store_evicted(const struct store_file *f);

/* True while writes are not worth trying (a write failed less than 30 s ago). Any thread. */
bool store_sick(const struct store *s);

/* Waits until all that was written before is in the index. For tests and before an orderly end. */
void store_flush(struct store *s);

struct store_stats {
    uint64_t objects, bytes, limit;          /* what is held, on disk */
    uint64_t text;                           /* the same as text */
    uint64_t packed_text, packed_bytes;      /* those of packed blocks: text, and what they take */
    uint64_t evicted, damaged, write_errors; /* since the start */
    uint64_t packed_blocks;                  /* since the start, here or at the source */
};

/* Bytes of an object's text that are held, open or not. Any thread; reads the index. */
uint64_t store_held(struct store *s, const struct hash_id *id);

/* Counters. Any thread. */
void store_stats(struct store *s, struct store_stats *out);

/* Calls `row` with each tag and the bytes held under it, as text and on disk, from the index in
 * `dir`, without a running store or beside that of another process (not in the process that has the
 * store open: LMDB takes a file once a process); stops when it returns non-zero, which is returned.
 * -ENOENT when there is no index. */
int store_usage(const char *dir,
                int (*row)(void *arg, const char *tag, uint64_t text, uint64_t disk), void *arg);

#endif
