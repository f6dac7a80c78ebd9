#include "codec/form.h"

#include <errno.h>
#include <string.h>

enum { KNOWN_BITS = 4, KNOWN_MASK = 15, BINARY_FACET = 50, NUMBERS = 12, VARINT_MAX = 5 };

#define VTK_NAME "Visualization Toolkit generated SLA File"
#define NULS_40  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

struct known {
    const char *s;
    uint8_t len;
};

#define KNOWN(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct known known[] = {
    KNOWN(""),
    KNOWN("solid " VTK_NAME "\n"),
    KNOWN("solid " VTK_NAME "\r\n"),
    KNOWN("endsolid\n"),
    KNOWN("endsolid\r\n"),
    {VTK_NAME NULS_40, 80},
    KNOWN("solid Created by Gmsh\n"),
    KNOWN("endsolid Created by Gmsh\n"),
    KNOWN("solid OpenSCAD_Model\n"),
    KNOWN("endsolid OpenSCAD_Model\n"),
};

enum { KNOWN_COUNT = sizeof(known) / sizeof(known[0]) };

_Static_assert(sizeof(VTK_NAME NULS_40) == 80, "the string's own NUL is the last of the 80 bytes");

const char *form_known(unsigned k, size_t *len)
{
    *len = k < KNOWN_COUNT ? known[k].len : 0;
    return k < KNOWN_COUNT ? known[k].s : NULL;
}

uint8_t form_find_known(const char *s, size_t len)
{
    unsigned best = 0;
    for (unsigned k = 1; k < KNOWN_COUNT; k++)
        if (known[k].len <= len && known[k].len > known[best].len &&
            memcmp(s, known[k].s, known[k].len) == 0)
            best = k;
    return (uint8_t)best;
}

size_t form_put_varint(uint32_t v, unsigned char *out)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (unsigned char)(v | 0x80);
    out[n++] = (unsigned char)v;
    return n;
}

uint32_t form_get_varint(struct view *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_MAX; shift += 7) {
        uint64_t byte = view_le(in, 1);
        v |= (byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            if (v > UINT32_MAX)
                break;
            return (uint32_t)v;
        }
    }
    in->err = -EBADMSG;
    return 0;
}

size_t form_head_max(const struct form *f)
{
    return LAYOUT_PACKED_MAX + 1 + VARINT_MAX * (size_t)(2 + 2 * f->runs + f->entries);
}

static size_t put_code(const struct form_run *r, unsigned char *out)
{
    return form_put_varint((r->literal - known[r->known].len) << KNOWN_BITS | r->known, out);
}

size_t form_put_head(const struct form *f, unsigned flags, unsigned char *out)
{
    size_t n = layout_put(&f->layout, out);
    out[n++] = (unsigned char)flags;
    n += form_put_varint(f->runs, out + n);
    for (uint32_t i = 0; i < f->runs; i++) {
        n += put_code(&f->run[i], out + n);
        n += form_put_varint(f->run[i].facets, out + n);
    }
    return n + put_code(&f->run[f->runs], out + n);
}

/* Adds up to at most `max`. */
static int add_up(uint32_t *sum, uint32_t more, uint32_t max)
{
    if (more > max - *sum)
        return -EBADMSG;
    *sum += more;
    return 0;
}

static int get_literal(struct view *in, struct form *f, struct form_run *r)
{
    uint32_t code = form_get_varint(in);
    r->known = code & KNOWN_MASK;
    if (in->err != 0 || r->known >= KNOWN_COUNT || add_up(&f->own, code >> KNOWN_BITS, f->text))
        return -EBADMSG;
    r->literal = (code >> KNOWN_BITS) + known[r->known].len;
    return add_up(&f->literal, r->literal, f->text);
}

static int get_runs(struct view *in, struct form *f)
{
    f->runs = form_get_varint(in);
    if (f->runs == 0 || f->runs > FORM_RUNS)
        return -EBADMSG;
    for (uint32_t i = 0; i < f->runs; i++) {
        struct form_run *r = &f->run[i];
        if (get_literal(in, f, r) != 0)
            return -EBADMSG;
        r->facets = form_get_varint(in);
        if (r->facets == 0 || add_up(&f->facets, r->facets, MESH_FACETS_MAX) != 0)
            return -EBADMSG;
    }
    f->run[f->runs].facets = 0;
    return get_literal(in, f, &f->run[f->runs]);
}

int form_get_head(struct view *in, size_t text_len, struct form *f, unsigned *flags)
{
    f->text = (uint32_t)text_len;
    f->facets = f->literal = f->own = 0;
    int r = layout_get(in, &f->layout);
    *flags = (unsigned)view_le(in, 1);
    if (r != 0 || in->err != 0 || get_runs(in, f) != 0)
        return -EBADMSG;
    unsigned may = FORM_LITERALS_PACKED | (f->layout.float_normals ? FORM_NORMALS : 0) |
                   (f->layout.binary ? FORM_ATTRIBUTES : 0);
    if ((*flags & ~may) != 0 || ((*flags & FORM_LITERALS_PACKED) != 0 && f->own == 0))
        return -EBADMSG;
    uint64_t facets = f->facets, left = f->text - f->literal;
    if (f->layout.binary ? facets * BINARY_FACET != left
                         : facets * (layout_text_len(&f->layout) + NUMBERS) > left)
        return -EBADMSG;
    f->entries = (f->facets - 1) / FORM_STEP;
    return 0;
}

/* Bytes of text that FORM_STEP facets have on the average. */
static uint32_t mean_step(const struct form *f)
{
    return (uint32_t)((uint64_t)(f->text - f->literal) * FORM_STEP / f->facets);
}

size_t form_put_entries(const struct form *f, unsigned char *out)
{
    size_t n = 0;
    uint32_t mean = mean_step(f), at = 0;
    for (uint32_t i = 0; i < f->entries && !f->layout.binary; i++) {
        uint32_t d = f->entry[i] - at - mean;
        n += form_put_varint(d << 1 ^ (0 - (d >> 31)), out + n);
        at = f->entry[i];
    }
    return n;
}

int form_get_entries(struct view *in, struct form *f)
{
    uint32_t mean = mean_step(f), at = 0, end = f->text - f->literal;
    for (uint32_t i = 0; i < f->entries; i++) {
        uint32_t z = f->layout.binary ? 0 : form_get_varint(in);
        uint32_t step = mean + (z >> 1 ^ (0 - (z & 1)));
        if (f->layout.binary)
            step = FORM_STEP * BINARY_FACET;
        if (in->err != 0 || add_up(&at, step, end) != 0)
            return -EBADMSG;
        f->entry[i] = at;
    }
    return 0;
}
