/* Files: whole reads and writes, folders, what kind of file system a path is on. */
#ifndef BASE_FSIO_H
#define BASE_FSIO_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes a folder and those above it (0755, the last one with `mode`); one that is there is fine. 0
 * or -errno. */
int fsio_mkdirs(const char *path, mode_t mode);

/* Appends a whole file to `out`; more than `max` bytes is -EFBIG. 0 or -errno. */
int fsio_read_file(const char *path, uint64_t max, struct buf *out);

/* Writes a file beside `path`, fsyncs it and renames it over `path`. 0 or -errno. */
int fsio_write_file(const char *path, const void *data, size_t len);

/* Writes all `len` bytes at `off`. 0 or -errno. */
int fsio_pwrite_all(int fd, const void *data, size_t len, uint64_t off);

/* Reads exactly `len` bytes at `off`; -ENODATA when the file ends before. 0 or -errno. */
int fsio_pread_all(int fd, void *data, size_t len, uint64_t off);

/* Fsyncs the folder that holds `path`, so that a rename in it lasts. 0 or -errno. */
int fsio_sync_parent(const char *path);

/* The name of the network or otherwise unfit file system under `path` ("nfs", "cifs", ...), or
 * under the nearest folder above it that exists; NULL when it is local. */
const char *fsio_network_fs(const char *path);

/* A new file in folder `dir` that has no name and goes with its descriptor: returns that, or
 * -errno.
 */
int fsio_temp_file(const char *dir);

/* Bytes that this user may still write below `path`, or UINT64_MAX when nobody tells. */
uint64_t fsio_free_bytes(const char *path);

/* Removes a folder and all below it; symbolic links are removed, not followed. 0 or the first
 * -errno. */
int fsio_remove_tree(const char *path);

#endif
