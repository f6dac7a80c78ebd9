#include "cli/cli_i.h"
#include "cli/progress_i.h"
#include "cli/refresh_text_i.h"

#include "base/log.h"

static void remark(void *arg, const char *line)
{
    progress_wipe(arg);
    log_warn("%s", line);
}

static void progress(void *arg, const char *text)
{
    progress_show(arg, text);
}

static int report(const struct medshapefs_refreshed *r, bool json)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    if (json)
        refresh_json(&out, r);
    else
        refresh_text(&out, r);
    int status = cli_print(&out);
    return status == CLI_DONE && r->failed_sources > 0 ? CLI_PARTLY : status;
}

int cmd_refresh(struct args *a)
{
    struct conf *conf = NULL;
    int status = cli_conf(a, &conf);
    if (status != CLI_DONE)
        return status;
    struct progress line;
    struct medshapefs_refreshed done = {0};
    struct err e = {0};
    progress_begin(&line);
    int rc = medshapefs_refresh(conf, (a->given & OPTION_FORCE) != 0, remark, progress, &line,
                                &done, &e);
    progress_wipe(&line);
    conf_free(conf);
    return rc == 0 ? report(&done, (a->given & OPTION_JSON) != 0) : cli_fail(&e, rc, "refresh");
}
