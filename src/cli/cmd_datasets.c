#include "cli/cli_i.h"
#include "cli/text_i.h"

#include <inttypes.h>

struct listing {
    struct table table;
    struct buf json;
    struct buf scratch;
    uint64_t shapes, files, bytes, unknown, cached;
};

static void number_cell(struct listing *l, uint64_t value)
{
    buf_clear(&l->scratch);
    buf_fmt(&l->scratch, "%" PRIu64, value);
    table_cell(&l->table, buf_cstr(&l->scratch));
}

static void size_cell(struct listing *l, uint64_t bytes, uint64_t unknown, uint64_t files)
{
    buf_clear(&l->scratch);
    text_bytes_partly(&l->scratch, bytes, unknown, files);
    table_cell(&l->table, buf_cstr(&l->scratch));
}

static void table_row(void *arg, const struct medshapefs_dataset *d)
{
    struct listing *l = arg;
    table_cell(&l->table, d->id);
    number_cell(l, d->shapes);
    size_cell(l, d->bytes, d->unknown_sizes, d->files);
    size_cell(l, d->cached, 0, 0);
    table_cell(&l->table, d->licence);
    l->shapes += d->shapes;
    l->files += d->files;
    l->bytes += d->bytes;
    l->unknown += d->unknown_sizes;
    l->cached += d->cached;
}

static void json_row(void *arg, const struct medshapefs_dataset *d)
{
    struct buf *out = &((struct listing *)arg)->json;
    buf_str(out, out->len > 1 ? ",\n {" : "\n {");
    text_member(out, "id", d->id);
    text_member(out, "title", d->title);
    text_member(out, "licence", d->licence);
    text_number(out, "shapes", d->shapes);
    text_number(out, "files", d->files);
    text_number(out, "bytes", d->bytes);
    text_number(out, "unknown_sizes", d->unknown_sizes);
    text_number(out, "cached", d->cached);
    buf_str(out, "}");
}

static int print_table(struct medshapefs *m, struct listing *l, struct buf *out)
{
    static const char *const heads[] = {"DATASET", "SHAPES", "BYTES", "CACHED", "LICENCE"};
    l->table.columns = 5;
    l->table.right = 1u << 1 | 1u << 2 | 1u << 3;
    for (size_t i = 0; i < 5; i++)
        table_cell(&l->table, heads[i]);
    int rc = medshapefs_datasets(m, table_row, l);
    table_cell(&l->table, "total");
    number_cell(l, l->shapes);
    size_cell(l, l->bytes, l->unknown, l->files);
    size_cell(l, l->cached, 0, 0);
    table_cell(&l->table, "");
    int wrote = table_write(&l->table, out);
    return rc != 0 ? rc : wrote;
}

static int print_json(struct medshapefs *m, struct listing *l, struct buf *out)
{
    buf_str(&l->json, "[");
    int rc = medshapefs_datasets(m, json_row, l);
    buf_str(&l->json, "\n]\n");
    buf_add(out, l->json.data, l->json.len);
    return rc;
}

int cmd_datasets(struct args *a)
{
    struct cli_view v;
    struct listing l = {0};
    struct buf out CLEANUP_BUF = BUF_INIT;
    int status = cli_open(a, &v);
    if (status == CLI_DONE) {
        int rc = (a->given & OPTION_JSON) != 0 ? print_json(v.shapes, &l, &out)
                                               : print_table(v.shapes, &l, &out);
        status = rc == 0 ? cli_print(&out) : cli_fail(NULL, rc, "datasets");
    }
    buf_free(&l.json);
    buf_free(&l.scratch);
    cli_close(&v);
    return status;
}
