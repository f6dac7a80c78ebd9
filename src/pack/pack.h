/* One file of many packed shapes (.shapepack). packaging/man/shapepack.5 specifies the bytes; this
 * is their reader and writer. Everything that is read is taken as if an enemy had written it:
 * lengths are checked before they are used, memory is bounded whatever the pack says.
 *
 * A pack is: a head, packed blocks back to back, the catalogue (pages of rows in order of path), a
 * trailer of fixed size at the very end. What an append adds comes after the old trailer and ends
 * in a catalogue and a trailer of its own; the old ones are dead bytes then. */
#ifndef PACK_PACK_H
#define PACK_PACK_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/block.h"
#include "codec/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_SIZE_MAX ((uint64_t)1 << 37) /* of a file in a pack: its row fits into a page */

enum {
    PACK_HEAD = 16,
    PACK_TRAILER = 64,
    PACK_TAIL = 64 << 10,      /* what a reader asks for first, from the end */
    PACK_PAGE_MAX = 1 << 20,   /* bytes of a page of the catalogue, unpacked */
    PACK_BLOCKS_MAX = 1 << 15, /* of a file */
    PACK_PATH_MAX = 4096,
    PACK_SHA256 = 32,
};

enum pack_type { PACK_FILE = 0, PACK_FOLDER = 1 /* an empty one */ };

/* One packed block of a file, in file order. A file's blocks lie back to back; all have the same
 * length of text (CODEC_BLOCK_MAX in packs that were written here) but the last. */
struct pack_block {
    uint64_t offset;     /* in the pack */
    uint32_t packed;     /* bytes there; at most text + CODEC_HEAD */
    uint64_t text;       /* bytes of text; over CODEC_BLOCK_MAX: of a codec of whole files */
    uint64_t packed_sum; /* XXH3-64 */
    uint64_t text_sum;
};

/* One path. Texts and blocks live until the next row is read. Slices are not NUL-terminated. */
struct pack_slice {
    const char *s;
    size_t len;
};

struct pack_row {
    struct pack_slice path; /* relative, no empty, "." or ".." component, no NUL; any other bytes */
    uint8_t type;
    uint64_t size;
    int64_t mtime; /* seconds since 1970 */
    uint32_t mtime_ns;
    unsigned char sha256[PACK_SHA256]; /* of the file's bytes */
    struct pack_slice url, dataset,
        etag; /* where it came from; empty where unknown. etag: the origin's */
    bool has_facts;
    struct facts facts;
    const struct pack_block *block;
    size_t blocks;
};

/* ---- reading ----
 *
 * The text of an error has no name of the pack, which these functions do not know: who calls puts
 * it in front (err_prefix()). Those of pack_file_open() and of the writer have it. */

/* Where a pack's bytes come from: exactly `len` bytes at `off`, 0 or -errno. */
struct pack_io {
    int (*read)(void *arg, uint64_t off, size_t len, void *out);
    void *arg;
    uint64_t size; /* of the pack */
};

/* What the trailer says. */
struct pack_trailer {
    uint64_t catalogue, catalogue_len; /* its place in the pack */
    uint64_t files;                    /* rows */
    uint64_t text;                     /* sum of sizes */
    uint64_t catalogue_sum; /* over all of the catalogue: the identity of this pack's content */
};

/* Reads a trailer from the last PACK_TRAILER bytes of a pack of `size` bytes. 0; -EBADMSG with `e`:
 * no pack, cut short or damaged; -ENOTSUP with `e`: of a later version. Pure. */
int pack_trailer_read(const void *bytes, uint64_t size, struct pack_trailer *t, struct err *e);

struct pack;

/* Opens a pack through `io`, which must outlive it: one read of the tail (the last PACK_TAIL bytes,
 * or all of a smaller pack). The catalogue is read as rows are asked for, page by page in ascending
 * order, each by two reads, and what lies in the tail by none: an io over a network fetches
 * [catalogue, size - PACK_TAIL) at once on the first read of it. Errors as pack_trailer_read(), or
 * those of io. */
int pack_open(const struct pack_io *io, struct pack **out, struct err *e);

/* Frees it and empties *p; NULL inside is fine. */
void pack_close(struct pack **p);

/* Its trailer; lives as long as the pack is open. */
const struct pack_trailer *pack_trailer(const struct pack *p);

/* The next row, in ascending order of path: 1, 0 at the end, or -errno with `e` (-EBADMSG names
 * what is wrong: two rows of one path, a path that climbs, a file where a folder is, blocks that do
 * not add up to the size or lie outside the pack, ...). After -EBADMSG another call goes on behind
 * the damage, as well as it can; 0 comes only once. Rows that were all read without an error are
 * the whole catalogue. */
int pack_next(struct pack *p, struct pack_row *row, struct err *e);

/* Goes to the first row again. */
void pack_rewind(struct pack *p);

/* The next record of a dataset, in ascending order of id: its id and its entry as JSON (catalogue's
 * own form, with licence and citation; not checked here): 1, 0 at the end, or -errno with `e`.
 * Independent of pack_next(). Both live until the next call. */
int pack_next_dataset(struct pack *p, struct pack_slice *id, struct pack_slice *json,
                      struct err *e);

/* A pack that is a local file: checks its head and fills `io`, which pack_file_close() ends. Where
 * an append was cut short, io->size ends before it, at the last good trailer, and the log has a
 * line. Any thread may read by it. 0 or -errno with `e`. */
int pack_file_open(const char *path, struct pack_io *io, struct err *e);
/* Closes and empties; NULL inside is fine. */
void pack_file_close(struct pack_io *io);

/* Reads one block through `io`, checks it, unpacks it into `out` (block->text bytes). `scratch` is
 * kept by the caller between calls. 0; -EBADMSG: it is damaged; -ENOTSUP: it is of a codec that
 * this program lacks; other -errno. */
int pack_read_block(const struct pack_io *io, struct codec *c, const struct pack_block *block,
                    struct buf *scratch, void *out);

/* ---- writing ---- */

enum { PACK_THREADS = 16 };

struct pack_writer;

struct pack_writer_options {
    const char *path; /* of the pack; it is written as PATH.partial and renamed at the end */
    bool replace;     /* an old file of that name may be replaced, else -EEXIST */
    bool append;      /* adds to the pack that is there (or begins one) */
    enum codec_effort effort;
    unsigned threads; /* that pack; 0: one for each CPU, at most PACK_THREADS */
    /* Called now and then on the caller's thread inside pack_writer_*(); may be NULL. */
    void (*progress)(void *arg, uint64_t text, uint64_t packed);
    void *arg;
};

/* A file to add. */
struct pack_item {
    struct pack_slice path;
    uint8_t type;
    int64_t mtime;
    uint32_t mtime_ns;
    struct pack_slice url, dataset, etag;
};

/* Begins a pack. 0 or -errno with `e`. */
int pack_writer_open(const struct pack_writer_options *o, struct pack_writer **out, struct err *e);

/* Adds a file whose bytes `read` gives in order (returns how many, 0 at the end, or -errno, which
 * is returned: nothing of the file is in the pack then). Blocks are packed by the threads while the
 * next are read. Add the small files of a folder one after another: they lie beside each other.
 * Memory, for any size and number of files: 20 MiB and, a thread, 15 MiB (binary STL: up to 50),
 * and up to 48 MiB more while a shape has over a million vertices. 0 or -errno with `e`. */
int pack_writer_add(struct pack_writer *w, const struct pack_item *item,
                    int64_t (*read)(void *arg, void *buf, size_t len), void *arg, struct err *e);

/* Adds a file whose packed blocks are at hand already (from a pack or a cache): `row` as
 * pack_next() gave it, with each block's bytes by `io` at its offset; their packed sums are
 * checked. 0 or -errno with `e`. */
int pack_writer_copy(struct pack_writer *w, const struct pack_row *row, const struct pack_io *io,
                     struct err *e);

/* Adds a dataset's entry; the same id once more replaces the older one. 0 or -errno with `e`. */
int pack_writer_dataset(struct pack_writer *w, const char *id, const char *json, struct err *e);

/* Bytes that the pack has so far, without its catalogue; what is still being packed (some MiB at
 * most) joins them later. */
uint64_t pack_writer_size(const struct pack_writer *w);

/* Ends: catalogue, trailer, fsync, rename. Empties *w whatever comes. 0; -EEXIST with `e`: two
 * files of one path; -ENOTDIR: a file where another path has a folder; other -errno. Then nothing
 * is left but what was there before. */
int pack_writer_end(struct pack_writer **w, struct err *e);

/* Gives up: removes what was written, empties *w. NULL inside is fine. */
void pack_writer_abort(struct pack_writer **w);

#endif
