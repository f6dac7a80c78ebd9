/* Packed blocks that were unpacked lately: one bounded set for the whole daemon, shared by all
 * readers. A block is in it once, in one of two forms: open (its mesh; only what is asked for is
 * printed, for random readers) or as text (all of it, for sequential readers and ahead of them).
 *
 * Entries go by content, so that none is ever wrong: an object's name in the cache stands for one
 * version of its bytes. Nobody unpacks a block twice at once: who comes second is told when the
 * first one is through. Unpacking is done by jobs of the pool. */
#ifndef BLOB_DECODED_I_H
#define BLOB_DECODED_I_H

#include "base/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DECODED_LIMIT = 24 << 20, /* bytes of all entries; with the coders' memory some 32 MiB */
    DECODED_AHEAD = 3,        /* blocks ahead of a sequential reader */
};

struct blob;
struct decoded;       /* the set */
struct decoded_block; /* an entry */

/* Who waits for a block; embedded in the caller's own. */
struct decoded_wait {
    struct decoded_wait *next;
    /* Once, on a thread of the pool, no lock held: 0: ask again, it is there; -EBADMSG: it was
     * damaged, and is no longer packed; else -errno. */
    void (*ready)(struct decoded_wait *self, int err);
};

/* An empty set, whose jobs run on `pool`; NULL when out of memory. */
struct decoded *decoded_create(struct pool *pool);

/* Frees it and empties *s; the pool has ended. NULL inside is fine. */
void decoded_destroy(struct decoded **s);

/* Gives block `block` of `b`, which is packed, in either form: 0 and *out, pinned; 1: `w` is told
 * later (its form is then text where `text` says so); -ENOMEM. `w` NULL: asks only for what is
 * there
 * (-EAGAIN: not yet). Any thread; no I/O. */
int decoded_get(struct blob *b, uint32_t block, bool text, struct decoded_wait *w,
                struct decoded_block **out);

/* Has a block unpacked as text, unless it is there or the set is full of such. */
void decoded_ahead(struct blob *b, uint32_t block);

/* Its whole text, as long as it is pinned; NULL: it is open only. */
const unsigned char *decoded_text(const struct decoded_block *d);

/* Copies or prints a part of it: 0, -EBADMSG (and the block is no longer packed) or -ENOMEM. */
int decoded_copy(struct blob *b, struct decoded_block *d, size_t off, size_t len, void *out);

/* Unpins. */
void decoded_put(struct decoded *s, struct decoded_block *d);

/* Frees what nobody has used for some seconds; true where something is left. */
bool decoded_trim(struct decoded *s);

#endif
