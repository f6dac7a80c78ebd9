#include "dataset/packs_i.h"

#include "base/fsio.h"
#include "base/hash.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEMP_NAME = 40 };

struct unpack_file *unpack_file_new(const struct pack_io *io, const struct pack_row *row,
                                    struct unpack_place *place)
{
    struct unpack_file *f = calloc(1, sizeof(*f));
    size_t bytes = row->blocks * sizeof(*row->block);
    char *path = strndup(row->path.s, row->path.len);
    struct pack_block *block = malloc(bytes + 1);
    if (f == NULL || path == NULL || block == NULL) {
        free(f);
        free(path);
        free(block);
        return NULL;
    }
    if (bytes > 0)
        memcpy(block, row->block, bytes);
    f->io = io;
    f->row = *row;
    f->row.path.s = path;
    f->row.block = block;
    f->row.url = f->row.etag = f->row.dataset = (struct pack_slice){"", 0};
    const char *slash = strrchr(path, '/');
    f->name = slash != NULL ? slash + 1 : path;
    f->fd = -1;
    f->place = place;
    if (place != NULL)
        place->uses++;
    return f;
}

static void temp_name(const struct unpack_file *f, char out[TEMP_NAME])
{
    (void)snprintf(out, TEMP_NAME, ".medshapefs-%016" PRIx64, hash64(f->name, strlen(f->name), 0));
}

void unpack_file_free(struct unpack_file **fp)
{
    struct unpack_file *f = *fp;
    char temp[TEMP_NAME];
    *fp = NULL;
    if (f == NULL)
        return;
    if (f->temp) {
        temp_name(f, temp);
        (void)unlinkat(f->place->fd, temp, 0);
    }
    if (f->fd >= 0)
        (void)close(f->fd);
    hash_sha256_free(&f->sha);
    unpack_place_drop(&f->place);
    free((char *)(uintptr_t)f->row.path.s);
    free((struct pack_block *)(uintptr_t)f->row.block);
    free(f);
}

/* ---- from no name to its own ---- */

int unpack_file_begin(struct unpack_file *f)
{
    char temp[TEMP_NAME];
    if (f->unnamed)
        f->fd = openat(f->place->fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (f->fd >= 0 || (f->unnamed && errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return f->fd >= 0 ? 0 : -errno;
    temp_name(f, temp);
    (void)unlinkat(f->place->fd, temp, 0); /* what a killed one has left */
    f->fd = openat(f->place->fd, temp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0666);
    f->temp = f->fd >= 0;
    return f->fd >= 0 ? 0 : -errno;
}

static int link_as(const struct unpack_file *f, const char *name)
{
    char self[64];
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, self, f->place->fd, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

static int rename_as(const struct unpack_file *f, const char *temp)
{
    struct stat st;
    int at = f->place->fd;
    if (renameat2(at, temp, at, f->name, f->replace ? 0 : RENAME_NOREPLACE) == 0)
        return 0;
    if (f->replace || (errno != EINVAL && errno != ENOSYS))
        return -errno;
    if (fstatat(at, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(at, temp, at, f->name) == 0 ? 0 : -errno;
}

int unpack_file_publish(struct unpack_file *f)
{
    char temp[TEMP_NAME];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = f->row.mtime, .tv_nsec = f->row.mtime_ns}};
    if (futimens(f->fd, times) != 0)
        return -errno;
    temp_name(f, temp);
    int r = 0;
    if (!f->temp) {
        r = link_as(f, f->name);
        if (r != -EEXIST || !f->replace)
            return r;
        (void)unlinkat(f->place->fd, temp, 0);
        if ((r = link_as(f, temp)) != 0)
            return r;
        f->temp = true;
    }
    r = rename_as(f, temp);
    f->temp = r != 0;
    return r;
}

/* ---- the work of threads ---- */

/* Checks the file that is there: 1 the same, 0 another one, or -errno. */
static int compare(const struct unpack_file *f, unsigned char *room, struct hash_sha256 *sha)
{
    struct stat st;
    unsigned char sum[HASH_SHA256_LEN];
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    CLEANUP_CLOSE int fd = openat(f->place->fd, f->name, flags);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->row.size)
        return 0;
    for (uint64_t at = 0; at < f->row.size;) {
        uint64_t rest = f->row.size - at;
        size_t len = rest < CODEC_BLOCK_MAX ? (size_t)rest : CODEC_BLOCK_MAX;
        int r = fsio_pread_all(fd, room, len, at);
        if (r != 0)
            return r == -ENODATA ? 0 : r;
        hash_sha256_add(sha, room, len);
        at += len;
    }
    int r = hash_sha256_end(sha, sum);
    return r != 0 ? r : memcmp(sum, f->row.sha256, sizeof(sum)) == 0;
}

static int run_block(const struct unpack_file *f, size_t i, unsigned char *text,
                     struct unpack_kit *kit)
{
    const struct pack_block *block = &f->row.block[i];
    int r = pack_read_block(f->io, kit->codec, block, &kit->scratch, text);
    if (r == 0 && f->fd >= 0)
        r = fsio_pwrite_all(f->fd, text, (size_t)block->text, i * f->row.block[0].text);
    return r;
}

void unpack_run_block(struct unpack_job *job, struct unpack_kit *kit)
{
    job->err = run_block(job->file, job->block, job->text, kit);
}

static int verify(struct unpack_file *f, unsigned char *text, struct unpack_kit *kit,
                  struct hash_sha256 *sha)
{
    unsigned char sum[HASH_SHA256_LEN];
    int r = 0;
    for (f->bad = 0; f->bad < f->row.blocks; f->bad++) {
        if ((r = run_block(f, f->bad, text, kit)) != 0)
            return r;
        hash_sha256_add(sha, text, (size_t)f->row.block[f->bad].text);
    }
    f->bad = SIZE_MAX;
    r = hash_sha256_end(sha, sum);
    return r == 0 && memcmp(sum, f->row.sha256, sizeof(sum)) != 0 ? -EBADMSG : r;
}

static int write_out(struct unpack_file *f, unsigned char *text, struct unpack_kit *kit)
{
    int r = unpack_file_begin(f);
    for (f->bad = 0; r == 0 && f->bad < f->row.blocks; f->bad++)
        if ((r = run_block(f, f->bad, text, kit)) != 0)
            return r;
    return r == 0 ? unpack_file_publish(f) : r;
}

static void compare_and_write(struct unpack_file *f, unsigned char *text, struct unpack_kit *kit,
                              struct hash_sha256 *sha)
{
    int same = f->compare ? compare(f, text, sha) : -ENOENT;
    if (same > 0)
        f->end = UNPACK_THERE;
    else if (same == -ENOENT || f->replace)
        f->err = write_out(f, text, kit);
    else
        f->err = same < 0 ? same : -EEXIST;
}

void unpack_run_whole(struct unpack_job *job, struct unpack_kit *kit)
{
    struct unpack_file *f = job->file;
    struct hash_sha256 *sha = hash_sha256_new();
    f->end = UNPACK_OUT;
    if (sha == NULL)
        f->err = -ENOMEM;
    else if (f->place == NULL)
        f->err = verify(f, job->text, kit, sha);
    else
        compare_and_write(f, job->text, kit, sha);
    hash_sha256_free(&sha);
    if (f->err != 0)
        f->end = f->err == -EEXIST ? UNPACK_DIFFERS : UNPACK_FAILED;
}
