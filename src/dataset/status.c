#include "dataset/dataset_i.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct numbers {
    struct catalog_info info;
    struct store_stats store;
    struct http_stats http;
    struct blob_stats blob;
    bool sick;
};

static void collect(struct medshapefs *m, struct numbers *n)
{
    memset(n, 0, sizeof(*n));
    struct shelf *s = shelf_take(m);
    n->info = s->catalog->info;
    shelf_put(&s);
    if (m->store != NULL)
        store_stats(m->store, &n->store);
    n->sick = m->store == NULL || store_sick(m->store);
    if (m->http != NULL)
        http_stats(m->http, &n->http);
    if (m->env != NULL)
        blob_env_stats(m->env, &n->blob);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_fmt(out, "\"%s\":", name);
    json_quote(out, text, strlen(text));
}

static void add_time(struct buf *out, const char *name, int64_t seconds)
{
    char text[32];
    str_iso_time(seconds, text);
    add_text(out, name, text);
}

static void add_error(struct buf *out, const struct failure *f)
{
    buf_str(out, "{");
    add_time(out, "time", f->time);
    buf_str(out, ",");
    add_text(out, "path", f->path);
    buf_str(out, ",");
    add_text(out, "url", f->url);
    buf_fmt(out, ",\"status\":%d,", f->status);
    add_text(out, "error", err_text(f->err));
    buf_str(out, ",");
    add_text(out, "reason", f->reason);
    buf_str(out, "}");
}

/* The newest `max` failures, newest first. */
static void add_errors(struct medshapefs *m, struct buf *out, size_t max)
{
    buf_str(out, "\"errors\":[");
    lock_take(&m->state_lock);
    for (size_t i = 0; i < m->failure_count && i < max; i++) {
        size_t at = (m->failure_next + 2 * ERRORS_KEPT - 1 - i) % ERRORS_KEPT;
        buf_str(out, i == 0 ? "\n" : ",\n");
        add_error(out, &m->failures[at]);
    }
    lock_drop(&m->state_lock);
    buf_str(out, "]");
}

static void add_sources(struct medshapefs *m, struct buf *out)
{
    buf_str(out, "\"sources\":[");
    for (size_t i = 0; i < m->conf->source_count; i++) {
        buf_str(out, i == 0 ? "{" : ",{");
        add_text(out, "name", m->conf->sources[i].name);
        buf_str(out, ",");
        add_text(out, "type", m->conf->sources[i].type);
        buf_str(out, ",");
        add_text(out, "url", m->conf->sources[i].url);
        buf_str(out, "}");
    }
    buf_str(out, "]");
}

static void add_catalog(struct buf *out, const struct catalog_info *c)
{
    buf_str(out, "\"catalog\":{");
    add_time(out, "refreshed", c->refreshed);
    buf_fmt(out,
            ",\"age_s\":%lld,\"shapes\":%llu,\"files\":%llu,\"bytes\":%llu,\"unknown_sizes\":%llu,"
            "\"without_sizes\":%s}",
            (long long)(clock_wall() - c->refreshed), (unsigned long long)c->shapes,
            (unsigned long long)c->files, (unsigned long long)c->bytes,
            (unsigned long long)c->unknown_sizes, c->without_sizes ? "true" : "false");
}

static void write_status(struct medshapefs *m, struct buf *out)
{
    struct numbers n;
    collect(m, &n);
    buf_str(out, "{");
    add_text(out, "version", MEDSHAPEFS_VERSION);
    buf_fmt(out, ",\"pid\":%d,", (int)getpid());
    add_text(out, "mountpoint", m->mountpoint);
    buf_fmt(out, ",\"uptime_s\":%lld,\"offline\":%s,\n", (long long)(clock_wall() - m->started),
            m->conf->offline ? "true" : "false");
    add_catalog(out, &n.info);
    buf_str(out, ",\n\"cache\":{");
    add_text(out, "dir", m->conf->cache_dir);
    buf_fmt(out,
            ",\"limit\":%llu,\"bytes\":%llu,\"text\":%llu,\"packed_text\":%llu,"
            "\"packed_bytes\":%llu,\"packed_blocks\":%llu,"
            "\"objects\":%llu,\"evicted\":%llu,\"damaged\":%llu,"
            "\"write_errors\":%llu,"
            "\"sick\":%s},\n",
            (unsigned long long)m->conf->cache_size, (unsigned long long)n.store.bytes,
            (unsigned long long)n.store.text, (unsigned long long)n.store.packed_text,
            (unsigned long long)n.store.packed_bytes, (unsigned long long)n.store.packed_blocks,
            (unsigned long long)n.store.objects, (unsigned long long)n.store.evicted,
            (unsigned long long)n.store.damaged, (unsigned long long)n.store.write_errors,
            n.sick ? "true" : "false");
    buf_fmt(out,
            "\"reads\":{\"count\":%llu,\"bytes\":%llu,\"hits\":%llu,\"waits\":%llu,\"direct\":%llu,"
            "\"unpacked\":%llu,\"unpack_ms\":%llu},\n",
            (unsigned long long)n.blob.reads, (unsigned long long)n.blob.bytes,
            (unsigned long long)n.blob.hits, (unsigned long long)n.blob.waits,
            (unsigned long long)n.blob.direct, (unsigned long long)n.blob.decoded,
            (unsigned long long)n.blob.decode_ns / 1000000);
    buf_fmt(out,
            "\"network\":{\"requests\":%llu,\"bytes\":%llu,\"failures\":%llu,\"running\":%u,"
            "\"queued\":%u,\"retries\":%llu,"
            "\"changed\":%llu},\n",
            (unsigned long long)n.http.requests, (unsigned long long)n.http.bytes_received,
            (unsigned long long)n.http.failures, n.http.running, n.http.queued,
            (unsigned long long)n.blob.retries, (unsigned long long)n.blob.changed);
    add_errors(m, out, 10);
    buf_str(out, ",\n");
    add_sources(m, out);
    buf_str(out, "}\n");
}

static void metric(struct buf *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    buf_fmt(out, "# HELP medshapefs_%s %s\n# TYPE medshapefs_%s %s\nmedshapefs_%s %llu\n", name,
            help, name, type, name, (unsigned long long)value);
}

static void write_metrics(struct medshapefs *m, struct buf *out)
{
    struct numbers n;
    collect(m, &n);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"uptime_seconds", "gauge", "Seconds since the daemon started.",
         (uint64_t)(clock_wall() - m->started)},
        {"catalog_shapes", "gauge", "Shapes in the catalogue.", n.info.shapes},
        {"catalog_age_seconds", "gauge", "Seconds since the last refresh.",
         (uint64_t)(clock_wall() - n.info.refreshed)},
        {"cache_bytes", "gauge", "Bytes of content held on disk.", n.store.bytes},
        {"cache_text_bytes", "gauge", "Bytes of text that they stand for.", n.store.text},
        {"cache_packed_text_bytes", "gauge", "Bytes of text that is held packed.",
         n.store.packed_text},
        {"cache_packed_bytes", "gauge", "Bytes on disk of what is held packed.",
         n.store.packed_bytes},
        {"cache_packed_blocks_total", "counter", "Blocks packed, here or at the source.",
         n.store.packed_blocks},
        {"cache_unpacked_blocks_total", "counter", "Packed blocks unpacked for readers.",
         n.blob.decoded},
        {"cache_limit_bytes", "gauge", "Most bytes that the cache may take.", m->conf->cache_size},
        {"cache_objects", "gauge", "Objects held on disk, whole or in part.", n.store.objects},
        {"cache_evicted_total", "counter", "Objects evicted.", n.store.evicted},
        {"cache_damaged_total", "counter", "Pieces whose checksum did not match.", n.store.damaged},
        {"cache_write_errors_total", "counter", "Failed writes to the cache.",
         n.store.write_errors},
        {"reads_total", "counter", "Reads of shapes.", n.blob.reads},
        {"read_bytes_total", "counter", "Bytes of shapes given to readers.", n.blob.bytes},
        {"read_hits_total", "counter", "Reads answered from the cache at once.", n.blob.hits},
        {"read_waits_total", "counter", "Reads that waited for the network.", n.blob.waits},
        {"sibling_requests_total", "counter",
         "HTTP requests that brought more shapes of a folder of a pack.", n.blob.sibling_flights},
        {"sibling_bytes_total", "counter", "Bytes that they asked for by that.",
         n.blob.sibling_bytes},
        {"sibling_used_bytes_total", "counter", "Those of them that were read later.",
         n.blob.sibling_used},
        {"http_requests_total", "counter", "HTTP requests sent.", n.http.requests},
        {"http_received_bytes_total", "counter", "Bytes received from sources.",
         n.http.bytes_received},
        {"http_failures_total", "counter", "HTTP requests that failed.", n.http.failures},
        {"http_retries_total", "counter", "HTTP requests that were tried again.", n.blob.retries},
        {"errors_total", "counter", "Errors given to readers.", n.blob.failed},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        metric(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

void status_write(struct medshapefs *m, uint64_t id, struct buf *out)
{
    if (id == NODE_STATUS) {
        write_status(m, out);
    } else if (id == NODE_METRICS) {
        write_metrics(m, out);
    } else {
        buf_str(out, "{");
        add_errors(m, out, ERRORS_KEPT);
        buf_str(out, "}\n");
    }
}
