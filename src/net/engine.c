#include "net/engine_i.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct request_list *bucket(struct http *h, uint64_t id)
{
    return &h->table[id % ENGINE_BUCKETS];
}

/* Takes the request out of what other threads see. */
static void forget(struct http *h, struct request *r)
{
    lock_take(&h->lock);
    TAILQ_REMOVE(bucket(h, r->id), r, known);
    if (r->noted)
        TAILQ_REMOVE(&h->notes, r, note);
    lock_drop(&h->lock);
}

/* Takes a running request off its place. */
static void leave(struct http *h, struct request *r)
{
    transfer_end(h, r);
    TAILQ_REMOVE(&h->running, r, link);
    h->running_count--;
    atomic_fetch_sub(&h->stat_running, 1);
    bool busy = r->resp.status == 429 || r->resp.status == 503;
    queue_left(r, busy ? r->resp.retry_after_ms : 0);
    r->state = REQUEST_NEW;
}

static void finish(struct http *h, struct request *r, int err)
{
    if (r->state == REQUEST_RUNNING) {
        leave(h, r);
    } else {
        queue_remove(h, r);
        atomic_fetch_sub(&h->stat_queued, 1);
    }
    if (err != 0 && err != -ECANCELED)
        atomic_fetch_add(&h->stat_failures, 1);
    if (err != 0 && r->resp.why[0] == '\0')
        (void)snprintf(r->resp.why, sizeof(r->resp.why), "%s", err_text(err));
    forget(h, r);
    if (r->ops.done != NULL)
        r->ops.done(r->arg, err, &r->resp);
    request_free(r);
}

/* Goes to the next mirror where no answer came at all; it starts at once unless that host rests. */
static bool try_mirror(struct http *h, struct request *r, int err)
{
    if (r->resp.status != 0 || r->stop != 0 ||
        (err != -ETIMEDOUT && err != -EHOSTUNREACH && err != -ECONNRESET && err != -EPROTO))
        return false;
    char *at = settings_mirror(&h->net, r->url, r->mirrors);
    if (at == NULL)
        return false;
    leave(h, r);
    free(r->at);
    r->at = at;
    r->mirrors++;
    r->redirects = 0;
    r->trusted = true;
    atomic_fetch_add(&h->stat_queued, 1);
    int rc = queue_add(h, r, true);
    if (rc != 0)
        finish(h, r, rc);
    return true;
}

static void settle(struct http *h, struct request *r, int err)
{
    if (err == 0 || !try_mirror(h, r, err))
        finish(h, r, err);
}

/* The transfer ended with `code`. */
static void ended(struct http *h, struct request *r, CURLcode code)
{
    int rc = transfer_result(r, code);
    if (rc == 1) {
        rc = transfer_follow(h, r);
        if (rc == 0)
            return;
    }
    settle(h, r, rc);
}

static void resume(struct http *h, struct request *r)
{
    if (!r->paused)
        return;
    r->paused = false;
    r->last_byte = clock_ms();
    CURLcode code = curl_easy_pause(r->easy, CURLPAUSE_CONT);
    if (code != CURLE_OK)
        ended(h, r, code);
}

/* Takes what other threads asked for. */
static void take_inbox(struct http *h)
{
    struct request_list fresh = TAILQ_HEAD_INITIALIZER(fresh);
    lock_take(&h->lock);
    TAILQ_CONCAT(&fresh, &h->inbox, link);
    lock_drop(&h->lock);
    struct request *r;
    while ((r = TAILQ_FIRST(&fresh)) != NULL) {
        TAILQ_REMOVE(&fresh, r, link);
        if (r->bad == 0)
            queue_delay(h, r);
        else
            finish(h, r, r->bad);
    }
}

static struct request *next_note(struct http *h, bool *cancel, bool *go_on)
{
    lock_take(&h->lock);
    struct request *r = TAILQ_FIRST(&h->notes);
    if (r != NULL) {
        TAILQ_REMOVE(&h->notes, r, note);
        *cancel = r->cancel;
        *go_on = r->resume;
        r->noted = r->resume = false;
        if (r->cancel && r->state == REQUEST_NEW)
            TAILQ_REMOVE(&h->inbox, r, link);
    }
    lock_drop(&h->lock);
    return r;
}

static void take_notes(struct http *h)
{
    bool cancel, go_on;
    struct request *r;
    while ((r = next_note(h, &cancel, &go_on)) != NULL) {
        if (cancel)
            finish(h, r, -ECANCELED);
        else if (go_on && r->state == REQUEST_RUNNING)
            resume(h, r);
    }
}

static void end_silent(struct http *h)
{
    int64_t now = clock_ms();
    struct request *r = TAILQ_FIRST(&h->running);
    while (r != NULL) {
        struct request *next = TAILQ_NEXT(r, link);
        if (transfer_deadline(h, r) <= now) {
            (void)snprintf(r->trouble, sizeof(r->trouble), "no byte came for too long");
            settle(h, r, transfer_result(r, CURLE_OPERATION_TIMEDOUT));
        }
        r = next;
    }
}

static void start_due(struct http *h, int64_t now)
{
    struct request *r;
    while ((r = queue_release(h, now)) != NULL)
        finish(h, r, -ENOMEM);
    while (h->running_count < h->net.connections && (r = queue_next(h, now)) != NULL) {
        r->state = REQUEST_RUNNING;
        TAILQ_INSERT_TAIL(&h->running, r, link);
        h->running_count++;
        atomic_fetch_sub(&h->stat_queued, 1);
        atomic_fetch_add(&h->stat_running, 1);
        atomic_fetch_add(&h->stat_requests, 1);
        int rc = transfer_begin(h, r);
        if (rc != 0)
            finish(h, r, rc);
    }
}

/* Ends what libcurl is done with; true when there was something. */
static bool reap(struct http *h)
{
    CURLMsg *msg;
    int left;
    bool any = false;
    while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct request *r = NULL;
        CURLcode code = msg->data.result;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        if (r != NULL)
            ended(h, r, code);
        any = true;
    }
    return any;
}

/* How long to poll. `now` is the time that start_due() saw, so that nothing falls between the two.
 */
static int poll_ms(const struct http *h, int64_t now)
{
    int64_t wake = queue_wake(h, now);
    const struct request *r;
    TAILQ_FOREACH(r, &h->running, link)
    {
        int64_t deadline = transfer_deadline(h, r);
        wake = deadline < wake ? deadline : wake;
    }
    now = clock_ms();
    return wake <= now ? 0 : wake - now < INT_MAX ? (int)(wake - now) : INT_MAX;
}

/* A request that take_inbox() has seen, or NULL. */
static struct request *any_left(struct http *h)
{
    struct request *r = NULL;
    lock_take(&h->lock);
    for (unsigned i = 0; i < ENGINE_BUCKETS && r == NULL; i++)
        TAILQ_FOREACH(r, &h->table[i], known)
    if (r->state != REQUEST_NEW)
        break;
    lock_drop(&h->lock);
    return r;
}

/* Ends all that is left; what a done() starts anew, too. */
static void end_all(struct http *h)
{
    struct request *r;
    do {
        take_inbox(h);
        r = any_left(h);
        if (r != NULL)
            finish(h, r, -ECANCELED);
    } while (r != NULL);
}

/* From now on nothing is taken; false where something came in at the last moment. */
static bool refuse_more(struct http *h)
{
    lock_take(&h->lock);
    h->stopped = TAILQ_EMPTY(&h->inbox);
    bool stopped = h->stopped;
    lock_drop(&h->lock);
    return stopped;
}

static void *engine_main(void *arg)
{
    struct http *h = arg;
    while (!atomic_load(&h->closing)) {
        int running;
        take_inbox(h);
        take_notes(h);
        end_silent(h);
        int64_t now = clock_ms();
        start_due(h, now);
        (void)curl_multi_perform(h->multi, &running);
        if (!reap(h) && curl_multi_poll(h->multi, NULL, 0, poll_ms(h, now), NULL) != CURLM_OK)
            (void)poll(NULL, 0, 10);
    }
    do
        end_all(h);
    while (!refuse_more(h));
    return NULL;
}

static void free_engine(struct http *h)
{
    queue_free(h);
    if (h->multi != NULL)
        (void)curl_multi_cleanup(h->multi);
    settings_free(&h->net);
    lock_destroy(&h->lock);
    curl_global_cleanup();
    free(h);
}

static int start_thread(struct http *h)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&h->thread, NULL, engine_main, h);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        (void)pthread_setname_np(h->thread, "http");
    return -rc;
}

static int prepare(struct http *h, const struct conf_network *c)
{
    lock_init(&h->lock, LOCK_RANK_ENGINE);
    TAILQ_INIT(&h->inbox);
    TAILQ_INIT(&h->notes);
    TAILQ_INIT(&h->delayed);
    TAILQ_INIT(&h->running);
    TAILQ_INIT(&h->hosts);
    for (unsigned i = 0; i < ENGINE_BUCKETS; i++)
        TAILQ_INIT(&h->table[i]);
    int rc = settings_copy(&h->net, c);
    h->multi = curl_multi_init();
    if (rc != 0 || h->multi == NULL)
        return -ENOMEM;
    (void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->net.connections);
    return 0;
}

int http_open(const struct conf_network *c, struct http **out, struct err *e)
{
    *out = NULL;
    struct http *h = calloc(1, sizeof(*h));
    if (h == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(h);
        return err_set(e, -ENOMEM, "network: cannot start libcurl (is there memory left?)");
    }
    int rc = prepare(h, c);
    if (rc == 0)
        rc = start_thread(h);
    if (rc != 0) {
        free_engine(h);
        return err_set(e, rc, "network: cannot start: %s", err_text(rc));
    }
    *out = h;
    return 0;
}

void http_stop(struct http *h)
{
    if (h == NULL || atomic_exchange(&h->closing, true))
        return;
    (void)curl_multi_wakeup(h->multi);
    (void)pthread_join(h->thread, NULL);
}

void http_close(struct http **h)
{
    if (*h == NULL)
        return;
    http_stop(*h);
    free_engine(*h);
    *h = NULL;
}

uint64_t http_start(struct http *h, const struct http_req *req, const struct http_ops *ops,
                    void *arg)
{
    struct request *r = request_new(req, ops, arg);
    if (r == NULL)
        return 0;
    lock_take(&h->lock);
    if (h->stopped) {
        lock_drop(&h->lock);
        request_free(r);
        return 0;
    }
    atomic_fetch_add(&h->stat_queued, 1);
    uint64_t id = r->id = ++h->last_id;
    TAILQ_INSERT_TAIL(&h->inbox, r, link);
    TAILQ_INSERT_TAIL(bucket(h, id), r, known);
    lock_drop(&h->lock);
    (void)curl_multi_wakeup(h->multi);
    return id;
}

static void note(struct http *h, uint64_t id, bool cancel)
{
    struct request *r;
    lock_take(&h->lock);
    TAILQ_FOREACH(r, bucket(h, id), known)
    if (r->id == id)
        break;
    if (r != NULL) {
        r->cancel = r->cancel || cancel;
        r->resume = r->resume || !cancel;
        if (!r->noted)
            TAILQ_INSERT_TAIL(&h->notes, r, note);
        r->noted = true;
    }
    lock_drop(&h->lock);
    if (r != NULL)
        (void)curl_multi_wakeup(h->multi);
}

void http_cancel(struct http *h, uint64_t id)
{
    note(h, id, true);
}

void http_resume(struct http *h, uint64_t id)
{
    note(h, id, false);
}

void http_stats(struct http *h, struct http_stats *out)
{
    *out = (struct http_stats){.requests = atomic_load(&h->stat_requests),
                               .bytes_received = atomic_load(&h->stat_bytes),
                               .failures = atomic_load(&h->stat_failures),
                               .running = atomic_load(&h->stat_running),
                               .queued = atomic_load(&h->stat_queued)};
}
