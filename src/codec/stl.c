#include "codec/stl.h"

#include "codec/number.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

/* Places in the grammar. From FACET on they are those of facet_word[]. */
enum {
    START,      /* nothing but blanks so far, or after an endsolid's line: "solid" */
    NAME,       /* on the line of a solid */
    END_NAME,   /* on the line of an endsolid */
    IN_SOLID,   /* "facet" or "endsolid" */
    FACET,      /* after "facet" */
    FACET_LAST, /* see facet_word[] */
};

/* What follows the word "facet"; NULL is a number. */
static const char *const facet_word[] = {
    "normal", NULL, NULL, NULL, "outer",  "loop", "vertex", NULL, NULL,      NULL,
    "vertex", NULL, NULL, NULL, "vertex", NULL,   NULL,     NULL, "endloop", "endfacet",
};

enum { FACET_WORDS = sizeof(facet_word) / sizeof(facet_word[0]) };

void stl_begin(struct stl_reader *r, void (*facet)(void *arg, const struct stl_facet *f), void *arg)
{
    memset(r, 0, offsetof(struct stl_reader, hold));
    r->facet = facet;
    r->arg = arg;
}

static bool blank(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool stl_is_text(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len && i < STL_HEAD; i++)
        if ((p[i] < ' ' && !blank(p[i])) || p[i] == 0x7F)
            return false;
    return true;
}

static bool is_word(const char *p, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(p, word, len) == 0;
}

static bool special_number(const char *p, size_t len, float *v)
{
    bool minus = len > 0 && *p == '-';
    if (len > 0 && (*p == '-' || *p == '+')) {
        p++;
        len--;
    }
    if (is_word(p, len, "inf") || is_word(p, len, "infinity"))
        *v = minus ? -INFINITY : INFINITY;
    else if (is_word(p, len, "nan") || (len > 4 && strncasecmp(p, "nan(", 4) == 0) ||
             (len > 3 && strncmp(p, "1.#", 3) == 0)) /* as old C libraries of Windows write it */
        *v = NAN;
    else
        return false;
    return true;
}

bool stl_number(const char *p, size_t len, float *v)
{
    return number_parsef(p, p + len, v) == p + len || special_number(p, len, v);
}

static void end_facet(struct stl_reader *r)
{
    for (unsigned i = 0; i < 9 && !r->not_finite; i++)
        r->not_finite = !isfinite(r->now.vertex[i / 3][i % 3]);
    r->facets++;
    if (r->facet != NULL)
        r->facet(r->arg, &r->now);
}

/* Where the number at place `k` of facet_word[] belongs. */
static float *number_at(struct stl_reader *r, unsigned k)
{
    return k < 4 ? &r->now.normal[k - 1] : &r->now.vertex[(k - 7) / 4][(k - 7) % 4];
}

static void word_of_facet(struct stl_reader *r, const char *p, size_t len)
{
    unsigned k = r->at - FACET;
    const char *want = facet_word[k];
    if (want != NULL ? !is_word(p, len, want) : !stl_number(p, len, number_at(r, k))) {
        r->malformed = true;
        return;
    }
    r->at++;
    if (k + 1 == FACET_WORDS) {
        r->at = IN_SOLID;
        end_facet(r);
    }
}

/* A word of a solid's name, which ends a line or where a facet begins. */
static void word_of_name(struct stl_reader *r, const char *p, size_t len)
{
    if (r->normal_next && is_word(p, len, "normal")) {
        r->at = FACET + 1;
        r->normal_next = false;
        return;
    }
    r->normal_next = is_word(p, len, "facet");
}

static void take_word(struct stl_reader *r, const char *p, size_t len)
{
    if (r->at >= FACET)
        word_of_facet(r, p, len);
    else if (r->at == NAME || r->at == END_NAME)
        word_of_name(r, p, len);
    else if (r->at == START && is_word(p, len, "solid"))
        r->at = NAME;
    else if (r->at == IN_SOLID && is_word(p, len, "facet"))
        r->at = FACET;
    else if (r->at == IN_SOLID && is_word(p, len, "endsolid"))
        r->at = END_NAME;
    else
        r->malformed = true;
}

static void take_newline(struct stl_reader *r)
{
    if (r->at == NAME)
        r->at = IN_SOLID;
    else if (r->at == END_NAME)
        r->at = START;
    r->normal_next = false;
}

/* Adds to the word that is held; one that is too long ends the reading, unless it is of a name. */
static void hold_word(struct stl_reader *r, const unsigned char *p, size_t len)
{
    if (len > STL_WORD - r->held) {
        r->malformed |= r->at != NAME && r->at != END_NAME;
        len = STL_WORD - r->held;
    }
    memcpy(r->hold + r->held, p, len);
    r->held += (uint32_t)len;
}

static void end_held_word(struct stl_reader *r)
{
    size_t len = r->held;
    r->held = 0;
    take_word(r, (const char *)r->hold, len);
}

static void feed_text(struct stl_reader *r, const unsigned char *p, const unsigned char *end)
{
    while (p < end && !r->malformed) {
        if (blank(*p)) {
            if (r->held > 0)
                end_held_word(r);
            if ((*p == '\n' || *p == '\r') && !r->malformed)
                take_newline(r);
            p++;
            continue;
        }
        const unsigned char *q = p;
        while (q < end && !blank(*q))
            q++;
        if (r->held == 0 && q < end)
            take_word(r, (const char *)p, (size_t)(q - p));
        else
            hold_word(r, p, (size_t)(q - p));
        p = q;
    }
}

static uint32_t le32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void take_record(struct stl_reader *r, const unsigned char *p)
{
    uint32_t word[12];
    for (unsigned i = 0; i < 12; i++)
        word[i] = le32(p + (size_t)4 * i);
    memcpy(r->now.normal, word, sizeof(r->now.normal));
    memcpy(r->now.vertex, word + 3, sizeof(r->now.vertex));
    r->now.attribute = (uint16_t)(p[48] | p[49] << 8);
    end_facet(r);
}

static void feed_binary(struct stl_reader *r, const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        size_t left = (size_t)(end - p);
        if (r->held == 0 && left >= STL_BINARY_FACET) {
            take_record(r, p);
            p += STL_BINARY_FACET;
            continue;
        }
        size_t n = STL_BINARY_FACET - r->held;
        n = n < left ? n : left;
        memcpy(r->hold + r->held, p, n);
        r->held += (uint32_t)n;
        p += n;
        if (r->held == STL_BINARY_FACET) {
            r->held = 0;
            take_record(r, r->hold);
        }
    }
}

static void feed_decided(struct stl_reader *r, const unsigned char *p, size_t len)
{
    if (r->kind == STL_TEXT)
        feed_text(r, p, p + len);
    else
        feed_binary(r, p, p + len);
}

/* Reads the bytes that are held, now that it is clear which kind they are of. */
static void decide(struct stl_reader *r, enum stl_kind kind)
{
    unsigned char head[STL_HEAD];
    size_t len = r->held, skip = 0;
    memcpy(head, r->hold, len);
    r->held = 0;
    r->kind = (uint8_t)kind;
    if (r->kind == STL_BINARY) {
        if (len < STL_BINARY_HEADER) {
            r->malformed = true;
            return;
        }
        skip = STL_BINARY_HEADER;
        r->count = le32(head + 80);
    }
    feed_decided(r, head + skip, len - skip);
}

/* The kind of what is held. */
static enum stl_kind kind_held(const struct stl_reader *r)
{
    return stl_is_text(r->hold, r->held) ? STL_TEXT : STL_BINARY;
}

void stl_feed(struct stl_reader *r, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    if (r->malformed || len == 0)
        return;
    if (r->kind == STL_UNDECIDED) {
        size_t n = STL_HEAD - r->held < len ? STL_HEAD - r->held : len;
        memcpy(r->hold + r->held, p, n);
        r->held += (uint32_t)n;
        p += n;
        len -= n;
        if (r->held < STL_HEAD)
            return;
        decide(r, kind_held(r));
    }
    if (!r->malformed)
        feed_decided(r, p, len);
}

bool stl_run(struct stl_reader *r, enum stl_kind kind, uint64_t facets, bool apart)
{
    if (r->kind == STL_UNDECIDED && !r->malformed)
        decide(r, kind); /* a run that was found tells more than a short head */
    if (kind == STL_TEXT && r->kind == kind && apart && r->held > 0 && !r->malformed)
        end_held_word(r);
    bool fits = !r->malformed && r->kind == kind && r->held == 0;
    if (kind == STL_TEXT)
        fits &= r->at == IN_SOLID || r->at == NAME;
    r->malformed |= !fits;
    if (!fits)
        return false;
    r->facets += facets;
    r->at = kind == STL_TEXT ? IN_SOLID : r->at;
    return true;
}

static enum stl_health end_text(struct stl_reader *r)
{
    if (r->held > 0) { /* what the end cut short is no fault of the word */
        end_held_word(r);
        if (r->malformed)
            return r->at == START ? STL_MALFORMED : STL_TRUNCATED;
    }
    if (r->at != START && r->at != END_NAME)
        return STL_TRUNCATED;
    if (r->not_finite)
        return STL_MALFORMED;
    return r->facets == 0 ? STL_EMPTY : STL_OK;
}

static enum stl_health end_binary(const struct stl_reader *r)
{
    if (r->facets < r->count)
        return STL_TRUNCATED;
    if (r->facets > r->count || r->held > 0 || r->not_finite)
        return STL_MALFORMED;
    return r->facets == 0 ? STL_EMPTY : STL_OK;
}

enum stl_health stl_end(struct stl_reader *r)
{
    if (r->kind == STL_UNDECIDED && !r->malformed)
        decide(r, kind_held(r));
    if (r->malformed)
        return STL_MALFORMED;
    return r->kind == STL_TEXT ? end_text(r) : end_binary(r);
}
