#include "conf/conf_i.h"

#include <string.h>

/* A value is found by its number: the tree in the order of the text, and the text, count alike. */
static bool number_of(const struct json *at, const struct json *v, size_t *n)
{
    if (at == v)
        return true;
    for (const struct json *c = json_first(at); c != NULL; c = json_next(c)) {
        (*n)++;
        if (number_of(c, v, n))
            return true;
    }
    return false;
}

static const char *skip_blanks(const char *p, const char *end, unsigned *line)
{
    while (p < end && (unsigned char)*p <= ' ') {
        if (line != NULL)
            *line += *p == '\n';
        p++;
    }
    return p;
}

/* After the string or the word that begins at `p`. */
static const char *skip_token(const char *p, const char *end)
{
    if (*p != '"') {
        while (p < end && (unsigned char)*p > ' ' && strchr(",:[]{}\"", *p) == NULL)
            p++;
        return p;
    }
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : end;
}

static unsigned newlines(const char *from, const char *to)
{
    unsigned n = 0;
    for (; from < to; from++)
        n += *from == '\n';
    return n;
}

unsigned conf_line_of(const char *text, size_t len, const struct json *root, const struct json *v)
{
    static const char bom[] = "\xEF\xBB\xBF";
    const char *p = len >= 3 && memcmp(text, bom, 3) == 0 ? text + 3 : text;
    const char *end = text + len;
    size_t wanted = 0, seen = 0;
    unsigned line = 1, name_line = 0;
    if (root == NULL || !number_of(root, v, &wanted))
        return 0;
    for (p = skip_blanks(p, end, &line); p < end; p = skip_blanks(p, end, &line)) {
        if (strchr(",:]}", *p) != NULL) {
            p++;
            continue;
        }
        const char *after = strchr("[{", *p) != NULL ? p + 1 : skip_token(p, end);
        const char *next = skip_blanks(after, end, NULL);
        if (*p == '"' && next < end && *next == ':')
            name_line = line;
        else if (seen++ == wanted)
            return name_line != 0 ? name_line : line;
        else
            name_line = 0;
        line += newlines(p, after);
        p = after;
    }
    return 0;
}
