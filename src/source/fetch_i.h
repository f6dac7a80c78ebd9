/* A request of a refresh: tried again where the server asks for it, with a deadline and a word on
 * what is waited for. */
#ifndef SOURCE_FETCH_I_H
#define SOURCE_FETCH_I_H

#include "net/http.h"
#include "source/source.h"

/* What all requests of a listing share. */
struct fetch {
    struct http *http;
    const struct conf_network *net;
    const struct source_sink *sink; /* for progress */
};

/* One request. */
struct fetch_job {
    struct http_req req;
    const char *label; /* "the share's listing", for progress; NULL: none */
    int want;          /* the status whose body is wanted; 304 is fine without a body */
    int tries;         /* how often a broken connection is tried again */
    /* Some body of an answer with that status, on the engine's thread, which has nothing else to do
     * in a refresh. 0 or -errno to stop. */
    int (*data)(void *arg, const void *data, size_t len);
    /* Forget the body that came: it comes again from its start. May be NULL where tries is 0. */
    int (*again)(void *arg);
    void *arg;
};

/* Runs it to its end. 0: an answer with the wanted status (or 304) came whole; -EBADMSG: another
 * status or an HTML page; else the engine's or data()'s error. An answer 429 or 503 is waited for
 * and repeated within network.listing_timeout; all together take at most six times that. *resp is
 * the last answer. */
int fetch_run(const struct fetch *f, const struct fetch_job *job, struct http_resp *resp);

/* Writes one line on why fetch_run() failed: "HTTP 403 (Forbidden)", "an HTML page: Sign in", "cut
 * short". */
void fetch_why(int err, const struct http_resp *resp, char *out, size_t cap);

#endif
