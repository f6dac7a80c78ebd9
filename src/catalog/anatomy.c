#include "catalog/registry_i.h"

#include "base/hash.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct anatomy_row {
    const char *key; /* letters and digits of the spelling, lower case */
    const char *name;
    enum side side;
};

struct anatomy {
    char *text; /* the rows' texts */
    struct anatomy_row *rows;
    size_t count;
    uint16_t *slots; /* hash table over the rows, number + 1 */
    size_t mask;
};

/* Lower-cased letters and digits of `s`, at most `max`; SIZE_MAX where there are more. `out` may be
 * `s`. */
static size_t loosen(const char *s, size_t len, char *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)s[i]))
            continue;
        if (n == max)
            return SIZE_MAX;
        out[n++] = (char)tolower((unsigned char)s[i]);
    }
    return n;
}

/* The slot that holds the key, or the empty one where it would be. */
static uint16_t *find_slot(const struct anatomy *a, const char *key, size_t len)
{
    for (size_t i = hash64(key, len, 0) & a->mask;; i = (i + 1) & a->mask) {
        uint16_t *slot = &a->slots[i];
        if (*slot == 0)
            return slot;
        const char *other = a->rows[*slot - 1].key;
        if (strncmp(other, key, len) == 0 && other[len] == '\0')
            return slot;
    }
}

static bool is_class(const char *s)
{
    return s[0] != '\0' && strlen(s) < ANATOMY_MAX &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int parse_row(char *line, struct anatomy_row *row)
{
    char *rest = line;
    char *spelling = strsep(&rest, "\t");
    row->name = strsep(&rest, "\t");
    if (row->name == NULL || rest == NULL || !is_class(row->name))
        return -EBADMSG;
    size_t n = loosen(spelling, strlen(spelling), spelling, ANATOMY_MAX - 1);
    if (n == 0 || n == SIZE_MAX)
        return -EBADMSG;
    spelling[n] = '\0';
    row->key = spelling;
    row->side = strcmp(rest, "left") == 0    ? SIDE_LEFT
                : strcmp(rest, "right") == 0 ? SIDE_RIGHT
                                             : SIDE_NONE;
    return row->side != SIDE_NONE || strcmp(rest, "-") == 0 ? 0 : -EBADMSG;
}

/* Two spellings may differ only in what is ignored; then they must say the same. */
static int add_row(struct anatomy *a, const struct anatomy_row *row)
{
    uint16_t *slot = find_slot(a, row->key, strlen(row->key));
    if (*slot != 0) {
        const struct anatomy_row *old = &a->rows[*slot - 1];
        return strcmp(old->name, row->name) == 0 && old->side == row->side ? 0 : -EBADMSG;
    }
    a->rows[a->count++] = *row;
    *slot = (uint16_t)a->count;
    return 0;
}

static int add_lines(struct anatomy *a)
{
    int r = 0;
    for (char *rest = a->text; r == 0 && rest != NULL;) {
        char *line = strsep(&rest, "\n");
        struct anatomy_row row;
        if (line[0] == '\0' || line[0] == '#')
            continue;
        r = parse_row(line, &row);
        if (r == 0)
            r = add_row(a, &row);
    }
    return r;
}

int anatomy_load(const char *text, size_t len, struct anatomy **out)
{
    struct anatomy *a = calloc(1, sizeof(*a));
    size_t lines = 1, slots = 64;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    while (slots < 2 * lines)
        slots *= 2;
    int r = a == NULL ? -ENOMEM : lines > UINT16_MAX ? -EBADMSG : 0;
    if (r == 0) {
        a->text = calloc(len + 1, 1);
        a->rows = calloc(lines, sizeof(a->rows[0]));
        a->slots = calloc(slots, sizeof(a->slots[0]));
        a->mask = slots - 1;
        r = a->text == NULL || a->rows == NULL || a->slots == NULL ? -ENOMEM : 0;
    }
    if (r == 0) {
        memcpy(a->text, text, len);
        r = add_lines(a);
    }
    if (r != 0) {
        anatomy_free(a);
        return r;
    }
    *out = a;
    return 0;
}

void anatomy_free(struct anatomy *a)
{
    if (a == NULL)
        return;
    free(a->text);
    free(a->rows);
    free(a->slots);
    free(a);
}

bool anatomy_find(const struct anatomy *a, const char *spelling, size_t len, const char **name,
                  enum side *side)
{
    char key[ANATOMY_MAX];
    size_t n = loosen(spelling, len, key, sizeof(key) - 1);
    if (n == 0 || n == SIZE_MAX)
        return false;
    const uint16_t *slot = find_slot(a, key, n);
    if (*slot == 0)
        return false;
    *name = a->rows[*slot - 1].name;
    *side = a->rows[*slot - 1].side;
    return true;
}

struct guess {
    char *out;
    size_t len, start; /* start: length of the prefix */
    bool left, right;
};

/* Takes `word` off an end of the word that begins at `at`: all of it, or where at least three
 * letters stay. */
static bool take_side(struct guess *g, size_t at, const char *word)
{
    size_t n = strlen(word), len = g->len - at;
    char *w = g->out + at;
    if (len != n && len < n + 3)
        return false;
    if (memcmp(w + len - n, word, n) == 0) {
        g->len -= n;
        return true;
    }
    if (memcmp(w, word, n) != 0)
        return false;
    memmove(w, w + n, len - n);
    g->len -= n;
    return true;
}

static void end_word(struct guess *g, size_t at)
{
    g->left |= take_side(g, at, "left");
    g->right |= take_side(g, at, "right");
    if (g->len == at && at > g->start)
        g->len--;
}

/* A word ends before a byte that is no letter or digit, and before a capital that follows a small
 * letter. */
static bool word_ends(const char *s, size_t i, size_t len)
{
    return i == len || !isalnum((unsigned char)s[i]) ||
           (i > 0 && isupper((unsigned char)s[i]) && islower((unsigned char)s[i - 1]));
}

void anatomy_guess(const char *spelling, size_t len, const char *prefix, char out[ANATOMY_MAX],
                   enum side *side)
{
    size_t start = strnlen(prefix, ANATOMY_MAX / 2);
    struct guess g = {.out = out, .len = start, .start = start};
    memcpy(out, prefix, start);
    for (size_t i = 0; i < len && g.len < ANATOMY_MAX - 2;) {
        if (!isalnum((unsigned char)spelling[i])) {
            i++;
            continue;
        }
        if (g.len > start)
            out[g.len++] = '_';
        size_t at = g.len;
        do
            out[g.len++] = (char)tolower((unsigned char)spelling[i++]);
        while (!word_ends(spelling, i, len) && g.len < ANATOMY_MAX - 1);
        end_word(&g, at);
    }
    if (g.len == start)
        g.len = 0;
    out[g.len] = '\0';
    *side = g.left == g.right ? SIDE_NONE : g.left ? SIDE_LEFT : SIDE_RIGHT;
}
