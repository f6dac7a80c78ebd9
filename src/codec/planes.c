/* Residuals as bytes: a high part of one byte each, which zstd's Huffman coder shrinks, and low
 * bits that nothing would, as they are; or four byte planes, for residuals that repeat. */
#include "codec/mesh_i.h"

enum { SPAN = 320 /* of exponent + length */, MIDDLE = 5 /* usual length of a high part */ };

static void planes_put(struct mesh_coder *c, const struct mesh *m)
{
    size_t plane = 3 * (size_t)m->vertices;
    for (uint32_t x = 0; x < m->vertices; x++)
        for (unsigned k = 0; k < 3; k++)
            for (unsigned b = 0; b < 4; b++)
                c->planes[b * plane + k * (size_t)m->vertices + x] =
                    (unsigned char)(c->residual[x].z[k] >> 8 * b);
}

static void split_put(struct mesh_coder *c, const struct mesh *m)
{
    c->escape.p = c->escapes;
    mesh_bits_begin(&c->bits, c->low, NULL);
    for (uint32_t x = 0; x < m->vertices; x++) {
        const struct mesh_residual *r = &c->residual[x];
        for (unsigned k = 0; k < 3; k++) {
            unsigned n = mesh_low_bits(&c->shape, r->class, k, r->exponent[k]);
            uint32_t high = r->z[k] >> n;
            c->high[3 * (size_t)x + k] = (unsigned char)(high < MESH_ESCAPE ? high : MESH_ESCAPE);
            if (high >= MESH_ESCAPE)
                mesh_varint_put(&c->escape, high - MESH_ESCAPE);
            mesh_bits_put(&c->bits, r->z[k] & (((uint32_t)1 << n) - 1), n);
        }
    }
    mesh_bits_flush(&c->bits);
}

/* Where half of the residuals are below and half above. */
static unsigned median(const uint32_t *count, uint32_t total)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < SPAN; i++)
        if ((sum += 2 * count[i]) > total)
            return i;
    return 0;
}

/* Chooses between planes and parts, and where the parts are cut. */
static void choose(struct mesh_coder *c, const struct mesh *m)
{
    uint32_t count[MESH_CLASSES][3][SPAN] = {{{0}}}, total[MESH_CLASSES] = {0}, zeros = 0;
    for (uint32_t x = 0; x < m->vertices; x++) {
        const struct mesh_residual *r = &c->residual[x];
        total[r->class]++;
        for (unsigned k = 0; k < 3; k++) {
            count[r->class][k][r->exponent[k] + mesh_bit_length(r->z[k])]++;
            zeros += r->z[k] == 0;
        }
    }
    c->shape.planes = zeros > m->vertices / 3;
    for (unsigned class = 0; class < MESH_CLASSES; class ++)
        for (unsigned k = 0; k < 3; k++) {
            unsigned at = median(count[class][k], total[class]);
            at = at > MIDDLE ? at - MIDDLE : 0;
            c->shape.scale[class][k] = (uint8_t)(at < 255 ? at : 255);
        }
}

/* ------------------------------------------------------------------ streams */

enum kind { TOKEN_BYTES, HIGH_BYTES, OTHER_BYTES };

static void tune(ZSTD_CCtx *z, enum kind kind, enum mesh_effort effort)
{
    (void)ZSTD_CCtx_reset(z, ZSTD_reset_session_and_parameters);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel,
                                 effort == MESH_SMALL ? 19
                                 : kind == HIGH_BYTES ? 1
                                                      : 3);
    if (kind != TOKEN_BYTES || effort == MESH_SMALL)
        return;
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_strategy, ZSTD_lazy2);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_minMatch, 6);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_searchLog, 3);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_targetLength, 16);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, 14);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_chainLog, 14);
}

/* Length, packed length (0: as it is), bytes. */
static void stream_put(struct mesh_coder *c, enum kind kind, enum mesh_effort effort,
                       const unsigned char *data, size_t len, struct mesh_bytes *out)
{
    size_t room = (size_t)(out->end - out->p) - 2 * MESH_VARINT_MAX, n = 0;
    unsigned char *packed = out->p + 2 * MESH_VARINT_MAX;
    if (len > 0) {
        tune(c->cctx, kind, effort);
        n = ZSTD_compress2(c->cctx, packed, room, data, len);
        n = ZSTD_isError(n) || n >= len ? 0 : n;
    }
    mesh_varint_put(out, (uint32_t)len);
    mesh_varint_put(out, (uint32_t)n);
    if (n > 0)
        memmove(out->p, packed, n);
    else if (len > 0)
        memcpy(out->p, data, len);
    out->p += n > 0 ? n : len;
}

void mesh_streams_put(struct mesh_coder *c, const struct mesh *m, enum mesh_effort effort,
                      struct mesh_bytes *out)
{
    size_t values = 3 * (size_t)m->vertices;
    choose(c, m);
    memcpy(out->p, &c->shape, sizeof(c->shape));
    out->p += sizeof(c->shape);
    stream_put(c, TOKEN_BYTES, effort, c->tokens, 3 * (size_t)m->facets, out);
    stream_put(c, OTHER_BYTES, effort, c->numbers, (size_t)(c->number.p - c->numbers), out);
    if (c->shape.planes != 0) {
        planes_put(c, m);
        for (size_t b = 0; b < 4; b++)
            stream_put(c, OTHER_BYTES, effort, c->planes + b * values, values, out);
        return;
    }
    split_put(c, m);
    stream_put(c, HIGH_BYTES, effort, c->high, values, out);
    stream_put(c, OTHER_BYTES, effort, c->escapes, (size_t)(c->escape.p - c->escapes), out);
    memcpy(out->p, c->low, (size_t)(c->bits.bytes.p - c->low));
    out->p += c->bits.bytes.p - c->low;
}

/* Reads a stream of at most `cap` bytes into `to`; its length, or MESH_NONE. */
static uint32_t stream_get(struct mesh_coder *c, struct mesh_bytes *in, unsigned char *to,
                           size_t cap)
{
    uint32_t len = mesh_varint_get(in), packed = mesh_varint_get(in);
    size_t take = packed > 0 ? packed : len;
    if (in->bad || len > cap || take > (size_t)(in->end - in->p))
        return MESH_NONE;
    const unsigned char *from = in->p;
    in->p += take;
    if (packed == 0) {
        memcpy(to, from, len);
        return len;
    }
    return ZSTD_decompressDCtx(c->dctx, to, len, from, packed) == len ? len : MESH_NONE;
}

static bool stream_get_exactly(struct mesh_coder *c, struct mesh_bytes *in, unsigned char *to,
                               size_t len)
{
    return stream_get(c, in, to, len) == len;
}

bool mesh_streams_get(struct mesh_coder *c, const struct mesh *m, struct mesh_bytes *in)
{
    size_t values = 3 * (size_t)m->vertices;
    if ((size_t)(in->end - in->p) < sizeof(c->shape))
        return false;
    memcpy(&c->shape, in->p, sizeof(c->shape));
    in->p += sizeof(c->shape);
    if (!stream_get_exactly(c, in, c->tokens, 3 * (size_t)m->facets))
        return false;
    uint32_t n = stream_get(c, in, c->numbers, (size_t)MESH_VARINT_MAX * 3 * m->facets);
    c->number =
        (struct mesh_bytes){c->numbers, c->numbers + (n != MESH_NONE ? n : 0), n == MESH_NONE};
    if (c->shape.planes != 0) {
        for (size_t b = 0; b < 4 && !c->number.bad; b++)
            c->number.bad = !stream_get_exactly(c, in, c->planes + b * values, values);
        return !c->number.bad;
    }
    if (c->number.bad || !stream_get_exactly(c, in, c->high, values))
        return false;
    n = stream_get(c, in, c->escapes, MESH_VARINT_MAX * values);
    c->escape =
        (struct mesh_bytes){c->escapes, c->escapes + (n != MESH_NONE ? n : 0), n == MESH_NONE};
    mesh_bits_begin(&c->bits, in->p, in->end);
    return !c->escape.bad;
}
