#include "blob/blob_i.h"

#include "base/clock.h"
#include "base/str.h"
#include "net/retry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How the size is asked for, one after the other where the one before tells nothing. */
enum learn_step { LEARN_HEAD, LEARN_RANGE, LEARN_COUNT, LEARN_STEPS };

struct learn {
    struct blob_env *env;
    uint64_t id;
    char *source, *url;
    struct buf text; /* strings of req */
    struct http_req req;
    bool html_name;
    enum learn_step step;
    unsigned attempt;
    int64_t deadline;
    uint64_t counted;
    struct pool_job ended;
    int err;
    struct http_resp resp;
    void (*done)(void *arg, int err, const struct blob_version *v);
    void *arg;
};

static void learn_free(struct learn *l)
{
    buf_free(&l->text);
    free(l->source);
    free(l->url);
    free(l);
}

static bool bad_page(const struct learn *l, const struct http_resp *resp)
{
    return (resp->html && !l->html_name) || resp->encoded;
}

/* The size that an answer tells, or HTTP_UNKNOWN. */
static uint64_t told_size(const struct learn *l)
{
    const struct http_resp *resp = &l->resp;
    if (bad_page(l, resp))
        return HTTP_UNKNOWN;
    if (l->step == LEARN_RANGE && resp->has_range && (resp->status == 206 || resp->status == 416))
        return resp->range_total;
    if (resp->status == 200 && l->step == LEARN_COUNT && l->err == 0)
        return l->counted;
    return resp->status == 200 ? resp->length : HTTP_UNKNOWN;
}

static int learn_head(void *arg, const struct http_resp *resp)
{
    struct learn *l = arg;
    l->counted = 0;
    /* A whole body in place of two bytes: its header was all that was wanted. */
    return l->step == LEARN_RANGE && resp->status == 200 ? -ECANCELED : 0;
}

static int learn_data(void *arg, const void *data, size_t len)
{
    struct learn *l = arg;
    if (l->counted == 0 && !l->html_name && check_html(data, len))
        return -EBADMSG;
    l->counted += len;
    return 0;
}

static void learn_end(struct pool_job *job);

static void learn_done(void *arg, int err, const struct http_resp *resp)
{
    struct learn *l = arg;
    l->err = err;
    l->resp = *resp;
    l->ended.run = learn_end;
    pool_run(l->env->pool, &l->ended);
}

static void learn_send(struct learn *l, unsigned delay_ms)
{
    static const struct http_ops ops = {learn_head, learn_data, learn_done};
    l->req.method = l->step == LEARN_HEAD ? HTTP_HEAD : HTTP_GET;
    l->req.first = 0;
    l->req.len =
        l->step == LEARN_RANGE ? 2 : 0; /* never 0-0: sabre answers that with the whole file */
    l->req.delay_ms = delay_ms;
    if (http_start(l->env->o.http, &l->req, &ops, l) == 0)
        learn_done(l, -ENOMEM, &l->resp);
}

static void finish(struct learn *l, int err, uint64_t size)
{
    struct blob_version v = {.size = size, .mtime = l->resp.last_modified};
    memcpy(v.etag, l->resp.etag, sizeof(v.etag));
    if (err == 0)
        atomic_fetch_add(&l->env->learnt, 1);
    else
        blob_report(l->env, l->id, l->url, l->source, err, &l->resp);
    l->done(l->arg, err, &v);
    learn_free(l);
}

/* True where the answer refused the question, not the file: then there is another way to ask. What
 * forbids the file altogether forbids it each way. */
static bool mute(const struct learn *l)
{
    const struct http_resp *resp = &l->resp;
    if (l->step == LEARN_RANGE && l->err == -ECANCELED)
        return true;
    if (l->err != 0 || bad_page(l, resp))
        return false;
    return resp->status < 400 || resp->status == 405 || resp->status == 501 ||
           (resp->status == 400 && l->step == LEARN_HEAD);
}

static void learn_failed(struct learn *l)
{
    int err = l->err == 0 ? -EBADMSG : l->err;
    unsigned delay = retry_delay_ms(++l->attempt, &l->resp, (uint64_t)(uintptr_t)l);
    if (err == -ECANCELED) {
        finish(l, err, 0);
    } else if (blob_worth(err, &l->resp) && clock_ms() + delay < l->deadline) {
        atomic_fetch_add(&l->env->retries, 1);
        learn_send(l, delay);
    } else {
        finish(l, blob_final_err(err, &l->resp), 0);
    }
}

static void learn_end(struct pool_job *job)
{
    struct learn *l = (struct learn *)(void *)((char *)job - offsetof(struct learn, ended));
    uint64_t size = told_size(l);
    if (size != HTTP_UNKNOWN) {
        finish(l, 0, size);
    } else if (mute(l) && l->step + 1 < LEARN_STEPS) {
        l->step++;
        learn_send(l, 0);
    } else {
        learn_failed(l);
    }
}

static int learn_fill(struct learn *l, const struct blob_object *o)
{
    struct buf url = BUF_INIT;
    source_url(o->place, o->key, o->key_len, &url);
    l->url = buf_take(&url);
    l->source = strdup(o->place->source);
    if (l->url == NULL || l->source == NULL)
        return -ENOMEM;
    l->html_name =
        str_iends(l->url, strlen(l->url), ".html") || str_iends(l->url, strlen(l->url), ".htm");
    return source_request(o->place, o->key, o->key_len, o->place->dav[0] == '\0', &l->text,
                          &l->req);
}

static void learn_refused(struct pool_job *job)
{
    struct learn *l = (struct learn *)(void *)((char *)job - offsetof(struct learn, ended));
    if (l->err == -ENETUNREACH || l->err == -EACCES)
        blob_report_barred(l->env, l->id, l->url, l->source, l->err);
    l->done(l->arg, l->err, &(struct blob_version){.size = SOURCE_UNKNOWN, .mtime = -1});
    learn_free(l);
}

void blob_learn(struct blob_env *env, const struct blob_object *o, bool background,
                void (*done)(void *arg, int err, const struct blob_version *v), void *arg)
{
    struct learn *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        done(arg, -ENOMEM, &(struct blob_version){.size = SOURCE_UNKNOWN, .mtime = -1});
        return;
    }
    l->env = env;
    l->id = o->id;
    l->done = done;
    l->arg = arg;
    l->deadline = clock_ms() + env->o.conf->network.retry_for_ms;
    l->err = learn_fill(l, o);
    l->req.background = background;
    if (l->err == 0 && env->o.conf->offline)
        l->err = -ENETUNREACH;
    if (l->err == 0 && blob_stopped(env, o->place->source))
        l->err = -EACCES;
    if (l->err != 0) {
        l->ended.run = learn_refused;
        pool_run(env->pool, &l->ended);
        return;
    }
    learn_send(l, 0);
}
