#include "store_test.h"

#include "base/log.h"
#include "blob/store_i.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { OBJECT = 3 * STORE_PIECE + 5, OBJECTS = 40, ROUNDS = 12 };

/* Writes pieces of many objects for ever, and says one byte for each. */
static void write_for_ever(const char *dir, int said, unsigned round)
{
    struct store *s = open_store(dir, 6 * MIB, 0);
    unsigned char *data = malloc(STORE_PIECE);
    for (unsigned i = round;; i++) {
        unsigned n = i * 7 % OBJECTS;
        struct hash_id id = nth_id(n);
        struct store_file *f = NULL;
        if (store_get(s, &id, OBJECT, "tag", &f) != 0)
            _exit(1);
        for (uint32_t p = 0; p < 4; p++) {
            size_t len = piece_len(OBJECT, p);
            if (store_state(f, p) == STORE_UNPROVED && store_prove(f, p) == 0)
                continue;
            piece_bytes(n, p, data, len);
            if (store_write(f, p, data, len) != 0 || write(said, "x", 1) != 1)
                _exit(2);
        }
        store_touch(f);
        store_put(&f);
    }
}

static void kill_after(int heard, pid_t child, unsigned pieces)
{
    char x[64];
    for (unsigned i = 0; i < pieces;) {
        ssize_t n = read(heard, x, sizeof(x));
        assert_true(n > 0);
        i += (unsigned)n;
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

/* After kill -9 at any moment, what is served is right; and the sums are those of the rows. */
static void test_kill_in_write(void **state)
{
    struct fixture *fx = *state;
    int total = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int said[2];
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_for_ever(fx->dir, said[1], round);
        (void)close(said[1]);
        kill_after(said[0], child, 20 + round * round * 5);
        (void)close(said[0]);

        fx->s = open_store(fx->dir, 6 * MIB, 0);
        uint64_t before = stats_of(fx->s).bytes;
        uint64_t found = 0;
        for (unsigned n = 0; n < OBJECTS; n++) {
            struct store_file *f = get(fx->s, n, OBJECT);
            for (uint32_t p = 0; p < 4; p++)
                if (store_state(f, p) == STORE_UNPROVED) {
                    assert_int_equal(store_prove(f, p), 0);
                    assert_true(piece_right(f, n, OBJECT, p));
                    found += piece_len(OBJECT, p);
                    total++;
                }
            store_put(&f);
        }
        assert_int_equal(before, found);
        assert_int_equal(stats_of(fx->s).bytes, found);
        store_close(&fx->s);
    }
    assert_true(total > 100);
}

/* Rows that lasted over data that did not (power loss): not one piece is served. */
static void test_rows_without_data(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    fill(fx->s, 1, OBJECT);
    fill(fx->s, 2, OBJECT);
    store_close(&fx->s);
    nth_path(fx->dir, 1, path);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(truncate(path, OBJECT), 0);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    assert_int_equal(pieces_held(fx->s, 1, OBJECT), 0);
    assert_int_equal(pieces_held(fx->s, 2, OBJECT), 4);
    assert_int_equal(stats_of(fx->s).damaged, 4);
}

/* Rows that do not decode, or contradict each other, are found when they are read, and the index
 * begins anew. */
static void test_rows_damaged(void **state)
{
    struct fixture *fx = *state;
    const struct hash_id id = nth_id(1);
    for (int table = STORE_T_OBJECT; table <= STORE_T_LRU; table++) {
        char path[PATH_MAX];
        struct db *db = NULL;
        unsigned char key[HASH_ID_LEN + 4] = {0};
        memcpy(key, id.byte, HASH_ID_LEN);
        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        fill(fx->s, 1, OBJECT);
        store_close(&fx->s);
        (void)snprintf(path, sizeof(path), "%s/index.mdb", fx->dir);
        assert_int_equal(db_open(path, 0, store_tables, STORE_TABLES, &db, NULL), 0);
        struct db_txn t = db_begin(db, true);
        db_put(&t, (unsigned)table, table == STORE_T_LRU ? (const void *)"\xff" : key,
               table == STORE_T_LRU     ? 1
               : table == STORE_T_BLOCK ? sizeof(key)
                                        : HASH_ID_LEN,
               "junk", 4);
        assert_int_equal(db_commit(&t), 0);
        db_close(&db);

        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        assert_int_equal(pieces_held(fx->s, 1, OBJECT), 0);
        store_flush(fx->s);
        assert_int_equal(stats_of(fx->s).bytes, 0);
        fill(fx->s, 1, OBJECT);
        store_close(&fx->s);
        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        assert_int_equal(pieces_held(fx->s, 1, OBJECT), 4);
        store_close(&fx->s);
    }
}

/* A block that claims more pieces than its object has. */
static void test_block_beyond_end(void **state)
{
    struct fixture *fx = *state;
    const struct hash_id id = nth_id(1);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/index.mdb", fx->dir);
    const uint32_t numbers[] = {0, 1, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        fill(fx->s, 1, OBJECT);
        store_close(&fx->s);
        struct db *db = NULL;
        assert_int_equal(db_open(path, 0, store_tables, STORE_TABLES, &db, NULL), 0);
        struct db_txn t = db_begin(db, true);
        struct store_block block = {.bits = UINT32_MAX};
        store_index_put_block(&t, &id, numbers[i], &block);
        assert_int_equal(db_commit(&t), 0);
        db_close(&db);
        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        assert_int_equal(pieces_held(fx->s, 1, OBJECT), 0);
        store_close(&fx->s);
    }
}

/* A row of a later version is no damage: the piece is fetched again. */
static void test_unknown_form(void **state)
{
    struct fixture *fx = *state;
    const struct hash_id id = nth_id(1);
    char path[PATH_MAX];
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    fill(fx->s, 1, OBJECT);
    store_close(&fx->s);
    struct db *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/index.mdb", fx->dir);
    assert_int_equal(db_open(path, 0, store_tables, STORE_TABLES, &db, NULL), 0);
    struct db_txn t = db_begin(db, true);
    struct store_block block = {.form = 2, .bits = 15};
    store_index_put_block(&t, &id, 0, &block);
    assert_int_equal(db_commit(&t), 0);
    db_close(&db);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    assert_int_equal(pieces_held(fx->s, 1, OBJECT), 0);
    assert_int_equal(stats_of(fx->s).bytes, 0);
    fill(fx->s, 1, OBJECT);
    assert_int_equal(pieces_held(fx->s, 1, OBJECT), 4);
}

/* Pretends that the machine was started again since the index was open. */
static void mark_other_boot(const char *dir)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/running", dir);
    assert_int_equal(access(path, F_OK), -1); /* an orderly end takes the mark away */
    assert_int_equal(fsio_write_file(path, "another boot", 12), 0);
}

static void test_power_cut(void **state)
{
    struct fixture *fx = *state;
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    for (unsigned n = 0; n < 200; n++)
        fill(fx->s, n, 2000);
    store_close(&fx->s);
    mark_other_boot(fx->dir);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    for (unsigned n = 0; n < 200; n++)
        assert_int_equal(pieces_held(fx->s, n, 2000), 1);
    assert_int_equal(stats_of(fx->s).objects, 200);
}

/* Pages of the index torn in every way: a start never dies of it, and serves nothing that is wrong.
 */
static void test_torn_index(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/index.mdb", fx->dir);
    for (unsigned round = 0; round < 12; round++) {
        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        for (unsigned n = 0; n < 150; n++)
            fill(fx->s, n, 2000);
        store_close(&fx->s);
        mark_other_boot(fx->dir);
        unsigned char page[4096];
        int fd = open(path, O_RDWR | O_CLOEXEC);
        for (unsigned p = 2; p < 24; p++)
            if ((p * 7 + round * 5) % 4 ==
                0) { /* one page in four gets the bytes of another, or none */
                memset(page, 0, sizeof(page));
                if (round % 2 == 0)
                    (void)!pread(fd, page, sizeof(page), (off_t)((p * 5 + round) % 24) * 4096);
                assert_int_equal(fsio_pwrite_all(fd, page, sizeof(page), (uint64_t)p * 4096), 0);
            }
        (void)close(fd);
        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        for (unsigned n = 0; n < 150; n++)
            assert_true(pieces_held(fx->s, n, 2000) >= 0);
        store_close(&fx->s);
    }
}

static void recover(struct store *s)
{
    assert_true(store_sick(s));
    atomic_store(&s->sick_until, 1);
    assert_false(store_sick(s));
}

/* Writes beyond a limit fail: the piece stays absent, the store is sick, later it is well again. */
static void test_write_fails(void **state)
{
    struct fixture *fx = *state;
    struct rlimit old, small;
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    struct store_file *f = get(fx->s, 1, 64 * STORE_PIECE);
    assert_int_equal(write_piece(f, 1, 64 * STORE_PIECE, 0), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 60 * STORE_PIECE + 100;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(write_piece(f, 1, 64 * STORE_PIECE, 60), -EFBIG);
    assert_int_equal(write_piece(f, 1, 64 * STORE_PIECE, 63), -EFBIG);
    struct hash_id id = nth_id(2);
    struct store_file *other = NULL;
    assert_int_equal(store_get(fx->s, &id, 64 * STORE_PIECE, "tag", &other), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(store_state(f, 60), STORE_ABSENT);
    assert_true(piece_right(f, 1, 64 * STORE_PIECE, 0));
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.write_errors, 3);
    assert_int_equal(st.bytes, STORE_PIECE);
    assert_false(nth_exists(fx->dir, 2));
    recover(fx->s);
    assert_int_equal(write_piece(f, 1, 64 * STORE_PIECE, 60), 0);
    assert_int_equal(atomic_load(&fx->s->sick_until), 0);
    store_put(&f);
}

/* A disk of 1 MiB: what does not fit is refused, the oldest makes room, what is kept is right. */
static void test_full_disk(void **state)
{
    struct fixture *fx = *state;
    if (mount("none", fx->dir, "tmpfs", 0, "size=1m") != 0)
        skip();
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    unsigned refused = 0;
    for (unsigned n = 0; n < 100; n++) {
        struct hash_id id = nth_id(n);
        struct store_file *f = NULL;
        int err = store_get(fx->s, &id, OBJECT, "tag", &f);
        for (uint32_t p = 0; p < 4 && err == 0; p++)
            err = write_piece(f, n, OBJECT, p);
        store_put(&f);
        assert_true(err == 0 || err == -ENOSPC);
        store_flush(fx->s);
        if (err != 0) {
            refused++;
            recover(fx->s);
        }
    }
    assert_true(refused > 5);
    assert_true(refused < 90);
    struct store_stats st = stats_of(fx->s);
    assert_true(st.evicted > 5);
    assert_true(st.bytes < MIB);
    store_close(&fx->s);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    int held = 0;
    for (unsigned n = 0; n < 100; n++) {
        struct hash_id id = nth_id(n);
        struct store_file *f = NULL;
        if (!nth_exists(fx->dir, n) || store_get(fx->s, &id, OBJECT, "tag", &f) != 0)
            continue;
        store_put(&f);
        int pieces = pieces_held(fx->s, n, OBJECT);
        assert_true(pieces >= 0);
        held += pieces;
    }
    assert_true(held > 0);
    store_close(&fx->s);
    assert_int_equal(umount(fx->dir), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_store)
    const struct CMUnitTest tests[] = {
        CASE(test_kill_in_write),    CASE(test_rows_without_data), CASE(test_rows_damaged),
        CASE(test_block_beyond_end), CASE(test_unknown_form),      CASE(test_power_cut),
        CASE(test_torn_index),       CASE(test_write_fails),       CASE(test_full_disk),
    };
    log_setup(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
