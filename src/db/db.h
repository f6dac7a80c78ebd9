/* LMDB with sticky transactions: after the first error each call does nothing, and commit reports
 * it. The only place that knows LMDB. An environment is opened after fork(), once a process and
 * file. */
#ifndef DB_DB_H
#define DB_DB_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db; /* an environment: one file */

enum {
    DB_READ_ONLY =
        1,          /* a finished file that nobody writes: no lock file, any number of processes */
    DB_SHARED = 2,  /* read-only beside a live writer (uses the lock file) */
    DB_NO_SYNC = 4, /* commits do not wait for the disk (kill -9 is safe, power loss is not):
                       db_sync() does */
    DB_MAX_KEY = 511,
};

struct db_slice {
    const void *data;
    size_t len;
};

/* A transaction. Lives on the stack of one thread; nothing that it gave outlives it. */
struct db_txn {
    struct db *db;
    void *txn;
    int err; /* 0 or the first -errno */
};

/* Opens or creates file `path` with `tables` named tables (numbered in their order). Checks that
 * the file is not shorter than it says (-EBADMSG: such a file would kill its reader). 0 or -errno
 * with `e`. */
int db_open(const char *path, unsigned flags, const char *const *tables, size_t count,
            struct db **out, struct err *e);

/* Closes and empties *db; no transaction may be open. NULL inside is fine. */
void db_close(struct db **db);

/* Waits until all that was committed is on disk. 0 or -errno. */
int db_sync(struct db *db);

/* Begins a transaction (one writer at a time; it blocks for another writer only). Errors are in the
 * result. */
struct db_txn db_begin(struct db *db, bool write);

/* Commits; returns 0 or the first error of the transaction, which is then aborted. */
int db_commit(struct db_txn *t);

/* Ends a transaction without keeping anything. Fine after db_commit() too. */
void db_abort(struct db_txn *t);

/* Looks `key` up: true and *val (valid until the transaction ends or writes), false when it is not
 * there or on error. */
bool db_get(struct db_txn *t, unsigned table, const void *key, size_t klen, struct db_slice *val);

/* Stores a row, over an old one. */
void db_put(struct db_txn *t, unsigned table, const void *key, size_t klen, const void *val,
            size_t vlen);

/* Stores a row whose key is higher than all of the table; a lower one is -EINVAL. */
void db_append(struct db_txn *t, unsigned table, const void *key, size_t klen, const void *val,
               size_t vlen);

/* Removes a row; a missing one is no error. */
void db_del(struct db_txn *t, unsigned table, const void *key, size_t klen);

/* Number of rows of a table. */
uint64_t db_count(struct db_txn *t, unsigned table);

/* Calls `row` for each row from the first key >= `from` on, in order, until it returns non-zero (0
 * goes on). Returns what `row` returned last, 0 at the end, or -errno. `row` must not write to the
 * table. */
int db_scan(struct db_txn *t, unsigned table, const void *from, size_t flen,
            int (*row)(void *arg, struct db_slice key, struct db_slice val), void *arg);

/* Finds the last row of a table: true, or false when it is empty. */
bool db_last(struct db_txn *t, unsigned table, struct db_slice *key, struct db_slice *val);

/* Bytes that the file takes on disk. */
uint64_t db_bytes(struct db *db);

/* A key under construction: fixed-size big-endian integers and bytes, at most DB_MAX_KEY. */
struct db_key {
    size_t len; /* over DB_MAX_KEY: the key does not fit, db_* return -EMSGSIZE */
    unsigned char data[DB_MAX_KEY];
};

/* Appends a big-endian integer of `bytes` bytes. */
void db_key_u(struct db_key *k, uint64_t value, unsigned bytes);

/* Appends bytes. */
void db_key_add(struct db_key *k, const void *data, size_t len);

/* Reads a big-endian integer of `bytes` bytes. */
uint64_t db_key_read(const void *at, unsigned bytes);

#endif
