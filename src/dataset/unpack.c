#include "dataset/packs_i.h"

#include "base/fsio.h"
#include "base/hash.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { DAMAGE_TOLD = 10, SHOWN = 600 };

/* One of the paths that were asked for. */
struct choice {
    char *name;
    bool matched;
};

struct unpack {
    const struct medshapefs_unpack *o;
    struct medshapefs_unpacked *sum;
    struct err *e;
    struct pack_io io;
    struct pack *pack;
    struct choice *choice;
    struct unpack_licences *licences;
    struct unpack_crew *crew;
    struct unpack_place *place; /* the folder of the row before */
    int root;
    bool unnamed; /* files can be made without a name: what is killed leaves nothing */
    uint64_t text, all;
    uint64_t damage; /* places of the catalogue */
    int stop;        /* why the work has to end now, -errno */
};

static void say(const struct unpack *u, struct pack_slice path, const char *what, const char *why)
{
    packs_remark(u->o->remark, u->o->arg, "%.*s: %s%s", (int)(path.len < SHOWN ? path.len : SHOWN),
                 path.s, what, why);
}

static void tick(struct unpack *u, uint64_t more)
{
    u->text += more;
    if (u->o->progress != NULL && !u->o->progress(u->o->arg, u->text, u->all) && u->stop == 0)
        u->stop = err_set(u->e, -ECANCELED, "%s: interrupted: what is out is whole", u->o->file);
}

/* ---- how a file ended ---- */

static bool hopeless(int err)
{
    return err == -ENOSPC || err == -EDQUOT || err == -EROFS;
}

static void tell_failure(struct unpack *u, const struct unpack_file *f)
{
    struct buf why CLEANUP_BUF = BUF_INIT;
    u->sum->failed++;
    if (hopeless(f->err) && u->stop == 0)
        u->stop = err_set(u->e, f->err, "%s: %s (run it again: what is out is whole, and is left)",
                          u->o->dir, err_text(f->err));
    if (f->end == UNPACK_DIFFERS)
        buf_str(&why, "another one is there already (-f replaces it)");
    else if (f->err == -EBADMSG && f->bad == SIZE_MAX)
        buf_str(&why, "damaged: it does not match its SHA-256");
    else if (f->err == -EBADMSG)
        buf_fmt(&why, "damaged: block %zu of %zu does not match its checksum", f->bad + 1,
                f->row.blocks);
    else if (f->err == -ENOTSUP)
        buf_str(&why, "packed in a way that this version does not know");
    else
        buf_str(&why, err_text(f->err));
    if (!hopeless(f->err))
        say(u, f->row.path, buf_cstr(&why), "");
}

static void report(struct unpack *u, struct unpack_file *f)
{
    if (f->end == UNPACK_OUT || f->end == UNPACK_THERE) {
        u->sum->files++;
        u->sum->there += f->end == UNPACK_THERE ? 1 : 0;
        u->sum->text += f->row.size;
    } else {
        tell_failure(u, f);
    }
    unpack_file_free(&f);
}

/* All blocks of a file that was cut into jobs are done. */
static void finish(struct unpack *u, struct unpack_file *f)
{
    unsigned char sum[HASH_SHA256_LEN];
    if (f->err == 0 && f->place != NULL) {
        f->err = unpack_file_publish(f);
    } else if (f->err == 0) {
        f->bad = SIZE_MAX;
        f->err = hash_sha256_end(f->sha, sum);
        if (f->err == 0 && memcmp(sum, f->row.sha256, sizeof(sum)) != 0)
            f->err = -EBADMSG;
    }
    f->end = f->err == 0 ? UNPACK_OUT : f->err == -EEXIST ? UNPACK_DIFFERS : UNPACK_FAILED;
    if (f->err != -ECANCELED)
        report(u, f);
    else
        unpack_file_free(&f);
}

/* ---- jobs ---- */

/* Takes the oldest job; false where there is none. */
static bool retire(struct unpack *u)
{
    struct unpack_job *job = unpack_crew_take(u->crew);
    if (job == NULL)
        return false;
    struct unpack_file *f = job->file;
    bool whole = job->run == unpack_run_whole;
    const struct pack_block *block = &f->row.block[job->block];
    uint64_t text = whole ? f->row.size : block->text;
    if (!whole && job->err != 0 && f->err == 0) {
        f->err = job->err;
        f->bad = job->block;
    }
    if (f->sha != NULL && f->err == 0)
        hash_sha256_add(f->sha, job->text, (size_t)block->text);
    unpack_crew_done(u->crew);
    if (whole)
        report(u, f);
    else if (--f->outstanding == 0 && f->closed)
        finish(u, f);
    tick(u, text);
    return true;
}

static void drain(struct unpack *u)
{
    while (u->crew != NULL && retire(u))
        ;
}

static void start(struct unpack *u, struct unpack_file *f, size_t block,
                  void (*run)(struct unpack_job *, struct unpack_kit *))
{
    struct unpack_job *job = unpack_crew_free_job(u->crew);
    while (job == NULL) {
        (void)retire(u);
        job = unpack_crew_free_job(u->crew);
    }
    job->file = f;
    job->block = block;
    job->run = run;
    job->err = 0;
    unpack_crew_put(u->crew);
}

/* A file of several blocks, which any threads may unpack. */
static void start_blocks(struct unpack *u, struct unpack_file *f)
{
    if (f->place != NULL)
        f->err = unpack_file_begin(f);
    else if ((f->sha = hash_sha256_new()) == NULL)
        f->err = -ENOMEM;
    for (size_t i = 0; i < f->row.blocks && f->err == 0 && u->stop == 0; i++) {
        f->outstanding++;
        start(u, f, i, unpack_run_block);
    }
    if (f->err == 0 && u->stop != 0)
        f->err = -ECANCELED;
    f->closed = true;
    if (f->outstanding == 0)
        finish(u, f);
}

/* ---- rows ---- */

static size_t folder_len(struct pack_slice path)
{
    size_t len = path.len;
    while (len > 0 && path.s[len - 1] != '/')
        len--;
    return len > 0 ? len - 1 : 0;
}

/* The folder of that path, open; NULL where it cannot be used (which is said once). */
static struct unpack_place *place_of(struct unpack *u, const char *path, size_t len)
{
    struct unpack_place *p = u->place;
    if (p == NULL || p->path == NULL || strlen(p->path) != len || memcmp(p->path, path, len) != 0) {
        unpack_place_drop(&u->place);
        p = u->place = unpack_place_open(u->root, path, len);
        if (p == NULL)
            u->stop = err_set(u->e, -ENOMEM, "out of memory");
        else if (p->err == -ELOOP || p->err == -ENOTDIR)
            say(u, (struct pack_slice){path, len}, "what is there is no folder",
                " (links are not followed): nothing of it comes out");
        else if (p->err != 0)
            say(u, (struct pack_slice){path, len}, err_text(p->err), "");
    }
    if (p != NULL && p->err == 0)
        return p;
    u->sum->failed++;
    return NULL;
}

/* Looks at what has the name of a file already: 0, or -errno, which is in `f` too. */
static int look(struct unpack_file *f)
{
    struct stat st;
    if (fstatat(f->place->fd, f->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        f->err = errno == ENOENT ? 0 : -errno;
        f->end = UNPACK_FAILED;
        return f->err;
    }
    f->compare = S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->row.size;
    if (f->compare || (f->replace && !S_ISDIR(st.st_mode)))
        return 0;
    f->err = S_ISDIR(st.st_mode) ? -EISDIR : -EEXIST;
    f->end = f->err == -EEXIST ? UNPACK_DIFFERS : UNPACK_FAILED;
    return f->err;
}

static void take_file(struct unpack *u, const struct pack_row *row, struct unpack_place *place)
{
    struct unpack_file *f = unpack_file_new(&u->io, row, place);
    if (f == NULL) {
        u->stop = err_set(u->e, -ENOMEM, "out of memory");
        return;
    }
    f->replace = u->o->replace;
    f->unnamed = u->unnamed;
    if (place != NULL && look(f) != 0)
        report(u, f);
    else if (f->compare || f->row.blocks <= 1)
        start(u, f, 0, unpack_run_whole);
    else
        start_blocks(u, f);
}

static void take_folder(struct unpack *u, const struct pack_row *row)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = row->mtime, .tv_nsec = row->mtime_ns}};
    if (u->o->what == MEDSHAPEFS_UNPACK) {
        const struct unpack_place *p = place_of(u, row->path.s, row->path.len);
        if (p == NULL)
            return;
        (void)futimens(p->fd, times); /* another one's folder keeps its time */
    }
    u->sum->folders++;
}

static void take_row(struct unpack *u, const struct pack_row *row)
{
    struct unpack_place *place = NULL;
    if (u->o->what == MEDSHAPEFS_LIST) {
        u->sum->files += row->type == PACK_FILE ? 1 : 0;
        u->sum->folders += row->type == PACK_FOLDER ? 1 : 0;
        u->sum->text += row->size;
        if (!unpack_list_row(u->o, row, u->licences))
            u->stop = -ECANCELED;
    } else if (row->type == PACK_FOLDER) {
        take_folder(u, row);
    } else if (u->o->what == MEDSHAPEFS_VERIFY ||
               (place = place_of(u, row->path.s, folder_len(row->path))) != NULL) {
        take_file(u, row, place);
    }
}

static bool chosen(struct unpack *u, const struct pack_row *row)
{
    bool any = u->o->paths == 0;
    for (size_t i = 0; i < u->o->paths; i++)
        if (packs_below(u->choice[i].name, row->path.s, row->path.len))
            any = u->choice[i].matched = true;
    return any;
}

/* A damaged place of the catalogue: what comes behind it may be well. */
static void damaged(struct unpack *u, const struct err *why)
{
    u->sum->failed++;
    if (++u->damage <= DAMAGE_TOLD)
        packs_remark(u->o->remark, u->o->arg, "%s: %s", u->o->file, why->text);
    if (u->damage == DAMAGE_TOLD)
        packs_remark(u->o->remark, u->o->arg, "%s: further damage of the catalogue is not listed",
                     u->o->file);
}

static void take_rows(struct unpack *u)
{
    struct pack_row row;
    int r = 1;
    while (u->stop == 0 && r != 0) {
        struct err why = {0};
        r = pack_next(u->pack, &row, &why);
        if (r == -EBADMSG)
            damaged(u, &why);
        else if (r < 0)
            u->stop = err_set(u->e, r, "%s: %s", u->o->file, why.text);
        else if (r == 1 && chosen(u, &row))
            take_row(u, &row);
    }
    drain(u);
    for (size_t i = 0; i < u->o->paths && u->stop == 0; i++)
        if (!u->choice[i].matched) {
            u->sum->missing++;
            packs_remark(u->o->remark, u->o->arg, "%s: not in the pack", u->o->path[i]);
        }
}

/* ---- begin and end ---- */

static int choose(struct unpack *u)
{
    u->choice = calloc(u->o->paths + 1, sizeof(*u->choice));
    if (u->choice == NULL)
        return err_set(u->e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < u->o->paths; i++) {
        struct buf name = BUF_INIT;
        int r = packs_name(u->o->path[i], &name);
        if (r == -EINVAL)
            r = err_set(u->e, r, "%s: a path with '..' is in no pack", u->o->path[i]);
        if (r == 0 && (u->choice[i].name = buf_take(&name)) == NULL)
            r = err_set(u->e, -ENOMEM, "out of memory");
        buf_free(&name);
        if (r != 0)
            return r;
    }
    return 0;
}

static int open_pack(struct unpack *u)
{
    int r = pack_file_open(u->o->file, &u->io, u->e);
    if (r == 0 && (r = pack_open(&u->io, &u->pack, u->e)) != 0)
        err_prefix(u->e, u->o->file);
    if (r == 0 && u->o->paths == 0)
        u->all = pack_trailer(u->pack)->text;
    return r;
}

static int open_target(struct unpack *u)
{
    int r = fsio_mkdirs(u->o->dir, 0777);
    if (r == 0 && (u->root = open(u->o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        r = -errno;
    u->unnamed = access("/proc/self/fd", X_OK) == 0;
    return r != 0 ? err_set(u->e, r, "%s: %s", u->o->dir, err_text(r)) : 0;
}

static int prepare(struct unpack *u)
{
    struct err why = {0};
    int bad = 0, r = choose(u);
    if (r == 0)
        r = open_pack(u);
    if (r == 0 && u->o->what == MEDSHAPEFS_UNPACK)
        r = open_target(u);
    if (r != 0)
        return r;
    if (u->o->what != MEDSHAPEFS_LIST)
        u->crew = unpack_crew_new();
    else
        u->licences = unpack_licences_read(u->pack, &bad, &why);
    if (bad < 0)
        damaged(u, &why);
    return u->crew == NULL && u->licences == NULL
               ? err_set(u->e, -ENOMEM, "out of memory or threads")
               : 0;
}

int medshapefs_unpack(const struct medshapefs_unpack *o, struct medshapefs_unpacked *out,
                      struct err *e)
{
    struct unpack u = {.o = o, .sum = out, .e = e, .root = -1};
    memset(out, 0, sizeof(*out));
    int r = prepare(&u);
    if (r == 0)
        take_rows(&u);
    unpack_crew_free(&u.crew);
    unpack_licences_free(&u.licences);
    unpack_place_drop(&u.place);
    pack_close(&u.pack);
    pack_file_close(&u.io);
    if (u.root >= 0)
        (void)close(u.root);
    for (size_t i = 0; i < o->paths && u.choice != NULL; i++)
        free(u.choice[i].name);
    free(u.choice);
    if (r == 0 && o->what == MEDSHAPEFS_LIST && u.stop == -ECANCELED)
        return 0; /* whom it is told does not want more */
    return r == 0 ? u.stop : r;
}
