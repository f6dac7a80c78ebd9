/* A folder of packs: what goes where, and what lasts. */
#include "mirror_case.h"

/* ---- packs of a bounded size ---- */

static void packs_are_bounded(void **state)
{
    struct fixture *f = *state;
    char name[32];
    f->o.pack_max = 3 * MEGA;
    struct mirror *m = open_mirror(f);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "%02d", i);
        assert_int_equal(add(f, m, name, 500 * KILO, i), 0);
    }
    end(&m);
    m = open_mirror(f);
    totals(m, 4, 20, 20 * 500 * KILO);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "%02d", i);
        assert_true(has(m, name, i, ""));
    }
    mirror_close(&m);
    for (int i = 1; i <= 4; i++) {
        (void)snprintf(name, sizeof(name), "%04d.shapepack", i);
        assert_in_range(size_of(f, name), MEGA / 2, 3 * MEGA);
    }
}

static void small_files_fill_a_pack_with_rows(void **state)
{
    struct fixture *f = *state;
    char name[256];
    f->o.pack_max = 64 * KILO;
    struct mirror *m = open_mirror(f);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "%0200d", i);
        assert_int_equal(add(f, m, name, 0, i), 0);
    }
    end(&m);
    m = open_mirror(f);
    totals(m, 17, 3000, 0);
    mirror_close(&m);
    assert_in_range(size_of(f, "0001.shapepack"), 1, 64 * KILO);
}

static void a_large_file_begins_the_next_pack(void **state)
{
    struct fixture *f = *state;
    f->o.pack_max = 24 * MEGA;
    struct mirror *m = open_mirror(f);
    assert_int_equal(add(f, m, "a", 6 * MEGA, 1), 0);
    assert_int_equal(add(f, m, "b", 20 * MEGA, 1), 0); /* does not fit behind it */
    assert_int_equal(f->rewound, 1);
    assert_int_equal(add(f, m, "c", 30 * MEGA, 1), 0); /* fits nowhere: alone */
    assert_int_equal(add(f, m, "d", 1, 1), 0);
    end(&m);
    m = open_mirror(f);
    totals(m, 4, 4, 56 * MEGA + 1);
    assert_int_equal(mirror_verify(m, bad, progress, f, NULL), 0);
    assert_int_equal(f->damaged, 0);
    mirror_close(&m);
}

/* ---- versions ---- */

static void version_is_etag_else_time(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    struct err e = {0};
    struct content c = {.f = f, .size = 10};
    struct export_item item = item_of("with", &c, 5, "\"x\"");
    bool lost;
    assert_int_equal(mirror_add(m, &item, &lost, &e), 0);
    assert_int_equal(add(f, m, "without", 10, 5), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(has(m, "with", 6, "\"x\""));
        assert_false(has(m, "with", 5, "\"y\""));
        assert_true(has(m, "with", 5, ""));
        assert_false(has(m, "with", 6, ""));
        assert_true(has(m, "without", 5, "\"z\""));
        assert_false(has(m, "without", 6, "\"z\""));
        assert_false(has(m, "neither", 5, ""));
        end(&m);
        m = open_mirror(f);
    }
    mirror_close(&m);
}

static int add_folder(struct mirror *m, const char *path)
{
    struct export_item item = item_of(path, NULL, 1, "");
    struct err e = {0};
    bool lost;
    item.folder = true;
    return mirror_add(m, &item, &lost, &e);
}

static void one_pack_has_no_path_twice(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    assert_int_equal(add(f, m, "x", 10, 1), 0);
    assert_int_equal(add(f, m, "y/z", 10, 1), 0);
    assert_int_equal(add_folder(m, "empty"), 0);
    end(&m);
    m = open_mirror(f);
    assert_int_equal(add(f, m, "x/below", 10, 1), 0); /* a folder now */
    totals(m, 1, 3, 20);                              /* x is gone, and the pack is not ended */
    assert_int_equal(add(f, m, "x", 20, 2), 0);       /* and a file again */
    assert_int_equal(add(f, m, "y", 10, 1), 0);
    assert_int_equal(add(f, m, "empty/file", 10, 1), 0);
    end(&m);
    m = open_mirror(f);
    totals(m, 3, 5, 60);
    mirror_close(&m);
}

/* ---- what lasts ---- */

static void checkpoints_last(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    f->o.checkpoint = MEGA;
    struct mirror *m = open_mirror(f);
    char name[8];
    for (int i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(add(f, m, name, 20 * KILO, 1), 0);
        assert_int_equal(mirror_checkpoint(m, &e), 0);
    }
    mirror_close(&m); /* as if it was killed */
    m = open_mirror(f);
    uint64_t packs, files, text, bytes;
    mirror_totals(m, &packs, &files, &text, &bytes);
    assert_int_equal(packs, 1);
    assert_in_range(files, 51, 399);
    assert_true(has(m, "50", 1, ""));
    mirror_close(&m);
}

static void what_a_kill_left_is_cleared(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fsio_write_file(path_of(f, "0003.shapepack.partial"), "x", 1), 0);
    assert_int_equal(fsio_write_file(path_of(f, "mine.shapepack.partial"), "x", 1), 0);
    struct mirror *m = open_mirror(f);
    end(&m);
    assert_int_equal(access(path_of(f, "0003.shapepack.partial"), F_OK), -1);
    assert_int_equal(access(path_of(f, "mine.shapepack.partial"), F_OK), 0);
}

static void an_item_that_fails_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    struct err e = {0};
    bool lost = true;
    struct content c = {.f = f, .size = 10 * MEGA, .fail = -EIO};
    struct export_item item = item_of("broken", &c, 1, "");
    assert_int_equal(mirror_add(m, &item, &lost, &e), -EIO);
    assert_false(lost);
    assert_string_equal(e.text, "broken: Input/output error");
    assert_int_equal(mirror_end(m, &e), 0);
    totals(m, 0, 0, 0); /* no pack for nothing */
    assert_int_equal(size_of(f, "0001.shapepack"), 0);
    assert_int_equal(add(f, m, "good", 10, 1), 0);
    e = (struct err){.code = 0};
    c = (struct content){.f = f, .size = 10, .fail = -ENOSPC};
    assert_int_equal(mirror_add(m, &item, &lost, &e), -ENOSPC);
    assert_false(lost); /* the item's disk, not ours */
    e = (struct err){.code = 0};
    item = item_of("../up", &c, 1, "");
    assert_int_equal(mirror_add(m, &item, &lost, &e), -EINVAL);
    assert_false(lost);
    uint64_t before = size_of(f, "0001.shapepack");
    end(&m);
    m = open_mirror(f);
    totals(m, 1, 1, 10);
    assert_int_equal(before, 0);
    mirror_close(&m);
}

static void stopping_keeps_what_was_packed(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    struct err e = {0};
    bool lost = false;
    assert_int_equal(add(f, m, "one", 10, 1), 0);
    f->stop_at = f->calls + 3;
    struct content c = {.f = f, .size = 20 * MEGA};
    struct export_item item = item_of("two", &c, 1, "");
    assert_int_equal(mirror_add(m, &item, &lost, &e), -ECANCELED);
    assert_true(lost);
    end(&m);
    m = open_mirror(f);
    totals(m, 1, 1, 10);
    mirror_close(&m);
}

/* ---- datasets ---- */

static void each_pack_has_its_datasets(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    f->o.pack_max = MEGA;
    struct mirror *m = open_mirror(f);
    for (int i = 0; i < 3; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(add(f, m, name, 600 * KILO, 1), 0);
        assert_false(mirror_has_dataset(m, "D"));
        assert_int_equal(mirror_dataset(m, "D", "{\"id\": \"D\"}", &e), 0);
        assert_true(mirror_has_dataset(m, "D"));
    }
    end(&m);
    for (int i = 1; i <= 3; i++) {
        char name[32];
        struct pack_io io;
        struct pack *p;
        struct pack_slice id, json;
        (void)snprintf(name, sizeof(name), "%04d.shapepack", i);
        assert_int_equal(pack_file_open(path_of(f, name), &io, &e), 0);
        assert_int_equal(pack_open(&io, &p, &e), 0);
        assert_int_equal(pack_next_dataset(p, &id, &json, &e), 1);
        assert_memory_equal(id.s, "D", 1);
        pack_close(&p);
        pack_file_close(&io);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packs_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_files_fill_a_pack_with_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_file_begins_the_next_pack, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_is_etag_else_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_pack_has_no_path_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checkpoints_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_kill_left_is_cleared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_item_that_fails_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopping_keeps_what_was_packed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_pack_has_its_datasets, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
