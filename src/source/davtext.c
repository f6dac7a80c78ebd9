#include "source/davtext_i.h"

#include "base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { DATE_MAX = 64 };

struct date {
    int year, month, day; /* month from 0; -1 while unknown */
    int hour, minute, second;
    int zone; /* seconds east of Greenwich */
    bool timed;
};

/* Goes from "scheme://host/path" to "/path". */
static bool skip_host(const char **s, size_t *len)
{
    if (*len > 0 && **s == '/')
        return true;
    const char *mark = memmem(*s, *len, "://", 3);
    if (mark == NULL || (strncasecmp(*s, "http", 4) != 0))
        return false;
    size_t host = (size_t)(mark + 3 - *s);
    const char *slash = memchr(*s + host, '/', *len - host);
    size_t gone = slash == NULL ? *len : (size_t)(slash - *s);
    *s += gone;
    *len -= gone;
    return true;
}

static bool sane_segment(const char *s, size_t len)
{
    bool dots = (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.');
    return !dots && memchr(s, '/', len) == NULL && memchr(s, '\0', len) == NULL;
}

bool davtext_path(struct buf *out, const char *text, size_t len)
{
    if (!skip_host(&text, &len) || buf_reserve(out, len) != 0)
        return false;
    while (len > 0) {
        const char *slash = memchr(text, '/', len);
        size_t n = slash == NULL ? len : (size_t)(slash - text);
        if (n > 0) {
            char *at = out->data + out->len;
            at[0] = '/';
            size_t decoded = str_percent_decode(text, n, at + 1, false);
            if (!sane_segment(at + 1, decoded))
                return false;
            out->len += decoded + 1;
        }
        n += slash == NULL ? 0 : 1;
        text += n;
        len -= n;
    }
    return true;
}

enum davtext_place davtext_place(const char *folder, size_t folder_len, const char *path,
                                 size_t path_len, const char **name, size_t *name_len)
{
    if (path_len < folder_len || (folder_len > 0 && memcmp(path, folder, folder_len) != 0))
        return DAVTEXT_OUTSIDE;
    if (path_len == folder_len)
        return DAVTEXT_SELF;
    if (path[folder_len] != '/')
        return DAVTEXT_OUTSIDE;
    *name = path + folder_len + 1;
    *name_len = path_len - folder_len - 1;
    return memchr(*name, '/', *name_len) == NULL ? DAVTEXT_CHILD : DAVTEXT_DEEPER;
}

void davtext_trim(const char **text, size_t *len)
{
    while (*len > 0 && isspace((unsigned char)(*text)[0])) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && isspace((unsigned char)(*text)[*len - 1]))
        (*len)--;
}

/* Takes between `low` and `high` digits; the number, or -1. */
static int take_digits(const char **s, int low, int high)
{
    int n = 0, v = 0;
    while (n < high && isdigit((unsigned char)**s)) {
        v = v * 10 + (**s - '0');
        (*s)++;
        n++;
    }
    return n < low ? -1 : v;
}

/* Takes H:MM[:SS[.fraction]]. */
static bool take_clock(const char **s, struct date *d)
{
    d->hour = take_digits(s, 1, 2);
    if (d->hour < 0 || *(*s)++ != ':')
        return false;
    d->minute = take_digits(s, 2, 2);
    d->second = 0;
    if (**s == ':') {
        (*s)++;
        d->second = take_digits(s, 2, 2);
    }
    if (**s == '.' || **s == ',') {
        (*s)++;
        while (isdigit((unsigned char)**s))
            (*s)++;
    }
    d->timed = true;
    return d->hour < 24 && d->minute >= 0 && d->minute < 60 && d->second >= 0 && d->second <= 60;
}

/* Takes [+-]HH[:]MM. */
static bool take_zone(const char **s, struct date *d)
{
    int sign = **s == '-' ? -1 : 1;
    (*s)++;
    int hours = take_digits(s, 2, 2);
    if (**s == ':')
        (*s)++;
    int minutes = take_digits(s, 2, 2);
    d->zone = sign * (hours * 3600 + minutes * 60);
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

static bool take_word(const char **s, struct date *d)
{
    static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    const char *word = *s;
    while (isalpha((unsigned char)**s))
        (*s)++;
    if (*s - word < 3 || d->month >= 0)
        return true;
    for (int i = 0; i < 12; i++)
        if (strncasecmp(word, months + (size_t)3 * (size_t)i, 3) == 0)
            d->month = i;
    return true;
}

static bool take_number(const char **s, struct date *d)
{
    const char *start = *s;
    int v = take_digits(s, 1, 4);
    if (**s == ':' && !d->timed) {
        *s = start;
        return take_clock(s, d);
    }
    if (d->day < 0 && *s - start <= 2) {
        d->day = v;
    } else if (d->year < 0) {
        bool two = *s - start == 2;
        d->year = !two ? v : v < 70 ? 2000 + v : 1900 + v;
    } else {
        return false;
    }
    return !isdigit((unsigned char)**s);
}

/* The dates of HTTP and mail: words, numbers, a clock, in any of their orders. */
static bool read_words(const char *s, struct date *d)
{
    while (*s != '\0') {
        bool fine = true;
        if (isalpha((unsigned char)*s))
            fine = take_word(&s, d);
        else if (isdigit((unsigned char)*s))
            fine = take_number(&s, d);
        else if (d->timed && (*s == '+' || *s == '-'))
            fine = take_zone(&s, d);
        else if (strchr(" \t,-", *s) != NULL)
            s++;
        else
            return false;
        if (!fine)
            return false;
    }
    return d->timed;
}

static bool read_iso(const char *s, struct date *d)
{
    d->year = take_digits(&s, 4, 4);
    s++;
    d->month = take_digits(&s, 2, 2) - 1;
    if (*s != '-')
        return false;
    s++;
    d->day = take_digits(&s, 2, 2);
    if (*s != 'T' && *s != 't' && *s != ' ')
        return false;
    s++;
    if (!take_clock(&s, d))
        return false;
    if (*s == '+' || *s == '-')
        return take_zone(&s, d) && *s == '\0';
    return *s == '\0' || ((*s == 'Z' || *s == 'z') && s[1] == '\0');
}

int64_t davtext_date(const char *text, size_t len)
{
    char s[DATE_MAX];
    davtext_trim(&text, &len);
    if (len >= sizeof(s) || len < 8 || memchr(text, '\0', len) != NULL)
        return -1;
    memcpy(s, text, len);
    s[len] = '\0';
    struct date d = {.year = -1, .month = -1, .day = -1};
    bool iso = isdigit((unsigned char)s[0]) && s[4] == '-';
    if (!(iso ? read_iso(s, &d) : read_words(s, &d)))
        return -1;
    if (d.year < 1970 || d.year > 9999 || d.month < 0 || d.month > 11 || d.day < 1 || d.day > 31)
        return -1;
    struct tm tm = {.tm_year = d.year - 1900,
                    .tm_mon = d.month,
                    .tm_mday = d.day,
                    .tm_hour = d.hour,
                    .tm_min = d.minute,
                    .tm_sec = d.second};
    int64_t t = (int64_t)timegm(&tm) - d.zone;
    return t < 0 ? -1 : t;
}

void davtext_etag(const char *text, size_t len, char *out, size_t cap)
{
    out[0] = '\0';
    davtext_trim(&text, &len);
    size_t weak = len >= 2 && memcmp(text, "W/", 2) == 0 ? 2 : 0;
    if (len < weak + 2 || len >= cap || text[weak] != '"' || text[len - 1] != '"')
        return;
    for (size_t i = weak + 1; i + 1 < len; i++)
        if ((unsigned char)text[i] <= 0x20 || text[i] == '"' || text[i] == 0x7F)
            return;
    memcpy(out, text, len);
    out[len] = '\0';
}
