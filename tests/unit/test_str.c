#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#include <errno.h>
#include <string.h>

static void safe(const char *in, size_t len, const char *want)
{
    struct buf out = BUF_INIT;
    str_safe_name(&out, in, len);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void names_that_are_names_stay(void **state)
{
    (void)state;
    safe("liver.stl", 9, "liver.stl");
    safe("M\xc3\xbcller ~2.stl", 14, "M\xc3\xbcller ~2.stl");
    safe("...", 3, "...");
    safe(".hidden", 7, ".hidden");
    safe("100%.stl", 8, "100%.stl");
}

static void names_that_could_leave_their_folder_are_escaped(void **state)
{
    (void)state;
    safe(".", 1, "%2E");
    safe("..", 2, "%2E%2E");
    safe("", 0, "%00");
    safe("a/b", 3, "a%2Fb");
    safe("../../etc/passwd", 16, "..%2F..%2Fetc%2Fpasswd");
    safe("a\0b", 3, "a%00b");
    safe("a\nb\x7f", 4, "a%0Ab%7F");
    safe("\xc2\x85", 2, "%C2%85");
}

static void bytes_that_are_not_utf8_are_escaped(void **state)
{
    (void)state;
    safe("\xff\xfe.stl", 6, "%FF%FE.stl");
    safe("\xc0\xaf", 2, "%C0%AF");        /* an overlong '/' */
    safe("\xed\xa0\x80", 3, "%ED%A0%80"); /* a surrogate */
    safe("\xe2\x82", 2, "%E2%82");        /* cut short */
    safe("\xf4\x90\x80\x80", 4, "%F4%90%80%80");
}

static void long_names_are_cut_and_stay_apart(void **state)
{
    (void)state;
    char a[301], b[301];
    memset(a, 'x', 296);
    memcpy(a + 296, ".stl", 5);
    memcpy(b, a, sizeof(a));
    b[10] = 'y';
    struct buf x = BUF_INIT, y = BUF_INIT;
    str_safe_name(&x, a, 300);
    str_safe_name(&y, b, 300);
    assert_int_equal(x.len, 255);
    assert_true(str_iends(x.data, x.len, ".stl"));
    assert_string_not_equal(buf_cstr(&x), buf_cstr(&y));
    buf_clear(&y);
    str_safe_name(&y, a, 300);
    assert_string_equal(buf_cstr(&x), buf_cstr(&y));
    buf_free(&x);
    buf_free(&y);
}

static void a_cut_splits_no_character(void **state)
{
    (void)state;
    char name[301];
    for (size_t i = 0; i < 300; i += 2)
        memcpy(name + i, "\xc3\xbc", 2);
    for (size_t skip = 0; skip < 2; skip++) {
        struct buf out = BUF_INIT;
        str_safe_name(&out, name, 300 - 2 * skip);
        assert_true(out.len <= 255);
        assert_true(str_is_utf8(out.data, out.len));
        buf_free(&out);
    }
}

static void percent_decoding(void **state)
{
    (void)state;
    char out[32];
    assert_int_equal(str_percent_decode("a%20b%2fC%zz%4", 14, out, false), 10);
    assert_memory_equal(out, "a b/C%zz%4", 10);
    assert_int_equal(str_percent_decode("a+b", 3, out, true), 3);
    assert_memory_equal(out, "a b", 3);
    assert_int_equal(str_percent_decode("a+b", 3, out, false), 3);
    assert_memory_equal(out, "a+b", 3);
    assert_int_equal(str_percent_decode("%00", 3, out, false), 1);
    assert_int_equal(out[0], 0);
}

static void loose_comparison(void **state)
{
    (void)state;
    assert_true(str_loose_eq("MUG500+", 7, "mug500", 6));
    assert_true(str_loose_eq("3D-COSI", 7, "3dcosi", 6));
    assert_false(str_loose_eq("AMOS", 4, "AMO", 3));
    assert_false(str_loose_eq("", 0, "x", 1));
    assert_true(str_loose_eq("--", 2, "", 0));
}

static void numbers(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_int_equal(str_u64("0", 1, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(str_u64("9223372036854775807", 19, &v), -EINVAL);
    assert_int_equal(str_u64("922337203685477579", 18, &v), 0);
    assert_int_equal(str_u64("-1", 2, &v), -EINVAL);
    assert_int_equal(str_u64("", 0, &v), -EINVAL);
    assert_int_equal(str_u64("1 ", 2, &v), -EINVAL);
}

static void times(void **state)
{
    (void)state;
    char out[32];
    str_iso_time(1758276000, out);
    assert_string_equal(out, "2025-09-19T10:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_names_stay),
        cmocka_unit_test(names_that_could_leave_their_folder_are_escaped),
        cmocka_unit_test(bytes_that_are_not_utf8_are_escaped),
        cmocka_unit_test(long_names_are_cut_and_stay_apart),
        cmocka_unit_test(a_cut_splits_no_character),
        cmocka_unit_test(percent_decoding),
        cmocka_unit_test(loose_comparison),
        cmocka_unit_test(numbers),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
