#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->err = 0;
}

int buf_reserve(struct buf *b, size_t more)
{
    if (b->err != 0)
        return b->err;
    if (b->cap - b->len >= more)
        return 0;
    if (more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
        return b->err = -ENOMEM;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap - b->len < more)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (data == NULL)
        return b->err = -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (len == 0 || buf_reserve(b, len) != 0)
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || buf_reserve(b, (size_t)n + 1) != 0)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void buf_le(struct buf *b, uint64_t value, unsigned bytes)
{
    unsigned char raw[8];
    for (unsigned i = 0; i < bytes; i++)
        raw[i] = (unsigned char)(value >> (8 * i));
    buf_add(b, raw, bytes);
}

const char *buf_cstr(struct buf *b)
{
    if (buf_reserve(b, 1) != 0)
        return "";
    b->data[b->len] = '\0';
    return b->data;
}

char *buf_take(struct buf *b)
{
    (void)buf_cstr(b);
    char *data = b->err == 0 ? b->data : NULL;
    if (data == NULL)
        free(b->data);
    *b = (struct buf)BUF_INIT;
    return data;
}

struct view view_of(const void *data, size_t len)
{
    const unsigned char *p = data;
    return (struct view){p, p + len, 0};
}

const void *view_take(struct view *v, size_t len)
{
    if (v->err != 0 || (size_t)(v->end - v->p) < len) {
        v->err = -EBADMSG;
        return NULL;
    }
    const void *at = v->p;
    v->p += len;
    return at;
}

uint64_t view_le(struct view *v, unsigned bytes)
{
    const unsigned char *raw = view_take(v, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; raw != NULL && i < bytes; i++)
        value |= (uint64_t)raw[i] << (8 * i);
    return value;
}

void view_str(struct view *v, const char **s, size_t *len)
{
    *len = (size_t)view_le(v, 2);
    *s = view_take(v, *len);
    if (*s == NULL) {
        *s = "";
        *len = 0;
    }
}

void buf_lstr(struct buf *b, const char *s, size_t len)
{
    if (len > UINT16_MAX)
        len = UINT16_MAX;
    buf_le(b, len, 2);
    buf_add(b, s, len);
}
