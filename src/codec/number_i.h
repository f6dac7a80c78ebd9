/* What print.c, parse.c and format.c share: powers of ten, wide multiplication, bytes in the order
 * of text. */
#ifndef CODEC_NUMBER_I_H
#define CODEC_NUMBER_I_H

#include "codec/number.h"

#include <string.h>

/* The SSE2 ways; NUMBER_PLAIN asks for the portable ones, which give the same bytes. */
#if defined(__SSE2__) && defined(__x86_64__) && !defined(NUMBER_PLAIN)
#define NUMBER_SSE2 1
#else
#define NUMBER_SSE2 0
#endif

enum {
    NUMBER_POWER_FIRST = -342,
    NUMBER_POWER_LAST = 340,
    NUMBER_DECIMAL_MOST = 308, /* no finite double is 10^309 or more */
    NUMBER_BINADE_FIRST = -36,
    NUMBER_BINADE_LAST = 47,
    NUMBER_EXACT_DIGITS = 800, /* of a double's exact value: 767 are the most */
};

/* 10^k is hi:lo * 2^(number_log2_10(k) - 127), exactly for k of 0 to 55, else by less than one unit
 * of lo more. The top bit of hi is set. */
struct number_power {
    uint64_t hi, lo;
};

extern const struct number_power number_powers[NUMBER_POWER_LAST - NUMBER_POWER_FIRST + 1];

/* Of the numbers m * 2^(x - 63), m with its top bit set, where x is from NUMBER_BINADE_FIRST to
 * NUMBER_BINADE_LAST; 10^(16 - e) and 10^(15 - e) of them have no lower word. */
struct number_binade {
    uint64_t next;    /* the first m that counts as of exponent e + 1 */
    int16_t e;        /* floor(log10) of the smallest one */
    uint8_t shift[2]; /* 17 digits are (m >> shift) * 10^(16 - e) >> 64, with e and with e + 1 */
};

extern const struct number_binade number_binades[NUMBER_BINADE_LAST - NUMBER_BINADE_FIRST + 1];

/* The power 10^k; k within the table. */
static inline const struct number_power *number_power(int k)
{
    return &number_powers[k - NUMBER_POWER_FIRST];
}

/* floor(log2(10^k)) for k of the table. */
static inline int number_log2_10(int k)
{
    return (k * 1741647) >> 19;
}

/* floor(log10(2^x)) for x of -1074 to 1023. */
static inline int number_log10_2(int x)
{
    return (x * 315653) >> 20;
}

/* a * b: the upper word, and the lower in *lo. */
static inline uint64_t number_mul(uint64_t a, uint64_t b, uint64_t *lo)
{
#if defined(__SIZEOF_INT128__) && !defined(NUMBER_PLAIN)
    unsigned __int128 p = (unsigned __int128)a * b;
    *lo = (uint64_t)p;
    return (uint64_t)(p >> 64);
#else
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh + (ll >> 32), hl = ah * bl + (uint32_t)lh;
    *lo = hl << 32 | (uint32_t)ll;
    return ah * bh + (lh >> 32) + (hl >> 32);
#endif
}

/* A word whose lowest byte is the first in memory, on any machine. */
static inline uint64_t number_load(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* The reverse of number_load(). */
static inline void number_store(void *p, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(p, &v, sizeof(v));
}

/* The exact decimal digits (values, not characters) of m * 2^e, m not 0, e of -1075 to 971, with
 * neither leading nor trailing zeros: returns how many, of at most NUMBER_EXACT_DIGITS; the value
 * is 0.DIGITS * 10^*point. */
int number_exact(uint64_t m, int e, uint8_t digits[NUMBER_EXACT_DIGITS], int *point);

/* The float32 nearest to w * 10^q, w not 0, as its bits without sign. False where that is not
 * plain: a tie or next to one, denormal or too large, or q beyond the powers. */
static inline bool number_plain_float(uint64_t w, int64_t q, uint32_t *bits)
{
    if ((uint64_t)(q - NUMBER_POWER_FIRST) > NUMBER_DECIMAL_MOST - NUMBER_POWER_FIRST)
        return false;
    int zeros = __builtin_clzll(w);
    uint64_t low, high = number_mul(w << zeros, number_power((int)q)->hi, &low);
    int top = (int)(high >> 63), drop = 39 + top;
    int exponent = number_log2_10((int)q) + 63 - zeros + top + 127;
    uint64_t half = UINT64_C(1) << (drop - 1), rest = high & (2 * half - 1);
    /* The exact product is less than two units of `high` more. */
    if (__builtin_expect(rest - (half - 1) <= 1 || (unsigned)(exponent - 1) > 253, 0))
        return false;
    *bits = ((uint32_t)(exponent - 1) << 23) + (uint32_t)((high + half) >> drop);
    return true;
}

#endif
