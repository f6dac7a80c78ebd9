/* One block of a file's bytes (text, we say, though it may be binary) to one packed block, and
 * back, byte for byte. Blocks stand alone. Pure: no I/O, no globals; all memory is in the arena of
 * a coder, which is one thread's at a time.
 *
 * A packed block begins with a byte of codec id and a byte of version. The encoder proves what it
 * made by decoding it; what does not come back the same goes to a simpler codec. The decoder takes
 * hostile input: it writes at most the declared length, in bounded memory and time. */
#ifndef CODEC_BLOCK_H
#define CODEC_BLOCK_H

#include "codec/facts.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CODEC_BLOCK_MAX = 4 << 20, /* bytes of text in a block */
    CODEC_HEAD = 2,            /* id and version */
};

/* First byte of a packed block. Ids up to 15 are for blocks, from 16 on for whole files (the bytes
 * of such a file are one packed unit). */
enum codec_id {
    CODEC_RAW = 0,
    CODEC_ZSTD = 1,
    CODEC_MESH = 2, /* STL text or binary STL as a mesh */
};

enum codec_effort {
    CODEC_FAST,
    CODEC_SMALL, /* smaller by some percent, 4 times slower to make, as fast to read */
};

struct codec;

/* A coder; `encode`: for both ways (some 20 MiB), else for opening packed blocks only (3 MiB, 12
 * for the largest binary blocks; pages that no block needs stay untouched). NULL when out of
 * memory.
 */
struct codec *codec_new(int encode);

/* Frees it and empties *c; NULL inside is fine. */
void codec_free(struct codec **c);

/* Room that packing `len` bytes of text may need. */
size_t codec_bound(size_t len);

/* Packs text[0, len), len 1 to CODEC_BLOCK_MAX, which stands at `offset` of its file, into `out`
 * (codec_bound(len) bytes). Returns the packed length. Never fails: raw is always left. `facts`,
 * where not NULL, gets what the block tells of its mesh (facts.h). */
size_t codec_encode(struct codec *c, const void *text, size_t len, uint64_t offset,
                    enum codec_effort effort, unsigned char *out, struct facts_part *facts);

/* A packed block that is open: its mesh in memory (some 20 bytes a facet, 12 more where normals are
 * stored), unprinted, with an entry point each 208 facets (64 KiB of VTK's text). Its memory is its
 * own; it keeps no pointer to the packed bytes. After it was opened it is read only: any
 * number of threads may read it. */
struct codec_open;

/* Opens a packed block whose text has `text_len` bytes. 0, -EBADMSG (damaged), -ENOTSUP (an id or
 * a version that this program lacks) or -ENOMEM. */
int codec_open(struct codec *c, const void *packed, size_t len, size_t text_len,
               struct codec_open **out);

/* Frees it and empties *o; NULL inside is fine. */
void codec_close(struct codec_open **o);

/* Bytes of memory that it takes. */
size_t codec_open_size(const struct codec_open *o);

/* Writes text[off, off + len) to `out`, exactly; the range is within the block. `c` is scratch
 * memory. 0, or -EBADMSG where the mesh does not print as long as declared (a hostile block; what
 * was written is worthless then). */
int codec_read(struct codec *c, const struct codec_open *o, size_t off, size_t len, void *out);

/* Unpacks a whole block into `out` of `text_len` bytes: open, read and close without memory of its
 * own. Errors as for both. */
int codec_decode(struct codec *c, const void *packed, size_t len, void *out, size_t text_len);

/* The codec's name of an id ("raw", "zstd", "mesh"), or "unknown". */
const char *codec_name(unsigned id);

#endif
