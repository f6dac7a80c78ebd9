#include "catalog/query.h"

#include "base/obj.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum term_kind {
    TERM_BARE,
    TERM_DATASET,
    TERM_ANATOMY,
    TERM_LICENCE,
    TERM_SIDE,
    TERM_SUBJECT,
    TERM_EXT
};

struct term {
    enum term_kind kind;
    bool exclude;
    enum side side;
    const char *text; /* in lower case */
    size_t len;
};

struct query {
    char *text; /* the terms' texts */
    size_t count;
    struct term terms[];
};

static const struct {
    const char *name;
    enum term_kind kind;
} fields[] = {
    {"dataset", TERM_DATASET}, {"anatomy", TERM_ANATOMY}, {"licence", TERM_LICENCE},
    {"side", TERM_SIDE},       {"subject", TERM_SUBJECT}, {"ext", TERM_EXT},
};

static bool separates(char c)
{
    return c == '+' || isspace((unsigned char)c);
}

static bool is(const struct term *t, const char *word)
{
    return t->len == strlen(word) && memcmp(t->text, word, t->len) == 0;
}

static bool has_letter_or_digit(const struct term *t)
{
    for (size_t i = 0; i < t->len; i++)
        if (isalnum((unsigned char)t->text[i]))
            return true;
    return false;
}

/* Takes "field:" off; leaves a bare term as it is. */
static int take_field(struct term *t, struct err *e)
{
    const char *colon = memchr(t->text, ':', t->len);
    if (colon == NULL)
        return 0;
    size_t n = (size_t)(colon - t->text);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (n == strlen(fields[i].name) && memcmp(t->text, fields[i].name, n) == 0) {
            t->kind = fields[i].kind;
            t->text += n + 1;
            t->len -= n + 1;
            return 0;
        }
    return err_set(
        e, -EINVAL,
        "unknown field '%.*s:' (known: dataset:, anatomy:, licence:, side:, subject:, ext:)",
        n < 60 ? (int)n : 60, t->text);
}

static int check_value(struct term *t, struct err *e)
{
    if (t->len == 0)
        return err_set(e, -EINVAL,
                       "a field or '-' without a value (write e.g. anatomy:liver or -side:left)");
    if (t->kind == TERM_SIDE) {
        t->side = is(t, "left") ? SIDE_LEFT : is(t, "right") ? SIDE_RIGHT : SIDE_NONE;
        if (t->side == SIDE_NONE && !is(t, "none"))
            return err_set(e, -EINVAL, "side: is left, right or none");
    }
    bool loose = t->kind == TERM_DATASET || t->kind == TERM_ANATOMY || t->kind == TERM_LICENCE;
    if (loose && !has_letter_or_digit(t))
        return err_set(e, -EINVAL, "a value without a letter or digit (only these are compared)");
    return 0;
}

static int parse_term(struct query *q, const char *text, size_t len, struct err *e)
{
    struct term *t = &q->terms[q->count++];
    *t = (struct term){.exclude = text[0] == '-', .text = text, .len = len};
    t->text += t->exclude;
    t->len -= t->exclude;
    int r = take_field(t, e);
    return r != 0 ? r : check_value(t, e);
}

static int parse_terms(struct query *q, size_t len, struct err *e)
{
    for (size_t i = 0; i < len;) {
        size_t begin = i;
        while (i < len && !separates(q->text[i]))
            i++;
        int r = i > begin ? parse_term(q, q->text + begin, i - begin, e) : 0;
        if (r != 0)
            return r;
        i++;
    }
    return q->count > 0
               ? 0
               : err_set(e, -EINVAL, "no term to search for (write e.g. liver or anatomy:liver)");
}

int query_parse(const char *text, size_t len, struct query **out, struct err *e)
{
    if (len > 0 && text[0] == '.')
        return err_set(e, -EINVAL, "a name that begins with '.' is never a query");
    size_t words = 0;
    for (size_t i = 0; i < len; i++)
        words += !separates(text[i]) && (i == 0 || separates(text[i - 1]));
    struct query *q = calloc(1, sizeof(*q) + words * sizeof(q->terms[0]));
    if (q != NULL)
        q->text = malloc(len + 1);
    if (q == NULL || q->text == NULL) {
        query_free(q);
        return err_set(e, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < len; i++)
        q->text[i] = (char)tolower((unsigned char)text[i]);
    int r = parse_terms(q, len, e);
    if (r != 0)
        query_free(q);
    else
        *out = q;
    return r;
}

void query_free(struct query *q)
{
    if (q == NULL)
        return;
    free(q->text);
    free(q);
}

static bool loosely(const struct term *t, const char *value)
{
    return str_loose_eq(t->text, t->len, value, strlen(value));
}

static bool matches_bare(const struct term *t, const struct query_row *row)
{
    return str_icontains(row->name, row->name_len, t->text, t->len) ||
           str_icontains(row->dataset, strlen(row->dataset), t->text, t->len) ||
           str_icontains(row->anatomy, strlen(row->anatomy), t->text, t->len);
}

static bool matches_ext(const struct term *t, const struct query_row *row)
{
    size_t skip = t->text[0] == '.', n = t->len - skip;
    return row->name_len > n && row->name[row->name_len - n - 1] == '.' &&
           str_icontains(row->name + row->name_len - n, n, t->text + skip, n);
}

static bool matches(const struct term *t, const struct query_row *row)
{
    switch (t->kind) {
    case TERM_DATASET:
        return loosely(t, row->dataset);
    case TERM_ANATOMY:
        return loosely(t, row->anatomy);
    case TERM_LICENCE:
        return loosely(t, row->licence);
    case TERM_SIDE:
        return t->side == row->side;
    case TERM_SUBJECT:
        return row->subject_len == t->len && str_icontains(row->subject, t->len, t->text, t->len);
    case TERM_EXT:
        return matches_ext(t, row);
    case TERM_BARE:
        break;
    }
    return matches_bare(t, row);
}

bool query_match(const struct query *q, const struct query_row *row)
{
    for (size_t i = 0; i < q->count; i++)
        if (matches(&q->terms[i], row) == q->terms[i].exclude)
            return false;
    return true;
}
