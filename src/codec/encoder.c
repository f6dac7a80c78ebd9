/* A block's text to a packed mesh block, proved. */
#include "codec/block_i.h"
#include "codec/facts_i.h"
#include "codec/scan.h"
#include "codec/stl.h"

#include <stdlib.h>
#include <string.h>

enum {
    FAST_LEVEL = 3,
    SMALL_LEVEL = 19,
    SMALL_TABLES = 19, /* log of entries: level 19's own would take 50 MiB and more */
    VARINT_MAX = 5,
    PROOF_MAX = CODEC_BLOCK_MAX + CODEC_BLOCK_MAX / 4,
};

struct encoder {
    ZSTD_CCtx *zstd;
    struct scanner *scanner;
    unsigned char *packed;
    size_t packed_cap;
    char *proof; /* PROOF_MAX bytes; own literal bytes before */
    unsigned char plane[4][3 * MESH_FACETS_MAX];
};

static size_t packed_max(void)
{
    return CODEC_HEAD + LAYOUT_PACKED_MAX + (size_t)VARINT_MAX * 3 * (FORM_RUNS + FORM_ENTRIES) +
           CODEC_BLOCK_MAX + 5 * (VARINT_MAX + ZSTD_COMPRESSBOUND((size_t)3 * MESH_FACETS_MAX)) +
           mesh_bound(MESH_FACETS_MAX, MESH_VERTICES_MAX);
}

struct encoder *encoder_new(void)
{
    struct encoder *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return NULL;
    e->packed_cap = packed_max();
    e->zstd = ZSTD_createCCtx();
    e->scanner = scanner_new();
    e->packed = malloc(e->packed_cap);
    e->proof = malloc(PROOF_MAX);
    if (e->zstd == NULL || e->scanner == NULL || e->packed == NULL || e->proof == NULL) {
        encoder_free(e);
        return NULL;
    }
    return e;
}

void encoder_free(struct encoder *e)
{
    if (e != NULL) {
        (void)ZSTD_freeCCtx(e->zstd);
        scanner_free(e->scanner);
        free(e->packed);
        free(e->proof);
    }
    free(e);
}

static size_t compress(struct encoder *e, enum codec_effort effort, const void *in, size_t len,
                       void *out, size_t cap)
{
    bool small = effort == CODEC_SMALL;
    (void)ZSTD_CCtx_reset(e->zstd, ZSTD_reset_session_and_parameters);
    (void)ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel,
                                 small ? SMALL_LEVEL : FAST_LEVEL);
    if (small) {
        (void)ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_hashLog, SMALL_TABLES);
        (void)ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_chainLog, SMALL_TABLES);
    }
    size_t n = ZSTD_compress2(e->zstd, out, cap, in, len);
    return ZSTD_isError(n) ? 0 : n;
}

size_t encoder_zstd(struct encoder *e, const void *text, size_t len, enum codec_effort effort,
                    void *out)
{
    size_t n = compress(e, effort, text, len, out, ZSTD_COMPRESSBOUND(len));
    return n < len ? n : 0;
}

/* ---- the parts of a block ---- */

/* Appends a varint length and the frame; returns the bytes of both. */
static size_t put_frame(struct encoder *e, enum codec_effort effort, const void *in, size_t len,
                        unsigned char *out)
{
    unsigned char *frame = out + VARINT_MAX;
    size_t n = compress(e, effort, in, len, frame, ZSTD_COMPRESSBOUND(len));
    size_t head = form_put_varint((uint32_t)n, out);
    memmove(out + head, frame, n);
    return head + n;
}

/* Gathers the literal bytes that are no known texts. */
static const char *own_bytes(struct encoder *e, const char *text)
{
    const struct scan *s = scanner_scan(e->scanner);
    char *out = e->proof;
    for (uint32_t i = 0; i <= s->form.runs; i++) {
        const struct form_run *r = &s->form.run[i];
        size_t known;
        (void)form_known(r->known, &known);
        memcpy(out, text + s->literal_at[i] + known, r->literal - known);
        out += r->literal - known;
    }
    return e->proof;
}

/* True where the formula's normal, as a float32, prints as the one of the text does. */
static bool same_print(const struct layout *l, float formula, float right)
{
    char a[NUMBER_LONG], b[NUMBER_LONG];
    if (l->binary)
        return false;
    unsigned n = number_print(&l->normal, (double)formula, a);
    return n == number_print(&l->normal, (double)right, b) && memcmp(a, b, n) == 0;
}

/* The corrections of all normals, in planes. True where one is not 0. */
static bool correct(struct encoder *e, const struct scan *s)
{
    const struct layout *l = &s->form.layout;
    struct normals formula;
    uint32_t any = 0, facets = s->mesh.facets;
    for (uint32_t f = 0; f < facets; f++) {
        uint32_t in_chunk = f % NORMALS_CHUNK;
        if (in_chunk == 0)
            normals_of(&s->mesh, f, facets - f < NORMALS_CHUNK ? facets - f : NORMALS_CHUNK,
                       &formula);
        for (unsigned k = 0; k < 3; k++) {
            float right = s->normal[(size_t)3 * f + k];
            double value = formula.v[k][in_chunk];
            uint32_t d = normals_correction(value, right);
            if (d != 0 && same_print(l, (float)value, right))
                d = 0;
            for (unsigned b = 0; b < 4; b++)
                e->plane[b][(size_t)k * facets + f] = (unsigned char)(d >> 8 * b);
            any |= d;
        }
    }
    return any != 0;
}

static bool all_zero(const unsigned char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static size_t put_planes(struct encoder *e, enum codec_effort effort, uint32_t facets,
                         unsigned char *out)
{
    size_t n = 0, len = (size_t)3 * facets;
    for (unsigned b = 0; b < 4; b++) {
        if (all_zero(e->plane[b], len))
            out[n++] = 0;
        else
            n += put_frame(e, effort, e->plane[b], len, out + n);
    }
    return n;
}

static size_t put_attributes(struct encoder *e, enum codec_effort effort, const struct scan *s,
                             unsigned char *out)
{
    uint32_t facets = s->mesh.facets;
    for (uint32_t f = 0; f < facets; f++) {
        e->plane[0][f] = (unsigned char)s->attribute[f];
        e->plane[0][facets + f] = (unsigned char)(s->attribute[f] >> 8);
    }
    return put_frame(e, effort, e->plane[0], (size_t)2 * facets, out);
}

/* Packs what was scanned; returns the length, 0 where the coder of meshes cannot. */
static size_t pack(struct encoder *e, struct mesh_coder *mesh, const char *text,
                   enum codec_effort effort)
{
    enum { WORTH = 64 }; /* own bytes from which a frame may be smaller */
    const struct scan *s = scanner_scan(e->scanner);
    const struct form *f = &s->form;
    unsigned char *out = e->packed, *frame = (unsigned char *)e->proof + f->own;
    const char *own = own_bytes(e, text);
    size_t n = CODEC_HEAD, own_len = f->own;
    bool normals = f->layout.float_normals && correct(e, s);
    size_t framed = f->own >= WORTH ? put_frame(e, effort, own, f->own, frame) : SIZE_MAX;
    bool squeezed = framed < f->own;
    out[0] = CODEC_MESH;
    out[1] = BLOCK_VERSION;
    n += form_put_head(f,
                       (squeezed ? FORM_LITERALS_PACKED : 0) | (normals ? FORM_NORMALS : 0) |
                           (s->attributes ? FORM_ATTRIBUTES : 0),
                       out + n);
    memcpy(out + n, squeezed ? frame : (const unsigned char *)own, squeezed ? framed : own_len);
    n += squeezed ? framed : own_len;
    n += form_put_entries(f, out + n);
    if (normals)
        n += put_planes(e, effort, s->mesh.facets, out + n);
    if (s->attributes)
        n += put_attributes(e, effort, s, out + n);
    size_t m = mesh_encode(mesh, &s->mesh, effort == CODEC_SMALL ? MESH_SMALL : MESH_FAST, out + n,
                           e->packed_cap - n);
    return m > 0 ? n + m : 0;
}

/* ---- the proof ---- */

static bool proved(struct encoder *e, struct prover *p, const char *text, size_t len, size_t packed)
{
    return opener_begin(p->opener, e->packed + CODEC_HEAD, packed - CODEC_HEAD, len) == 0 &&
           opener_fill(p->opener, p->arena) == 0 &&
           printer_range(p->printer, p->arena, 0, len, e->proof) == 0 &&
           memcmp(e->proof, text, len) == 0;
}

/* Compares the text of the facets of a run, which begins at `p`, with `*q`, as they were printed;
 * adds those that differ to the exceptions. Returns where the run ends in the text; NULL: too many
 * differ. */
static const char *compare_run(struct scan *s, const char *text, size_t len, const char *p,
                               uint32_t facets, const char **q, const char *q_end)
{
    struct layout_facet is, was;
    for (; facets > 0; facets--) {
        if (!layout_find(&s->form.layout, p, text + len, &is) ||
            !layout_find(&s->form.layout, *q, q_end, &was))
            return NULL;
        size_t n = (size_t)(is.end - p);
        if (n != (size_t)(was.end - *q) || memcmp(p, *q, n) != 0) {
            if (s->exceptions == SCAN_EXCEPTIONS)
                return NULL;
            s->exception[s->exceptions++] = (uint32_t)(p - text);
        }
        p = is.end;
        *q = was.end;
    }
    return p;
}

/* Finds the facets that do not print as they stand in the text. False where there is none, or too
 * many. */
static bool find_exceptions(struct encoder *e, struct prover *p, const char *text, size_t len)
{
    struct scan *s = scanner_scan(e->scanner);
    const char *q = e->proof,
               *q_end = q + printer_facets(p->printer, p->arena, e->proof, PROOF_MAX);
    const char *at = text;
    for (uint32_t i = 0; i < s->form.runs; i++) {
        at = compare_run(s, text, len, at + s->form.run[i].literal, s->form.run[i].facets, &q,
                         q_end);
        if (at == NULL)
            return false;
    }
    return s->exceptions > 0;
}

static bool scan(struct encoder *e, const void *text, size_t len, uint64_t offset, bool binary)
{
    return binary ? scanner_binary(e->scanner, text, len, offset)
                  : scanner_text(e->scanner, text, len);
}

static void tell_facts(const struct encoder *e, const char *text, struct facts_part *facts)
{
    const struct scan *s = scanner_scan(e->scanner);
    const struct layout_text *first = &s->form.layout.text[0];
    enum stl_kind kind = s->form.layout.binary ? STL_BINARY : STL_TEXT;
    bool apart = first->len > 0 && strchr(" \t\n\v\f\r", first->s[0]) != NULL;
    facts_part_clear(facts);
    for (uint32_t i = 0; i <= s->form.runs; i++) {
        facts_part_text(facts, text + s->literal_at[i], s->form.run[i].literal);
        facts_part_run(facts, kind, s->form.run[i].facets, apart);
    }
    facts_part_mesh(facts, &s->mesh);
}

size_t encoder_mesh(struct encoder *e, struct prover *p, const void *text, size_t len,
                    uint64_t offset, enum codec_effort effort, struct facts_part *facts,
                    const unsigned char **packed)
{
    struct scan *s = scanner_scan(e->scanner);
    bool binary = !stl_is_text(text, len);
    if (binary)
        layout_binary(&s->form.layout);
    else if (!layout_guess(text, len, &s->form.layout))
        return 0;
    s->exceptions = 0;
    for (unsigned turn = 0; turn < 2; turn++) {
        if (!scan(e, text, len, offset, binary))
            return 0;
        size_t n = pack(e, opener_mesh(p->opener), text, effort);
        if (n == 0)
            return 0;
        if (proved(e, p, text, len, n)) {
            tell_facts(e, text, facts);
            *packed = e->packed;
            return n;
        }
        if (binary || !find_exceptions(e, p, text, len))
            return 0;
    }
    return 0;
}
