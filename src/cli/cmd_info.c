#include "cli/cli_i.h"
#include "cli/info_text_i.h"

#include <errno.h>

/* What a command says of a file of a dataset that cannot be had. */
static int no_file(const char *id, int rc, const struct err *e)
{
    (void)cli_fail(e, rc, id);
    return rc == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
}

/* A part of the page: a file of the dataset under its name. */
static int part(struct medshapefs *m, const char *id, const char *file, struct buf *out,
                struct err *e)
{
    buf_fmt(out, "\n%s\n", file);
    return medshapefs_dataset_file(m, id, file, out, e);
}

static int page(struct medshapefs *m, const char *id, struct buf *out, struct err *e)
{
    struct buf text CLEANUP_BUF = BUF_INIT;
    int rc = medshapefs_dataset_file(m, id, "dataset.json", &text, e);
    if (rc != 0)
        return rc;
    struct json *dataset = json_parse(buf_cstr(&text), text.len, NULL);
    if (dataset == NULL)
        return err_set(e, -EBADMSG,
                       "%s: its dataset.json is damaged (run 'medshapefs refresh --force')", id);
    info_text(out, dataset);
    json_free(dataset);
    rc = part(m, id, "LICENSE.txt", out, e);
    return rc == 0 ? part(m, id, "CITATION.bib", out, e) : rc;
}

static int info(struct medshapefs *m, const char *id, bool json)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    struct err e = {0};
    int rc =
        json ? medshapefs_dataset_file(m, id, "dataset.json", &out, &e) : page(m, id, &out, &e);
    return rc == 0 ? cli_print(&out) : no_file(id, rc, &e);
}

int cmd_info(struct args *a)
{
    struct cli_view v;
    int status = cli_open(a, &v);
    if (status == CLI_DONE)
        status = info(v.shapes, a->operand[0], (a->given & OPTION_JSON) != 0);
    cli_close(&v);
    return status;
}

static int collect(struct medshapefs *m, const struct args *a, struct buf *out)
{
    struct err e = {0};
    int rc = a->operands == 0 ? medshapefs_root_file(m, "CITATION.bib", out) : 0;
    if (rc != 0)
        return cli_fail(&e, rc, "CITATION.bib");
    for (int i = 0; i < a->operands && rc == 0; i++) {
        buf_str(out, i > 0 ? "\n" : "");
        rc = medshapefs_dataset_file(m, a->operand[i], "CITATION.bib", out, &e);
        if (rc != 0)
            return no_file(a->operand[i], rc, &e);
    }
    return CLI_DONE;
}

static int print_bibtex(struct buf *text, bool json)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    if (!json || text->err != 0)
        return cli_print(text);
    buf_str(&out, "{\"bibtex\": ");
    json_quote(&out, text->data, text->len);
    buf_str(&out, "}\n");
    return cli_print(&out);
}

int cmd_cite(struct args *a)
{
    struct cli_view v;
    struct buf text CLEANUP_BUF = BUF_INIT;
    int status = cli_open(a, &v);
    if (status == CLI_DONE)
        status = collect(v.shapes, a, &text);
    if (status == CLI_DONE)
        status = print_bibtex(&text, (a->given & OPTION_JSON) != 0);
    cli_close(&v);
    return status;
}
