#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "blob_case.h"

enum { LARGE = 5000000 };

static void a_small_object_is_one_request(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=300000/", "a.stl", 300000, "");
    assert_int_equal(read_checked(b, "a.stl", 0, 1000, 10), 0);
    assert_int_equal(read_checked(b, "a.stl", 0, 0, 300000), 0);
    assert_int_equal(read_checked(b, "a.stl", 0, 299999, 1), 0);
    assert_int_equal(faultd_stat(&s->d, "requests"), 1);
    blob_put(&b);
}

static void reads_past_the_end_are_cut(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=1000/", "a.stl", 1000, "");
    struct reader r;
    reader_init(&r);
    blob_read(b, 990, 100, reader_done, &r);
    assert_int_equal(reader_wait(&r), 0);
    assert_true(reader_right(&r, "a.stl", 0, 990, 10));
    reader_free(&r);
    assert_int_equal(read_checked(b, "a.stl", 0, 1000, 0), 0);
    assert_int_equal(read_checked(b, "a.stl", 0, UINT64_MAX - 5, 0), 0);
    blob_put(&b);
}

static void a_random_read_of_a_large_object_fetches_its_pieces_only(void **state)
{
    struct scene *s = *state;
    char log[4096];
    struct blob *b = scene_blob(s, "!size=5000000/", "b.stl", LARGE, "");
    assert_int_equal(read_checked(b, "b.stl", 0, 3000000, 65536), 0);
    assert_int_equal(faultd_stat(&s->d, "requests"), 1);
    faultd_control(&s->d, "GET /_log", "", log, sizeof(log));
    assert_non_null(strstr(log, "bytes=2883584-3145727")); /* two pieces */
    blob_put(&b);
}

static void sequential_reading_is_right_and_reads_ahead(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=5000000/", "b.stl", LARGE, "");
    for (uint64_t off = 0; off < LARGE; off += 131072) {
        size_t len = LARGE - off < 131072 ? (size_t)(LARGE - off) : 131072;
        assert_int_equal(read_checked(b, "b.stl", 0, off, len), 0);
    }
    assert_in_range(faultd_stat(&s->d, "requests"), 2, 8);
    blob_put(&b);
}

static void many_readers_of_one_range_are_one_request(void **state)
{
    struct scene *s = *state;
    struct reader r[32];
    struct blob *b = scene_blob(s, "!size=200000,delay=100/", "c.stl", 200000, "");
    for (size_t i = 0; i < 32; i++) {
        reader_init(&r[i]);
        blob_read(b, i * 100, 5000, reader_done, &r[i]);
    }
    for (size_t i = 0; i < 32; i++) {
        assert_int_equal(reader_wait(&r[i]), 0);
        assert_true(reader_right(&r[i], "c.stl", 0, i * 100, 5000));
        reader_free(&r[i]);
    }
    assert_int_equal(faultd_stat(&s->d, "requests"), 1);
    blob_put(&b);
}

static void a_reader_is_answered_before_the_rest_is_there(void **state)
{
    struct scene *s = *state;
    struct reader late;
    struct blob *b = scene_blob(s, "!size=1000000,stall=400000,times=1/", "d.stl", 1000000, "");
    reader_init(&late);
    blob_read(b, 900000, 1000, reader_done, &late);
    assert_int_equal(read_checked(b, "d.stl", 0, 0, 131072),
                     0); /* while the server is silent about the rest */
    assert_int_equal(late.answers, 0);
    faultd_control(&s->d, "POST /_release", "", NULL, 0);
    assert_int_equal(reader_wait(&late),
                     0); /* the connection broke; the rest was asked for again */
    assert_true(reader_right(&late, "d.stl", 0, 900000, 1000));
    reader_free(&late);
    blob_put(&b);
}

static void servers_without_ranges(void **state)
{
    struct scene *s = *state;
    const char *how[] = {"!size=3000000,norange/", "!size=3000000,norange,chunked/",
                         "!size=3000000,norange,close/"};
    for (size_t i = 0; i < 3; i++) {
        faultd_control(&s->d, "POST /_reset", "", NULL, 0);
        struct blob *b = scene_blob(s, how[i], "e.stl", 3000000, "");
        assert_int_equal(read_checked(b, "e.stl", 0, 2500000, 200000), 0);
        assert_int_equal(read_checked(b, "e.stl", 0, 0, 3000000), 0);
        assert_in_range(faultd_stat(&s->d, "requests"), 1, 2);
        blob_put(&b);
    }
}

static void the_cache_survives(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=700000/", "f.stl", 700000, "");
    assert_int_equal(read_checked(b, "f.stl", 0, 0, 700000), 0);
    blob_put(&b);
    scene_close(s);
    scene_open(s);
    faultd_control(&s->d, "POST /_reset", "", NULL, 0);
    b = scene_blob(s, "!size=700000/", "f.stl", 700000, "");
    assert_int_equal(read_checked(b, "f.stl", 0, 0, 700000), 0);
    assert_int_equal(faultd_stat(&s->d, "requests"), 0);
    blob_put(&b);
}

static bool is_same(const void *arg, const void *wanted)
{
    return arg == wanted;
}

static void a_parked_reader_can_be_taken_back(void **state)
{
    struct scene *s = *state;
    struct reader a, b2;
    struct blob *b = scene_blob(s, "!size=1000,delay=300/", "g.stl", 1000, "");
    reader_init(&a);
    reader_init(&b2);
    blob_read(b, 0, 1000, reader_done, &a);
    blob_read(b, 0, 1000, reader_done, &b2);
    assert_ptr_equal(blob_cancel(b, is_same, &a), &a);
    assert_null(blob_cancel(b, is_same, &a));
    assert_int_equal(reader_wait(&b2), 0);
    assert_int_equal(a.answers, 0);
    reader_free(&a);
    reader_free(&b2);
    blob_put(&b);
}

static void offline_serves_what_is_cached(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=400000/", "h.stl", 400000, "");
    assert_int_equal(read_checked(b, "h.stl", 0, 0, 1000), 0);
    struct blob *c = scene_blob(s, "!size=400000/", "i.stl", 400000, "");
    s->conf.offline = true;
    assert_int_equal(read_checked(b, "h.stl", 0, 0, 1000), 0);
    assert_int_equal(read_checked(c, "i.stl", 0, 0, 1000), -ENETUNREACH);
    s->conf.offline = false;
    blob_put(&b);
    blob_put(&c);
}

struct learning {
    struct reader r;
    struct blob_version v;
};

static void learn_done(void *arg, int err, const struct blob_version *v)
{
    struct learning *l = arg;
    l->v = *v;
    reader_done(&l->r, (struct blob_answer){.err = err});
}

static int learn(struct scene *s, const char *directives, struct blob_version *v)
{
    char empty[] = "", source[] = "test", link[160];
    (void)snprintf(link, sizeof(link), "http://127.0.0.1:%u/%s", s->d.port, directives);
    struct source_place p = {
        .link = link, .folder = empty, .dav = empty, .user = empty, .source = source};
    struct blob_object o = {.id = 5,
                            .place = &p,
                            .key = "l.stl",
                            .key_len = 5,
                            .tag = "T",
                            .version = {.size = SOURCE_UNKNOWN}};
    struct learning l;
    reader_init(&l.r);
    blob_learn(s->env, &o, false, learn_done, &l);
    int err = reader_wait(&l.r);
    *v = l.v;
    reader_free(&l.r);
    return err;
}

static void sizes_are_learnt(void **state)
{
    struct scene *s = *state;
    const struct {
        const char *how;
        uint64_t size;
        long requests;
    } cases[] = {{"!size=12345/", 12345, 1},
                 {"!size=0/", 0, 1},
                 {"!size=12345,nolength/", 12345, 2},         /* HEAD, then two bytes */
                 {"!size=12345,nolength,norange/", 12345, 2}, /* a whole body with its length */
                 {"!size=12345,nolength,norange,chunked/", 12345, 3}}; /* counted */
    struct blob_version v;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        faultd_control(&s->d, "POST /_reset", "", NULL, 0);
        assert_int_equal(learn(s, cases[i].how, &v), 0);
        assert_int_equal(v.size, cases[i].size);
        assert_int_equal(faultd_stat(&s->d, "requests"), cases[i].requests);
    }
    assert_int_equal(learn(s, "!status=404/", &v), -ENOENT);
    assert_int_equal(learn(s, "!status=403/", &v), -EACCES);
    assert_int_equal(learn(s, "!size=12,status=503,times=1/", &v), 0);
    assert_int_equal(learn(s, "!html=busy/", &v), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_small_object_is_one_request, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(reads_past_the_end_are_cut, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(a_random_read_of_a_large_object_fetches_its_pieces_only,
                                        scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(sequential_reading_is_right_and_reads_ahead, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(many_readers_of_one_range_are_one_request, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(a_reader_is_answered_before_the_rest_is_there, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(servers_without_ranges, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(the_cache_survives, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(a_parked_reader_can_be_taken_back, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(offline_serves_what_is_cached, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(sizes_are_learnt, scene_setup, scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
