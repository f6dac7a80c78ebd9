/* HTTP: requests that run on one engine thread, which owns libcurl and touches no disk and no other
 * lock. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/err.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_UNKNOWN UINT64_MAX

struct http; /* the engine */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PROPFIND };

/* What is asked. All texts are copied by http_start(). Content is asked with Accept-Encoding:
 * identity. */
struct http_req {
    enum http_method method;
    const char *url;     /* http:// or https:// only; else -EPROTONOSUPPORT */
    uint64_t first, len; /* Range: bytes=first-(first+len-1); first HTTP_UNKNOWN: the last `len`
                            bytes; len 0: none. Never ask a range of an empty file */
    const char *user,
        *password; /* Basic from the first request; NULL: what netrc has for the host, else none */
    const char *body;              /* of a PROPFIND */
    const char *const *headers;    /* further "Name: value" lines, ended by NULL; or NULL. Redirects
                                      get them too: no    secrets */
    const char *if_none_match;     /* ETag with its quotes, or NULL */
    const char *if_modified_since; /* HTTP date, or NULL */
    bool gzip;                     /* listings: let the server compress; data() sees the text */
    bool background;               /* starts only when no other request waits for a place */
    uint64_t max_body;             /* decoded bytes that are accepted, over it -EFBIG; 0: any */
    unsigned first_byte_ms;        /* longest silence before the first byte; 0: network.timeout */
    unsigned delay_ms;             /* earliest start, from now */
};

/* What came. Texts are cut to their arrays. */
struct http_resp {
    int status;                       /* of the last answer of a redirect chain; 0: none came */
    uint64_t length;                  /* Content-Length, or HTTP_UNKNOWN */
    bool has_range;                   /* a well-formed Content-Range was there */
    uint64_t range_first, range_last; /* inclusive; HTTP_UNKNOWN both in "bytes *|N" */
    uint64_t range_total;             /* HTTP_UNKNOWN for "*" */
    uint64_t body;                    /* decoded body bytes given to data() so far */
    int64_t last_modified;            /* seconds since 1970, or -1 */
    int64_t date;                     /* the server's Date, or -1 */
    unsigned retry_after_ms;          /* of 429, 503 and 3xx only, at most 300,000; 0: none */
    bool encoded;                     /* a Content-Encoding came although identity was asked */
    bool attachment;                  /* Content-Disposition: attachment */
    bool html;                        /* Content-Type: text/html */
    char etag[128]; /* with its quotes (and W/), "" when none, or too long to keep */
    char last_modified_text[64];
    char why[160]; /* one line: reason of a failure, or the <title> of an HTML page; no secret, no
                      URL query */
};

/* Who receives it; all are called on the engine's thread and must not block, and may call http_*()
 * but http_close(). */
struct http_ops {
    /* The header of the final answer is whole. 0: go on; -errno: stop (done gets it). May be NULL.
     */
    int (*head)(void *arg, const struct http_resp *resp);
    /* Some decoded body, at most 256 KiB. 0: taken; -EAGAIN: pause, the same bytes come again after
     * http_resume(); other -errno: stop (done gets it). May be NULL: the body is counted and
     * dropped. */
    int (*data)(void *arg, const void *data, size_t len);
    /* Exactly once, last. err 0: an answer came whole (whatever its status; length checked);
     * -ECANCELED, -ETIMEDOUT, -EHOSTUNREACH (DNS, connect), -ECONNRESET (broken off, cut short),
     * -EPROTO (TLS, malformed), -EFBIG, ... */
    void (*done)(void *arg, int err, const struct http_resp *resp);
};

struct http_stats {
    uint64_t requests, bytes_received, failures;
    unsigned running, queued;
};

/* Starts the engine. 0 or -errno with `e`. Call after fork(). Copies what it needs of `c`. */
int http_open(const struct conf_network *c, struct http **out, struct err *e);

/* Ends everything: each request that is left gets done(-ECANCELED) before this returns. After it
 * http_start() gives 0, and the other calls do nothing. One thread, once the others start nothing
 * that must be answered. NULL is fine. */
void http_stop(struct http *h);

/* Stops, frees, and empties *h: nobody may call anything on it any more. */
void http_close(struct http **h);

/* Queues a request; at most network.connections run at once, per host in order, a host that asked
 * for a pause (Retry-After, requests_per_minute) rests. Returns its id, also when it fails at once:
 * done() is then called on the engine's thread like any other. 0: out of memory or after
 * http_stop(), done() is not called. Any thread. */
uint64_t http_start(struct http *h, const struct http_req *req, const struct http_ops *ops,
                    void *arg);

/* Asks to stop a request; done(-ECANCELED) follows on the engine's thread unless it has ended
 * already. Any thread. */
void http_cancel(struct http *h, uint64_t id);

/* Goes on with a paused request. Any thread; an unknown id is ignored. */
void http_resume(struct http *h, uint64_t id);

/* For refresh only: runs a request to its end on the caller's thread's time. `ops` may be NULL
 * (body dropped); its done is called too. Returns what done got, *resp filled. */
int http_run(struct http *h, const struct http_req *req, const struct http_ops *ops, void *arg,
             struct http_resp *resp);

/* Counters since the start. Any thread. */
void http_stats(struct http *h, struct http_stats *out);

#endif
