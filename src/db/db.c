#include "db/db.h"

#include "base/lock.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MAP_LARGEST  ((size_t)16 << 30)
#define MAP_SMALLEST ((size_t)256 << 20)

enum {
    MAX_READERS = 1024,
    /* The file is kept this much longer than its last page: LMDB need not write free pages at its
     * end, and without them a whole file would look like one cut short. */
    TAIL = 1 << 20,
};

struct db {
    MDB_env *env;
    bool read_only;
    bool no_lock;
    size_t page;
    size_t tables;
    MDB_dbi *dbi;
    struct lock lock;
    unsigned txns; /* open transactions, by lock: the map may only move when there is but one */
};

/* The one place where LMDB's codes become ours. */
static int code_of(int rc)
{
    static const struct {
        int lmdb;
        int code;
    } table[] = {
        {MDB_KEYEXIST, -EINVAL},       {MDB_NOTFOUND, -ENOENT},
        {MDB_PAGE_NOTFOUND, -EBADMSG}, {MDB_CORRUPTED, -EBADMSG},
        {MDB_PANIC, -ENOTRECOVERABLE}, {MDB_VERSION_MISMATCH, -EBADMSG},
        {MDB_INVALID, -EBADMSG},       {MDB_MAP_FULL, -ENOSPC},
        {MDB_DBS_FULL, -ENFILE},       {MDB_READERS_FULL, -EAGAIN},
        {MDB_TLS_FULL, -ENOMEM},       {MDB_TXN_FULL, -EFBIG},
        {MDB_CURSOR_FULL, -EBADMSG},   {MDB_PAGE_FULL, -EBADMSG},
        {MDB_MAP_RESIZED, -EAGAIN},    {MDB_INCOMPATIBLE, -EBADMSG},
        {MDB_BAD_RSLOT, -EBUSY},       {MDB_BAD_TXN, -EINVAL},
        {MDB_BAD_VALSIZE, -EMSGSIZE},  {MDB_BAD_DBI, -EINVAL},
    };
    if (rc >= 0)
        return -rc;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].lmdb == rc)
            return table[i].code;
    return -EIO;
}

static int report(struct err *e, const char *path, int code)
{
    if (code == -EBADMSG)
        return err_set(e, code, "%s: damaged or not made by this program (delete it)", path);
    if (code == -ENOMEM)
        return err_set(e, code, "%s: no address space for it (raise ulimit -v)", path);
    return err_set(e, code, "%s: %s", path, err_text(code));
}

static int env_with_map(const char *path, unsigned flags, size_t tables, size_t map, MDB_env **out)
{
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    if (rc != 0)
        return rc;
    if ((rc = mdb_env_set_maxdbs(env, (MDB_dbi)tables)) == 0 &&
        (rc = mdb_env_set_maxreaders(env, MAX_READERS)) == 0 &&
        (rc = mdb_env_set_mapsize(env, map)) == 0)
        rc = mdb_env_open(env, path, flags, 0644);
    if (rc != 0) {
        mdb_env_close(env);
        return rc;
    }
    *out = env;
    return 0;
}

/* How LMDB's first two pages begin, up to the page size, which LMDB divides by without a look at
 * it. */
struct meta_head {
    size_t page_number;
    uint16_t pad, flags;
    uint32_t bounds;
    uint32_t magic, version;
    void *address;
    size_t map_size;
    uint32_t page_size;
};

static bool page_size_ok(int fd, off_t at, uint32_t *page_size)
{
    struct meta_head head = {.page_size = 0};
    ssize_t n = pread(fd, &head, sizeof(head), at);
    *page_size = head.page_size;
    if (n < (ssize_t)sizeof(head))
        return n == 0; /* an empty file is a new one */
    return head.page_size >= 512 && head.page_size <= 65536 &&
           (head.page_size & (head.page_size - 1)) == 0;
}

static int check_head(const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    uint32_t first = 0;
    uint32_t second = 0;
    if (!page_size_ok(fd, 0, &first) || (first != 0 && !page_size_ok(fd, first, &second)))
        return MDB_INVALID;
    return first == second ? 0 : MDB_INVALID;
}

/* Leaves room for others where address space is limited. */
static size_t first_map(void)
{
    struct rlimit as;
    size_t map = MAP_LARGEST;
    if (getrlimit(RLIMIT_AS, &as) != 0 || as.rlim_cur == RLIM_INFINITY)
        return map;
    while (map > MAP_SMALLEST && map > as.rlim_cur / 4)
        map /= 2;
    return map;
}

static int env_open(const char *path, unsigned flags, size_t tables, MDB_env **out)
{
    unsigned mdb = MDB_NOSUBDIR | MDB_NOTLS;
    if (flags & DB_READ_ONLY)
        mdb |= MDB_RDONLY | MDB_NOLOCK;
    if (flags & DB_SHARED)
        mdb |= MDB_RDONLY;
    if (flags & DB_NO_SYNC)
        mdb |= MDB_NOSYNC;
    int rc = check_head(path);
    if (rc != 0)
        return rc;
    rc = ENOMEM;
    for (size_t map = first_map(); map >= MAP_SMALLEST && rc == ENOMEM; map /= 2)
        rc = env_with_map(path, mdb, tables, map, out);
    return rc;
}

static uint64_t used_bytes(const struct db *db)
{
    MDB_envinfo info;
    (void)mdb_env_info(db->env, &info);
    return ((uint64_t)info.me_last_pgno + 1) * db->page;
}

static int file_stat(struct db *db, struct stat *st, int *fd)
{
    *st = (struct stat){.st_size = 0};
    *fd = -1;
    int rc = mdb_env_get_fd(db->env, fd);
    if (rc != 0)
        return code_of(rc);
    return fstat(*fd, st) == 0 ? 0 : -errno;
}

/* LMDB reads through a mapping: a page beyond the end of the file would be SIGBUS. */
static int check_length(struct db *db)
{
    MDB_stat stat;
    int rc = mdb_env_stat(db->env, &stat);
    if (rc != 0)
        return code_of(rc);
    db->page = stat.ms_psize;
    uint64_t used = used_bytes(db);
    struct stat st;
    int fd;
    int err = file_stat(db, &st, &fd);
    if (err != 0)
        return err;
    return (uint64_t)st.st_size < used ? -EBADMSG : 0;
}

static void keep_tail(struct db *db)
{
    struct stat st;
    int fd;
    uint64_t want = used_bytes(db) + TAIL / 2;
    if (file_stat(db, &st, &fd) == 0 && (uint64_t)st.st_size < want)
        (void)!ftruncate(fd, (off_t)(want + TAIL / 2));
}

static int open_tables(struct db *db, const char *const *names)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(db->env, NULL, db->read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0)
        return code_of(rc);
    for (size_t i = 0; i < db->tables && rc == 0; i++)
        rc = mdb_dbi_open(txn, names[i], db->read_only ? 0 : MDB_CREATE, &db->dbi[i]);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc == MDB_NOTFOUND ? -EBADMSG : code_of(rc);
    }
    return code_of(mdb_txn_commit(txn));
}

static int start(struct db *db, const char *const *names)
{
    int err = check_length(db);
    if (err != 0)
        return err;
    int dead = 0;
    if (!db->no_lock)
        (void)mdb_reader_check(db->env, &dead);
    err = open_tables(db, names);
    if (err == 0 && !db->read_only)
        keep_tail(db);
    return err;
}

int db_open(const char *path, unsigned flags, const char *const *tables, size_t count,
            struct db **out, struct err *e)
{
    *out = NULL;
    struct db *db = calloc(1, sizeof(*db));
    if (db == NULL)
        return report(e, path, -ENOMEM);
    lock_init(&db->lock, LOCK_RANK_LEAF);
    db->read_only = (flags & (DB_READ_ONLY | DB_SHARED)) != 0;
    db->no_lock = (flags & DB_READ_ONLY) != 0;
    db->tables = count;
    db->dbi = calloc(count, sizeof(*db->dbi));
    int err = db->dbi == NULL ? -ENOMEM : code_of(env_open(path, flags, count, &db->env));
    if (err == 0)
        err = start(db, tables);
    if (err != 0) {
        db_close(&db);
        return report(e, path, err);
    }
    *out = db;
    return 0;
}

void db_close(struct db **pdb)
{
    struct db *db = *pdb;
    *pdb = NULL;
    if (db == NULL)
        return;
    if (db->env != NULL)
        mdb_env_close(db->env);
    lock_destroy(&db->lock);
    free(db->dbi);
    free(db);
}

int db_sync(struct db *db)
{
    return db->read_only ? 0 : code_of(mdb_env_sync(db->env, 1));
}

static void count_txn(struct db *db, bool more)
{
    lock_take(&db->lock);
    db->txns += more ? 1U : -1U;
    lock_drop(&db->lock);
}

/* Another process has made the file larger than this one's map. */
static int take_larger_map(struct db *db)
{
    lock_take(&db->lock);
    int rc = db->txns == 1 ? mdb_env_set_mapsize(db->env, 0) : MDB_MAP_RESIZED;
    lock_drop(&db->lock);
    return rc;
}

struct db_txn db_begin(struct db *db, bool write)
{
    struct db_txn t = {.db = db};
    if (write && db->read_only) {
        t.err = -EROFS;
        return t;
    }
    MDB_txn *txn = NULL;
    count_txn(db, true);
    int rc = mdb_txn_begin(db->env, NULL, write ? 0 : MDB_RDONLY, &txn);
    if (rc == MDB_MAP_RESIZED && (rc = take_larger_map(db)) == 0)
        rc = mdb_txn_begin(db->env, NULL, write ? 0 : MDB_RDONLY, &txn);
    if (rc != 0)
        count_txn(db, false);
    t.err = code_of(rc);
    t.txn = rc == 0 ? txn : NULL;
    return t;
}

int db_commit(struct db_txn *t)
{
    if (t->err != 0 || t->txn == NULL) {
        db_abort(t);
        return t->err;
    }
    MDB_txn *txn = t->txn;
    t->txn = NULL;
    t->err = code_of(mdb_txn_commit(txn));
    if (t->err == 0 && !t->db->read_only)
        keep_tail(t->db);
    count_txn(t->db, false);
    return t->err;
}

void db_abort(struct db_txn *t)
{
    if (t->txn == NULL)
        return;
    mdb_txn_abort(t->txn);
    t->txn = NULL;
    count_txn(t->db, false);
}

/* False when the call must do nothing: an earlier error, or a bad argument, which then is the
 * error. */
static bool usable(struct db_txn *t, unsigned table, size_t klen)
{
    if (t->err == 0 && (t->txn == NULL || table >= t->db->tables || klen == 0))
        t->err = -EINVAL;
    if (t->err == 0 && klen > DB_MAX_KEY)
        t->err = -EMSGSIZE;
    return t->err == 0;
}

static MDB_val val_of(const void *data, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)data};
}

static struct db_slice slice_of(MDB_val v)
{
    return (struct db_slice){.data = v.mv_data, .len = v.mv_size};
}

bool db_get(struct db_txn *t, unsigned table, const void *key, size_t klen, struct db_slice *val)
{
    *val = (struct db_slice){NULL, 0};
    if (!usable(t, table, klen))
        return false;
    MDB_val k = val_of(key, klen);
    MDB_val v = {0, NULL};
    int rc = mdb_get(t->txn, t->db->dbi[table], &k, &v);
    if (rc != 0) {
        t->err = rc == MDB_NOTFOUND ? 0 : code_of(rc);
        return false;
    }
    *val = slice_of(v);
    return true;
}

static void put(struct db_txn *t, unsigned table, MDB_val key, MDB_val val, unsigned flags)
{
    if (!usable(t, table, key.mv_size))
        return;
    t->err = code_of(mdb_put(t->txn, t->db->dbi[table], &key, &val, flags));
}

void db_put(struct db_txn *t, unsigned table, const void *key, size_t klen, const void *val,
            size_t vlen)
{
    put(t, table, val_of(key, klen), val_of(val, vlen), 0);
}

void db_append(struct db_txn *t, unsigned table, const void *key, size_t klen, const void *val,
               size_t vlen)
{
    put(t, table, val_of(key, klen), val_of(val, vlen), MDB_APPEND);
}

void db_del(struct db_txn *t, unsigned table, const void *key, size_t klen)
{
    if (!usable(t, table, klen))
        return;
    MDB_val k = val_of(key, klen);
    int rc = mdb_del(t->txn, t->db->dbi[table], &k, NULL);
    t->err = rc == MDB_NOTFOUND ? 0 : code_of(rc);
}

uint64_t db_count(struct db_txn *t, unsigned table)
{
    MDB_stat stat = {0};
    if (!usable(t, table, 1))
        return 0;
    t->err = code_of(mdb_stat(t->txn, t->db->dbi[table], &stat));
    return t->err == 0 ? stat.ms_entries : 0;
}

static MDB_cursor *cursor_open(struct db_txn *t, unsigned table, size_t klen)
{
    MDB_cursor *cursor = NULL;
    if (usable(t, table, klen))
        t->err = code_of(mdb_cursor_open(t->txn, t->db->dbi[table], &cursor));
    return t->err == 0 ? cursor : NULL;
}

int db_scan(struct db_txn *t, unsigned table, const void *from, size_t flen,
            int (*row)(void *arg, struct db_slice key, struct db_slice val), void *arg)
{
    MDB_cursor *cursor = cursor_open(t, table, flen == 0 ? 1 : flen);
    if (cursor == NULL)
        return t->err;
    MDB_val k = val_of(from, flen);
    MDB_val v = {0, NULL};
    int answer = 0;
    int rc = mdb_cursor_get(cursor, &k, &v, flen == 0 ? MDB_FIRST : MDB_SET_RANGE);
    while (rc == 0 && (answer = row(arg, slice_of(k), slice_of(v))) == 0)
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    mdb_cursor_close(cursor);
    if (rc == 0 || rc == MDB_NOTFOUND)
        return answer;
    return t->err = code_of(rc);
}

bool db_last(struct db_txn *t, unsigned table, struct db_slice *key, struct db_slice *val)
{
    MDB_cursor *cursor = cursor_open(t, table, 1);
    if (cursor == NULL)
        return false;
    MDB_val k = {0, NULL};
    MDB_val v = {0, NULL};
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    mdb_cursor_close(cursor);
    if (rc != 0) {
        t->err = rc == MDB_NOTFOUND ? 0 : code_of(rc);
        return false;
    }
    *key = slice_of(k);
    *val = slice_of(v);
    return true;
}

uint64_t db_bytes(struct db *db)
{
    struct stat st;
    int fd;
    return file_stat(db, &st, &fd) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

void db_key_u(struct db_key *k, uint64_t value, unsigned bytes)
{
    unsigned char be[8];
    for (unsigned i = 0; i < bytes; i++)
        be[i] = (unsigned char)(value >> (8 * (bytes - 1 - i)));
    db_key_add(k, be, bytes);
}

void db_key_add(struct db_key *k, const void *data, size_t len)
{
    if (k->len > DB_MAX_KEY || len > DB_MAX_KEY - k->len) {
        k->len = DB_MAX_KEY + 1;
        return;
    }
    if (len > 0)
        memcpy(k->data + k->len, data, len);
    k->len += len;
}

uint64_t db_key_read(const void *at, unsigned bytes)
{
    const unsigned char *p = at;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}
