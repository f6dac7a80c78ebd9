/* Runs faultd.py for a test, and knows what it serves. */
#ifndef TESTS_LIB_FAULTD_H
#define TESTS_LIB_FAULTD_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct faultd {
    pid_t pid;
    int input; /* the server ends when this is closed */
    unsigned port;
};

/* Starts a server, with --tls CERT KEY where they are not NULL, and waits until it is ready; aborts
 * where it cannot. */
static inline void faultd_start_tls(struct faultd *d, const char *cert, const char *key)
{
    int in[2], out[2];
    char text[16] = "";
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        abort();
    char *argv[] = {(char *)(uintptr_t) "python3",
                    (char *)(uintptr_t)TEST_SOURCE_DIR "/lib/faultd.py",
                    (char *)(uintptr_t) "--until-eof",
                    cert != NULL ? (char *)(uintptr_t) "--tls" : NULL,
                    (char *)(uintptr_t)cert,
                    (char *)(uintptr_t)key,
                    NULL};
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, in[0], 0);
    posix_spawn_file_actions_adddup2(&fa, out[1], 1);
    int rc = posix_spawnp(&d->pid, argv[0], &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    close(in[0]);
    close(out[1]);
    for (size_t n = 0; rc == 0 && n < sizeof(text) - 1 && strchr(text, '\n') == NULL; n++)
        if (read(out[0], text + n, 1) != 1)
            break;
    close(out[0]);
    d->input = in[1];
    d->port = (unsigned)strtoul(text, NULL, 10);
    if (d->port == 0)
        abort();
}

static inline void faultd_start(struct faultd *d)
{
    faultd_start_tls(d, NULL, NULL);
}

static inline void faultd_stop(struct faultd *d)
{
    close(d->input);
    waitpid(d->pid, NULL, 0);
}

/* Byte `i` of an object, as the head of faultd.py says. */
static inline unsigned char faultd_byte(const char *name, unsigned version, uint64_t i)
{
    uint32_t h = 2166136261U;
    for (const char *c = name; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 16777619U;
    uint64_t x = (((uint64_t)version << 32) + h + i / 8) * 0x9E3779B97F4A7C15U;
    x ^= x >> 29;
    return (unsigned char)(x >> (8 * (i % 8)));
}

/* Asks a control path ("POST /_reset") by a connection of its own; the answer's body goes to `out`
 * (may be NULL). */
static inline void faultd_control(const struct faultd *d, const char *what, const char *body,
                                  char *out, size_t cap)
{
    static const size_t room = 1 << 20;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)d->port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char *text = malloc(room);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (text == NULL || s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) != 0)
        abort();
    int n = snprintf(text, room, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", what,
                     strlen(body), body);
    if (send(s, text, (size_t)n, MSG_NOSIGNAL) != n || shutdown(s, SHUT_WR) != 0)
        abort();
    size_t len = 0;
    ssize_t got;
    while (len < room - 1 && (got = recv(s, text + len, room - 1 - len, 0)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    const char *start = strstr(text, "\r\n\r\n");
    if (out != NULL)
        (void)snprintf(out, cap, "%s", start != NULL ? start + 4 : "");
    close(s);
    free(text);
}

/* A number of GET /_stat. */
static inline long faultd_stat(const struct faultd *d, const char *name)
{
    char text[512], key[64];
    faultd_control(d, "GET /_stat", "", text, sizeof(text));
    (void)snprintf(key, sizeof(key), "\"%s\": ", name);
    const char *at = strstr(text, key);
    return at != NULL ? strtol(at + strlen(key), NULL, 10) : -1;
}

#endif
