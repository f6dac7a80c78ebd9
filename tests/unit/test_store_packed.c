#include "packed_case.h"

#include "base/log.h"

#include <fcntl.h>

#define TWO    ((uint64_t)2 * STORE_BLOCK)
#define LARGE  (TWO + 3 * STORE_PIECE + 77)
#define BLOCKS 3

static void start_packing(struct fixture *fx)
{
    assert_int_equal(store_pack_start(fx->s, never_busy, NULL), 0);
}

static void wait_packed(struct fixture *fx, uint64_t blocks)
{
    struct packing p = {.fx = fx, .blocks = blocks};
    assert_true(eventually(has_packed, &p));
}

static void wait_small(struct fixture *fx, unsigned n, uint64_t most)
{
    struct packing p = {.fx = fx, .n = n, .most = most};
    assert_true(eventually(takes_at_most, &p));
}

/* Packed, given back to the disk, and there again after a restart. */
static void test_pack(void **state)
{
    struct fixture *fx = *state;
    struct hash_id id = nth_id(1);
    start_packing(fx);
    fill_text(fx->s, 1, LARGE);
    wait_packed(fx, BLOCKS);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.text, LARGE);
    assert_int_equal(st.packed_text, LARGE);
    assert_int_equal(st.packed_bytes, st.bytes);
    assert_true(st.bytes < LARGE / 4);
    assert_int_equal(st.bytes % 4096, 0);
    wait_small(fx, 1, st.bytes + 8192);
    assert_int_equal(text_held(fx->s, 1, LARGE), LARGE);
    assert_int_equal(store_held(fx->s, &id), LARGE);
    reopen(fx, 1024 * MIB);
    assert_int_equal(stats_of(fx->s).bytes, st.bytes);
    assert_int_equal(stats_of(fx->s).packed_text, LARGE);
    assert_int_equal(text_held(fx->s, 1, LARGE), LARGE);
    assert_int_equal(store_held(fx->s, &id), LARGE);
    assert_int_equal(stats_of(fx->s).bytes, st.bytes);
}

/* A lease is of what is PRESENT, and of nothing else. */
static void test_lease(void **state)
{
    struct fixture *fx = *state;
    struct store_file *f = get(fx->s, 1, TWO);
    assert_null(store_lease(f, 0, 1));
    for (uint32_t i = 1; i < store_pieces(f); i++)
        assert_int_equal(write_text(f, 1, TWO, i), 0);
    assert_null(store_lease(f, STORE_PIECE - 1, 2));
    assert_null(store_lease(f, STORE_PIECE, 0));
    assert_null(store_lease(f, TWO - 1, 2));
    assert_null(store_lease(f, TWO, 1));
    assert_null(store_lease(f, UINT64_MAX, 1));
    const unsigned char *have = store_lease(f, STORE_PIECE, TWO - STORE_PIECE);
    assert_non_null(have);
    for (uint64_t i = STORE_PIECE; i < TWO; i++)
        if (have[i - STORE_PIECE] != text_byte(1, i))
            fail_msg("wrong at %llu", (unsigned long long)i);
    store_release(f, STORE_PIECE, TWO - STORE_PIECE);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(atomic_load(&f->object->cell[i].readers), 0);
    store_put(&f);
}

/* While a lease is held the block is packed, but not a byte is given back. */
static void test_lease_and_hole(void **state)
{
    struct fixture *fx = *state;
    start_packing(fx);
    struct store_file *f = get(fx->s, 1, TWO);
    for (uint32_t i = 0; i < 31; i++)
        assert_int_equal(write_text(f, 1, TWO, i), 0);
    const unsigned char *have = store_lease(f, 100, 900);
    assert_non_null(have);
    for (uint32_t i = 31; i < store_pieces(f); i++)
        assert_int_equal(write_text(f, 1, TWO, i), 0);
    wait_packed(fx, 2);
    store_flush(fx->s);
    wait_small(fx, 1, TWO * 3 / 4); /* the other block is given back */
    (void)nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
    for (unsigned i = 0; i < 900; i++)
        assert_int_equal(have[i], text_byte(1, 100 + i));
    assert_null(store_lease(f, 100, 900));
    assert_true(disk_use(fx->dir, 1) > STORE_BLOCK);
    store_release(f, 100, 900);
    wait_small(fx, 1, TWO / 4);
    assert_int_equal(text_given(f, 1, TWO), TWO);
    store_put(&f);
}

/* What does not get smaller stays as it is; what is in one block of the disk too. */
static void test_unpackable(void **state)
{
    struct fixture *fx = *state;
    start_packing(fx);
    fill(fx->s, 1, TWO);
    fill_text(fx->s, 2, 4096);
    fill_text(fx->s, 3, 300000);
    wait_packed(fx, 1);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.packed_text, 300000);
    assert_int_equal(st.text, TWO + 4096 + 300000);
    assert_int_equal(st.bytes, TWO + 4096 + st.packed_bytes);
    assert_int_equal(pieces_held(fx->s, 1, TWO), 64);
    assert_int_equal(text_held(fx->s, 2, 4096), 4096);
    assert_int_equal(text_held(fx->s, 3, 300000), 300000);
}

/* Raw and packed in one cache and one object; without packing, packed blocks stay readable. */
static void test_both_forms(void **state)
{
    struct fixture *fx = *state;
    fill_text(fx->s, 1, TWO);
    start_packing(fx);
    struct store_file *f = get(fx->s, 2, LARGE);
    for (uint32_t i = 0; i < 33; i++)
        assert_int_equal(write_text(f, 2, LARGE, i), 0);
    wait_packed(fx, 1);
    assert_int_equal(store_state(f, 0), STORE_PACKED);
    assert_int_equal(store_state(f, 32), STORE_PRESENT);
    assert_int_equal(store_state(f, 33), STORE_ABSENT);
    store_put(&f);
    reopen(fx, 1024 * MIB);
    assert_int_equal(text_held(fx->s, 1, TWO), TWO);
    assert_int_equal(text_held(fx->s, 2, LARGE), STORE_BLOCK + STORE_PIECE);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.packed_text, STORE_BLOCK);
    start_packing(fx); /* proved pieces are packed once their block is read whole */
    reopen(fx, 1024 * MIB);
    start_packing(fx);
    assert_int_equal(text_held(fx->s, 1, TWO), TWO);
    wait_packed(fx, 2);
    assert_int_equal(text_held(fx->s, 1, TWO), TWO);
}

static void flip(const char *dir, unsigned n, uint64_t at)
{
    char path[PATH_MAX], c;
    nth_path(dir, n, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c = (char)(c ^ 4);
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
    (void)close(fd);
}

static uint64_t slot_of(uint64_t size, uint32_t block)
{
    struct store_object o = {.size = size};
    return store_slot(&o, block);
}

/* A flipped bit in a packed block: found, the block is absent, written again, packed again. */
static void test_damage(void **state)
{
    struct fixture *fx = *state;
    start_packing(fx);
    fill_text(fx->s, 1, LARGE);
    wait_packed(fx, BLOCKS);
    store_flush(fx->s);
    flip(fx->dir, 1, slot_of(LARGE, 1) + 20);
    assert_int_equal(text_held(fx->s, 1, LARGE), LARGE - STORE_BLOCK);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.damaged, 1);
    assert_int_equal(st.text, LARGE - STORE_BLOCK);
    fill_text(fx->s, 1, LARGE);
    wait_packed(fx, BLOCKS + 1);
    assert_int_equal(text_held(fx->s, 1, LARGE), LARGE);
    wait_small(fx, 1, LARGE / 4);
    reopen(fx, 1024 * MIB);
    assert_int_equal(text_held(fx->s, 1, LARGE), LARGE);
    /* A file that was cut short. */
    char path[PATH_MAX];
    nth_path(fx->dir, 1, path);
    assert_int_equal(truncate(path, (off_t)slot_of(LARGE, 2)), 0);
    assert_int_equal(text_held(fx->s, 1, LARGE), TWO);
}

/* Pieces that were damaged before they are packed are not packed. */
static void test_damage_before(void **state)
{
    struct fixture *fx = *state;
    fill_text(fx->s, 1, STORE_BLOCK);
    store_flush(fx->s);
    start_packing(fx);
    struct store_file *f = get(fx->s, 1, STORE_BLOCK);
    fill_text(fx->s, 2, STORE_BLOCK - 1);
    wait_packed(fx, 1);
    store_put(&f);
    reopen(fx, 1024 * MIB);
    struct store_file *g = get(fx->s, 1, STORE_BLOCK);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(store_prove(g, i), 0);
    flip(fx->dir, 1, 5 * STORE_PIECE + 9);
    start_packing(fx);
    lock_take(&fx->s->lock);
    store_want_packed(g->object, 0);
    lock_drop(&fx->s->lock);
    struct packing p = {.fx = fx};
    for (int i = 0; i < 1000 && store_state(g, 5) != STORE_ABSENT; i++)
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    (void)p;
    assert_int_equal(store_state(g, 5), STORE_ABSENT);
    assert_int_equal(store_state(g, 4), STORE_PRESENT);
    assert_int_equal(stats_of(fx->s).damaged, 1);
    assert_int_equal(write_text(g, 1, STORE_BLOCK, 5), 0);
    wait_packed(fx, 1);
    assert_int_equal(text_given(g, 1, STORE_BLOCK), STORE_BLOCK);
    store_put(&g);
}

static size_t pack_text(unsigned n, uint64_t off, size_t len, unsigned char **out)
{
    unsigned char *text = malloc(len);
    struct codec *c = codec_new(1);
    *out = malloc(codec_bound(len));
    text_bytes(n, off, text, len);
    size_t got = codec_encode(c, text, len, off, CODEC_FAST, *out, NULL);
    codec_free(&c);
    free(text);
    return got;
}

/* Blocks that come packed. */
static void test_write_packed(void **state)
{
    struct fixture *fx = *state;
    unsigned char *packed;
    size_t len = pack_text(1, STORE_BLOCK, STORE_BLOCK, &packed);
    uint64_t sum = hash64(packed, len, 0);
    struct store_file *f = get(fx->s, 1, LARGE);
    assert_int_equal(store_write_packed(f, 1, packed, len, sum + 1, 5), -EBADMSG);
    assert_int_equal(store_write_packed(f, 3, packed, len, sum, 5), -EINVAL);
    assert_int_equal(store_write_packed(f, 1, packed, 1, sum, 5), -EINVAL);
    assert_int_equal(store_state(f, 32), STORE_ABSENT);
    assert_int_equal(write_text(f, 1, LARGE, 40), 0);
    assert_int_equal(store_write_packed(f, 1, packed, len, sum, 5), 0);
    assert_int_equal(store_write_packed(f, 1, packed, len, sum, 5), 0);
    for (uint32_t i = 32; i < 64; i++)
        assert_int_equal(store_state(f, i), STORE_PACKED);
    assert_int_equal(write_text(f, 1, LARGE, 40), 0); /* changes nothing */
    assert_int_equal(store_state(f, 40), STORE_PACKED);
    assert_int_equal(text_given(f, 1, LARGE), STORE_BLOCK);
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.text, STORE_BLOCK);
    assert_int_equal(st.packed_blocks, 1);
    assert_int_equal(st.bytes, (len + 4095) / 4096 * 4096);
    struct store_packed info;
    struct buf b = BUF_INIT;
    assert_int_equal(store_read_packed(f, 0, &b, &info), -ENOENT);
    assert_int_equal(store_read_packed(f, 9, &b, &info), -ENOENT);
    assert_int_equal(store_read_packed(f, 1, &b, &info), 0);
    assert_int_equal(info.text_sum, 5);
    info.turn++; /* another form than that which is there */
    store_drop_packed(f, 1, &info, true);
    assert_int_equal(store_state(f, 32), STORE_PACKED);
    info.turn--;
    store_drop_packed(f, 1, &info, false);
    assert_int_equal(store_state(f, 32), STORE_ABSENT);
    assert_int_equal(stats_of(fx->s).damaged, 0);
    assert_int_equal(stats_of(fx->s).bytes, 0);
    buf_free(&b);
    store_put(&f);
    free(packed);
}

/* The limit counts what is on the disk: many times its text fits. */
static void test_evict(void **state)
{
    struct fixture *fx = *state;
    reopen(fx, 12 * MIB);
    start_packing(fx);
    for (unsigned n = 0; n < 12; n++) {
        fill_text(fx->s, n, STORE_BLOCK);
        wait_packed(fx, n + 1);
    }
    struct store_stats st = stats_of(fx->s);
    assert_int_equal(st.evicted, 0);
    assert_int_equal(st.text, 12 * STORE_BLOCK);
    uint64_t each = st.bytes / 12;
    assert_true(each < 512 << 10);
    reopen(fx, 6 * each);
    st = stats_of(fx->s);
    assert_true(st.evicted >= 6);
    assert_true(st.bytes <= 6 * each);
    assert_int_equal(st.text, st.objects * STORE_BLOCK);
    assert_int_equal(st.packed_text, st.text);
    for (unsigned n = 0; n < 12; n++)
        if (nth_exists(fx->dir, n))
            assert_int_equal(text_held(fx->s, n, STORE_BLOCK), STORE_BLOCK);
}

/* Room that a killed process left behind: unpacked pieces below a packed block's row, and a slot
 * that no row names. */
static void test_left_behind(void **state)
{
    struct fixture *fx = *state;
    char path[PATH_MAX];
    start_packing(fx);
    fill_text(fx->s, 1, TWO);
    wait_packed(fx, 2);
    fill_text(fx->s, 2, 100000);
    wait_packed(fx, 3);
    wait_small(fx, 1, TWO / 4);
    store_close(&fx->s);
    unsigned char *junk = calloc(1, STORE_BLOCK);
    memset(junk, 7, STORE_BLOCK);
    nth_path(fx->dir, 1, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fsio_pwrite_all(fd, junk, STORE_BLOCK, STORE_BLOCK), 0);
    (void)close(fd);
    free(junk);
    assert_true(disk_use(fx->dir, 1) > STORE_BLOCK);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    start_packing(fx);
    assert_int_equal(text_held(fx->s, 1, TWO), TWO);
    wait_small(fx, 1, TWO / 4);
    assert_int_equal(text_held(fx->s, 1, TWO), TWO);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_store, remove_store)
    const struct CMUnitTest tests[] = {
        CASE(test_pack),        CASE(test_lease),         CASE(test_lease_and_hole),
        CASE(test_unpackable),  CASE(test_both_forms),    CASE(test_damage),
        CASE(test_evict),       CASE(test_damage_before), CASE(test_write_packed),
        CASE(test_left_behind),
    };
    log_setup(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
