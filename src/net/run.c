#include "net/http.h"

#include <errno.h>
#include <semaphore.h>

/* What http_run() waits for; done() has a deadline, as each request has. */
struct run {
    const struct http_ops *ops;
    void *arg;
    struct http_resp *resp;
    int err;
    sem_t over;
};

static int on_head(void *arg, const struct http_resp *resp)
{
    const struct run *run = arg;
    return run->ops != NULL && run->ops->head != NULL ? run->ops->head(run->arg, resp) : 0;
}

static int on_data(void *arg, const void *data, size_t len)
{
    const struct run *run = arg;
    return run->ops != NULL && run->ops->data != NULL ? run->ops->data(run->arg, data, len) : 0;
}

static void on_done(void *arg, int err, const struct http_resp *resp)
{
    struct run *run = arg;
    if (run->ops != NULL && run->ops->done != NULL)
        run->ops->done(run->arg, err, resp);
    run->err = err;
    *run->resp = *resp;
    (void)sem_post(&run->over);
}

int http_run(struct http *h, const struct http_req *req, const struct http_ops *ops, void *arg,
             struct http_resp *resp)
{
    static const struct http_ops own = {on_head, on_data, on_done};
    struct run run = {.ops = ops, .arg = arg, .resp = resp, .err = -ENOMEM};
    *resp = (struct http_resp){.length = HTTP_UNKNOWN};
    (void)sem_init(&run.over, 0, 0);
    if (http_start(h, req, &own, &run) != 0)
        while (sem_wait(&run.over) != 0 && errno == EINTR)
            continue;
    (void)sem_destroy(&run.over);
    return run.err;
}
