#include "blob_case.h"

#include "blob/blob_i.h"
#include "blob/siblings_i.h"
#include "blob/store_i.h"
#include "store_test.h"

#include "base/log.h"
#include "base/obj.h"
#include "codec/block.h"

/* A pack of small objects in two folders. */
enum { OBJECTS = 600, FOLDER = 500, SIZE = 4000, FIRST_ID = 100, LOG = 1 << 20 };

struct folders {
    struct buf bytes;
    struct blob_extent at[OBJECTS];
};

static struct folders file; /* the same for all tests: made once */

static unsigned char object_byte(unsigned n, size_t i)
{
    uint64_t x = (n * 1000003ULL + i + 1) * 0x9E3779B97F4A7C15ULL;
    return (unsigned char)((x ^ x >> 29) * 0xBF58476D1CE4E5B9ULL >> 56);
}

static int make_file(void **state)
{
    unsigned char text[SIZE], *packed = malloc(codec_bound(SIZE));
    struct codec *c = codec_new(1);
    (void)state;
    buf_str(&file.bytes, "sixteen bytes...");
    for (unsigned n = 0; n < OBJECTS; n++) {
        for (size_t i = 0; i < SIZE; i++)
            text[i] = object_byte(n, i);
        size_t got = codec_encode(c, text, SIZE, 0, CODEC_FAST, packed, NULL);
        file.at[n] = (struct blob_extent){.offset = file.bytes.len,
                                          .packed = (uint32_t)got,
                                          .text = SIZE,
                                          .packed_sum = hash64(packed, got, 0),
                                          .text_sum = hash64(text, SIZE, 0)};
        buf_add(&file.bytes, packed, got);
    }
    codec_free(&c);
    free(packed);
    return file.bytes.err;
}

static int free_file(void **state)
{
    (void)state;
    buf_free(&file.bytes);
    return 0;
}

static uint64_t folder_of(unsigned n)
{
    return n < FOLDER ? 1 : 2;
}

/* Gives object `n` to `row`. */
static bool with_object(struct scene *s, unsigned n,
                        bool (*row)(void *arg, const struct blob_object *o), void *arg)
{
    char empty[] = "", source[] = "pack", key[16];
    struct source_place p = {
        .link = s->link, .folder = empty, .dav = empty, .user = empty, .source = source};
    struct blob_extents e = {
        .pack = {.size = file.bytes.len, .mtime = -1}, .count = 1, .at = &file.at[n]};
    const struct blob_object o = {.id = FIRST_ID + n,
                                  .folder = folder_of(n),
                                  .place = &p,
                                  .key = key,
                                  .key_len = (size_t)snprintf(key, sizeof(key), "p.shapepack"),
                                  .tag = "T",
                                  .version = {.size = SIZE, .mtime = 1},
                                  .extents = &e};
    return row(arg, &o);
}

static void neighbours(void *arg, uint64_t id, bool before,
                       bool (*row)(void *row_arg, const struct blob_object *o), void *row_arg)
{
    unsigned n = (unsigned)(id - FIRST_ID);
    unsigned from = before ? 0 : n + 1, to = before ? n : OBJECTS;
    for (unsigned i = from; i < to; i++)
        if (folder_of(i) == folder_of(n) && !with_object(arg, i, row, row_arg))
            return;
}

static void serve(struct scene *s, const char *directives)
{
    (void)snprintf(s->link, sizeof(s->link), "http://127.0.0.1:%u/%s", s->d.port, directives);
}

static int siblings_setup(void **state)
{
    if (scene_setup(state) != 0)
        return -1;
    struct scene *s = *state;
    scene_close(s);
    s->neighbours = neighbours;
    scene_open(s);
    serve(s, "");
    scene_put(s, file.bytes.data, file.bytes.len);
    return 0;
}

struct opening {
    struct scene *s;
    struct blob *b;
};

static bool open_row(void *arg, const struct blob_object *o)
{
    struct opening *x = arg;
    return blob_open(x->s->env, o, &x->b) == 0;
}

static struct blob *open_nth(struct scene *s, unsigned n)
{
    struct opening x = {s, NULL};
    if (!with_object(s, n, open_row, &x))
        abort();
    return x.b;
}

static bool cached_row(void *arg, const struct blob_object *o)
{
    const struct opening *x = arg;
    return blob_cached(x->s->env, o) == SIZE;
}

static bool is_cached(struct scene *s, unsigned n)
{
    struct opening x = {s, NULL};
    return with_object(s, n, cached_row, &x);
}

/* Opens, reads and closes an object: 0, the error, or -EBADMSG for wrong bytes. */
static int read_nth(struct scene *s, unsigned n)
{
    struct blob *b = open_nth(s, n);
    struct reader r;
    reader_init(&r);
    blob_read(b, 0, SIZE, reader_done, &r);
    int err = reader_wait(&r);
    if (err == 0 && r.len != SIZE)
        err = -EMSGSIZE;
    for (size_t i = 0; err == 0 && i < r.len; i++)
        if ((unsigned char)r.data[i] != object_byte(n, i))
            err = -EBADMSG;
    reader_free(&r);
    blob_put(&b);
    return err;
}

struct asked {
    unsigned requests;
    uint64_t bytes;
};

/* What the origin was asked for so far. */
static struct asked asked(struct scene *s)
{
    struct asked a = {0, 0};
    char *log = malloc(LOG);
    faultd_control(&s->d, "GET /_log", "", log, LOG);
    for (const char *p = log; (p = strstr(p, "\"bytes=")) != NULL;) {
        char *end;
        unsigned long long first = strtoull(p + 7, &end, 10);
        unsigned long long last = strtoull(end + 1, &end, 10);
        bool head = strncmp(end, "\", \"status\"", 11) != 0; /* the same among the header lines */
        a.requests += head ? 0 : 1;
        a.bytes += head ? 0 : last + 1 - first;
        p = end;
    }
    free(log);
    return a;
}

static uint64_t packed_bytes(unsigned from, unsigned to)
{
    uint64_t bytes = 0;
    for (unsigned n = from; n < to; n++)
        bytes += file.at[n].packed;
    return bytes;
}

static struct blob_stats stats(struct scene *s)
{
    struct blob_stats st;
    blob_env_stats(s->env, &st);
    return st;
}

static void test_in_order(void **state)
{
    struct scene *s = *state;
    for (unsigned n = 0; n < FOLDER; n++)
        assert_int_equal(read_nth(s, n), 0);
    struct asked a = asked(s);
    /* The origin notes a request after it was answered. */
    for (int i = 0; i < 500 && a.bytes < packed_bytes(0, FOLDER); i++, a = asked(s))
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_in_range(a.requests, 1, 12);
    assert_int_equal(a.bytes,
                     packed_bytes(0, FOLDER)); /* nothing twice, nothing of the other folder */
    struct blob_stats st = stats(s);
    assert_int_equal(st.sibling_flights, a.requests);
    assert_int_equal(st.sibling_bytes, a.bytes - file.at[0].packed);
    assert_int_equal(st.sibling_used, st.sibling_bytes);
    /* After a restart, without the origin. */
    scene_close(s);
    s->conf.offline = true;
    scene_open(s);
    for (unsigned n = 0; n < FOLDER; n += 7)
        assert_int_equal(read_nth(s, n), 0);
    assert_int_equal(read_nth(s, FOLDER), -ENETUNREACH);
}

static void test_backwards(void **state)
{
    struct scene *s = *state;
    for (unsigned n = FOLDER; n-- > 0;)
        assert_int_equal(read_nth(s, n), 0);
    struct asked a = asked(s);
    assert_in_range(a.requests, 1, 20);
    assert_int_equal(a.bytes, packed_bytes(0, FOLDER));
}

static void shuffle(unsigned *order, unsigned count, uint64_t seed)
{
    for (unsigned i = 0; i < count; i++)
        order[i] = i;
    for (unsigned i = count; i > 1; i--) {
        unsigned j = (unsigned)(hash64(&i, sizeof(i), seed) % i);
        unsigned kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

static void test_shuffled(void **state)
{
    struct scene *s = *state;
    unsigned order[FOLDER];
    shuffle(order, FOLDER, 1);
    for (unsigned i = 0; i < FOLDER; i++)
        assert_int_equal(read_nth(s, order[i]), 0);
    struct asked a = asked(s);
    assert_in_range(a.requests, 1, 60);
    assert_in_range(a.bytes, 1, packed_bytes(0, FOLDER) * 3 / 2);
}

/* Each jump costs the smallest window at most, also after a walk. */
static void test_jumps(void **state)
{
    struct scene *s = *state;
    static const unsigned jump[] = {30, 480, 130, 380, 250};
    const uint64_t most = SIZE + 100 + SIBLINGS_WINDOW_MIN;
    for (unsigned i = 0; i < ARRAY_LEN(jump); i++)
        assert_int_equal(read_nth(s, jump[i]), 0);
    struct asked a = asked(s);
    assert_int_equal(a.requests, ARRAY_LEN(jump));
    assert_in_range(a.bytes, 1, ARRAY_LEN(jump) * most);
    assert_int_equal(stats(s).sibling_used, 0);
}

/* Each reader has a window of its own. */
static void test_two_folders(void **state)
{
    struct scene *s = *state;
    for (unsigned n = 0; n < OBJECTS - FOLDER; n++) {
        assert_int_equal(read_nth(s, n), 0);
        assert_int_equal(read_nth(s, FOLDER + n), 0);
    }
    assert_in_range(asked(s).requests, 2, 10);
    /* A walk here, jumps there. */
    unsigned order[FOLDER];
    unsigned before = asked(s).requests;
    shuffle(order, FOLDER, 2);
    for (unsigned i = 0, n = 0; n < FOLDER; n++) {
        assert_int_equal(read_nth(s, n), 0);
        if (n % 20 == 0)
            assert_int_equal(read_nth(s, FOLDER + order[i++] % (OBJECTS - FOLDER)), 0);
    }
    assert_in_range(asked(s).requests - before, 1, 6);
}

/* Those that are held are not asked for again, but for small gaps. */
static void test_held(void **state)
{
    struct scene *s = *state;
    assert_int_equal(read_nth(s, 12), 0);
    struct asked a = asked(s);
    assert_int_equal(read_nth(s, 13), 0); /* came along */
    assert_int_equal(asked(s).requests, 1);
    assert_int_equal(read_nth(s, 2), 0);
    struct asked b = asked(s);
    assert_int_equal(b.bytes - a.bytes, packed_bytes(2, 12));
    for (unsigned n = 2; n < 20; n++)
        assert_int_equal(read_nth(s, n), 0);
    assert_in_range(asked(s).requests, 2, 3); /* one may have been asked for ahead */
    assert_false(is_cached(s, 1));
}

static void damage(struct scene *s, unsigned n)
{
    struct buf bad = BUF_INIT;
    buf_add(&bad, file.bytes.data, file.bytes.len);
    bad.data[file.at[n].offset + 50] ^= 8;
    scene_put(s, bad.data, bad.len);
    buf_free(&bad);
}

/* A damaged neighbour is not kept, and hurts nobody but its own reader. */
static void test_damaged(void **state)
{
    struct scene *s = *state;
    damage(s, 3);
    s->conf.network.retry_for_ms = 600;
    assert_int_equal(read_nth(s, 0), 0);
    for (unsigned n = 1; n < 10; n++)
        if (n != 3)
            assert_int_equal(read_nth(s, n), 0);
    assert_int_equal(atomic_load(&s->failed), 0);
    assert_false(is_cached(s, 3));
    assert_int_equal(read_nth(s, 3), -EIO);
    assert_int_equal(atomic_load(&s->failed), 1);
    scene_put(s, file.bytes.data, file.bytes.len);
    assert_int_equal(read_nth(s, 3), 0);
}

/* The pack became another one: what is right of it is kept still. */
static void test_changed(void **state)
{
    struct scene *s = *state;
    damage(s, 3);
    scene_put(s, "x", 1);
    assert_int_equal(read_nth(s, 0), -ESTALE);
    assert_int_equal(read_nth(s, 1), -ESTALE);
    scene_put(s, file.bytes.data, file.at[5].offset + 10); /* the fifth one is cut */
    assert_int_equal(read_nth(s, 0), 0);
    assert_int_equal(read_nth(s, 4), 0);
    assert_false(is_cached(s, 5));
    assert_int_equal(read_nth(s, 5), -ESTALE);
    assert_int_equal(read_nth(s, 7), -ESTALE);
    assert_int_equal(read_nth(s, 4), 0);
}

/* A reader of one that is under way waits for it, and asks by itself when it does not come. */
static void test_under_way(void **state)
{
    struct scene *s = *state;
    static const char *const slow[] = {"!trickle=3000:10/", "!cut=14000,times=1/",
                                       "!stall=9000,times=1/", "!status=503,times=1/"};
    for (unsigned i = 0; i < ARRAY_LEN(slow); i++) {
        serve(s, slow[i]);
        s->conf.network.timeout_ms = 300;
        struct reader r[8];
        struct blob *b[8];
        unsigned before = asked(s).requests;
        for (unsigned n = 0; n < 8; n++) {
            reader_init(&r[n]);
            b[n] = open_nth(s, n);
            blob_read(b[n], 0, SIZE, reader_done, &r[n]);
        }
        for (unsigned n = 0; n < 8; n++) {
            assert_int_equal(reader_wait(&r[n]), 0);
            assert_int_equal(r[n].len, SIZE);
            for (size_t k = 0; k < SIZE; k++)
                assert_int_equal((unsigned char)r[n].data[k], object_byte(n, k));
            blob_put(&b[n]);
            reader_free(&r[n]);
        }
        if (i == 0)
            assert_int_equal(asked(s).requests - before, 1);
        assert_in_range(asked(s).requests - before, 1, 10);
    }
    assert_int_equal(atomic_load(&s->failed), 0);
}

/* The environment ends while they are under way. */
static void test_end(void **state)
{
    struct scene *s = *state;
    struct reader r[2];
    serve(s, "!stall=6000/");
    s->conf.network.timeout_ms = 20000;
    scene_close(s);
    scene_open(s);
    assert_int_equal(read_nth(s, 0), 0);
    for (unsigned n = 0; n < 2; n++) {
        struct blob *b = open_nth(s, 2 + n);
        reader_init(&r[n]);
        blob_read(b, 0, SIZE, reader_done, &r[n]);
        blob_put(&b);
    }
    scene_close(s);
    for (unsigned n = 0; n < 2; n++) {
        assert_true(reader_wait(&r[n]) < 0);
        assert_int_equal(r[n].answers, 1);
        reader_free(&r[n]);
    }
    scene_open(s);
}

/* Without a cache, or with a sick one, nothing comes along. */
static void test_no_cache(void **state)
{
    struct scene *s = *state;
    atomic_store(&s->store->sick_until, clock_ms() + 100000);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(read_nth(s, n), 0);
    struct asked a = asked(s);
    assert_int_equal(a.requests, 3);
    assert_int_equal(a.bytes, packed_bytes(0, 3));
}

/* A server without ranges gives all of the pack: what came along is not too far behind. */
static void test_no_ranges(void **state)
{
    struct scene *s = *state;
    serve(s, "!norange/");
    for (unsigned n = 495; n < 500; n++)
        assert_int_equal(read_nth(s, n), 0);
    assert_int_equal(asked(s).requests, 1);
}

struct walker {
    pthread_t thread;
    struct scene *s;
    unsigned first, step;
    int err;
};

static void *walk(void *arg)
{
    struct walker *w = arg;
    for (unsigned n = w->first; n < OBJECTS && w->err == 0; n += w->step)
        w->err = read_nth(w->s, n);
    return NULL;
}

static void test_many_readers(void **state)
{
    struct scene *s = *state;
    struct walker w[6];
    for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
        w[i] = (struct walker){.s = s, .first = i, .step = ARRAY_LEN(w)};
        assert_int_equal(pthread_create(&w[i].thread, NULL, walk, &w[i]), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        assert_int_equal(w[i].err, 0);
    }
    assert_in_range(asked(s).requests, 2, 40);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, siblings_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_in_order),     CASE(test_backwards),   CASE(test_shuffled), CASE(test_jumps),
        CASE(test_held),         CASE(test_two_folders), CASE(test_damaged),  CASE(test_changed),
        CASE(test_under_way),    CASE(test_end),         CASE(test_no_cache), CASE(test_no_ranges),
        CASE(test_many_readers),
    };
    log_setup(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, make_file, free_file);
}
