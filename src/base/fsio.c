#include "base/fsio.h"

#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

int fsio_mkdirs(const char *path, mode_t mode)
{
    char copy[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(copy))
        return -ENAMETOOLONG;
    memcpy(copy, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (copy[i] != '/' && copy[i] != '\0')
            continue;
        char kept = copy[i];
        copy[i] = '\0';
        if (mkdir(copy, kept == '\0' ? mode : 0755) != 0 && errno != EEXIST)
            return -errno;
        copy[i] = kept;
    }
    struct stat st;
    if (stat(path, &st) != 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fsio_read_file(const char *path, uint64_t max, struct buf *out)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    uint64_t total = 0;
    for (;;) {
        if (buf_reserve(out, 65536) != 0)
            return out->err;
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        out->len += (size_t)n;
        total += (uint64_t)n;
        if (total > max)
            return -EFBIG;
    }
}

int fsio_pwrite_all(int fd, const void *data, size_t len, uint64_t off)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int fsio_pread_all(int fd, void *data, size_t len, uint64_t off)
{
    char *p = data;
    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int fsio_sync_parent(const char *path)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return -ENAMETOOLONG;
    char *slash = strrchr(copy, '/');
    if (slash != NULL)
        slash[slash == copy ? 1 : 0] = '\0';
    CLEANUP_CLOSE int fd = open(slash != NULL ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fsync(fd) == 0 || errno == EINVAL ? 0 : -errno;
}

int fsio_write_file(const char *path, const void *data, size_t len)
{
    char temp[PATH_MAX];
    if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp))
        return -ENAMETOOLONG;
    CLEANUP_CLOSE int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int r = fsio_pwrite_all(fd, data, len, 0);
    if (r == 0 && fsync(fd) != 0)
        r = -errno;
    if (r == 0 && rename(temp, path) != 0)
        r = -errno;
    if (r != 0) {
        (void)unlink(temp);
        return r;
    }
    return fsio_sync_parent(path);
}

/* True where the FUSE mount under `path` is one of those that keep their files on this machine:
 * containers without root live on them. */
static bool fuse_is_local(const char *path)
{
    static const char *const local[] = {" fuse.fuse-overlayfs ", " fuseblk ", " fuse.bindfs ",
                                        " fuse.gocryptfs "};
    CLEANUP_FCLOSE FILE *f = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    struct stat st;
    char device[48];
    bool is = false;
    if (f == NULL || stat(path, &st) != 0)
        return false;
    (void)snprintf(device, sizeof(device), " %u:%u ", major(st.st_dev), minor(st.st_dev));
    while (getline(&line, &cap, f) > 0)
        for (size_t i = 0; i < ARRAY_LEN(local) && strstr(line, device) != NULL; i++)
            is = is || strstr(line, local[i]) != NULL;
    return is;
}

const char *fsio_network_fs(const char *path)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } table[] = {
        {NFS_SUPER_MAGIC, "nfs"},   {SMB_SUPER_MAGIC, "smb"},   {0xFF534D42UL, "cifs"},
        {0xFE534D42UL, "smb2"},     {CEPH_SUPER_MAGIC, "ceph"}, {AFS_SUPER_MAGIC, "afs"},
        {CODA_SUPER_MAGIC, "coda"}, {V9FS_MAGIC, "9p"},         {0x0BD00BD0UL, "lustre"},
        {0x47504653UL, "gpfs"},     {0x19830326UL, "beegfs"},   {FUSE_SUPER_MAGIC, "fuse"},
        {0x7461636fUL, "ocfs2"},    {0x01161970UL, "gfs2"},
    };
    struct statfs sf;
    char at[PATH_MAX];
    (void)snprintf(at, sizeof(at), "%s", path);
    for (char *slash; statfs(at, &sf) != 0; *slash = '\0')
        if (errno != ENOENT || (slash = strrchr(at, '/')) == NULL || slash == at)
            return NULL;
    unsigned long type = (unsigned long)sf.f_type & 0xFFFFFFFFUL;
    if (type == FUSE_SUPER_MAGIC && fuse_is_local(at))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (type == table[i].magic)
            return table[i].name;
    return NULL;
}

int fsio_temp_file(const char *dir)
{
    char path[PATH_MAX];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (snprintf(path, sizeof(path), "%s/temp-XXXXXX", dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    (void)unlink(path);
    return fd;
}

uint64_t fsio_free_bytes(const char *path)
{
    struct statvfs sv;
    if (statvfs(path, &sv) != 0)
        return UINT64_MAX;
    return (uint64_t)sv.f_bavail * sv.f_frsize;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) == 0 || errno == ENOENT ? 0 : -errno;
}

int fsio_remove_tree(const char *path)
{
    int r = nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return r == -1 ? (errno == ENOENT ? 0 : -errno) : r;
}
