/* An origin that misbehaves as told, a cache, and readers whose bytes are checked against the
 * formula. */
#ifndef TESTS_BLOB_CASE_H
#define TESTS_BLOB_CASE_H

#include "base/clock.h"
#include "base/fsio.h"
#include "blob/blob.h"
#include "lib/faultd.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

struct scene {
    struct faultd d;
    struct conf conf;
    struct http *http;
    struct store *store;
    struct blob_env *env;
    char dir[64], link[256];
    atomic_int failed, changed;
    struct blob_version now; /* what the last change showed */
    struct blob_failure last;
    void (*neighbours)(void *arg, uint64_t id, bool before,
                       bool (*row)(void *row_arg, const struct blob_object *o), void *row_arg);
};

/* One reader: parked until answered. */
struct reader {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answers, err;
    char *data;
    size_t len;
};

static inline void scene_failed(void *arg, const struct blob_failure *f)
{
    struct scene *s = arg;
    s->last = *f;
    atomic_fetch_add(&s->failed, 1);
}

static inline void scene_changed(void *arg, uint64_t id, const struct blob_version *now)
{
    struct scene *s = arg;
    (void)id;
    s->now = *now;
    atomic_fetch_add(&s->changed, 1);
}

static inline void scene_open(struct scene *s)
{
    struct err e = {.code = 0};
    char content[128];
    (void)snprintf(content, sizeof(content), "%s/content", s->dir);
    if (store_open(content, s->conf.cache_size, 0, &s->store, &e) != 0 ||
        http_open(&s->conf.network, &s->http, &e) != 0)
        abort();
    const struct blob_env_options o = {.conf = &s->conf,
                                       .http = s->http,
                                       .store = s->store,
                                       .failed = scene_failed,
                                       .changed = scene_changed,
                                       .neighbours = s->neighbours,
                                       .arg = s};
    if (blob_env_open(&o, &s->env, &e) != 0)
        abort();
}

static inline void scene_close(struct scene *s)
{
    http_stop(s->http);
    blob_env_close(&s->env);
    http_close(&s->http);
    store_close(&s->store);
}

static inline int scene_setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    (void)strcpy(s->dir, "/tmp/blob-XXXXXX");
    if (s == NULL || mkdtemp(s->dir) == NULL)
        return -1;
    faultd_start(&s->d);
    s->conf.cache_size = 1ULL << 30;
    s->conf.network = (struct conf_network){
        .connections = 8, .timeout_ms = 2000, .listing_timeout_ms = 5000, .retry_for_ms = 4000};
    scene_open(s);
    *state = s;
    return 0;
}

static inline int scene_teardown(void **state)
{
    struct scene *s = *state;
    scene_close(s);
    faultd_stop(&s->d);
    int r = fsio_remove_tree(s->dir);
    free(s);
    return r;
}

/* Gives bytes to the origin as /p.shapepack. */
static inline void scene_put(const struct scene *s, const void *data, size_t len)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)s->d.port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char head[200];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
        abort();
    int n = snprintf(head, sizeof(head),
                     "POST /_put?path=/p.shapepack&type=application/octet-stream "
                     "HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                     len);
    if (send(fd, head, (size_t)n, MSG_NOSIGNAL) != n)
        abort();
    for (size_t at = 0; at < len;) {
        ssize_t sent = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
        if (sent <= 0)
            abort();
        at += (size_t)sent;
    }
    if (recv(fd, head, sizeof(head), 0) <= 0)
        abort();
    (void)close(fd);
}

/* Opens the object at /DIRECTIVES/NAME (directives "" for none), of a size as listed. */
static inline struct blob *scene_blob(struct scene *s, const char *directives, const char *name,
                                      uint64_t size, const char *etag)
{
    char empty[] = "", source[] = "test";
    (void)snprintf(s->link, sizeof(s->link), "http://127.0.0.1:%u/%s", s->d.port, directives);
    struct source_place p = {
        .link = s->link, .folder = empty, .dav = empty, .user = empty, .source = source};
    struct blob_object o = {
        .id = 77, .place = &p, .key = name, .key_len = strlen(name), .tag = "T"};
    o.version = (struct blob_version){.size = size, .mtime = 1};
    (void)snprintf(o.version.etag, sizeof(o.version.etag), "%s", etag);
    struct blob *b = NULL;
    if (blob_open(s->env, &o, &b) != 0)
        abort();
    return b;
}

static inline void reader_init(struct reader *r)
{
    *r = (struct reader){.err = 1};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
}

static inline void reader_done(void *arg, struct blob_answer a)
{
    struct reader *r = arg;
    pthread_mutex_lock(&r->lock);
    r->answers++;
    r->err = a.err;
    for (int i = 0; a.err == 0 && i < a.count; i++) {
        r->data = realloc(r->data, r->len + a.span[i].iov_len);
        memcpy(r->data + r->len, a.span[i].iov_base, a.span[i].iov_len);
        r->len += a.span[i].iov_len;
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* Waits for the answer, at most 20 s; returns its error. */
static inline int reader_wait(struct reader *r)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&r->lock);
    while (r->answers == 0 && pthread_cond_timedwait(&r->changed, &r->lock, &until) == 0)
        continue;
    int err = r->answers == 1 ? r->err : -EINVAL;
    pthread_mutex_unlock(&r->lock);
    return err;
}

static inline void reader_free(struct reader *r)
{
    free(r->data);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

/* True where the bytes that a reader got are those of the object's version at `off`. */
static inline int reader_right(const struct reader *r, const char *name, unsigned version,
                               uint64_t off, size_t len)
{
    if (r->len != len)
        return 0;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)r->data[i] != faultd_byte(name, version, off + i))
            return 0;
    return 1;
}

/* Reads and checks at once: 0 when right, the error, or -EBADMSG for wrong bytes. */
static inline int read_checked(struct blob *b, const char *name, unsigned version, uint64_t off,
                               size_t len)
{
    struct reader r;
    reader_init(&r);
    blob_read(b, off, len, reader_done, &r);
    int err = reader_wait(&r);
    if (err == 0 && !reader_right(&r, name, version, off, len))
        err = -EBADMSG;
    reader_free(&r);
    return err;
}

#endif
