/* What the files of net/ share. All but what "guarded by the lock" says belongs to the engine's
 * thread. */
#ifndef NET_ENGINE_I_H
#define NET_ENGINE_I_H

#include "base/buf.h"
#include "base/lock.h"
#include "net/http.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <sys/queue.h>

enum {
    ENGINE_BUCKETS = 256, /* of the table id -> request */
    REDIRECTS_MAX = 5,
    HEADER_MAX = 256 * 1024,   /* bytes of headers of one request, redirects included */
    PAGE_MAX = 4096,           /* bytes of an HTML page that are searched for its title */
    REDIRECT_BODY_MAX = 65536, /* read to keep the connection, then rather broken off */
    RETRY_AFTER_MAX_MS = 300000,
};

/* What the header lines of the current answer said beyond http_resp. */
struct answer {
    uint64_t wire_length; /* Content-Length of the bytes on the wire, or HTTP_UNKNOWN */
    bool encoded;         /* a Content-Encoding other than identity */
    bool chunked;
    bool location;
    unsigned ranges; /* Content-Range lines seen */
    char retry_after[64];
};

struct host;

enum request_state { REQUEST_NEW, REQUEST_DELAYED, REQUEST_QUEUED, REQUEST_RUNNING };

struct request {
    TAILQ_ENTRY(request)
    link; /* inbox (guarded by the lock), delayed, a host's queue, or running */
    TAILQ_ENTRY(request) known; /* bucket of the table, guarded by the lock */
    TAILQ_ENTRY(request) note;  /* list of cancels and resumes, guarded by the lock */
    bool noted, cancel, resume; /* guarded by the lock */

    uint64_t id;
    enum http_method method;
    char *url, *user, *password, *body;
    char range[48]; /* "first-last" or "" */
    struct curl_slist *headers;
    bool gzip, background;
    uint64_t max_body;
    unsigned first_byte_ms;
    int64_t start_at; /* clock_ms() */
    int bad;          /* -errno that ends it before it starts */
    struct http_ops ops;
    void *arg;

    enum request_state state;
    struct host *host;
    char *at;         /* URL of this try: url, a mirror's, or where a redirect leads */
    unsigned mirrors; /* alternatives used so far */
    unsigned redirects;
    bool trusted;      /* `at` is still the site that was asked: it may have the login */
    CURL *easy;        /* NULL while not running */
    int64_t last_byte; /* clock_ms() of the last byte, or of the start */
    size_t header_bytes;
    bool answered;    /* the final answer's status line came */
    bool headed;      /* its header is whole */
    bool following;   /* the answer is a redirect that will be followed */
    uint64_t skipped; /* body bytes of that redirect */
    bool paused;
    int stop;       /* -errno that ends it, whatever libcurl says */
    bool page_only; /* stopped, but the page is read on for its title */
    struct answer answer;
    struct http_resp resp;
    struct buf page; /* head of an HTML body */
    char trouble[CURL_ERROR_SIZE];
};

TAILQ_HEAD(request_list, request);

/* A server (scheme, name, port) with requests that wait, or that asked for rest. */
struct host {
    TAILQ_ENTRY(host) link;
    char *key;
    struct request_list queue[2]; /* foreground, background */
    unsigned running;
    int64_t rest_until; /* clock_ms() */
    int64_t budget_us;  /* when the budget is even again; microseconds of clock_ms() */
};

TAILQ_HEAD(host_list, host);

struct http {
    CURLM *multi;
    pthread_t thread;
    struct conf_network net; /* own copy */
    atomic_bool closing;

    struct lock lock;
    bool stopped;                              /* guarded by the lock */
    uint64_t last_id;                          /* guarded by the lock */
    struct request_list inbox, notes;          /* guarded by the lock */
    struct request_list table[ENGINE_BUCKETS]; /* guarded by the lock */

    struct request_list delayed, running; /* delayed: by start_at */
    struct host_list hosts;
    unsigned running_count;

    _Atomic uint64_t stat_requests, stat_bytes, stat_failures;
    atomic_uint stat_running, stat_queued;
};

/* settings.c */

/* Copies `from` with defaults from the environment (CURL_CA_BUNDLE, SSL_CERT_FILE, NETRC). 0 or
 * -ENOMEM; free *to either way. */
int settings_copy(struct conf_network *to, const struct conf_network *from);

/* Frees what settings_copy() made. */
void settings_free(struct conf_network *net);

/* The `index`-th alternative of a URL, or NULL when there are no more (or no memory). The caller
 * frees. */
char *settings_mirror(const struct conf_network *net, const char *url, unsigned index);

/* request.c */

/* A request with copies of all that `req` says; `bad` is set where it cannot be sent. NULL: out of
 * memory. Any thread. */
struct request *request_new(const struct http_req *req, const struct http_ops *ops, void *arg);

/* Frees a request that is in no list. */
void request_free(struct request *r);

/* headers.c: pure */

/* Forgets all of an earlier answer but `body`. */
void answer_reset(struct answer *a, struct http_resp *resp);

/* Takes a header line or status line as libcurl hands it over (with its CRLF, not NUL-terminated).
 */
void answer_line(struct answer *a, struct http_resp *resp, const char *line, size_t len);

/* Makes up what needs the whole header. `gzip`: a compressed body was asked for. */
void answer_end(struct answer *a, struct http_resp *resp, bool gzip);

/* Writes the <title> of an HTML text as one line; leaves `out` alone when there is none. */
void answer_title(const char *html, size_t len, char *out, size_t cap);

/* transfer.c */

/* Starts the request's `at` on a fresh handle. 0 or -errno (nothing runs then). */
int transfer_begin(struct http *h, struct request *r);

/* Takes the request off libcurl. */
void transfer_end(struct http *h, struct request *r);

/* What libcurl's result means: 0 or -errno, resp.why filled. 1: a redirect is to be followed; call
 * transfer_follow(). */
int transfer_result(struct request *r, CURLcode code);

/* Goes to the redirect's target. 0: it runs; -errno: refused. Ends the present transfer. */
int transfer_follow(struct http *h, struct request *r);

/* When the request has been silent for too long; INT64_MAX while paused. */
int64_t transfer_deadline(const struct http *h, const struct request *r);

/* queue.c */

/* Puts a request into its host's queue, at the front or the end. 0 or -errno. */
int queue_add(struct http *h, struct request *r, bool front);

/* Holds a request until its start time. */
void queue_delay(struct http *h, struct request *r);

/* Queues the delayed requests that are due; returns one that could not be queued (in no list), or
 * NULL. */
struct request *queue_release(struct http *h, int64_t now);

/* Takes the request that is to start next out of its queue and counts it against its host; NULL:
 * none may start now. */
struct request *queue_next(struct http *h, int64_t now);

/* Takes a request out of the queue or the delayed ones. */
void queue_remove(struct http *h, struct request *r);

/* Tells the host that a request which queue_next() gave does not run any more, and how long it
 * wants to rest. */
void queue_left(struct request *r, unsigned rest_ms);

/* The next time at which queue_release() or queue_next() may find something; INT64_MAX: never by
 * itself. */
int64_t queue_wake(const struct http *h, int64_t now);

/* Frees hosts; nothing waits or runs. */
void queue_free(struct http *h);

#endif
