/* %.17g. One product of the number's 53 bits and a power of ten of 128 holds all that is needed: no
 * double comes so near to the middle between two numbers of 17 digits that the rest of the power
 * could matter (tests/unit/make-powers.py proves it), so there is no slow path. The text of usual
 * numbers is put together from masks, without a branch that depends on their digits. */
#include "codec/number_i.h"

#if NUMBER_SSE2
#include <emmintrin.h>
#endif

enum {
    BIAS = 1023,
    FRACTION_BITS = 52,
    FIXED_LEAST = -4, /* exponents from here to 16 are not written as such */
    FIXED_MOST = 16,
    SHAPE_MOST = 6, /* the largest exponent with a shape */
    CHUNK = 64,
};

#define TEN8  100000000u
#define TEN16 UINT64_C(10000000000000000)
#define TEN17 UINT64_C(100000000000000000)
#define ASCII UINT64_C(0x3030303030303030)

/* How a number whose first digit counts 10^E begins: its first eight bytes are made of its first
 * eight digits h (the first in the lowest byte) as text | (h << shift & before) | (h << 8 & after).
 */
struct shape {
    uint64_t text, before, after;
    uint8_t shift;
    uint8_t rest;  /* where the second digit stands if it is behind the point */
    uint8_t extra; /* characters that are no digits of the number, if there are digits behind the
                      point */
    uint8_t least; /* so many digits are printed even if they are 0 */
};

#define LOW(n)   ((UINT64_C(1) << (8 * (n))) - 1)
#define POINT(n) (UINT64_C(0x2e) << (8 * (n)))
#define WHOLE(e)                                                                                   \
    {                                                                                              \
        POINT((e) + 1), LOW((e) + 1), ~LOW((e) + 1) << 8, 0, 2, 1, (e) + 1                         \
    }
#define SMALL(n)                                                                                   \
    {                                                                                              \
        (ASCII - 0x30 * 0x100 + POINT(1)) & LOW((n) + 1), ~LOW((n) + 1), 0, 8 * ((n) + 1),         \
            (n) + 2, (n) + 1, 0                                                                    \
    }

static const struct shape shapes[SHAPE_MOST - FIXED_LEAST + 1] = {
    SMALL(4), SMALL(3), SMALL(2), SMALL(1), WHOLE(0), WHOLE(1),
    WHOLE(2), WHOLE(3), WHOLE(4), WHOLE(5), WHOLE(6),
};

/* The digits of `hi` and `lo`, below 10^8 each, as 16 characters to `at`; returns the first eight
 * of them (the first in the lowest byte), and how many there are up to the last that is not 0. */
#if NUMBER_SSE2
/* n in each 16 bits, as what the compiler cannot know: it would multiply by shifts and additions.
 */
static inline __m128i times(short n)
{
    __m128i v = _mm_set1_epi16(n);
    __asm__("" : "+x"(v));
    return v;
}

static inline uint64_t put16(uint32_t hi, uint32_t lo, char *at, unsigned *used)
{
    __m128i v = _mm_unpacklo_epi64(_mm_cvtsi32_si128((int)hi), _mm_cvtsi32_si128((int)lo));
    __m128i q = _mm_srli_epi64(_mm_mul_epu32(v, _mm_set1_epi64x(0xd1b71759)), 45); /* v / 10^4 */
    v = _mm_add_epi64(v, _mm_mul_epu32(q, _mm_set1_epi64x((1LL << 32) - 10000)));
    v = _mm_shuffle_epi32(v, _MM_SHUFFLE(2, 3, 0, 1));
    q = _mm_srli_epi16(_mm_mulhi_epu16(v, _mm_set1_epi16(5243)), 3); /* v / 100 */
    v = _mm_sub_epi32(v, _mm_mullo_epi16(q, times(100)));
    v = _mm_or_si128(q, _mm_slli_epi32(v, 16));
    q = _mm_mulhi_epu16(v, _mm_set1_epi16(6554)); /* v / 10 */
    v = _mm_sub_epi16(_mm_slli_epi16(v, 8), _mm_mullo_epi16(q, times(2559)));
    unsigned zeros = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()));
    *used = 31 ^ (unsigned)__builtin_clz((zeros ^ 0xffff) << 1 | 1);
    v = _mm_or_si128(v, _mm_set1_epi8('0'));
    _mm_storeu_si128((__m128i *)at, v);
    return (uint64_t)_mm_cvtsi128_si64(v);
}
#else
static inline uint64_t digits8(uint32_t n)
{
    uint64_t q = n / 10000, v = q | (uint64_t)(n - q * 10000) << 32;
    q = ((v * 10486) >> 20) & UINT64_C(0x0000007f0000007f);
    v = q | (v - 100 * q) << 16;
    q = ((v * 103) >> 10) & UINT64_C(0x000f000f000f000f);
    return q | (v - 10 * q) << 8;
}

static inline unsigned used_bytes(uint64_t v)
{
    return v == 0 ? 0 : 8 - (unsigned)__builtin_clzll(v) / 8;
}

static inline uint64_t put16(uint32_t hi, uint32_t lo, char *at, unsigned *used)
{
    uint64_t a = digits8(hi), b = digits8(lo);
    *used = b != 0 ? 8 + used_bytes(b) : used_bytes(a);
    number_store(at, a | ASCII);
    number_store(at + 8, b | ASCII);
    return a | ASCII;
}
#endif

/* What is known of a number once it is a decimal: 17 digits (or 0), and the exponent of the first.
 */
struct decimal {
    uint64_t digits;
    int e;
};

enum { NOT_FINITE = 1000 };

/* The integer nearest to m times the power's 128 bits / 2^128, ties to even. That it is so near to
 * a half that the power's further bits could matter does not occur. */
static inline uint64_t scale(uint64_t m, const struct number_power *p)
{
    uint64_t fraction, n = number_mul(m, p->hi, &fraction), sticky = n;
    if (p->lo != 0) {
        uint64_t end, more = number_mul(m, p->lo, &end);
        fraction += more;
        n += fraction < more;
        sticky = n | (end != 0);
    }
    return n + (fraction > UINT64_MAX / 2 + 1 - (sticky & 1));
}

/* Numbers far from 1, denormal ones, and what is no number. */
static __attribute__((noinline)) struct decimal far_decimal(uint64_t bits)
{
    int x = (int)(bits >> FRACTION_BITS) - BIAS;
    uint64_t m = bits << 11 | UINT64_C(1) << 63;
    if (x > BIAS)
        return (struct decimal){bits << 12 != 0, NOT_FINITE};
    if (x < 1 - BIAS) {
        int zeros = __builtin_clzll(bits);
        m = bits << zeros;
        x = 63 - zeros - BIAS - FRACTION_BITS + 1;
    }
    int e = number_log10_2(x);
    e += number_log2_10(e + 1) == x && m >= number_power(e + 1)->hi;
    int shift = 62 - x - number_log2_10(FIXED_MOST - e);
    return (struct decimal){scale(m >> shift, number_power(FIXED_MOST - e)), e};
}

/* Numbers near to 1, whose power of ten has no lower word, and 0 (`some` is 0 then, else all bits).
 */
static inline struct decimal near_decimal(uint64_t m, const struct number_binade *b, uint64_t some)
{
    ptrdiff_t over = m >= b->next, e = b->e + over;
    uint64_t fraction;
    uint64_t n = number_mul((m & some) >> b->shift[over],
                            number_powers[FIXED_MOST - NUMBER_POWER_FIRST - e].hi, &fraction);
    n += fraction > UINT64_MAX / 2 + 1 - (n & 1);
    return (struct decimal){n, (int)e};
}

/* 0 has no branch of its own, as it is hard to foresee: some shapes have many among their normals.
 */
static inline struct decimal decimal(uint64_t bits)
{
    uint64_t some = 0 - (uint64_t)(bits << 1 != 0);
    unsigned at = (unsigned)(bits << 1 >> (FRACTION_BITS + 1)) - (BIAS + NUMBER_BINADE_FIRST);
    struct decimal d;
    at = some != 0 ? at : -NUMBER_BINADE_FIRST;
    if (__builtin_expect(at <= NUMBER_BINADE_LAST - NUMBER_BINADE_FIRST, 1))
        d = near_decimal(bits << 11 | UINT64_C(1) << 63, &number_binades[at], some);
    else
        d = far_decimal(bits & ~(UINT64_C(1) << 63));
    if (__builtin_expect(d.digits == TEN17, 0))
        d = (struct decimal){TEN16, d.e + 1};
    return d;
}

/* Exponents of 7 to 16: the point is far from the first digit. */
static unsigned put_long(char *o, uint64_t n, unsigned whole)
{
    char text[17];
    unsigned used;
    uint64_t upper = n / TEN8;
    text[0] = (char)('0' + upper / TEN8);
    put16((uint32_t)(upper % TEN8), (uint32_t)(n % TEN8), text + 1, &used);
    memcpy(o, text, sizeof(text));
    if (used + 1 <= whole)
        return whole;
    o[whole] = '.';
    memcpy(o + whole + 1, text + whole, sizeof(text) - whole);
    return used + 2;
}

static inline unsigned put(char *o, uint64_t n, const struct shape *s)
{
    uint64_t upper = n / TEN8;
    uint32_t first = (uint32_t)(upper / TEN8);
    unsigned used;
    uint64_t h = put16((uint32_t)(upper - (uint64_t)first * TEN8), (uint32_t)(n - upper * TEN8),
                       o + s->rest, &used);
    h = h << 8 | (first + '0');
    number_store(o, s->text | (h << s->shift & s->before) | (h << 8 & s->after));
    unsigned least = s->least, behind = 0 - (unsigned)(used + 1 > least);
    return least + ((used + 1 + s->extra - least) & behind);
}

static unsigned put_exponent(char *o, int e)
{
    unsigned v = (unsigned)(e < 0 ? -e : e), tens = v / 10;
    char *p = o;
    *p++ = 'e';
    *p++ = e < 0 ? '-' : '+';
    if (v >= 100) {
        *p++ = (char)('0' + tens / 10);
        tens %= 10;
    }
    *p++ = (char)('0' + tens);
    *p++ = (char)('0' + v % 10);
    return (unsigned)(p - o);
}

static __attribute__((noinline)) unsigned put_other(char *o, struct decimal d)
{
    if (d.e == NOT_FINITE) {
        memcpy(o, d.digits != 0 ? "nan" : "inf", 4);
        return 3;
    }
    if (d.e > SHAPE_MOST && d.e <= FIXED_MOST)
        return put_long(o, d.digits, (unsigned)d.e + 1);
    unsigned len = put(o, d.digits, &shapes[-FIXED_LEAST]);
    return len + put_exponent(o + len, d.e);
}

static inline uint8_t put_signed(char *o, uint64_t sign, struct decimal d)
{
    *o = '-';
    o += sign;
    unsigned at = (unsigned)(d.e - FIXED_LEAST);
    if (__builtin_expect(at <= SHAPE_MOST - FIXED_LEAST, 1))
        return (uint8_t)(sign + put(o, d.digits, &shapes[at]));
    return (uint8_t)(sign + put_other(o, d));
}

/* In two passes: a processor looks at some 300 instructions at once, and a number's digits wait
 * long for each other; so many numbers are under way in either pass. */
static void print_chunk(const uint64_t *bits, size_t n, char (*slot)[NUMBER_SLOT], uint8_t *len)
{
    struct decimal d[CHUNK];
    for (size_t i = 0; i < n; i++)
        d[i] = decimal(bits[i]);
    for (size_t i = 0; i < n; i++)
        len[i] = put_signed(slot[i], bits[i] >> 63, d[i]);
}

void number_print17(const double *v, size_t n, char (*slot)[NUMBER_SLOT], uint8_t *len)
{
    uint64_t bits[CHUNK];
    for (size_t i = 0; i < n; i += CHUNK) {
        size_t now = n - i < CHUNK ? n - i : CHUNK;
        memcpy(bits, v + i, now * sizeof(*v));
        print_chunk(bits, now, slot + i, len + i);
    }
}

void number_print17f(const float *v, size_t n, char (*slot)[NUMBER_SLOT], uint8_t *len)
{
    uint64_t bits[CHUNK];
    for (size_t i = 0; i < n; i += CHUNK) {
        size_t now = n - i < CHUNK ? n - i : CHUNK;
        for (size_t k = 0; k < now; k++) {
            double wide = v[i + k];
            memcpy(bits + k, &wide, sizeof(wide));
        }
        print_chunk(bits, now, slot + i, len + i);
    }
}
