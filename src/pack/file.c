#include "pack/pack_i.h"

#include "base/fsio.h"
#include "base/hash.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WINDOW = 1 << 20,
    WINDOWS = 16384, /* how far back the last good trailer is looked for */
};

static int read_file(void *arg, uint64_t off, size_t len, void *out)
{
    int r = fsio_pread_all(*(int *)arg, out, len, off);
    return r == -ENODATA ? -EBADMSG : r;
}

/* The end of a trailer that lies wholly in `data` (from `base` of the file on), the last one. */
static uint64_t find_trailer(const unsigned char *data, size_t len, uint64_t base)
{
    struct pack_trailer t;
    for (size_t at = len < PACK_TRAILER ? 0 : len - PACK_TRAILER + 1; at-- > 0;)
        if (data[at] == 'S' &&
            pack_trailer_read(data + at, base + at + PACK_TRAILER, &t, NULL) == 0)
            return base + at + PACK_TRAILER;
    return 0;
}

/* Where the pack ends: what a broken-off append left behind it does not count. 0 where there is no
 * trailer. */
static uint64_t end_of_pack(int fd, uint64_t size)
{
    unsigned char *data = malloc(WINDOW);
    uint64_t found = 0, end = size;
    for (int i = 0; data != NULL && i < WINDOWS && found == 0 && end >= PACK_TRAILER; i++) {
        size_t len = end < WINDOW ? (size_t)end : WINDOW;
        if (fsio_pread_all(fd, data, len, end - len) != 0)
            break;
        found = find_trailer(data, len, end - len);
        if (end - len == 0)
            break;
        end -= len - (PACK_TRAILER - 1);
    }
    free(data);
    return found;
}

/* Sets io->size; *more: the bytes of the file behind that. */
static int check_file(int fd, struct pack_io *io, uint64_t *more, struct err *e)
{
    struct stat st;
    unsigned char head[PACK_HEAD];
    struct pack_trailer t;
    unsigned char tail[PACK_TRAILER];
    if (fstat(fd, &st) != 0)
        return err_set(e, -errno, "%s", err_text(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "not a regular file");
    io->size = (uint64_t)st.st_size;
    if (io->size < PACK_HEAD + PACK_TRAILER)
        return err_set(e, -EBADMSG, "not a pack: it has %llu bytes", (unsigned long long)io->size);
    int r = fsio_pread_all(fd, head, sizeof(head), 0);
    if (r == 0)
        r = fsio_pread_all(fd, tail, sizeof(tail), io->size - sizeof(tail));
    if (r != 0)
        return err_set(e, r, "cannot read: %s", err_text(r));
    r = pack_head_check(head, e);
    struct err why = {0};
    if (r == 0 && (r = pack_trailer_read(tail, io->size, &t, &why)) == -EBADMSG) {
        io->size = end_of_pack(fd, io->size);
        r = io->size != 0 ? 0 : r;
    }
    if (why.code != 0 && r != 0)
        (void)err_set(e, r, "%s", why.text);
    *more = (uint64_t)st.st_size - io->size;
    return r;
}

int pack_file_open(const char *path, struct pack_io *io, struct err *e)
{
    *io = (struct pack_io){.read = read_file};
    int *fd = malloc(sizeof(*fd));
    if (fd == NULL)
        return err_set(e, -ENOMEM, "%s: out of memory", path);
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    io->arg = fd;
    uint64_t more = 0;
    int r = *fd < 0 ? err_set(e, -errno, "%s", err_text(errno)) : check_file(*fd, io, &more, e);
    if (r != 0) {
        err_prefix(e, path);
        pack_file_close(io);
    } else if (more > 0) {
        log_warn("%s: the last %llu bytes are no part of the pack (an append that was cut short, "
                 "or damage): they are left out",
                 path, (unsigned long long)more);
    }
    return r;
}

void pack_file_close(struct pack_io *io)
{
    int *fd = io->arg;
    if (fd != NULL && *fd >= 0)
        (void)close(*fd);
    free(fd);
    *io = (struct pack_io){.read = NULL};
}

int pack_read_block(const struct pack_io *io, struct codec *c, const struct pack_block *block,
                    struct buf *scratch, void *out)
{
    buf_clear(scratch);
    if (block->text > CODEC_BLOCK_MAX)
        return -ENOTSUP;
    if (buf_reserve(scratch, block->packed) != 0)
        return -ENOMEM;
    int r = io->read(io->arg, block->offset, block->packed, scratch->data);
    if (r != 0)
        return r;
    if (hash64(scratch->data, block->packed, 0) != block->packed_sum)
        return -EBADMSG;
    r = codec_decode(c, scratch->data, block->packed, out, (size_t)block->text);
    if (r == 0 && hash64(out, (size_t)block->text, 0) != block->text_sum)
        r = -EBADMSG;
    return r;
}
