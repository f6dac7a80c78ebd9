#include "net/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool bad_byte(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7F;
}

/* Length of a scheme that ':' ends, or 0. */
static size_t scheme_len(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len &&
           (isalnum((unsigned char)text[n]) || (n > 0 && strchr("+-.", text[n]) != NULL)))
        n++;
    return n > 0 && n < len && text[n] == ':' && isalpha((unsigned char)text[0]) ? n : 0;
}

static bool port_ok(const char *p, size_t len)
{
    unsigned long port = 0;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)p[i]) || port > UINT16_MAX)
            return false;
        port = port * 10 + (unsigned long)(p[i] - '0');
    }
    return port <= UINT16_MAX;
}

static bool host_ok(const char *host, size_t len)
{
    size_t name = len;
    if (len > 0 && host[0] == '[') {
        const char *end = memchr(host, ']', len);
        name = end != NULL ? (size_t)(end - host) + 1 : 0;
    } else {
        const char *colon = memchr(host, ':', len);
        name = colon != NULL ? (size_t)(colon - host) : len;
    }
    if (name == 0 || (name < len && host[name] != ':'))
        return false;
    for (size_t i = 0; i < name; i++)
        if (!isalnum((unsigned char)host[i]) && (unsigned char)host[i] < 0x80 &&
            strchr(host[0] == '[' ? "[]:.%" : "-._%", host[i]) == NULL)
            return false;
    return name == len || port_ok(host + name + 1, len - name - 1);
}

/* The first of '/', '?', '#', or `end`. */
static const char *authority_end(const char *p, const char *end)
{
    while (p < end && *p != '/' && *p != '?' && *p != '#')
        p++;
    return p;
}

int url_split(const char *text, size_t len, struct url *u)
{
    const char *end = text + len;
    for (const char *p = text; p < end; p++)
        if (bad_byte(*p))
            return -EINVAL;
    size_t scheme = scheme_len(text, len);
    if (scheme == 0)
        return -EINVAL;
    if (!(scheme == 4 && strncasecmp(text, "http", 4) == 0) &&
        !(scheme == 5 && strncasecmp(text, "https", 5) == 0))
        return -EPROTONOSUPPORT;
    if (len < scheme + 3 || memcmp(text + scheme, "://", 3) != 0)
        return -EINVAL;
    const char *fragment = memchr(text, '#', len);
    end = fragment != NULL ? fragment : end;
    const char *host = text + scheme + 3;
    const char *path = authority_end(host, end);
    if (!host_ok(host, (size_t)(path - host)))
        return -EINVAL;
    const char *mark = memchr(path, '?', (size_t)(end - path));
    const char *path_end = mark != NULL ? mark : end;
    *u = (struct url){.scheme = text,
                      .scheme_len = scheme,
                      .host = host,
                      .host_len = (size_t)(path - host),
                      .path = path,
                      .path_len = (size_t)(path_end - path),
                      .query = mark != NULL ? mark + 1 : NULL,
                      .query_len = mark != NULL ? (size_t)(end - mark - 1) : 0};
    return 0;
}

bool url_param(const struct url *u, const char *name, const char **value, size_t *len)
{
    size_t want = strlen(name);
    const char *p = u->query;
    const char *end = p != NULL ? p + u->query_len : NULL;
    while (p != NULL) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp != NULL ? amp : end;
        const char *equal = memchr(p, '=', (size_t)(stop - p));
        size_t n = (size_t)((equal != NULL ? equal : stop) - p);
        if (n == want && memcmp(p, name, n) == 0) {
            *value = equal != NULL ? equal + 1 : stop;
            *len = (size_t)(stop - *value);
            return true;
        }
        p = amp != NULL ? amp + 1 : NULL;
    }
    return false;
}

void url_redact(struct buf *out, const char *text, size_t len)
{
    const char *end = text + len;
    const char *host = memmem(text, len, "://", 3);
    host = host != NULL ? host + 3 : text;
    const char *stop = authority_end(host, end);
    const char *at = memrchr(host, '@', (size_t)(stop - host));
    buf_add(out, text, (size_t)(host - text));
    for (const char *p = at != NULL ? at + 1 : host; p < end && *p != '?' && *p != '#'; p++) {
        char c = bad_byte(*p) ? '_' : *p;
        buf_add(out, &c, 1);
    }
}
