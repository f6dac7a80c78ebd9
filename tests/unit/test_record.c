#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog/catalog.h"

#include <errno.h>
#include <string.h>

static struct node sample(void)
{
    return (struct node){.kind = NODE_FILE,
                         .parent = 70,
                         .name = slice_of("a~2.stl"),
                         .dataset = 3,
                         .anatomy = 9,
                         .side = SIDE_RIGHT,
                         .subject = slice_of("s0001"),
                         .place = 12,
                         .key = slice_of("a.stl"),
                         .remote = slice_of("a.stl"),
                         .size = 1ULL << 40,
                         .mtime = 1758276000,
                         .etag = slice_of("\"x\"")};
}

static bool eq(struct slice a, struct slice b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static void there_and_back(void **state)
{
    (void)state;
    struct node a = sample(), b;
    struct buf row = BUF_INIT;
    node_encode(&a, &row);
    assert_int_equal(node_decode(row.data, row.len, &b), 0);
    assert_true(b.kind == a.kind && b.parent == a.parent && b.dataset == a.dataset &&
                b.anatomy == a.anatomy);
    assert_true(b.side == a.side && b.place == a.place && b.size == a.size && b.mtime == a.mtime);
    assert_true(eq(a.name, b.name) && eq(a.subject, b.subject) && eq(a.key, b.key));
    assert_true(eq(a.remote, b.remote) && eq(a.etag, b.etag));
    buf_free(&row);
}

static void a_key_that_is_the_name_is_kept_once(void **state)
{
    (void)state;
    struct node a = sample(), b;
    struct buf with = BUF_INIT, without = BUF_INIT;
    node_encode(&a, &with);
    a.name = a.key;
    a.remote = (struct slice){"", 0};
    node_encode(&a, &without);
    assert_int_equal(node_decode(without.data, without.len, &b), 0);
    assert_true(eq(b.key, a.key));
    assert_true(without.len < with.len);
    buf_free(&with);
    buf_free(&without);
}

/* Each cut and each changed byte is refused or read inside of the row. */
static void damaged_rows(void **state)
{
    (void)state;
    struct node a = sample(), b;
    struct buf row = BUF_INIT;
    node_encode(&a, &row);
    for (size_t cut = 0; cut < row.len; cut++)
        assert_int_equal(node_decode(row.data, cut, &b), -EBADMSG);
    for (size_t at = 0; at < row.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            row.data[at] = (char)(row.data[at] ^ (1 << bit));
            if (node_decode(row.data, row.len, &b) == 0 && b.name.len > 0)
                assert_true(b.name.s >= row.data && b.name.s + b.name.len <= row.data + row.len);
            row.data[at] = (char)(row.data[at] ^ (1 << bit));
        }
    buf_free(&row);
}

static void info_and_dataset(void **state)
{
    (void)state;
    struct catalog_info a = {.refreshed = 5, .next_id = 6, .files = 7, .without_sizes = true}, b;
    struct buf row = BUF_INIT;
    catalog_info_encode(&a, &row);
    assert_int_equal(catalog_info_decode(row.data, row.len, &b), 0);
    assert_true(b.refreshed == 5 && b.next_id == 6 && b.files == 7 && b.without_sizes);
    assert_int_equal(catalog_info_decode(row.data, row.len - 1, &b), -EBADMSG);
    row.data[0]++; /* another format */
    assert_int_equal(catalog_info_decode(row.data, row.len, &b), -EBADMSG);
    buf_free(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(a_key_that_is_the_name_is_kept_once),
        cmocka_unit_test(damaged_rows),
        cmocka_unit_test(info_and_dataset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
