#include "source/list_i.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* All that came, as "N text\n" or "N !why\n". */
static int collect(void *arg, uint64_t number, const char *text, size_t len, const char *why)
{
    struct buf *out = arg;
    buf_fmt(out, "%llu ", (unsigned long long)number);
    if (why != NULL)
        buf_fmt(out, "!%s", why);
    buf_add(out, text, len);
    buf_str(out, "\n");
    return out->err;
}

static void parse(struct buf *out, const char *text, size_t len, size_t step)
{
    struct list l;
    list_begin(&l, collect, out);
    for (size_t i = 0; i < len; i += step)
        assert_int_equal(list_feed(&l, text + i, step < len - i ? step : len - i), 0);
    assert_int_equal(list_end(&l), 0);
}

/* In whatever chunks the text comes, the lines are the same. */
static void check(const char *text, size_t len, const char *expected)
{
    static const size_t steps[] = {1, 2, 3, 7, 4096, 1 << 20};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct buf out = BUF_INIT;
        parse(&out, text, len, steps[i]);
        assert_string_equal(buf_cstr(&out), expected);
        buf_free(&out);
    }
}

static void test_lines(void **state)
{
    (void)state;
    static const char text[] =
        "\xEF\xBB\xBFhttp://a/1\n\n  http://a/2 \t\r\n# comment\n \t \r\n   #x\nhttp://a/3#f";
    check(text, sizeof(text) - 1, "1 http://a/1\n3 http://a/2\n7 http://a/3#f\n");
    check("", 0, "");
    check("\n", 1, "");
    check("x\n", 2, "1 x\n");
}

static void test_control_characters(void **state)
{
    (void)state;
    static const char text[] = "a\0b\na\x01"
                               "b\na\x7F\na\rb\na\tb\nfine\n";
    check(text, sizeof(text) - 1,
          "1 !control characters\n2 !control characters\n3 !control characters\n4 !control "
          "characters\n5 !control characters\n6 fine\n");
}

static void check_length(size_t len, const char *before, const char *after, bool fine)
{
    struct buf text = BUF_INIT, expected = BUF_INIT;
    buf_str(&text, before);
    buf_str(&expected, "1 ");
    for (size_t i = 0; i < len; i++) {
        buf_str(&text, "x");
        if (fine)
            buf_str(&expected, "x");
    }
    if (!fine)
        buf_str(&expected, "!longer than 16 KiB");
    buf_fmt(&text, "%s\nnext", after);
    buf_str(&expected, "\n2 next\n");
    check(text.data, text.len, buf_cstr(&expected));
    buf_free(&text);
    buf_free(&expected);
}

static void test_long_lines(void **state)
{
    (void)state;
    check_length(LIST_LINE_MAX - 1, "", "", true);
    check_length(LIST_LINE_MAX, "", "\r", true);
    check_length(LIST_LINE_MAX + 1, "", "", false);
    check_length(LIST_LINE_MAX + 2, "", "", false);
    check_length(LIST_LINE_MAX + 4096, " ", "\r", false);
}

static void test_megabyte_line_in_bounded_memory(void **state)
{
    (void)state;
    struct list l;
    struct buf out = BUF_INIT;
    char chunk[4096];
    memset(chunk, 'x', sizeof(chunk));
    list_begin(&l, collect, &out);
    for (int i = 0; i < 256; i++) {
        assert_int_equal(list_feed(&l, chunk, sizeof(chunk)), 0);
        assert_true(l.carry.cap <= 4 * LIST_LINE_MAX);
    }
    assert_int_equal(list_feed(&l, "\nok\n#", 5), 0);
    for (int i = 0; i < 256; i++)
        assert_int_equal(list_feed(&l, chunk, sizeof(chunk)), 0);
    assert_int_equal(list_end(&l), 0);
    assert_string_equal(buf_cstr(&out), "1 !longer than 16 KiB\n2 ok\n");
    buf_free(&out);
}

static int stop(void *arg, uint64_t number, const char *text, size_t len, const char *why)
{
    (void)text;
    (void)len;
    (void)why;
    (*(unsigned *)arg)++;
    return number == 2 ? -ENOSPC : 0;
}

static void test_stop(void **state)
{
    (void)state;
    struct list l;
    unsigned calls = 0;
    list_begin(&l, stop, &calls);
    assert_int_equal(list_feed(&l, "a\nb\nc\n", 6), -ENOSPC);
    assert_int_equal(calls, 2);
    assert_int_equal(list_end(&l), 0);
}

static void test_refusal(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        size_t len;
        const char *why;
    } cases[] = {
        {"http://a/b\n", 11, NULL},
        {"", 0, NULL},
        {"# <html>\n", 9, NULL},
        {"<!DOCTYPE html><html>", 21, "an HTML page"},
        {"\r\n  <html lang=en>", 18, "an HTML page"},
        {"\xEF\xBB\xBF<HTML>", 9, "an HTML page"},
        {"<?xml version='1.0'?>", 21, "an XML document"},
        {"\x1F\x8B\x08", 3, "binary data"},
        {"PK\x03\x04zz", 6, "binary data"},
        {"\xFF\xFEh\0t\0t\0p\0", 10, "binary data"},
        {"http://a/b\n\0", 12, "binary data"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why = list_refusal(cases[i].head, cases[i].len);
        if (cases[i].why == NULL)
            assert_null(why);
        else
            assert_string_equal(why, cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),      cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_long_lines), cmocka_unit_test(test_megabyte_line_in_bounded_memory),
        cmocka_unit_test(test_stop),       cmocka_unit_test(test_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
