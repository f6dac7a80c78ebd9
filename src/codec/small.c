/* The coder of small meshes: adaptive binary probabilities that start from learnt tables, and a
 * range coder. Each bit is bound to one probability, by its context. */
#include "codec/mesh_i.h"
#include "codec/small_i.h"

#include <stdlib.h>

/* A program that learns the tables counts here. */
#ifndef SMALL_TALLY
#define SMALL_TALLY(i, bit) ((void)0)
#endif

enum { RATE = 4, TOP = 1 << 24, CENTRE = 32, SPAN = 63 };

struct mesh_small {
    uint16_t zero[SMALL_PROBABILITIES]; /* that the bit is 0, of 65536 */
    unsigned a, b, c;                   /* groups of the facet's tokens */
    unsigned base;                      /* usual exponent + length of a residual */
    bool writing;
    struct mesh_bytes *bytes;
    struct mesh_bits *bits; /* those that no probability helps */
    const unsigned char *begin;
    uint64_t low;
    uint32_t range, code;
    unsigned char cache;
    uint32_t held; /* bytes that a carry may still change */
};

struct mesh_small *mesh_small_new(void)
{
    return calloc(1, sizeof(struct mesh_small));
}

/* ------------------------------------------------------------------ range coder */

static void give(struct mesh_small *s, unsigned char byte)
{
    if (s->bytes->p == s->bytes->end)
        s->bytes->bad = true;
    else
        *s->bytes->p++ = byte;
}

static void shift_low(struct mesh_small *s)
{
    if (s->low < 0xff000000U || s->low >> 32 != 0) {
        unsigned char carry = (unsigned char)(s->low >> 32);
        for (unsigned char byte = s->cache; s->held > 0; s->held--, byte = 0xff)
            give(s, (unsigned char)(byte + carry));
        s->cache = (unsigned char)(s->low >> 24);
    }
    s->held++;
    s->low = (s->low & 0x00ffffffU) << 8;
}

static uint32_t take(struct mesh_small *s)
{
    return s->bytes->p < s->bytes->end ? *s->bytes->p++ : 0;
}

static void normalise(struct mesh_small *s)
{
    while (s->range < TOP) {
        s->range <<= 8;
        if (s->writing)
            shift_low(s);
        else
            s->code = s->code << 8 | take(s);
    }
}

static unsigned code_bit(struct mesh_small *s, unsigned i, unsigned bit)
{
    uint16_t *zero = &s->zero[i];
    uint32_t bound = (s->range >> 12) * (uint32_t)(*zero >> 4);
    if (!s->writing)
        bit = s->code >= bound;
    SMALL_TALLY(i, bit);
    if (bit == 0) {
        s->range = bound;
        *zero = (uint16_t)(*zero + ((65535 - *zero) >> RATE));
    } else {
        s->low += bound;
        s->code -= s->writing ? 0 : bound;
        s->range -= bound;
        *zero = (uint16_t)(*zero - (*zero >> RATE));
        *zero = *zero < 32 ? 32 : *zero;
    }
    normalise(s);
    return bit;
}

static uint32_t code_plain(struct mesh_small *s, uint32_t value, unsigned n)
{
    if (!s->writing)
        return mesh_bits_get(s->bits, n);
    mesh_bits_put(s->bits, value, n);
    return value;
}

/* A symbol of n bits by a tree of 2^n probabilities at i. */
static unsigned code_tree(struct mesh_small *s, unsigned i, unsigned symbol, unsigned n)
{
    unsigned node = 1;
    while (n-- > 0)
        node = 2 * node + code_bit(s, i + node, symbol >> n & 1);
    return node;
}

static void begin(struct mesh_small *s, unsigned base, struct mesh_bytes *bytes,
                  struct mesh_bits *bits)
{
    for (unsigned i = 0; i < SMALL_PROBABILITIES; i++)
        s->zero[i] = (uint16_t)(small_table[i] << 8);
    s->a = s->b = s->c = 0;
    s->low = s->code = s->held = s->cache = 0;
    s->range = UINT32_MAX;
    s->base = base;
    s->bytes = bytes;
    s->bits = bits;
    s->begin = bytes->p;
}

void mesh_small_write(struct mesh_small *s, unsigned base, struct mesh_bytes *out,
                      struct mesh_bits *bits)
{
    begin(s, base, out, bits);
    s->writing = true;
}

void mesh_small_end(struct mesh_small *s)
{
    /* The value within the range that ends in most zeros; those need not be written. */
    uint64_t high = s->low + s->range - 1, mask = UINT32_MAX;
    while (((high & ~mask)) < s->low)
        mask >>= 1;
    s->low = high & ~mask;
    for (unsigned i = 0; i < 5; i++)
        shift_low(s);
    while (s->bytes->p > s->begin && s->bytes->p[-1] == 0)
        s->bytes->p--;
}

void mesh_small_read(struct mesh_small *s, unsigned base, struct mesh_bytes *in,
                     struct mesh_bits *bits)
{
    begin(s, base, in, bits);
    s->writing = false;
    for (unsigned i = 0; i < 4; i++)
        s->code = s->code << 8 | take(s);
}

/* ------------------------------------------------------------------ model */

static unsigned group_a(unsigned t)
{
    if (t == TOKEN_NEW || (t >= TOKEN_BEFORE_A && t < TOKEN_OPEN_A))
        return t == TOKEN_NEW ? 0 : 1 + t - TOKEN_BEFORE_A;
    if (t >= TOKEN_OPEN_A && t < TOKEN_NEAR)
        return 4 + (t - TOKEN_OPEN_A) % 2;
    return t == TOKEN_FAR || t == TOKEN_FAR1 ? 7 : 6;
}

static unsigned group(unsigned t)
{
    if (t == TOKEN_NEW)
        return 0;
    if (t == TOKEN_FAR || t == TOKEN_FAR1)
        return 7;
    if (t < TOKEN_OUT)
        return t == TOKEN_IN ? 1 : 2;
    if (t < TOKEN_BEFORE)
        return t == TOKEN_OUT ? 3 : 4;
    return t < TOKEN_NEAR ? 5 : 6;
}

/* How many edges a list of open edges has, up to `most`. */
static unsigned length(mesh_u4 list, unsigned most)
{
    unsigned n = 0;
    while (n < most && list[n] != MESH_NONE)
        n++;
    return n;
}

static unsigned context_c(const struct mesh_small *s, const struct mesh_link *a,
                          const struct mesh_link *b)
{
    bool both = b->in[0] != MESH_NONE && b->in[0] == a->out[0];
    return (s->b * 3 + length(b->in, 2)) * 4 + (both ? 3 : length(a->out, 2));
}

unsigned mesh_small_token(struct mesh_small *s, unsigned k, unsigned token,
                          const struct mesh_link *first, const struct mesh_link *before)
{
    unsigned i = k == 0   ? SMALL_A + (s->b * 8 + s->c) * TOKENS
                 : k == 1 ? SMALL_B + (s->a * 4 + length(first->in, 3)) * TOKENS
                          : SMALL_C + context_c(s, first, before) * TOKENS;
    unsigned t = code_tree(s, i, token, 5) - TOKENS;
    if (k == 0)
        s->a = group_a(t);
    else if (k == 1)
        s->b = group(t);
    else
        s->c = group(t);
    return t;
}

uint32_t mesh_small_number(struct mesh_small *s, uint32_t value)
{
    unsigned n = code_tree(s, SMALL_NUMBER, mesh_bit_length(value), 6) - 64;
    if (n < 2)
        return n;
    n = (n < 32 ? n : 32) - 1;
    uint32_t top = (uint32_t)1 << n;
    return top | code_plain(s, value & (top - 1), n);
}

uint32_t mesh_small_residual(struct mesh_small *s, unsigned class, unsigned exponent, uint32_t z)
{
    int shift = CENTRE + (int)exponent - (int)s->base;
    int bits = (int)mesh_bit_length(z), q = bits + shift;
    q = q < 0 || q > SPAN ? SPAN : q;
    q = (int)(code_tree(s, SMALL_LENGTH + 64 * class, (unsigned)q, 6) - 64);
    bits = q < SPAN ? q - shift : (int)code_plain(s, (uint32_t)bits, 6);
    if (bits < 2 || bits > 32)
        return bits == 1;
    unsigned n = (unsigned)bits - 1, i = SMALL_MANTISSA + 4 * (unsigned)q, node = 1;
    for (unsigned k = 0; k < 2 && n > 0; k++)
        node = 2 * node + code_bit(s, i + node, z >> --n & 1);
    return node << n | code_plain(s, z & (((uint32_t)1 << n) - 1), n);
}
