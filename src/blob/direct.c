#include "blob/blob_i.h"

#include "base/clock.h"
#include "net/retry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A read that goes past a sick cache: exactly its range, in memory, within a budget for the whole
 * daemon. Of an object of a pack the blocks that it touches are fetched, one after another. */
struct blob_direct {
    struct blob_direct *next;
    struct blob *blob;
    struct blob_waiter *waiter;
    unsigned char *data;
    size_t done; /* bytes of it that are there from earlier requests */
    /* What is asked for now, and where it goes. */
    uint64_t first;
    size_t len, got;
    unsigned char *into, *packed;
    uint64_t pos; /* absolute offset of the next byte of the body */
    bool judged, other;
    unsigned attempt;
    struct pool_job ended;
    int err;
    struct http_resp resp;
    struct blob_version now;
};

static bool is_all(const struct blob_direct *d)
{
    const struct blob *b = d->blob;
    return b->extents == NULL && d->first == 0 && d->len == b->version.size;
}

static int direct_head(void *arg, const struct http_resp *resp)
{
    struct blob_direct *d = arg;
    const struct blob *b = d->blob;
    if (b->extents != NULL) {
        d->judged = blob_extent_good(b, resp, d->first, d->len, &d->other, &d->pos);
        return 0;
    }
    enum check_verdict v =
        check_answer(resp, d->first, is_all(d) ? 0 : d->len, &b->version, b->html_name, &d->now);
    d->judged = v == CHECK_RANGE || v == CHECK_WHOLE;
    d->pos = v == CHECK_RANGE ? d->first : 0;
    return v == CHECK_CHANGED ? -ESTALE : 0;
}

static int direct_data(void *arg, const void *data, size_t len)
{
    struct blob_direct *d = arg;
    const struct blob *b = d->blob;
    const unsigned char *p = data;
    if (!d->judged)
        return 0;
    if (d->pos == 0 && b->extents == NULL && !b->html_name && check_html(data, len))
        return -EBADMSG;
    uint64_t skip = d->pos < d->first + d->got ? d->first + d->got - d->pos : 0;
    d->pos += len;
    if (skip >= len)
        return 0;
    size_t n = len - (size_t)skip;
    if (n > d->len - d->got)
        n = d->len - d->got;
    memcpy(d->into + d->got, p + skip, n);
    d->got += n;
    /* All is there: the rest of a whole body is not wanted. */
    return d->got == d->len ? -ECANCELED : 0;
}

static void direct_end(struct pool_job *job);

static void direct_done(void *arg, int err, const struct http_resp *resp)
{
    struct blob_direct *d = arg;
    d->err = d->got == d->len ? 0 : err != 0 ? err : -EBADMSG;
    d->resp = *resp;
    d->ended.run = direct_end;
    pool_run(d->blob->env->pool, &d->ended);
}

/* Of an object of a pack: the block that is to come next. */
static uint32_t block_of(const struct blob_direct *d)
{
    return (uint32_t)((d->waiter->off + d->done) / STORE_BLOCK);
}

/* Sets what is to be asked for. 0 or -ENOMEM. */
static int aim(struct blob_direct *d)
{
    const struct blob *b = d->blob;
    d->first = d->waiter->off;
    d->len = d->waiter->len;
    d->into = d->data;
    if (b->extents == NULL)
        return 0;
    const struct blob_extent *x = &b->extents[block_of(d)];
    d->first = x->offset;
    d->len = x->packed;
    free(d->packed);
    d->into = d->packed = malloc(x->packed);
    return d->packed != NULL ? 0 : -ENOMEM;
}

static void direct_send(struct blob_direct *d, unsigned delay_ms)
{
    static const struct http_ops ops = {direct_head, direct_data, direct_done};
    const struct blob *b = d->blob;
    struct http_req req = {.method = HTTP_GET};
    struct buf text = BUF_INIT;
    d->got = 0;
    d->pos = 0;
    d->judged = d->other = false;
    int r = aim(d);
    if (r == 0)
        r = blob_request(b, d->first, is_all(d) ? 0 : d->len, &text, &req);
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
    free(d->packed);
    free(d);
    blob_put(&b);
}

/* A packed block came whole: its part of the range is put in place. True: another one is to come.
 */
static bool take_block(struct blob_direct *d)
{
    const struct blob_waiter *w = d->waiter;
    uint64_t at = (w->off + d->done) % STORE_BLOCK;
    size_t len = w->len - d->done;
    if (len > STORE_BLOCK - at)
        len = STORE_BLOCK - (size_t)at;
    d->err =
        blob_extent_unpack(d->blob, block_of(d), d->packed, (size_t)at, len, d->data + d->done);
    if (d->err == -EBADMSG && d->other)
        d->err = -ESTALE;
    d->done += d->err == 0 ? len : 0;
    return d->err == 0 && d->done < w->len;
}

static void direct_end(struct pool_job *job)
{
    struct blob_direct *d =
        (struct blob_direct *)(void *)((char *)job - offsetof(struct blob_direct, ended));
    struct blob *b = d->blob;
    struct blob_waiter *w = d->waiter;
    if (d->err == 0 && b->extents != NULL && take_block(d)) {
        d->attempt = 0;
        direct_send(d, 0);
        return;
    }
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
        if (err == -ESTALE && !atomic_exchange(&b->spent, true) && b->extents == NULL)
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
