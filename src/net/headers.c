#include "net/engine_i.h"

#include "base/clock.h"
#include "base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 512 };

void answer_reset(struct answer *a, struct http_resp *resp)
{
    uint64_t body = resp->body;
    *a = (struct answer){.wire_length = HTTP_UNKNOWN};
    *resp = (struct http_resp){.length = HTTP_UNKNOWN,
                               .range_first = HTTP_UNKNOWN,
                               .range_last = HTTP_UNKNOWN,
                               .range_total = HTTP_UNKNOWN,
                               .body = body,
                               .last_modified = -1,
                               .date = -1};
}

/* Reads digits that `stop` follows, and moves past it. */
static bool take_number(const char **text, char stop, uint64_t *value)
{
    const char *end = strchr(*text, stop);
    if (end == NULL || str_u64(*text, (size_t)(end - *text), value) != 0)
        return false;
    *text = end + (stop != '\0');
    return true;
}

/* "bytes 0-9/100", "bytes 0-9/" and a star, "bytes " star "/100"; nothing else is well formed (RFC
 * 9110, 14.4). */
static bool parse_range(const char *text, struct http_resp *resp)
{
    uint64_t first = HTTP_UNKNOWN, last = HTTP_UNKNOWN, total = HTTP_UNKNOWN;
    if (strncasecmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    bool open = strncmp(text, "*/", 2) == 0;
    if (open)
        text += 2;
    else if (!take_number(&text, '-', &first) || !take_number(&text, '/', &last) || last < first)
        return false;
    bool star = !open && strcmp(text, "*") == 0;
    if (!star && (!take_number(&text, '\0', &total) || (!open && last >= total)))
        return false;
    resp->range_first = first;
    resp->range_last = last;
    resp->range_total = total;
    return true;
}

static void on_range(struct answer *a, struct http_resp *resp, const char *value)
{
    resp->has_range = a->ranges++ == 0 && parse_range(value, resp);
    if (!resp->has_range)
        resp->range_first = resp->range_last = resp->range_total = HTTP_UNKNOWN;
}

static void on_length(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)resp;
    uint64_t length;
    if (str_u64(value, strlen(value), &length) == 0)
        a->wire_length = length;
}

static void on_transfer_encoding(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)resp;
    a->chunked = a->chunked || !str_ieq(value, "identity");
}

static void on_content_encoding(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)resp;
    a->encoded = a->encoded || (value[0] != '\0' && !str_ieq(value, "identity"));
}

static void on_etag(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)a;
    bool fits = strlen(value) < sizeof(resp->etag);
    (void)snprintf(resp->etag, sizeof(resp->etag), "%s", fits ? value : "");
}

static void on_last_modified(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)a;
    (void)snprintf(resp->last_modified_text, sizeof(resp->last_modified_text), "%s", value);
    resp->last_modified = (int64_t)curl_getdate(value, NULL);
}

static void on_date(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)a;
    resp->date = (int64_t)curl_getdate(value, NULL);
}

static void on_retry_after(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)resp;
    (void)snprintf(a->retry_after, sizeof(a->retry_after), "%s", value);
}

/* True where the value is `token`, alone or with parameters after it. */
static bool is_token(const char *value, const char *token)
{
    size_t len = strcspn(value, "; \t");
    return len == strlen(token) && strncasecmp(value, token, len) == 0;
}

static void on_disposition(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)a;
    resp->attachment = is_token(value, "attachment");
}

static void on_type(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)a;
    resp->html = is_token(value, "text/html");
}

static void on_location(struct answer *a, struct http_resp *resp, const char *value)
{
    (void)resp;
    a->location = value[0] != '\0';
}

static const struct field {
    const char *name;
    void (*take)(struct answer *a, struct http_resp *resp, const char *value);
} fields[] = {
    {"Content-Length", on_length},
    {"Content-Range", on_range},
    {"Content-Type", on_type},
    {"Content-Encoding", on_content_encoding},
    {"Content-Disposition", on_disposition},
    {"Transfer-Encoding", on_transfer_encoding},
    {"ETag", on_etag},
    {"Last-Modified", on_last_modified},
    {"Date", on_date},
    {"Retry-After", on_retry_after},
    {"Location", on_location},
};

/* "HTTP/1.1 206 Partial Content" or "HTTP/2 206". */
static int status_of(const char *line, size_t len)
{
    const char *blank = memchr(line, ' ', len);
    uint64_t status = 0;
    if (blank == NULL || (size_t)(line + len - blank) < 4 || str_u64(blank + 1, 3, &status) != 0)
        return 0;
    return (int)status;
}

static void take_field(struct answer *a, struct http_resp *resp, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL)
        return;
    size_t name = (size_t)(colon - line);
    const struct field *f = NULL;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && f == NULL; i++)
        if (strlen(fields[i].name) == name && strncasecmp(fields[i].name, line, name) == 0)
            f = &fields[i];
    if (f == NULL)
        return;
    const char *end = line + len;
    const char *p = colon + 1;
    while (p < end && isspace((unsigned char)*p))
        p++;
    while (end > p && isspace((unsigned char)end[-1]))
        end--;
    char value[VALUE_MAX];
    size_t n = (size_t)(end - p) < sizeof(value) - 1 ? (size_t)(end - p) : sizeof(value) - 1;
    memcpy(value, p, n);
    value[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (iscntrl((unsigned char)value[i]))
            return;
    f->take(a, resp, value);
}

void answer_line(struct answer *a, struct http_resp *resp, const char *line, size_t len)
{
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        answer_reset(a, resp);
        resp->status = status_of(line, len);
    } else {
        take_field(a, resp, line, len);
    }
}

static unsigned retry_after_ms(const struct answer *a, const struct http_resp *resp)
{
    uint64_t seconds = 0;
    if (a->retry_after[0] == '\0')
        return 0;
    if (str_u64(a->retry_after, strlen(a->retry_after), &seconds) != 0) {
        int64_t at = (int64_t)curl_getdate(a->retry_after, NULL);
        int64_t now = resp->date >= 0 ? resp->date : clock_wall();
        seconds = at > now ? (uint64_t)(at - now) : 0;
    }
    return seconds < RETRY_AFTER_MAX_MS / 1000 ? (unsigned)seconds * 1000 : RETRY_AFTER_MAX_MS;
}

void answer_end(struct answer *a, struct http_resp *resp, bool gzip)
{
    bool waits = resp->status == 429 || resp->status == 503 ||
                 (resp->status >= 300 && resp->status < 400 && resp->status != 304);
    if (a->chunked)
        a->wire_length = HTTP_UNKNOWN;
    resp->length = a->encoded ? HTTP_UNKNOWN : a->wire_length;
    resp->encoded = a->encoded && !gzip;
    resp->retry_after_ms = waits ? retry_after_ms(a, resp) : 0;
}

/* What follows <title ...>, or NULL. */
static const char *find_title(const char *html, size_t len)
{
    size_t at = 0;
    while (at + 6 < len && strncasecmp(html + at, "<title", 6) != 0)
        at++;
    const char *open = at + 6 < len ? memchr(html + at, '>', len - at) : NULL;
    return open != NULL ? open + 1 : NULL;
}

void answer_title(const char *html, size_t len, char *out, size_t cap)
{
    size_t n = 0;
    const char *title = find_title(html, len);
    for (const char *p = title; p != NULL && p < html + len && *p != '<' && n + 1 < cap; p++) {
        bool blank = isspace((unsigned char)*p) || iscntrl((unsigned char)*p);
        if (!blank)
            out[n++] = *p;
        else if (n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    while (n > 0 && (out[n - 1] == ' ' || !str_is_utf8(out, n)))
        n--;
    if (n > 0)
        out[n] = '\0';
}
