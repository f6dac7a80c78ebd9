#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "blob_case.h"

#include <signal.h>
#include <sys/resource.h>

/* What a server does wrong once is not seen by the reader. */
static void passing_faults_heal(void **state)
{
    struct scene *s = *state;
    const char *faults[] = {"cut=200000", "rst=200000",   "cut=0",
                            "status=503", "status=500",   "status=429,retry=1",
                            "html=busy",  "shift=100000", "crange=garbage",
                            "garbage",    "stall=150000"};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        char how[128], name[32];
        (void)snprintf(how, sizeof(how), "!size=3000000,times=1,%s/", faults[i]);
        (void)snprintf(name, sizeof(name), "f%zu.stl", i);
        struct blob *b = scene_blob(s, how, name, 3000000, "");
        assert_int_equal(read_checked(b, name, 0, 1000000, 700000), 0);
        blob_put(&b);
    }
    assert_int_equal(atomic_load(&s->failed), 0);
}

/* Has the server answer all below /x/ so; `how` has no '='. */
static void rule(struct scene *s, const char *how)
{
    char text[200];
    (void)snprintf(text, sizeof(text), "POST /_rule?prefix=/x/&do=size%%3D3000000,%s", how);
    faultd_control(&s->d, text, "", NULL, 0);
}

/* What stays wrong is one error, and the next read asks again. */
static void lasting_faults_are_errors_and_not_remembered(void **state)
{
    struct scene *s = *state;
    const struct {
        const char *how;
        int err;
    } cases[] = {{"status%3D404", -ENOENT}, {"status%3D410", -ENOENT}, {"status%3D403", -EACCES},
                 {"html%3Dlocked", -EIO},   {"cut%3D1000", -EIO},      {"stallhead", -ETIMEDOUT},
                 {"shift%3D1", -EIO}};
    s->conf.network.retry_for_ms = 1200;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "g%zu.stl", i);
        struct blob *b = scene_blob(s, "x/", name, 3000000, "");
        int before = atomic_load(&s->failed);
        rule(s, cases[i].how);
        assert_int_equal(read_checked(b, name, 0, 500000, 1000), cases[i].err);
        assert_int_equal(atomic_load(&s->failed), before + 1);
        rule(s, "");
        assert_int_equal(read_checked(b, name, 0, 500000, 1000), 0);
        blob_put(&b);
    }
}

static void a_failure_is_told_to_all_who_wait(void **state)
{
    struct scene *s = *state;
    struct reader r[16];
    struct blob *b = scene_blob(s, "!size=1000,status=404,delay=100/", "h.stl", 1000, "");
    for (size_t i = 0; i < 16; i++) {
        reader_init(&r[i]);
        blob_read(b, i, 10, reader_done, &r[i]);
    }
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(reader_wait(&r[i]), -ENOENT);
        reader_free(&r[i]);
    }
    assert_int_equal(faultd_stat(&s->d, "requests"), 1);
    assert_int_equal(atomic_load(&s->failed), 1);
    blob_put(&b);
}

static void a_401_stops_the_source(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=1000,status=401/", "i.stl", 1000, "");
    struct blob *c = scene_blob(s, "!size=1000/", "j.stl", 1000, "");
    assert_int_equal(read_checked(b, "i.stl", 0, 0, 10), -EACCES);
    assert_int_equal(read_checked(c, "j.stl", 0, 0, 10), -EACCES);
    assert_int_equal(faultd_stat(&s->d, "requests"), 1);
    blob_env_unstop(s->env);
    assert_int_equal(read_checked(c, "j.stl", 0, 0, 10), 0);
    blob_put(&b);
    blob_put(&c);
}

static void old_and_new_bytes_never_mix(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=5000000/", "k.stl", 5000000, "");
    faultd_control(&s->d, "GET /_stat", "", NULL, 0);
    /* The ETag of version 0, as a listing would have it. */
    blob_put(&b);
    b = scene_blob(s, "!size=5000000/", "k.stl", 5000000, "\"k.stl-0\"");
    int first = read_checked(b, "k.stl", 0, 0, 1000);
    if (first == -ESTALE) { /* the server writes its ETags otherwise: take the one that it showed */
        char etag[128];
        (void)snprintf(etag, sizeof(etag), "%s", s->now.etag);
        blob_put(&b);
        b = scene_blob(s, "!size=5000000/", "k.stl", 5000000, etag);
        assert_int_equal(read_checked(b, "k.stl", 0, 0, 1000), 0);
    }
    int before = atomic_load(&s->changed);
    faultd_control(&s->d, "POST /_version?name=k.stl&v=1", "", NULL, 0);
    assert_int_equal(read_checked(b, "k.stl", 0, 0, 1000), 0); /* from the cache */
    assert_int_equal(read_checked(b, "k.stl", 0, 4000000, 1000), -ESTALE);
    assert_int_equal(read_checked(b, "k.stl", 0, 0, 1000), -ESTALE); /* for good */
    assert_int_equal(atomic_load(&s->changed), before + 1);
    assert_true(blob_spent(b));
    blob_put(&b);
    struct blob *c = scene_blob(s, "!size=5000000/", "k.stl", s->now.size, s->now.etag);
    assert_int_equal(read_checked(c, "k.stl", 1, 0, 1000), 0);
    blob_put(&c);
}

static void another_length_is_a_change(void **state)
{
    struct scene *s = *state;
    struct blob *b = scene_blob(s, "!size=2000/", "l.stl", 1000, "");
    assert_int_equal(read_checked(b, "l.stl", 0, 0, 1000), -ESTALE);
    assert_int_equal(s->now.size, 2000);
    blob_put(&b);
}

static void a_stalled_server_frees_its_readers(void **state)
{
    struct scene *s = *state;
    s->conf.network.retry_for_ms = 1000;
    struct blob *b = scene_blob(s, "!size=3000000,stallhead/", "m.stl", 3000000, "");
    int64_t begun = clock_ms();
    assert_int_equal(read_checked(b, "m.stl", 0, 0, 1000), -ETIMEDOUT);
    assert_in_range(clock_ms() - begun, 900, 4000);
    blob_put(&b);
}

/* A cache that cannot be written: each read is right all the same. */
static void a_sick_cache_degrades_to_uncached_reads(void **state)
{
    struct scene *s = *state;
    struct rlimit old, tight = {.rlim_cur = 65536, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    struct blob *b = scene_blob(s, "!size=3000000/", "n.stl", 3000000, "");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int first = read_checked(b, "n.stl", 0, 1000000, 300000);
    int again = read_checked(b, "n.stl", 0, 0, 131072);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(first, 0);
    assert_int_equal(again, 0);
    assert_true(store_sick(s->store));
    blob_put(&b);
}

struct hammer {
    struct blob *b;
    unsigned seed;
    int wrong;
};

static void *hammer_main(void *arg)
{
    struct hammer *h = arg;
    for (int i = 0; i < 60; i++) {
        h->seed = h->seed * 1103515245U + 12345U;
        uint64_t off = h->seed % 4900000U;
        size_t len = 1 + (h->seed >> 8) % 100000U;
        h->wrong += read_checked(h->b, "o.stl", 0, off, len) != 0;
    }
    return NULL;
}

/* Random ranges by several threads, over a server that breaks off now and then. */
static void each_byte_read_is_right(void **state)
{
    struct scene *s = *state;
    struct hammer h[6];
    pthread_t t[6];
    struct blob *b = scene_blob(s, "!size=5000000,rst=100000,times=9/", "o.stl", 5000000, "");
    s->conf.network.retry_for_ms = 15000;
    for (unsigned i = 0; i < 6; i++) {
        h[i] = (struct hammer){.b = b, .seed = i + 1};
        assert_int_equal(pthread_create(&t[i], NULL, hammer_main, &h[i]), 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
        assert_int_equal(h[i].wrong, 0);
    }
    blob_put(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(passing_faults_heal, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(lasting_faults_are_errors_and_not_remembered, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_told_to_all_who_wait, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(a_401_stops_the_source, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(old_and_new_bytes_never_mix, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(another_length_is_a_change, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(a_stalled_server_frees_its_readers, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(a_sick_cache_degrades_to_uncached_reads, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(each_byte_read_is_right, scene_setup, scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
