#include "store_test.h"

#include <fcntl.h>
#include <sys/resource.h>

enum { ODD = 3 * STORE_PIECE + 1234 };

static void test_write_read(void **state)
{
    struct fixture *fx = *state;
    struct store_file *f = get(fx->s, 1, ODD);
    assert_int_equal(store_pieces(f), 4);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(store_state(f, i), STORE_ABSENT);
    assert_int_equal(store_prove(f, 0), -EBADMSG);
    assert_int_equal(write_piece(f, 1, ODD, 3), 0);
    assert_int_equal(write_piece(f, 1, ODD, 1), 0);
    assert_int_equal(store_state(f, 3), STORE_PRESENT);
    assert_int_equal(store_state(f, 2), STORE_ABSENT);
    assert_int_equal(store_prove(f, 1), 0);
    assert_true(piece_right(f, 1, ODD, 3));
    assert_true(piece_right(f, 1, ODD, 1));
    char byte = 'x';
    assert_int_equal(store_write(f, 0, &byte, 1), -EINVAL);
    assert_int_equal(store_write(f, 4, &byte, 1), -EINVAL);
    assert_int_equal(store_write(f, UINT32_MAX, &byte, 1), -EINVAL);
    store_put(&f);
    assert_null(f);
    store_put(&f);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.objects, 1);
    assert_int_equal(st.bytes, STORE_PIECE + 1234);
    assert_int_equal(st.limit, 1024 * MIB);
}

static void test_empty_and_absurd(void **state)
{
    struct fixture *fx = *state;
    struct store_file *f = get(fx->s, 1, 0);
    assert_int_equal(store_pieces(f), 0);
    assert_null(store_lease(f, 0, 1));
    assert_int_equal(store_state(f, 0), STORE_ABSENT);
    store_touch(f);
    store_put(&f);
    struct hash_id id = nth_id(2);
    assert_int_equal(store_get(fx->s, &id, UINT64_MAX, "tag", &f), -EFBIG);
    assert_null(f);
    char tag[65];
    memset(tag, 't', 64);
    tag[64] = '\0';
    assert_int_equal(store_get(fx->s, &id, 1, tag, &f), -EINVAL);
    assert_int_equal(store_get(fx->s, &id, 1, tag + 1, &f), 0);
    store_put(&f);
    assert_int_equal(stats_of(fx->s).objects, 0);
    assert_false(nth_exists(fx->dir, 1));
    assert_false(nth_exists(fx->dir, 2)); /* nothing was written: no file stays */
}

static void test_reopen(void **state)
{
    struct fixture *fx = *state;
    uint64_t size = 40 * (uint64_t)STORE_PIECE; /* two blocks */
    struct store_file *f = get(fx->s, 7, size);
    for (uint32_t i = 0; i < 40; i += 3)
        assert_int_equal(write_piece(f, 7, size, i), 0);
    store_put(&f);
    reopen(fx, 1024 * MIB);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.objects, 1);
    assert_int_equal(st.bytes, 14 * STORE_PIECE);
    f = get(fx->s, 7, size);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(store_state(f, i), i % 3 == 0 ? STORE_UNPROVED : STORE_ABSENT);
    for (uint32_t i = 0; i < 40; i += 3)
        assert_int_equal(store_prove(f, i), 0);
    assert_int_equal(write_piece(f, 7, size, 1), 0);
    store_put(&f);
    reopen(fx, 1024 * MIB);
    assert_int_equal(pieces_held(fx->s, 7, size), 15);
}

/* An object that was given back a moment ago is not in the index yet, but what it holds is known.
 */
static void test_get_again_at_once(void **state)
{
    struct fixture *fx = *state;
    for (unsigned i = 0; i < 100; i++) {
        struct store_file *f = get(fx->s, 3, 100 * STORE_PIECE);
        for (uint32_t p = 0; p < i; p++)
            assert_int_not_equal(store_state(f, p), STORE_ABSENT);
        assert_int_equal(write_piece(f, 3, 100 * STORE_PIECE, i), 0);
        store_put(&f);
    }
    assert_int_equal(stats_of(fx->s).bytes, 100 * STORE_PIECE);
}

static void flip_bit(const char *dir, unsigned n, off_t at)
{
    char path[PATH_MAX];
    unsigned char byte;
    nth_path(dir, n, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
}

static void test_bit_flip(void **state)
{
    struct fixture *fx = *state;
    fill(fx->s, 1, ODD);
    store_close(&fx->s);
    flip_bit(fx->dir, 1, STORE_PIECE + 77);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    struct store_file *f = get(fx->s, 1, ODD);
    assert_int_equal(store_prove(f, 0), 0);
    assert_int_equal(store_prove(f, 1), -EBADMSG);
    assert_int_equal(store_state(f, 1), STORE_ABSENT);
    assert_int_equal(store_prove(f, 1), -EBADMSG);
    store_put(&f);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.damaged, 1);
    assert_int_equal(st.bytes, ODD - STORE_PIECE);
    reopen(fx, 1024 * MIB);
    assert_int_equal(pieces_held(fx->s, 1, ODD), 3);
    f = get(fx->s, 1, ODD);
    assert_int_equal(write_piece(f, 1, ODD, 1), 0);
    store_put(&f);
    reopen(fx, 1024 * MIB);
    assert_int_equal(pieces_held(fx->s, 1, ODD), 4);
}

/* All pieces damaged: row and file go. */
static void test_wholly_damaged(void **state)
{
    struct fixture *fx = *state;
    fill(fx->s, 1, 1000);
    store_close(&fx->s);
    flip_bit(fx->dir, 1, 0);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    assert_int_equal(pieces_held(fx->s, 1, 1000), 0);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.objects, 0);
    assert_int_equal(st.bytes, 0);
    assert_false(nth_exists(fx->dir, 1));
}

static void test_vanished_or_cut(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    for (unsigned n = 1; n <= 3; n++)
        fill(fx->s, n, ODD);
    store_close(&fx->s);
    nth_path(fx->dir, 1, path);
    assert_int_equal(unlink(path), 0);
    nth_path(fx->dir, 2, path);
    assert_int_equal(truncate(path, 5), 0);
    nth_path(fx->dir, 3, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    assert_int_equal(stats_of(fx->s).bytes, 3 * ODD);
    for (unsigned n = 1; n <= 3; n++)
        assert_int_equal(pieces_held(fx->s, n, ODD), 0);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.objects, 0);
    assert_int_equal(st.bytes, 0);
    fill(fx->s, 2, ODD);
    reopen(fx, 1024 * MIB);
    assert_int_equal(pieces_held(fx->s, 2, ODD), 4);
}

/* What the index knew of a file that is gone must not come back with the next one. */
static void test_vanished_then_written(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    uint64_t size = 70 * (uint64_t)STORE_PIECE;
    fill(fx->s, 1, size);
    store_close(&fx->s);
    nth_path(fx->dir, 1, path);
    assert_int_equal(unlink(path), 0);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    struct store_file *f = get(fx->s, 1, size);
    assert_int_equal(write_piece(f, 1, size, 40), 0);
    store_put(&f);
    reopen(fx, 1024 * MIB);
    assert_int_equal(stats_of(fx->s).bytes, STORE_PIECE);
    f = get(fx->s, 1, size);
    for (uint32_t i = 0; i < 70; i++)
        assert_int_equal(store_state(f, i), i == 40 ? STORE_UNPROVED : STORE_ABSENT);
    store_put(&f);
}

/* A lack of descriptors is no reason to forget what is there. */
static void test_no_descriptors(void **state)
{
    struct fixture *fx = *state;
    struct rlimit old, none;
    fill(fx->s, 1, ODD);
    reopen(fx, 1024 * MIB);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 0;
    struct store_file *f = NULL;
    struct hash_id id = nth_id(1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int known = store_get(fx->s, &id, ODD, "tag", &f);
    id = nth_id(2);
    int new = store_get(fx->s, &id, ODD, "tag", &f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(known, -EMFILE);
    assert_int_equal(new, -EMFILE);
    assert_null(f);
    assert_false(store_sick(fx->s));
    assert_int_equal(pieces_held(fx->s, 1, ODD), 4);
}

/* The same id with another size is another object; who has the old one open keeps its bytes. */
static void test_other_size(void **state)
{
    struct fixture *fx = *state;
    fill(fx->s, 1, ODD);
    struct store_file *old = get(fx->s, 1, ODD);
    struct store_file *f = get(fx->s, 1, 1000);
    assert_true(store_evicted(old));
    assert_int_equal(store_state(f, 0), STORE_ABSENT);
    assert_int_equal(write_piece(f, 1, 1000, 0), 0);
    assert_true(piece_right(old, 1, ODD, 2));
    store_put(&f);
    store_put(&old);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.objects, 1);
    assert_int_equal(st.bytes, 1000);
    reopen(fx, 1024 * MIB);
    assert_int_equal(pieces_held(fx->s, 1, 1000), 1);
}

static void test_damaged_index(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    char junk[8192];
    fill(fx->s, 1, ODD);
    store_close(&fx->s);
    memset(junk, 0x5a, sizeof(junk));
    (void)snprintf(path, sizeof(path), "%s/index.mdb", fx->dir);
    const size_t lengths[] = {1, 4096, sizeof(junk)};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        assert_int_equal(fsio_write_file(path, junk, lengths[i]), 0);
        fx->s = open_store(fx->dir, 1024 * MIB, 0);
        assert_int_equal(pieces_held(fx->s, 1, ODD), 0);
        assert_int_equal(stats_of(fx->s).bytes, 0);
        fill(fx->s, 1, ODD);
        reopen(fx, 1024 * MIB);
        assert_int_equal(pieces_held(fx->s, 1, ODD), 4);
        store_close(&fx->s);
    }
    assert_int_equal(truncate(path, 4096 * 3), 0);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    assert_int_equal(pieces_held(fx->s, 1, ODD), 0);
}

struct wanted_files {
    const char *dir;
    unsigned gone, also_gone;
};

static bool are_gone(void *arg)
{
    struct wanted_files *w = arg;
    return !nth_exists(w->dir, w->gone) && !nth_exists(w->dir, w->also_gone);
}

/* Files that no row names are swept, others and open ones are not. */
static void test_sweep(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    for (unsigned n = 0; n < 4; n++)
        fill(fx->s, n, 1000);
    store_close(&fx->s);
    nth_path(fx->dir, 2, path);
    char *slash = strrchr(path, '/');
    (void)snprintf(slash, 64, "/%s", "notes of a user");
    assert_int_equal(fsio_write_file(path, "x", 1), 0);
    char orphan[PATH_MAX];
    nth_path(fx->dir, 0x102, orphan);
    assert_int_equal(fsio_write_file(orphan, "x", 1), 0);
    nth_path(fx->dir, 0x203, orphan);
    assert_int_equal(fsio_write_file(orphan, "x", 1), 0);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    struct wanted_files w = {fx->dir, 0x102, 0x203};
    assert_true(eventually(are_gone, &w));
    assert_int_equal(access(path, F_OK), 0);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(pieces_held(fx->s, n, 1000), 1);
}

struct sum {
    int rows;
    uint64_t liver, spleen;
};

static int add_usage(void *arg, const char *tag, uint64_t text, uint64_t disk)
{
    struct sum *sum = arg;
    sum->rows++;
    assert_int_equal(text, disk);
    if (strcmp(tag, "liver") == 0)
        sum->liver = text;
    if (strcmp(tag, "spleen") == 0)
        sum->spleen = text;
    return 0;
}

static int stop(void *arg, const char *tag, uint64_t text, uint64_t disk)
{
    (void)tag;
    (void)text;
    (void)disk;
    (*(int *)arg)++;
    return 17;
}

static void fill_tagged(struct store *s, unsigned n, const char *tag)
{
    struct store_file *f = NULL;
    struct hash_id id = nth_id(n);
    assert_int_equal(store_get(s, &id, 1000 + n, tag, &f), 0);
    assert_int_equal(write_piece(f, n, 1000 + n, 0), 0);
    store_put(&f);
}

static void test_usage(void **state)
{
    struct fixture *fx = *state;
    fill_tagged(fx->s, 1, "liver");
    fill_tagged(fx->s, 2, "spleen");
    fill_tagged(fx->s, 3, "liver");
    store_close(&fx->s);
    struct sum sum = {0};
    assert_int_equal(store_usage(fx->dir, add_usage, &sum), 0);
    assert_int_equal(sum.rows, 2);
    assert_int_equal(sum.liver, 2004);
    assert_int_equal(sum.spleen, 1002);
    int calls = 0;
    assert_int_equal(store_usage(fx->dir, stop, &calls), 17);
    assert_int_equal(calls, 1);
    assert_int_equal(store_usage("/nonexistent", add_usage, &sum), -ENOENT);

    /* A new tag takes the object over. */
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    struct store_file *f = NULL;
    struct hash_id id = nth_id(3);
    assert_int_equal(store_get(fx->s, &id, 1003, "spleen", &f), 0);
    store_put(&f);
    store_close(&fx->s);
    assert_int_equal(store_usage(fx->dir, add_usage, &sum), 0);
    assert_int_equal(sum.liver, 1001);
    assert_int_equal(sum.spleen, 2005);
}

static void test_bad_folder(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    struct err e = {0};
    struct store *s = NULL;
    (void)snprintf(path, sizeof(path), "%s/file", fx->dir);
    assert_int_equal(fsio_write_file(path, "x", 1), 0);
    assert_int_equal(store_open(path, MIB, 0, &s, &e), -ENOTDIR);
    assert_null(s);
    assert_non_null(strstr(e.text, path));
    store_close(&s);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_store, remove_store)
    const struct CMUnitTest tests[] = {
        CASE(test_write_read),      CASE(test_empty_and_absurd),
        CASE(test_reopen),          CASE(test_get_again_at_once),
        CASE(test_bit_flip),        CASE(test_wholly_damaged),
        CASE(test_vanished_or_cut), CASE(test_vanished_then_written),
        CASE(test_no_descriptors),  CASE(test_other_size),
        CASE(test_damaged_index),   CASE(test_sweep),
        CASE(test_usage),           CASE(test_bad_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
