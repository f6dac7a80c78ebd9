#include "fs/session.h"

#include "fs/fs_i.h"

#include "base/log.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 8, IDLE_WORKERS = 4, READ_AHEAD_KB = 1024 };

/* ---- the channel to the kernel ---- */

/* A reply is written from the mapping of a cache file. Should somebody have cut that file short, or
 * its disk fail, the write says EFAULT: then the reader gets EIO in place of the bytes, rather than
 * no reply at all. */
static ssize_t channel_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    (void)userdata;
    ssize_t n = writev(fd, iov, count);
    if (n >= 0 || errno != EFAULT)
        return n;
    struct fuse_out_header h;
    memcpy(&h, iov[0].iov_base, sizeof(h));
    h.len = sizeof(h);
    h.error = -EIO;
    return write(fd, &h, sizeof(h)) == (ssize_t)sizeof(h) ? (ssize_t)sizeof(h) : -1;
}

static ssize_t channel_read(int fd, void *data, size_t len, void *userdata)
{
    (void)userdata;
    return read(fd, data, len);
}

static char *mount_options(const struct conf *conf)
{
    struct buf o = BUF_INIT;
    buf_fmt(&o, "ro,nosuid,nodev,default_permissions,fsname=medshapefs,subtype=%s",
            conf->desktop ? "sshfs" : "medshapefs");
    if (conf->kernel_options != NULL && conf->kernel_options[0] != '\0')
        buf_fmt(&o, ",%s", conf->kernel_options);
    return buf_take(&o);
}

static struct fuse_session *new_session(struct fs *fs)
{
    char *options = mount_options(fs->conf);
    char name[] = "medshapefs", o[] = "-o";
    char *argv[] = {name, o, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(options != NULL ? 3 : 0, argv);
    struct fuse_session *se =
        options != NULL ? fuse_session_new(&args, &fs_ops, sizeof(fs_ops), fs) : NULL;
    fuse_opt_free_args(&args);
    free(options);
    return se;
}

/* Only root may: larger requests of a sequential reader; random ones still ask for what they want
 * only. */
static void raise_read_ahead(const char *mountpoint)
{
    char path[96];
    unsigned major, minor;
    if (geteuid() != 0 || !fs_find_mount(mountpoint, &major, &minor))
        return;
    (void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major, minor);
    CLEANUP_FCLOSE FILE *f = fopen(path, "we");
    if (f != NULL)
        (void)fprintf(f, "%d", READ_AHEAD_KB);
}

static int attach(struct fs *fs, struct err *e)
{
    static const struct fuse_custom_io io = {.writev = channel_writev, .read = channel_read};
    const char *where = fs->options->mountpoint;
    int r = fs_clear_stale(where, e);
    if (r != 0)
        return r;
    fs->session = new_session(fs);
    if (fs->session == NULL)
        return err_set(e, -EINVAL,
                       "%s: FUSE refuses the mount options (medshapefs mount --help lists them)",
                       where);
    if (fuse_session_mount(fs->session, where) != 0)
        return err_set(
            e, -EPERM,
            "%s: cannot be mounted (is /dev/fuse there, fusermount3 installed, and the folder "
            "yours? allow_other needs user_allow_other in /etc/fuse.conf)",
            where);
    if (fuse_session_custom_io(fs->session, &io, fuse_session_fd(fs->session)) != 0)
        return err_set(e, -ENOMEM, "%s: out of memory", where);
    raise_read_ahead(where);
    return 0;
}

/* ---- readiness ---- */

static void detach_stdio(void)
{
    CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        (void)dup2(null, fd);
}

void fs_ready(struct fs *fs)
{
    const struct medshapefs_watcher w = {fs_notify_entry, fs_notify_inode, fs};
    if (medshapefs_watch(fs->core, &w, fs->options->refresh_argv) != 0)
        log_warn("cannot watch for changes: a refresh is seen after the next mount only");
    if (*fs->ready_fd < 0)
        return;
    log_setup(LOG_LEVEL_INFO, true);
    detach_stdio();
    (void)!write(*fs->ready_fd, "", 1);
    (void)close(*fs->ready_fd);
    *fs->ready_fd = -1;
}

/* ---- serving ---- */

static int loop(struct fs *fs)
{
    struct fuse_loop_config *c = fuse_loop_cfg_create();
    if (c == NULL)
        return -ENOMEM;
    fuse_loop_cfg_set_max_threads(c, WORKERS);
    fuse_loop_cfg_set_idle_threads(c, IDLE_WORKERS);
    int r = fuse_session_loop_mt(fs->session, c);
    fuse_loop_cfg_destroy(c);
    return r < 0 ? r : 0;
}

/* Threads of the core are to get no signal: they go to the thread that runs the loop. */
static void block_signals(sigset_t *old)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, old);
}

static int serve(const struct conf *conf, const struct session_options *o, int *ready_fd,
                 struct err *e)
{
    struct fs fs = {.conf = conf,
                    .options = o,
                    .uid = conf->uid >= 0 ? (uid_t)conf->uid : getuid(),
                    .gid = conf->gid >= 0 ? (gid_t)conf->gid : getgid(),
                    .ready_fd = ready_fd};
    sigset_t old;
    (void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is a sick cache, not the end */
    block_signals(&old);
    int r = medshapefs_open(conf, MEDSHAPEFS_SERVE, o->mountpoint, &fs.core, e);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r == 0)
        r = attach(&fs, e);
    if (r == 0 && fuse_set_signal_handlers(fs.session) != 0)
        r = err_set(e, -EINVAL, "cannot set signal handlers");
    if (r == 0) {
        r = loop(&fs);
        fuse_remove_signal_handlers(fs.session);
        (void)err_set(e, r, "%s: the connection to the kernel broke: %s", o->mountpoint,
                      err_text(r));
    }
    medshapefs_close(&fs.core); /* first: its threads may be replying still */
    if (fs.session != NULL) {
        fuse_session_unmount(fs.session);
        fuse_session_destroy(fs.session);
    }
    return r;
}

/* The child: serves, and hands a failure before the mount answers to the parent. */
static void run_child(const struct conf *conf, const struct session_options *o, int fd)
{
    struct err e = {.code = 0};
    (void)setsid();
    (void)signal(SIGHUP, SIG_IGN);
    (void)!chdir("/");
    int r = serve(conf, o, &fd, &e);
    if (r != 0 && fd >= 0)
        (void)!write(fd, &e, sizeof(e));
    else if (r != 0)
        log_error("%s", e.text);
    _exit(r == 0 ? 0 : 1);
}

static int wait_for_child(int fd, pid_t pid, struct err *e)
{
    struct err said = {.code = 0};
    ssize_t n;
    do
        n = read(fd, &said, sizeof(said));
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return 0;
    (void)waitpid(pid, NULL, 0);
    if (n != (ssize_t)sizeof(said))
        return err_set(
            e, -EIO, "the daemon ended before the mount answered (medshapefs mount -f shows why)");
    return err_set(e, said.code, "%s", said.text);
}

int session_run(const struct conf *conf, const struct session_options *o, struct err *e)
{
    int fd[2];
    int nobody = -1;
    if (o->foreground)
        return serve(conf, o, &nobody, e);
    if (pipe2(fd, O_CLOEXEC) != 0)
        return err_set(e, -errno, "pipe: %s", err_text(errno));
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fd[0]);
        run_child(conf, o, fd[1]);
    }
    (void)close(fd[1]);
    int r =
        pid < 0 ? err_set(e, -errno, "fork: %s", err_text(errno)) : wait_for_child(fd[0], pid, e);
    (void)close(fd[0]);
    return r;
}
