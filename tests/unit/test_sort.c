#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/sort.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Adds `n` rows in an order made of their numbers, the key of row i being i/2 so that each key
 * comes twice. */
static void fill(struct sort *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned j = (unsigned)((uint64_t)i * 7919 % n);
        char key[32];
        int len = snprintf(key, sizeof(key), "%08u", j / 2);
        assert_int_equal(sort_add(s, key, (size_t)len, &i, sizeof(i)), 0);
    }
}

static void expect_sorted(struct sort *s, unsigned n)
{
    const void *key, *val;
    size_t klen, vlen;
    unsigned last = 0, seen = 0;
    assert_int_equal(sort_rewind(s), 0);
    while (sort_next(s, &key, &klen, &val, &vlen) == 1) {
        char want[32];
        unsigned order;
        (void)snprintf(want, sizeof(want), "%08u", seen / 2);
        assert_int_equal(klen, 8);
        assert_memory_equal(key, want, 8);
        memcpy(&order, val, sizeof(order));
        if (seen % 2 == 1)
            assert_true(order > last); /* equal keys keep their order */
        last = order;
        seen++;
    }
    assert_int_equal(seen, n);
}

static void in_memory(void **state)
{
    (void)state;
    struct sort *s = sort_create("/tmp", 1 << 20);
    fill(s, 5000);
    expect_sorted(s, 5000);
    expect_sorted(s, 5000); /* once more */
    sort_destroy(&s);
    assert_null(s);
}

static void spilled_to_many_runs(void **state)
{
    (void)state;
    struct sort *s = sort_create("/tmp", 16 << 10);
    fill(s, 50000);
    expect_sorted(s, 50000);
    expect_sorted(s, 50000);
    sort_destroy(&s);
}

static void rows_larger_than_a_window(void **state)
{
    (void)state;
    static char big[60000];
    struct sort *s = sort_create("/tmp", 256 << 10);
    for (unsigned i = 0; i < 40; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "%02u", 39 - i);
        memset(big, (int)(39 - i), sizeof(big));
        assert_int_equal(sort_add(s, key, 2, big, sizeof(big)), 0);
    }
    const void *key, *val;
    size_t klen, vlen;
    assert_int_equal(sort_rewind(s), 0);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(sort_next(s, &key, &klen, &val, &vlen), 1);
        assert_int_equal(vlen, sizeof(big));
        assert_int_equal(((const char *)val)[0], i);
        assert_int_equal(((const char *)val)[vlen - 1], i);
    }
    assert_int_equal(sort_next(s, &key, &klen, &val, &vlen), 0);
    sort_destroy(&s);
}

static void empty_and_too_large(void **state)
{
    (void)state;
    const void *key, *val;
    size_t klen, vlen;
    char row[4096] = {0};
    struct sort *s = sort_create("/tmp", 8192);
    assert_int_equal(sort_add(s, row, sizeof(row), NULL, 0), -EMSGSIZE);
    assert_int_equal(sort_rewind(s), 0);
    assert_int_equal(sort_next(s, &key, &klen, &val, &vlen), 0);
    sort_destroy(&s);
    s = sort_create("/nonexistent", 4096);
    int r = 0;
    for (unsigned i = 0; r == 0 && i < 1000; i++)
        r = sort_add(s, &i, sizeof(i), row, 100);
    assert_int_equal(r, -ENOENT);
    sort_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_memory),
        cmocka_unit_test(spilled_to_many_runs),
        cmocka_unit_test(rows_larger_than_a_window),
        cmocka_unit_test(empty_and_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
