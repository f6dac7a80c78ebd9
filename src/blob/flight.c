#include "blob/blob_i.h"
#include "blob/siblings_i.h"

#include "base/clock.h"
#include "net/retry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_QUEUED = 2, ERROR_BODY = 64 << 10 };

struct piece_job {
    struct pool_job job;
    struct blob_flight *flight;
    uint32_t piece;
    size_t len;
    unsigned char *data;
};

int blob_request(const struct blob *b, uint64_t first, uint64_t len, struct buf *text,
                 struct http_req *req)
{
    *req = (struct http_req){.method = HTTP_GET};
    int r = source_request(&b->place, b->key, strlen(b->key), b->place.dav[0] == '\0', text, req);
    req->first = first;
    req->len = len;
    return r;
}

bool blob_worth(int err, const struct http_resp *resp)
{
    if (resp->status >= 400)
        return retry_worth(0, resp->status);
    return err == -EBADMSG || err == -EPROTO || err == -EFBIG || retry_worth(err, 0);
}

int blob_final_err(int err, const struct http_resp *resp)
{
    int r = resp->status >= 400 ? retry_errno(0, resp->status) : -EAGAIN;
    return r == -EAGAIN ? retry_final(err, resp->status) : r;
}

static uint64_t piece_len(const struct blob *b, uint32_t piece)
{
    uint64_t left = b->version.size - (uint64_t)piece * STORE_PIECE;
    return left < STORE_PIECE ? left : STORE_PIECE;
}

static int flight_head(void *arg, const struct http_resp *resp)
{
    struct blob_flight *f = arg, *none = NULL;
    const struct blob *b = f->blob;
    if (b->extents != NULL)
        return blob_extent_head(f, resp);
    uint64_t first = (uint64_t)f->first * STORE_PIECE;
    uint64_t end = (uint64_t)f->end * STORE_PIECE;
    bool all = f->first == 0 && f->end == store_pieces(b->file);
    switch (check_answer(resp, first, all ? 0 : end - first, &b->version, b->html_name, &f->now)) {
    case CHECK_RANGE:
        f->pos = first;
        f->judged = true;
        return 0;
    case CHECK_WHOLE:
        if (!atomic_compare_exchange_strong(&f->blob->whole, &none, f))
            return -EALREADY;
        f->pos = 0;
        f->judged = true;
        atomic_store(&f->whole, true);
        return 0;
    case CHECK_CHANGED:
        return -ESTALE;
    default:
        return 0; /* the body says why; flight_data() drops it */
    }
}

static void piece_run(struct pool_job *job)
{
    struct piece_job *j = (struct piece_job *)(void *)job;
    struct blob_flight *f = j->flight;
    struct blob *b = f->blob;
    int r = b->extents != NULL ? blob_extent_store(f, j->piece, j->data, j->len)
                               : store_write(b->file, j->piece, j->data, j->len);
    if (r != 0)
        atomic_store(&f->write_err, r);
    lock_take(&b->lock);
    struct blob_waiter *done = blob_take(b, 0, 0, 0);
    unsigned long request = atomic_load(&f->request);
    lock_drop(&b->lock);
    blob_answer_all(b, done);
    free(j->data);
    free(j);
    atomic_fetch_sub(&f->queued, 1);
    if (atomic_exchange(&f->paused, false))
        http_resume(b->env->o.http, request);
    blob_flight_unref(f);
}

static int queue_piece(struct blob_flight *f, uint32_t piece)
{
    struct piece_job *j = malloc(sizeof(*j));
    if (j == NULL)
        return -ENOMEM;
    *j = (struct piece_job){
        .job = {.run = piece_run}, .flight = f, .piece = piece, .len = f->filled, .data = f->piece};
    f->piece = NULL;
    f->filled = 0;
    atomic_fetch_add(&f->refs, 1);
    atomic_fetch_add(&f->queued, 1);
    pool_run(f->blob->env->pool, &j->job);
    return 0;
}

static ssize_t feed_block(struct blob_flight *f, const unsigned char *data, size_t len)
{
    bool whole;
    ssize_t n = blob_extent_feed(f, data, len, &whole);
    int r = n >= 0 && whole ? queue_piece(f, f->block++) : 0;
    return r != 0 ? r : n;
}

/* Takes bytes of the piece that f->pos is in; returns how many, or -errno. */
static ssize_t feed(struct blob_flight *f, const unsigned char *data, size_t len)
{
    const struct blob *b = f->blob;
    if (b->extents != NULL)
        return feed_block(f, data, len);
    if (f->pos >= b->version.size)
        return -EPROTO;
    uint32_t piece = (uint32_t)(f->pos / STORE_PIECE);
    size_t want = (size_t)piece_len(b, piece) - f->filled;
    if (f->piece == NULL && (f->piece = malloc(STORE_PIECE)) == NULL)
        return -ENOMEM;
    size_t n = len < want ? len : want;
    memcpy(f->piece + f->filled, data, n);
    f->filled += n;
    f->pos += n;
    int r = n == want ? queue_piece(f, piece) : 0;
    return r != 0 ? r : (ssize_t)n;
}

/* True where the disk is behind, and the transfer is to pause; whoever writes the next piece
 * resumes it. */
static bool must_pause(struct blob_flight *f)
{
    if (atomic_load(&f->queued) < PIECES_QUEUED)
        return false;
    atomic_store(&f->paused, true);
    if (atomic_load(&f->queued) >= PIECES_QUEUED)
        return true;
    return !atomic_exchange(&f->paused, false);
}

static int flight_data(void *arg, const void *data, size_t len)
{
    struct blob_flight *f = arg;
    const unsigned char *p = data;
    if (!f->judged) {
        f->pos += len;
        return f->pos > ERROR_BODY ? -EBADMSG : 0;
    }
    if (f->pos == 0 && !f->blob->html_name && f->blob->extents == NULL && check_html(data, len))
        return -EBADMSG;
    if (must_pause(f))
        return -EAGAIN;
    while (len > 0) {
        ssize_t n = feed(f, p, len);
        if (n < 0)
            return (int)n;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static void transfer_ended(struct pool_job *job)
{
    blob_flight_unref(
        (struct blob_flight *)(void *)((char *)job - offsetof(struct blob_flight, ended)));
}

static void flight_done(void *arg, int err, const struct http_resp *resp)
{
    struct blob_flight *f = arg;
    f->err = err == 0 && !f->judged ? -EBADMSG : err;
    f->resp = *resp;
    free(f->piece);
    f->piece = NULL;
    f->filled = 0;
    f->ended.run = transfer_ended;
    pool_run(f->blob->env->pool, &f->ended);
}

/* The byte range of what the flight still lacks; *len 0: all. */
static void asked_for(const struct blob_flight *f, uint64_t *first, uint64_t *len)
{
    const struct blob *b = f->blob;
    if (b->extents != NULL) {
        blob_extent_asked(f, first, len);
        return;
    }
    uint64_t end = (uint64_t)f->end * STORE_PIECE;
    bool all = f->first == 0 && f->end == store_pieces(b->file);
    *first = (uint64_t)f->first * STORE_PIECE;
    *len = all ? 0 : (end < b->version.size ? end : b->version.size) - *first;
}

/* Sends the request for what the flight still lacks; b->lock is held. 0 or -errno. */
static int flight_send(struct blob_flight *f, unsigned delay_ms)
{
    static const struct http_ops ops = {flight_head, flight_data, flight_done};
    struct blob *b = f->blob;
    struct http_req req;
    struct buf text = BUF_INIT;
    uint64_t first, len;
    asked_for(f, &first, &len);
    int r = blob_request(b, first, len, &text, &req);
    req.delay_ms = delay_ms;
    req.background = f->first == f->end;
    req.max_body = b->extents != NULL ? b->pack.size : b->version.size;
    f->pos = 0;
    f->judged = false;
    f->other = false;
    atomic_store(&f->bad, false);
    atomic_store(&f->whole, false);
    atomic_fetch_add(&f->refs, 1);
    if (r == 0) {
        atomic_store(&f->request, http_start(b->env->o.http, &req, &ops, f));
        r = atomic_load(&f->request) != 0 ? 0 : -ENOMEM;
    }
    if (r == 0)
        atomic_fetch_add(&b->env->flights, 1);
    else
        atomic_fetch_sub(&f->refs, 1);
    buf_free(&text);
    return r;
}

int blob_flight_start(struct blob *b, uint32_t first, uint32_t end)
{
    struct blob_flight *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return -ENOMEM;
    f->blob = b;
    f->first = first;
    f->end = end;
    f->started = clock_ms();
    f->along = b->along;
    if (f->along != NULL)
        f->along->flight = f;
    bool along = f->along != NULL; /* once it is sent, it may end at any time */
    uint64_t extra = along ? f->along->extra : 0;
    int r = flight_send(f, 0);
    if (r != 0) {
        free(f);
        return r;
    }
    if (along) {
        atomic_fetch_add(&b->env->sibling_flights, 1);
        atomic_fetch_add(&b->env->sibling_bytes, extra);
    }
    b->along = NULL;
    (void)blob_get(b);
    atomic_fetch_add(&b->env->flying, 1);
    f->next = b->fleet;
    b->fleet = f;
    return 0;
}

/* True where somebody lacks bytes that the flight is to bring. */
static bool awaited(const struct blob *b, const struct blob_flight *f)
{
    uint64_t first = (uint64_t)f->first * STORE_PIECE, end = (uint64_t)f->end * STORE_PIECE;
    bool whole = atomic_load(&f->whole);
    for (const struct blob_waiter *w = b->waiters; w != NULL; w = w->next)
        if ((whole || (w->off < end && w->off + w->len > first)) && !blob_has(b, w->off, w->len))
            return true;
    return false;
}

void blob_drop_idle(struct blob *b)
{
    for (struct blob_flight *f = b->fleet; f != NULL; f = f->next) {
        struct blob_flight *self = f;
        if (f->dropped || f->first == f->end || awaited(b, f))
            continue;
        f->dropped = true;
        (void)atomic_compare_exchange_strong(&b->whole, &self, NULL);
        http_cancel(b->env->o.http, atomic_load(&f->request));
    }
}

static void leave_fleet(struct blob_flight *f)
{
    struct blob_flight **at = &f->blob->fleet;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
}

/* Among those who wait for bytes [first, end): the latest deadline, or 0 where nobody does. */
static int64_t latest_deadline(const struct blob *b, uint64_t first, uint64_t end, int err)
{
    int64_t latest = 0;
    for (struct blob_waiter *w = b->waiters; w != NULL; w = w->next) {
        if (w->off >= end || w->off + w->len <= first || blob_has(b, w->off, w->len))
            continue;
        w->err = err; /* what it gets should its time run out */
        if (w->deadline > latest)
            latest = w->deadline;
    }
    return latest;
}

/* Sends a failed flight again where that may help somebody; b->lock is held. */
static bool try_again(struct blob_flight *f, uint64_t first, uint64_t end)
{
    struct blob *b = f->blob;
    uint32_t was = f->first;
    int64_t latest = latest_deadline(b, first, end, blob_final_err(f->err, &f->resp));
    if (latest == 0 || !blob_worth(f->err, &f->resp))
        return false;
    while (f->first < f->end && store_state(b->file, f->first) != STORE_ABSENT)
        f->first++;
    f->attempt = f->first > was ? 1 : f->attempt + 1;
    unsigned delay = retry_delay_ms(f->attempt, &f->resp, (uint64_t)(uintptr_t)f);
    if (f->first == f->end || clock_ms() + delay >= latest)
        return false;
    atomic_fetch_add(&b->env->retries, 1);
    return flight_send(f, delay) == 0;
}

/* Those whose pieces could not be written are served past the cache. */
static void serve_direct(struct blob *b, struct blob_waiter *list)
{
    while (list != NULL) {
        struct blob_waiter *w = list;
        list = w->next;
        w->next = NULL;
        if (w->err == 0) {
            blob_answer_all(b, w);
        } else {
            w->err = 0;
            blob_direct_read(b, w);
        }
    }
}

static void flight_free(struct blob_flight *f)
{
    struct blob *b = f->blob;
    free(f);
    atomic_store(&b->env->landed, clock_ms());
    atomic_fetch_sub(&b->env->flying, 1);
    blob_put(&b);
}

static void flight_stale(struct blob_flight *f)
{
    struct blob *b = f->blob;
    lock_take(&b->lock);
    leave_fleet(f);
    bool first = !atomic_exchange(&b->spent, true);
    lock_drop(&b->lock);
    if (first)
        atomic_fetch_add(&b->env->changed, 1);
    if (first && b->extents == NULL)
        b->env->o.changed(b->env->o.arg, b->id, &f->now);
    else if (first) /* it is the pack that changed: only a refresh tells what the object is now */
        blob_report(b->env, b->id, b->url, b->place.source, -ESTALE, &f->resp);
    blob_retire(b);
    flight_free(f);
}

/* One row in errors.json for those whom a transfer failed. */
static void report(struct blob *b, const struct blob_waiter *list, const struct http_resp *resp)
{
    for (; list != NULL; list = list->next)
        if (list->err != 0) {
            blob_report(b->env, b->id, b->url, b->place.source, list->err, resp);
            return;
        }
}

/* The transfer has ended and its pieces are on the disk, or not. */
static void finish_own(struct blob_flight *f)
{
    struct blob *b = f->blob;
    uint64_t first = (uint64_t)f->first * STORE_PIECE, end = (uint64_t)f->end * STORE_PIECE;
    blob_extent_judge(f);
    if (f->err == -ESTALE && f->first < f->end) {
        flight_stale(f);
        return;
    }
    struct blob_waiter *list = NULL;
    int write_err = atomic_load(&f->write_err);
    lock_take(&b->lock);
    if (atomic_load(&f->whole)) {
        first = 0;
        end = b->version.size;
        f->first = 0;
        f->end = store_pieces(b->file);
        struct blob_flight *self = f;
        (void)atomic_compare_exchange_strong(&b->whole, &self, NULL);
    }
    bool failed = f->err != 0 && f->err != -EALREADY && !f->dropped;
    if (write_err == 0 && failed && try_again(f, first, end)) {
        lock_drop(&b->lock);
        return;
    }
    leave_fleet(f);
    if (write_err != 0 || failed)
        list =
            blob_take(b, first, end, write_err != 0 ? write_err : blob_final_err(f->err, &f->resp));
    struct blob_waiter *came = blob_plan_orphans(b);
    lock_drop(&b->lock);
    if (write_err == 0 && failed)
        report(b, list, &f->resp);
    if (write_err != 0)
        serve_direct(b, list);
    else
        blob_answer_all(b, list);
    blob_answer_all(b, came);
    flight_free(f);
}

/* Where it is to try again, it does so for its own pieces only. */
static void flight_finish(struct blob_flight *f)
{
    struct siblings *along = f->along;
    f->along = NULL;
    finish_own(f);
    if (along != NULL)
        blob_siblings_end(along);
}

void blob_flight_ref(struct blob_flight *f)
{
    atomic_fetch_add(&f->refs, 1);
}

void blob_flight_unref(struct blob_flight *f)
{
    if (atomic_fetch_sub(&f->refs, 1) == 1)
        flight_finish(f);
}
