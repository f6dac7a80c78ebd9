#include "cli/status_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/obj.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum { STATUS_MAX = 4 << 20 };

/* In the child: the file into the pipe; the exit status is an errno. */
static _Noreturn void send_file(const char *path, int fd)
{
    struct buf text = BUF_INIT;
    int rc = fsio_read_file(path, STATUS_MAX, &text);
    size_t sent = 0;
    while (rc == 0 && sent < text.len) {
        ssize_t n = write(fd, text.data + sent, text.len - sent);
        if (n < 0)
            rc = -errno;
        else
            sent += (size_t)n;
    }
    _exit(-rc);
}

/* Reads the pipe to its end; 0 or -errno. */
static int receive(int fd, int ms, struct buf *out)
{
    int64_t end = clock_ms() + ms;
    for (;;) {
        int64_t left = end - clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready == 0)
            return -ETIMEDOUT;
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready < 0)
            continue;
        if (buf_reserve(out, 65536) != 0)
            return -ENOMEM;
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        out->len += n > 0 ? (size_t)n : 0;
    }
}

static void trim(struct buf *out)
{
    while (out->len > 0 && (unsigned char)out->data[out->len - 1] <= ' ')
        out->len--;
}

int status_read(const char *mountpoint, int ms, struct buf *out)
{
    char *path CLEANUP_FREE = NULL;
    int ends[2];
    if (asprintf(&path, "%s/.medshapefs/status.json", mountpoint) < 0)
        return -ENOMEM;
    if (pipe(ends) != 0)
        return -errno;
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        send_file(path, ends[1]);
    }
    int rc = child < 0 ? -errno : 0;
    (void)close(ends[1]);
    if (rc == 0)
        rc = receive(ends[0], ms, out);
    (void)close(ends[0]);
    int status = 0;
    if (child > 0 && rc != 0)
        (void)kill(child, SIGKILL);
    if (child > 0 && rc == 0 && waitpid(child, &status, 0) == child)
        rc = WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
    trim(out);
    return rc;
}
