/* The parts of the mesh coder, private to src/codec/. docs/codec.md specifies the bytes. */
#ifndef CODEC_MESH_I_H
#define CODEC_MESH_I_H

#include "codec/mesh.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#define MESH_NONE UINT32_MAX

enum {
    MESH_OPEN_MAX = 4, /* open edges that a vertex remembers, each way */
    MESH_CLASSES = 4,  /* of predictions, by how much is known */
    MESH_LOW_MAX = 24, /* low bits of a residual that are stored as they are, at most */
    MESH_ESCAPE = 255, /* the high part goes on in the stream of escapes */
    MESH_VARINT_MAX = 5,
    MESH_SMALL_FACETS = 2500, /* largest mesh that the small coder takes */
};

/* What a token means: ranges of numbers (docs/codec.md). */
enum mesh_token {
    TOKEN_NEW = 0,
    TOKEN_FAR = 1,      /* a number away from cursor 0 */
    TOKEN_BEFORE_A = 2, /* first corner: 3 corners of the facet before */
    TOKEN_OPEN_A = 5,   /* first corner: newest open edge out, in of those */
    TOKEN_IN = 2,       /* other corners: open edges into the corner before */
    TOKEN_OUT = 6,      /* other corners: open edges out of the first corner */
    TOKEN_BEFORE = 10,  /* other corners: 3 corners of the facet before */
    TOKEN_NEAR = 13,    /* 1 to 4 back from the newest vertex */
    TOKEN_AHEAD = 17,   /* 1st to 4th open vertex after cursor 0, then 1 */
    TOKEN_BACK = 25,    /* 1st, 2nd open vertex before cursor 0, then 1 */
    TOKEN_JUMP = 29,    /* 1st, 2nd open vertex from the mark of jumps on */
    TOKEN_FAR1 = 31,    /* a number away from cursor 1 */
    TOKENS,
};

typedef float mesh_v4 __attribute__((vector_size(16))); /* x, y, z, nothing */
typedef uint32_t mesh_u4 __attribute__((vector_size(16)));

/* A vertex' open edges, the newest first, then MESH_NONE: a cache line. */
struct mesh_link {
    mesh_u4 out, in;
    mesh_u4 facing; /* the corner opposite of edge out[i] in its facet */
    mesh_u4 unused;
};

/* A corner of a vertex: the two others of its facet, in order, and the vertex beyond the edge
 * between them; where there is none, the number of vertices, which is no vertex. */
struct mesh_corner {
    uint32_t y, z, o;
};

/* Bytes taken or given one after the other; `bad` once they ran out. */
struct mesh_bytes {
    unsigned char *p;
    const unsigned char *end;
    bool bad;
};

/* Bits, the lowest first. */
struct mesh_bits {
    uint64_t held;
    unsigned count; /* of bits held */
    struct mesh_bytes bytes;
};

/* How positions of a mesh are predicted and their residuals kept. */
struct mesh_shape {
    uint8_t smooth;                 /* rings correct the parallelograms */
    uint8_t planes;                 /* residuals as 4 byte planes, not as high and low parts */
    uint8_t scale[MESH_CLASSES][3]; /* exponent where the high part begins, by class and axis */
};

/* One prediction: the class, and by axis the exponent of the predicted value and the zigzag
 * residual. */
struct mesh_residual {
    uint32_t z[3];
    uint8_t exponent[3];
    uint8_t class;
};

struct mesh_small; /* the adaptive coder, see small.c */

struct mesh_coder {
    uint32_t facets; /* capacity */
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    void *arena;
    struct mesh_small *small;
    bool is_small; /* the mesh goes through `small`, not through the streams */

    struct mesh_link *link;
    uint32_t *across; /* by corner: the vertex beyond the edge that lies opposite, or MESH_NONE */

    uint32_t *start;         /* corners of vertex v: fan[start[v]] to fan[start[v + 1] - 1] */
    uint32_t *balance;       /* by vertex: 0 where its ring is closed */
    struct mesh_corner *fan; /* in order of the file */
    uint32_t *last;          /* by vertex: the one that completes its ring, or MESH_NONE */
    uint32_t *first, *next;  /* list of the vertices that vertex x completes */
    mesh_v4 *pos, *lap;      /* position; mean of the neighbours less position, once complete */
    struct mesh_shape shape;
    struct mesh_residual *residual; /* by vertex; encoder only */

    unsigned char *tokens, *high; /* streams */
    unsigned char *numbers, *escapes, *low, *planes;
    struct mesh_bytes number, escape;
    struct mesh_bits bits; /* low parts of residuals; with `small`, of numbers too */
};

/* A difference of either sign as a number that is small where that is. */
static inline uint32_t mesh_zigzag(uint32_t d)
{
    return d << 1 ^ (0u - (d >> 31));
}

/* The way back from mesh_zigzag(). */
static inline uint32_t mesh_unzigzag(uint32_t z)
{
    return z >> 1 ^ (0u - (z & 1));
}

/* Bits of x without leading zeros, 0 to 32. */
static inline unsigned mesh_bit_length(uint32_t x)
{
    return x == 0 ? 0 : 32 - (unsigned)__builtin_clz(x);
}

/* Takes a number of 1 to 5 bytes; 0 and `bad` where there is none. */
static inline uint32_t mesh_varint_get(struct mesh_bytes *b)
{
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 7 * MESH_VARINT_MAX; shift += 7) {
        if (b->p == b->end)
            break;
        uint32_t byte = *b->p++;
        v |= (byte & 127) << shift;
        if (byte < 128)
            return v;
    }
    b->bad = true;
    return 0;
}

/* Gives a number; room is the caller's care. */
static inline void mesh_varint_put(struct mesh_bytes *b, uint32_t v)
{
    for (; v > 127; v >>= 7)
        *b->p++ = (unsigned char)(v | 128);
    *b->p++ = (unsigned char)v;
}

/* Ready to put bits to `to` or to take them from there to `end`. */
static inline void mesh_bits_begin(struct mesh_bits *b, unsigned char *to, const unsigned char *end)
{
    *b = (struct mesh_bits){0, 0, {to, end, false}};
}

/* `n` bits at most 32; room is the caller's care. */
static inline void mesh_bits_put(struct mesh_bits *b, uint32_t value, unsigned n)
{
    b->held |= (uint64_t)value << b->count;
    b->count += n;
    for (; b->count >= 8; b->count -= 8) {
        *b->bytes.p++ = (unsigned char)b->held;
        b->held >>= 8;
    }
}

/* Gives the last bits, filled up with zeros to a byte. */
static inline void mesh_bits_flush(struct mesh_bits *b)
{
    if (b->count > 0)
        *b->bytes.p++ = (unsigned char)b->held;
    b->held = b->count = 0;
}

/* Holds at least 56 bits, where there are as many. */
static inline void mesh_bits_fill(struct mesh_bits *b)
{
    uint64_t next;
    if (b->bytes.end - b->bytes.p < (ptrdiff_t)sizeof(next)) {
        for (; b->count <= 56 && b->bytes.p < b->bytes.end; b->count += 8)
            b->held |= (uint64_t)*b->bytes.p++ << b->count;
        return;
    }
    memcpy(&next, b->bytes.p, sizeof(next));
    b->held |= le64toh(next) << b->count;
    b->bytes.p += (63 - b->count) >> 3;
    b->count |= 56;
}

/* `n` bits at most 32; zeros and `bad` where they ran out. */
static inline uint32_t mesh_bits_get(struct mesh_bits *b, unsigned n)
{
    if (b->count < n) {
        mesh_bits_fill(b);
        if (b->count < n) {
            b->bytes.bad = true;
            return 0;
        }
    }
    uint32_t v = (uint32_t)(b->held & (((uint64_t)1 << n) - 1));
    b->held >>= n;
    b->count -= n;
    return v;
}

/* How many low bits of a residual are kept as they are. */
static inline unsigned mesh_low_bits(const struct mesh_shape *s, unsigned class, unsigned axis,
                                     unsigned exponent)
{
    int n = (int)s->scale[class][axis] - (int)exponent;
    return n < 0 ? 0 : n > MESH_LOW_MAX ? MESH_LOW_MAX : (unsigned)n;
}

/* Tokens and numbers for all references, into c->tokens and c->number, or into c->small; fills
 * c->across and counts the corners of vertex v in c->start[v + 2]. */
void mesh_refs_encode(struct mesh_coder *c, const struct mesh *m);

/* The other way, into m->ref; m->facets and m->vertices are set and within the coder. False:
 * damaged. */
bool mesh_refs_decode(struct mesh_coder *c, const struct mesh *m);

/* The fans and rings of all vertices, from references and c->across; before geometry. */
void mesh_fans(struct mesh_coder *c, const struct mesh *m);

/* Chooses c->shape.smooth and fills c->residual. */
void mesh_predict(struct mesh_coder *c, const struct mesh *m);

/* Positions of all vertices by c->shape and the residuals in the streams or c->small. False:
 * damaged. */
bool mesh_positions(struct mesh_coder *c, const struct mesh *m);

/* Chooses how the residuals are kept and writes shape and streams (zstd) to `out`. */
void mesh_streams_put(struct mesh_coder *c, const struct mesh *m, enum mesh_effort effort,
                      struct mesh_bytes *out);

/* Reads what mesh_streams_put() wrote. False: damaged. */
bool mesh_streams_get(struct mesh_coder *c, const struct mesh *m, struct mesh_bytes *in);

/* A small coder, to be freed with free(); NULL when out of memory. */
struct mesh_small *mesh_small_new(void);

/* Begins writing to `out`, whose room is for mesh_bound(), and to `bits`. `base`: usual sum of
 * exponent and length of a residual, 0 to 255. */
void mesh_small_write(struct mesh_small *s, unsigned base, struct mesh_bytes *out,
                      struct mesh_bits *bits);

/* Ends writing; out->bad where the room did not do. */
void mesh_small_end(struct mesh_small *s);

/* Begins reading all of `in`, whose end is followed by zeros as it were, and `bits`. */
void mesh_small_read(struct mesh_small *s, unsigned base, struct mesh_bytes *in,
                     struct mesh_bits *bits);

/* Writes `token` of corner k (0 to 2) or, reading, returns it. `first`, `before`: open edges at the
 * facet's first corner and at the corner before; not looked at for k 0. */
unsigned mesh_small_token(struct mesh_small *s, unsigned k, unsigned token,
                          const struct mesh_link *first, const struct mesh_link *before);

/* The same for the number beside a token. */
uint32_t mesh_small_number(struct mesh_small *s, uint32_t value);

/* The same for a zigzag residual. */
uint32_t mesh_small_residual(struct mesh_small *s, unsigned class, unsigned exponent, uint32_t z);

#endif
