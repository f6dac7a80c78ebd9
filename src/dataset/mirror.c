#include "dataset/mirror_i.h"

#include "base/clock.h"
#include "base/fsio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char suffix[] = ".shapepack", half[] = ".shapepack.partial";

int mirror_path(const struct mirror *m, const char *name, char **out)
{
    if (asprintf(out, "%s/%s", m->dir, name) >= 0)
        return 0;
    *out = NULL;
    return -ENOMEM;
}

int mirror_name(struct mirror *m, unsigned number, struct err *e)
{
    if (number >= MIRROR_PACKS)
        return err_set(e, -E2BIG, "%s: over %d packs (export to another folder)", m->dir,
                       MIRROR_PACKS);
    struct mirror_pack *grown = realloc(m->pack, (number + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    m->pack = grown;
    grown[number] = (struct mirror_pack){.there = false};
    (void)snprintf(grown[number].name, MIRROR_NAME, "%04u%s", number + 1, suffix);
    return 0;
}

/* ---- what is there ---- */

static int read_rows(struct mirror *m, unsigned number, struct pack *p, struct err *e)
{
    struct pack_row row;
    int r;
    while ((r = pack_next(p, &row, e)) == 1)
        if (held_add(&m->held, &row, number) != 0)
            return err_set(e, -ENOMEM, "out of memory");
    return r;
}

int mirror_read(struct mirror *m, unsigned number, bool rows, struct err *e)
{
    struct mirror_pack *out = &m->pack[number];
    struct pack_io io = {.read = NULL};
    struct pack *p = NULL;
    struct err why = {0};
    char *path = NULL;
    int r = mirror_path(m, out->name, &path);
    if (r == 0 && (r = pack_file_open(path, &io, &why)) == 0) {
        r = pack_open(&io, &p, &why);
        if (r == 0 && rows)
            r = read_rows(m, number, p, &why);
        if (r != 0)
            err_prefix(&why, path);
    }
    if (r == 0) {
        const struct pack_trailer *t = pack_trailer(p);
        out->there = true;
        out->bytes = io.size;
        out->files = t->files;
        out->text = t->text;
        out->sum = t->catalogue_sum;
        out->catalogue = t->catalogue_len;
    }
    pack_close(&p);
    pack_file_close(&io);
    free(path);
    return r == 0 ? 0 : err_set(e, r, "%s", why.code != 0 ? why.text : err_text(r));
}

/* The number in a name that is four digits and `end`; 0 for another name. */
static unsigned number_of(const char *name, const char *end)
{
    unsigned n = 0;
    for (int i = 0; i < 4; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        n = n * 10 + (unsigned)(name[i] - '0');
    }
    return strcmp(name + 4, end) == 0 ? n : 0;
}

/* What an export that was killed left of a pack that never became one is removed. */
static int count_packs(struct mirror *m, struct err *e)
{
    struct dirent *entry;
    DIR *d = opendir(m->dir);
    if (d == NULL)
        return err_set(e, -errno, "%s: %s", m->dir, err_text(errno));
    while ((errno = 0, entry = readdir(d)) != NULL) {
        unsigned n = number_of(entry->d_name, suffix);
        m->packs = n > m->packs ? n : m->packs;
        if (number_of(entry->d_name, half) != 0)
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    }
    int r = errno != 0 ? err_set(e, -errno, "%s: %s", m->dir, err_text(errno)) : 0;
    (void)closedir(d);
    return r;
}

/* A number may be missing, where somebody took a pack away: what was in it is exported again. */
static int read_packs(struct mirror *m, struct err *e)
{
    int r = count_packs(m, e);
    for (unsigned i = 0; i < m->packs && r == 0; i++) {
        char *path;
        r = mirror_name(m, i, e);
        if (r != 0)
            break;
        if (mirror_path(m, m->pack[i].name, &path) != 0)
            return err_set(e, -ENOMEM, "out of memory");
        if (access(path, F_OK) == 0)
            r = mirror_read(m, i, true, e);
        free(path);
    }
    return r;
}

/* ---- open and close ---- */

static int lock_folder(struct mirror *m, struct err *e)
{
    char *path = NULL;
    int r = mirror_path(m, ".export.lock", &path);
    if (r != 0)
        return err_set(e, r, "out of memory");
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (m->lock_fd < 0)
        r = err_set(e, -errno, "%s: cannot be written: %s (export to another folder)", m->dir,
                    err_text(errno));
    else if (flock(m->lock_fd, LOCK_EX | LOCK_NB) != 0)
        r = err_set(e, -EBUSY, "%s: another export is writing this folder (wait for it)", m->dir);
    free(path);
    return r;
}

static int open_folder(struct mirror *m, struct err *e)
{
    int r = fsio_mkdirs(m->dir, 0755);
    if (r != 0)
        return err_set(e, r, "%s: cannot make the folder: %s", m->dir, err_text(r));
    r = lock_folder(m, e);
    if (r == 0)
        r = read_packs(m, e);
    if (r == 0)
        r = mirror_index_read(m, e);
    return r;
}

int mirror_open(const struct mirror_options *o, struct mirror **out, struct err *e)
{
    struct mirror *m = calloc(1, sizeof(*m));
    *out = NULL;
    if (m == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    m->o = *o;
    m->lock_fd = -1;
    m->dir = strdup(o->dir);
    int r = m->dir == NULL ? err_set(e, -ENOMEM, "out of memory") : open_folder(m, e);
    if (r != 0)
        mirror_close(&m);
    *out = m;
    return r;
}

void mirror_close(struct mirror **mp)
{
    struct mirror *m = *mp;
    *mp = NULL;
    if (m == NULL)
        return;
    pack_writer_abort(&m->w);
    if (m->lock_fd >= 0)
        (void)close(m->lock_fd);
    buf_free(&m->ids);
    free(m->held.at);
    free(m->pack);
    free(m->dir);
    free(m);
}

/* ---- what it has ---- */

bool mirror_has(const struct mirror *m, const struct export_item *item)
{
    const struct held *h = held_find(&m->held, item->path, strlen(item->path));
    bool kind = h != NULL && (h->kind == HELD_FOLDER) == item->folder;
    return kind && held_is(h, item->etag, item->mtime, item->mtime_ns);
}

bool mirror_has_path(const struct mirror *m, const char *path)
{
    const struct held *h = held_find(&m->held, path, strlen(path));
    return h != NULL && h->kind != HELD_ABOVE;
}

void mirror_totals(const struct mirror *m, uint64_t *packs, uint64_t *files, uint64_t *text,
                   uint64_t *bytes)
{
    held_totals(&m->held, files, text);
    *packs = *bytes = 0;
    for (unsigned i = 0; i < m->packs; i++) {
        *packs += m->pack[i].there ? 1 : 0;
        *bytes += m->pack[i].there ? m->pack[i].bytes : 0;
    }
}
