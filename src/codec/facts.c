#include "codec/facts.h"

#include "base/buf.h"
#include "base/str.h"
#include "codec/facts_i.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COUNT_MAX = 3 << 19, /* vertices that are told apart, in a set of 16 MiB */
    SET_MIN = 1 << 10,
    SET_KEEP = 64 << 10, /* slots that are kept for another file */
};

/* Sums over facets. Edges: each adds a hash of its two ends, with a sign for its direction, to two
 * sums that are zero where each is used as often in one direction as in the other. */
struct sums {
    float min[3], max[3];
    double surface, volume;
    uint64_t edge[2];
    bool not_finite; /* a vertex was nan or infinite */
};

/* A piece of a block in order of the text: bytes, then facets that stand in the mesh. */
struct piece {
    size_t bytes;
    uint32_t facets;
    uint8_t kind; /* enum stl_kind of the facets */
    bool apart;   /* they begin with a blank */
};

struct facts_part {
    struct buf piece; /* of struct piece */
    struct buf text;
    struct buf vertex; /* uint64_t hashes of the distinct vertices of the mesh */
    struct sums sums;
};

/* Distinct hashes; open addressing, 0 is free. */
struct set {
    uint64_t *slot;
    size_t slots, used;
    bool full; /* too many to count, or no memory */
};

struct facts_sum {
    struct stl_reader reader;
    struct sums sums;
    struct set seen;
    bool lost; /* a part had no memory */
};

static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93U;
    h = (h ^ (h >> 29)) * 0x9E3779B97F4A7C15U;
    return h ^ (h >> 32);
}

/* Never 0; the same for 0 and -0. */
static uint64_t hash_vertex(const float *v)
{
    uint32_t b[3];
    for (unsigned k = 0; k < 3; k++) {
        memcpy(&b[k], &v[k], sizeof(b[k]));
        if (b[k] == 0x80000000U)
            b[k] = 0;
    }
    return mix(mix(b[0] | (uint64_t)b[1] << 32) + b[2]) | 1;
}

static void add_edge(struct sums *s, uint64_t from, uint64_t to)
{
    if (from == to)
        return;
    uint64_t low = from < to ? from : to, high = from < to ? to : from;
    uint64_t h = mix(low ^ (high << 21 | high >> 43)), g = mix(h + low);
    s->edge[0] += from < to ? h : 0 - h;
    s->edge[1] += from < to ? g : 0 - g;
}

static void sums_clear(struct sums *s)
{
    *s = (struct sums){.surface = 0};
    for (unsigned k = 0; k < 3; k++) {
        s->min[k] = INFINITY;
        s->max[k] = -INFINITY;
    }
}

static void add_to_box(struct sums *s, const float *v)
{
    for (unsigned k = 0; k < 3; k++) {
        s->min[k] = v[k] < s->min[k] ? v[k] : s->min[k];
        s->max[k] = v[k] > s->max[k] ? v[k] : s->max[k];
    }
}

static bool finite3(const float *v)
{
    return isfinite(v[0]) && isfinite(v[1]) && isfinite(v[2]);
}

static void cross(const double a[3], const double b[3], double out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static void add_facet(struct sums *s, const float *const v[3], const uint64_t hash[3])
{
    for (unsigned k = 0; k < 3; k++)
        add_edge(s, hash[k], hash[k == 2 ? 0 : k + 1]);
    if (!finite3(v[0]) || !finite3(v[1]) || !finite3(v[2])) {
        s->not_finite = true;
        return;
    }
    double a[3], b[3], n[3];
    for (unsigned k = 0; k < 3; k++) {
        add_to_box(s, v[k]);
        a[k] = (double)v[1][k] - (double)v[0][k];
        b[k] = (double)v[2][k] - (double)v[0][k];
    }
    cross(a, b, n);
    s->surface += sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) / 2;
    s->volume += ((double)v[0][0] * n[0] + (double)v[0][1] * n[1] + (double)v[0][2] * n[2]) / 6;
}

static void sums_add(struct sums *s, const struct sums *more)
{
    for (unsigned k = 0; k < 3; k++) {
        s->min[k] = more->min[k] < s->min[k] ? more->min[k] : s->min[k];
        s->max[k] = more->max[k] > s->max[k] ? more->max[k] : s->max[k];
    }
    s->surface += more->surface;
    s->volume += more->volume;
    s->edge[0] += more->edge[0];
    s->edge[1] += more->edge[1];
    s->not_finite |= more->not_finite;
}

/* ---- a block ---- */

struct facts_part *facts_part_new(void)
{
    struct facts_part *p = calloc(1, sizeof(*p));
    if (p != NULL)
        sums_clear(&p->sums);
    return p;
}

void facts_part_free(struct facts_part **p)
{
    if (*p != NULL) {
        buf_free(&(*p)->piece);
        buf_free(&(*p)->text);
        buf_free(&(*p)->vertex);
    }
    free(*p);
    *p = NULL;
}

void facts_part_clear(struct facts_part *p)
{
    if (p == NULL)
        return;
    if (p->piece.err != 0 || p->text.err != 0 || p->vertex.err != 0) {
        buf_free(&p->piece);
        buf_free(&p->text);
        buf_free(&p->vertex);
    }
    buf_clear(&p->piece);
    buf_clear(&p->text);
    buf_clear(&p->vertex);
    sums_clear(&p->sums);
}

void facts_part_text(struct facts_part *p, const void *bytes, size_t len)
{
    if (p == NULL || len == 0)
        return;
    buf_add(&p->text, bytes, len);
    buf_add(&p->piece, &(struct piece){.bytes = len}, sizeof(struct piece));
}

void facts_part_run(struct facts_part *p, enum stl_kind kind, uint32_t facets, bool apart)
{
    if (p == NULL || facets == 0)
        return;
    struct piece run = {.facets = facets, .kind = (uint8_t)kind, .apart = apart};
    buf_add(&p->piece, &run, sizeof(run));
}

void facts_part_mesh(struct facts_part *p, const struct mesh *m)
{
    if (p == NULL || buf_reserve(&p->vertex, m->vertices * sizeof(uint64_t)) != 0)
        return;
    uint64_t *hash = (uint64_t *)(void *)p->vertex.data;
    for (uint32_t i = 0; i < m->vertices; i++)
        hash[i] = hash_vertex(m->xyz + (size_t)3 * i);
    p->vertex.len = m->vertices * sizeof(uint64_t);
    for (uint32_t f = 0; f < m->facets; f++) {
        const uint32_t *ref = m->ref + (size_t)3 * f;
        const float *v[3] = {m->xyz + (size_t)3 * ref[0], m->xyz + (size_t)3 * ref[1],
                             m->xyz + (size_t)3 * ref[2]};
        add_facet(&p->sums, v, (uint64_t[3]){hash[ref[0]], hash[ref[1]], hash[ref[2]]});
    }
}

/* ---- distinct vertices ---- */

static bool set_put(struct set *s, uint64_t hash)
{
    size_t i = (size_t)(hash >> 1) & (s->slots - 1);
    while (s->slot[i] != 0 && s->slot[i] != hash)
        i = (i + 1) & (s->slots - 1);
    bool fresh = s->slot[i] == 0;
    s->slot[i] = hash;
    return fresh;
}

static void set_grow(struct set *s)
{
    struct set more = {.slots = s->slots == 0 ? SET_MIN : 2 * s->slots};
    more.slot = calloc(more.slots, sizeof(*more.slot));
    if (more.slot == NULL) {
        s->full = true;
        return;
    }
    for (size_t i = 0; i < s->slots; i++)
        if (s->slot[i] != 0)
            (void)set_put(&more, s->slot[i]);
    free(s->slot);
    s->slot = more.slot;
    s->slots = more.slots;
}

static void set_add(struct set *s, uint64_t hash)
{
    if (!s->full && s->used >= s->slots / 4 * 3) {
        if (s->used >= COUNT_MAX)
            s->full = true;
        else
            set_grow(s);
    }
    if (!s->full)
        s->used += set_put(s, hash);
}

static void set_clear(struct set *s)
{
    if (s->slots > SET_KEEP) {
        free(s->slot);
        *s = (struct set){.slot = NULL};
    } else if (s->slots > 0) {
        memset(s->slot, 0, s->slots * sizeof(*s->slot));
    }
    s->used = 0;
    s->full = false;
}

/* ---- a file ---- */

static void facet_of_text(void *arg, const struct stl_facet *f)
{
    struct facts_sum *s = arg;
    const float *v[3] = {f->vertex[0], f->vertex[1], f->vertex[2]};
    uint64_t hash[3];
    for (unsigned k = 0; k < 3; k++) {
        hash[k] = hash_vertex(v[k]);
        set_add(&s->seen, hash[k]);
    }
    add_facet(&s->sums, v, hash);
}

struct facts_sum *facts_new(void)
{
    struct facts_sum *s = calloc(1, sizeof(*s));
    if (s != NULL)
        facts_reset(s);
    return s;
}

void facts_free(struct facts_sum **s)
{
    if (*s != NULL)
        free((*s)->seen.slot);
    free(*s);
    *s = NULL;
}

void facts_reset(struct facts_sum *s)
{
    stl_begin(&s->reader, facet_of_text, s);
    sums_clear(&s->sums);
    set_clear(&s->seen);
    s->lost = false;
}

void facts_add(struct facts_sum *s, const struct facts_part *part)
{
    const char *text = part->text.data;
    bool runs = false;
    s->lost |= part->piece.err != 0 || part->text.err != 0 || part->vertex.err != 0;
    if (s->lost)
        return;
    for (size_t at = 0; at < part->piece.len; at += sizeof(struct piece)) {
        struct piece now;
        memcpy(&now, part->piece.data + at, sizeof(now));
        if (now.facets > 0)
            runs |= stl_run(&s->reader, (enum stl_kind)now.kind, now.facets, now.apart);
        else
            stl_feed(&s->reader, text, now.bytes);
        text += now.bytes;
    }
    if (!runs)
        return;
    sums_add(&s->sums, &part->sums);
    for (size_t at = 0; at < part->vertex.len; at += sizeof(uint64_t)) {
        uint64_t hash;
        memcpy(&hash, part->vertex.data + at, sizeof(hash));
        set_add(&s->seen, hash);
    }
}

static enum facts_health health_of(enum stl_health health)
{
    static const uint8_t same[] = {FACTS_OK, FACTS_TRUNCATED, FACTS_EMPTY, FACTS_MALFORMED};
    return (enum facts_health)same[health];
}

void facts_end(struct facts_sum *s, const char *name, struct facts *out)
{
    *out = (struct facts){.health = FACTS_UNKNOWN};
    if (s->lost || !str_iends(name, strlen(name), ".stl"))
        return;
    out->health = (uint8_t)health_of(stl_end(&s->reader));
    if (s->sums.not_finite && out->health != FACTS_TRUNCATED)
        out->health = FACTS_MALFORMED;
    out->binary = s->reader.kind == STL_BINARY;
    out->facets = s->reader.facets;
    if (out->facets == 0)
        return;
    out->closed = s->sums.edge[0] == 0 && s->sums.edge[1] == 0;
    out->vertices = s->seen.full ? FACTS_NO_COUNT : s->seen.used;
    out->surface = s->sums.surface;
    out->volume = s->sums.volume;
    if (s->sums.min[0] <= s->sums.max[0]) {
        memcpy(out->min, s->sums.min, sizeof(out->min));
        memcpy(out->max, s->sums.max, sizeof(out->max));
    }
}

const char *facts_health_name(unsigned health)
{
    static const char *const name[] = {"unknown", "ok", "truncated", "empty", "malformed"};
    return health < sizeof(name) / sizeof(name[0]) ? name[health] : "unknown";
}
