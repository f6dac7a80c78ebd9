#include "blob/store_i.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Decodes from a block of exactly `len` bytes, so that a sanitizer sees a read beyond. */
static int decode_row(const void *data, size_t len, struct store_row *row)
{
    unsigned char *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, data, len);
    int err = store_row_decode(exact, len, row);
    free(exact);
    return err;
}

static int decode_block(const void *data, size_t len, struct store_block *block)
{
    unsigned char *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, data, len);
    int err = store_block_decode(exact, len, block);
    free(exact);
    return err;
}

static void test_row(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct store_row row = {.size = 1000, .held = {999, 999, 0}, .use = UINT64_MAX, .tag = "liver"};
    struct store_row got;
    store_row_encode(&row, &b);
    assert_int_equal(decode_row(b.data, b.len, &got), 0);
    assert_int_equal(got.size, 1000);
    assert_int_equal(got.held.disk, 999);
    assert_int_equal(got.held.text, 999);
    assert_true(got.use == UINT64_MAX);
    assert_string_equal(got.tag, "liver");
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(decode_row(b.data, len, &got), -EBADMSG);
    buf_add(&b, "x", 1);
    assert_int_equal(decode_row(b.data, b.len, &got), -EBADMSG);
}

static int row_code(struct store_row row)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct store_row got;
    store_row_encode(&row, &b);
    return decode_row(b.data, b.len, &got);
}

static void test_row_lies(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct store_row got;
    assert_int_equal(row_code((struct store_row){.size = 7, .held = {7, 7, 0}}), 0);
    assert_int_equal(row_code((struct store_row){.size = 7, .held = {8, 8, 0}}), -EBADMSG);
    assert_int_equal(row_code((struct store_row){.size = 9000, .held = {5096, 9000, 4096}}), 0);
    assert_int_equal(row_code((struct store_row){.size = 9, .held = {4096, 9, 4096}}), 0);
    assert_int_equal(row_code((struct store_row){.size = 9, .held = {8192, 9, 8192}}), -EBADMSG);
    assert_int_equal(row_code((struct store_row){.size = 9, .held = {5, 9, 6}}), -EBADMSG);
    assert_int_equal(row_code((struct store_row){.size = 9, .held = {4102, 5, 4096}}), -EBADMSG);
    assert_int_equal(row_code((struct store_row){.size = STORE_SIZE_MAX}), 0);
    assert_int_equal(row_code((struct store_row){.size = STORE_SIZE_MAX + 1}), -EBADMSG);
    store_row_encode(&(struct store_row){.tag = "ab"}, &b);
    b.data[0] = 3; /* a later format */
    assert_int_equal(decode_row(b.data, b.len, &got), -EBADMSG);
    b.data[0] = 1;
    assert_int_equal(decode_row(b.data, b.len, &got), 0);
    b.data[b.len - 1] = '\0';
    assert_int_equal(decode_row(b.data, b.len, &got), -EBADMSG);

    char tag[STORE_TAG_MAX + 1];
    memset(tag, 't', sizeof(tag));
    buf_clear(&b);
    store_row_encode(&(struct store_row){.tag = ""}, &b);
    b.len -= 2;
    buf_lstr(&b, tag, sizeof(tag));
    assert_int_equal(decode_row(b.data, b.len, &got), -EBADMSG);
}

static void test_block(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct store_block block = {.form = STORE_FORM_PIECES, .bits = 0x80000005};
    struct store_block got;
    block.sum[0] = 1;
    block.sum[1] = 77; /* not there */
    block.sum[2] = UINT64_MAX;
    block.sum[31] = 3;
    store_block_encode(&block, &b);
    assert_int_equal(b.len, 6 + 3 * 8);
    assert_int_equal(decode_block(b.data, b.len, &got), 0);
    block.sum[1] = 0;
    assert_int_equal(got.bits, block.bits);
    assert_memory_equal(got.sum, block.sum, sizeof(got.sum));
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(decode_block(b.data, len, &got), -EBADMSG);
    buf_add(&b, "x", 1);
    assert_int_equal(decode_block(b.data, b.len, &got), -EBADMSG);
    buf_clear(&b);
    store_block_encode(&(struct store_block){.bits = 0}, &b);
    assert_int_equal(decode_block(b.data, b.len, &got), -EBADMSG);
}

static void test_block_packed(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct store_block block = {.form = STORE_FORM_PACKED};
    struct store_block got;
    block.packed = (struct store_packed){.codec = 2,
                                         .version = 1,
                                         .len = 60000,
                                         .text = 5000000000, /* one day a block is a whole file */
                                         .packed_sum = UINT64_MAX,
                                         .text_sum = 17};
    store_block_encode(&block, &b);
    assert_int_equal(decode_block(b.data, b.len, &got), 0);
    assert_int_equal(got.form, STORE_FORM_PACKED);
    assert_int_equal(got.packed.codec, 2);
    assert_int_equal(got.packed.version, 1);
    assert_int_equal(got.packed.len, 60000);
    assert_int_equal(got.packed.text, 5000000000);
    assert_true(got.packed.packed_sum == UINT64_MAX);
    assert_int_equal(got.packed.text_sum, 17);
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(decode_block(b.data, len, &got), -EBADMSG);
    buf_add(&b, "x", 1);
    assert_int_equal(decode_block(b.data, b.len, &got), -EBADMSG);
    for (unsigned byte = 0; byte < 2; byte++) { /* form, version */
        char old = b.data[byte];
        b.data[byte] = 2;
        assert_int_equal(decode_block(b.data, b.len, &got), -ENOTSUP);
        b.data[byte] = old;
    }
    block.packed.len = 0;
    buf_clear(&b);
    store_block_encode(&block, &b);
    assert_int_equal(decode_block(b.data, b.len, &got), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row),
        cmocka_unit_test(test_row_lies),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_block_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
