/* Numbers in the formats of any writer. Up to 18 digits come from one product with a power of ten;
 * where that leaves a doubt (a tie, as a rule), and for more digits, from the exact decimal. */
#include "codec/number_i.h"

enum {
    BIAS = 1023,
    FRACTION_BITS = 52,
    WORD_DIGITS = 18, /* at most, of a product */
    FLOAT_DIGITS = 9, /* tell any two float32 apart */
    WIDE_DIGITS = 17,
    REPR_LEAST = -4, /* Python writes exponents from here to 15 without e */
    REPR_MOST = 15,
    G_LEAST = -4,
    ROOM = NUMBER_LONG - 3, /* of digits: a sign, a point and a leading zero may join them */
};

static const uint64_t tens[WORD_DIGITS + 1] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
};

/* A finite number that is not 0: m * 2^(x - 63), the top bit of m set. */
struct binary {
    uint64_t m;
    int x;
};

/* d[0].d[1]d[2]... * 10^e; with n = 0 it is 0. */
struct decimal {
    int n, e;
    uint8_t d[NUMBER_EXACT_DIGITS];
};

static struct binary split(uint64_t bits)
{
    int field = (int)(bits >> FRACTION_BITS);
    if (field > 0)
        return (struct binary){bits << 11 | UINT64_C(1) << 63, field - BIAS};
    int zeros = __builtin_clzll(bits);
    return (struct binary){bits << zeros, 63 - zeros - BIAS - FRACTION_BITS + 1};
}

/* floor(log10) */
static int exponent_of(struct binary b)
{
    int e = number_log10_2(b.x);
    return e + (number_log2_10(e + 1) == b.x && b.m >= number_power(e + 1)->hi);
}

/* The integer nearest to the number times 10^k, ties to even; false where it has more than 63 bits
 * or is in doubt. */
static bool scaled(struct binary b, int k, uint64_t *n)
{
    if (k < NUMBER_POWER_FIRST || k > NUMBER_POWER_LAST)
        return false;
    const struct number_power *p = number_power(k);
    uint64_t mid, end, high = number_mul(b.m, p->hi, &mid), more = number_mul(b.m, p->lo, &end);
    mid += more;
    high += mid < more;
    int shift = 62 - b.x - number_log2_10(k);
    if (shift < 1)
        return false;
    *n = shift < 64 ? high >> shift : 0;
    if (shift > 64)
        return true;
    uint64_t half = UINT64_C(1) << (shift - 1), rest = high & (2 * half - 1);
    bool exact = k >= 0 && k <= 55;
    if (!exact && rest == half - 1 && mid == UINT64_MAX)
        return false;
    bool tie = exact && rest == half && mid == 0 && end == 0;
    *n += tie ? *n & 1 : rest >= half;
    return true;
}

static void exact(struct binary b, struct decimal *d)
{
    int point;
    d->n = number_exact(b.m >> 11, b.x - FRACTION_BITS, d->d, &point);
    d->e = point - 1;
}

/* Cuts to `keep` digits, or lengthens to them, rounding to the nearest, ties to even. */
static void round_digits(struct decimal *d, int keep)
{
    if (keep >= d->n) {
        memset(d->d + d->n, 0, (size_t)(keep - d->n));
        d->n = keep;
        return;
    }
    int cut = keep < 0 ? 0 : d->d[keep], n = d->n;
    d->n = keep < 0 ? 0 : keep;
    bool odd = keep > 0 && (d->d[keep - 1] & 1) != 0;
    if (cut < 5 || (cut == 5 && n == keep + 1 && !odd))
        return;
    int i = keep;
    while (i > 0 && d->d[i - 1] == 9)
        d->d[--i] = 0;
    if (i > 0) {
        d->d[i - 1]++;
        return;
    }
    memmove(d->d + 1, d->d, (size_t)keep);
    d->d[0] = 1;
    d->n = keep + 1;
    d->e++;
}

static void set_digits(struct decimal *d, uint64_t n, int count)
{
    d->n = count;
    for (int i = count; i-- > 0; n /= 10)
        d->d[i] = (uint8_t)(n % 10);
}

/* `count` significant digits, 1 to 18. */
static void significant(struct binary b, int count, struct decimal *d)
{
    uint64_t n;
    int e = exponent_of(b);
    if (!scaled(b, count - 1 - e, &n)) {
        exact(b, d);
        round_digits(d, count);
        d->n = count;
        return;
    }
    bool more = n == tens[count];
    d->e = e + more;
    set_digits(d, more ? n / 10 : n, count);
}

/* All digits up to `decimals` behind the point; false where there are too many. */
static bool decimals(struct binary b, int places, struct decimal *d)
{
    uint64_t n;
    int e = exponent_of(b);
    if (e + 1 + places > ROOM - 1)
        return false;
    if (scaled(b, places, &n) && n < tens[WORD_DIGITS]) {
        int count = 0;
        while (n >= tens[count])
            count++;
        d->e = count - 1 - places;
        set_digits(d, n, count);
        return true;
    }
    exact(b, d);
    round_digits(d, d->e + 1 + places);
    return true;
}

static uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

/* The float32 nearest to n * 10^q, as bits. */
static uint32_t nearest_float(uint64_t n, int q)
{
    uint32_t bits;
    if (number_plain_float(n, q, &bits))
        return bits;
    char text[WORD_DIGITS + 8], *p = text + sizeof(text), *end = p;
    unsigned v = (unsigned)(q < 0 ? -q : q);
    float f = 0;
    for (int i = 0; i < 3; i++, v /= 10)
        *--p = (char)('0' + v % 10);
    *--p = q < 0 ? '-' : '+';
    *--p = 'e';
    for (; n > 0; n /= 10)
        *--p = (char)('0' + n % 10);
    number_parsef(p, end, &f);
    return float_bits(f);
}

/* Of the numbers of `count` digits around n * 10^q, n of 17 digits, the nearest that is read as
 * this float32; 0 where none is. */
static uint64_t shorter(uint64_t n, int q, int count, uint32_t bits)
{
    uint64_t unit = tens[WIDE_DIGITS - count], low = n / unit, rest = n % unit;
    bool up = 2 * rest > unit || (2 * rest == unit && (low & 1) != 0);
    q += WIDE_DIGITS - count;
    if (nearest_float(low + up, q) == bits)
        return low + up;
    return rest != 0 && nearest_float(low + !up, q) == bits ? low + !up : 0;
}

/* The fewest digits that give the same float32. */
static void shortest(struct binary b, uint32_t bits, struct decimal *d)
{
    uint64_t n = 0, best = 0;
    significant(b, WIDE_DIGITS, d);
    for (int i = 0; i < WIDE_DIGITS; i++)
        n = n * 10 + d->d[i];
    int q = d->e - WIDE_DIGITS + 1;
    for (int count = FLOAT_DIGITS; count > 0; count--) {
        uint64_t one = shorter(n, q, count, bits);
        if (one == 0)
            break;
        best = one;
        d->n = count;
    }
    if (best == tens[d->n]) {
        best /= 10;
        d->e++;
    }
    set_digits(d, best, d->n);
}

static void strip(struct decimal *d)
{
    while (d->n > 1 && d->d[d->n - 1] == 0)
        d->n--;
}

static char *put_digits(char *o, const struct decimal *d, int from, int to)
{
    for (int i = from; i < to; i++)
        *o++ = (char)('0' + (i >= 0 && i < d->n ? d->d[i] : 0));
    return o;
}

static char *put_fixed(char *o, const struct decimal *d, int places)
{
    o = put_digits(o, d, d->e < 0 ? -1 : 0, d->e < 0 ? 0 : d->e + 1);
    if (places > 0) {
        *o++ = '.';
        o = put_digits(o, d, d->e + 1, d->e + 1 + places);
    }
    return o;
}

static char *put_exponent(char *o, const struct decimal *d, int places, bool upper)
{
    unsigned v = (unsigned)(d->e < 0 ? -d->e : d->e);
    o = put_digits(o, d, 0, 1);
    if (places > 0) {
        *o++ = '.';
        o = put_digits(o, d, 1, 1 + places);
    }
    *o++ = upper ? 'E' : 'e';
    *o++ = d->e < 0 ? '-' : '+';
    if (v >= 100)
        *o++ = (char)('0' + v / 100);
    *o++ = (char)('0' + v / 10 % 10);
    *o++ = (char)('0' + v % 10);
    return o;
}

static char *put_general(char *o, struct decimal *d, int precision, bool upper)
{
    strip(d);
    if (d->e < G_LEAST || d->e >= precision)
        return put_exponent(o, d, d->n - 1, upper);
    return put_fixed(o, d, d->n - 1 - d->e);
}

static char *put_shortest(char *o, struct decimal *d, bool upper)
{
    strip(d);
    if (d->e < REPR_LEAST || d->e > REPR_MOST)
        return put_exponent(o, d, d->n - 1, upper);
    return put_fixed(o, d, d->n - 1 > d->e ? d->n - 1 - d->e : 1);
}

static char *put_finite(const struct number_format *f, uint64_t bits, double v, char *o)
{
    struct decimal d;
    int precision = f->precision;
    bool zero = bits == 0;
    struct binary b = zero ? (struct binary){0, 0} : split(bits);
    d.n = d.e = 0;
    switch (f->style) {
    case NUMBER_F:
        if (!zero && !decimals(b, precision, &d))
            return NULL;
        return put_fixed(o, &d, precision);
    case NUMBER_E:
        if (!zero)
            significant(b, precision + 1, &d);
        return put_exponent(o, &d, precision, f->upper);
    case NUMBER_G:
        precision += precision == 0;
        if (!zero)
            significant(b, precision, &d);
        return put_general(o, &d, precision, f->upper);
    default:
        if (!zero)
            shortest(b, float_bits((float)v) & 0x7fffffff, &d);
        return put_shortest(o, &d, f->upper);
    }
}

unsigned number_print(const struct number_format *f, double v, char out[NUMBER_LONG])
{
    uint64_t bits;
    char *o = out;
    if (f->precision > 17 || f->style > NUMBER_SHORTEST)
        return 0;
    memcpy(&bits, &v, sizeof(bits));
    if (bits >> 63 != 0)
        *o++ = '-';
    else if (f->blank)
        *o++ = ' ';
    bits &= ~(UINT64_C(1) << 63);
    if (bits >> FRACTION_BITS == 0x7ff) {
        bool nan = bits << 12 != 0;
        memcpy(o, f->upper ? (nan ? "NAN" : "INF") : (nan ? "nan" : "inf"), 4);
        return (unsigned)(o + 3 - out);
    }
    o = put_finite(f, bits, v, o);
    return o != NULL ? (unsigned)(o - out) : 0;
}
