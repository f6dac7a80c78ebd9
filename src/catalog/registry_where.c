#include "catalog/registry_i.h"

#include <stdlib.h>
#include <string.h>

/* A place in a JSON text that is known to be well-formed; `end` is where it stops all the same. */
struct cursor {
    const char *p, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && strchr(" \t\r\n", *c->p) != NULL)
        c->p++;
}

static bool take(struct cursor *c, char what)
{
    skip_blanks(c);
    if (c->p == c->end || *c->p != what)
        return false;
    c->p++;
    return true;
}

/* Over a string whose opening quote was taken; its raw text. */
static size_t skip_string(struct cursor *c, const char **text)
{
    *text = c->p;
    while (c->p < c->end && *c->p != '"')
        c->p += *c->p == '\\' && c->end - c->p > 1 ? 2 : 1;
    size_t len = (size_t)(c->p - *text);
    (void)take(c, '"');
    return len;
}

static void skip_value(struct cursor *c)
{
    const char *ignored;
    size_t depth = 0;
    skip_blanks(c);
    do {
        if (c->p == c->end || (depth == 0 && strchr(",]}", *c->p) != NULL))
            return;
        char ch = *c->p++;
        if (ch == '"')
            (void)skip_string(c, &ignored);
        depth += ch == '{' || ch == '[';
        depth -= (ch == '}' || ch == ']') && depth > 0;
    } while (true);
}

/* To the member of that name; false where the value here has none. */
static bool enter_member(struct cursor *c, const char *name, size_t len)
{
    if (!take(c, '{'))
        return false;
    while (take(c, '"')) {
        const char *text;
        size_t n = skip_string(c, &text);
        if (!take(c, ':'))
            return false;
        if (n == len && memcmp(text, name, n) == 0) {
            skip_blanks(c);
            return true;
        }
        skip_value(c);
        if (!take(c, ','))
            return false;
    }
    return false;
}

/* To element `index` of the array here; false where there is none. */
static bool enter_element(struct cursor *c, unsigned long index)
{
    if (!take(c, '['))
        return false;
    for (unsigned long i = 0; i < index; i++) {
        skip_value(c);
        if (!take(c, ','))
            return false;
    }
    skip_blanks(c);
    return c->p < c->end && *c->p != ']';
}

unsigned registry_where(const char *text, size_t len, const char *path)
{
    struct cursor c = {text, text + len};
    const char *at = text;
    bool found = true;
    while (found && *path != '\0') {
        if (*path == '[') {
            char *rest;
            found = enter_element(&c, strtoul(path + 1, &rest, 10));
            path = rest + (*rest == ']');
        } else {
            path += *path == '.';
            size_t n = strcspn(path, ".[");
            found = n > 0 && enter_member(&c, path, n);
            path += n;
        }
        if (found)
            at = c.p;
    }
    unsigned line = 1;
    for (const char *p = text; p < at; p++)
        line += *p == '\n';
    return line;
}
