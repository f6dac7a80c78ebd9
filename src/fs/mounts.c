#include "fs/session.h"

#include "fs/fs_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/json.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GONE_MS = 10000 };

/* One line of /proc/self/mountinfo that is a mount of ours. */
struct mount_line {
    unsigned major, minor;
    char path[PATH_MAX];
};

/* Undoes the octal escapes of mountinfo. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s != '\0'; s++) {
        unsigned code;
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && sscanf(s + 1, "%3o", &code) == 1) {
            *to++ = (char)code;
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

static bool parse_line(char *line, struct mount_line *m)
{
    char type[64], source[64];
    char *tail = strstr(line, " - ");
    if (tail == NULL || sscanf(tail + 3, "%63s %63s", type, source) != 2 ||
        sscanf(line, "%*u %*u %u:%u %*s %4095s", &m->major, &m->minor, m->path) != 3)
        return false;
    unescape(m->path);
    /* -o desktop gives another type, so that file managers take it for remote: then the source
     * tells. */
    return strcmp(type, "fuse.medshapefs") == 0 ||
           (strncmp(type, "fuse.", 5) == 0 && strcmp(source, "medshapefs") == 0);
}

static int each_mount(bool (*row)(void *arg, const struct mount_line *m), void *arg)
{
    CLEANUP_FCLOSE FILE *f = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    struct mount_line m;
    if (f == NULL)
        return -errno;
    while (getline(&line, &cap, f) > 0)
        if (parse_line(line, &m) && !row(arg, &m))
            return 0;
    return 0;
}

struct names {
    bool (*row)(void *arg, const char *mountpoint);
    void *arg;
};

static bool name_row(void *arg, const struct mount_line *m)
{
    const struct names *n = arg;
    return n->row(n->arg, m->path);
}

int session_mounts(bool (*row)(void *arg, const char *mountpoint), void *arg)
{
    struct names n = {row, arg};
    return each_mount(name_row, &n);
}

struct finding {
    const char *path;
    struct mount_line line;
    bool found;
};

static bool find_row(void *arg, const struct mount_line *m)
{
    struct finding *f = arg;
    if (strcmp(m->path, f->path) == 0) {
        f->found = true; /* the last one is on top */
        f->line = *m;
    }
    return true;
}

bool fs_find_mount(const char *mountpoint, unsigned *major, unsigned *minor)
{
    struct finding f = {.path = mountpoint};
    (void)each_mount(find_row, &f);
    if (f.found) {
        *major = f.line.major;
        *minor = f.line.minor;
    }
    return f.found;
}

/* Runs fusermount3, quietly. 0 or -errno. */
static int run_fusermount(const char *mountpoint, const char *flags)
{
    extern char **environ;
    char name[] = "fusermount3", end[] = "--";
    char *argv[] = {name, (char *)(uintptr_t)flags, end, (char *)(uintptr_t)mountpoint, NULL};
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    int status;
    (void)posix_spawn_file_actions_init(&quiet);
    (void)posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    int r = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&quiet);
    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int fs_unmount(const char *mountpoint, bool *busy)
{
    bool root = geteuid() == 0;
    *busy =
        root ? umount2(mountpoint, UMOUNT_NOFOLLOW) != 0 : run_fusermount(mountpoint, "-uq") != 0;
    if (!*busy)
        return 0;
    if (!root)
        return run_fusermount(mountpoint, "-uqz");
    return umount2(mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH) == 0 ? 0 : -errno;
}

/* True where nobody serves a mount any more. stat(2) does not tell: the kernel remembers
 * attributes; statfs(2) always asks. */
static bool is_dead(const char *mountpoint)
{
    struct statvfs sv;
    return statvfs(mountpoint, &sv) != 0 && errno == ENOTCONN;
}

int fs_clear_stale(const char *mountpoint, struct err *e)
{
    unsigned major, minor;
    bool busy;
    while (is_dead(mountpoint) && fs_find_mount(mountpoint, &major, &minor)) {
        int r = fs_unmount(mountpoint, &busy);
        if (r != 0)
            return err_set(e, r, "%s: a dead mount is in the way: %s (fusermount3 -uz %s)",
                           mountpoint, err_text(r), mountpoint);
    }
    return 0;
}

/* A descriptor that tells when the daemon of a mount has ended, or -1. */
static int daemon_fd(const char *mountpoint)
{
    char path[PATH_MAX + 32];
    struct buf text = BUF_INIT;
    uint64_t pid = 0;
    (void)snprintf(path, sizeof(path), "%s/.medshapefs/status.json", mountpoint);
    if (fsio_read_file(path, 1 << 20, &text) == 0) {
        struct json *root = json_parse(text.data, text.len, NULL);
        if (!json_u64(json_get(root, "pid"), &pid))
            pid = 0;
        json_free(root);
    }
    buf_free(&text);
    return pid > 0 && pid < INT_MAX ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
}

int session_unmount(const char *mountpoint, struct err *e)
{
    char path[PATH_MAX];
    unsigned major, minor;
    bool dead = is_dead(mountpoint), busy;
    if (realpath(mountpoint, path) == NULL) {
        if (!dead)
            return err_set(e, -errno, "%s: %s", mountpoint, err_text(errno));
        (void)snprintf(path, sizeof(path), "%s", mountpoint);
    }
    if (!fs_find_mount(path, &major, &minor))
        return err_set(e, -EINVAL,
                       "%s: not mounted by medshapefs (medshapefs status lists what is)",
                       mountpoint);
    CLEANUP_CLOSE int fd = dead ? -1 : daemon_fd(path);
    int r = fs_unmount(path, &busy);
    if (r != 0)
        return err_set(e, r, "%s: %s (is the mount yours?)", mountpoint, err_text(r));
    struct pollfd p = {fd, POLLIN, 0};
    if (fd >= 0 && !busy) /* a busy one serves on until its last user lets go */
        (void)poll(&p, 1, GONE_MS);
    return 0;
}
