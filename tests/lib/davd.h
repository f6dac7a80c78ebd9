/* Starts and steers lib/davd.py from a C test. Include it in one file of a program. */
#ifndef TESTS_LIB_DAVD_H
#define TESTS_LIB_DAVD_H

#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct davd {
    pid_t pid;
    int in; /* closing it ends the server */
    unsigned port;
};

/* Starts the server with these arguments (ended by NULL, at most 24) and waits until it is ready;
 * false: no Python. */
static inline bool davd_start(struct davd *d, const char *const *args)
{
    static const char script[] = TEST_SOURCE_DIR "/lib/davd.py";
    const char *argv[32] = {"python3", script};
    int in[2], out[2];
    char line[16] = "";
    for (size_t i = 0; i < 24 && args[i] != NULL; i++)
        argv[2 + i] = args[i];
    if (pipe(in) != 0 || pipe(out) != 0)
        return false;
    d->pid = fork();
    if (d->pid == 0) {
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            (void)close(fd);
        (void)execvp("python3", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    d->in = in[1];
    size_t have = 0;
    for (ssize_t n = 1; n > 0 && have < sizeof(line) - 1 && strchr(line, '\n') == NULL;) {
        n = read(out[0], line + have, sizeof(line) - 1 - have);
        have += n > 0 ? (size_t)n : 0;
    }
    (void)close(out[0]);
    d->port = (unsigned)strtoul(line, NULL, 10);
    return d->port != 0;
}

/* Ends the server. */
static inline void davd_stop(struct davd *d)
{
    (void)close(d->in);
    (void)kill(d->pid, SIGTERM);
    (void)waitpid(d->pid, NULL, 0);
}

/* Sends one request with a body (or none) and returns the whole answer, which the caller frees;
 * NULL on trouble. */
static inline char *davd_ask(const struct davd *d, const char *method, const char *path,
                             const char *body, size_t len)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)d->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t cap = 65536, have = 0;
    char *answer = calloc(1, cap);
    char head[512];
    int n = snprintf(head, sizeof(head),
                     "%s %s HTTP/1.1\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", method,
                     path, len);
    bool fine =
        connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 && write(fd, head, (size_t)n) == n;
    for (size_t done = 0; fine && done < len;) {
        ssize_t w = write(fd, body + done, len - done);
        fine = w > 0;
        done += w > 0 ? (size_t)w : 0;
    }
    for (ssize_t r = 1; fine && r > 0; have += r > 0 ? (size_t)r : 0) {
        if (cap - have < 4096) {
            answer = realloc(answer, cap *= 2);
            memset(answer + have, 0, cap - have);
        }
        r = read(fd, answer + have, cap - have - 1);
    }
    (void)close(fd);
    if (have == 0 || strncmp(answer, "HTTP/1.1 200", 12) != 0) {
        free(answer);
        return NULL;
    }
    return answer;
}

/* A control request, as "/_set?busy=%d"; true when it was taken. */
static inline bool __attribute__((format(printf, 2, 3)))
davd_post(const struct davd *d, const char *fmt, ...)
{
    char path[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(path, sizeof(path), fmt, ap);
    va_end(ap);
    char *answer = davd_ask(d, "POST", path, "", 0);
    free(answer);
    return answer != NULL;
}

/* How often `text` is in the log of requests. */
static inline unsigned davd_count(const struct davd *d, const char *text)
{
    char *log = davd_ask(d, "GET", "/_log", "", 0);
    unsigned n = 0;
    for (const char *at = log; at != NULL && (at = strstr(at, text)) != NULL; at++)
        n++;
    free(log);
    return n;
}

#endif
