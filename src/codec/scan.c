#include "codec/scan.h"

#include "base/hash.h"
#include "codec/stl.h"

#include <stdlib.h>
#include <string.h>

enum {
    TABLE_MIN = 256,
    TABLE_MAX = 512 << 10, /* slots; twice the vertices of a block */
    LITERAL_SHARE = 8,     /* of a block's text, an eighth may be literal, */
    LITERAL_FREE = 1024,   /* and so many bytes besides */
};

_Static_assert(TABLE_MAX > 2 * MESH_VERTICES_MAX, "the table is never full");

/* Vertices by the hash of their text or bits: each slot has the upper half of the hash and, below,
 * the vertex + 1; 0 is free. */
struct scanner {
    struct scan scan;
    const char *text; /* of this scan */
    uint32_t mask;
    uint32_t literal_max;
    uint32_t next_exception;
    uint32_t taken[3]; /* slots that this facet took */
    uint32_t *at;      /* where in the text each vertex stood first */
    uint32_t *hash;    /* of each vertex */
    uint64_t *table;
};

struct scanner *scanner_new(void)
{
    struct scanner *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    struct scan *r = &s->scan;
    r->mesh.ref = malloc(sizeof(*r->mesh.ref) * 3 * MESH_FACETS_MAX);
    r->mesh.xyz = malloc(sizeof(*r->mesh.xyz) * 3 * MESH_VERTICES_MAX);
    r->normal = malloc(sizeof(*r->normal) * 3 * MESH_FACETS_MAX);
    r->attribute = malloc(sizeof(*r->attribute) * MESH_FACETS_MAX);
    s->at = malloc(sizeof(*s->at) * MESH_VERTICES_MAX);
    s->hash = malloc(sizeof(*s->hash) * MESH_VERTICES_MAX);
    s->table = malloc(sizeof(*s->table) * TABLE_MAX);
    if (r->mesh.ref == NULL || r->mesh.xyz == NULL || r->normal == NULL || r->attribute == NULL ||
        s->at == NULL || s->hash == NULL || s->table == NULL) {
        scanner_free(s);
        return NULL;
    }
    return s;
}

void scanner_free(struct scanner *s)
{
    if (s != NULL) {
        free(s->scan.mesh.ref);
        free(s->scan.mesh.xyz);
        free(s->scan.normal);
        free(s->scan.attribute);
        free(s->at);
        free(s->hash);
        free(s->table);
    }
    free(s);
}

struct scan *scanner_scan(struct scanner *s)
{
    return &s->scan;
}

/* ---- vertices ---- */

static void clear_table(struct scanner *s, uint32_t slots)
{
    s->mask = slots - 1;
    memset(s->table, 0, slots * sizeof(*s->table));
}

/* Gives a free slot to vertex `v`, whose hash is known; returns the slot. */
static uint32_t put_vertex(struct scanner *s, uint32_t v)
{
    uint32_t i = s->hash[v] & s->mask;
    while (s->table[i] != 0)
        i = (i + 1) & s->mask;
    s->table[i] = (uint64_t)s->hash[v] << 32 | (v + 1);
    return i;
}

/* Makes the table four times as large where a facet more would fill half of it. */
static void make_room(struct scanner *s)
{
    uint32_t slots = s->mask + 1;
    if (2 * (s->scan.mesh.vertices + 3) < slots || slots == TABLE_MAX)
        return;
    clear_table(s, 4 * slots < TABLE_MAX ? 4 * slots : TABLE_MAX);
    for (uint32_t v = 0; v < s->scan.mesh.vertices; v++)
        (void)put_vertex(s, v);
}

/* Adds the vertex that comes next; its coordinates are the caller's to set. */
static uint32_t add_vertex(struct scanner *s, uint32_t hash, const char *where, unsigned k)
{
    uint32_t v = s->scan.mesh.vertices++;
    s->hash[v] = hash;
    s->at[v] = (uint32_t)(where - s->text);
    s->taken[k] = put_vertex(s, v);
    return v;
}

/* Takes back the vertices that came since there were `vertices`; they are in taken[0, k). */
static void drop_vertices(struct scanner *s, uint32_t vertices, unsigned k)
{
    unsigned last = k - 1;
    while (s->scan.mesh.vertices > vertices) {
        while (s->table[s->taken[last]] !=
               ((uint64_t)s->hash[s->scan.mesh.vertices - 1] << 32 | s->scan.mesh.vertices))
            last--;
        s->table[s->taken[last]] = 0;
        s->scan.mesh.vertices--;
    }
}

/* The vertex that stood first as the `len` bytes at `p`; UINT32_MAX where there is none yet. */
static uint32_t find_vertex(const struct scanner *s, uint32_t hash, const char *p, size_t len)
{
    for (uint32_t i = hash & s->mask; s->table[i] != 0; i = (i + 1) & s->mask) {
        uint32_t v = (uint32_t)s->table[i] - 1;
        if (s->table[i] >> 32 == hash && memcmp(s->text + s->at[v], p, len) == 0)
            return v;
    }
    return UINT32_MAX;
}

/* ---- text ---- */

/* The number of the vertex whose text is p[0, len); false where that is no vertex. */
static bool take_vertex(struct scanner *s, const char *p, size_t len, unsigned k, uint32_t *ref)
{
    uint32_t hash = (uint32_t)(hash64(p, len, 0) >> 32);
    *ref = find_vertex(s, hash, p, len + 1); /* with the newline */
    if (*ref != UINT32_MAX)
        return true;
    const struct layout *l = &s->scan.form.layout;
    float v[3];
    if (!layout_numbers(l, 4 + 3 * k, l->vertex.blank, p, len, v))
        return false;
    *ref = add_vertex(s, hash, p, k);
    memcpy(s->scan.mesh.xyz + (size_t)3 * *ref, v, sizeof(v));
    return true;
}

/* Takes a facet that stands at `p`; returns where it ends, NULL where it must be literal. */
static const char *take_facet(struct scanner *s, const char *p, const char *end)
{
    struct scan *r = &s->scan;
    struct layout_facet f;
    uint32_t at = (uint32_t)(p - s->text), vertices = r->mesh.vertices;
    while (s->next_exception < r->exceptions && r->exception[s->next_exception] < at)
        s->next_exception++;
    if (s->next_exception < r->exceptions && r->exception[s->next_exception] == at)
        return NULL;
    if (r->mesh.facets == MESH_FACETS_MAX || !layout_find(&r->form.layout, p, end, &f))
        return NULL;
    size_t i = (size_t)3 * r->mesh.facets;
    const struct layout *l = &r->form.layout;
    if (l->float_normals &&
        !layout_numbers(l, 1, l->normal.blank, f.normal, f.normal_len, r->normal + i))
        return NULL;
    make_room(s);
    for (unsigned k = 0; k < 3; k++)
        if (!take_vertex(s, f.vertex[k], f.vertex_len[k], k, &r->mesh.ref[i + k])) {
            drop_vertices(s, vertices, k);
            return NULL;
        }
    return f.end;
}

static void begin(struct scanner *s, const char *text, size_t len)
{
    struct form *f = &s->scan.form;
    uint32_t slots = TABLE_MIN;
    while (slots < len / 128 && slots < TABLE_MAX)
        slots *= 2;
    clear_table(s, slots);
    s->text = text;
    s->next_exception = 0;
    memset(s->taken, 0, sizeof(s->taken));
    s->literal_max = (uint32_t)len / LITERAL_SHARE + LITERAL_FREE;
    s->scan.mesh.facets = s->scan.mesh.vertices = 0;
    s->scan.attributes = false;
    f->text = (uint32_t)len;
    f->facets = f->runs = f->literal = f->own = f->entries = 0;
    f->run[0] = (struct form_run){.facets = 0};
}

/* Adds `len` bytes to the literal that goes before the next facet. False where that is too much. */
static bool add_literal(struct scanner *s, const char *p, size_t len)
{
    struct form *f = &s->scan.form;
    if (f->run[f->runs].facets > 0) {
        if (f->runs + 1 == FORM_RUNS)
            return false;
        f->run[++f->runs] = (struct form_run){.facets = 0};
    }
    if (f->run[f->runs].literal == 0)
        s->scan.literal_at[f->runs] = (uint32_t)(p - s->text);
    f->run[f->runs].literal += (uint32_t)len;
    f->literal += (uint32_t)len;
    return f->literal <= s->literal_max;
}

/* Counts the facet that was taken at `p`. */
static void add_facet(struct scanner *s, const char *p)
{
    struct form *f = &s->scan.form;
    uint32_t n = s->scan.mesh.facets++;
    if (n > 0 && n % FORM_STEP == 0)
        f->entry[n / FORM_STEP - 1] = (uint32_t)(p - s->text) - f->literal;
    f->run[f->runs].facets++;
}

/* Ends the list of runs, and finds the known texts in the literals. */
static bool finish(struct scanner *s)
{
    struct form *f = &s->scan.form;
    f->facets = s->scan.mesh.facets;
    if (f->facets == 0)
        return false;
    if (f->run[f->runs].facets > 0)
        f->run[++f->runs] = (struct form_run){.facets = 0};
    for (uint32_t i = 0; i <= f->runs; i++) {
        struct form_run *r = &f->run[i];
        size_t known;
        if (r->literal == 0)
            s->scan.literal_at[i] = 0;
        r->known = form_find_known(s->text + s->scan.literal_at[i], r->literal);
        (void)form_known(r->known, &known);
        f->own += r->literal - (uint32_t)known;
    }
    f->entries = (f->facets - 1) / FORM_STEP;
    return true;
}

bool scanner_text(struct scanner *s, const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    begin(s, text, len);
    while (p < end) {
        const char *q = take_facet(s, p, end);
        if (q != NULL) {
            add_facet(s, p);
            p = q;
            continue;
        }
        q = memchr(p, '\n', (size_t)(end - p));
        q = q != NULL ? q + 1 : end;
        if (!add_literal(s, p, (size_t)(q - p)))
            return false;
        p = q;
    }
    return finish(s);
}

/* ---- binary ---- */

static void get_floats(const unsigned char *p, float *v, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        uint32_t u = p[4 * k] | (uint32_t)p[4 * k + 1] << 8 | (uint32_t)p[4 * k + 2] << 16 |
                     (uint32_t)p[4 * k + 3] << 24;
        memcpy(v + k, &u, sizeof(u));
    }
}

static void take_record(struct scanner *s, const unsigned char *p)
{
    struct scan *r = &s->scan;
    size_t f = r->mesh.facets;
    make_room(s);
    get_floats(p, r->normal + 3 * f, 3);
    for (unsigned k = 0; k < 3; k++) {
        const char *at = (const char *)p + 12 + (size_t)12 * k;
        uint32_t hash = (uint32_t)(hash64(at, 12, 0) >> 32), v = find_vertex(s, hash, at, 12);
        if (v == UINT32_MAX) {
            v = add_vertex(s, hash, at, k);
            get_floats(p + 12 + (size_t)12 * k, r->mesh.xyz + (size_t)3 * v, 3);
        }
        r->mesh.ref[3 * f + k] = v;
    }
    r->attribute[f] = (uint16_t)(p[48] | p[49] << 8);
    r->attributes |= r->attribute[f] != 0;
}

/* True where a number of facets look like some: a file of another kind is not worth the try. */
static bool plausible(const unsigned char *p, size_t facets)
{
    enum { SAMPLE = 64 };
    size_t n = facets < SAMPLE ? facets : SAMPLE, fine = 0;
    for (size_t i = 0; i < n; i++) {
        float v[12];
        unsigned good = 0;
        get_floats(p + i * (facets / n) * STL_BINARY_FACET, v, 12);
        for (unsigned k = 0; k < 12; k++)
            good += v[k] == 0 || (v[k] > 1e-9F && v[k] < 1e9F) || (v[k] < -1e-9F && v[k] > -1e9F);
        fine += good >= 10;
    }
    return n > 0 && fine * 4 >= n * 3;
}

bool scanner_binary(struct scanner *s, const unsigned char *bytes, size_t len, uint64_t offset)
{
    const unsigned char *p = bytes;
    size_t head =
        offset < STL_BINARY_HEADER
            ? (size_t)(STL_BINARY_HEADER - offset)
            : (size_t)((STL_BINARY_FACET - (offset - STL_BINARY_HEADER) % STL_BINARY_FACET) %
                       STL_BINARY_FACET);
    size_t facets = head < len ? (len - head) / STL_BINARY_FACET : 0;
    if (facets == 0 || facets > MESH_FACETS_MAX || !plausible(bytes + head, facets))
        return false;
    begin(s, (const char *)bytes, len);
    s->literal_max = UINT32_MAX;
    if (head > 0)
        (void)add_literal(s, (const char *)p, head);
    for (p += head; facets > 0; facets--, p += STL_BINARY_FACET) {
        take_record(s, p);
        add_facet(s, (const char *)p);
    }
    if (p < bytes + len)
        (void)add_literal(s, (const char *)p, (size_t)(bytes + len - p));
    return finish(s);
}
