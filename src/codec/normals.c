#include "codec/normals.h"

#include <math.h>
#include <string.h>

/* Cross products, not yet of length 1. */
static void products(const struct mesh *m, uint32_t first, uint32_t n, struct normals *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *ref = m->ref + 3 * (size_t)(first + i);
        const float *v1 = m->xyz + 3 * (size_t)ref[0], *v2 = m->xyz + 3 * (size_t)ref[1],
                    *v3 = m->xyz + 3 * (size_t)ref[2];
        double x = v2[0], y = v2[1], z = v2[2];
        double ax = (double)v3[0] - x, ay = (double)v3[1] - y, az = (double)v3[2] - z;
        double bx = (double)v1[0] - x, by = (double)v1[1] - y, bz = (double)v1[2] - z;
        out->v[0][i] = ay * bz - az * by;
        out->v[1][i] = az * bx - ax * bz;
        out->v[2][i] = ax * by - ay * bx;
    }
    for (uint32_t i = n; i < NORMALS_CHUNK; i++)
        out->v[0][i] = out->v[1][i] = out->v[2][i] = 0;
}

/* A component that is no finite number has bits that differ from machine to machine. */
static double finite_or_0(double v)
{
    return v - v == 0 ? v : 0;
}

void normals_of(const struct mesh *m, uint32_t first, uint32_t n, struct normals *out)
{
    double *x = out->v[0], *y = out->v[1], *z = out->v[2];
    products(m, first, n, out);
    for (unsigned i = 0; i < NORMALS_CHUNK; i++) { /* all, so that the compiler sees how many */
        double l = sqrt(x[i] * x[i] + y[i] * y[i] + z[i] * z[i]);
        l = l != 0 ? l : 1;
        x[i] = finite_or_0(x[i] / l);
        y[i] = finite_or_0(y[i] / l);
        z[i] = finite_or_0(z[i] / l);
    }
}

static uint32_t order(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof(u));
    return (u & 0x80000000U) != 0 ? ~u : u | 0x80000000U;
}

uint32_t normals_correction(double formula, float right)
{
    uint32_t d = order(right) - order((float)formula);
    return d << 1 ^ (0 - (d >> 31));
}

float normals_correct(double formula, uint32_t correction)
{
    uint32_t d = correction >> 1 ^ (0 - (correction & 1));
    uint32_t o = order((float)formula) + d;
    uint32_t u = (o & 0x80000000U) != 0 ? o & 0x7FFFFFFFU : ~o;
    float v;
    memcpy(&v, &u, sizeof(v));
    return v;
}
