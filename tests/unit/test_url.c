#include "net/url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int split(const char *text, struct url *u)
{
    return url_split(text, strlen(text), u);
}

static void assert_slice(const char *slice, size_t len, const char *want)
{
    assert_int_equal(len, strlen(want));
    assert_memory_equal(slice, want, len);
}

static void test_parts(void **state)
{
    (void)state;
    struct url u;
    assert_int_equal(split("https://h.example:8443/a/b%20c?x=1&y=2#part", &u), 0);
    assert_slice(u.scheme, u.scheme_len, "https");
    assert_slice(u.host, u.host_len, "h.example:8443");
    assert_slice(u.path, u.path_len, "/a/b%20c");
    assert_slice(u.query, u.query_len, "x=1&y=2");
    assert_int_equal(split("HTTP://H", &u), 0);
    assert_slice(u.path, u.path_len, "");
    assert_null(u.query);
    assert_int_equal(split("http://h?q", &u), 0);
    assert_slice(u.path, u.path_len, "");
    assert_slice(u.query, u.query_len, "q");
    assert_int_equal(split("http://h/?", &u), 0);
    assert_non_null(u.query);
    assert_int_equal(u.query_len, 0);
    assert_int_equal(split("http://[::1]:80/x", &u), 0);
    assert_slice(u.host, u.host_len, "[::1]:80");
    assert_int_equal(split("http://h/a#b?c", &u), 0);
    assert_null(u.query);
    assert_int_equal(split("http://h/@x:y", &u), 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"", -EINVAL},
        {"x", -EINVAL},
        {"/a/b", -EINVAL},
        {"://h/", -EINVAL},
        {"http:", -EINVAL},
        {"http:/h", -EINVAL},
        {"http://", -EINVAL},
        {"http:///x", -EINVAL},
        {"http://:80/", -EINVAL},
        {"http://u:p@h/", -EINVAL},
        {"http://u@h/", -EINVAL},
        {"http://h/a b", -EINVAL},
        {"http://h/a\nb", -EINVAL},
        {"http://h/\x7f", -EINVAL},
        {"http://h\\evil/", -EINVAL},
        {"http://h:80x/", -EINVAL},
        {"http://h:70000/", -EINVAL},
        {"http://h:99999999999999999999/", -EINVAL},
        {"http://[::1/", -EINVAL},
        {"http://[::1]x/", -EINVAL},
        {"http://a]b/", -EINVAL},
        {" http://h/", -EINVAL},
        {"ftp://h/", -EPROTONOSUPPORT},
        {"file:///etc/passwd", -EPROTONOSUPPORT},
        {"mailto:a", -EPROTONOSUPPORT},
        {"httpss://h/", -EPROTONOSUPPORT},
    };
    struct url u;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (split(cases[i].text, &u) != cases[i].rc)
            fail_msg("%s: %d", cases[i].text, split(cases[i].text, &u));
    assert_int_equal(url_split("http://h/a\0b", 12, &u), -EINVAL);
}

/* Each prefix of a text is looked at without reading beyond it. */
static void test_prefixes(void **state)
{
    (void)state;
    static const char text[] = "https://[::1]:443/a?b=c#d";
    for (size_t n = 0; n < sizeof(text); n++) {
        char *copy = test_malloc(n + 1);
        memcpy(copy + 1, text, n);
        struct url u;
        struct buf out = BUF_INIT;
        int rc = url_split(copy + 1, n, &u);
        assert_true(rc == 0 || rc == -EINVAL || rc == -EPROTONOSUPPORT);
        url_redact(&out, copy + 1, n);
        assert_true(out.len <= n);
        buf_free(&out);
        test_free(copy);
    }
}

static void test_params(void **state)
{
    (void)state;
    struct url u;
    const char *value;
    size_t len;
    assert_int_equal(
        split("http://h/s/T/download?path=%2FA&files=b%20c.stl&empty=&bare&x=1=2&x=3", &u), 0);
    assert_true(url_param(&u, "path", &value, &len));
    assert_slice(value, len, "%2FA");
    assert_true(url_param(&u, "files", &value, &len));
    assert_slice(value, len, "b%20c.stl");
    assert_true(url_param(&u, "empty", &value, &len));
    assert_int_equal(len, 0);
    assert_true(url_param(&u, "bare", &value, &len));
    assert_int_equal(len, 0);
    assert_true(url_param(&u, "x", &value, &len));
    assert_slice(value, len, "1=2");
    assert_false(url_param(&u, "file", &value, &len));
    assert_false(url_param(&u, "", &value, &len));
    assert_int_equal(split("http://h/", &u), 0);
    assert_false(url_param(&u, "path", &value, &len));
}

static void assert_redacted(const char *text, const char *want)
{
    struct buf out = BUF_INIT;
    url_redact(&out, text, strlen(text));
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void test_redact(void **state)
{
    (void)state;
    assert_redacted("https://h/a?token=secret#x", "https://h/a");
    assert_redacted("https://user:pa@ss@h/a@b", "https://h/a@b");
    assert_redacted("https://u:p@h?x", "https://h");
    assert_redacted("https://h#secret", "https://h");
    assert_redacted("no url\x1b[31m?x", "no_url_[31m");
    assert_redacted("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_prefixes), cmocka_unit_test(test_params),
        cmocka_unit_test(test_redact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
