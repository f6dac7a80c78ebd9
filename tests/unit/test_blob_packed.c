#include "blob/blob_i.h"
#include "blob_case.h"
#include "packed_case.h"

#include "base/log.h"

/* The origin's bytes are noise: what is packed is written to the cache by hand, under the name that
 * the blob has there. */

#define SIZE ((uint64_t)5 * STORE_BLOCK + 3 * STORE_PIECE + 77)

static struct blob *noise_blob(struct scene *s)
{
    char directives[64];
    (void)snprintf(directives, sizeof(directives), "!size=%llu/", (unsigned long long)SIZE);
    return scene_blob(s, directives, "noise.stl", SIZE, "");
}

static int packed_setup(void **state)
{
    if (scene_setup(state) != 0)
        return -1;
    struct scene *s = *state;
    s->conf.cache_packed = true;
    scene_close(s);
    scene_open(s);
    return 0;
}

static bool blocks_packed(void *arg)
{
    struct scene *s = arg;
    struct store_stats st;
    store_stats(s->store, &st);
    return st.packed_blocks >= 6;
}

/* A blob whose cache file holds the text of object 1, all of it packed. */
static struct blob *packed_blob(struct scene *s)
{
    struct blob *b = noise_blob(s);
    unsigned char *data = malloc(STORE_PIECE);
    for (uint32_t i = 0; i < store_pieces(b->file); i++) {
        size_t len = piece_len(SIZE, i);
        text_bytes(1, (uint64_t)i * STORE_PIECE, data, len);
        assert_int_equal(store_write(b->file, i, data, len), 0);
    }
    free(data);
    assert_true(eventually(blocks_packed, s));
    return b;
}

/* Reads and compares: 0, the error, or -EBADMSG for wrong bytes. */
static int read_text(struct blob *b, uint64_t off, size_t len)
{
    struct reader r;
    reader_init(&r);
    blob_read(b, off, len, reader_done, &r);
    int err = reader_wait(&r);
    if (err == 0 && r.len != (off + len > SIZE ? SIZE - off : len))
        err = -EMSGSIZE;
    for (size_t i = 0; err == 0 && i < r.len; i++)
        if ((unsigned char)r.data[i] != text_byte(1, off + i))
            err = -EBADMSG;
    reader_free(&r);
    return err;
}

static struct blob_stats stats_now(struct scene *s)
{
    struct blob_stats st;
    blob_env_stats(s->env, &st);
    return st;
}

static void test_random(void **state)
{
    struct scene *s = *state;
    struct blob *b = packed_blob(s);
    uint64_t at = 1;
    for (unsigned i = 0; i < 300; i++) {
        at = at * 6364136223846793005U + 1442695040888963407U;
        uint64_t off = (at >> 20) % SIZE;
        assert_int_equal(read_text(b, off, 1 + (at >> 8) % 9000), 0);
    }
    assert_int_equal(read_text(b, SIZE - 1, 1), 0);
    assert_int_equal(read_text(b, SIZE - 1, 4096), 0);
    assert_int_equal(read_text(b, STORE_BLOCK - 1, 2), 0);
    assert_int_equal(read_text(b, 10, SIZE - 20), 0); /* over all blocks */
    struct blob_stats st = stats_now(s);
    assert_int_equal(st.flights, 0);
    assert_int_equal(st.waits, 0);
    assert_true(st.decoded >= 6);
    assert_true(st.decode_ns > 0);
    blob_put(&b);
}

/* One after another: each block is unpacked once, or nearly. */
static void test_sequential(void **state)
{
    struct scene *s = *state;
    struct blob *b = packed_blob(s);
    for (uint64_t off = 0; off < SIZE; off += 100000)
        assert_int_equal(read_text(b, off, 100000), 0);
    struct blob_stats st = stats_now(s);
    assert_in_range(st.decoded, 6, 8);
    assert_int_equal(st.hits, st.reads);
    blob_put(&b);
}

enum { READERS = 40 };

/* Many want the same block at once: it is unpacked once. */
static void test_together(void **state)
{
    struct scene *s = *state;
    struct blob *b = packed_blob(s);
    struct reader r[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        reader_init(&r[i]);
        blob_read(b, STORE_BLOCK + i * 5000U, 5000, reader_done, &r[i]);
    }
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(reader_wait(&r[i]), 0);
        assert_int_equal(r[i].len, 5000);
        for (unsigned k = 0; k < 5000; k++)
            assert_int_equal((unsigned char)r[i].data[k],
                             text_byte(1, STORE_BLOCK + i * 5000U + k));
        reader_free(&r[i]);
    }
    assert_in_range(stats_now(s).decoded, 1, 4); /* those ahead too */
    blob_put(&b);
}

/* A restart between; and with packing turned off. */
static void test_restart(void **state)
{
    struct scene *s = *state;
    struct blob *b = packed_blob(s);
    blob_put(&b);
    scene_close(s);
    s->conf.cache_packed = false;
    s->conf.offline = true;
    scene_open(s);
    b = noise_blob(s);
    for (uint64_t off = 0; off < SIZE; off += 700000)
        assert_int_equal(read_text(b, off, 700000), 0);
    blob_put(&b);
}

static void flip_packed(struct scene *s, struct blob *b, uint32_t block)
{
    char hex[33], path[PATH_MAX], c = 0;
    hash_id_hex(&b->content, hex);
    (void)snprintf(path, sizeof(path), "%s/content/data/%.2s/%s", s->dir, hex, hex);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t at = (off_t)store_slot(b->file->object, block) + 100;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)(c ^ 1);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    (void)close(fd);
}

/* A damaged block is fetched again, from the origin (whose bytes are others here). */
static void test_damaged(void **state)
{
    struct scene *s = *state;
    struct blob *b = packed_blob(s);
    flip_packed(s, b, 2);
    assert_int_equal(read_checked(b, "noise.stl", 0, 2 * STORE_BLOCK + 500, 5000), 0);
    assert_int_equal(read_text(b, 3 * STORE_BLOCK, 5000), 0);
    /* Half from a packed block, half from the origin. */
    struct reader r;
    reader_init(&r);
    blob_read(b, 2 * STORE_BLOCK - 50, 100, reader_done, &r);
    assert_int_equal(reader_wait(&r), 0);
    assert_int_equal(r.len, 100);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal((unsigned char)r.data[i], text_byte(1, 2 * STORE_BLOCK - 50 + i));
        assert_int_equal((unsigned char)r.data[50 + i],
                         faultd_byte("noise.stl", 0, 2 * STORE_BLOCK + i));
    }
    reader_free(&r);
    struct store_stats st;
    store_stats(s->store, &st);
    assert_int_equal(st.damaged, 1);
    /* Offline: an error, and the next one works. */
    s->conf.offline = true;
    flip_packed(s, b, 4);
    assert_int_equal(read_text(b, 4 * STORE_BLOCK, 5000), -ENETUNREACH);
    assert_int_equal(read_text(b, 3 * STORE_BLOCK, 5000), 0);
    s->conf.offline = false;
    blob_put(&b);
}

/* Rows that lie about the text: it does not decode, or decodes to something else. */
static void test_wrong_text(void **state)
{
    struct scene *s = *state;
    struct blob *b = noise_blob(s);
    unsigned char junk[64] = {CODEC_ZSTD, 1, 9, 9, 9};
    uint64_t sum = hash64(junk, sizeof(junk), 0);
    assert_int_equal(store_write_packed(b->file, 0, junk, sizeof(junk), sum, 1), 0);
    junk[0] = 200; /* a codec of a later version: no damage */
    sum = hash64(junk, sizeof(junk), 0);
    assert_int_equal(store_write_packed(b->file, 1, junk, sizeof(junk), sum, 1), 0);
    assert_int_equal(read_checked(b, "noise.stl", 0, 100, 1000), 0);
    assert_int_equal(read_checked(b, "noise.stl", 0, STORE_BLOCK, 1000), 0);
    struct store_stats st;
    store_stats(s->store, &st);
    assert_int_equal(st.damaged, 1);
    assert_int_equal(st.packed_text, 0);
    blob_put(&b);
}

/* What nobody reads for a while is dropped; the next read works. */
static bool is_dropped(void *arg)
{
    return !atomic_load(&((struct scene *)arg)->env->unpacked);
}

static void test_dropped(void **state)
{
    struct scene *s = *state;
    struct blob *b = packed_blob(s);
    assert_int_equal(read_text(b, 0, 5000), 0);
    assert_false(is_dropped(s));
    assert_true(eventually(is_dropped, s));
    uint64_t before = stats_now(s).decoded;
    assert_int_equal(read_text(b, 0, 5000), 0);
    assert_int_equal(stats_now(s).decoded, before + 1);
    blob_put(&b);
}

struct racer {
    struct blob *blob;
    pthread_t thread;
    uint64_t seed;
    int err;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    for (unsigned i = 0; i < 150 && r->err == 0; i++) {
        r->seed = r->seed * 6364136223846793005U + 1442695040888963407U;
        uint64_t off = (r->seed >> 20) % SIZE;
        r->err = read_text(r->blob, off, 1 + (r->seed >> 9) % 300000);
    }
    return NULL;
}

/* Readers while their blocks are packed and given back below them. */
static void test_race(void **state)
{
    struct scene *s = *state;
    struct blob *b = noise_blob(s);
    unsigned char *data = malloc(STORE_PIECE);
    store_pack_stop(s->store);
    for (uint32_t i = 0; i < store_pieces(b->file); i++) {
        text_bytes(1, (uint64_t)i * STORE_PIECE, data, piece_len(SIZE, i));
        assert_int_equal(store_write(b->file, i, data, piece_len(SIZE, i)), 0);
    }
    free(data);
    struct racer r[4];
    for (unsigned i = 0; i < 4; i++) {
        r[i] = (struct racer){.blob = b, .seed = i + 1};
        assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
    }
    assert_int_equal(store_pack_start(s->store, never_busy, NULL), 0);
    lock_take(&s->store->lock);
    for (uint32_t i = 0; i < b->file->object->blocks; i++)
        store_want_packed(b->file->object, i);
    lock_drop(&s->store->lock);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(r[i].thread, NULL), 0);
        assert_int_equal(r[i].err, 0);
    }
    assert_true(eventually(blocks_packed, s));
    assert_int_equal(read_text(b, 10, SIZE - 20), 0);
    blob_put(&b);
}

/* The end comes while reads wait for their blocks: each is answered. */
static void test_end(void **state)
{
    struct scene *s = *state;
    struct blob *b = packed_blob(s);
    struct reader r[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        reader_init(&r[i]);
        blob_read(b, i % 6 * STORE_BLOCK + i * 5000U, 5000, reader_done, &r[i]);
    }
    flip_packed(s, b, 5);
    http_stop(s->http);
    blob_env_close(&s->env);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(r[i].answers, 1);
        assert_true(r[i].err == 0 || i % 6 == 5); /* that one may need the network */
        reader_free(&r[i]);
    }
    blob_put(&b);
    http_close(&s->http);
    store_close(&s->store);
    scene_open(s);
}

/* What comes from the origin is packed too, if it pays; noise stays as it is. */
static void test_noise(void **state)
{
    struct scene *s = *state;
    struct blob *b = noise_blob(s);
    for (uint64_t off = 0; off < SIZE; off += 1000000)
        assert_int_equal(read_checked(b, "noise.stl", 0, off,
                                      SIZE - off < 1000000 ? (size_t)(SIZE - off) : 1000000),
                         0);
    store_pack_stop(s->store);
    struct store_stats st;
    store_stats(s->store, &st);
    assert_int_equal(st.packed_text, 0);
    assert_int_equal(st.bytes, SIZE);
    blob_put(&b);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, packed_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_random),  CASE(test_sequential), CASE(test_together), CASE(test_restart),
        CASE(test_damaged), CASE(test_wrong_text), CASE(test_dropped),  CASE(test_race),
        CASE(test_end),     CASE(test_noise),
    };
    log_setup(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
