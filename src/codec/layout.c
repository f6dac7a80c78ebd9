#include "codec/layout.h"

#include <errno.h>
#include <string.h>

enum {
    SPELLED = 0,
    REGULAR = 1,
    BINARY = 2,
    KNOWN = 3, /* known[0] */
    NUMBER_BITS = 31,
    FORMATS = 128,   /* formats follow */
    SAME_TEXT = 128, /* as text j */
    INDENT_MAX = 40,
    STYLE_UPPER = 4,
    STYLE_BLANK = 8,
    STYLE_FLOAT = 16,
};

/* What makes a regular layout: blanks before facet, outer, vertex and after normal, vertex; the
 * newline. */
struct regular {
    uint8_t facet, outer, vertex, after_normal, after_vertex, crlf;
};

struct known {
    struct regular texts;
    struct number_format vertex, normal;
    bool float_normals;
};

#define G(precision)                                                                               \
    {                                                                                              \
        NUMBER_G, precision, false, false                                                          \
    }

static const struct known known[] = {
    {{1, 2, 3, 1, 1, 0}, G(17), G(17), false}, /* VTK 9 */
    {{1, 2, 3, 1, 1, 1}, G(17), G(17), false},
    {{1, 2, 3, 1, 1, 0}, G(6), G(6), true}, /* VTK before 9 */
    {{1, 2, 3, 1, 1, 1}, G(6), G(6), true},
    {{2, 4, 6, 1, 1, 0}, {NUMBER_E, 8, true, true}, {NUMBER_E, 8, true, true}, true}, /* ADMesh */
    {{0, 2, 4, 1, 1, 0}, G(16), G(6), true},                                          /* Gmsh */
    {{2, 4, 6, 1, 1, 0}, G(6), G(6), true},                                           /* OpenSCAD */
    {{2, 4, 6, 1, 2, 0},
     {NUMBER_E, 6, false, true},
     {NUMBER_E, 6, false, true},
     true}, /* MeshLab */
};

enum { KNOWN_COUNT = sizeof(known) / sizeof(known[0]) };

/* Appends to a text; what does not fit is left out (INDENT_MAX sees to it that all fits). */
static void add(struct layout_text *t, const char *s, size_t len)
{
    len = len < (size_t)(LAYOUT_TEXT - t->len) ? len : (size_t)(LAYOUT_TEXT - t->len);
    memcpy(t->s + t->len, s, len);
    t->len = (uint8_t)(t->len + len);
}

static void add_line(struct layout_text *t, const char *newline, unsigned indent, const char *word,
                     unsigned after)
{
    static const char blanks[INDENT_MAX + 1] = "                                        ";
    add(t, newline, strlen(newline));
    add(t, blanks, indent);
    add(t, word, strlen(word));
    add(t, blanks, after);
}

static void regular_texts(const struct regular *r, struct layout *l)
{
    const char *nl = r->crlf ? "\r\n" : "\n";
    memset(l->text, 0, sizeof(l->text));
    for (unsigned i = 0; i < LAYOUT_TEXTS; i++)
        add(&l->text[i], " ", i % 3 != 0);
    add_line(&l->text[0], "", r->facet, "facet normal", r->after_normal);
    add_line(&l->text[3], nl, r->outer, "outer loop", 0);
    add_line(&l->text[3], nl, r->vertex, "vertex", r->after_vertex);
    add_line(&l->text[6], nl, r->vertex, "vertex", r->after_vertex);
    l->text[9] = l->text[6];
    add_line(&l->text[12], nl, r->outer, "endloop", 0);
    add_line(&l->text[12], nl, r->facet, "endfacet", 0);
    add(&l->text[12], nl, strlen(nl));
}

static bool same_texts(const struct layout *a, const struct layout *b)
{
    return memcmp(a->text, b->text, sizeof(a->text)) == 0;
}

static bool same_format(const struct number_format *a, const struct number_format *b)
{
    return a->style == b->style && a->upper == b->upper && a->blank == b->blank &&
           (a->style == NUMBER_SHORTEST || a->precision == b->precision);
}

size_t layout_text_len(const struct layout *l)
{
    size_t len = 0;
    for (unsigned i = 0; i < LAYOUT_TEXTS; i++)
        len += l->text[i].len;
    return len;
}

void layout_binary(struct layout *l)
{
    memset(l, 0, sizeof(*l));
    l->binary = true;
    l->float_normals = true;
}

/* ---- writing ---- */

static unsigned blanks_at(const char *p, size_t len)
{
    unsigned n = 0;
    while (n < len && p[n] == ' ')
        n++;
    return n;
}

/* The regular layout that these texts may be of; to be compared. */
static struct regular regular_like(const struct layout *l)
{
    const struct layout_text *first = &l->text[0], *outer = &l->text[3], *next = &l->text[6];
    struct regular r = {.crlf = outer->s[0] == '\r'};
    unsigned nl = r.crlf ? 2 : 1;
    r.facet = (uint8_t)blanks_at(first->s, first->len);
    r.outer = (uint8_t)blanks_at(outer->s + nl, LAYOUT_TEXT - nl);
    r.vertex = (uint8_t)blanks_at(next->s + nl, LAYOUT_TEXT - nl);
    while (r.after_normal < first->len && first->s[first->len - 1 - r.after_normal] == ' ')
        r.after_normal++;
    while (r.after_vertex < next->len && next->s[next->len - 1 - r.after_vertex] == ' ')
        r.after_vertex++;
    return r;
}

static bool regular_valid(const struct regular *r)
{
    return r->facet <= INDENT_MAX && r->outer <= INDENT_MAX && r->vertex <= INDENT_MAX &&
           r->after_normal <= INDENT_MAX && r->after_vertex <= INDENT_MAX && r->crlf <= 1;
}

static size_t put_spelled(const struct layout *l, unsigned char *out)
{
    size_t n = 0;
    for (unsigned i = 0; i < LAYOUT_TEXTS; i++) {
        const struct layout_text *t = &l->text[i];
        unsigned j = 0;
        while (memcmp(&l->text[j], t, sizeof(*t)) != 0)
            j++;
        out[n++] = j < i ? (unsigned char)(SAME_TEXT + j) : t->len;
        if (j == i)
            memcpy(out + n, t->s, t->len);
        n += j == i ? t->len : 0;
    }
    return n;
}

static unsigned char style_of(const struct number_format *f)
{
    return (unsigned char)(f->style | (f->upper ? STYLE_UPPER : 0) | (f->blank ? STYLE_BLANK : 0));
}

static size_t put_formats(const struct layout *l, unsigned char *out)
{
    out[0] = style_of(&l->vertex);
    out[1] = l->vertex.style == NUMBER_SHORTEST ? 0 : l->vertex.precision;
    out[2] = (unsigned char)(style_of(&l->normal) | (l->float_normals ? STYLE_FLOAT : 0));
    out[3] = l->normal.style == NUMBER_SHORTEST ? 0 : l->normal.precision;
    return 4;
}

static bool same_as_known(const struct layout *l, const struct known *k)
{
    return same_format(&l->vertex, &k->vertex) && same_format(&l->normal, &k->normal) &&
           l->float_normals == k->float_normals;
}

/* The number in known[] that fits best: texts and formats, else texts only, else KNOWN_COUNT. */
static unsigned find_known(const struct layout *l)
{
    unsigned best = KNOWN_COUNT;
    for (unsigned i = 0; i < KNOWN_COUNT; i++) {
        struct layout one;
        regular_texts(&known[i].texts, &one);
        if (!same_texts(l, &one))
            continue;
        if (same_as_known(l, &known[i]))
            return i;
        best = best < i ? best : i;
    }
    return best;
}

size_t layout_put(const struct layout *l, unsigned char *out)
{
    if (l->binary) {
        out[0] = BINARY;
        return 1;
    }
    unsigned k = find_known(l);
    if (k < KNOWN_COUNT) {
        bool formats = !same_as_known(l, &known[k]);
        out[0] = (unsigned char)((KNOWN + k) | (formats ? FORMATS : 0));
        return 1 + (formats ? put_formats(l, out + 1) : 0);
    }
    struct regular r = regular_like(l);
    struct layout like;
    size_t n = 1;
    bool regular = regular_valid(&r);
    if (regular) {
        regular_texts(&r, &like);
        regular = same_texts(l, &like);
    }
    if (regular) {
        memcpy(out + n, &r, sizeof(r));
        n += sizeof(r);
    } else {
        n += put_spelled(l, out + n);
    }
    out[0] = (unsigned char)((regular ? REGULAR : SPELLED) | FORMATS);
    return n + put_formats(l, out + n);
}

/* ---- reading ---- */

static int get_spelled(struct view *in, struct layout *l)
{
    for (unsigned i = 0; i < LAYOUT_TEXTS; i++) {
        unsigned n = (unsigned)view_le(in, 1);
        if (n >= SAME_TEXT) {
            if (n - SAME_TEXT >= i)
                return -EBADMSG;
            l->text[i] = l->text[n - SAME_TEXT];
            continue;
        }
        const void *s = n <= LAYOUT_TEXT ? view_take(in, n) : NULL;
        if (s == NULL)
            return -EBADMSG;
        memcpy(l->text[i].s, s, n);
        l->text[i].len = (uint8_t)n;
    }
    return 0;
}

static int get_regular(struct view *in, struct layout *l)
{
    struct regular r;
    const void *s = view_take(in, sizeof(r));
    if (s == NULL)
        return -EBADMSG;
    memcpy(&r, s, sizeof(r));
    if (!regular_valid(&r))
        return -EBADMSG;
    regular_texts(&r, l);
    return 0;
}

static int get_format(struct view *in, unsigned more, struct number_format *f, unsigned *style)
{
    *style = (unsigned)view_le(in, 1);
    f->precision = (uint8_t)view_le(in, 1);
    f->style = *style & 3;
    f->upper = (*style & STYLE_UPPER) != 0;
    f->blank = (*style & STYLE_BLANK) != 0;
    if ((*style & ~(3U | STYLE_UPPER | STYLE_BLANK | more)) != 0 || f->precision > 17)
        return -EBADMSG;
    return in->err;
}

int layout_get(struct view *in, struct layout *l)
{
    unsigned head = (unsigned)view_le(in, 1), number = head & NUMBER_BITS, style;
    bool formats = (head & FORMATS) != 0;
    memset(l, 0, sizeof(*l));
    if (in->err != 0 || (head & ~(unsigned)(NUMBER_BITS | FORMATS)) != 0)
        return -EBADMSG;
    if (number == BINARY) {
        layout_binary(l);
        return formats ? -EBADMSG : 0;
    }
    int r = 0;
    if (number == SPELLED || number == REGULAR) {
        r = !formats ? -EBADMSG : number == SPELLED ? get_spelled(in, l) : get_regular(in, l);
    } else if (number - KNOWN < KNOWN_COUNT) {
        const struct known *k = &known[number - KNOWN];
        regular_texts(&k->texts, l);
        l->vertex = k->vertex;
        l->normal = k->normal;
        l->float_normals = k->float_normals;
    } else {
        return -EBADMSG;
    }
    if (r == 0 && formats) {
        r = get_format(in, 0, &l->vertex, &style);
        if (r == 0)
            r = get_format(in, STYLE_FLOAT, &l->normal, &style);
        l->float_normals = (style & STYLE_FLOAT) != 0;
    }
    return r == 0 && layout_text_len(l) > LAYOUT_ALL_TEXTS ? -EBADMSG : r;
}

/* ---- a facet in a text ---- */

static bool text_at(const struct layout_text *t, const char **p, const char *end)
{
    if ((size_t)(end - *p) < t->len || memcmp(*p, t->s, t->len) != 0)
        return false;
    *p += t->len;
    return true;
}

/* Passes over what stands before text `next`, which begins with a newline character. */
static bool pass(const struct layout_text *next, size_t max, const char **p, const char *end,
                 uint8_t *len)
{
    size_t left = (size_t)(end - *p);
    const char *q = memchr(*p, next->s[0], left < max + 1 ? left : max + 1);
    if (q == NULL)
        return false;
    *len = (uint8_t)(q - *p);
    *p = q;
    return text_at(next, p, end);
}

bool layout_find(const struct layout *l, const char *p, const char *end, struct layout_facet *f)
{
    enum { NORMAL_MAX = 255 };
    if (!text_at(&l->text[0], &p, end))
        return false;
    f->normal = p;
    if (!pass(&l->text[3], NORMAL_MAX, &p, end, &f->normal_len))
        return false;
    for (unsigned k = 0; k < 3; k++) {
        f->vertex[k] = p;
        if (!pass(&l->text[6 + 3 * k], LAYOUT_VERTEX, &p, end, &f->vertex_len[k]))
            return false;
    }
    f->end = p;
    return true;
}

bool layout_numbers(const struct layout *l, unsigned a, bool blank, const char *p, size_t len,
                    float v[3])
{
    const char *end = p + len;
    for (unsigned k = 0; k < 3; k++) {
        if (k > 0 && !text_at(&l->text[a + k - 1], &p, end))
            return false;
        if (blank && p < end && *p == ' ')
            p++;
        p = number_parsef(p, end, &v[k]);
        if (p == NULL)
            return false;
    }
    return p == end;
}
