#include "cli/cli_i.h"
#include "cli/text_i.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct results {
    unsigned given;
    struct buf line;
    uint64_t shown;
};

static bool end_line(struct results *r)
{
    if (r->line.err != 0)
        return false;
    r->shown++;
    return fwrite(r->line.data, 1, r->line.len, stdout) == r->line.len;
}

static bool text_row(void *arg, const struct medshapefs_match *x)
{
    struct results *r = arg;
    buf_clear(&r->line);
    buf_str(&r->line, (r->given & OPTION_URLS) != 0 ? x->url : x->path);
    buf_str(&r->line, "\n");
    return end_line(r);
}

/* index.csv leaves a field empty where nothing is known; JSON has null for it. */
static const char *or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static bool json_row(void *arg, const struct medshapefs_match *x)
{
    struct results *r = arg;
    struct buf *out = &r->line;
    buf_clear(out);
    buf_str(out, r->shown == 0 ? "[\n {" : ",\n {");
    text_member(out, "path", x->path);
    text_member(out, "dataset", or_null(x->dataset));
    text_member(out, "anatomy", or_null(x->anatomy));
    text_member(out, "subject", or_null(x->subject));
    text_member(out, "side", or_null(x->side));
    text_member(out, "licence", or_null(x->licence));
    if (x->bytes == UINT64_MAX)
        text_member(out, "bytes", NULL);
    else
        text_number(out, "bytes", x->bytes);
    text_member(out, "url", or_null(x->url));
    buf_str(out, "}");
    return end_line(r);
}

static int count(struct medshapefs *m, const char *query, bool json, struct err *e)
{
    uint64_t matches = 0;
    int rc = medshapefs_search(m, query, NULL, NULL, &matches, e);
    if (rc == 0)
        (void)printf(json ? "{\"count\": %" PRIu64 "}\n" : "%" PRIu64 "\n", matches);
    return rc;
}

static int list(struct medshapefs *m, const char *query, unsigned given, struct err *e)
{
    struct results r = {.given = given};
    bool json = (given & OPTION_JSON) != 0;
    uint64_t matches = 0;
    int rc = medshapefs_search(m, query, json ? json_row : text_row, &r, &matches, e);
    if (json && rc == 0)
        (void)puts(r.shown > 0 ? "\n]" : "[]");
    if (rc == 0)
        rc = r.line.err;
    buf_free(&r.line);
    return rc;
}

static int search(struct medshapefs *m, const char *query, unsigned given)
{
    struct err e = {0};
    int rc = (given & OPTION_COUNT) != 0 ? count(m, query, (given & OPTION_JSON) != 0, &e)
                                         : list(m, query, given, &e);
    if (rc == 0)
        return CLI_DONE;
    (void)cli_fail(&e, rc, query);
    return rc == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

static bool many_ways(unsigned given)
{
    return __builtin_popcount(given & (OPTION_URLS | OPTION_PATHS | OPTION_COUNT)) > 1;
}

int cmd_search(struct args *a)
{
    struct buf query CLEANUP_BUF = BUF_INIT;
    struct cli_view v;
    if (many_ways(a->given)) {
        log_error("search: only one of --urls, --paths and --count can be given");
        return CLI_USAGE;
    }
    for (int i = 0; i < a->operands; i++) {
        buf_str(&query, i > 0 ? " " : "");
        buf_str(&query, a->operand[i]);
    }
    int status = cli_open(a, &v);
    if (status == CLI_DONE)
        status = search(v.shapes, buf_cstr(&query), a->given);
    cli_close(&v);
    return status;
}
