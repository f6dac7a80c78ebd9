/* The mesh coder's memory and its two ways: streams for zstd, or the small coder. */
#include "codec/mesh_i.h"

#include <errno.h>
#include <stdlib.h>

enum { WAY_STREAMS = 0, WAY_SMALL = 1, WAY_SMALL_PLAIN = 2, SLACK = 64, HEAD_ROOM = 1024 };

/* Plain bits of a vertex in bytes: 3 times 6 and 29 bits. */
enum { LOW_MOST = 14 };

/* Larger meshes go through the streams where speed counts: those decode three times as fast. */
enum { SMALL_FACETS_FAST = 1200 };

/* Cuts `size` bytes off an arena, or, without one, only counts them. */
static void *cut(unsigned char *arena, size_t *at, size_t size)
{
    void *p = arena == NULL ? NULL : arena + *at;
    *at += (size + SLACK - 1) / SLACK * SLACK;
    return p;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The open edges are done with before the fans are made, and residuals come as planes or as parts:
 * these share their memory, which saves cache too. */
static size_t lay_out(struct mesh_coder *c, unsigned char *arena, int encode)
{
    size_t at = 0, other = 0, facets = c->facets, corners = 3 * facets, vertices = corners + 2;
    c->link = cut(arena, &at, vertices * sizeof(*c->link));
    c->fan = cut(arena, &other, corners * sizeof(*c->fan));
    c->balance = cut(arena, &other, vertices * sizeof(*c->balance));
    c->last = cut(arena, &other, vertices * sizeof(*c->last));
    c->first = cut(arena, &other, vertices * sizeof(*c->first));
    c->next = cut(arena, &other, vertices * sizeof(*c->next));
    other = at = larger(at, other);
    c->high = cut(arena, &at, 3 * vertices);
    c->escapes = cut(arena, &at, MESH_VARINT_MAX * 3 * vertices);
    c->planes = cut(arena, &other, 12 * vertices);
    at = larger(at, other);
    c->across = cut(arena, &at, corners * sizeof(*c->across));
    c->start = cut(arena, &at, vertices * sizeof(*c->start));
    c->pos = cut(arena, &at, vertices * sizeof(*c->pos));
    c->lap = cut(arena, &at, vertices * sizeof(*c->lap));
    c->tokens = cut(arena, &at, corners);
    c->numbers = cut(arena, &at, MESH_VARINT_MAX * corners);
    c->low = encode ? cut(arena, &at, LOW_MOST * vertices + SLACK) : NULL;
    c->residual = encode ? cut(arena, &at, vertices * sizeof(*c->residual)) : NULL;
    return at;
}

struct mesh_coder *mesh_coder_new(uint32_t facets, int encode)
{
    struct mesh_coder *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->facets = facets < MESH_FACETS_MAX ? facets : MESH_FACETS_MAX;
    c->arena = aligned_alloc(SLACK, lay_out(c, NULL, encode));
    if (c->arena != NULL)
        (void)lay_out(c, c->arena, encode);
    c->small = mesh_small_new();
    c->dctx = ZSTD_createDCtx();
    c->cctx = encode ? ZSTD_createCCtx() : NULL;
    if (c->arena == NULL || c->small == NULL || c->dctx == NULL || (encode && c->cctx == NULL))
        mesh_coder_free(&c);
    return c;
}

void mesh_coder_free(struct mesh_coder **c)
{
    if (*c != NULL) {
        (void)ZSTD_freeCCtx((*c)->cctx);
        (void)ZSTD_freeDCtx((*c)->dctx);
        free((*c)->small);
        free((*c)->arena);
    }
    free(*c);
    *c = NULL;
}

size_t mesh_bound(uint32_t facets, uint32_t vertices)
{
    size_t corners = 3 * (size_t)facets, values = 3 * (size_t)vertices;
    size_t streams = (1 + MESH_VARINT_MAX) * corners + (4 + MESH_VARINT_MAX) * values;
    size_t small = facets <= MESH_SMALL_FACETS ? streams : 0;
    return ZSTD_compressBound(streams) + small + HEAD_ROOM;
}

/* The usual sum of exponent and length of the residuals: their mean. */
static unsigned usual(const struct mesh_coder *c, const struct mesh *m)
{
    uint64_t sum = 0, n = 3 * (uint64_t)m->vertices;
    for (uint32_t x = 0; x < m->vertices; x++)
        for (unsigned k = 0; k < 3; k++)
            sum += c->residual[x].exponent[k] + mesh_bit_length(c->residual[x].z[k]);
    sum = n > 0 ? (sum + n / 2) / n : 0;
    return sum < 255 ? (unsigned)sum : 255;
}

/* Base, length of the plain bits, those, the range coder's bytes. */
static void put_small(struct mesh_coder *c, const struct mesh *m, struct mesh_bytes *out)
{
    unsigned base = usual(c, m);
    size_t room = 6 * ((size_t)m->facets + m->vertices);
    struct mesh_bytes coded = {c->planes, c->planes + room, false};
    c->is_small = true;
    mesh_bits_begin(&c->bits, c->low, NULL);
    mesh_small_write(c->small, base, &coded, &c->bits);
    mesh_refs_encode(c, m);
    for (uint32_t x = 0; x < m->vertices; x++)
        for (unsigned k = 0; k < 3; k++) {
            const struct mesh_residual *r = &c->residual[x];
            (void)mesh_small_residual(c->small, r->class, r->exponent[k], r->z[k]);
        }
    mesh_small_end(c->small);
    mesh_bits_flush(&c->bits);
    size_t plain = (size_t)(c->bits.bytes.p - c->low), rest = (size_t)(coded.p - c->planes);
    *out->p++ = (unsigned char)base;
    mesh_varint_put(out, (uint32_t)plain);
    memcpy(out->p, c->low, plain);
    memcpy(out->p + plain, c->planes, rest);
    out->p += plain + rest;
    out->bad = coded.bad;
}

static void put_head(struct mesh_bytes *out, unsigned way, const struct mesh *m)
{
    *out->p++ = (unsigned char)way;
    mesh_varint_put(out, m->facets);
    mesh_varint_put(out, m->vertices);
}

size_t mesh_encode(struct mesh_coder *c, const struct mesh *m, enum mesh_effort effort,
                   unsigned char *out, size_t cap)
{
    struct mesh_bytes b = {out, out + cap, false};
    if (m->facets > c->facets || m->vertices > 3 * m->facets ||
        cap < mesh_bound(m->facets, m->vertices))
        return 0;
    c->is_small = false;
    mesh_refs_encode(c, m);
    mesh_fans(c, m);
    mesh_predict(c, m);
    put_head(&b, WAY_STREAMS, m);
    mesh_streams_put(c, m, effort, &b);
    if (m->facets > (effort == MESH_FAST ? SMALL_FACETS_FAST : MESH_SMALL_FACETS))
        return (size_t)(b.p - out);
    unsigned char *small = b.p;
    put_head(&b, c->shape.smooth != 0 ? WAY_SMALL : WAY_SMALL_PLAIN, m);
    put_small(c, m, &b);
    size_t streams_len = (size_t)(small - out), small_len = (size_t)(b.p - small);
    if (b.bad || small_len >= streams_len)
        return streams_len;
    memmove(out, small, small_len);
    return small_len;
}

static bool get_small(struct mesh_coder *c, const struct mesh *m, unsigned way,
                      struct mesh_bytes *in)
{
    if (m->facets > MESH_SMALL_FACETS || in->p == in->end)
        return false;
    unsigned base = *in->p++;
    uint32_t plain = mesh_varint_get(in);
    if (in->bad || plain > (size_t)(in->end - in->p))
        return false;
    mesh_bits_begin(&c->bits, in->p, in->p + plain);
    in->p += plain;
    c->is_small = true;
    c->shape.smooth = way == WAY_SMALL;
    mesh_small_read(c->small, base, in, &c->bits);
    return true;
}

static bool get(struct mesh_coder *c, struct mesh *m, uint32_t facets_cap, uint32_t vertices_cap,
                struct mesh_bytes *in)
{
    unsigned way = mesh_varint_get(in);
    m->facets = mesh_varint_get(in);
    m->vertices = mesh_varint_get(in);
    if (in->bad || way > WAY_SMALL_PLAIN || m->facets > c->facets || m->facets > facets_cap ||
        m->vertices > vertices_cap || m->vertices > 3 * m->facets)
        return false;
    c->is_small = false;
    c->number.bad = c->escape.bad = false;
    if (way == WAY_STREAMS ? !mesh_streams_get(c, m, in) : !get_small(c, m, way, in))
        return false;
    if (!mesh_refs_decode(c, m))
        return false;
    mesh_fans(c, m);
    return mesh_positions(c, m);
}

int mesh_decode(struct mesh_coder *c, const unsigned char *in, size_t len, uint32_t facets_cap,
                uint32_t vertices_cap, struct mesh *m)
{
    /* `in` is read only; struct mesh_bytes serves both ways. */
    struct mesh_bytes b = {(unsigned char *)(uintptr_t)in, in + len, false};
    return get(c, m, facets_cap, vertices_cap, &b) ? 0 : -EBADMSG;
}
