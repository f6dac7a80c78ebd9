#include "blob/check.h"

#include <string.h>
#include <strings.h>

/* Length of an ETag without its closing quote and Apache's mark of compression. */
static size_t etag_stem(const char *etag)
{
    size_t len = strlen(etag);
    if (len > 0 && etag[len - 1] == '"')
        len--;
    if (len > 5 && strncmp(etag + len - 5, "-gzip", 5) == 0)
        len -= 5;
    return len;
}

bool check_etag_same(const char *a, const char *b)
{
    if (a[0] == '\0' || b[0] == '\0' || strncmp(a, "W/", 2) == 0 || strncmp(b, "W/", 2) == 0)
        return true;
    size_t n = etag_stem(a);
    return n == etag_stem(b) && memcmp(a, b, n) == 0;
}

bool check_html(const void *data, size_t len)
{
    const char *p = data;
    while (len > 0 && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
        len--;
    }
    return (len >= 14 && strncasecmp(p, "<!doctype html", 14) == 0) ||
           (len >= 5 && strncasecmp(p, "<html", 5) == 0);
}

static enum check_verdict compare(const struct http_resp *resp, uint64_t total,
                                  const struct blob_version *want, struct blob_version *now,
                                  enum check_verdict good)
{
    bool same_size = total == HTTP_UNKNOWN || total == want->size;
    if (same_size && check_etag_same(resp->etag, want->etag))
        return good;
    *now = (struct blob_version){.size = total == HTTP_UNKNOWN ? want->size : total,
                                 .mtime = resp->last_modified};
    memcpy(now->etag, resp->etag, sizeof(now->etag));
    return CHECK_CHANGED;
}

enum check_verdict check_answer(const struct http_resp *resp, uint64_t first, uint64_t len,
                                const struct blob_version *want, bool html_name,
                                struct blob_version *now)
{
    if (resp->status == 416 && resp->has_range && resp->range_total != HTTP_UNKNOWN &&
        resp->range_total != want->size) /* whatever page comes with it */
        return compare(resp, resp->range_total, want, now, CHECK_BAD);
    if ((resp->html && !html_name) || resp->encoded)
        return CHECK_BAD;
    if (resp->status == 200)
        return compare(resp, resp->length, want, now, CHECK_WHOLE);
    if (resp->status == 206 && len > 0 && resp->has_range && resp->range_first == first &&
        resp->range_last >= first && resp->range_last - first < len)
        return compare(resp, resp->range_total, want, now, CHECK_RANGE);
    return CHECK_BAD;
}
