#include "store_test.h"

#include <dirent.h>

enum { OBJECT = 8 * STORE_PIECE }; /* 1 MiB */

/* Sixty objects into a cache that holds about twenty: the limit holds, the newest stay. */
static void test_limit_and_order(void **state)
{
    struct fixture *fx = *state;
    reopen(fx, 20 * MIB);
    for (unsigned n = 0; n < 60; n++) {
        fill(fx->s, n, OBJECT);
        struct store_stats st = stats_of(fx->s);
        assert_true(st.bytes <= 20 * MIB);
    }
    struct store_stats st = stats_of(fx->s);
    assert_true(st.objects >= 17);
    assert_int_equal(st.objects * OBJECT, st.bytes);
    assert_int_equal(st.evicted, 60 - st.objects);
    for (unsigned n = 0; n < 60; n++)
        assert_int_equal(nth_exists(fx->dir, n), n >= 60 - st.objects);
}

static void test_five_percent_below(void **state)
{
    struct fixture *fx = *state;
    reopen(fx, 100 * MIB);
    for (unsigned n = 0; n < 98; n++)
        fill(fx->s, n, OBJECT);
    assert_int_equal(stats_of(fx->s).evicted, 0);
    store_reserve(fx->s, 4 * MIB);
    struct store_stats st = stats_of(fx->s);
    assert_true(st.bytes + 4 * MIB <= 95 * MIB);
    assert_true(st.bytes + 4 * MIB >= 93 * MIB);
    store_reserve(fx->s, 0);
    assert_int_equal(stats_of(fx->s).bytes, st.bytes);
}

static void test_touched_stay(void **state)
{
    struct fixture *fx = *state;
    for (unsigned n = 0; n < 20; n++)
        fill(fx->s, n, OBJECT);
    (void)stats_of(fx->s);
    for (unsigned n = 0; n < 20; n += 4) {
        struct store_file *f = get(fx->s, n, OBJECT);
        store_touch(f);
        store_put(&f);
    }
    reopen(fx, 10 * MIB);
    (void)stats_of(fx->s);
    for (unsigned n = 0; n < 20; n++)
        if (n % 4 == 0 || n >= 16)
            assert_true(nth_exists(fx->dir, n));
        else if (n < 12)
            assert_false(nth_exists(fx->dir, n));
    for (unsigned n = 0; n < 20; n += 4)
        assert_int_equal(pieces_held(fx->s, n, OBJECT), 8);
}

/* Open objects go last; who holds one keeps its bytes, and a new one begins under the same name. */
static void test_open_go_last(void **state)
{
    struct fixture *fx = *state;
    reopen(fx, 10 * MIB);
    struct store_file *oldest = get(fx->s, 0, OBJECT);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(write_piece(oldest, 0, OBJECT, i), 0);
    for (unsigned n = 1; n < 30; n++)
        fill(fx->s, n, OBJECT);
    (void)stats_of(fx->s);
    assert_false(store_evicted(oldest));
    assert_true(nth_exists(fx->dir, 0));

    store_reserve(fx->s, 100 * MIB);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.objects, 0);
    assert_int_equal(st.bytes, 0);
    assert_true(store_evicted(oldest));
    assert_false(nth_exists(fx->dir, 0));
    assert_int_equal(write_piece(oldest, 0, OBJECT, 7), 0);
    assert_int_equal(store_state(oldest, 7), STORE_PRESENT);
    assert_true(piece_right(oldest, 0, OBJECT, 7));
    assert_true(piece_right(oldest, 0, OBJECT, 0));
    assert_int_equal(stats_of(fx->s).bytes, 0);

    store_reserve(fx->s, 0);
    struct store_file *again = get(fx->s, 0, OBJECT);
    assert_int_equal(store_state(again, 0), STORE_ABSENT);
    assert_int_equal(write_piece(again, 0, OBJECT, 0), 0);
    store_put(&oldest);
    store_put(&again);
    reopen(fx, 10 * MIB);
    assert_int_equal(pieces_held(fx->s, 0, OBJECT), 1);
    assert_int_equal(stats_of(fx->s).bytes, STORE_PIECE);
}

static void test_smaller_limit_at_start(void **state)
{
    struct fixture *fx = *state;
    for (unsigned n = 0; n < 10; n++)
        fill(fx->s, n, OBJECT);
    reopen(fx, 4 * MIB);
    struct store_stats st = stats_of(fx->s);
    assert_true(st.bytes <= 4 * MIB);
    assert_true(st.bytes >= 2 * MIB);
    assert_true(nth_exists(fx->dir, 9));
}

/* A disk that is fuller than it may be: nothing is kept, nothing fails. */
static void test_min_free(void **state)
{
    struct fixture *fx = *state;
    for (unsigned n = 0; n < 5; n++)
        fill(fx->s, n, OBJECT);
    store_close(&fx->s);
    fx->s = open_store(fx->dir, 1024 * MIB, UINT64_MAX / 4);
    assert_int_equal(stats_of(fx->s).bytes, 0);
    for (unsigned n = 0; n < 5; n++)
        assert_false(nth_exists(fx->dir, n));
    store_close(&fx->s);
    fx->s = open_store(fx->dir, 1024 * MIB, 1);
    fill(fx->s, 1, OBJECT);
    assert_int_equal(stats_of(fx->s).bytes, OBJECT);
}

static bool index_is_back(void *arg)
{
    struct fixture *fx = arg;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/index.mdb", fx->dir);
    store_flush(fx->s);
    return access(path, F_OK) == 0;
}

static void test_folder_deleted(void **state)
{
    struct fixture *fx = *state;
    fill(fx->s, 1, OBJECT);
    struct store_file *f = get(fx->s, 2, OBJECT);
    assert_int_equal(write_piece(f, 2, OBJECT, 0), 0);
    store_flush(fx->s);
    assert_int_equal(fsio_remove_tree(fx->dir), 0);
    assert_int_equal(write_piece(f, 2, OBJECT, 1), 0);
    assert_true(piece_right(f, 2, OBJECT, 0));
    assert_true(eventually(index_is_back, fx));
    assert_true(store_evicted(f));
    store_put(&f);
    assert_int_equal(pieces_held(fx->s, 1, OBJECT), 0);
    fill(fx->s, 1, OBJECT);
    fill(fx->s, 2, OBJECT);
    assert_int_equal(stats_of(fx->s).bytes, 2 * OBJECT);
    reopen(fx, 1024 * MIB);
    assert_int_equal(pieces_held(fx->s, 1, OBJECT), 8);
    assert_int_equal(pieces_held(fx->s, 2, OBJECT), 8);
}

/* Only the content goes, the index stays: what it says is found to be untrue. */
static void test_data_deleted(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    fill(fx->s, 1, OBJECT);
    struct store_file *f = get(fx->s, 2, OBJECT);
    assert_int_equal(write_piece(f, 2, OBJECT, 0), 0);
    (void)snprintf(path, sizeof(path), "%s/data", fx->dir);
    assert_int_equal(fsio_remove_tree(path), 0);
    assert_int_equal(write_piece(f, 2, OBJECT, 1), 0);
    struct store_file *again = get(fx->s, 2, OBJECT);
    assert_true(store_evicted(f));
    assert_int_equal(store_state(again, 0), STORE_ABSENT);
    assert_int_equal(write_piece(again, 2, OBJECT, 5), 0);
    store_put(&f);
    store_put(&again);
    fill(fx->s, 1, OBJECT);
    assert_int_equal(stats_of(fx->s).bytes, OBJECT + STORE_PIECE);
    reopen(fx, 1024 * MIB);
    assert_int_equal(pieces_held(fx->s, 1, OBJECT), 8);
    assert_int_equal(pieces_held(fx->s, 2, OBJECT), 1);
}

static void test_folder_replaced_by_file(void **state)
{
    struct fixture *fx = *state;
    fill(fx->s, 1, OBJECT);
    store_flush(fx->s);
    assert_int_equal(fsio_remove_tree(fx->dir), 0);
    assert_int_equal(fsio_write_file(fx->dir, "x", 1), 0);
    struct store_file *f = NULL;
    struct hash_id id = nth_id(1);
    assert_true(store_get(fx->s, &id, OBJECT, "tag", &f) < 0);
    assert_null(f);
    assert_true(store_sick(fx->s));
    store_flush(fx->s);
    store_close(&fx->s);
    assert_int_equal(unlink(fx->dir), 0);
    assert_int_equal(fsio_mkdirs(fx->dir, 0700), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_store, remove_store)
    const struct CMUnitTest tests[] = {
        CASE(test_limit_and_order),
        CASE(test_five_percent_below),
        CASE(test_touched_stay),
        CASE(test_open_go_last),
        CASE(test_smaller_limit_at_start),
        CASE(test_min_free),
        CASE(test_folder_deleted),
        CASE(test_data_deleted),
        CASE(test_folder_replaced_by_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
