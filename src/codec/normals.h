/* Normals of facets by the formula of docs/blocks.md, "Numbers", and the corrections of those that
 * are stored. The same bits on every machine. Pure. */
#ifndef CODEC_NORMALS_H
#define CODEC_NORMALS_H

#include "codec/mesh.h"

#include <stdint.h>

enum { NORMALS_CHUNK = 104 };

/* x, y, z of each facet. */
struct normals {
    double v[3][NORMALS_CHUNK];
};

/* The normals of facets `first` to `first` + n - 1, n at most NORMALS_CHUNK; what is behind them in
 * `out` is worthless. */
void normals_of(const struct mesh *m, uint32_t first, uint32_t n, struct normals *out);

/* The correction that makes `right` of the float32 that is nearest to `formula`, in zigzag form. */
uint32_t normals_correction(double formula, float right);

/* The float32 that `correction` makes. */
float normals_correct(double formula, uint32_t correction);

#endif
