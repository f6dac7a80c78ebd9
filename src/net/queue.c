#include "net/engine_i.h"

#include "base/clock.h"
#include "net/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How far the budget of requests per minute may be ahead: some start at once, the rest is spread.
 */
enum { BUDGET_SPAN_US = 3000000, MINUTE_US = 60000000 };

/* Time that one request takes from the budget, so that no 60 seconds see more than the budget. */
static int64_t budget_step_us(unsigned per_minute)
{
    return (MINUTE_US + BUDGET_SPAN_US) / (int64_t)(per_minute > 1 ? per_minute - 1 : 1);
}

static bool host_waits(const struct host *host)
{
    return !TAILQ_EMPTY(&host->queue[0]) || !TAILQ_EMPTY(&host->queue[1]);
}

static int64_t host_ready_at(const struct http *h, const struct host *host)
{
    int64_t budget = 0;
    if (h->net.requests_per_minute > 0)
        budget = (host->budget_us - BUDGET_SPAN_US + 999) / 1000;
    return budget > host->rest_until ? budget : host->rest_until;
}

static void host_free(struct http *h, struct host *host)
{
    TAILQ_REMOVE(&h->hosts, host, link);
    free(host->key);
    free(host);
}

static struct host *host_new(struct http *h, char *key)
{
    struct host *host = key != NULL ? calloc(1, sizeof(*host)) : NULL;
    if (host == NULL) {
        free(key);
        return NULL;
    }
    host->key = key;
    TAILQ_INIT(&host->queue[0]);
    TAILQ_INIT(&host->queue[1]);
    TAILQ_INSERT_TAIL(&h->hosts, host, link);
    return host;
}

static struct host *host_of(struct http *h, const char *url)
{
    struct url u;
    if (url_split(url, strlen(url), &u) != 0)
        return NULL;
    struct buf text = BUF_INIT;
    buf_add(&text, u.scheme, (size_t)(u.host + u.host_len - u.scheme));
    char *key = buf_take(&text);
    for (char *p = key; p != NULL && *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    struct host *host = NULL;
    if (key != NULL)
        TAILQ_FOREACH(host, &h->hosts, link)
    if (strcmp(host->key, key) == 0)
        break;
    if (host == NULL)
        return host_new(h, key);
    free(key);
    return host;
}

int queue_add(struct http *h, struct request *r, bool front)
{
    r->host = host_of(h, r->at);
    if (r->host == NULL)
        return -ENOMEM;
    struct request_list *queue = &r->host->queue[r->background ? 1 : 0];
    if (front)
        TAILQ_INSERT_HEAD(queue, r, link);
    else
        TAILQ_INSERT_TAIL(queue, r, link);
    r->state = REQUEST_QUEUED;
    return 0;
}

void queue_delay(struct http *h, struct request *r)
{
    struct request *later;
    TAILQ_FOREACH(later, &h->delayed, link)
    if (later->start_at > r->start_at)
        break;
    if (later != NULL)
        TAILQ_INSERT_BEFORE(later, r, link);
    else
        TAILQ_INSERT_TAIL(&h->delayed, r, link);
    r->state = REQUEST_DELAYED;
}

struct request *queue_release(struct http *h, int64_t now)
{
    struct request *r;
    while ((r = TAILQ_FIRST(&h->delayed)) != NULL && r->start_at <= now) {
        TAILQ_REMOVE(&h->delayed, r, link);
        r->state = REQUEST_NEW;
        if (queue_add(h, r, false) != 0)
            return r;
    }
    return NULL;
}

/* Forgets hosts that nobody needs: a list may name any number of them. */
static void drop_hosts(struct http *h, int64_t now)
{
    struct host *host = TAILQ_FIRST(&h->hosts);
    while (host != NULL) {
        struct host *next = TAILQ_NEXT(host, link);
        if (host->running == 0 && !host_waits(host) && host->rest_until <= now &&
            host->budget_us <= now * 1000)
            host_free(h, host);
        host = next;
    }
}

static struct request *take_from(struct http *h, struct host *host, unsigned kind, int64_t now)
{
    struct request *r = TAILQ_FIRST(&host->queue[kind]);
    TAILQ_REMOVE(&host->queue[kind], r, link);
    TAILQ_REMOVE(&h->hosts, host, link);
    TAILQ_INSERT_TAIL(&h->hosts, host, link);
    r->state = REQUEST_NEW;
    host->running++;
    if (h->net.requests_per_minute > 0) {
        int64_t from = host->budget_us > now * 1000 ? host->budget_us : now * 1000;
        host->budget_us = from + budget_step_us(h->net.requests_per_minute);
    }
    return r;
}

struct request *queue_next(struct http *h, int64_t now)
{
    drop_hosts(h, now);
    for (unsigned kind = 0; kind < 2; kind++) {
        struct host *host;
        TAILQ_FOREACH(host, &h->hosts, link)
        if (!TAILQ_EMPTY(&host->queue[kind]) && host_ready_at(h, host) <= now)
            return take_from(h, host, kind, now);
    }
    return NULL;
}

void queue_remove(struct http *h, struct request *r)
{
    if (r->state == REQUEST_DELAYED)
        TAILQ_REMOVE(&h->delayed, r, link);
    else if (r->state == REQUEST_QUEUED)
        TAILQ_REMOVE(&r->host->queue[r->background ? 1 : 0], r, link);
    r->state = REQUEST_NEW;
}

void queue_left(struct request *r, unsigned rest_ms)
{
    int64_t until = clock_ms() + rest_ms;
    r->host->running--;
    if (rest_ms > 0 && until > r->host->rest_until)
        r->host->rest_until = until;
}

int64_t queue_wake(const struct http *h, int64_t now)
{
    const struct request *first = TAILQ_FIRST(&h->delayed);
    int64_t wake = first != NULL ? first->start_at : INT64_MAX;
    const struct host *host;
    TAILQ_FOREACH(host, &h->hosts, link)
    {
        int64_t ready = host_waits(host) ? host_ready_at(h, host) : INT64_MAX;
        /* One that is ready waits for a place, which a finished request gives without a clock. */
        if (ready > now && ready < wake)
            wake = ready;
    }
    return wake;
}

void queue_free(struct http *h)
{
    struct host *host = TAILQ_FIRST(&h->hosts);
    while (host != NULL) {
        struct host *next = TAILQ_NEXT(host, link);
        free(host->key);
        free(host);
        host = next;
    }
    TAILQ_INIT(&h->hosts);
}
