#include "db/db.h"

#include "base/fsio.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { T_ONE, T_TWO };

static const char *const names[] = {"one", "two"};

struct fixture {
    char dir[64];
    char path[96];
    struct db *db;
};

static struct db *open_or_fail(const char *path, unsigned flags)
{
    struct db *db = NULL;
    struct err e = {0};
    int err = db_open(path, flags, names, ARRAY_LEN(names), &db, &e);
    if (err != 0)
        print_error("%s\n", e.text);
    assert_int_equal(err, 0);
    return db;
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_db.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/x.mdb", f->dir);
    f->db = open_or_fail(f->path, DB_NO_SYNC);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    db_close(&f->db);
    assert_int_equal(fsio_remove_tree(f->dir), 0);
    test_free(f);
    return 0;
}

static void put_number(struct db_txn *t, unsigned table, uint32_t n)
{
    struct db_key k = {0};
    db_key_u(&k, n, 4);
    db_put(t, table, k.data, k.len, &n, sizeof(n));
}

static void fill(struct db *db, uint32_t count)
{
    struct db_txn t = db_begin(db, true);
    for (uint32_t i = 0; i < count; i++)
        put_number(&t, T_ONE, i);
    assert_int_equal(db_commit(&t), 0);
}

static uint64_t count_rows(struct db *db)
{
    struct db_txn t = db_begin(db, false);
    uint64_t n = db_count(&t, T_ONE);
    assert_int_equal(t.err, 0);
    db_abort(&t);
    return n;
}

static void test_put_get_del(void **state)
{
    struct fixture *f = *state;
    struct db_txn t = db_begin(f->db, true);
    db_put(&t, T_ONE, "a", 1, "old", 3);
    db_put(&t, T_ONE, "a", 1, "new!", 4);
    db_put(&t, T_ONE, "empty", 5, "", 0);
    db_del(&t, T_ONE, "not there", 9);
    assert_int_equal(db_commit(&t), 0);

    t = db_begin(f->db, false);
    struct db_slice v;
    assert_true(db_get(&t, T_ONE, "a", 1, &v));
    assert_int_equal(v.len, 4);
    assert_memory_equal(v.data, "new!", 4);
    assert_true(db_get(&t, T_ONE, "empty", 5, &v));
    assert_int_equal(v.len, 0);
    assert_false(db_get(&t, T_TWO, "a", 1, &v));
    assert_int_equal(t.err, 0);
    db_put(&t, T_ONE, "b", 1, "x", 1);
    assert_int_equal(t.err, -EACCES);
    assert_int_equal(db_commit(&t), -EACCES);

    t = db_begin(f->db, true);
    db_del(&t, T_ONE, "a", 1);
    assert_false(db_get(&t, T_ONE, "a", 1, &v));
    db_abort(&t);
    db_abort(&t);
    assert_int_equal(count_rows(f->db), 2);
}

static void test_errors_stick(void **state)
{
    struct fixture *f = *state;
    struct db_key k = {0};
    char long_key[DB_MAX_KEY + 1];
    memset(long_key, 'k', sizeof(long_key));
    db_key_add(&k, long_key, sizeof(long_key));
    assert_int_equal(k.len, DB_MAX_KEY + 1);

    struct db_txn t = db_begin(f->db, true);
    db_put(&t, T_ONE, long_key, DB_MAX_KEY, "fits", 4);
    assert_int_equal(t.err, 0);
    db_put(&t, T_ONE, k.data, k.len, "x", 1);
    assert_int_equal(t.err, -EMSGSIZE);
    db_put(&t, T_ONE, "good", 4, "x", 1);
    struct db_slice v;
    assert_false(db_get(&t, T_ONE, long_key, DB_MAX_KEY, &v));
    assert_int_equal(db_count(&t, T_ONE), 0);
    assert_int_equal(db_commit(&t), -EMSGSIZE);
    assert_int_equal(count_rows(f->db), 0);

    t = db_begin(f->db, true);
    db_put(&t, T_ONE, "", 0, "x", 1);
    assert_int_equal(db_commit(&t), -EINVAL);
    t = db_begin(f->db, true);
    db_put(&t, 7, "a", 1, "x", 1);
    assert_int_equal(db_commit(&t), -EINVAL);
}

static void test_append_wants_order(void **state)
{
    struct fixture *f = *state;
    struct db_txn t = db_begin(f->db, true);
    db_append(&t, T_ONE, "b", 1, "1", 1);
    db_append(&t, T_ONE, "c", 1, "2", 1);
    assert_int_equal(t.err, 0);
    db_append(&t, T_ONE, "a", 1, "3", 1);
    assert_int_equal(db_commit(&t), -EINVAL);
    assert_int_equal(count_rows(f->db), 0);
}

struct seen {
    uint32_t count, first, last, stop_at;
};

static int see(void *arg, struct db_slice key, struct db_slice val)
{
    struct seen *s = arg;
    uint32_t n = (uint32_t)db_key_read(key.data, (unsigned)key.len);
    uint32_t copy;
    assert_int_equal(val.len, sizeof(copy));
    memcpy(&copy, val.data, sizeof(copy));
    assert_int_equal(copy, n);
    if (s->count++ == 0)
        s->first = n;
    s->last = n;
    return n == s->stop_at ? 42 : 0;
}

static void test_scan(void **state)
{
    struct fixture *f = *state;
    fill(f->db, 1000);
    struct db_txn t = db_begin(f->db, false);
    struct seen s = {.stop_at = UINT32_MAX};
    assert_int_equal(db_scan(&t, T_ONE, NULL, 0, see, &s), 0);
    assert_int_equal(s.count, 1000);
    assert_int_equal(s.last, 999);

    struct db_key k = {0};
    db_key_u(&k, 256, 4);
    s = (struct seen){.stop_at = 300};
    assert_int_equal(db_scan(&t, T_ONE, k.data, k.len, see, &s), 42);
    assert_int_equal(s.first, 256);
    assert_int_equal(s.count, 45);

    struct db_slice key, val;
    assert_true(db_last(&t, T_ONE, &key, &val));
    assert_int_equal(db_key_read(key.data, 4), 999);
    assert_false(db_last(&t, T_TWO, &key, &val));
    assert_int_equal(db_scan(&t, T_TWO, "x", 1, see, &s), 0);
    assert_int_equal(db_scan(&t, 9, NULL, 0, see, &s), -EINVAL);
    db_abort(&t);
}

static void test_keys_sort_as_numbers(void **state)
{
    (void)state;
    struct db_key a = {0};
    struct db_key b = {0};
    db_key_u(&a, 0x01ff, 8);
    db_key_u(&b, 0x0200, 8);
    assert_true(memcmp(a.data, b.data, 8) < 0);
    assert_int_equal(db_key_read(a.data, 8), 0x01ff);
    db_key_add(&a, NULL, 0);
    assert_int_equal(a.len, 8);
}

/* A child writes for ever and is killed: the next writer finds whole transactions and an open door.
 */
static void test_kill_in_write(void **state)
{
    struct fixture *f = *state;
    db_close(&f->db);
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct db *db = NULL;
        if (db_open(f->path, DB_NO_SYNC, names, 2, &db, NULL) != 0)
            _exit(1);
        for (uint32_t i = 0;; i += 10) {
            struct db_txn t = db_begin(db, true);
            for (uint32_t j = 0; j < 10; j++)
                put_number(&t, T_ONE, i + j);
            if (i == 1000 && write(said[1], "x", 1) != 1)
                _exit(1);
            if (db_commit(&t) != 0)
                _exit(1);
        }
    }
    char x;
    assert_int_equal(read(said[0], &x, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    f->db = open_or_fail(f->path, DB_NO_SYNC);
    uint64_t rows = count_rows(f->db);
    assert_true(rows >= 1000);
    assert_int_equal(rows % 10, 0);
    fill(f->db, 5);
    (void)close(said[0]);
    (void)close(said[1]);
}

static int open_code(const char *path, unsigned flags, struct err *e)
{
    struct db *db = NULL;
    int err = db_open(path, flags, names, 2, &db, e);
    db_close(&db);
    return err;
}

static void test_cut_short(void **state)
{
    struct fixture *f = *state;
    fill(f->db, 20000);
    db_close(&f->db);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    const unsigned flags[] = {0, DB_READ_ONLY, DB_SHARED};
    const off_t cuts[] = {st.st_size / 4, 8192, 4096, 300, 1};
    for (size_t c = 0; c < ARRAY_LEN(cuts); c++) {
        assert_int_equal(truncate(f->path, cuts[c]), 0);
        for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
            struct err e = {0};
            assert_int_equal(open_code(f->path, flags[i], &e), -EBADMSG);
            assert_non_null(strstr(e.text, "damaged"));
        }
    }
}

static void test_not_a_database(void **state)
{
    struct fixture *f = *state;
    db_close(&f->db);
    char junk[16384];
    for (size_t i = 0; i < sizeof(junk); i++)
        junk[i] = (char)(i * 7919 >> 3);
    assert_int_equal(fsio_write_file(f->path, junk, sizeof(junk)), 0);
    assert_int_equal(open_code(f->path, 0, NULL), -EBADMSG);

    assert_int_equal(unlink(f->path), 0);
    f->db = open_or_fail(f->path, 0);
    db_close(&f->db);
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    uint32_t zero = 0;
    assert_int_equal(fsio_pwrite_all(fd, &zero, sizeof(zero), 40), 0); /* page size */
    (void)close(fd);
    assert_int_equal(open_code(f->path, 0, NULL), -EBADMSG);
    struct err e = {0};
    assert_int_equal(open_code("/nonexistent/x.mdb", 0, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/x.mdb: "));
}

static void test_read_only(void **state)
{
    struct fixture *f = *state;
    fill(f->db, 100);
    db_close(&f->db);
    char lock[128];
    (void)snprintf(lock, sizeof(lock), "%s-lock", f->path);
    assert_int_equal(unlink(lock), 0);
    f->db = open_or_fail(f->path, DB_READ_ONLY);
    assert_int_equal(access(lock, F_OK), -1);
    assert_int_equal(count_rows(f->db), 100);
    struct db_txn t = db_begin(f->db, true);
    db_put(&t, T_ONE, "a", 1, "b", 1);
    assert_int_equal(db_commit(&t), -EROFS);
    assert_int_equal(db_sync(f->db), 0);
    static const char *const other[] = {"one", "absent"};
    struct db *db = NULL;
    db_close(&f->db);
    assert_int_equal(db_open(f->path, DB_READ_ONLY, other, 2, &db, NULL), -EBADMSG);
    assert_null(db);
}

/* Rows of a database are read by another process while this one writes. */
static void test_shared_beside_writer(void **state)
{
    struct fixture *f = *state;
    fill(f->db, 100);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct db *db = NULL;
        if (db_open(f->path, DB_SHARED, names, 2, &db, NULL) != 0)
            _exit(1);
        struct db_txn t = db_begin(db, false);
        _exit(db_count(&t, T_ONE) == 100 ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fill(f->db, 200);
    assert_int_equal(count_rows(f->db), 200);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#ifdef __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif
#else
#define SANITIZED 1
#endif

/* In 1 GiB of address space a map is found, it fills up with -ENOSPC, and nothing of that
 * transaction stays. */
static int child_with_small_map(const char *path)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)1 << 30, .rlim_max = (rlim_t)1 << 30};
    struct db *db = NULL;
    if (setrlimit(RLIMIT_AS, &limit) != 0 || db_open(path, DB_NO_SYNC, names, 2, &db, NULL) != 0)
        return 1;
    char *mebibyte = calloc(1, 1 << 20);
    int err = 0;
    for (uint32_t i = 0; i < 400 && err == 0; i++) {
        struct db_txn t = db_begin(db, true);
        struct db_key k = {0};
        db_key_u(&k, i, 4);
        db_put(&t, T_TWO, k.data, k.len, mebibyte, 1 << 20);
        err = db_commit(&t);
    }
    free(mebibyte);
    struct db_txn t = db_begin(db, true);
    db_put(&t, T_ONE, "a", 1, "b", 1);
    int after = db_count(&t, T_TWO) > 200 ? 0 : -1;
    db_abort(&t);
    db_close(&db);
    return err == -ENOSPC && after == 0 ? 0 : 2;
}

static void test_small_address_space(void **state)
{
    struct fixture *f = *state;
    if (SANITIZED)
        skip();
    db_close(&f->db);
    pid_t child = fork();
    if (child == 0)
        _exit(child_with_small_map(f->path));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Pages that a transaction allocates and frees again at the end of the file are never written. */
static void test_free_tail_is_no_damage(void **state)
{
    struct fixture *f = *state;
    char *big = calloc(1, 100000);
    for (uint32_t i = 0; i < 50; i++) {
        struct db_txn t = db_begin(f->db, true);
        put_number(&t, T_ONE, i);
        db_put(&t, T_TWO, "big", 3, big, 100000);
        db_del(&t, T_TWO, "big", 3);
        assert_int_equal(db_commit(&t), 0);
    }
    free(big);
    assert_int_equal(db_sync(f->db), 0);
    assert_true(db_bytes(f->db) > 0);
    assert_true(db_bytes(f->db) < 1 << 20);
    db_close(&f->db);
    f->db = open_or_fail(f->path, 0);
    assert_int_equal(count_rows(f->db), 50);
}

static void *read_much(void *arg)
{
    struct db *db = arg;
    for (int i = 0; i < 300; i++) {
        struct db_txn t = db_begin(db, false);
        struct db_slice key, val;
        if (db_count(&t, T_ONE) % 10 != 0 || (db_last(&t, T_ONE, &key, &val) && val.len != 4))
            t.err = -EIO;
        int err = t.err;
        db_abort(&t);
        if (err != 0)
            return arg;
    }
    return NULL;
}

static void test_readers_beside_writer(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_much, f->db), 0);
    for (uint32_t n = 0; n < 1000; n += 10) {
        struct db_txn t = db_begin(f->db, true);
        for (uint32_t i = n; i < n + 10; i++)
            put_number(&t, T_ONE, i);
        assert_int_equal(db_commit(&t), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *answer;
        assert_int_equal(pthread_join(threads[i], &answer), 0);
        assert_null(answer);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_put_get_del),
        CASE(test_errors_stick),
        CASE(test_append_wants_order),
        CASE(test_scan),
        CASE(test_keys_sort_as_numbers),
        CASE(test_kill_in_write),
        CASE(test_cut_short),
        CASE(test_not_a_database),
        CASE(test_read_only),
        CASE(test_shared_beside_writer),
        CASE(test_small_address_space),
        CASE(test_free_tail_is_no_damage),
        CASE(test_readers_beside_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
