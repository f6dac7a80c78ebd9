/* A folder of packs is read again: what is found damaged, what is believed. */
#include "mirror_case.h"

#include <fcntl.h>

/* ---- verifying ---- */

static void flip(const struct fixture *f, const char *name, off_t at)
{
    unsigned char byte;
    int fd = open(path_of(f, name), O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static void damage_is_named_until_it_is_gone(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    assert_int_equal(add(f, m, "one", 100 * KILO, 1), 0);
    assert_int_equal(add(f, m, "two", 100 * KILO, 1), 0);
    assert_int_equal(mirror_end(m, NULL), 0);
    flip(f, "0001.shapepack", 150 * KILO);
    for (int i = 1; i <= 2; i++) {
        struct err e = {0};
        assert_int_equal(mirror_verify(m, bad, NULL, f, &e), -EBADMSG);
        assert_non_null(strstr(e.text, "0001.shapepack: damaged (remove"));
        assert_int_equal(f->damaged, i);
        assert_string_equal(f->line, "0001.shapepack: two: damaged: its checksum does not match");
        mirror_close(&m);
        m = open_mirror(f);
    }
    flip(f, "0001.shapepack", 150 * KILO);
    assert_int_equal(mirror_verify(m, bad, NULL, f, NULL), 0);
    mirror_close(&m);
}

static void only_what_is_new_is_verified(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    assert_int_equal(add(f, m, "one", 100 * KILO, 1), 0);
    assert_int_equal(mirror_end(m, NULL), 0);
    assert_int_equal(mirror_verify(m, bad, progress, f, NULL), 0);
    end(&m);
    m = open_mirror(f);
    unsigned calls = f->calls;
    assert_int_equal(mirror_verify(m, bad, progress, f, NULL), 0);
    assert_int_equal(f->calls, calls);
    assert_int_equal(add(f, m, "two", 100 * KILO, 1), 0);
    assert_int_equal(mirror_end(m, NULL), 0);
    flip(f, "0001.shapepack", 50 * KILO); /* of "one": not looked at any more */
    assert_int_equal(mirror_verify(m, bad, progress, f, NULL), 0);
    mirror_close(&m);
    flip(f, "index.json", 0); /* who cannot read what was verified verifies all */
    m = open_mirror(f);
    assert_int_equal(mirror_verify(m, bad, progress, f, NULL), -EBADMSG);
    assert_int_equal(f->damaged, 1);
    mirror_close(&m);
}

static void verifying_can_be_stopped(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    assert_int_equal(add(f, m, "one", 9 * MEGA, 1), 0);
    assert_int_equal(mirror_end(m, NULL), 0);
    f->stop_at = f->calls + 2;
    assert_int_equal(mirror_verify(m, bad, progress, f, NULL), -ECANCELED);
    assert_int_equal(f->damaged, 0);
    f->stop_at = 0;
    assert_int_equal(mirror_verify(m, bad, progress, f, NULL), 0);
    mirror_close(&m);
}

static void the_index_is_not_believed(void **state)
{
    static const char *const lies[] = {
        "{\"format\": \"medshapefs packs\", \"packs\": [{\"name\": \"0001.shapepack\", "
        "\"bytes\": 9, \"catalogue_sum\": \"0\"}]}",
        "{\"format\": \"medshapefs packs\", \"packs\": [{\"name\": \"../x\", \"bytes\": 1}, 7, "
        "null]}",
        "{\"format\": \"medshapefs packs\", \"packs\": {\"bytes\": 5}}", "{", ""};
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f);
    assert_int_equal(add(f, m, "one", 100 * KILO, 1), 0);
    end(&m);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        assert_int_equal(fsio_write_file(path_of(f, "index.json"), lies[i], strlen(lies[i])), 0);
        m = open_mirror(f);
        unsigned calls = f->calls;
        assert_int_equal(mirror_verify(m, bad, progress, f, NULL), 0);
        assert_true(f->calls > calls);
        mirror_close(&m);
    }
}

static void folders_are_refused(void **state)
{
    struct fixture *f = *state;
    struct mirror *m = open_mirror(f), *second = NULL;
    struct err e = {0};
    assert_int_equal(mirror_open(&f->o, &second, &e), -EBUSY);
    assert_null(second);
    end(&m);
    assert_int_equal(fsio_write_file(path_of(f, "index.json"), "[]", 2), 0);
    e = (struct err){.code = 0};
    assert_int_equal(mirror_open(&f->o, &second, &e), -EEXIST);
    assert_int_equal(unlink(path_of(f, "index.json")), 0);
    assert_int_equal(fsio_write_file(path_of(f, "0001.shapepack"), "no pack", 7), 0);
    e = (struct err){.code = 0};
    assert_int_equal(mirror_open(&f->o, &second, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "0001.shapepack: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(damage_is_named_until_it_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_is_new_is_verified, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verifying_can_be_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_index_is_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
