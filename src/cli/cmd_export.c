#include "cli/cli_i.h"
#include "cli/progress_i.h"
#include "cli/refresh_command_i.h"
#include "cli/stop_i.h"
#include "cli/text_i.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const uint64_t PACK_MAX = 4ULL << 30, PACK_MIN = 128ULL << 20, CHECKPOINT = 256ULL << 20;

static void remark(void *arg, const char *line)
{
    progress_wipe(arg);
    log_warn("%s", line);
}

static bool progress(void *arg, const struct medshapefs_exporting *now)
{
    struct buf line CLEANUP_BUF = BUF_INIT;
    if (now->verifying)
        buf_str(&line, "verifying: ");
    else
        buf_fmt(&line, "%" PRIu64 " files, ", now->files);
    text_bytes(&line, now->text);
    buf_str(&line, now->verifying ? " of " : " packed in ");
    text_bytes(&line, now->packed);
    progress_show(arg, buf_cstr(&line));
    return !stop_asked();
}

static void as_json(struct buf *out, const struct medshapefs_exported *d)
{
    buf_str(out, "{");
    text_number(out, "added", d->added);
    text_number(out, "failed", d->failed);
    text_number(out, "packs", d->packs);
    text_number(out, "files", d->files);
    text_number(out, "bytes", d->text);
    text_number(out, "packed", d->bytes);
    buf_str(out, "}\n");
}

static void as_text(struct buf *out, const struct medshapefs_exported *d)
{
    buf_fmt(out, "%" PRIu64 " files added, %" PRIu64 " in %" PRIu64 " pack%s: ", d->added, d->files,
            d->packs, d->packs == 1 ? "" : "s");
    text_bytes(out, d->text);
    buf_str(out, " in ");
    text_bytes(out, d->bytes);
    if (d->bytes > 0)
        buf_fmt(out, " (%.1f times smaller)", (double)d->text / (double)d->bytes);
    if (d->failed > 0)
        buf_fmt(out, "; %" PRIu64 " could not be had", d->failed);
    buf_str(out, "\n");
}

static int report(const struct medshapefs_exported *d, bool json)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    if (json)
        as_json(&out, d);
    else
        as_text(&out, d);
    int status = cli_print(&out);
    return status == CLI_DONE && d->failed > 0 ? CLI_PARTLY : status;
}

/* What this version does not do is refused by name. */
static int check(const struct args *a, const char *to, uint64_t *pack_max)
{
    *pack_max = PACK_MAX;
    if ((a->given & OPTION_PACKED) == 0)
        log_error("export: a copy of plain files is not in this version (give --packed)");
    else if (strncmp(to, "s3://", 5) == 0)
        log_error("export: %s: S3 is not in this version (export to a folder, and copy that)", to);
    else if (a->pack_size != NULL && conf_parse_size(a->pack_size, pack_max) != 0)
        log_error("export: --pack-size %s: a size is wanted (such as 1G)", a->pack_size);
    else if (*pack_max < PACK_MIN || *pack_max > PACK_MAX)
        log_error("export: --pack-size: 128M to 4G are possible");
    else
        return CLI_DONE;
    return CLI_USAGE;
}

static int export(const struct args *a, const struct conf *conf, bool folder, uint64_t pack_max)
{
    struct progress line;
    struct err e = {0};
    struct medshapefs_exported done = {0};
    struct medshapefs_export o = {.conf = conf,
                                  .what = a->operands > 1 ? a->operand[0] : NULL,
                                  .folder = folder,
                                  .dir = a->operand[a->operands - 1],
                                  .small = (a->given & OPTION_SMALL) != 0,
                                  .pack_max = pack_max,
                                  .checkpoint = CHECKPOINT,
                                  .remark = remark,
                                  .progress = progress,
                                  .arg = &line};
    progress_begin(&line);
    stop_begin();
    int rc = medshapefs_export(&o, &done, &e);
    progress_wipe(&line);
    if (rc == 0)
        return report(&done, (a->given & OPTION_JSON) != 0);
    (void)cli_fail(&e, rc, "export");
    return rc == -EINVAL ? CLI_USAGE : rc == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
}

static int export_collection(struct args *a, uint64_t pack_max)
{
    struct conf *conf = NULL;
    struct refresh_command c = {0};
    int status = cli_conf(a, &conf);
    if (status == CLI_DONE) {
        int rc = refresh_command_make(&c, a, conf);
        status = rc == 0 ? refresh_command_first(&c, conf) : cli_fail(NULL, rc, "export");
    }
    if (status == CLI_DONE)
        status = export(a, conf, false, pack_max);
    refresh_command_free(&c);
    conf_free(conf);
    return status;
}

int cmd_export(struct args *a)
{
    uint64_t pack_max;
    const char *what = a->operands > 1 ? a->operand[0] : "";
    int status = check(a, a->operand[a->operands - 1], &pack_max);
    if (status != CLI_DONE)
        return status;
    bool folder = strchr(what, '/') != NULL || strcmp(what, ".") == 0;
    return folder ? export(a, NULL, true, pack_max) : export_collection(a, pack_max);
}
