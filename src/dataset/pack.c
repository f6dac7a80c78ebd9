#include "dataset/packs_i.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { OPEN_FILES = PACK_PATH_MAX };

/* One path of the command line. */
struct operand {
    const char *path;
    char *name; /* as the pack has it */
    enum packs_rank rank;
};

static int compare(const void *a, const void *b)
{
    const struct operand *x = a, *y = b;
    return x->rank != y->rank ? (x->rank > y->rank) - (x->rank < y->rank)
                              : packs_compare(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
    return packs_compare(((const struct operand *)a)->name, ((const struct operand *)b)->name);
}

static int look(const char *path, struct operand *out, struct err *e)
{
    struct buf name = BUF_INIT;
    struct stat st;
    int r = packs_name(path, &name);
    if (r == 0 && (out->name = buf_take(&name)) == NULL)
        r = -ENOMEM;
    buf_free(&name);
    if (r == -EINVAL)
        return err_set(e, r, "%s: a path with '..' cannot be in a pack (change into that folder)",
                       path);
    if (r != 0)
        return err_set(e, r, "out of memory");
    if (lstat(path, &st) != 0)
        return err_set(e, -errno, "%s: %s", path, err_text(errno));
    out->path = path;
    out->rank = packs_rank(&st);
    return 0;
}

/* No path may be another one, or below it. Leaves them in the order in which they are packed. */
static int order(struct operand *operand, size_t count, struct err *e)
{
    qsort(operand, count, sizeof(*operand), compare_names);
    for (size_t i = 1; i < count; i++)
        if (packs_below(operand[i - 1].name, operand[i].name, strlen(operand[i].name)))
            return err_set(e, -EINVAL, "%s: would be in the pack twice, since %s is to be too",
                           operand[i].path, operand[i - 1].path);
    qsort(operand, count, sizeof(*operand), compare);
    return 0;
}

static void progress(void *arg, uint64_t text, uint64_t packed)
{
    struct packs_walk *w = arg;
    (void)text; /* what was read is ahead of it */
    w->packed = packed;
    (void)packs_tick(w);
}

static void identify(const char *path, const char *suffix, struct stat *out)
{
    struct buf name CLEANUP_BUF = BUF_INIT;
    buf_fmt(&name, "%s%s", path, suffix);
    if (stat(buf_cstr(&name), out) != 0)
        memset(out, 0, sizeof(*out));
}

/* Each level of folders holds one open file. */
static void allow_depth(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= OPEN_FILES)
        return;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES ? limit.rlim_max : OPEN_FILES;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int begin(struct packs_walk *w, struct err *e)
{
    struct pack_writer_options o = {.path = w->o->file,
                                    .replace = w->o->replace,
                                    .effort = w->o->small ? CODEC_SMALL : CODEC_FAST,
                                    .progress = progress,
                                    .arg = w};
    allow_depth();
    identify(w->o->file, "", &w->old);
    int r = pack_writer_open(&o, &w->writer, e);
    if (r == 0)
        identify(w->o->file, ".partial", &w->partial);
    return r;
}

static int visit_all(struct packs_walk *w, const struct operand *operand, size_t count,
                     struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        buf_clear(&w->path);
        buf_str(&w->path, operand[i].name);
        r = w->path.err != 0 ? err_set(e, w->path.err, "out of memory")
                             : packs_visit(w, AT_FDCWD, operand[i].path, operand[i].rank, e);
    }
    if (r == 0 && w->sum->files + w->sum->folders == 0)
        r = err_set(e, -ENODATA, "%s: there is nothing to pack", w->o->file);
    return r;
}

static int pack_operands(const struct medshapefs_pack *o, const struct operand *operand,
                         struct medshapefs_packed *sum, struct err *e)
{
    struct stat st = {.st_size = 0};
    const char *slash = strrchr(o->file, '/');
    char *spill = slash == NULL ? strdup(".") : strndup(o->file, (size_t)(slash - o->file) + 1);
    struct packs_walk w = {.o = o, .sum = sum, .spill = spill, .device = (dev_t)-1};
    int r = spill == NULL ? err_set(e, -ENOMEM, "out of memory") : begin(&w, e);
    if (r == 0) {
        r = visit_all(&w, operand, o->paths, e);
        if (r == 0)
            r = pack_writer_end(&w.writer, e);
        pack_writer_abort(&w.writer);
    }
    if (r == 0 && stat(o->file, &st) == 0)
        sum->packed = (uint64_t)st.st_size;
    buf_free(&w.path);
    free(spill);
    return r == -ECANCELED ? err_set(e, r, "%s: interrupted: nothing is left of it", o->file) : r;
}

int medshapefs_pack(const struct medshapefs_pack *o, struct medshapefs_packed *out, struct err *e)
{
    struct operand *operand = calloc(o->paths + 1, sizeof(*operand));
    int r = 0;
    memset(out, 0, sizeof(*out));
    if (operand == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < o->paths && r == 0; i++)
        r = look(o->path[i], &operand[i], e);
    if (r == 0)
        r = order(operand, o->paths, e);
    if (r == 0)
        r = pack_operands(o, operand, out, e);
    for (size_t i = 0; i < o->paths; i++)
        free(operand[i].name);
    free(operand);
    return r;
}
