#include "pack/writer_i.h"

#include "base/fsio.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SORT_MEMORY = 8 << 20 };

/* ---- begin ---- */

static int open_file(struct pack_writer *w, const char *name, int flags, struct err *e)
{
    struct stat held, named;
    w->fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0666);
    if (w->fd < 0 || fstat(w->fd, &held) != 0)
        return err_set(e, -errno, "%s: %s", name, err_text(errno));
    if (!S_ISREG(held.st_mode))
        return err_set(e, -EINVAL, "%s: not a regular file", name);
    /* Whoever held the lock before may have given the file another name since. */
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0 || lstat(name, &named) != 0 ||
        named.st_dev != held.st_dev || named.st_ino != held.st_ino)
        return err_set(e, -EBUSY, "%s: another medshapefs is writing it", name);
    w->locked = true;
    return 0;
}

static int begin_new(struct pack_writer *w, struct err *e)
{
    unsigned char head[PACK_HEAD];
    if (!w->o.replace && access(w->path, F_OK) == 0)
        return err_set(e, -EEXIST, "%s: it is there already (-f replaces it)", w->path);
    if (asprintf(&w->partial, "%s.partial", w->path) < 0) {
        w->partial = NULL;
        return err_set(e, -ENOMEM, "out of memory");
    }
    int r = open_file(w, w->partial, O_CREAT, e);
    if (r != 0)
        return r;
    pack_head_write(head);
    r = ftruncate(w->fd, 0) != 0 ? -errno : fsio_pwrite_all(w->fd, head, sizeof(head), 0);
    w->pos = PACK_HEAD;
    return r != 0 ? err_set(e, r, "%s: %s", w->partial, err_text(r)) : 0;
}

static int begin_file(struct pack_writer *w, struct err *e)
{
    if (!w->o.append || access(w->path, F_OK) != 0)
        return begin_new(w, e);
    int r = open_file(w, w->path, 0, e);
    off_t end = r == 0 ? lseek(w->fd, 0, SEEK_END) : 0;
    if (end < 0)
        r = err_set(e, -errno, "%s: %s", w->path, err_text(errno));
    if (r != 0)
        return r;
    w->pos = w->old_end = (uint64_t)end;
    return pack_writer_take_over(w, e);
}

static unsigned thread_count(unsigned wanted)
{
    if (wanted == 0)
        return pool_cpus(PACK_THREADS);
    return wanted < PACK_THREADS ? wanted : PACK_THREADS;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int begin(struct pack_writer *w, const char *path, struct err *e)
{
    char *folder = folder_of(path);
    w->path = strdup(path);
    w->rows = folder != NULL ? sort_create(folder, SORT_MEMORY) : NULL;
    free(folder);
    w->facts = facts_new();
    if (w->path == NULL || w->rows == NULL || w->facts == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    int r = begin_file(w, e);
    if (r != 0)
        return r;
    w->pipe = pack_pipe_new(thread_count(w->o.threads), w->o.effort);
    return w->pipe == NULL ? err_set(e, -ENOMEM, "out of memory or threads") : 0;
}

int pack_writer_open(const struct pack_writer_options *o, struct pack_writer **out, struct err *e)
{
    struct pack_writer *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    w->o = *o;
    w->fd = -1;
    int r = begin(w, o->path, e);
    if (r != 0) {
        w->err = r;
        pack_writer_abort(&w);
    }
    *out = w;
    return r;
}

/* ---- files ---- */

static struct pack_slice keep(struct buf *text, struct pack_slice s)
{
    size_t at = text->len;
    buf_add(text, s.s, s.len);
    return (struct pack_slice){(const char *)(uintptr_t)at, s.len};
}

/* From a place in the buffer to a pointer, now that it grows no more. */
static void settle(const struct buf *text, struct pack_slice *s)
{
    s->s = (text->data != NULL ? text->data : "") + (uintptr_t)s->s;
}

static void pending_free(struct pack_pending *f)
{
    buf_free(&f->text);
    buf_free(&f->blocks);
    free(f);
}

static struct pack_pending *pending_new(const struct pack_item *item)
{
    struct pack_pending *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->row =
        (struct pack_row){.type = item->type, .mtime = item->mtime, .mtime_ns = item->mtime_ns};
    f->shape = item->type == PACK_FILE && str_iends(item->path.s, item->path.len, ".stl");
    f->row.path = keep(&f->text, item->path);
    buf_add(&f->text, "", 1);
    f->row.url = keep(&f->text, item->url);
    f->row.dataset = keep(&f->text, item->dataset);
    f->row.etag = keep(&f->text, item->etag);
    if (f->text.err != 0) {
        pending_free(f);
        return NULL;
    }
    settle(&f->text, &f->row.path);
    settle(&f->text, &f->row.url);
    settle(&f->text, &f->row.dataset);
    settle(&f->text, &f->row.etag);
    return f;
}

int pack_writer_row(struct pack_writer *w, struct pack_slice path, uint8_t type, uint64_t size,
                    const void *bytes, size_t len)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    pack_path_key(path, &key);
    buf_le(&value, type, 1);
    buf_le(&value, size, 8);
    buf_add(&value, bytes, len);
    int r = len > PACK_ROW_MAX ? -EMSGSIZE : key.err != 0 ? key.err : value.err;
    if (r == 0)
        r = sort_add(w->rows, key.data, key.len, value.data, value.len);
    buf_free(&key);
    buf_free(&value);
    return r;
}

/* A file is whole: its row joins the catalogue to come. */
static void finish(struct pack_writer *w, struct pack_pending *f)
{
    struct buf bytes = BUF_INIT;
    struct pack_row *row = &f->row;
    row->block = (const struct pack_block *)(const void *)f->blocks.data;
    row->blocks = f->blocks.len / sizeof(struct pack_block);
    if (f->shape) {
        if (row->blocks == 0)
            facts_reset(w->facts);
        facts_end(w->facts, row->path.s, &row->facts);
        row->has_facts = row->facts.health != FACTS_UNKNOWN;
    }
    pack_row_encode(row, &bytes);
    int r = bytes.err != 0 ? bytes.err : f->blocks.err;
    if (r == 0)
        r = pack_writer_row(w, row->path, row->type, row->size, bytes.data, bytes.len);
    if (r != 0 && w->err == 0)
        w->err = r;
    buf_free(&bytes);
    pending_free(f);
}

/* Writes the oldest block of the pipe; false where it is empty. */
static bool retire(struct pack_writer *w)
{
    struct pack_slot *s = pack_pipe_take(w->pipe);
    if (s == NULL)
        return false;
    struct pack_pending *f = s->owner;
    struct pack_block block = {.offset = w->pos,
                               .packed = (uint32_t)s->packed_len,
                               .text = s->len,
                               .packed_sum = s->packed_sum,
                               .text_sum = s->text_sum};
    if (w->err == 0)
        w->err = fsio_pwrite_all(w->fd, s->bytes, s->packed_len, w->pos);
    if (f->shape && f->blocks.len == 0)
        facts_reset(w->facts);
    if (s->facts != NULL)
        facts_add(w->facts, s->facts);
    else if (f->shape)
        f->shape = false;
    buf_add(&f->blocks, &block, sizeof(block));
    w->pos += s->packed_len;
    pack_pipe_done(w->pipe);
    w->packed_text += block.text;
    if (--f->outstanding == 0 && f->closed)
        finish(w, f);
    if (w->o.progress != NULL)
        w->o.progress(w->o.arg, w->packed_text, w->pos);
    return true;
}

static struct pack_slot *free_slot(struct pack_writer *w)
{
    struct pack_slot *s = pack_pipe_free_slot(w->pipe);
    while (s == NULL) {
        (void)retire(w);
        s = pack_pipe_free_slot(w->pipe);
    }
    return s;
}

static void drain(struct pack_writer *w)
{
    while (retire(w))
        ;
}

/* Fills a block as far as the file goes: its length, or -errno. */
static int64_t fill(unsigned char *out, int64_t (*read)(void *arg, void *buf, size_t len),
                    void *arg)
{
    size_t len = 0;
    while (len < CODEC_BLOCK_MAX) {
        int64_t n = read(arg, out + len, CODEC_BLOCK_MAX - len);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (int64_t)len;
}

/* Reads a file into the pipe. 0 or -errno. */
static int feed(struct pack_writer *w, struct pack_pending *f, struct hash_sha256 *sha,
                int64_t (*read)(void *arg, void *buf, size_t len), void *arg)
{
    int64_t n = CODEC_BLOCK_MAX;
    while (n == CODEC_BLOCK_MAX) {
        struct pack_slot *s = free_slot(w);
        n = fill(s->bytes, read, arg);
        if (n <= 0 || w->err != 0)
            break;
        s->len = (size_t)n;
        s->offset = f->row.size;
        s->owner = f;
        s->shape = f->shape;
        f->outstanding++;
        f->row.size += s->len;
        hash_sha256_add(sha, s->bytes, s->len);
        pack_pipe_put(w->pipe);
        if (f->row.size > PACK_SIZE_MAX)
            return -EFBIG;
    }
    if (w->err != 0)
        return w->err;
    return n < 0 ? (int)n : hash_sha256_end(sha, f->row.sha256);
}

/* Takes back what is in the pack of a file that could not be read. */
static void drop(struct pack_writer *w, struct pack_pending *f)
{
    drain(w);
    const struct pack_block *block = (const void *)f->blocks.data;
    if (f->blocks.len > 0 && f->blocks.err == 0)
        w->pos = block[0].offset;
    pending_free(f);
}

static int failed(struct pack_slice path, int r, struct err *e)
{
    return err_set(e, r, "%.*s: %s", path.len < 300 ? (int)path.len : 300, path.s, err_text(r));
}

int pack_writer_add(struct pack_writer *w, const struct pack_item *item,
                    int64_t (*read)(void *arg, void *buf, size_t len), void *arg, struct err *e)
{
    if (!pack_path_ok(item->path))
        return err_set(e, -EINVAL, "%.*s: a path that a pack cannot hold",
                       item->path.len < 300 ? (int)item->path.len : 300, item->path.s);
    struct pack_pending *f = pending_new(item);
    struct hash_sha256 *sha = hash_sha256_new();
    int r = f == NULL || sha == NULL ? -ENOMEM : 0;
    if (r == 0 && item->type == PACK_FILE)
        r = feed(w, f, sha, read, arg);
    hash_sha256_free(&sha);
    if (r != 0) {
        if (f != NULL)
            drop(w, f);
        return failed(item->path, r, e);
    }
    f->closed = true;
    if (f->outstanding == 0)
        finish(w, f);
    return w->err != 0 ? failed(item->path, w->err, e) : 0;
}

/* ---- blocks that are packed already ---- */

static int copy_block(struct pack_writer *w, const struct pack_block *from,
                      const struct pack_io *io, struct buf *scratch)
{
    buf_clear(scratch);
    if (buf_reserve(scratch, from->packed) != 0)
        return -ENOMEM;
    int r = io->read(io->arg, from->offset, from->packed, scratch->data);
    if (r == 0 && hash64(scratch->data, from->packed, 0) != from->packed_sum)
        r = -EBADMSG;
    if (r == 0)
        r = fsio_pwrite_all(w->fd, scratch->data, from->packed, w->pos);
    w->pos += from->packed;
    return r;
}

/* 0 where the row's blocks are as a pack has them. */
static int check_blocks(const struct pack_row *row)
{
    uint64_t text = 0, unit = row->blocks > 0 ? row->block[0].text : 0;
    if (row->size > PACK_SIZE_MAX || row->blocks > PACK_BLOCKS_MAX)
        return -EFBIG;
    for (size_t i = 0; i < row->blocks; i++) {
        const struct pack_block *b = &row->block[i];
        if (b->text > CODEC_BLOCK_MAX)
            return -ENOTSUP;
        if (b->packed <= CODEC_HEAD || b->packed > b->text + CODEC_HEAD || b->text > unit ||
            (b->text < unit && i + 1 < row->blocks))
            return -EINVAL;
        text += b->text;
    }
    return text == row->size ? 0 : -EINVAL;
}

int pack_writer_copy(struct pack_writer *w, const struct pack_row *row, const struct pack_io *io,
                     struct err *e)
{
    struct buf scratch = BUF_INIT, blocks = BUF_INIT, bytes = BUF_INIT;
    int r = pack_path_ok(row->path) ? check_blocks(row) : -EINVAL;
    if (r != 0)
        return failed(row->path, r, e);
    drain(w);
    uint64_t start = w->pos;
    r = w->err;
    for (size_t i = 0; i < row->blocks && r == 0; i++) {
        struct pack_block block = row->block[i];
        block.offset = w->pos;
        buf_add(&blocks, &block, sizeof(block));
        r = copy_block(w, &row->block[i], io, &scratch);
    }
    struct pack_row copy = *row;
    copy.block = (const struct pack_block *)(const void *)blocks.data;
    pack_row_encode(&copy, &bytes);
    if (r == 0)
        r = blocks.err != 0 ? blocks.err : bytes.err;
    if (r == 0)
        r = pack_writer_row(w, row->path, row->type, row->size, bytes.data, bytes.len);
    buf_free(&scratch);
    buf_free(&blocks);
    buf_free(&bytes);
    if (r != 0) {
        w->pos = start;
        return failed(row->path, r, e);
    }
    w->packed_text += row->size;
    if (w->o.progress != NULL)
        w->o.progress(w->o.arg, w->packed_text, w->pos);
    return 0;
}

uint64_t pack_writer_size(const struct pack_writer *w)
{
    return w->pos;
}

/* ---- end ---- */

static int publish(struct pack_writer *w, struct err *e)
{
    int r = fsync(w->fd) != 0 ? -errno : 0;
    unsigned flags = w->o.replace ? 0 : RENAME_NOREPLACE;
    if (r == 0 && w->partial != NULL) {
        if (renameat2(AT_FDCWD, w->partial, AT_FDCWD, w->path, flags) != 0)
            r = -errno;
        if (r == -EINVAL && access(w->path, F_OK) != 0) /* a file system without the flag */
            r = rename(w->partial, w->path) != 0 ? -errno : 0;
    }
    if (r == 0)
        r = fsio_sync_parent(w->path);
    return r != 0 ? err_set(e, r, "%s: %s", w->path, err_text(r)) : 0;
}

static void writer_free(struct pack_writer *w)
{
    pack_pipe_free(&w->pipe);
    sort_destroy(&w->rows);
    facts_free(&w->facts);
    for (size_t i = 0; i < w->datasets; i++) {
        free(w->dataset[i].id);
        free(w->dataset[i].json);
    }
    free(w->dataset);
    if (w->fd >= 0)
        (void)close(w->fd);
    free(w->path);
    free(w->partial);
    free(w);
}

int pack_writer_end(struct pack_writer **wp, struct err *e)
{
    struct pack_writer *w = *wp;
    drain(w);
    int r = w->err != 0 ? err_set(e, w->err, "%s: %s", w->path, err_text(w->err)) : 0;
    if (r == 0)
        r = pack_writer_catalogue(w, e);
    if (r == 0)
        r = publish(w, e);
    if (r != 0) {
        pack_writer_abort(wp);
        return r;
    }
    *wp = NULL;
    writer_free(w);
    return 0;
}

void pack_writer_abort(struct pack_writer **wp)
{
    struct pack_writer *w = *wp;
    *wp = NULL;
    if (w == NULL)
        return;
    if (w->pipe != NULL)
        drain(w);
    if (w->locked && w->partial != NULL) /* else it is not ours to remove */
        (void)unlink(w->partial);
    else if (w->locked)
        (void)ftruncate(w->fd, (off_t)w->old_end);
    writer_free(w);
}
