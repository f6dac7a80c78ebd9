#include "blob/blob_i.h"

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

static void flight_unref(struct blob_flight *f);

static void piece_run(struct pool_job *job)
{
    struct piece_job *j = (struct piece_job *)(void *)job;
    struct blob_flight *f = j->flight;
    struct blob *b = f->blob;
    int r = store_state(b->file, j->piece) == STORE_PRESENT
                ? 0
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
    flight_unref(f);
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

/* Takes bytes of the piece that f->pos is in; returns how many, or -errno. */
static ssize_t feed(struct blob_flight *f, const unsigned char *data, size_t len)
{
    const struct blob *b = f->blob;
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
    if (f->pos == 0 && !f->blob->html_name && check_html(data, len))
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
    flight_unref((struct blob_flight *)(void *)((char *)job - offsetof(struct blob_flight, ended)));
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

/* Sends the request for what the flight still lacks; b->lock is held. 0 or -errno. */
static int flight_send(struct blob_flight *f, unsigned delay_ms)
{
    static const struct http_ops ops = {flight_head, flight_data, flight_done};
    struct blob *b = f->blob;
    struct http_req req;
    struct buf text = BUF_INIT;
    uint64_t first = (uint64_t)f->first * STORE_PIECE;
    uint64_t end = (uint64_t)f->end * STORE_PIECE;
    bool all = f->first == 0 && f->end == store_pieces(b->file);
    if (end > b->version.size)
        end = b->version.size;
    int r = blob_request(b, first, all ? 0 : end - first, &text, &req);
    req.delay_ms = delay_ms;
    req.max_body = b->version.size;
    f->pos = 0;
    f->judged = false;
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

static int flight_start(struct blob *b, uint32_t first, uint32_t end)
{
    struct blob_flight *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return -ENOMEM;
    f->blob = b;
    f->first = first;
    f->end = end;
    f->started = clock_ms();
    int r = flight_send(f, 0);
    if (r != 0) {
        free(f);
        return r;
    }
    (void)blob_get(b);
    f->next = b->fleet;
    b->fleet = f;
    return 0;
}

static bool covered(const struct blob *b, uint32_t piece)
{
    for (const struct blob_flight *f = b->fleet; f != NULL; f = f->next)
        if (!f->dropped && (atomic_load(&f->whole) || (piece >= f->first && piece < f->end)))
            return true;
    return false;
}

/* Starts flights for the absent pieces of a range that no flight covers. */
static void start_missing(struct blob *b, uint64_t off, uint64_t end)
{
    const uint32_t longest = BLOB_REQUEST / STORE_PIECE;
    uint32_t p = (uint32_t)(off / STORE_PIECE);
    uint32_t stop = (uint32_t)((end + STORE_PIECE - 1) / STORE_PIECE);
    while (p < stop) {
        uint32_t first = p;
        uint32_t limit = (first / longest + 1) * longest;
        while (p < stop && p < limit && store_state(b->file, p) == STORE_ABSENT && !covered(b, p))
            p++;
        if (p == first)
            p++;
        else if (flight_start(b, first, p) != 0)
            return;
    }
}

/* True where a read goes on from those before: they may have come in another order, and those that
 * found their bytes there were not noted. */
static bool is_sequential(const struct blob *b, uint64_t off)
{
    const uint64_t slack = 1 << 20;
    uint64_t front = b->ra_front > b->ra_next ? b->ra_front : b->ra_next;
    return off + slack >= b->ra_next && off <= front + slack && (b->ra_next > 0 || off == 0);
}

/* Moves the read-ahead window; returns the end of what is to be asked for now. */
static uint64_t window_end(struct blob *b, uint64_t off, uint64_t end)
{
    if (!is_sequential(b, off) || b->ra_next == 0) {
        b->ra_window = 0;
        b->ra_next = b->ra_front = end;
        return end;
    }
    if (end > b->ra_next)
        b->ra_next = end;
    if (b->ra_window != 0 && b->ra_next + b->ra_window / 2 <= b->ra_front)
        return end;
    b->ra_window = b->ra_window == 0 ? BLOB_WINDOW_MIN : b->ra_window * 2;
    if (b->ra_window > BLOB_WINDOW_MAX)
        b->ra_window = BLOB_WINDOW_MAX;
    uint64_t front = b->ra_next + b->ra_window;
    if (b->ra_window >= BLOB_REQUEST)
        front = (front + BLOB_REQUEST - 1) / BLOB_REQUEST * BLOB_REQUEST;
    if (front > b->version.size)
        front = b->version.size;
    if (front > b->ra_front)
        b->ra_front = front;
    return b->ra_front;
}

void blob_plan(struct blob *b, uint64_t off, size_t len)
{
    if (b->version.size <= BLOB_SMALL) {
        start_missing(b, 0, b->version.size);
        return;
    }
    uint64_t end = window_end(b, off, off + len);
    bool more = b->ra_window != 0 && b->ra_front < b->version.size;
    atomic_store(&b->ra_edge, more ? b->ra_front - b->ra_window / 2 : UINT64_MAX);
    if (end > off + len)
        atomic_fetch_add(&b->env->readahead, end - off - len);
    start_missing(b, off, end);
}

void blob_read_on(struct blob *b, uint64_t off, size_t len)
{
    lock_take(&b->lock);
    if (is_sequential(b, off) && !atomic_load(&b->spent))
        blob_plan(b, off, len);
    lock_drop(&b->lock);
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
        if (f->dropped || awaited(b, f))
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

/* Plans anew for those who lack a piece that nobody fetches any more. */
static void plan_orphans(struct blob *b)
{
    for (struct blob_waiter *w = b->waiters; w != NULL; w = w->next)
        if (!blob_has(b, w->off, w->len))
            start_missing(b, w->off, w->off + w->len);
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
    blob_put(&b);
}

static void flight_stale(struct blob_flight *f)
{
    struct blob *b = f->blob;
    lock_take(&b->lock);
    leave_fleet(f);
    bool first = !atomic_exchange(&b->spent, true);
    lock_drop(&b->lock);
    if (first) {
        atomic_fetch_add(&b->env->changed, 1);
        b->env->o.changed(b->env->o.arg, b->id, &f->now);
    }
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
static void flight_finish(struct blob_flight *f)
{
    struct blob *b = f->blob;
    uint64_t first = (uint64_t)f->first * STORE_PIECE, end = (uint64_t)f->end * STORE_PIECE;
    if (f->err == -ESTALE) {
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
    plan_orphans(b);
    lock_drop(&b->lock);
    if (write_err == 0 && failed)
        report(b, list, &f->resp);
    if (write_err != 0)
        serve_direct(b, list);
    else
        blob_answer_all(b, list);
    flight_free(f);
}

static void flight_unref(struct blob_flight *f)
{
    if (atomic_fetch_sub(&f->refs, 1) == 1)
        flight_finish(f);
}
