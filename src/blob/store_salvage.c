#include "blob/store_i.h"

#include "base/fsio.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COPY_SECONDS = 60, ID_MAX = 128 };

static void mark_path(const char *dir, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/running", dir);
}

static void boot_id(struct buf *out)
{
    buf_clear(out);
    (void)fsio_read_file("/proc/sys/kernel/random/boot_id", ID_MAX, out);
}

void store_salvage_mark(const char *dir)
{
    char path[PATH_MAX];
    CLEANUP_BUF struct buf id = BUF_INIT;
    mark_path(dir, path);
    boot_id(&id);
    (void)fsio_write_file(path, id.data, id.len);
}

void store_salvage_unmark(const char *dir)
{
    char path[PATH_MAX];
    mark_path(dir, path);
    (void)unlink(path);
}

/* True when the machine stopped while the index was open. */
static bool is_torn(const char *dir)
{
    char path[PATH_MAX];
    CLEANUP_BUF struct buf then = BUF_INIT;
    CLEANUP_BUF struct buf now = BUF_INIT;
    mark_path(dir, path);
    if (fsio_read_file(path, ID_MAX, &then) != 0)
        return false;
    boot_id(&now);
    return then.len != now.len || memcmp(buf_cstr(&then), buf_cstr(&now), now.len) != 0;
}

/* Takes an object over and gives it its place in the order of use: without one it could never be
 * evicted. */
static int copy_object(void *arg, struct db_slice key, struct db_slice val)
{
    struct db_txn *to = arg;
    struct hash_id id;
    struct store_row row;
    if (key.len != sizeof(id) || store_row_decode(val.data, val.len, &row) != 0)
        return -EBADMSG;
    memcpy(&id, key.data, sizeof(id));
    store_index_put(to, &id, &row, 0);
    return to->err;
}

/* Takes a block over if its object is there. */
static int copy_block(void *arg, struct db_slice key, struct db_slice val)
{
    struct db_txn *to = arg;
    struct db_slice row;
    if (key.len != HASH_ID_LEN + 4)
        return -EBADMSG;
    if (db_get(to, STORE_T_OBJECT, key.data, HASH_ID_LEN, &row))
        db_append(to, STORE_T_BLOCK, key.data, key.len, val.data, val.len);
    return to->err;
}

static int copy_index(const char *from, const char *to)
{
    struct db *old = NULL;
    struct db *new = NULL;
    int err = db_open(from, DB_READ_ONLY, store_tables, STORE_TABLES, &old, NULL);
    if (err == 0)
        err = db_open(to, 0, store_tables, STORE_TABLES, &new, NULL);
    if (err != 0)
        return err;
    struct db_txn r = db_begin(old, false);
    struct db_txn w = db_begin(new, true);
    err = r.err;
    if (err == 0)
        err = db_scan(&r, STORE_T_OBJECT, NULL, 0, copy_object, &w);
    if (err == 0)
        err = db_scan(&r, STORE_T_BLOCK, NULL, 0, copy_block, &w);
    return err != 0 ? err : db_commit(&w);
}

/* LMDB may abort or crash on a torn file: the copy is made by a process of its own. */
static int copy_apart(const char *from, const char *to)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(COPY_SECONDS);
        _exit(copy_index(from, to) == 0 ? 0 : 1);
    }
    if (child < 0)
        return -errno;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return status == 0 ? 0 : -EBADMSG;
}

void store_salvage(const char *dir)
{
    char path[PATH_MAX];
    char copy[PATH_MAX];
    char lock[PATH_MAX];
    if (!is_torn(dir))
        return;
    (void)snprintf(path, sizeof(path), "%s/index.mdb", dir);
    (void)snprintf(copy, sizeof(copy), "%s/salvage.mdb", dir);
    (void)snprintf(lock, sizeof(lock), "%s/salvage.mdb-lock", dir);
    (void)unlink(copy);
    int err = copy_apart(path, copy);
    store_index_remove(dir);
    if (err == 0 && rename(copy, path) != 0)
        err = -errno;
    (void)unlink(copy);
    (void)unlink(lock);
    log_info("%s: the machine stopped while the cache was in use; its index was %s", dir,
             err == 0 ? "copied" : "damaged and begins anew");
}
