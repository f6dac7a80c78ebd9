/* A mesh to text. Each number goes to a slot of its own first, each vertex to a slot of a cache;
 * the text is then put together by copies of fixed size, so that no number waits for the length of
 * the one before. */
#include "codec/block_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = NORMALS_CHUNK,
    CACHE = 1 << 14, /* vertices */
    BATCH = 64,      /* vertices that are printed at once */
    COPY = 16,
    VERTEX_ROOM = 95, /* three numbers of NUMBER_SLOT with short texts between them */
    SLACK = 128,      /* bytes behind the text that may be written */
    VERTEX_BITS = 18,
    GENERATIONS = 1 << (32 - VERTEX_BITS),
    BINARY_FACET = 50,
};

_Static_assert(MESH_VERTICES_MAX < 1 << VERTEX_BITS, "a tag holds a vertex");
_Static_assert(VERTEX_ROOM >= LAYOUT_VERTEX + COPY - 1, "a slot has room for what put() writes");

/* A vertex as text. */
struct vertex_slot {
    uint8_t len;
    char s[VERTEX_ROOM];
};

struct printer {
    uint32_t generation;
    const struct codec_open *o; /* of the call that runs */
    size_t facet_max;           /* bytes that one of its facets prints to at most */
    bool failed;
    struct normals normals;
    uint32_t wanted[3 * CHUNK];
    float coordinate[3 * BATCH];
    uint8_t vertex_len[3 * BATCH];
    char vertex[3 * BATCH][NUMBER_SLOT];
    uint8_t number_len[3 * CHUNK];
    union {
        char fast[3 * CHUNK][NUMBER_SLOT];
        char any[3 * CHUNK][NUMBER_LONG];
    } number;
    uint32_t tag[CACHE]; /* whose text a slot has, in which call */
    struct vertex_slot cache[CACHE];
    char text[CHUNK * LAYOUT_FACET_MAX + SLACK];
};

struct printer *printer_new(void)
{
    return calloc(1, sizeof(struct printer));
}

void printer_free(struct printer *p)
{
    free(p);
}

static bool is_17g(const struct number_format *f)
{
    return f->style == NUMBER_G && f->precision == 17 && !f->upper && !f->blank;
}

/* ---- vertices ---- */

/* Writes a number or a text between numbers; up to COPY - 1 bytes more than it has. */
static inline char *put(char *out, const char *s, size_t len)
{
    memcpy(out, s, COPY);
    for (size_t i = COPY; i < len; i += COPY)
        memcpy(out + i, s + i, COPY);
    return out + len;
}

static struct vertex_slot *slot_of(struct printer *p, uint32_t vertex)
{
    return &p->cache[vertex & (CACHE - 1)];
}

static void fill_slot(struct printer *p, struct vertex_slot *s, const char *const number[3],
                      const uint8_t *len)
{
    const struct layout_text *text = p->o->layout.text;
    size_t all = (size_t)len[0] + len[1] + len[2] + text[4].len + text[5].len;
    char *q = s->s;
    s->len = 0;
    if (len[0] == 0 || len[1] == 0 || len[2] == 0 || all > LAYOUT_VERTEX) {
        p->failed = true;
        return;
    }
    q = put(q, number[0], len[0]);
    q = put(q, text[4].s, text[4].len);
    q = put(q, number[1], len[1]);
    q = put(q, text[5].s, text[5].len);
    (void)put(q, number[2], len[2]);
    s->len = (uint8_t)all;
}

/* The same for numbers in NUMBER_SLOT bytes each, by copies of all of them: their lengths are hard
 * to foresee. */
static inline void fill_fast(struct printer *p, struct vertex_slot *s,
                             const char number[3][NUMBER_SLOT], const uint8_t *len)
{
    const struct layout_text *text = p->o->layout.text;
    size_t second = (size_t)len[0] + text[4].len, third = second + len[1] + text[5].len;
    size_t all = third + len[2];
    if (text[4].len > COPY || text[5].len > COPY || third > VERTEX_ROOM - NUMBER_SLOT ||
        all > LAYOUT_VERTEX) {
        fill_slot(p, s, (const char *[3]){number[0], number[1], number[2]}, len);
        return;
    }
    memcpy(s->s, number[0], NUMBER_SLOT);
    memcpy(s->s + len[0], text[4].s, COPY);
    memcpy(s->s + second, number[1], NUMBER_SLOT);
    memcpy(s->s + second + len[1], text[5].s, COPY);
    memcpy(s->s + third, number[2], NUMBER_SLOT);
    s->len = (uint8_t)all;
}

/* Prints `n` vertices, BATCH at most, into their slots. */
static void print_wanted(struct printer *p, const uint32_t *wanted, uint32_t n)
{
    const struct number_format *format = &p->o->layout.vertex;
    for (uint32_t i = 0; i < n; i++)
        memcpy(p->coordinate + 3 * i, p->o->mesh.xyz + (size_t)3 * wanted[i], 3 * sizeof(float));
    if (is_17g(format)) {
        number_print17f(p->coordinate, 3 * n, p->vertex, p->vertex_len);
        for (uint32_t i = 0; i < n; i++)
            fill_fast(p, slot_of(p, wanted[i]), p->vertex + 3 * i, p->vertex_len + 3 * i);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        char any[3][NUMBER_LONG];
        uint8_t len[3];
        for (unsigned k = 0; k < 3; k++)
            len[k] = (uint8_t)number_print(format, (double)p->coordinate[3 * i + k], any[k]);
        fill_slot(p, slot_of(p, wanted[i]), (const char *[3]){any[0], any[1], any[2]}, len);
    }
}

static uint32_t tag_of(const struct printer *p, uint32_t vertex)
{
    return p->generation << VERTEX_BITS | vertex;
}

/* Prints those vertices of facets that are not in the cache. Which are new is hard to foresee, so
 * that they are gathered without a branch. */
static void need_vertices(struct printer *p, const uint32_t *ref, uint32_t n)
{
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *tag = &p->tag[ref[i] & (CACHE - 1)], want = tag_of(p, ref[i]);
        p->wanted[wanted] = ref[i];
        wanted += *tag != want;
        *tag = want;
    }
    for (uint32_t i = 0; i < wanted; i += BATCH)
        print_wanted(p, p->wanted + i, wanted - i < BATCH ? wanted - i : BATCH);
}

static inline char *put_vertex(struct printer *p, char *out, uint32_t vertex)
{
    struct vertex_slot *s = slot_of(p, vertex);
    uint32_t *tag = &p->tag[vertex & (CACHE - 1)];
    if (__builtin_expect(*tag != tag_of(p, vertex), 0)) { /* another of this chunk took its slot */
        *tag = tag_of(p, vertex);
        print_wanted(p, &vertex, 1);
    }
    memcpy(out, s->s, 64);
    if (s->len > 64)
        memcpy(out + 64, s->s + 64, LAYOUT_VERTEX - 64);
    return out + s->len;
}

/* ---- facets ---- */

/* Prints the normals of `n` facets into slots of `stride` bytes; returns the first slot. */
static const char *print_normals(struct printer *p, uint32_t first, uint32_t n, size_t *stride)
{
    const struct codec_open *o = p->o;
    struct normals *v = &p->normals;
    if (o->normal == NULL)
        normals_of(&o->mesh, first, n, v);
    else
        for (uint32_t i = 0; i < 3 * n; i++)
            v->v[i % 3][i / 3] = (double)o->normal[(size_t)3 * first + i];
    if (is_17g(&o->layout.normal)) {
        for (unsigned k = 0; k < 3; k++)
            number_print17(v->v[k], n, p->number.fast + k * CHUNK, p->number_len + k * CHUNK);
        *stride = NUMBER_SLOT;
        return p->number.fast[0];
    }
    for (uint32_t i = 0; i < 3 * n; i++) {
        uint32_t at = i % 3 * CHUNK + i / 3;
        unsigned len = number_print(&o->layout.normal, v->v[i % 3][i / 3], p->number.any[at]);
        p->failed |= len == 0;
        p->number_len[at] = (uint8_t)len;
    }
    *stride = NUMBER_LONG;
    return p->number.any[0];
}

/* Writes a text between numbers: like put(), but which of the copies are made is the same for all
 * facets. */
static inline char *put_between(char *out, const struct layout_text *t)
{
    memcpy(out, t->s, COPY);
    if (t->len > COPY)
        memcpy(out + COPY, t->s + COPY, COPY);
    if (t->len > 2 * COPY)
        memcpy(out + 2 * COPY, t->s + 2 * COPY, LAYOUT_TEXT - 2 * COPY);
    return out + t->len;
}

/* Writes number `i` of those of `stride` bytes: of the short ones all room, whatever is in use. */
static inline char *put_number(char *out, const char *number, const uint8_t *len, uint32_t i,
                               size_t stride)
{
    if (stride == NUMBER_SLOT)
        memcpy(out, number + i * stride, NUMBER_SLOT);
    else
        (void)put(out, number + i * stride, len[i]);
    return out + len[i];
}

/* Asks for the memory of some facets further on: the text of a block is more than the cache next to
 * the processor holds, and each facet would wait for its part of it. */
static inline void fetch_ahead(const char *out)
{
    enum { AHEAD = 4096, LINE = 64, FACET = 5 * LINE };
    for (unsigned i = 0; i < FACET; i += LINE)
        __builtin_prefetch(out + AHEAD + i, 1);
}

static inline char *put_lines(struct printer *p, const uint32_t *ref, uint32_t n,
                              const char *number, size_t stride, char *out)
{
    const struct layout_text *t = p->o->layout.text;
    const uint8_t *len = p->number_len;
    for (uint32_t i = 0; i < n; i++, ref += 3) {
        fetch_ahead(out);
        out = put_between(out, &t[0]);
        out = put_number(out, number, len, i, stride);
        out = put_between(out, &t[1]);
        out = put_number(out, number, len, i + CHUNK, stride);
        out = put_between(out, &t[2]);
        out = put_number(out, number, len, i + 2 * CHUNK, stride);
        out = put_between(out, &t[3]);
        out = put_vertex(p, out, ref[0]);
        out = put_between(out, &t[6]);
        out = put_vertex(p, out, ref[1]);
        out = put_between(out, &t[9]);
        out = put_vertex(p, out, ref[2]);
        out = put_between(out, &t[12]);
    }
    return out;
}

static char *put_text_facets(struct printer *p, uint32_t first, uint32_t n, char *out)
{
    const uint32_t *ref = p->o->mesh.ref + (size_t)3 * first;
    size_t stride;
    const char *number = print_normals(p, first, n, &stride);
    need_vertices(p, ref, 3 * n);
    return stride == NUMBER_SLOT ? put_lines(p, ref, n, number, NUMBER_SLOT, out)
                                 : put_lines(p, ref, n, number, NUMBER_LONG, out);
}

static void put_floats(char *out, const float *v)
{
    for (unsigned k = 0; k < 3; k++) {
        uint32_t u;
        memcpy(&u, v + k, sizeof(u));
        for (unsigned b = 0; b < 4; b++)
            out[4 * k + b] = (char)(u >> 8 * b);
    }
}

static char *put_binary_facets(const struct codec_open *o, uint32_t first, uint32_t n, char *out)
{
    for (uint32_t f = first; f < first + n; f++, out += BINARY_FACET) {
        unsigned attribute = o->attribute != NULL ? o->attribute[f] : 0;
        put_floats(out, o->normal + (size_t)3 * f);
        for (unsigned k = 0; k < 3; k++)
            put_floats(out + 12 + 12 * k, o->mesh.xyz + (size_t)3 * o->mesh.ref[(size_t)3 * f + k]);
        out[48] = (char)attribute;
        out[49] = (char)(attribute >> 8);
    }
    return out;
}

/* Prints n facets, CHUNK at most, with SLACK bytes of room behind them. */
static char *put_facets(struct printer *p, uint32_t first, uint32_t n, char *out)
{
    return p->o->layout.binary ? put_binary_facets(p->o, first, n, out)
                               : put_text_facets(p, first, n, out);
}

/* Begins a call: what is in the cache is of another block. */
static void begin(struct printer *p, const struct codec_open *o)
{
    p->o = o;
    p->facet_max = layout_text_len(&o->layout) + (size_t)3 * LAYOUT_VERTEX +
                   (size_t)3 * (is_17g(&o->layout.normal) ? NUMBER_SLOT : NUMBER_LONG);
    p->failed = false;
    p->generation = (p->generation + 1) % GENERATIONS;
    if (p->generation == 0) {
        memset(p->tag, 0, sizeof(p->tag));
        p->generation = 1;
    }
}

size_t printer_facets(struct printer *p, const struct codec_open *o, char *out, size_t cap)
{
    size_t at = 0;
    begin(p, o);
    for (uint32_t f = 0, n; f < o->mesh.facets; f += n) {
        n = o->mesh.facets - f < CHUNK ? o->mesh.facets - f : CHUNK;
        size_t len = (size_t)(put_facets(p, f, n, p->text) - p->text);
        if (p->failed || len > cap - at)
            return 0;
        memcpy(out + at, p->text, len);
        at += len;
    }
    return at;
}

/* ---- ranges ---- */

/* Where the printing is: at `text` of the block; before its literal, or within the facets of a run.
 */
struct cursor {
    uint32_t run, facet;
    bool literal; /* the run's literal is next */
    size_t text;
    size_t begin, end; /* of the range that is wanted */
    char *out;         /* text[begin] goes here */
};

/* Copies what of the next `len` bytes is wanted, and moves on. */
static void give(struct cursor *c, const char *s, size_t len)
{
    size_t from = c->text > c->begin ? c->text : c->begin;
    size_t to = c->text + len < c->end ? c->text + len : c->end;
    if (from < to)
        memcpy(c->out + (from - c->begin), s + (from - c->text), to - from);
    c->text += len;
}

/* The last entry at or before `off` (0: the beginning), by halving. */
static uint32_t entry_before(const struct codec_open *o, size_t off)
{
    uint32_t low = 0, high = o->entries;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (o->entry[middle - 1] <= off)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* The run that holds facet `f`. */
static uint32_t run_of(const struct codec_open *o, uint32_t f)
{
    uint32_t low = 0, high = o->runs - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (o->run[middle].first <= f)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Facets that are printed at once from here: those of the run, to the next entry, to what is
 * wanted. */
static uint32_t facets_now(const struct codec_open *o, const struct cursor *c)
{
    const struct open_run *r = &o->run[c->run];
    size_t n = (c->end - c->text) / o->mean + 1;
    size_t of_run = r->first + r->facets - c->facet, of_step = FORM_STEP - c->facet % FORM_STEP;
    n = n < of_run ? n : of_run;
    n = n < of_step ? n : of_step;
    return (uint32_t)(n < CHUNK ? n : CHUNK);
}

static int print_some(struct printer *p, struct cursor *c)
{
    const struct codec_open *o = p->o;
    uint32_t n = facets_now(o, c), step = c->facet / FORM_STEP;
    if (step > 0 && c->facet % FORM_STEP == 0 && o->entry[step - 1] != c->text)
        return -EBADMSG;
    if (c->text >= c->begin && c->end - c->text >= n * p->facet_max + SLACK) {
        char *at = c->out + (c->text - c->begin);
        c->text += (size_t)(put_facets(p, c->facet, n, at) - at);
    } else {
        give(c, p->text, (size_t)(put_facets(p, c->facet, n, p->text) - p->text));
    }
    c->facet += n;
    return p->failed ? -EBADMSG : 0;
}

/* True where the whole block was printed and was as long as declared. */
static bool all_printed(const struct codec_open *o, const struct cursor *c)
{
    bool tail = c->run == o->runs ? !c->literal || o->run[c->run].literal_len == 0
                                  : c->run + 1 == o->runs && o->run[o->runs].literal_len == 0;
    return tail && c->facet == o->mesh.facets && c->text == o->text;
}

int printer_range(struct printer *p, const struct codec_open *o, size_t off, size_t len, char *out)
{
    struct cursor c = {.literal = true, .begin = off, .end = off + len, .out = out};
    uint32_t entry = entry_before(o, off);
    begin(p, o);
    if (entry > 0) {
        c.facet = entry * FORM_STEP;
        c.run = run_of(o, c.facet);
        c.literal = false;
        c.text = o->entry[entry - 1];
    }
    while (c.text < c.end) {
        const struct open_run *r = &o->run[c.run];
        if (c.literal) {
            give(&c, o->literals + r->literal, r->literal_len);
            c.literal = false;
        } else if (c.facet < r->first + r->facets) {
            int e = print_some(p, &c);
            if (e != 0)
                return e;
        } else if (c.run < o->runs) {
            c.run++;
            c.literal = true;
        } else {
            return -EBADMSG;
        }
    }
    return c.end < o->text || all_printed(o, &c) ? 0 : -EBADMSG;
}
