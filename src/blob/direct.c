#include "blob/blob_i.h"

#include "base/clock.h"
#include "net/retry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A read that goes past a sick cache: exactly its range, in memory, within a budget for the whole
 * daemon. */
struct blob_direct {
    struct blob_direct *next;
    struct blob *blob;
    struct blob_waiter *waiter;
    unsigned char *data;
    uint64_t pos; /* absolute offset of the next byte of the body */
    size_t got;
    bool judged;
    unsigned attempt;
    struct pool_job ended;
    int err;
    struct http_resp resp;
    struct blob_version now;
};

static int direct_head(void *arg, const struct http_resp *resp)
{
    struct blob_direct *d = arg;
    const struct blob *b = d->blob;
    const struct blob_waiter *w = d->waiter;
    bool all = w->off == 0 && w->len == b->version.size;
    enum check_verdict v =
        check_answer(resp, w->off, all ? 0 : w->len, &b->version, b->html_name, &d->now);
    d->judged = v == CHECK_RANGE || v == CHECK_WHOLE;
    d->pos = v == CHECK_RANGE ? w->off : 0;
    return v == CHECK_CHANGED ? -ESTALE : 0;
}

static int direct_data(void *arg, const void *data, size_t len)
{
    struct blob_direct *d = arg;
    const struct blob_waiter *w = d->waiter;
    const unsigned char *p = data;
    if (!d->judged)
        return 0;
    if (d->pos == 0 && !d->blob->html_name && check_html(data, len))
        return -EBADMSG;
    uint64_t skip = d->pos < w->off + d->got ? w->off + d->got - d->pos : 0;
    d->pos += len;
    if (skip >= len)
        return 0;
    size_t n = len - (size_t)skip;
    if (n > w->len - d->got)
        n = w->len - d->got;
    memcpy(d->data + d->got, p + skip, n);
    d->got += n;
    return d->got == w->len ? -ECANCELED
                            : 0; /* all is there: the rest of a whole body is not wanted */
}

static void direct_end(struct pool_job *job);

static void direct_done(void *arg, int err, const struct http_resp *resp)
{
    struct blob_direct *d = arg;
    d->err = d->got == d->waiter->len ? 0 : err != 0 ? err : -EBADMSG;
    d->resp = *resp;
    d->ended.run = direct_end;
    pool_run(d->blob->env->pool, &d->ended);
}

static void direct_send(struct blob_direct *d, unsigned delay_ms)
{
    static const struct http_ops ops = {direct_head, direct_data, direct_done};
    const struct blob *b = d->blob;
    struct http_req req;
    struct buf text = BUF_INIT;
    bool all = d->waiter->off == 0 && d->waiter->len == b->version.size;
    d->got = 0;
    d->pos = 0;
    d->judged = false;
    int r = blob_request(b, d->waiter->off, all ? 0 : d->waiter->len, &text, &req);
    req.delay_ms = delay_ms;
    if (r == 0 && http_start(b->env->o.http, &req, &ops, d) == 0)
        r = -ENOMEM;
    if (r != 0)
        direct_done(d, r, &d->resp);
    buf_free(&text);
}

/* Gives the budget back; the next in the queue that fits begins. */
static void direct_release(struct blob_env *env, size_t len)
{
    lock_take(&env->lock);
    env->direct_bytes -= len;
    struct blob_direct *next = env->queue;
    if (next != NULL && env->direct_bytes + next->waiter->len <= BLOB_DIRECT_BUDGET) {
        env->queue = next->next;
        env->direct_bytes += next->waiter->len;
    } else {
        next = NULL;
    }
    lock_drop(&env->lock);
    if (next != NULL)
        direct_send(next, 0);
}

static void direct_free(struct blob_direct *d)
{
    struct blob *b = d->blob;
    direct_release(b->env, d->waiter->len);
    free(d->waiter);
    free(d->data);
    free(d);
    blob_put(&b);
}

static void direct_end(struct pool_job *job)
{
    struct blob_direct *d =
        (struct blob_direct *)(void *)((char *)job - offsetof(struct blob_direct, ended));
    struct blob *b = d->blob;
    struct blob_waiter *w = d->waiter;
    unsigned delay = retry_delay_ms(d->attempt + 1, &d->resp, (uint64_t)(uintptr_t)d);
    if (d->err != 0 && d->err != -ESTALE && blob_worth(d->err, &d->resp) &&
        clock_ms() + delay < w->deadline) {
        d->attempt++;
        atomic_fetch_add(&b->env->retries, 1);
        direct_send(d, delay);
        return;
    }
    struct iovec span = {d->data, w->len};
    if (d->err == 0) {
        atomic_fetch_add(&b->env->bytes, w->len);
        w->done(w->arg, (struct blob_answer){0, &span, 1});
    } else {
        int err = d->err == -ESTALE ? -ESTALE : blob_final_err(d->err, &d->resp);
        if (err == -ESTALE && !atomic_exchange(&b->spent, true))
            b->env->o.changed(b->env->o.arg, b->id, &d->now);
        else
            blob_report(b->env, b->id, b->url, b->place.source, err, &d->resp);
        w->done(w->arg, (struct blob_answer){.err = err});
    }
    direct_free(d);
}

void blob_direct_read(struct blob *b, struct blob_waiter *w)
{
    struct blob_env *env = b->env;
    struct blob_direct *d = calloc(1, sizeof(*d));
    unsigned char *data = malloc(w->len);
    if (d == NULL || data == NULL) {
        free(d);
        free(data);
        w->done(w->arg, (struct blob_answer){.err = -ENOMEM});
        free(w);
        return;
    }
    d->blob = blob_get(b);
    d->waiter = w;
    d->data = data;
    atomic_fetch_add(&env->direct, 1);
    lock_take(&env->lock);
    bool now = env->direct_bytes == 0 || env->direct_bytes + w->len <= BLOB_DIRECT_BUDGET;
    if (now) {
        env->direct_bytes += w->len;
    } else {
        struct blob_direct **tail = &env->queue;
        while (*tail != NULL)
            tail = &(*tail)->next;
        *tail = d;
    }
    lock_drop(&env->lock);
    if (now)
        direct_send(d, 0);
}
