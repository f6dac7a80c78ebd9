#include "source/davtext_i.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {" Sun, 6 Nov 1994 08:49:37 GMT\n", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun, 06 Nov 1994 08:49:37 +0000", 784111777},
        {"Sun, 06 Nov 1994 09:49:37 +0100", 784111777},
        {"Sun, 06 Nov 1994 03:49:37 -0500", 784111777},
        {"06 Nov 1994 08:49:37", 784111777},
        {"1994-11-06T08:49:37Z", 784111777},
        {"1994-11-06T08:49:37.123Z", 784111777},
        {"1994-11-06T10:49:37+02:00", 784111777},
        {"1994-11-06 08:49:37", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648},
        {"", -1},
        {"yesterday", -1},
        {"1994-11-06", -1},
        {"1994-13-06T08:49:37Z", -1},
        {"1994-11-06T25:49:37Z", -1},
        {"1994-11-06T08:49:37Zebra", -1},
        {"Sun, 06 Nov 1994", -1},
        {"Sun, 06 Nov 1894 08:49:37 GMT", -1},
        {"Sun, 06 Foo 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 19940 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:61:37 GMT", -1},
        {"Thu, 01 Jan 1970 00:00:00 +0100", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT; and a tail that is far too long for any date", -1},
        {"99999999999999999999", -1},
        {"-----------", -1},
        {"1994-", -1},
        {"::::::::", -1},
        {"12:00:00 12:00:00", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t got = davtext_date(cases[i].text, strlen(cases[i].text));
        if (got != cases[i].seconds)
            print_error("%s\n", cases[i].text);
        assert_true(got == cases[i].seconds);
    }
}

static void test_etags(void **state)
{
    (void)state;
    static const struct {
        const char *text, *etag;
    } cases[] = {
        {"\"abc\"", "\"abc\""},
        {" \"a-b:c\" ", "\"a-b:c\""},
        {"W/\"x\"", "W/\"x\""},
        {"\"\"", "\"\""},
        {"abc", ""},
        {"\"a\"b\"", ""},
        {"\"a\r\nX: y\"", ""},
        {"\"a b\"", ""},
        {"\"", ""},
        {"", ""},
        {"W/", ""},
        {"\"a\x7F\"", ""},
        {"\"12345678901234\"", ""}, /* does not fit */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[16] = "junk";
        davtext_etag(cases[i].text, strlen(cases[i].text), out, sizeof(out));
        assert_string_equal(out, cases[i].etag);
    }
}

static void check_path(const char *text, const char *expected)
{
    struct buf out = BUF_INIT;
    bool fine = davtext_path(&out, text, strlen(text));
    assert_true(fine == (expected != NULL));
    if (fine)
        assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void test_paths(void **state)
{
    (void)state;
    check_path("/a/b", "/a/b");
    check_path("/a//b/", "/a/b");
    check_path("/", "");
    check_path("http://h:80/a%20b+c", "/a b+c");
    check_path("HTTPS://h", "");
    check_path("/a%2525", "/a%25");
    check_path("/a%c3%A9", "/a\xC3\xA9");
    check_path("/100%", "/100%");
    check_path("/a/../b", NULL);
    check_path("/a/%2e%2E/b", NULL);
    check_path("/.", NULL);
    check_path("/a%2Fb", NULL);
    check_path("/a%00b", NULL);
    check_path("a/b", NULL);
    check_path("ftp://h/a", NULL);
    check_path("", NULL);
}

static void test_places(void **state)
{
    (void)state;
    const char *name = NULL;
    size_t len = 0;
    assert_int_equal(davtext_place("/a", 2, "/a", 2, &name, &len), DAVTEXT_SELF);
    assert_int_equal(davtext_place("/a", 2, "/a/x", 4, &name, &len), DAVTEXT_CHILD);
    assert_int_equal(len, 1);
    assert_int_equal(name[0], 'x');
    assert_int_equal(davtext_place("/a", 2, "/a/x/y", 6, &name, &len), DAVTEXT_DEEPER);
    assert_int_equal(davtext_place("/a", 2, "/ab", 3, &name, &len), DAVTEXT_OUTSIDE);
    assert_int_equal(davtext_place("/a", 2, "/b/x", 4, &name, &len), DAVTEXT_OUTSIDE);
    assert_int_equal(davtext_place("/a", 2, "", 0, &name, &len), DAVTEXT_OUTSIDE);
    assert_int_equal(davtext_place("", 0, "", 0, &name, &len), DAVTEXT_SELF);
    assert_int_equal(davtext_place("", 0, "/x", 2, &name, &len), DAVTEXT_CHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_etags),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
