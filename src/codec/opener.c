/* A packed mesh block to arrays in memory. */
#include "codec/block_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct opener {
    ZSTD_DCtx *zstd;
    struct mesh_coder *mesh;
    struct view in; /* what of the packed block is still to be read */
    unsigned flags;
    struct form form;
    unsigned char plane[4][3 * MESH_FACETS_MAX];
    unsigned char attribute[2 * MESH_FACETS_MAX];
};

struct opener *opener_new(int encode)
{
    struct opener *p = malloc(sizeof(*p));
    if (p == NULL)
        return NULL;
    p->zstd = ZSTD_createDCtx();
    p->mesh = mesh_coder_new(MESH_FACETS_MAX, encode);
    if (p->zstd != NULL && p->mesh != NULL)
        return p;
    opener_free(p);
    return NULL;
}

void opener_free(struct opener *p)
{
    if (p != NULL) {
        (void)ZSTD_freeDCtx(p->zstd);
        mesh_coder_free(&p->mesh);
    }
    free(p);
}

struct mesh_coder *opener_mesh(struct opener *p)
{
    return p->mesh;
}

ZSTD_DCtx *opener_zstd(struct opener *p)
{
    return p->zstd;
}

int opener_begin(struct opener *p, const void *in, size_t len, size_t text_len)
{
    p->in = view_of(in, len);
    return form_get_head(&p->in, text_len, &p->form, &p->flags);
}

/* Takes `len` bytes of memory, to a whole number of 8. */
static void *take(char **memory, size_t len)
{
    char *p = *memory;
    *memory += (len + 7) & ~(size_t)7;
    return p;
}

/* Unpacks a frame that must give exactly `len` bytes. */
static int get_frame(struct opener *p, void *out, size_t len)
{
    size_t packed = form_get_varint(&p->in);
    const void *frame = view_take(&p->in, packed);
    if (frame == NULL)
        return -EBADMSG;
    size_t n = ZSTD_decompressDCtx(p->zstd, out, len, frame, packed);
    return ZSTD_isError(n) || n != len ? -EBADMSG : 0;
}

/* Fills the literals, each with the known text that it begins with. The own bytes are unpacked to
 * the end of the room first, and move down from there. */
static int fill_literals(struct opener *p, char *out)
{
    const struct form *f = &p->form;
    const char *own = out + (f->literal - f->own);
    if ((p->flags & FORM_LITERALS_PACKED) != 0) {
        if (get_frame(p, out + (f->literal - f->own), f->own) != 0)
            return -EBADMSG;
    } else {
        own = view_take(&p->in, f->own);
        if (own == NULL)
            return -EBADMSG;
    }
    for (uint32_t i = 0; i <= f->runs; i++) {
        size_t known_len;
        const char *known = form_known(f->run[i].known, &known_len);
        size_t own_len = f->run[i].literal - known_len;
        memmove(out + known_len, own, own_len);
        memcpy(out, known, known_len);
        out += f->run[i].literal;
        own += own_len;
    }
    return 0;
}

static void fill_runs(const struct form *f, struct open_run *run)
{
    uint32_t facet = 0, literal = 0;
    for (uint32_t i = 0; i <= f->runs; i++) {
        run[i] = (struct open_run){facet, f->run[i].facets, literal, f->run[i].literal};
        facet += f->run[i].facets;
        literal += f->run[i].literal;
    }
}

/* Where in the text, literals counted, the facets of the entries begin. */
static void fill_entries(const struct form *f, const struct open_run *run, uint32_t *entry)
{
    uint32_t r = 0;
    for (uint32_t i = 0; i < f->entries; i++) {
        while (run[r].first + run[r].facets <= (i + 1) * FORM_STEP)
            r++;
        entry[i] = f->entry[i] + run[r].literal + run[r].literal_len;
    }
}

static int get_planes(struct opener *p)
{
    size_t len = (size_t)3 * p->form.facets;
    for (unsigned b = 0; b < 4; b++) {
        struct view ahead = p->in;
        if (form_get_varint(&ahead) == 0 && ahead.err == 0) {
            p->in = ahead;
            memset(p->plane[b], 0, len);
        } else if (get_frame(p, p->plane[b], len) != 0) {
            return -EBADMSG;
        }
    }
    return 0;
}

static void fill_normals(const struct opener *p, const struct mesh *m, float *normal)
{
    struct normals formula;
    for (uint32_t f = 0, n; f < m->facets; f += n) {
        n = m->facets - f < NORMALS_CHUNK ? m->facets - f : NORMALS_CHUNK;
        normals_of(m, f, n, &formula);
        for (uint32_t i = 0; i < n; i++)
            for (unsigned k = 0; k < 3; k++) {
                size_t at = (size_t)k * m->facets + f + i;
                uint32_t d = 0;
                if ((p->flags & FORM_NORMALS) != 0)
                    d = p->plane[0][at] | (uint32_t)p->plane[1][at] << 8 |
                        (uint32_t)p->plane[2][at] << 16 | (uint32_t)p->plane[3][at] << 24;
                normal[3 * (size_t)(f + i) + k] = normals_correct(formula.v[k][i], d);
            }
    }
}

static int fill_attributes(struct opener *p, uint16_t *attribute)
{
    uint32_t facets = p->form.facets;
    unsigned char *bytes = p->attribute;
    if (get_frame(p, bytes, (size_t)2 * facets) != 0)
        return -EBADMSG;
    for (uint32_t f = 0; f < facets; f++)
        attribute[f] = (uint16_t)(bytes[f] | bytes[facets + f] << 8);
    return 0;
}

static int fill_mesh(struct opener *p, struct mesh *m)
{
    uint32_t facets = p->form.facets;
    if (mesh_decode(p->mesh, p->in.p, (size_t)(p->in.end - p->in.p), facets, 3 * facets, m) != 0)
        return -EBADMSG;
    return m->facets == facets ? 0 : -EBADMSG;
}

int opener_fill(struct opener *p, struct codec_open *o)
{
    struct form *f = &p->form;
    char *memory = (char *)o + ((sizeof(*o) + 7) & ~(size_t)7);
    *o = (struct codec_open){.text = f->text, .layout = f->layout, .runs = f->runs};
    struct open_run *run = take(&memory, (f->runs + 1) * sizeof(*run));
    uint32_t *entry = take(&memory, f->entries * sizeof(*entry));
    char *literals = take(&memory, f->literal);
    float *normal = f->layout.float_normals ? take(&memory, f->facets * 3 * sizeof(*normal)) : NULL;
    uint16_t *attribute = NULL;
    if ((p->flags & FORM_ATTRIBUTES) != 0)
        attribute = take(&memory, f->facets * sizeof(*attribute));
    o->mesh.ref = take(&memory, f->facets * 3 * sizeof(uint32_t));
    o->mesh.xyz = (float *)(void *)memory;
    fill_runs(f, run);
    if (fill_literals(p, literals) != 0 || form_get_entries(&p->in, f) != 0)
        return -EBADMSG;
    fill_entries(f, run, entry);
    if (((p->flags & FORM_NORMALS) != 0 && get_planes(p) != 0) ||
        (attribute != NULL && fill_attributes(p, attribute) != 0) || fill_mesh(p, &o->mesh) != 0)
        return -EBADMSG;
    if (normal != NULL)
        fill_normals(p, &o->mesh, normal);
    o->run = run;
    o->entry = entry;
    o->entries = f->entries;
    o->normal = normal;
    o->attribute = attribute;
    o->literals = literals;
    o->mean = (f->text - f->literal) / f->facets;
    o->size = (size_t)((char *)(o->mesh.xyz + (size_t)3 * o->mesh.vertices) - (char *)o);
    return 0;
}

static void *moved(const void *p, const struct codec_open *from, struct codec_open *to)
{
    return p != NULL ? (char *)to + ((const char *)p - (const char *)from) : NULL;
}

void opener_copy(const struct codec_open *from, struct codec_open *to)
{
    memcpy(to, from, from->size);
    to->mesh.ref = moved(from->mesh.ref, from, to);
    to->mesh.xyz = moved(from->mesh.xyz, from, to);
    to->run = moved(from->run, from, to);
    to->entry = moved(from->entry, from, to);
    to->normal = moved(from->normal, from, to);
    to->attribute = moved(from->attribute, from, to);
    to->literals = moved(from->literals, from, to);
}
