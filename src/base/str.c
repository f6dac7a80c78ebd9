#include "base/str.h"

#include "base/hash.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

size_t str_percent_decode(const char *in, size_t len, char *out, bool plus_is_blank)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int high = in[i] == '%' && i + 2 < len ? hex_digit(in[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(in[i + 2]) : -1;
        if (low >= 0) {
            out[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[n++] = plus_is_blank && in[i] == '+' ? ' ' : in[i];
        }
    }
    return n;
}

static void add_percent(struct buf *out, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char u = (unsigned char)c;
    char raw[3] = {'%', digits[u >> 4], digits[u & 15]};
    buf_add(out, raw, sizeof(raw));
}

void str_percent_encode(struct buf *out, const char *in, size_t len, const char *keep)
{
    for (size_t i = 0; i < len; i++) {
        char c = in[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     (c != '\0' && (strchr("-._~", c) != NULL || strchr(keep, c) != NULL));
        if (plain)
            buf_add(out, &c, 1);
        else
            add_percent(out, c);
    }
}

/* True where a first byte and the second one begin a form that is too long, a surrogate, or beyond
 * U+10FFFF. */
static bool utf8_forbidden(unsigned char a, unsigned char b)
{
    return (a == 0xE0 && b < 0xA0) || (a == 0xED && b > 0x9F) || (a == 0xF0 && b < 0x90) ||
           (a == 0xF4 && b > 0x8F);
}

/* Length of the UTF-8 sequence at s, or 0 where there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || n > len || utf8_forbidden(s[0], s[1]))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

bool str_is_utf8(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence((const unsigned char *)s + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* True where a character must not be in a name: '/', and what controls a terminal. */
static bool unsafe(const unsigned char *at, size_t n)
{
    return n == 0 || *at < 0x20 || *at == 0x7F || *at == '/' ||
           (n == 2 && at[0] == 0xC2 && at[1] < 0xA0);
}

static void escape_name(struct buf *out, const char *name, size_t len)
{
    bool dots = (len == 1 || len == 2) && memcmp(name, "..", len) == 0;
    if (len == 0)
        buf_str(out, "%00");
    for (size_t i = 0; i < len;) {
        const unsigned char *at = (const unsigned char *)name + i;
        size_t n = utf8_sequence(at, len - i);
        bool bad = dots || unsafe(at, n);
        n = n == 0 ? 1 : n;
        for (size_t k = 0; bad && k < n; k++)
            add_percent(out, name[i + k]);
        if (!bad)
            buf_add(out, name + i, n);
        i += n;
    }
}

/* Cuts the name that starts at `start` to 255 bytes: head, '~', 16 hex digits, suffix of at most 16
 * bytes. */
static void cut_name(struct buf *out, size_t start, const char *name, size_t len)
{
    const char *dot = memrchr(out->data + start, '.', out->len - start);
    char suffix[20] = "";
    if (dot != NULL && (size_t)(out->data + out->len - dot) <= 16)
        (void)snprintf(suffix, sizeof(suffix), "%.*s", (int)(out->data + out->len - dot), dot);
    char tail[48];
    int n = snprintf(tail, sizeof(tail), "~%016llx%s", (unsigned long long)hash64(name, len, 0),
                     suffix);
    size_t keep = STR_NAME_MAX - (size_t)n;
    while (keep > 0 && ((unsigned char)out->data[start + keep] & 0xC0) == 0x80)
        keep--;
    out->len = start + keep;
    buf_add(out, tail, (size_t)n);
}

void str_safe_name(struct buf *out, const char *name, size_t len)
{
    size_t start = out->len;
    escape_name(out, name, len);
    if (out->err == 0 && out->len - start > STR_NAME_MAX)
        cut_name(out, start, name, len);
}

bool str_ieq(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

bool str_loose_eq(const char *a, size_t alen, const char *b, size_t blen)
{
    size_t i = 0, k = 0;
    for (;;) {
        while (i < alen && !isalnum((unsigned char)a[i]))
            i++;
        while (k < blen && !isalnum((unsigned char)b[k]))
            k++;
        if (i == alen || k == blen)
            return i == alen && k == blen;
        if (tolower((unsigned char)a[i++]) != tolower((unsigned char)b[k++]))
            return false;
    }
}

bool str_icontains(const char *hay, size_t hlen, const char *needle, size_t nlen)
{
    if (nlen == 0)
        return true;
    for (size_t i = 0; i + nlen <= hlen; i++) {
        size_t k = 0;
        while (k < nlen && tolower((unsigned char)hay[i + k]) == (unsigned char)needle[k])
            k++;
        if (k == nlen)
            return true;
    }
    return false;
}

bool str_iends(const char *s, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);
    return len >= n && strncasecmp(s + len - n, suffix, n) == 0;
}

int str_u64(const char *s, size_t len, uint64_t *value)
{
    uint64_t v = 0;
    if (len == 0)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || v > (INT64_MAX - 9) / 10)
            return -EINVAL;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    *value = v;
    return 0;
}

void str_iso_time(int64_t seconds, char *out)
{
    struct tm tm;
    time_t t = (time_t)seconds;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}
