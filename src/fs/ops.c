#include "fs/fs_i.h"

#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { BACKGROUND = 1024, BLOCK = 4096 };

static struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

int fs_errno(int err)
{
    switch (-err) {
    case ENOENT:
    case EACCES:
    case ETIMEDOUT:
    case ENETUNREACH:
    case ESTALE:
    case EINTR:
    case ENOTDIR:
    case EISDIR:
    case EINVAL:
    case ENODATA:
    case ENOMEM:
    case ERANGE:
        return -err;
    case EHOSTUNREACH:
        return ETIMEDOUT;
    default:
        return EIO;
    }
}

void fs_stat(const struct fs *fs, const struct medshapefs_attr *a, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_ino = a->ino;
    st->st_mode = a->mode & ~(fs->conf->umask & 0777);
    st->st_nlink = a->nlink;
    st->st_uid = fs->uid;
    st->st_gid = fs->gid;
    st->st_size = (off_t)a->size;
    st->st_blocks = (blkcnt_t)((a->size + 511) / 512);
    st->st_blksize = BLOCK;
    st->st_mtim.tv_sec = st->st_atim.tv_sec = st->st_ctim.tv_sec = a->mtime;
}

static double attr_timeout(const struct medshapefs_attr *a)
{
    return a->known && !a->fleeting ? FS_FOREVER : 0.0;
}

static void fill_entry(const struct fs *fs, const struct medshapefs_attr *a,
                       struct fuse_entry_param *e)
{
    memset(e, 0, sizeof(*e));
    e->ino = a->edition != 0 ? a->edition : a->ino;
    e->generation = a->generation;
    e->entry_timeout = a->edition != 0 ? 0.0 : FS_FOREVER;
    e->attr_timeout = attr_timeout(a);
    fs_stat(fs, a, &e->attr);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    static const unsigned wanted[] = {FUSE_CAP_READDIRPLUS,        FUSE_CAP_NO_OPEN_SUPPORT,
                                      FUSE_CAP_NO_OPENDIR_SUPPORT, FUSE_CAP_PARALLEL_DIROPS,
                                      FUSE_CAP_AUTO_INVAL_DATA,    FUSE_CAP_ASYNC_READ,
                                      FUSE_CAP_CACHE_SYMLINKS};
    conn->want &=
        ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_POSIX_LOCKS |
                    FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_ACL | FUSE_CAP_IOCTL_DIR);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        conn->want |= wanted[i] & conn->capable;
    conn->max_background = BACKGROUND;
    conn->congestion_threshold = BACKGROUND;
    conn->time_gran = 1000000000;
    fs_ready(userdata);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fs_of(req);
    struct medshapefs_attr a;
    struct fuse_entry_param e;
    if (strlen(name) > STR_NAME_MAX) {
        (void)fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    int r = medshapefs_lookup(fs->core, parent, name, &a);
    if (r == -ENOENT) {
        memset(&e, 0, sizeof(e));
        e.entry_timeout = FS_FOREVER; /* the kernel may remember that there is none */
        (void)fuse_reply_entry(req, &e);
    } else if (r != 0) {
        (void)fuse_reply_err(req, fs_errno(r));
    } else {
        fill_entry(fs, &a, &e);
        (void)fuse_reply_entry(req, &e);
    }
}

static void getattr_done(void *arg, int err, const struct medshapefs_attr *a)
{
    fuse_req_t req = fs_park_end(arg);
    struct stat st;
    if (err != 0) {
        (void)fuse_reply_err(req, fs_errno(err));
        return;
    }
    fs_stat(fs_of(req), a, &st);
    (void)fuse_reply_attr(req, &st, attr_timeout(a));
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    (void)fi;
    struct fs_parked *p = fs_park(req, ino);
    if (p == NULL)
        return;
    medshapefs_getattr(fs->core, ino, getattr_done, p);
    fs_park_issued(p);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct buf target = BUF_INIT;
    int r = medshapefs_readlink(fs_of(req)->core, ino, &target);
    if (r == 0)
        (void)fuse_reply_readlink(req, buf_cstr(&target));
    else
        (void)fuse_reply_err(req, fs_errno(r));
    buf_free(&target);
}

/* No handle is kept: the kernel then opens files and folders by itself, and keeps their pages and
 * listings. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    (void)fuse_reply_err(req, ENOSYS);
}

static void read_done(void *arg, struct medshapefs_data data)
{
    fuse_req_t req = fs_park_end(arg);
    if (data.err != 0)
        (void)fuse_reply_err(req, fs_errno(data.err));
    else
        (void)fuse_reply_iov(req, data.span, data.count);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    (void)fi;
    struct fs_parked *p = fs_park(req, ino);
    if (p == NULL)
        return;
    medshapefs_read(fs->core, ino, (uint64_t)off, size, read_done, p);
    fs_park_issued(p);
}

/* A reply of readdir that is being filled. */
struct listing {
    fuse_req_t req;
    struct fs *fs;
    bool plus;
    char *data;
    size_t len, cap;
};

static bool add(struct listing *l, const char *name, const struct fuse_entry_param *e,
                uint64_t next)
{
    size_t room = l->cap - l->len;
    size_t need =
        l->plus ? fuse_add_direntry_plus(l->req, l->data + l->len, room, name, e, (off_t)next)
                : fuse_add_direntry(l->req, l->data + l->len, room, name, &e->attr, (off_t)next);
    if (need > room)
        return false;
    l->len += need;
    return true;
}

static bool emit(void *arg, const char *name, const struct medshapefs_attr *a, uint64_t next)
{
    struct listing *l = arg;
    struct fuse_entry_param e;
    fill_entry(l->fs, a, &e);
    return add(l, name, &e, next);
}

/* "." and "..", as entries that make no inode. */
static bool add_dots(struct listing *l, uint64_t ino, off_t off)
{
    struct fuse_entry_param e;
    memset(&e, 0, sizeof(e));
    e.attr.st_mode = S_IFDIR;
    e.attr.st_ino = ino;
    if (off < 1 && !add(l, ".", &e, 1))
        return false;
    e.attr.st_ino = medshapefs_parent(l->fs->core, ino);
    return off >= 2 || add(l, "..", &e, 2);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
    struct listing l = {
        .req = req, .fs = fs_of(req), .plus = plus, .data = malloc(size), .cap = size};
    int r = l.data == NULL ? -ENOMEM : 0;
    if (r == 0 && add_dots(&l, ino, off))
        r = medshapefs_readdir(l.fs->core, ino, off <= 2 ? 0 : (uint64_t)off, emit, &l);
    if (r != 0)
        (void)fuse_reply_err(req, fs_errno(r));
    else
        (void)fuse_reply_buf(req, l.data, l.len);
    free(l.data);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, off, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    uint64_t files, bytes;
    struct statvfs sv;
    (void)ino;
    medshapefs_totals(fs_of(req)->core, &files, &bytes);
    memset(&sv, 0, sizeof(sv));
    sv.f_bsize = sv.f_frsize = BLOCK;
    sv.f_blocks = (bytes + BLOCK - 1) / BLOCK;
    sv.f_files = files;
    sv.f_namemax = STR_NAME_MAX;
    (void)fuse_reply_statfs(req, &sv);
}

/* Replies with an attribute's value or the list of names, as getxattr(2) and listxattr(2) ask for
 * it. */
static void reply_xattr(fuse_req_t req, int r, struct buf *out, size_t size)
{
    if (r != 0)
        (void)fuse_reply_err(req, fs_errno(r));
    else if (size == 0)
        (void)fuse_reply_xattr(req, out->len);
    else if (size < out->len)
        (void)fuse_reply_err(req, ERANGE);
    else
        (void)fuse_reply_buf(req, out->data, out->len);
    buf_free(out);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct fs *fs = fs_of(req);
    struct buf value = BUF_INIT;
    if (!fs->conf->xattr) {
        (void)fuse_reply_err(req, ENOSYS); /* the kernel never asks again */
        return;
    }
    reply_xattr(req, medshapefs_getxattr(fs->core, ino, name, &value), &value, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct fs *fs = fs_of(req);
    struct buf names = BUF_INIT;
    if (!fs->conf->xattr) {
        (void)fuse_reply_err(req, ENOSYS);
        return;
    }
    reply_xattr(req, medshapefs_listxattr(fs->core, ino, &names), &names, size);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .open = op_open,
    .opendir = op_open,
    .read = op_read,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
};
