/* Decimal text to the nearest double or float32. Digits are read eight at a time, up to 19 of them
 * into 64 bits; their product with a power of ten is so long that only numbers in the middle
 * between two floats, or as good as there, are left in doubt. Those are compared digit by digit
 * with the exact middle. */
#include "codec/number_i.h"

#if NUMBER_SSE2
#include <emmintrin.h>
#endif

enum {
    WORD = 8,
    FAST_BYTES = 32,  /* the fast scan looks no further, but for an exponent */
    MOST_DIGITS = 19, /* that 64 bits hold */
};

#define DIGITS         UINT64_C(0x3030303030303030)
#define EXPONENT_LIMIT INT64_C(1000000000000000)

/* A binary format. */
struct kind {
    int fraction, least, most; /* bits of fraction, exponents of normal numbers */
};

static const struct kind single = {23, -126, 127};
static const struct kind wide = {52, -1022, 1023};

/* A number in text: 0.SIGNIFICANT * 10^point. */
struct scanned {
    const char *significant;      /* its first digit that is not 0 */
    const char *digits_end, *end; /* behind its digits, and behind the whole number */
    uint64_t w;                   /* the first 19 digits from there */
    int64_t q, point;             /* the number is w * 10^q and, */
    bool more;                    /* with further digits that are not all 0, a little above */
};

static const uint64_t tens[WORD + 1] = {1,      10,      100,      1000,     10000,
                                        100000, 1000000, 10000000, 100000000};

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* Which of 32 characters are no digits: the first in the lowest bit. */
#if NUMBER_SSE2
static inline uint32_t others(const char *p)
{
    const __m128i zero = _mm_set1_epi8('0'), nine = _mm_set1_epi8(9);
    __m128i a = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)p), zero);
    __m128i b = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 16)), zero);
    a = _mm_cmpeq_epi8(_mm_min_epu8(a, nine), a);
    b = _mm_cmpeq_epi8(_mm_min_epu8(b, nine), b);
    return ~((uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16);
}
#else
static inline uint32_t others(const char *p)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < 32; i += WORD) {
        uint64_t v = number_load(p + i) ^ DIGITS, high = UINT64_C(0x8080808080808080);
        v = (((v & ~high) + UINT64_C(0x7676767676767676)) | v) & high;
        mask |= (uint32_t)((v >> 7) * UINT64_C(0x0102040810204080) >> 56) << i;
    }
    return mask;
}
#endif

/* The number in the n digits at p, 8 at most; 8 characters are readable. */
static inline uint64_t value_of(const char *p, unsigned n)
{
    uint64_t v = number_load(p) ^ DIGITS;
    v = v << (32 - 4 * n) << (32 - 4 * n);
    v = v * 10 + (v >> 8);
    return ((v & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
            (v >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
           32;
}

/* Reads an exponent where there is one; returns where it ends. */
static const char *scan_exponent(const char *p, const char *end, int64_t *e)
{
    const char *start = p;
    *e = 0;
    if (p == end || (*p | 0x20) != 'e')
        return start;
    bool minus = ++p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    if (p == end || !is_digit(*p))
        return start;
    for (; p < end && is_digit(*p); p++)
        if (*e < EXPONENT_LIMIT)
            *e = *e * 10 + (*p - '0');
    *e = minus ? -*e : *e;
    return p;
}

/* w with the n digits at p behind it, 19 digits at most in all; words of 8 characters are read. */
static inline __attribute__((always_inline)) uint64_t append(uint64_t w, const char *p, uint32_t n)
{
    uint32_t now = n < WORD ? n : WORD;
    w = w * tens[now] + value_of(p, now);
    if (n <= WORD)
        return w;
    n -= WORD;
    now = n < WORD ? n : WORD;
    w = w * tens[now] + value_of(p + WORD, now);
    if (n > WORD)
        w = w * tens[n - WORD] + value_of(p + 2 * WORD, n - WORD);
    return w;
}

/* The usual number: a sign or none, up to 8 digits, a point, digits, 19 digits at most in all.
 * Where it ends, or NULL for any other. FAST_BYTES are readable. What tells where the next number
 * may be is made of as few steps as can be. */
static inline __attribute__((always_inline)) const char *scan_fast(const char *p, const char *end,
                                                                   uint64_t *w, int64_t *q)
{
    uint32_t mask = others(p), sign = mask & 1, top = UINT32_C(1) << 31;
    mask &= ~UINT32_C(1);
    uint32_t point = (uint32_t)__builtin_ctz(mask | top);
    mask &= mask - 1;
    uint32_t stop = (uint32_t)__builtin_ctz(mask | top), whole = point - sign;
    uint32_t stranger = sign & (uint32_t)(*p != '-') & (uint32_t)(*p != '+'); /* no branch */
    if (whole - 1 >= WORD || stop - sign > MOST_DIGITS + 1 || p[point] != '.' || stranger != 0)
        return NULL;
    uint32_t n = stop - point - 1;
    *w = append(value_of(p + sign, whole), p + point + 1, n);
    *q = -(int64_t)n;
    p += stop;
    if ((*p | 0x20) == 'e') {
        int64_t e;
        p = scan_exponent(p, end, &e);
        *q += e;
    }
    return p;
}

static void take_digit(struct scanned *t, const char *p, int *taken)
{
    if (*taken == 0 && *p == '0')
        return;
    if (*taken == 0)
        t->significant = p;
    if (*taken < MOST_DIGITS) {
        t->w = t->w * 10 + (uint64_t)(*p - '0');
        ++*taken;
    } else {
        t->more |= *p != '0';
    }
}

/* Any number; false where there is none. */
static bool scan(const char *p, const char *end, struct scanned *t)
{
    const char *whole = p;
    int taken = 0;
    int64_t e, point = 0;
    *t = (struct scanned){0};
    for (; p < end && is_digit(*p); p++) {
        take_digit(t, p, &taken);
        point += taken > 0;
    }
    bool any = p > whole;
    if (p < end && *p == '.' && (any || (end - p > 1 && is_digit(p[1]))))
        for (p++; p < end && is_digit(*p); any = true, p++) {
            take_digit(t, p, &taken);
            point -= taken == 0;
        }
    if (!any)
        return false;
    t->digits_end = p;
    t->end = scan_exponent(p, end, &e);
    t->point = point + e;
    t->q = t->point - taken;
    return true;
}

/* Rounds to the nearest, where the product of 128 bits tells which one that is: true. Else the
 * number is in doubt, and *bits are those of the one below. */
static bool nearest(const struct scanned *t, const struct kind *k, uint64_t *bits)
{
    const struct number_power *p = number_power((int)t->q);
    int zeros = __builtin_clzll(t->w);
    uint64_t m = t->w << zeros, mid, end, high = number_mul(m, p->hi, &mid);
    uint64_t carry = number_mul(m, p->lo, &end);
    mid += carry;
    high += mid < carry;
    int top = (int)(high >> 63), drop = 62 + top - k->fraction;
    int exponent = number_log2_10((int)t->q) + 63 - zeros + top;
    uint64_t infinite = (uint64_t)(k->most - k->least + 2) << k->fraction;
    if (exponent > k->most) {
        *bits = infinite;
        return true;
    }
    if (exponent < k->least) {
        drop += k->least - exponent;
        exponent = k->least;
    }
    if (drop > 64) {
        *bits = 0;
        return true;
    }
    uint64_t half = UINT64_C(1) << (drop - 1), rest = high & (2 * half - 1);
    *bits = ((uint64_t)(exponent - k->least) << k->fraction) + (drop < 64 ? high >> drop : 0);
    if (rest > half || (rest == half && mid != 0)) {
        ++*bits;
        return true;
    }
    /* Two units of `mid` may be missing; with further digits w, and so the product, lacks up to
     * 2^zeros parts of 2^64, and zeros is 4 at most. */
    return t->more ? half - rest > 17 : half - rest > 1 || (half != rest && mid < UINT64_MAX - 1);
}

/* The number in the text less the middle between `bits` and the next one: its sign. */
static int compare_middle(const struct scanned *t, const struct kind *k, uint64_t bits)
{
    uint8_t digits[NUMBER_EXACT_DIGITS];
    uint64_t one = UINT64_C(1) << k->fraction;
    int field = (int)(bits >> k->fraction), point;
    uint64_t m = field > 0 ? (bits & (one - 1)) | one : bits;
    int e = (field > 0 ? field - 1 : 0) + k->least - k->fraction;
    int n = number_exact(2 * m + 1, e - 1, digits, &point);
    if (t->point != point)
        return t->point < point ? -1 : 1;
    const char *p = t->significant;
    for (int i = 0; i < n || p < t->digits_end; i++) {
        p += p < t->digits_end && *p == '.';
        int mine = p < t->digits_end ? *p++ - '0' : 0, other = i < n ? digits[i] : 0;
        if (mine != other)
            return mine - other;
    }
    return 0;
}

static uint64_t to_bits(const struct scanned *t, const struct kind *k)
{
    uint64_t bits;
    if (t->w == 0 || t->q < NUMBER_POWER_FIRST)
        return 0;
    if (t->q > NUMBER_DECIMAL_MOST)
        return (uint64_t)(k->most - k->least + 2) << k->fraction;
    if (nearest(t, k, &bits))
        return bits;
    int sign = compare_middle(t, k, bits);
    return bits + (sign > 0 || (sign == 0 && (bits & 1) != 0));
}

/* Past the sign; *minus tells it. */
static inline const char *skip_sign(const char *p, const char *end, bool *minus)
{
    *minus = p < end && *p == '-';
    return p + (p < end && (*p == '-' || *p == '+'));
}

static const char *parse(const char *p, const char *end, const struct kind *k, uint64_t *bits)
{
    bool minus;
    struct scanned t;
    if (!scan(skip_sign(p, end, &minus), end, &t))
        return NULL;
    *bits = to_bits(&t, k) | (uint64_t)minus << (k == &single ? 31 : 63);
    return t.end;
}

const char *number_parse(const char *p, const char *end, double *v)
{
    struct scanned t = {0};
    uint64_t bits = 0;
    const char *past = end - p >= FAST_BYTES ? scan_fast(p, end, &t.w, &t.q) : NULL;
    bool usual = past != NULL && t.q >= NUMBER_POWER_FIRST && t.q <= NUMBER_DECIMAL_MOST;
    if (usual && (t.w == 0 || nearest(&t, &wide, &bits)))
        bits |= (uint64_t)(*p == '-') << 63;
    else
        past = parse(p, end, &wide, &bits);
    if (past != NULL)
        memcpy(v, &bits, sizeof(*v));
    return past;
}

static __attribute__((noinline)) const char *parse_single(const char *p, const char *end, float *v)
{
    uint64_t bits = 0;
    p = parse(p, end, &single, &bits);
    uint32_t narrow = (uint32_t)bits;
    if (p != NULL)
        memcpy(v, &narrow, sizeof(*v));
    return p;
}

const char *number_parsef(const char *p, const char *end, float *v)
{
    if (end - p < FAST_BYTES)
        return parse_single(p, end, v);
    uint64_t w;
    int64_t q;
    uint32_t bits = 0;
    const char *past = scan_fast(p, end, &w, &q);
    if (past == NULL || (w != 0 && !number_plain_float(w, q, &bits)))
        return parse_single(p, end, v);
    bits |= (uint32_t)(*p == '-') << 31;
    memcpy(v, &bits, sizeof(*v));
    return past;
}
