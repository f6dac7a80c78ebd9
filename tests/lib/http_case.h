/* A server, an engine, and a request whose answer is collected and checked. */
#ifndef TESTS_LIB_HTTP_CASE_H
#define TESTS_LIB_HTTP_CASE_H

#include "base/buf.h"
#include "base/clock.h"
#include "lib/faultd.h"
#include "net/http.h"

#include <errno.h>
#include <pthread.h>

struct world {
    struct faultd d;
    struct conf_network net;
    struct http *h;
};

/* One request and all that its callbacks got. `lock` guards everything. */
struct got {
    struct http_resp head, resp;
    struct buf body;
    size_t largest; /* longest data() */
    size_t room;    /* data() answers -EAGAIN when the body would be longer; 0: never */
    int head_rc;    /* what head() is to answer */
    int heads, dones, pauses, err;
    int64_t ended_at; /* clock_ms() */
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static inline void got_init(struct got *g)
{
    *g = (struct got){.err = 1};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

static inline void got_free(struct got *g)
{
    buf_free(&g->body);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
}

static inline int got_head(void *arg, const struct http_resp *resp)
{
    struct got *g = arg;
    pthread_mutex_lock(&g->lock);
    g->heads++;
    g->head = *resp;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return g->head_rc;
}

static inline int got_data(void *arg, const void *data, size_t len)
{
    struct got *g = arg;
    pthread_mutex_lock(&g->lock);
    int rc = g->room > 0 && g->body.len + len > g->room ? -EAGAIN : 0;
    if (rc == 0)
        buf_add(&g->body, data, len);
    else
        g->pauses++;
    g->largest = len > g->largest ? len : g->largest;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return rc;
}

static inline void got_done(void *arg, int err, const struct http_resp *resp)
{
    struct got *g = arg;
    pthread_mutex_lock(&g->lock);
    g->dones++;
    g->err = err;
    g->resp = *resp;
    g->ended_at = clock_ms();
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static const struct http_ops got_ops = {got_head, got_data, got_done};

/* Waits until *counter (a field of g) is at least `n`; aborts after 20 s. */
static inline void got_wait(struct got *g, const int *counter, int n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&g->lock);
    while (*counter < n)
        if (pthread_cond_timedwait(&g->changed, &g->lock, &until) != 0)
            abort();
    pthread_mutex_unlock(&g->lock);
}

/* "http://127.0.0.1:PORT" and the rest; one of eight static texts. */
static inline const char *world_url(const struct world *w, const char *rest)
{
    static _Thread_local char text[8][512];
    static _Thread_local unsigned turn;
    char *out = text[turn++ % 8];
    (void)snprintf(out, sizeof(text[0]), "http://127.0.0.1:%u%s", w->d.port, rest);
    return out;
}

/* Runs a request to its end and returns err of done(). */
static inline int fetch(const struct world *w, const struct http_req *req, struct got *g)
{
    got_init(g);
    if (http_start(w->h, req, &got_ops, g) == 0)
        abort();
    got_wait(g, &g->dones, 1);
    return g->err;
}

/* fetch() of a path with a range (len 0: none). */
static inline int fetch_path(const struct world *w, const char *path, uint64_t first, uint64_t len,
                             struct got *g)
{
    struct http_req req = {.url = world_url(w, path), .first = first, .len = len};
    return fetch(w, &req, g);
}

/* True when the body is the object's bytes from `first` on. */
static inline bool body_is(const struct got *g, const char *name, unsigned version, uint64_t first)
{
    for (size_t i = 0; i < g->body.len; i++)
        if ((unsigned char)g->body.data[i] != faultd_byte(name, version, first + i))
            return false;
    return true;
}

static inline void world_open(struct world *w)
{
    struct err e = {0};
    if (http_open(&w->net, &w->h, &e) != 0)
        abort();
}

static inline void world_reopen(struct world *w, struct conf_network net)
{
    http_close(&w->h);
    w->net = net;
    world_open(w);
}

/* The settings that most tests use. */
static inline struct conf_network usual_net(void)
{
    static char none[] = "";
    return (struct conf_network){
        .proxy = none, .netrc = none, .connections = 8, .timeout_ms = 5000};
}

static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -1;
    faultd_start(&w->d);
    w->net = usual_net();
    world_open(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    http_close(&w->h);
    faultd_stop(&w->d);
    free(w);
    return 0;
}

/* For each test: the server forgets, the engine is new. */
static inline int world_fresh(void **state)
{
    struct world *w = *state;
    faultd_control(&w->d, "POST /_reset", "", NULL, 0);
    world_reopen(w, usual_net());
    return 0;
}

#endif
