/* The layout of a text from some facets of it. All that is found here is a guess: the block is
 * proved later. */
#include "codec/layout.h"
#include "codec/mesh.h"
#include "codec/normals.h"

#include <string.h>
#include <strings.h>

enum {
    SAMPLE = 16,      /* facets */
    SEARCH = 1 << 16, /* bytes from which they are taken */
    NUMBERS = 12,     /* of a facet */
};

/* A facet: where its twelve numbers stand. */
struct spot {
    const char *begin, *end;
    const char *number[NUMBERS];
    uint8_t len[NUMBERS];
};

struct sample {
    unsigned facets;
    struct spot facet[SAMPLE];
    float vertex[SAMPLE * 9];
};

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word; its length, 0 at the end. */
static size_t word(const char **p, const char *end)
{
    while (*p < end && blank(**p))
        ++*p;
    const char *q = *p;
    while (q < end && !blank(*q))
        q++;
    return (size_t)(q - *p);
}

/* Finds the twelve numbers of the facet whose line begins at `p`. */
static bool read_spot(const char *p, const char *end, struct spot *s)
{
    static const char *const words[] = {
        "facet",  "normal", NULL, NULL, NULL,     "outer",   "loop",
        "vertex", NULL,     NULL, NULL, "vertex", NULL,      NULL,
        NULL,     "vertex", NULL, NULL, NULL,     "endloop", "endfacet",
    };
    unsigned n = 0;
    s->begin = p;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = word(&p, end);
        if (len == 0 || len > UINT8_MAX)
            return false;
        if (words[i] == NULL) {
            s->number[n] = p;
            s->len[n++] = (uint8_t)len;
        } else if (strlen(words[i]) != len || strncasecmp(words[i], p, len) != 0) {
            return false;
        }
        p += len;
    }
    const char *newline = p;
    while (newline < end && *newline != '\n' && blank(*newline))
        newline++;
    s->end = newline + 1;
    return newline < end && *newline == '\n' && newline - p < LAYOUT_TEXT / 2;
}

static bool read_vertices(struct sample *s)
{
    const struct spot *spot = &s->facet[s->facets];
    for (unsigned i = 0; i < 9; i++) {
        const char *p = spot->number[3 + i], *end = p + spot->len[3 + i];
        if (number_parsef(p, end, &s->vertex[s->facets * 9 + i]) != end)
            return false;
    }
    return true;
}

/* The first facet from `p` on; false where there is none near. */
static bool find_facet(const char *p, const char *end, struct sample *s)
{
    end = end - p > SEARCH ? p + SEARCH : end;
    while (p < end) {
        if (read_spot(p, end, &s->facet[s->facets]) && read_vertices(s))
            return true;
        p = memchr(p, '\n', (size_t)(end - p));
        p = p != NULL ? p + 1 : end;
    }
    return false;
}

/* Takes facets from all over the text. */
static void take_sample(const char *text, size_t len, struct sample *s)
{
    const char *end = text + len, *last = text;
    s->facets = 0;
    for (unsigned i = 0; i < SAMPLE; i++) {
        const char *p = text + len / SAMPLE * i;
        if (!find_facet(p > last ? p : last, end, s))
            continue;
        last = s->facet[s->facets].end;
        s->facets++;
    }
}

/* ---- texts ---- */

/* Blanks before number `i` of a facet. */
static unsigned gap(const struct spot *s, unsigned i)
{
    unsigned n = 0;
    while (s->number[i] - n > s->begin && s->number[i][-1 - (int)n] == ' ')
        n++;
    return n;
}

/* Fewest blanks before numbers without a minus sign, most before those with one, among numbers
 * first, first + step, ... to last. */
static void gaps(const struct sample *s, unsigned first, unsigned step, unsigned last,
                 unsigned *plus, unsigned *minus)
{
    *plus = UINT8_MAX;
    *minus = 0;
    for (unsigned f = 0; f < s->facets; f++)
        for (unsigned i = first; i <= last; i += step) {
            unsigned n = gap(&s->facet[f], i);
            if (*s->facet[f].number[i] != '-')
                *plus = n < *plus ? n : *plus;
            else
                *minus = n > *minus ? n : *minus;
        }
}

/* True where numbers first to last stand as printf's flag ' ' puts them: one blank more before
 * those without a minus sign. What is before the first of three has blanks of its own. */
static bool flag_blank(const struct sample *s, unsigned first, unsigned last)
{
    unsigned plus, minus;
    for (unsigned i = 0; i < 3; i++) {
        gaps(s, first + i, 3, last, &plus, &minus);
        if (plus != UINT8_MAX && minus != 0)
            return plus == minus + 1;
    }
    gaps(s, first + 1, 3, last, &plus, &minus);
    return plus != UINT8_MAX && plus >= 2;
}

static bool set_text(struct layout_text *t, const char *from, const char *to, bool flag)
{
    size_t len = (size_t)(to - from);
    len -= flag && len > 0 && to[-1] == ' ';
    if (len > LAYOUT_TEXT)
        return false;
    memcpy(t->s, from, len);
    t->len = (uint8_t)len;
    return true;
}

/* The texts between the numbers of a facet. */
static bool set_texts(const struct spot *s, struct layout *l)
{
    const char *from = s->begin;
    memset(l->text, 0, sizeof(l->text));
    for (unsigned i = 0; i < NUMBERS; i++) {
        bool flag = (i < 3 ? l->normal.blank : l->vertex.blank) && *s->number[i] != '-';
        if (!set_text(&l->text[i], from, s->number[i], flag))
            return false;
        from = s->number[i] + s->len[i];
    }
    if (!set_text(&l->text[NUMBERS], from, s->end, false))
        return false;
    for (unsigned i = 3; i < LAYOUT_TEXTS; i += 3)
        if (l->text[i].len == 0 || (l->text[i].s[0] != '\n' && l->text[i].s[0] != '\r'))
            return false;
    return layout_text_len(l) <= LAYOUT_ALL_TEXTS;
}

/* ---- formats ---- */

/* How the numbers of a sample look. */
struct look {
    uint8_t digits;   /* significant ones, at most */
    uint8_t decimals; /* after the point, at most */
    bool upper;
};

static void look_at(const char *p, size_t len, struct look *look)
{
    uint8_t digits = 0, decimals = 0;
    bool point = false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == 'e' || p[i] == 'E') {
            look->upper |= p[i] == 'E';
            break;
        }
        bool digit = p[i] >= '0' && p[i] <= '9';
        point |= p[i] == '.';
        decimals = (uint8_t)(decimals + (digit && point));
        digits = (uint8_t)(digits + (digit && (digits > 0 || p[i] != '0')));
    }
    look->digits = digits > look->digits ? digits : look->digits;
    look->decimals = decimals > look->decimals ? decimals : look->decimals;
}

/* How many of the numbers first to last of the sample a format prints as they are, given their
 * values, `stride` for each facet. */
static unsigned hits(const struct sample *s, unsigned first, unsigned last, const double *value,
                     const struct number_format *f)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->facets; i++)
        for (unsigned k = first; k <= last; k++) {
            const struct spot *spot = &s->facet[i];
            char out[NUMBER_LONG];
            unsigned len = number_print(f, *value++, out);
            n += len == spot->len[k] && memcmp(out, spot->number[k], len) == 0;
        }
    return n;
}

/* The format that prints most of the numbers right; returns how many. */
static unsigned best_format(const struct sample *s, unsigned first, unsigned last,
                            const double *value, struct number_format *best)
{
    struct look look = {0, 0, false};
    unsigned most = 0, all = s->facets * (last - first + 1);
    for (unsigned i = 0; i < s->facets; i++)
        for (unsigned k = first; k <= last; k++)
            look_at(s->facet[i].number[k], s->facet[i].len[k], &look);
    look.digits = look.digits > 17 ? 17 : look.digits;
    look.decimals = look.decimals > 17 ? 17 : look.decimals;
    const struct number_format tries[] = {
        {NUMBER_G, 17, false, false},
        {NUMBER_G, 6, false, false},
        {NUMBER_G, look.digits, false, false},
        {NUMBER_E, look.decimals, false, false},
        {NUMBER_F, look.decimals, false, false},
        {NUMBER_SHORTEST, 0, false, false},
        {NUMBER_G, 9, false, false},
        {NUMBER_G, 16, false, false},
    };
    enum { TRIES = sizeof(tries) / sizeof(tries[0]) };
    for (unsigned i = 0; i < TRIES * (1U + look.upper) && most < all; i++) {
        struct number_format now = tries[i % TRIES];
        now.upper = i >= TRIES;
        unsigned n = hits(s, first, last, value, &now);
        if (n > most) {
            most = n;
            *best = now;
        }
    }
    return most;
}

static bool vertex_format(const struct sample *s, struct number_format *f)
{
    double value[SAMPLE * 9];
    for (unsigned i = 0; i < s->facets * 9; i++)
        value[i] = (double)s->vertex[i];
    return best_format(s, 3, 11, value, f) > s->facets * 9 / 2;
}

/* The doubles that the formula gives, or the float32 that the text has. */
static void normal_values(const struct sample *s, bool formula, double value[SAMPLE * 3])
{
    uint32_t ref[SAMPLE * 3];
    float xyz[SAMPLE * 9];
    struct mesh m = {.ref = ref, .xyz = xyz};
    struct normals n;
    for (uint32_t i = 0; i < s->facets * 3; i++)
        ref[i] = i;
    memcpy(xyz, s->vertex, sizeof(xyz));
    normals_of(&m, 0, s->facets, &n);
    for (unsigned i = 0; i < s->facets * 3; i++) {
        const char *p = s->facet[i / 3].number[i % 3];
        float v = 0;
        (void)number_parsef(p, p + s->facet[i / 3].len[i % 3], &v);
        value[i] = formula ? n.v[i % 3][i / 3] : (double)v;
    }
}

/* Float32, whose exceptions cost little, where they print as much right as the formula's doubles.
 */
static bool normal_format(const struct sample *s, struct layout *l)
{
    double value[SAMPLE * 3];
    struct number_format exact;
    normal_values(s, true, value);
    unsigned formula = best_format(s, 0, 2, value, &exact);
    normal_values(s, false, value);
    unsigned stored = best_format(s, 0, 2, value, &l->normal);
    l->float_normals = stored >= formula;
    if (!l->float_normals)
        l->normal = exact;
    return (stored > formula ? stored : formula) > s->facets * 3 / 2;
}

/* How many facets of the sample are of this layout. */
static unsigned found(const struct sample *s, const struct layout *l)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->facets; i++) {
        const struct spot *spot = &s->facet[i];
        struct layout_facet f;
        n += layout_find(l, spot->begin, spot->end, &f) && f.end == spot->end;
    }
    return n;
}

bool layout_guess(const char *text, size_t len, struct layout *l)
{
    struct sample s;
    memset(l, 0, sizeof(*l));
    take_sample(text, len, &s);
    if (s.facets == 0 || !vertex_format(&s, &l->vertex) || !normal_format(&s, l))
        return false;
    l->vertex.blank = flag_blank(&s, 3, 11);
    l->normal.blank = flag_blank(&s, 0, 2);
    for (unsigned i = 0; i < s.facets; i++)
        if (set_texts(&s.facet[i], l) && found(&s, l) > s.facets / 2)
            return true;
    return false;
}
