#include "cli/mount_args_i.h"
#include "cli/refresh_command_i.h"

#include "base/log.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

int refresh_command_make(struct refresh_command *c, struct args *a, const struct conf *conf)
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

void refresh_command_free(struct refresh_command *c)
{
    free(c->program);
    free(c->config);
    buf_free(&c->options);
}

/* Runs it as a process of its own, with this one's stderr; returns its exit status, or -errno. */
static int run_child(const struct refresh_command *c)
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
        log_error("%s: there is no catalogue yet, and 'offline' forbids to fetch one (run it once "
                  "without that)",
                  conf->cache_dir);
        return CLI_FAILED;
    }
    int status = run_child(c);
    if (status == -EINTR)
        log_error("refresh: it was killed before the catalogue was complete (run it again)");
    else if (status < 0)
        return cli_fail(NULL, status, c->program);
    return status == CLI_PARTLY ? CLI_DONE : (status < 0 ? CLI_FAILED : status);
}

int refresh_command_first(const struct refresh_command *c, const struct conf *conf)
{
    struct err e = {0};
    int rc = look_for_catalogue(conf, &e);
    if (rc == -ENOENT)
        return first_refresh(conf, c);
    return rc == 0 ? CLI_DONE : cli_fail(&e, rc, "catalogue");
}
