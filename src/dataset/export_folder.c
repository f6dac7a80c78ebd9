#include "dataset/export_i.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file, opened when its first bytes are asked for. */
struct local {
    const char *path;
    const struct stat *st; /* as it was listed */
    int fd;
    uint64_t done;
};

static bool changed(const struct local *l)
{
    struct stat now;
    return fstat(l->fd, &now) != 0 || (uint64_t)now.st_size != l->done ||
           now.st_size != l->st->st_size || now.st_mtim.tv_sec != l->st->st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != l->st->st_mtim.tv_nsec;
}

/* What is no file any more must not be waited for. */
static int open_local(struct local *l)
{
    struct stat st;
    l->fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (l->fd < 0 || fstat(l->fd, &st) != 0)
        return -errno;
    return S_ISREG(st.st_mode) ? 0 : -ESTALE;
}

static int64_t read_local(void *arg, void *buf, size_t len)
{
    struct local *l = arg;
    int r = l->fd < 0 ? open_local(l) : 0;
    if (r != 0)
        return r;
    ssize_t n = read(l->fd, buf, len);
    if (n < 0)
        return -errno;
    l->done += (uint64_t)n;
    if (n == 0 ? changed(l) : l->done > (uint64_t)l->st->st_size)
        return -ESTALE;
    return n;
}

static void rewind_local(void *arg)
{
    struct local *l = arg;
    l->done = 0;
    if (l->fd >= 0)
        (void)lseek(l->fd, 0, SEEK_SET);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int take(const struct export_sink *sink, const FTSENT *f, size_t root, bool folder)
{
    struct local l = {.path = f->fts_accpath, .st = f->fts_statp, .fd = -1};
    const char *path = f->fts_path + root;
    struct export_item item = {.path = path + strspn(path, "/"),
                               .folder = folder,
                               .mtime = l.st->st_mtim.tv_sec,
                               .mtime_ns = (uint32_t)l.st->st_mtim.tv_nsec,
                               .url = "",
                               .dataset = "",
                               .etag = "",
                               .read = read_local,
                               .rewind = rewind_local,
                               .arg = &l};
    int r = sink->has(sink->arg, &item) ? 0 : sink->take(sink->arg, &item);
    if (l.fd >= 0)
        (void)close(l.fd);
    return r;
}

static int visit(const struct export_sink *sink, FTS *walk, FTSENT *f, size_t root)
{
    switch (f->fts_info) {
    case FTS_F:
        return take(sink, f, root, false);
    case FTS_D:
        /* A folder with something in it needs no row of its own. */
        if (f->fts_level > 0 && fts_children(walk, FTS_NAMEONLY) == NULL && errno == 0)
            return take(sink, f, root, true);
        return 0;
    case FTS_DP:
        return 0;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return sink->failed(sink->arg, f->fts_path, -f->fts_errno);
    default:
        sink->left_out(sink->arg, f->fts_path);
        return 0;
    }
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int walk_all(FTS *walk, const char *folder, const struct stat *but,
                    const struct export_sink *sink, struct err *e)
{
    FTSENT *f;
    int r = 0;
    while (r == 0 && (errno = 0, f = fts_read(walk)) != NULL)
        if (f->fts_info == FTS_D && same(f->fts_statp, but))
            (void)fts_set(walk, f, FTS_SKIP);
        else if (f->fts_info != FTS_DP)
            r = sink->stop(sink->arg) ? -ECANCELED : visit(sink, walk, f, strlen(folder));
    if (r == 0 && errno != 0)
        r = err_set(e, -errno, "%s: %s", folder, err_text(errno));
    return r;
}

int export_folder_check(const char *folder, const char *but, struct err *e)
{
    struct stat st, out;
    if (stat(folder, &st) != 0)
        return err_set(e, -errno, "%s: %s", folder, err_text(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(e, -ENOTDIR, "%s: not a folder", folder);
    if (stat(but, &out) == 0 && same(&st, &out))
        return err_set(e, -EINVAL, "%s: it is the folder that is exported (give another DIR)", but);
    return 0;
}

int export_folder(const char *folder, const char *but, const struct export_sink *sink,
                  struct err *e)
{
    struct stat out;
    /* Cast away const: fts_open() has no other way, and changes nothing. */
    char *const paths[] = {(char *)(uintptr_t)folder, NULL};
    if (stat(but, &out) != 0)
        return err_set(e, -errno, "%s: %s", but, err_text(errno));
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (walk == NULL)
        return err_set(e, -errno, "%s: %s", folder, err_text(errno));
    int r = walk_all(walk, folder, &out, sink, e);
    (void)fts_close(walk);
    return r;
}
