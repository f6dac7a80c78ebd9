#include "blob_case.h"

#include "blob/blob_i.h"
#include "packed_case.h"

#include "base/log.h"

/* A pack of two objects: a large one and a small one, with some bytes between that are nobody's. */
enum { BLOCKS = 4, GAP = 1000 };

#define SIZE  ((uint64_t)3 * STORE_BLOCK + 70001)
#define SMALL ((uint64_t)50000)

struct packed_file {
    struct buf bytes;
    struct blob_extent large[BLOCKS], small;
};

static struct packed_file file; /* the same for all tests: made once */

static struct blob_extent add_block(unsigned n, uint64_t off, size_t len)
{
    struct codec *c = codec_new(1);
    unsigned char *text = malloc(len);
    unsigned char *packed = malloc(codec_bound(len));
    text_bytes(n, off, text, len);
    size_t got = codec_encode(c, text, len, off, CODEC_FAST, packed, NULL);
    struct blob_extent x = {.offset = file.bytes.len,
                            .packed = (uint32_t)got,
                            .text = len,
                            .packed_sum = hash64(packed, got, 0),
                            .text_sum = hash64(text, len, 0)};
    buf_add(&file.bytes, packed, got);
    codec_free(&c);
    free(text);
    free(packed);
    return x;
}

static void add_gap(void)
{
    static const char gap[GAP];
    buf_add(&file.bytes, gap, GAP);
}

static int make_file(void **state)
{
    (void)state;
    add_gap();
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint64_t left = SIZE - i * (uint64_t)STORE_BLOCK;
        file.large[i] = add_block(1, i * (uint64_t)STORE_BLOCK,
                                  left < STORE_BLOCK ? (size_t)left : STORE_BLOCK);
        if (i == 1)
            add_gap();
    }
    file.small = add_block(2, 0, SMALL);
    return file.bytes.err;
}

static int free_file(void **state)
{
    (void)state;
    buf_free(&file.bytes);
    return 0;
}

static int extents_setup(void **state)
{
    if (scene_setup(state) != 0)
        return -1;
    scene_put(*state, file.bytes.data, file.bytes.len);
    return 0;
}

static int open_extents(struct scene *s, const char *link, uint64_t size, uint32_t count,
                        const struct blob_extent *at, struct blob **out)
{
    char empty[] = "", source[] = "pack", text[256];
    (void)snprintf(text, sizeof(text), "%s", link);
    struct source_place p = {
        .link = text, .folder = empty, .dav = empty, .user = empty, .source = source};
    struct blob_extents e = {
        .pack = {.size = file.bytes.len, .mtime = -1}, .count = count, .at = at};
    (void)snprintf(e.pack.etag, sizeof(e.pack.etag), "%s", "\"as-it-was\"");
    const struct blob_object o = {.id = 5,
                                  .place = &p,
                                  .key = "p.shapepack",
                                  .key_len = 11,
                                  .tag = "T",
                                  .version = {.size = size, .mtime = 1},
                                  .extents = &e};
    return blob_open(s->env, &o, out);
}

static struct blob *large_blob(struct scene *s, const char *directives)
{
    struct blob *b = NULL;
    char link[200];
    (void)snprintf(link, sizeof(link), "http://127.0.0.1:%u/%s", s->d.port, directives);
    assert_int_equal(open_extents(s, link, SIZE, BLOCKS, file.large, &b), 0);
    return b;
}

static int read_text(struct blob *b, unsigned n, uint64_t off, size_t len)
{
    struct reader r;
    reader_init(&r);
    blob_read(b, off, len, reader_done, &r);
    int err = reader_wait(&r);
    if (err == 0 && r.len != len)
        err = -EMSGSIZE;
    for (size_t i = 0; err == 0 && i < r.len; i++)
        if ((unsigned char)r.data[i] != text_byte(n, off + i))
            err = -EBADMSG;
    reader_free(&r);
    return err;
}

static struct store_stats held(struct scene *s)
{
    struct store_stats st;
    store_flush(s->store);
    store_stats(s->store, &st);
    return st;
}

/* One byte costs one request for one packed block; the next byte of it none. */
static void test_fetch(void **state)
{
    struct scene *s = *state;
    struct blob *b = large_blob(s, "");
    assert_int_equal(read_text(b, 1, STORE_BLOCK + 17, 1), 0);
    assert_int_equal(faultd_stat(&s->d, "requests"), 1);
    struct store_stats st = held(s);
    assert_int_equal(st.packed_text, STORE_BLOCK);
    assert_int_equal(st.text, STORE_BLOCK);
    assert_int_equal(read_text(b, 1, STORE_BLOCK + 100000, 4096), 0);
    assert_int_equal(faultd_stat(&s->d, "requests"), 1);
    assert_int_equal(read_text(b, 1, 5, SIZE - 6), 0);
    st = held(s);
    assert_int_equal(st.packed_text, SIZE);
    assert_int_equal(st.packed_blocks, BLOCKS);
    assert_in_range(faultd_stat(&s->d, "requests"), 2, 3);
    blob_put(&b);
    /* After a restart, without the origin. */
    scene_close(s);
    s->conf.offline = true;
    scene_open(s);
    b = large_blob(s, "");
    assert_int_equal(read_text(b, 1, 0, SIZE), 0);
    blob_put(&b);
}

/* From the start to the end, in small steps. */
static void test_sequential(void **state)
{
    struct scene *s = *state;
    struct blob *b = large_blob(s, "");
    for (uint64_t off = 0; off < SIZE; off += 131072)
        assert_int_equal(read_text(b, 1, off, SIZE - off < 131072 ? (size_t)(SIZE - off) : 131072),
                         0);
    assert_in_range(faultd_stat(&s->d, "requests"), 1, 4);
    blob_put(&b);
}

static void test_small(void **state)
{
    struct scene *s = *state;
    struct blob *b = NULL;
    char link[100];
    (void)snprintf(link, sizeof(link), "http://127.0.0.1:%u/", s->d.port);
    assert_int_equal(open_extents(s, link, SMALL, 1, &file.small, &b), 0);
    assert_int_equal(read_text(b, 2, 49000, 1000), 0);
    struct blob *other = large_blob(s, "");
    assert_int_equal(read_text(other, 1, 0, 1000), 0); /* the same URL, another object */
    blob_put(&other);
    blob_put(&b);
    assert_int_equal(open_extents(s, link, 0, 0, NULL, &b), 0);
    assert_int_equal(read_text(b, 2, 0, 0), 0);
    blob_put(&b);
}

/* Extents that cannot be: nothing is asked for. */
static void test_wrong_extents(void **state)
{
    struct scene *s = *state;
    struct blob *b = NULL;
    struct blob_extent x[BLOCKS];
    const struct {
        uint32_t count;
        uint64_t size;
        int field;
        uint64_t value;
    } bad[] = {{3, SIZE, 0, 0},
               {BLOCKS, SIZE + 1, 0, 0},
               {BLOCKS, SIZE, 1, UINT64_MAX},
               {BLOCKS, SIZE, 1, file.bytes.len - 5},
               {BLOCKS, SIZE, 2, 1},
               {BLOCKS, SIZE, 2, STORE_BLOCK + 4096},
               {BLOCKS, SIZE, 3, STORE_BLOCK - 1}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        memcpy(x, file.large, sizeof(x));
        if (bad[i].field == 1)
            x[1].offset = bad[i].value;
        if (bad[i].field == 2)
            x[1].packed = (uint32_t)bad[i].value;
        if (bad[i].field == 3)
            x[1].text = bad[i].value;
        assert_int_equal(open_extents(s, "http://127.0.0.1:1/", bad[i].size, bad[i].count, x, &b),
                         -EINVAL);
        assert_null(b);
    }
}

/* Answers that are none: tried again, then right or an error. */
static void test_wrong_answers(void **state)
{
    struct scene *s = *state;
    static const char *const mended[] = {
        "!shift=1,times=1/", "!html,times=1/",  "!cut=3,times=1/", "!status=503,times=1/",
        "!noetag/",          "!trickle=900:1/", "!total=*/"};
    for (size_t i = 0; i < ARRAY_LEN(mended); i++) {
        struct blob *b = large_blob(s, mended[i]);
        assert_int_equal(read_text(b, 1, 2 * STORE_BLOCK - 5, 10), 0);
        blob_put(&b);
    }
    struct blob *b = large_blob(s, "!status=404/");
    assert_int_equal(read_text(b, 1, 0, 10), -ENOENT);
    blob_put(&b);
    s->conf.network.retry_for_ms = 600;
    b = large_blob(s, "!shift=1/");
    assert_int_equal(read_text(b, 1, 0, 10), -EIO);
    blob_put(&b);
}

/* A server without ranges: a small pack is taken whole. */
static void test_no_ranges(void **state)
{
    struct scene *s = *state;
    struct blob *b = large_blob(s, "!norange/");
    assert_true(file.bytes.len < BLOB_SMALL);
    assert_int_equal(read_text(b, 1, STORE_BLOCK + 3, 1000), 0);
    blob_put(&b);
}

static struct buf changed_file(uint64_t at)
{
    struct buf b = BUF_INIT;
    buf_add(&b, file.bytes.data, file.bytes.len);
    b.data[at] = (char)(b.data[at] ^ 8);
    return b;
}

/* A damaged block is an error that names the reason; its neighbours come. */
static void test_damaged(void **state)
{
    struct scene *s = *state;
    struct buf bad = changed_file(file.large[1].offset + 50);
    scene_put(s, bad.data, bad.len);
    s->conf.network.retry_for_ms = 600;
    struct blob *b = NULL;
    char link[100];
    (void)snprintf(link, sizeof(link), "http://127.0.0.1:%u/!noetag/", s->d.port);
    assert_int_equal(open_extents(s, link, SIZE, BLOCKS, file.large, &b), 0);
    assert_int_equal(read_text(b, 1, STORE_BLOCK + 9, 10), -EIO);
    assert_int_equal(atomic_load(&s->failed), 1);
    assert_int_equal(read_text(b, 1, 9, 10), 0);
    assert_int_equal(read_text(b, 1, 2 * STORE_BLOCK + 9, 10), 0);
    scene_put(s, file.bytes.data, file.bytes.len); /* mended: the next read asks again */
    assert_int_equal(read_text(b, 1, STORE_BLOCK + 9, 10), 0);
    assert_int_equal(atomic_load(&s->changed), 0);
    blob_put(&b);
    buf_free(&bad);
}

/* A pack with another ETag: right blocks are as good as before, wrong ones mean that it changed. */
static void test_changed(void **state)
{
    struct scene *s = *state;
    struct blob *b = large_blob(s, ""); /* its ETag is not the one that is served */
    assert_int_equal(read_text(b, 1, 9, 10), 0);
    struct buf bad = changed_file(file.large[2].offset + 50);
    scene_put(s, bad.data, bad.len);
    assert_int_equal(read_text(b, 1, 2 * STORE_BLOCK + 9, 10), -ESTALE);
    assert_true(blob_spent(b));
    assert_int_equal(atomic_load(&s->changed), 0); /* nobody knows what the object is now */
    assert_int_equal(atomic_load(&s->failed), 1);
    blob_put(&b);
    scene_put(s, bad.data, file.large[2].offset); /* shorter: 416 */
    b = large_blob(s, "");
    assert_int_equal(read_text(b, 1, 3 * STORE_BLOCK + 9, 10), -ESTALE);
    assert_int_equal(read_text(b, 1, 9, 10), -ESTALE);
    blob_put(&b);
    b = large_blob(s, "");
    assert_int_equal(read_text(b, 1, 9, 10), 0); /* from the cache */
    blob_put(&b);
    buf_free(&bad);
}

/* Without a cache, or with a sick one. */
static void test_direct(void **state)
{
    struct scene *s = *state;
    atomic_store(&s->store->sick_until, clock_ms() + 100000);
    struct blob *b = large_blob(s, "");
    assert_int_equal(read_text(b, 1, 100, 1000), 0);
    assert_int_equal(read_text(b, 1, STORE_BLOCK - 100, 2 * STORE_BLOCK), 0);
    assert_int_equal(read_text(b, 1, 0, SIZE), 0);
    assert_int_equal(held(s).text, 0);
    blob_put(&b);
    struct buf bad = changed_file(file.large[1].offset + 50);
    scene_put(s, bad.data, bad.len);
    b = large_blob(s, "");
    assert_int_equal(read_text(b, 1, STORE_BLOCK - 5, 10), -ESTALE);
    blob_put(&b);
    buf_free(&bad);
}

/* A pack that is a file: read in place, nothing is kept. */
static void test_local(void **state)
{
    struct scene *s = *state;
    char path[128], link[160];
    (void)snprintf(path, sizeof(path), "%s/p.shapepack", s->dir);
    (void)snprintf(link, sizeof(link), "file://%s/", s->dir);
    struct blob *b = NULL;
    assert_int_equal(open_extents(s, link, SIZE, BLOCKS, file.large, &b), -ENOENT);
    assert_int_equal(fsio_write_file(path, file.bytes.data, file.bytes.len), 0);
    s->conf.offline = true;
    assert_int_equal(open_extents(s, link, SIZE, BLOCKS, file.large, &b), 0);
    assert_false(blob_spent(b));
    assert_int_equal(read_text(b, 1, 0, SIZE), 0);
    for (uint64_t off = 0; off < SIZE; off += 1234567)
        assert_int_equal(read_text(b, 1, off, 1000), 0);
    assert_int_equal(held(s).text, 0);
    assert_int_equal(faultd_stat(&s->d, "requests"), 0);
    blob_put(&b);
    struct buf bad = changed_file(file.large[1].offset + 50);
    assert_int_equal(fsio_write_file(path, bad.data, bad.len), 0);
    scene_close(s); /* what is unpacked already stays right */
    scene_open(s);
    assert_int_equal(open_extents(s, link, SIZE, BLOCKS, file.large, &b), 0);
    assert_int_equal(read_text(b, 1, 9, 10), 0);
    assert_int_equal(read_text(b, 1, STORE_BLOCK + 9, 10), -EIO);
    assert_int_equal(atomic_load(&s->failed), 1);
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(read_text(b, 1, 2 * STORE_BLOCK + 9, 10), -EIO);
    blob_put(&b);
    buf_free(&bad);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, extents_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_fetch),         CASE(test_sequential),    CASE(test_small),
        CASE(test_wrong_extents), CASE(test_wrong_answers), CASE(test_no_ranges),
        CASE(test_damaged),       CASE(test_changed),       CASE(test_direct),
        CASE(test_local),
    };
    log_setup(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, make_file, free_file);
}
