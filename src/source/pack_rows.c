#include "source/pack_i.h"

#include "base/fsio.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int read_rows(void *arg, uint64_t off, size_t len, void *out)
{
    const struct pack_rows *rows = arg;
    if (off < rows->base)
        return -EBADMSG;
    int r = fsio_pread_all(rows->fd, out, len, off - rows->base);
    return r == -ENODATA ? -EBADMSG : r;
}

static int open_file(const struct packing *p, const struct pack_known *k, bool fresh)
{
    CLEANUP_BUF struct buf path = BUF_INIT;
    pack_file(p, k, fresh, &path);
    int fd = open(buf_cstr(&path), O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int pack_rows_open(struct packing *p, const struct pack_known *k, bool fresh,
                   struct pack_rows *rows)
{
    struct err e = {0};
    *rows = (struct pack_rows){.fd = fresh ? open_file(p, k, true) : -ENOENT, .base = k->base};
    if (rows->fd < 0)
        rows->fd = open_file(p, k, false);
    if (rows->fd < 0)
        return pack_refuse(p, k->link, rows->fd, "its catalogue is not at hand");
    rows->io = (struct pack_io){.read = read_rows, .arg = rows, .size = k->size};
    int r = pack_open(&rows->io, &rows->pack, &e);
    if (r == 0 && pack_trailer(rows->pack)->catalogue_sum != k->sum)
        r = err_set(&e, -EBADMSG, "its catalogue is not the one that was noted");
    if (r == 0)
        return 0;
    pack_rows_close(rows);
    return pack_refuse(p, k->link, r, e.text);
}

void pack_rows_close(struct pack_rows *rows)
{
    pack_close(&rows->pack);
    obj_close(&rows->fd);
    rows->fd = -1;
}

int pack_rows_next(struct packing *p, const struct pack_known *k, struct pack_rows *rows,
                   struct pack_row *row)
{
    struct err e = {0};
    int r = pack_next(rows->pack, row, &e);
    return r < 0 ? pack_refuse(p, k->link, r, e.text) : r;
}
