#include "cli/cli_i.h"
#include "cli/pack_text_i.h"
#include "cli/progress_i.h"
#include "cli/stop_i.h"
#include "cli/text_i.h"

#include "base/log.h"
#include "base/obj.h"

#include <errno.h>
#include <string.h>

static void remark(void *arg, const char *line)
{
    progress_wipe(arg);
    log_warn("%s", line);
}

static bool progress(void *arg, uint64_t text, uint64_t packed)
{
    struct buf line CLEANUP_BUF = BUF_INIT;
    text_bytes(&line, text);
    buf_str(&line, " packed in ");
    text_bytes(&line, packed);
    progress_show(arg, buf_cstr(&line));
    return !stop_asked();
}

/* Without -o the pack is called after the first path, and lies in the current folder. */
static int default_name(const char *path, char **out)
{
    char *full CLEANUP_FREE = realpath(path, NULL);
    if (full == NULL) {
        log_error("%s: %s", path, err_text(errno));
        return errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
    }
    const char *name = strrchr(full, '/') + 1;
    if (name[0] == '\0') {
        log_error("pack: %s has no name to call the pack after (give -o FILE.shapepack)", path);
        return CLI_USAGE;
    }
    return asprintf(out, "%s.shapepack", name) < 0 ? cli_fail(NULL, -ENOMEM, "pack") : CLI_DONE;
}

static int report(const char *file, const struct medshapefs_packed *done, bool json)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    if (json)
        pack_json(&out, file, done);
    else
        pack_text(&out, file, done);
    int status = cli_print(&out);
    return status == CLI_DONE && done->failed > 0 ? CLI_PARTLY : status;
}

static int pack(const struct args *a, const char *file)
{
    struct progress line;
    struct medshapefs_packed done;
    struct err e = {0};
    struct medshapefs_pack o = {.file = file,
                                .path = a->operand,
                                .paths = (size_t)a->operands,
                                .replace = (a->given & OPTION_REPLACE) != 0,
                                .small = (a->given & OPTION_SMALL) != 0,
                                .remark = remark,
                                .progress = progress,
                                .arg = &line};
    progress_begin(&line);
    stop_begin();
    int rc = medshapefs_pack(&o, &done, &e);
    progress_wipe(&line);
    if (rc == 0)
        return report(file, &done, (a->given & OPTION_JSON) != 0);
    (void)cli_fail(&e, rc, file);
    return rc == -ENOENT ? CLI_NOT_FOUND : rc == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

int cmd_pack(struct args *a)
{
    char *name CLEANUP_FREE = NULL;
    int status = a->output != NULL ? CLI_DONE : default_name(a->operand[0], &name);
    return status == CLI_DONE ? pack(a, a->output != NULL ? a->output : name) : status;
}
