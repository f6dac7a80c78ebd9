#include "dataset/mirror_i.h"

#include "base/clock.h"
#include "base/fsio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW_ROOM = 128,      /* of a row in the catalogue, without its texts */
    BLOCK_ROOM = 40,     /* of a block in it */
    DISK_ROOM = 1 << 20, /* that a full disk still has for what ends a pack */
    CHECKPOINT_MS = 60000,
    CHECKPOINT_LATEST_MS = 600000,
    CATALOGUE_SHARE = 32, /* a checkpoint may cost one part of so many */
};

/* ---- begin and end a pack ---- */

static void tick(struct mirror *m)
{
    uint64_t here = m->w != NULL ? pack_writer_size(m->w) : 0;
    uint64_t packed = m->packed + (here > m->before ? here - m->before : 0);
    if (m->o.progress != NULL && !m->o.progress(m->o.arg, m->text + m->retired, packed))
        m->stopped = true;
}

static void packed_some(void *arg, uint64_t text, uint64_t packed)
{
    struct mirror *m = arg;
    (void)packed;
    m->retired = text;
    tick(m);
}

static int begin_pack(struct mirror *m, bool next, struct err *e)
{
    char *path = NULL;
    unsigned number = next ? m->packs : m->packs - 1;
    int r = next ? mirror_name(m, number, e) : 0;
    if (r == 0 && (r = mirror_path(m, m->pack[number].name, &path)) != 0)
        r = err_set(e, r, "out of memory");
    struct pack_writer_options o = {
        .path = path, .append = !next, .effort = m->o.effort, .progress = packed_some, .arg = m};
    if (r == 0)
        r = pack_writer_open(&o, &m->w, e);
    free(path);
    if (r != 0)
        return r;
    m->packs = number + 1;
    m->begun = next;
    m->rows = m->pack[number].files;
    m->catalogue = m->pack[number].catalogue;
    m->added = m->fed = m->retired = 0;
    m->before = m->durable = pack_writer_size(m->w);
    m->durable_at = clock_ms();
    buf_clear(&m->ids);
    return 0;
}

/* Nothing was added: it is as if it had not been opened. */
static void give_up_pack(struct mirror *m)
{
    pack_writer_abort(&m->w);
    if (m->begun)
        m->packs--;
}

int mirror_end(struct mirror *m, struct err *e)
{
    int r = 0;
    if (m->w != NULL && m->added == 0) {
        give_up_pack(m);
    } else if (m->w != NULL) {
        r = pack_writer_end(&m->w, e);
        if (r == 0)
            r = mirror_read(m, m->packs - 1, false, e);
        if (r == 0) {
            uint64_t bytes = m->pack[m->packs - 1].bytes;
            m->text += m->retired;
            m->packed += bytes > m->before ? bytes - m->before : 0;
        }
        m->retired = m->fed = 0;
    }
    return r != 0 ? r : mirror_index_write(m, e);
}

/* Costs a catalogue, whose old one is dead bytes then. */
int mirror_checkpoint(struct mirror *m, struct err *e)
{
    if (m->w == NULL)
        return 0;
    uint64_t more = pack_writer_size(m->w) - m->durable;
    int64_t ms = clock_ms() - m->durable_at;
    bool due = more > m->o.checkpoint || ms > CHECKPOINT_LATEST_MS ||
               (ms > CHECKPOINT_MS && more > m->catalogue * CATALOGUE_SHARE);
    return due ? mirror_end(m, e) : 0;
}

/* ---- room ---- */

/* What may come to the pack beyond the bytes that are written. */
static uint64_t to_come(const struct mirror *m)
{
    return m->fed - m->retired + m->catalogue + PACK_TRAILER;
}

static bool fits(const struct mirror *m)
{
    return m->rows == 0 || pack_writer_size(m->w) + to_come(m) <= m->o.pack_max;
}

/* The writer sorts the catalogue in the same folder. */
static bool disk_has_room(const struct mirror *m)
{
    return fsio_free_bytes(m->dir) > to_come(m) + m->catalogue + DISK_ROOM;
}

/* Whether the last pack, which is closed, can take more. One that the index names never changes:
 * others may be reading it over the network. */
static bool last_fits(const struct mirror *m)
{
    const struct mirror_pack *p = &m->pack[m->packs - 1];
    return p->there && !p->published && p->bytes + p->catalogue + PACK_TRAILER < m->o.pack_max;
}

static int make_room(struct mirror *m, const char *path, struct err *e)
{
    bool next = m->packs == 0 || held_clashes(&m->held, path, m->packs - 1);
    if (m->w != NULL && !next && fits(m))
        return 0;
    next = next || m->w != NULL || !last_fits(m);
    int r = m->w != NULL ? mirror_end(m, e) : 0;
    return r != 0 ? r : begin_pack(m, next, e);
}

/* ---- one item ---- */

enum hindrance { NONE, PACK_FULL, DISK_FULL, STOPPED, UNREADABLE };

struct reading {
    struct mirror *m;
    const struct export_item *item;
    enum hindrance hindrance;
    int err; /* of the item */
    uint64_t size;
};

static int64_t refuse(struct reading *x, enum hindrance why, int err)
{
    x->hindrance = why;
    x->err = err;
    return err;
}

static int64_t read_item(void *arg, void *buf, size_t len)
{
    struct reading *x = arg;
    struct mirror *m = x->m;
    tick(m);
    if (m->stopped)
        return refuse(x, STOPPED, -ECANCELED);
    if (!fits(m))
        return refuse(x, PACK_FULL, -EFBIG);
    if (!disk_has_room(m))
        return refuse(x, DISK_FULL, -ENOSPC);
    int64_t n = x->item->read(x->item->arg, buf, len);
    if (n < 0)
        return refuse(x, n == -ECANCELED ? STOPPED : UNREADABLE, (int)n);
    m->fed += (uint64_t)n;
    x->size += (uint64_t)n;
    return n;
}

static struct pack_slice slice(const char *s)
{
    return (struct pack_slice){s, strlen(s)};
}

static int note(struct mirror *m, const struct pack_item *to, uint64_t size, struct err *e)
{
    const struct pack_row row = {.path = to->path,
                                 .type = to->type,
                                 .size = size,
                                 .mtime = to->mtime,
                                 .mtime_ns = to->mtime_ns,
                                 .etag = to->etag};
    m->rows++;
    m->added++;
    m->catalogue += to->path.len + to->url.len + to->dataset.len + to->etag.len + ROW_ROOM +
                    (size / CODEC_BLOCK_MAX + 1) * BLOCK_ROOM;
    return held_add(&m->held, &row, m->packs - 1) != 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}

static int try_add(struct mirror *m, struct reading *x, struct err *e)
{
    const struct export_item *item = x->item;
    struct pack_item to = {.path = slice(item->path),
                           .type = item->folder ? PACK_FOLDER : PACK_FILE,
                           .mtime = item->mtime,
                           .mtime_ns = item->mtime_ns,
                           .url = slice(item->url),
                           .dataset = slice(item->dataset),
                           .etag = slice(item->etag)};
    int r = pack_writer_add(m->w, &to, read_item, x, e);
    if (r == 0)
        return note(m, &to, x->size, e);
    m->fed = m->retired; /* it took all of the file back */
    return r;
}

/* What hindered an item, in words, and whether that hinders all that follow. */
static int explain(const struct mirror *m, const struct reading *x, int r, bool *lost,
                   const struct err *why, struct err *e)
{
    bool item = x->hindrance == UNREADABLE ||
                (x->hindrance == NONE && (r == -EINVAL || x->size > PACK_SIZE_MAX));
    *lost = !item;
    if (!item && (r == -ENOSPC || r == -EDQUOT))
        return err_set(e, r, "%s: %s (make room and run it again: what was packed stays)", m->dir,
                       err_text(r));
    if (x->hindrance == STOPPED)
        return err_set(e, r, "export: stopped (run it again to go on: what was packed stays)");
    if (item && r == -ESTALE)
        return err_set(e, r, "%s: changed while it was read (run it again)", x->item->path);
    if (item || why->code == 0)
        return err_set(e, r, "%s", why->code != 0 ? why->text : err_text(r));
    return err_set(e, r, "%s/%s: %s", m->dir, m->packs > 0 ? m->pack[m->packs - 1].name : "",
                   err_text(r));
}

int mirror_add(struct mirror *m, const struct export_item *item, bool *lost, struct err *e)
{
    *lost = true;
    int r = make_room(m, item->path, e);
    if (r != 0)
        return r;
    struct err why = {0};
    struct reading x = {.m = m, .item = item};
    r = try_add(m, &x, &why);
    if (r != 0 && x.hindrance == PACK_FULL) {
        if ((r = mirror_end(m, e)) != 0 || (r = begin_pack(m, true, e)) != 0)
            return r;
        item->rewind(item->arg);
        why = (struct err){.code = 0};
        x = (struct reading){.m = m, .item = item};
        r = try_add(m, &x, &why);
    }
    return r == 0 ? 0 : explain(m, &x, r, lost, &why, e);
}

/* ---- datasets ---- */

bool mirror_has_dataset(const struct mirror *m, const char *id)
{
    return m->w == NULL || export_listed(&m->ids, id);
}

int mirror_dataset(struct mirror *m, const char *id, const char *json, struct err *e)
{
    if (m->w == NULL)
        return 0;
    m->catalogue += strlen(json) + ROW_ROOM;
    buf_add(&m->ids, id, strlen(id) + 1);
    return pack_writer_dataset(m->w, id, json, e);
}
