#include "net/engine_i.h"

#include "base/clock.h"
#include "net/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char *copy(struct request *r, const char *text)
{
    char *out = text != NULL ? strdup(text) : NULL;
    if (text != NULL && out == NULL)
        r->bad = -ENOMEM;
    return out;
}

/* A line end inside a header would be a second header. */
static void add_header(struct request *r, const char *line)
{
    if (strpbrk(line, "\r\n") != NULL) {
        r->bad = -EINVAL;
        return;
    }
    struct curl_slist *more = curl_slist_append(r->headers, line);
    if (more == NULL)
        r->bad = -ENOMEM;
    else
        r->headers = more;
}

static void add_pair(struct request *r, const char *name, const char *value)
{
    struct buf line = BUF_INIT;
    buf_fmt(&line, "%s: %s", name, value);
    add_header(r, buf_cstr(&line));
    if (line.err != 0)
        r->bad = line.err;
    buf_free(&line);
}

static void add_headers(struct request *r, const struct http_req *req)
{
    bool typed = false;
    for (size_t i = 0; req->headers != NULL && req->headers[i] != NULL; i++) {
        typed = typed || strncasecmp(req->headers[i], "Content-Type:", 13) == 0;
        add_header(r, req->headers[i]);
    }
    if (req->body != NULL && !typed)
        add_header(r, "Content-Type: application/xml; charset=utf-8");
    if (!req->gzip)
        add_header(r, "Accept-Encoding: identity");
    if (req->if_none_match != NULL)
        add_pair(r, "If-None-Match", req->if_none_match);
    if (req->if_modified_since != NULL)
        add_pair(r, "If-Modified-Since", req->if_modified_since);
}

static void set_range(struct request *r, uint64_t first, uint64_t len)
{
    if (len == 0)
        return;
    if (first == HTTP_UNKNOWN)
        (void)snprintf(r->range, sizeof(r->range), "-%" PRIu64, len);
    else if (len - 1 > (uint64_t)INT64_MAX || first > (uint64_t)INT64_MAX - (len - 1))
        r->bad = -EINVAL;
    else
        (void)snprintf(r->range, sizeof(r->range), "%" PRIu64 "-%" PRIu64, first, first + len - 1);
}

struct request *request_new(const struct http_req *req, const struct http_ops *ops, void *arg)
{
    struct request *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    struct url u;
    r->bad = req->url == NULL ? -EINVAL : url_split(req->url, strlen(req->url), &u);
    r->method = req->method;
    r->url = copy(r, req->url);
    r->user = copy(r, req->user);
    r->password = copy(r, req->password);
    r->body = copy(r, req->body);
    r->at = copy(r, req->url);
    r->trusted = true;
    r->gzip = req->gzip;
    r->background = req->background;
    r->max_body = req->max_body;
    r->first_byte_ms = req->first_byte_ms;
    r->start_at = clock_ms() + req->delay_ms;
    r->arg = arg;
    if (ops != NULL)
        r->ops = *ops;
    set_range(r, req->first, req->len);
    add_headers(r, req);
    answer_reset(&r->answer, &r->resp);
    return r;
}

void request_free(struct request *r)
{
    if (r->password != NULL)
        explicit_bzero(r->password, strlen(r->password));
    free(r->url);
    free(r->user);
    free(r->password);
    free(r->body);
    free(r->at);
    curl_slist_free_all(r->headers);
    buf_free(&r->page);
    free(r);
}
