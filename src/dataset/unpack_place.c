#include "dataset/packs_i.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One component: the descriptor of the folder, or -errno. */
static int enter(int at, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(at, name, flags);
    if (fd < 0 && errno == ENOENT) {
        if (mkdirat(at, name, 0777) != 0 && errno != EEXIST)
            return -errno;
        fd = openat(at, name, flags);
    }
    return fd < 0 ? -errno : fd;
}

/* The path is cut at its slashes while it is walked, and whole again after. */
static int walk(int root, char *path)
{
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (char *p = path; fd >= 0 && *p != '\0';) {
        char *end = strchrnul(p, '/');
        char kept = *end;
        *end = '\0';
        int next = enter(fd, p);
        *end = kept;
        (void)close(fd);
        fd = next;
        p = end + (kept == '/' ? 1 : 0);
    }
    return fd;
}

struct unpack_place *unpack_place_open(int root, const char *path, size_t len)
{
    struct unpack_place *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->uses = 1;
    p->path = strndup(path, len);
    p->fd = p->path != NULL ? walk(root, p->path) : -ENOMEM;
    if (p->fd < 0) {
        p->err = p->fd;
        p->fd = -1;
    }
    return p;
}

void unpack_place_drop(struct unpack_place **pp)
{
    struct unpack_place *p = *pp;
    *pp = NULL;
    if (p == NULL || --p->uses > 0)
        return;
    if (p->fd >= 0)
        (void)close(p->fd);
    free(p->path);
    free(p);
}
