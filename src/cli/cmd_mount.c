#include "cli/cli_i.h"
#include "cli/mount_args_i.h"

#include "base/log.h"
#include "base/obj.h"
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

/* The command that refreshes what is mounted: it works in any folder and for as long as the program
 * stays in place. */
struct refresh_command {
    char *program;
    char *config;
    struct buf options;
    const char *argv[8];
};

static int refresh_command_make(struct refresh_command *c, struct args *a, const struct conf *conf)
{
    char *folder CLEANUP_FREE = getcwd(NULL, 0);
    const char *source =
        conf->by_source_option && conf->source_count == 1 ? conf->sources[0].url : NULL;
    size_t n = 0;
    c->program = realpath("/proc/self/exe", NULL);
    if (c->program == NULL || folder == NULL)
        return -errno;
    c->argv[n++] = c->program;
    c->argv[n++] = "refresh";
    if (conf->file != NULL) {
        c->config = realpath(conf->file, NULL);
        if (c->config == NULL)
            return -errno;
        c->argv[n++] = "--config";
        c->argv[n++] = c->config;
    }
    mount_args_options(&c->options, args_mount(a), source, folder);
    if (c->options.len > 0) {
        c->argv[n++] = "-o";
        c->argv[n++] = buf_cstr(&c->options);
    }
    c->argv[n] = NULL;
    return c->options.err;
}

static void refresh_command_free(struct refresh_command *c)
{
    free(c->program);
    free(c->config);
    buf_free(&c->options);
}

/* Runs it as a process of its own, with this one's stderr; returns its exit status, or -errno. */
static int refresh_command_run(const struct refresh_command *c)
{
    posix_spawn_file_actions_t files;
    pid_t child = -1;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return -rc;
    rc = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn(&child, c->program, &files, NULL, (char *const *)c->argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    if (rc != 0)
        return -rc;
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

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

/* 0 where there is a catalogue, -ENOENT where there is none yet, or another error. */
static int look_for_catalogue(const struct conf *conf, struct err *e)
{
    struct medshapefs *m = NULL;
    int rc = medshapefs_open(conf, MEDSHAPEFS_BROWSE, NULL, &m, e);
    medshapefs_close(&m);
    return rc;
}

static int first_refresh(const struct conf *conf, const struct refresh_command *c)
{
    if (conf->offline) {
        log_error("%s: there is no catalogue yet, and 'offline' forbids to fetch one (mount once "
                  "without it)",
                  conf->cache_dir);
        return CLI_FAILED;
    }
    int status = refresh_command_run(c);
    if (status == -EINTR)
        log_error("refresh: it was killed before the catalogue was complete (mount again)");
    else if (status < 0)
        return cli_fail(NULL, status, c->program);
    return status == CLI_PARTLY ? CLI_DONE : (status < 0 ? CLI_FAILED : status);
}

static int serve(const struct conf *conf, const struct refresh_command *c,
                 const struct session_options *o)
{
    struct err e = {0};
    int rc = look_for_catalogue(conf, &e);
    int status = rc == -ENOENT ? first_refresh(conf, c) : CLI_DONE;
    if (status != CLI_DONE)
        return status;
    if (rc != 0 && rc != -ENOENT)
        return cli_fail(&e, rc, "catalogue");
    struct err failed = {0};
    rc = session_run(conf, o, &failed);
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
