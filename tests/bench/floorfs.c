/* floorfs FOLDER MOUNTPOINT: the least that a FUSE server can do, as the floor that the benchmark
 * compares with. It shows the files of one folder, read-only, tells the kernel to keep everything
 * for ever and opens without asking, and answers each read by one pread() from the file. It stays
 * in front; SIGTERM unmounts. The folder must not change meanwhile. */
#define FUSE_USE_VERSION 312

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double forever = 365.0 * 86400;

/* Inode number of files[i] is i + 2. */
struct floor_file {
    char *name;
    int fd;
    struct stat st;
};

struct floor {
    struct floor_file *files;
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    const struct floor_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static struct floor_file *file_of(fuse_req_t req, fuse_ino_t ino)
{
    const struct floor *f = fuse_req_userdata(req);
    return ino >= 2 && ino - 2 < f->count ? &f->files[ino - 2] : NULL;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->want |=
        conn->capable & (FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    const struct floor *f = fuse_req_userdata(req);
    struct floor_file key = {.name = (char *)(uintptr_t)name};
    struct fuse_entry_param e = {.entry_timeout = forever, .attr_timeout = forever};
    const struct floor_file *found =
        parent == FUSE_ROOT_ID ? bsearch(&key, f->files, f->count, sizeof(key), by_name) : NULL;
    if (found != NULL) {
        e.ino = (fuse_ino_t)(found - f->files) + 2;
        e.attr = found->st;
    }
    (void)fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct stat root = {.st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0555, .st_nlink = 2};
    const struct floor_file *file = file_of(req, ino);
    (void)fi;
    (void)fuse_reply_attr(req, file != NULL ? &file->st : &root, forever);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    (void)fuse_reply_err(req, ENOSYS);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    const struct floor_file *file = file_of(req, ino);
    char *data = malloc(size);
    (void)fi;
    ssize_t n = file != NULL && data != NULL ? pread(file->fd, data, size, off) : -1;
    if (n < 0)
        (void)fuse_reply_err(req, EIO);
    else
        (void)fuse_reply_buf(req, data, (size_t)n);
    free(data);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    const struct floor *f = fuse_req_userdata(req);
    char *data = malloc(size);
    size_t len = 0;
    (void)ino;
    (void)fi;
    for (size_t i = (size_t)off; data != NULL && i < f->count; i++) {
        size_t need = fuse_add_direntry(req, data + len, size - len, f->files[i].name,
                                        &f->files[i].st, (off_t)i + 1);
        if (need > size - len)
            break;
        len += need;
    }
    (void)fuse_reply_buf(req, data, len);
    free(data);
}

static const struct fuse_lowlevel_ops ops = {.init = op_init,
                                             .lookup = op_lookup,
                                             .getattr = op_getattr,
                                             .open = op_open,
                                             .opendir = op_open,
                                             .read = op_read,
                                             .readdir = op_readdir};

static int add_file(struct floor *f, int folder, const char *name)
{
    struct floor_file file = {.fd = openat(folder, name, O_RDONLY | O_CLOEXEC)};
    if (file.fd < 0 || fstat(file.fd, &file.st) != 0)
        return -1;
    if (!S_ISREG(file.st.st_mode))
        return close(file.fd);
    struct floor_file *more = realloc(f->files, (f->count + 1) * sizeof(*more));
    file.name = strdup(name);
    if (more == NULL || file.name == NULL)
        return -1;
    f->files = more;
    f->files[f->count++] = file;
    return 0;
}

static int load(struct floor *f, const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *d;
    if (dir == NULL)
        return -1;
    while ((d = readdir(dir)) != NULL)
        if (add_file(f, dirfd(dir), d->d_name) != 0)
            return -1;
    if (f->count > 1)
        qsort(f->files, f->count, sizeof(*f->files), by_name);
    for (size_t i = 0; i < f->count; i++)
        f->files[i].st.st_ino = i + 2;
    return closedir(dir);
}

static int serve(struct floor *f, char *program, const char *mountpoint)
{
    char o[] = "-o", options[] = "ro,fsname=floorfs,subtype=floorfs";
    char *argv[] = {program, o, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse_session *se = fuse_session_new(&args, &ops, sizeof(ops), f);
    int r = -1;
    if (se != NULL && fuse_set_signal_handlers(se) == 0 &&
        fuse_session_mount(se, mountpoint) == 0) {
        r = fuse_session_loop_mt(se, NULL);
        fuse_session_unmount(se);
    }
    if (se != NULL)
        fuse_session_destroy(se);
    fuse_opt_free_args(&args);
    return r;
}

int main(int argc, char **argv)
{
    struct floor f = {NULL, 0};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: floorfs FOLDER MOUNTPOINT\n");
        return 2;
    }
    if (load(&f, argv[1]) != 0) {
        perror(argv[1]);
        return 1;
    }
    int r = serve(&f, argv[0], argv[2]);
    for (size_t i = 0; i < f.count; i++) {
        (void)close(f.files[i].fd);
        free(f.files[i].name);
    }
    free(f.files);
    return r < 0 ? 1 : 0;
}
