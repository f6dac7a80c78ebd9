#include "cli/cli_i.h"
#include "cli/refresh_command_i.h"

#include "base/log.h"
#include "base/obj.h"
#include "fs/session.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* A folder, or a mount point that a dead daemon left behind. */
static int check_mountpoint(const char *path, char **absolute)
{
    struct stat st;
    int rc = cli_absolute(path, absolute);
    if (rc == -ENOENT) {
        log_error("%s: there is no such folder (make it: mkdir -p '%s')", path, path);
        return CLI_FAILED;
    }
    if (rc != 0)
        return cli_fail(NULL, rc, path);
    if (stat(*absolute, &st) != 0)
        return errno == ENOTCONN ? CLI_DONE : cli_fail(NULL, -errno, path);
    if (!S_ISDIR(st.st_mode)) {
        log_error("%s: it is not a folder (give an empty folder as the mount point)", path);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int serve(const struct conf *conf, const struct refresh_command *c,
                 const struct session_options *o)
{
    int status = refresh_command_first(c, conf);
    if (status != CLI_DONE)
        return status;
    struct err failed = {0};
    int rc = session_run(conf, o, &failed);
    return rc == 0 ? CLI_DONE : cli_fail(&failed, rc, o->mountpoint);
}

static int mount_at(struct args *a, const char *path)
{
    char *mountpoint CLEANUP_FREE = NULL;
    struct conf *conf = NULL;
    struct refresh_command c = {0};
    int status = check_mountpoint(path, &mountpoint);
    if (status == CLI_DONE)
        status = cli_conf(a, &conf);
    if (status == CLI_DONE) {
        int rc = refresh_command_make(&c, a, conf);
        status = rc == 0 ? CLI_DONE : cli_fail(NULL, rc, "mount");
    }
    if (status == CLI_DONE && (a->given & OPTION_FAKE) == 0) {
        struct session_options o = {mountpoint, (a->given & OPTION_FOREGROUND) != 0, c.argv};
        log_setup(LOG_LEVEL_INFO, false);
        status = serve(conf, &c, &o);
    }
    refresh_command_free(&c);
    conf_free(conf);
    return status;
}

int cmd_mount(struct args *a)
{
    return mount_at(a, a->operand[0]);
}

int cmd_mount_helper(struct args *a)
{
    const char *source = a->operand[0];
    if (strcmp(source, "medshapefs") != 0 && strcmp(source, "none") != 0) {
        struct buf option CLEANUP_BUF = BUF_INIT;
        buf_fmt(&option, "source=%s", source);
        args_add_mount(a, buf_cstr(&option), true);
    }
    return mount_at(a, a->operand[1]);
}
