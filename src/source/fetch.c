#include "source/fetch_i.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "net/retry.h"

#include <errno.h>
#include <stdio.h>

enum { TICK_MS = 1000, WHOLE = 6 };

/* One try. */
struct attempt {
    const struct fetch_job *job;
    struct lock lock;
    pthread_cond_t ended;
    bool answered, over; /* guarded by the lock */
    int err;
    struct http_resp resp;
};

static int on_head(void *arg, const struct http_resp *resp)
{
    struct attempt *a = arg;
    lock_take(&a->lock);
    a->answered = true;
    lock_drop(&a->lock);
    bool fine = resp->status == 304 || (resp->status == a->job->want && !resp->html);
    return fine ? 0 : -EBADMSG;
}

static int on_data(void *arg, const void *data, size_t len)
{
    struct attempt *a = arg;
    return a->job->data(a->job->arg, data, len);
}

static void on_done(void *arg, int err, const struct http_resp *resp)
{
    struct attempt *a = arg;
    lock_take(&a->lock);
    a->err = err;
    a->resp = *resp;
    a->over = true;
    (void)pthread_cond_signal(&a->ended);
    lock_drop(&a->lock);
}

static void say(const struct fetch *f, const struct fetch_job *job, int64_t since)
{
    if (job->label == NULL || f->sink->progress == NULL)
        return;
    unsigned limit = f->net->listing_timeout_ms / 1000,
             gone = (unsigned)((clock_ms() - since) / 1000);
    char text[160];
    bool minutes = limit % 60 == 0;
    (void)snprintf(text, sizeof(text), "%s, up to %u %s: %u:%02u", job->label,
                   minutes ? limit / 60 : limit, minutes ? "min" : "s", gone / 60, gone % 60);
    f->sink->progress(f->sink->arg, text);
}

/* Waits for the end, cancels at the deadline. */
static int await(const struct fetch *f, struct attempt *a, uint64_t id, int64_t since,
                 int64_t deadline)
{
    bool cancelled = false;
    lock_take(&a->lock);
    while (!a->over) {
        bool woken = lock_cond_wait(&a->ended, &a->lock, TICK_MS);
        bool silent = !woken && !a->answered && !a->over;
        lock_drop(&a->lock);
        if (silent)
            say(f, a->job, since);
        if (!cancelled && clock_ms() >= deadline) {
            http_cancel(f->http, id);
            cancelled = true;
        }
        lock_take(&a->lock);
    }
    lock_drop(&a->lock);
    return cancelled && a->err == -ECANCELED ? -ETIMEDOUT : a->err;
}

static int try_once(const struct fetch *f, const struct fetch_job *job, unsigned delay_ms,
                    int64_t since, struct http_resp *resp)
{
    static const struct http_ops ops = {on_head, on_data, on_done};
    int64_t deadline = since + (int64_t)WHOLE * f->net->listing_timeout_ms;
    struct attempt a = {.job = job};
    struct http_req req = job->req;
    req.delay_ms = delay_ms;
    lock_init(&a.lock, LOCK_RANK_LEAF);
    lock_cond_init(&a.ended);
    uint64_t id = http_start(f->http, &req, &ops, &a);
    int r = id == 0 ? -ENOMEM : await(f, &a, id, since, deadline);
    *resp = a.resp;
    (void)pthread_cond_destroy(&a.ended);
    lock_destroy(&a.lock);
    return r;
}

static bool asked_to_wait(const struct http_resp *resp)
{
    return resp->status == 429 || resp->status == 503;
}

static bool broke(int err)
{
    return err == -ECONNRESET || err == -EHOSTUNREACH || err == -EPROTO;
}

int fetch_run(const struct fetch *f, const struct fetch_job *job, struct http_resp *resp)
{
    int64_t since = clock_ms();
    int64_t patience = since + f->net->listing_timeout_ms;
    unsigned delay = 0;
    int broken = 0;
    for (unsigned attempt = 1;; attempt++) {
        *resp = (struct http_resp){.length = HTTP_UNKNOWN, .last_modified = -1, .date = -1};
        int r = try_once(f, job, delay, since, resp);
        bool again = r != 0 && (asked_to_wait(resp) || (broke(r) && broken++ < job->tries));
        delay = again ? retry_delay_ms(attempt, resp, (uint64_t)since) : 0;
        if (!again || clock_ms() + delay > patience)
            return r;
        r = job->again == NULL ? 0 : job->again(job->arg);
        if (r != 0)
            return r;
    }
}

void fetch_why(int err, const struct http_resp *resp, char *out, size_t cap)
{
    const char *colon = resp->why[0] == '\0' ? "" : ": ";
    if (err == -EBADMSG && resp->html && resp->status < 300)
        (void)snprintf(out, cap, "an HTML page came%s%s", colon, resp->why);
    else if (err == -EBADMSG)
        (void)snprintf(out, cap, "HTTP %d%s%s", resp->status, colon, resp->why);
    else
        (void)snprintf(out, cap, "%s", resp->why[0] != '\0' ? resp->why : err_text(err));
}
