#include "cli/cli_i.h"
#include "cli/pack_text_i.h"
#include "cli/progress_i.h"
#include "cli/stop_i.h"
#include "cli/text_i.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct output {
    struct progress line;
    bool json;
    struct buf row;
    uint64_t rows;
};

static void remark(void *arg, const char *line)
{
    struct output *out = arg;
    progress_wipe(&out->line);
    log_warn("%s", line);
}

static bool progress(void *arg, uint64_t text, uint64_t all)
{
    struct output *out = arg;
    struct buf line CLEANUP_BUF = BUF_INIT;
    text_bytes(&line, text);
    if (all > 0) {
        buf_str(&line, " of ");
        text_bytes(&line, all);
        buf_str(&line, ", ");
        text_percent(&line, text, all);
    }
    progress_show(&out->line, buf_cstr(&line));
    return !stop_asked();
}

static bool row(void *arg, const struct medshapefs_packed_file *f)
{
    struct output *out = arg;
    buf_clear(&out->row);
    if (out->json)
        buf_str(&out->row, out->rows == 0 ? "[\n " : ",\n ");
    else if (out->rows == 0)
        unpack_list_head(&out->row);
    if (out->json)
        unpack_list_json(&out->row, f);
    else
        unpack_list_text(&out->row, f);
    out->rows++;
    return out->row.err == 0 && fwrite(out->row.data, 1, out->row.len, stdout) == out->row.len;
}

static int report(const struct medshapefs_unpacked *done, struct output *out,
                  enum medshapefs_unpacking what)
{
    int status = CLI_DONE;
    buf_clear(&out->row);
    if (what == MEDSHAPEFS_LIST)
        buf_str(&out->row, !out->json ? "" : out->rows > 0 ? "\n]\n" : "[]\n");
    else if (out->json)
        unpack_json(&out->row, done);
    else
        unpack_text(&out->row, done, what == MEDSHAPEFS_VERIFY);
    status = cli_print(&out->row);
    if (status == CLI_DONE && done->failed > 0)
        status = done->files + done->folders > 0 ? CLI_PARTLY : CLI_FAILED;
    return status != CLI_FAILED && done->missing > 0 ? CLI_NOT_FOUND : status;
}

static bool is_url(const char *file)
{
    return strncmp(file, "http://", 7) == 0 || strncmp(file, "https://", 8) == 0 ||
           strncmp(file, "s3://", 5) == 0;
}

/* What is wrong with the line. */
static int check(const struct args *a)
{
    const char *file = a->operand[0];
    if ((a->given & OPTION_LIST) != 0 && (a->given & OPTION_VERIFY) != 0)
        log_error("unpack: only one of -l and --verify can be given");
    else if (is_url(file))
        log_error("unpack: %s: a URL (mount it: medshapefs mount -o source=%s MOUNTPOINT)", file,
                  file);
    else
        return CLI_DONE;
    return CLI_USAGE;
}

int cmd_unpack(struct args *a)
{
    struct output out = {.json = (a->given & OPTION_JSON) != 0};
    struct medshapefs_unpacked done;
    struct err e = {0};
    int status = check(a);
    if (status != CLI_DONE)
        return status;
    struct medshapefs_unpack o = {.what = (a->given & OPTION_LIST) != 0     ? MEDSHAPEFS_LIST
                                          : (a->given & OPTION_VERIFY) != 0 ? MEDSHAPEFS_VERIFY
                                                                            : MEDSHAPEFS_UNPACK,
                                  .file = a->operand[0],
                                  .dir = a->folder != NULL ? a->folder : ".",
                                  .path = a->operand + 1,
                                  .paths = (size_t)a->operands - 1,
                                  .replace = (a->given & OPTION_REPLACE) != 0,
                                  .remark = remark,
                                  .row = row,
                                  .progress = progress,
                                  .arg = &out};
    progress_begin(&out.line);
    stop_begin();
    int rc = medshapefs_unpack(&o, &done, &e);
    progress_wipe(&out.line);
    if (rc == 0)
        status = report(&done, &out, o.what);
    else
        (void)cli_fail(&e, rc, o.file);
    buf_free(&out.row);
    if (rc == 0)
        return status;
    return rc == -ENOENT ? CLI_NOT_FOUND : rc == -EINVAL ? CLI_USAGE : CLI_FAILED;
}
