#include "cli/status_i.h"

#include "cli/text_i.h"

#include <inttypes.h>

enum { ERRORS_SHOWN = 5 };

static uint64_t number(const struct json *object, const char *name)
{
    uint64_t value = 0;
    (void)json_u64(json_get(object, name), &value);
    return value;
}

static void count(struct buf *out, const char *before, const struct json *object, const char *name,
                  const char *what)
{
    uint64_t value = number(object, name);
    if (value > 0)
        buf_fmt(out, "%s%" PRIu64 " %s", before, value, what);
}

/* Bytes, and how many a second that was since the mount began. */
static void flow(struct buf *out, uint64_t bytes, uint64_t seconds)
{
    text_bytes(out, bytes);
    if (seconds > 0) {
        buf_str(out, " (");
        text_bytes(out, bytes / seconds);
        buf_str(out, "/s)");
    }
}

static void head(struct buf *out, const struct json *s)
{
    buf_fmt(out, "%s: answers (pid %" PRIu64 ", up ", json_string(json_get(s, "mountpoint"), "?"),
            number(s, "pid"));
    text_span(out, number(s, "uptime_s"));
    buf_fmt(out, "%s)\n", json_bool(json_get(s, "offline"), false) ? ", offline" : "");
}

static void catalogue(struct buf *out, const struct json *c)
{
    if (c == NULL)
        return;
    buf_fmt(out, "  catalogue  %" PRIu64 " shapes, %" PRIu64 " files, ", number(c, "shapes"),
            number(c, "files"));
    text_bytes_partly(out, number(c, "bytes"), number(c, "unknown_sizes"), number(c, "files"));
    buf_str(out, "; ");
    text_span(out, number(c, "age_s"));
    buf_fmt(out, " old (%s)\n", json_string(json_get(c, "refreshed"), "?"));
    if (json_bool(json_get(c, "without_sizes"), false))
        buf_str(out, "  sizes      not told by the source; asked for file by file\n");
    else if (number(c, "unknown_sizes") > 0)
        buf_fmt(out, "  sizes      %" PRIu64 " not known yet\n", number(c, "unknown_sizes"));
}

/* What the packed part of the cache stands for. */
static void packed(struct buf *out, const struct json *c)
{
    buf_str(out, "  packed     ");
    text_bytes(out, number(c, "packed_text"));
    buf_str(out, " of shapes in ");
    text_bytes(out, number(c, "packed_bytes"));
    buf_str(out, "; the cache holds ");
    text_bytes(out, number(c, "text"));
    buf_str(out, " of shapes in all\n");
}

static void cache(struct buf *out, const struct json *c)
{
    if (c == NULL)
        return;
    buf_str(out, "  cache      ");
    text_bytes(out, number(c, "bytes"));
    buf_str(out, " of ");
    text_bytes(out, number(c, "limit"));
    buf_fmt(out, " in %s, %" PRIu64 " files", json_string(json_get(c, "dir"), "?"),
            number(c, "objects"));
    count(out, ", ", c, "evicted", "evicted");
    count(out, ", ", c, "damaged", "pieces damaged and fetched again");
    count(out, ", ", c, "write_errors", "write errors");
    buf_str(out, "\n");
    if (number(c, "packed_text") > 0)
        packed(out, c);
    if (json_bool(json_get(c, "sick"), false))
        buf_str(out, "             its disk fails: reads are not kept\n");
}

static void reads(struct buf *out, const struct json *r, uint64_t uptime)
{
    if (r == NULL)
        return;
    buf_fmt(out, "  reads      %" PRIu64 ", ", number(r, "count"));
    flow(out, number(r, "bytes"), uptime);
    buf_str(out, ", from the cache ");
    text_percent(out, number(r, "hits"), number(r, "count"));
    count(out, ", ", r, "waits", "waited for the network");
    count(out, ", ", r, "direct", "not kept");
    buf_str(out, "\n");
}

static void network(struct buf *out, const struct json *n, uint64_t uptime)
{
    if (n == NULL)
        return;
    buf_fmt(out, "  network    %" PRIu64 " requests, ", number(n, "requests"));
    flow(out, number(n, "bytes"), uptime);
    count(out, ", ", n, "running", "running");
    count(out, ", ", n, "queued", "queued");
    count(out, ", ", n, "retries", "tried again");
    count(out, ", ", n, "failures", "failed");
    count(out, ", ", n, "changed", "changed at the source");
    buf_str(out, "\n");
}

static void sources(struct buf *out, const struct json *list)
{
    for (const struct json *s = json_first(list); s != NULL; s = json_next(s)) {
        buf_fmt(out, "  source     %s ", json_string(json_get(s, "name"), ""));
        text_plain(out, json_string(json_get(s, "url"), ""));
        buf_str(out, "\n");
    }
}

static void one_error(struct buf *out, const struct json *e)
{
    uint64_t status = number(e, "status");
    buf_fmt(out, "  error      %s ", json_string(json_get(e, "time"), "?"));
    text_plain(out, json_string(json_get(e, "path"), "?"));
    buf_str(out, ": ");
    text_plain(out, json_string(json_get(e, "reason"), json_string(json_get(e, "error"), "?")));
    if (status > 0)
        buf_fmt(out, " (HTTP %" PRIu64 ")", status);
    buf_str(out, "\n");
}

/* The newest come first. */
static void errors(struct buf *out, const struct json *list)
{
    unsigned shown = 0;
    for (const struct json *e = json_first(list); e != NULL; e = json_next(e)) {
        if (shown++ == ERRORS_SHOWN) {
            buf_str(out, "             older ones are in .medshapefs/errors.json\n");
            return;
        }
        one_error(out, e);
    }
}

void status_text(struct buf *out, const struct json *status)
{
    uint64_t uptime = number(status, "uptime_s");
    head(out, status);
    catalogue(out, json_get(status, "catalog"));
    cache(out, json_get(status, "cache"));
    reads(out, json_get(status, "reads"), uptime);
    network(out, json_get(status, "network"), uptime);
    sources(out, json_get(status, "sources"));
    errors(out, json_get(status, "errors"));
}
