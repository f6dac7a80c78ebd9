/* Blocks of text through threads that pack them, out again in the order in which they came in. */
#ifndef PACK_PIPE_I_H
#define PACK_PIPE_I_H

#include "codec/block.h"

#include <stdbool.h>

struct pack_pipe;

/* A block on its way. */
struct pack_slot {
    unsigned char *bytes; /* CODEC_BLOCK_MAX bytes of text; packed ones once it comes out */
    size_t len;           /* of the text */
    uint64_t offset;      /* in its file */
    bool shape;           /* facts are wanted */
    void *owner;          /* the caller's */
    /* Once it comes out: */
    size_t packed_len;
    uint64_t packed_sum, text_sum;
    struct facts_part *facts; /* NULL unless wanted, or where there was no memory */
};

/* A pipe with `threads` threads; NULL when out of memory or threads. The caller's side is one
 * thread's. */
struct pack_pipe *pack_pipe_new(unsigned threads, enum codec_effort effort);

/* A free slot to fill, or NULL: take one out first. */
struct pack_slot *pack_pipe_free_slot(struct pack_pipe *p);

/* Sends the slot that pack_pipe_free_slot() gave on its way. */
void pack_pipe_put(struct pack_pipe *p);

/* The oldest block, packed; waits for it. NULL where the pipe is empty. Its memory is the pipe's,
 * until pack_pipe_done(). */
struct pack_slot *pack_pipe_take(struct pack_pipe *p);

/* Ends the use of what pack_pipe_take() gave. */
void pack_pipe_done(struct pack_pipe *p);

/* Waits for what is on its way, frees all and empties *p. NULL inside is fine. */
void pack_pipe_free(struct pack_pipe **p);

#endif
