/* Positions from positions: a vertex is predicted by the parallelograms of the facets around it,
 * corrected so that the ring of neighbours that it completes lies about its centre as the rings
 * beside it do. float32 in a fixed order; NaN and infinities predict 0. */
#include "codec/mesh_i.h"

#include <float.h>

_Static_assert(FLT_EVAL_METHOD == 0, "float32 arithmetic must be float32 (on i386: -msse2 "
                                     "-mfpmath=sse): packed bytes depend on it");

/* What suits meshes after VTK's windowed sinc filter: how far rings lie like those beside them, and
 * how far a vertex follows the rings where they have only single ones beside them. */
#define SLOPE  (61.0F / 64)
#define FOLLOW (45.0F / 64)

#define EXPONENT 0x7f800000U
#define SIGN     0x80000000U

enum { SAMPLE = 4 };

struct guess {
    mesh_v4 at;
    unsigned class;
};

static mesh_v4 spread(float f)
{
    return (mesh_v4){f, f, f, f};
}

static inline mesh_u4 same(uint32_t u)
{
    return (mesh_u4){u, u, u, u};
}

/* The arrays, as a local that goes by value: the compiler need not fear that a vertex is stored
 * over them. */
struct rings {
    const uint32_t *start, *last, *first, *next;
    const struct mesh_corner *fan;
    mesh_v4 *pos, *lap;
};

static inline struct rings rings_of(const struct mesh_coder *c)
{
    return (struct rings){c->start, c->last, c->first, c->next, c->fan, c->pos, c->lap};
}

/* What sort_corners() writes, for the same reason. */
struct sorter {
    uint32_t *end; /* of the corners of each vertex so far */
    uint32_t *balance, *last;
    struct mesh_corner *fan;
};

static inline void add_corner(struct sorter s, uint32_t v, struct mesh_corner k)
{
    s.fan[s.end[v]++] = k;
    s.balance[v] += k.y - k.z;
    s.last[v] = k.y > s.last[v] ? k.y : s.last[v];
}

static inline uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* c->start[v + 1] is where v's corners begin while they are added, and where they end then. */
static void sort_corners(struct mesh_coder *c, const struct mesh *m)
{
    const uint32_t *r = m->ref, *across = c->across;
    const uint32_t none = m->vertices, corners = 3 * m->facets;
    struct sorter s = {c->start + 1, c->balance, c->last, c->fan};
    for (uint32_t v = 0, sum = 0; v < none; v++) {
        s.end[v] = sum += s.end[v];
        s.balance[v] = 0;
        s.last[v] = v;
    }
    for (uint32_t i = 0; i < corners; i += 3, r += 3) {
        uint32_t a = r[0], b = r[1], d = r[2];
        uint32_t o0 = least(across[i], none), o1 = least(across[i + 1], none),
                 o2 = least(across[i + 2], none);
        add_corner(s, a, (struct mesh_corner){b, d, o0});
        add_corner(s, b, (struct mesh_corner){d, a, o1});
        add_corner(s, d, (struct mesh_corner){a, b, o2});
    }
}

void mesh_fans(struct mesh_coder *c, const struct mesh *m)
{
    uint32_t *last = c->last, *first = c->first, *next = c->next;
    const uint32_t *balance = c->balance;
    sort_corners(c, m);
    last[m->vertices] = MESH_NONE;
    memset(first, 0xff, m->vertices * sizeof(*first));
    for (uint32_t v = m->vertices; v-- > 0;) {
        uint32_t x = last[v];
        if (balance[v] != 0) {
            last[v] = MESH_NONE;
            continue;
        }
        next[v] = first[x];
        first[x] = v;
    }
}

/* `v` where `yes`, else 0. */
static inline mesh_v4 only(bool yes, mesh_v4 v)
{
    return (mesh_v4)((mesh_u4)v & same(0 - (uint32_t)yes));
}

/* Without a parallelogram: the middle of the known edge, the known neighbour, the vertex before. */
static inline mesh_v4 simple_guess(struct rings c, uint32_t x)
{
    const struct mesh_corner *k = &c.fan[c.start[x]];
    if (k->y < x && k->z < x)
        return (c.pos[k->y] + c.pos[k->z]) * spread(0.5F);
    if (k->y < x || k->z < x)
        return c.pos[k->y < x ? k->y : k->z];
    return x > 0 ? c.pos[x - 1] : spread(0);
}

static inline mesh_v4 mean(mesh_v4 sum, unsigned n)
{
    return n > 1 ? sum * spread(1.0F / (float)n) : sum;
}

static inline mesh_v4 parallelograms(struct rings c, uint32_t x, unsigned *count)
{
    mesh_v4 sum = spread(0);
    unsigned n = 0;
    for (uint32_t i = c.start[x]; i < c.start[x + 1]; i++) {
        struct mesh_corner k = c.fan[i];
        bool known = (k.y < x) & (k.z < x) & (k.o < x);
        sum += only(known, (c.pos[k.y] - c.pos[k.o]) + c.pos[k.z]);
        n += known;
    }
    *count = n;
    return mean(sum, n);
}

/* The mean of the rings beside v that are complete before x. */
static inline mesh_v4 mean_beside(struct rings c, uint32_t v, uint32_t x)
{
    mesh_v4 sum = spread(0);
    unsigned n = 0;
    for (uint32_t i = c.start[v]; i < c.start[v + 1]; i++) {
        bool known = c.last[c.fan[i].y] < x;
        sum += only(known, c.lap[c.fan[i].y]);
        n += known;
    }
    return mean(sum, n);
}

/* Where x is, should v's ring, which it completes, lie about v as those beside it do. Leaves the
 * sum of the other neighbours in c.lap[v]. c.pos[x] is 0. */
static inline mesh_v4 ring_guess(struct rings c, uint32_t v, uint32_t x, unsigned *wide)
{
    mesh_v4 sum = spread(0), lap = spread(0);
    unsigned n = 0;
    for (uint32_t i = c.start[v]; i < c.start[v + 1]; i++) {
        struct mesh_corner k = c.fan[i];
        bool known = (c.last[k.y] < x) & (c.last[k.z] < x) & (c.last[k.o] < x);
        sum += c.pos[k.y];
        lap += only(known, (c.lap[k.y] - c.lap[k.o]) + c.lap[k.z]);
        n += known;
    }
    lap = n > 0 ? mean(lap, n) : mean_beside(c, v, x);
    *wide += n;
    c.lap[v] = sum;
    float degree = (float)(c.start[v + 1] - c.start[v]);
    return spread(degree) * (c.pos[v] + spread(SLOPE) * lap) - sum;
}

static inline struct guess plain_guess(struct rings c, uint32_t x)
{
    unsigned n;
    mesh_v4 p = parallelograms(c, x, &n);
    return n == 0 ? (struct guess){simple_guess(c, x), 0}
                  : (struct guess){p, n < MESH_CLASSES ? n : MESH_CLASSES - 1};
}

static inline struct guess smooth_guess(struct rings c, uint32_t x)
{
    unsigned rings = 0, wide = 0;
    mesh_v4 sum = spread(0);
    c.pos[x] = spread(0);
    for (uint32_t v = c.first[x]; v != MESH_NONE; v = c.next[v]) {
        if (v == x)
            continue;
        sum += ring_guess(c, v, x, &wide);
        rings++;
    }
    if (wide > 0)
        return (struct guess){mean(sum, rings), 3};
    struct guess g = plain_guess(c, x);
    if (g.class > 0 && rings > 0)
        return (struct guess){g.at + spread(FOLLOW) * (mean(sum, rings) - g.at), 2};
    g.class = g.class > 0;
    return g;
}

static inline struct guess guess(struct rings c, bool smooth, uint32_t x)
{
    return smooth ? smooth_guess(c, x) : plain_guess(c, x);
}

/* Once x is known: c.lap of the vertices whose rings it completes. */
static inline void complete(struct rings c, uint32_t x)
{
    for (uint32_t v = c.first[x]; v != MESH_NONE; v = c.next[v]) {
        mesh_v4 sum = spread(0);
        if (v != x)
            sum = c.lap[v] + c.pos[x];
        else
            for (uint32_t i = c.start[v]; i < c.start[v + 1]; i++)
                sum += c.pos[c.fan[i].y];
        float degree = (float)(c.start[v + 1] - c.start[v]);
        c.lap[v] = sum * spread(1.0F / degree) - c.pos[v];
    }
}

/* Bits of finite values; 0 for others. */
static inline mesh_u4 finite_bits(mesh_v4 f)
{
    mesh_u4 u = (mesh_u4)f, special = same(EXPONENT);
    return u & ~(mesh_u4)((u & special) == special);
}

/* float32 bits as integers in the order of the values (-0 before 0), and back. */
static inline mesh_u4 ordered(mesh_u4 u)
{
    mesh_u4 negative = (mesh_u4)((u & same(SIGN)) != same(0));
    return u ^ (negative & ~same(SIGN));
}

static inline mesh_u4 zigzag(mesh_u4 d)
{
    return d << 1 ^ (same(0) - (d >> 31));
}

static inline mesh_u4 unzigzag(mesh_u4 z)
{
    return z >> 1 ^ (same(0) - (z & same(1)));
}

static inline mesh_v4 position(const float *at)
{
    mesh_v4 v = spread(0);
    memcpy(&v, at, 3 * sizeof(*at));
    return v;
}

static int lengths(mesh_u4 z)
{
    return (int)(mesh_bit_length(z[0]) + mesh_bit_length(z[1]) + mesh_bit_length(z[2]));
}

/* One pass by c->shape; returns by how many bits plain parallelograms would be better, as a sample
 * of the vertices tells. */
static int64_t predict(struct mesh_coder *c, const struct mesh *m)
{
    const bool smooth = c->shape.smooth != 0;
    struct rings r = rings_of(c);
    int64_t worse = 0;
    for (uint32_t x = 0; x < m->vertices; x++) {
        mesh_v4 at = position(m->xyz + 3 * (size_t)x);
        struct guess g = guess(r, smooth, x);
        mesh_u4 p = finite_bits(g.at), value = ordered((mesh_u4)at);
        mesh_u4 z = zigzag(value - ordered(p)), exponent = p >> 23 & same(255);
        struct mesh_residual *out = &c->residual[x];
        memcpy(out->z, &z, sizeof(out->z));
        for (unsigned k = 0; k < 3; k++)
            out->exponent[k] = (uint8_t)exponent[k];
        out->class = (uint8_t)g.class;
        if (x % SAMPLE == 0)
            worse +=
                lengths(z) - lengths(zigzag(value - ordered(finite_bits(plain_guess(r, x).at))));
        r.pos[x] = at;
        if (smooth)
            complete(r, x);
    }
    return worse;
}

void mesh_predict(struct mesh_coder *c, const struct mesh *m)
{
    memset(&c->shape, 0, sizeof(c->shape));
    c->shape.smooth = 1;
    if (predict(c, m) <= 0)
        return;
    c->shape.smooth = 0;
    (void)predict(c, m);
}

static inline uint32_t part_get(struct mesh_coder *c, struct mesh_bits *bits, uint32_t high,
                                unsigned n)
{
    if (high == MESH_ESCAPE)
        high += mesh_varint_get(&c->escape);
    return high << n | mesh_bits_get(bits, n);
}

/* From high and low parts. */
static inline mesh_u4 split_get(struct mesh_coder *c, uint32_t x, unsigned class, mesh_u4 exponent)
{
    const unsigned char *high = c->high + 3 * (size_t)x;
    struct mesh_bits bits = c->bits;
    uint32_t z0 = part_get(c, &bits, high[0], mesh_low_bits(&c->shape, class, 0, exponent[0]));
    uint32_t z1 = part_get(c, &bits, high[1], mesh_low_bits(&c->shape, class, 1, exponent[1]));
    uint32_t z2 = part_get(c, &bits, high[2], mesh_low_bits(&c->shape, class, 2, exponent[2]));
    c->bits = bits;
    return (mesh_u4){z0, z1, z2, 0};
}

static mesh_u4 small_get(struct mesh_coder *c, unsigned class, mesh_u4 exponent)
{
    mesh_u4 z = same(0);
    for (unsigned k = 0; k < 3; k++)
        z[k] = mesh_small_residual(c->small, class, exponent[k], 0);
    return z;
}

static mesh_u4 planes_get(const struct mesh_coder *c, uint32_t vertices, uint32_t x)
{
    mesh_u4 z = same(0);
    for (unsigned k = 0; k < 3; k++) {
        const unsigned char *p = c->planes + k * (size_t)vertices + x;
        for (unsigned b = 0; b < 4; b++)
            z[k] |= (uint32_t)p[3 * b * (size_t)vertices] << 8 * b;
    }
    return z;
}

bool mesh_positions(struct mesh_coder *c, const struct mesh *m)
{
    const bool smooth = c->shape.smooth != 0;
    struct rings r = rings_of(c);
    for (uint32_t x = 0; x < m->vertices; x++) {
        struct guess g = guess(r, smooth, x);
        mesh_u4 p = finite_bits(g.at), exponent = p >> 23 & same(255), z;
        if (c->is_small)
            z = small_get(c, g.class, exponent);
        else if (c->shape.planes != 0)
            z = planes_get(c, m->vertices, x);
        else
            z = split_get(c, x, g.class, exponent);
        mesh_u4 bits = ordered(ordered(p) + unzigzag(z));
        memcpy(m->xyz + 3 * (size_t)x, &bits, 3 * sizeof(*m->xyz));
        r.pos[x] = (mesh_v4)bits;
        if (smooth)
            complete(r, x);
    }
    return !c->escape.bad && !c->bits.bytes.bad;
}
