#include "dataset/packs_i.h"

#include "base/obj.h"
#include "base/sort.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum { NAMES_MEMORY = 4 << 20, ATTRIBUTE_MAX = 4096, SHOWN = 700 };

/* A file while it is read. */
struct source {
    struct packs_walk *w;
    int fd;
    struct stat st; /* as it was when it was opened */
    uint64_t done;
    int err;
};

bool packs_tick(struct packs_walk *w)
{
    if (w->o->progress != NULL && !w->o->progress(w->o->arg, w->text, w->packed))
        w->stopped = true;
    return !w->stopped;
}

enum packs_rank packs_rank(const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        return PACKS_FOLDER;
    if (!S_ISREG(st->st_mode))
        return PACKS_OTHER;
    return st->st_size > CODEC_BLOCK_MAX ? PACKS_LARGE : PACKS_SMALL;
}

static void say(struct packs_walk *w, const char *why)
{
    packs_remark(w->o->remark, w->o->arg, "%.*s: %s",
                 (int)(w->path.len < SHOWN ? w->path.len : SHOWN), w->path.data, why);
}

static int failed(struct packs_walk *w, const char *why)
{
    w->sum->failed++;
    say(w, why);
    return 0;
}

static int skipped(struct packs_walk *w, const char *why)
{
    w->sum->skipped++;
    say(w, why);
    return 0;
}

/* ---- one file ---- */

static bool changed(const struct source *s)
{
    struct stat now;
    return fstat(s->fd, &now) != 0 || now.st_size != s->st.st_size ||
           now.st_mtim.tv_sec != s->st.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != s->st.st_mtim.tv_nsec || s->done != (uint64_t)now.st_size;
}

static int64_t read_source(void *arg, void *out, size_t len)
{
    struct source *s = arg;
    ssize_t n;
    if (!packs_tick(s->w))
        return s->err = -ECANCELED;
    do
        n = read(s->fd, out, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return s->err = -errno;
    s->done += (uint64_t)n;
    s->w->text += (uint64_t)n;
    if (n == 0 ? changed(s) : s->done > (uint64_t)s->st.st_size)
        return s->err = -ESTALE;
    return n;
}

/* A value that is text; empty where there is none. */
static struct pack_slice attribute(int fd, const char *name, char value[ATTRIBUTE_MAX])
{
    ssize_t n = fgetxattr(fd, name, value, ATTRIBUTE_MAX);
    for (ssize_t i = 0; i < n; i++)
        if ((unsigned char)value[i] < ' ')
            n = 0;
    return (struct pack_slice){value, n > 0 ? (size_t)n : 0};
}

static bool on_fuse(struct packs_walk *w, const struct source *s)
{
    struct statfs sf;
    if (s->st.st_dev != w->device) {
        w->device = s->st.st_dev;
        w->fuse = fstatfs(s->fd, &sf) == 0 && sf.f_type == FUSE_SUPER_MAGIC;
    }
    return w->fuse;
}

static int add_file(struct packs_walk *w, struct source *s, struct err *e)
{
    struct err why = {0};
    char url[ATTRIBUTE_MAX], dataset[ATTRIBUTE_MAX], etag[ATTRIBUTE_MAX];
    struct pack_item item = {.path = {w->path.data, w->path.len},
                             .type = PACK_FILE,
                             .mtime = s->st.st_mtim.tv_sec,
                             .mtime_ns = (uint32_t)s->st.st_mtim.tv_nsec};
    if (on_fuse(w, s)) { /* a mount of the collection with -o xattr tells more */
        item.url = attribute(s->fd, "user.xdg.origin.url", url);
        item.dataset = attribute(s->fd, "user.medshapefs.dataset", dataset);
        item.etag = attribute(s->fd, "user.medshapefs.etag", etag);
    }
    int r = pack_writer_add(w->writer, &item, read_source, s, &why);
    if (r == 0) {
        w->sum->files++;
        w->sum->text += s->done;
        return 0;
    }
    w->text -= s->done;
    if (w->stopped || r != s->err)
        return w->stopped ? -ECANCELED : err_set(e, r, "%s: %s", w->o->file, err_text(r));
    return failed(w, r == -ESTALE ? "changed while it was read: not in the pack" : err_text(r));
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static int visit_file(struct packs_walk *w, int at, const char *name, struct err *e)
{
    struct source s = {.w = w};
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    CLEANUP_CLOSE int fd = openat(at, name, flags);
    s.fd = fd;
    if (fd < 0 || fstat(fd, &s.st) != 0)
        return failed(w, err_text(errno));
    if (!S_ISREG(s.st.st_mode))
        return skipped(w, "not a regular file: left out");
    if (same(&s.st, &w->partial))
        return 0;
    if (same(&s.st, &w->old))
        return skipped(w, "the pack that is to be replaced: left out");
    if ((uint64_t)s.st.st_size > PACK_SIZE_MAX)
        return failed(w, "larger than a file in a pack may be (128 GiB): not in the pack");
    return add_file(w, &s, e);
}

/* ---- folders ---- */

/* Sorts the names of a folder: key is the rank and the name. */
static int list(int fd, struct sort *names)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (d == NULL) {
        int r = -errno;
        if (copy >= 0)
            (void)close(copy);
        return r;
    }
    int r = 0;
    struct dirent *entry;
    while (r == 0 && (errno = 0, entry = readdir(d)) != NULL) {
        struct stat st = {.st_mode = S_IFREG}; /* one that went meanwhile is told when it is read */
        char key[NAME_MAX + 2];
        size_t len = strnlen(entry->d_name, NAME_MAX);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW);
        key[0] = (char)packs_rank(&st);
        memcpy(key + 1, entry->d_name, len);
        r = sort_add(names, key, len + 1, "", 0);
    }
    if (r == 0)
        r = -errno;
    (void)closedir(d);
    return r;
}

static int visit_names(struct packs_walk *w, int fd, struct sort *names, struct err *e)
{
    const void *key, *value;
    size_t klen, vlen, len = w->path.len;
    int r = sort_rewind(names);
    while (r == 0 && (r = sort_next(names, &key, &klen, &value, &vlen)) == 1) {
        char name[NAME_MAX + 1] = "";
        enum packs_rank rank = *(const unsigned char *)key;
        memcpy(name, (const char *)key + 1, klen - 1);
        buf_str(&w->path, len > 0 ? "/" : "");
        buf_str(&w->path, name);
        r = w->path.err != 0 ? w->path.err : packs_visit(w, fd, name, rank, e);
        w->path.len = len;
    }
    return r;
}

static int add_empty(struct packs_walk *w, int fd, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return failed(w, err_text(errno));
    struct pack_item item = {.path = {w->path.data, w->path.len},
                             .type = PACK_FOLDER,
                             .mtime = st.st_mtim.tv_sec,
                             .mtime_ns = (uint32_t)st.st_mtim.tv_nsec};
    w->sum->folders++;
    return pack_writer_add(w->writer, &item, NULL, NULL, e);
}

static int visit_folder(struct packs_walk *w, int at, const char *name, struct err *e)
{
    uint64_t before = w->sum->files + w->sum->folders;
    CLEANUP_CLOSE int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(w, err_text(errno));
    struct sort *names = sort_create(w->spill, NAMES_MEMORY);
    if (names == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    int r = list(fd, names);
    if (r != 0)
        r = failed(w, err_text(r));
    else if ((r = visit_names(w, fd, names, e)) != 0 && r != -ECANCELED)
        (void)err_set(e, r, "%s: %s", w->spill, err_text(r));
    sort_destroy(&names);
    if (r == 0 && w->path.len > 0 && before == w->sum->files + w->sum->folders)
        r = add_empty(w, fd, e);
    return r;
}

int packs_visit(struct packs_walk *w, int at, const char *name, enum packs_rank rank, struct err *e)
{
    if (!packs_tick(w))
        return -ECANCELED;
    if (w->path.len > PACK_PATH_MAX)
        return failed(w, "a path longer than a pack can hold: not in the pack");
    switch (rank) {
    case PACKS_FOLDER:
        return visit_folder(w, at, name, e);
    case PACKS_OTHER:
        return skipped(w, "not a regular file: left out");
    default:
        return visit_file(w, at, name, e);
    }
}
