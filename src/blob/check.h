/* Is this answer the object's bytes? Pure: the border between what a server says and what a reader
 * gets. */
#ifndef BLOB_CHECK_H
#define BLOB_CHECK_H

#include "blob/version.h"
#include "net/http.h"

#include <stdbool.h>
#include <stddef.h>

enum check_verdict {
    CHECK_RANGE,   /* 206: bytes from resp->range_first on, as asked (perhaps fewer) */
    CHECK_WHOLE,   /* 200: the whole body from byte 0 */
    CHECK_CHANGED, /* a good answer about another version */
    CHECK_BAD,     /* no bytes of it: an error status, an HTML page, a wrong range */
};

/* Judges the header of an answer to a request for bytes first..first+len-1 (len 0: the whole) of
 * `want`; `html_name`: the object is itself an .html file. For CHECK_CHANGED *now is the new
 * version. */
enum check_verdict check_answer(const struct http_resp *resp, uint64_t first, uint64_t len,
                                const struct blob_version *want, bool html_name,
                                struct blob_version *now);

/* True where a body begins like an HTML page. */
bool check_html(const void *data, size_t len);

/* True where two ETags stand for the same bytes: equal, or one of them unknown or weak; "-gzip" of
 * Apache left out. */
bool check_etag_same(const char *a, const char *b);

#endif
