#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "blob/check.h"

#include <string.h>

static struct http_resp answer(int status, uint64_t length)
{
    return (struct http_resp){.status = status,
                              .length = length,
                              .range_first = HTTP_UNKNOWN,
                              .range_last = HTTP_UNKNOWN,
                              .range_total = HTTP_UNKNOWN,
                              .last_modified = -1};
}

static struct http_resp part(uint64_t first, uint64_t last, uint64_t total)
{
    struct http_resp r = answer(206, last - first + 1);
    r.has_range = true;
    r.range_first = first;
    r.range_last = last;
    r.range_total = total;
    return r;
}

static enum check_verdict judge(struct http_resp r, uint64_t first, uint64_t len, uint64_t size,
                                const char *etag, struct blob_version *now)
{
    struct blob_version want = {.size = size, .mtime = -1};
    (void)strcpy(want.etag, etag);
    return check_answer(&r, first, len, &want, false, now);
}

static void good_answers(void **state)
{
    (void)state;
    struct blob_version now;
    assert_int_equal(judge(part(100, 199, 1000), 100, 100, 1000, "", &now), CHECK_RANGE);
    assert_int_equal(judge(part(100, 149, 1000), 100, 100, 1000, "", &now),
                     CHECK_RANGE); /* fewer than asked */
    assert_int_equal(judge(part(100, 199, HTTP_UNKNOWN), 100, 100, 1000, "", &now), CHECK_RANGE);
    assert_int_equal(judge(answer(200, 1000), 100, 100, 1000, "", &now), CHECK_WHOLE);
    assert_int_equal(judge(answer(200, HTTP_UNKNOWN), 0, 0, 1000, "", &now), CHECK_WHOLE);
}

static void wrong_ranges_are_no_bytes(void **state)
{
    (void)state;
    struct blob_version now;
    assert_int_equal(judge(part(0, 99, 1000), 100, 100, 1000, "", &now), CHECK_BAD);
    assert_int_equal(judge(part(100, 200, 1000), 100, 100, 1000, "", &now),
                     CHECK_BAD); /* more than asked */
    assert_int_equal(judge(part(100, 99, 1000), 100, 100, 1000, "", &now), CHECK_BAD);
    assert_int_equal(judge(answer(206, 100), 100, 100, 1000, "", &now), CHECK_BAD);
    assert_int_equal(judge(part(0, 999, 1000), 0, 0, 1000, "", &now),
                     CHECK_BAD); /* no range was asked for */
}

static void changes_are_told_from_errors(void **state)
{
    (void)state;
    struct blob_version now;
    assert_int_equal(judge(part(0, 99, 2000), 0, 100, 1000, "", &now), CHECK_CHANGED);
    assert_int_equal(now.size, 2000);
    assert_int_equal(judge(answer(200, 10), 0, 0, 1000, "", &now), CHECK_CHANGED);
    struct http_resp r = part(0, 99, 1000);
    (void)strcpy(r.etag, "\"b\"");
    assert_int_equal(judge(r, 0, 100, 1000, "\"a\"", &now), CHECK_CHANGED);
    assert_string_equal(now.etag, "\"b\"");
    assert_int_equal(judge(r, 0, 100, 1000, "\"b\"", &now), CHECK_RANGE);
    r = answer(416, 0);
    r.has_range = true;
    r.range_total = 50;
    assert_int_equal(judge(r, 100, 100, 1000, "", &now), CHECK_CHANGED);
    assert_int_equal(now.size, 50);
}

static void pages_and_errors(void **state)
{
    (void)state;
    struct blob_version now;
    struct http_resp r = answer(200, 1000);
    r.html = true;
    assert_int_equal(judge(r, 0, 0, 1000, "", &now), CHECK_BAD);
    struct blob_version want = {.size = 1000};
    assert_int_equal(check_answer(&r, 0, 0, &want, true, &now),
                     CHECK_WHOLE); /* it is an .html file */
    r = answer(200, 1000);
    r.encoded = true;
    assert_int_equal(judge(r, 0, 0, 1000, "", &now), CHECK_BAD);
    const int bad[] = {204, 301, 400, 401, 403, 404, 416, 500, 503};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(judge(answer(bad[i], 1000), 0, 0, 1000, "", &now), CHECK_BAD);
}

static void etags(void **state)
{
    (void)state;
    assert_true(check_etag_same("", "\"a\""));
    assert_true(check_etag_same("\"a\"", "\"a\""));
    assert_false(check_etag_same("\"a\"", "\"b\""));
    assert_false(check_etag_same("\"a\"", "\"ab\""));
    assert_true(check_etag_same("W/\"a\"", "\"b\"")); /* a weak one proves nothing */
    assert_true(check_etag_same("\"a-gzip\"", "\"a\""));
}

static void html_bodies(void **state)
{
    (void)state;
    assert_true(check_html("<!DOCTYPE html><html>", 21));
    assert_true(check_html(" \r\n<HTML lang=de>", 17));
    assert_false(check_html("solid x\n", 8));
    assert_false(check_html("<", 1));
    assert_false(check_html("", 0));
    assert_false(check_html("<?xml version", 13));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_answers),
        cmocka_unit_test(wrong_ranges_are_no_bytes),
        cmocka_unit_test(changes_are_told_from_errors),
        cmocka_unit_test(pages_and_errors),
        cmocka_unit_test(etags),
        cmocka_unit_test(html_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
