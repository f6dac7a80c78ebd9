/* Numbers of all kinds, the same on every machine, for the tests of the codec's numbers. */
#ifndef TESTS_NUMBERS_H
#define TESTS_NUMBERS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t numbers_next(uint64_t *state)
{
    uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline double numbers_double(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static inline float numbers_float(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* A float32 of any exponent, evenly. */
static inline float numbers_any_float(uint64_t r)
{
    return numbers_float((uint32_t)r);
}

/* A double with few decimal digits, or few bits, or next to such a one. */
static inline double numbers_neat(uint64_t r)
{
    static const double powers[] = {1,    10,   100,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double whole = (double)(r >> 16 & 0xffffff), power = powers[(r >> 40) % 23];
    double v = (r & 1) != 0 ? whole / power : (r & 2) != 0 ? whole * power : whole;
    if ((r & 12) == 0)
        v = (double)(float)v;
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    bits += (r & 48) == 16 ? 1 : (r & 48) == 32 && bits > 0 ? UINT64_MAX : 0;
    return numbers_double(bits | (r & 64) << 57);
}

/* Half of what meshes hold: coordinates, normals; and all exponents; never NaN or infinite. */
static inline double numbers_value(uint64_t *state)
{
    uint64_t r = numbers_next(state), r2 = numbers_next(state);
    double unit = (double)(int64_t)r / 9223372036854775808.0, v;
    switch (r2 % 8) {
    case 0:
        return (double)(float)(unit * 300);
    case 1:
        return unit;
    case 2:
        return (double)(float)unit * numbers_double(((r2 >> 56) % 64 + 980) << 52);
    case 3:
        v = (double)numbers_any_float(r);
        break;
    case 4:
        return numbers_neat(r);
    case 5:
        v = numbers_double(r & UINT64_C(0x800fffffffffffff)); /* denormal */
        break;
    default:
        v = numbers_double(r);
        break;
    }
    return isfinite(v) ? v : 0;
}

#endif
