#include "cli/cli_i.h"
#include "cli/text_i.h"

#include "base/log.h"
#include "base/obj.h"

#include <string.h>

struct held {
    struct table table;
    struct buf json, scratch;
    uint64_t text, disk;
};

static void size_cell(struct held *h, uint64_t bytes)
{
    buf_clear(&h->scratch);
    text_bytes(&h->scratch, bytes);
    table_cell(&h->table, buf_cstr(&h->scratch));
}

static void ratio_cell(struct held *h, uint64_t text, uint64_t disk)
{
    buf_clear(&h->scratch);
    if (disk > 0)
        buf_fmt(&h->scratch, "%.1f", (double)text / (double)disk);
    table_cell(&h->table, buf_cstr(&h->scratch));
}

static void row(struct held *h, const char *name, uint64_t text, uint64_t disk)
{
    table_cell(&h->table, name);
    size_cell(h, text);
    size_cell(h, disk);
    ratio_cell(h, text, disk);
}

static void add_dataset(void *arg, const struct medshapefs_dataset *d)
{
    struct held *h = arg;
    if (d->cached == 0)
        return;
    h->text += d->cached;
    h->disk += d->cached_disk;
    row(h, d->id, d->cached, d->cached_disk);
    buf_str(&h->json, h->json.len > 0 ? ", {" : "{");
    text_member(&h->json, "dataset", d->id);
    text_number(&h->json, "bytes", d->cached);
    text_number(&h->json, "disk", d->cached_disk);
    buf_str(&h->json, "}");
}

static int as_text(struct held *h, const struct conf *conf, struct medshapefs *m, struct buf *out)
{
    static const char *const heads[] = {"DATASET", "HELD", "ON DISK", "RATIO"};
    h->table.columns = ARRAY_LEN(heads);
    h->table.right = 1u << 1 | 1u << 2 | 1u << 3;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        table_cell(&h->table, heads[i]);
    int rc = medshapefs_datasets(m, add_dataset, h);
    row(h, "total", h->text, h->disk);
    int wrote = table_write(&h->table, out);
    buf_fmt(out, "at most ");
    text_bytes(out, conf->cache_size);
    buf_fmt(out, " on disk, in %s\n", conf->cache_dir);
    return rc != 0 ? rc : wrote;
}

static int as_json(struct held *h, const struct conf *conf, struct medshapefs *m, struct buf *out)
{
    int rc = medshapefs_datasets(m, add_dataset, h);
    buf_str(out, "{");
    text_member(out, "dir", conf->cache_dir);
    text_number(out, "limit", conf->cache_size);
    text_number(out, "bytes", h->text);
    text_number(out, "disk", h->disk);
    text_key(out, "datasets");
    buf_str(out, "[");
    buf_add(out, h->json.data, h->json.len);
    buf_str(out, "]}\n");
    return rc;
}

static int info(struct args *a)
{
    struct cli_view v;
    struct held h = {.text = 0};
    struct buf out CLEANUP_BUF = BUF_INIT;
    int status = cli_open(a, &v);
    if (status == CLI_DONE) {
        int rc = (a->given & OPTION_JSON) != 0 ? as_json(&h, v.conf, v.shapes, &out)
                                               : as_text(&h, v.conf, v.shapes, &out);
        status = rc == 0 ? cli_print(&out) : cli_fail(NULL, rc, "cache");
    }
    buf_free(&h.table.cells);
    buf_free(&h.json);
    buf_free(&h.scratch);
    cli_close(&v);
    return status;
}

int cmd_cache(struct args *a)
{
    static const char *const later[] = {"verify", "gc", "clear", "pin", "unpin"};
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (strcmp(a->operand[0], later[i]) == 0) {
            log_error("cache %s: not in this version", later[i]);
            return CLI_USAGE;
        }
    if (strcmp(a->operand[0], "info") == 0)
        return info(a);
    log_error("cache %s: no such command (medshapefs cache info)", a->operand[0]);
    return CLI_USAGE;
}
