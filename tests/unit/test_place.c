#include "source/place_i.h"
#include "source/places_i.h"
#include "source/source.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SHARE "https://h/s/T0k/download?"

static void check_parse(const char *url, const char *link, const char *key, const char *folder,
                        const char *name)
{
    struct place_url p = PLACE_URL_INIT;
    const char *why = NULL;
    struct buf got = BUF_INIT, want = BUF_INIT;
    int r = place_parse(&p, url, strlen(url), &why);
    if (r != 0)
        print_error("%s: %s\n", url, why);
    assert_int_equal(r, 0);
    buf_fmt(&got, "%.*s|%.*s|%.*s|%.*s", (int)p.link_len, p.link, (int)p.key_len, p.key,
            (int)p.folder.len, p.folder.data == NULL ? "" : p.folder.data, (int)p.name.len,
            p.name.data);
    buf_fmt(&want, "%s|%s|%s|%s", link, key, folder, name);
    assert_string_equal(buf_cstr(&got), buf_cstr(&want));
    buf_free(&got);
    buf_free(&want);
    place_url_free(&p);
}

static void check_refused(const char *url, const char *expected)
{
    struct place_url p = PLACE_URL_INIT;
    const char *why = NULL;
    assert_int_equal(place_parse(&p, url, strlen(url), &why), -EINVAL);
    assert_string_equal(why, expected);
    place_url_free(&p);
}

static void test_share_links(void **state)
{
    (void)state;
    check_parse(SHARE "path=%2F&files=a.stl", SHARE "path=%2F&files=", "a.stl", "", "a.stl");
    check_parse(SHARE "path=/&files=a+b%2Bc.stl", SHARE "path=/&files=", "a+b%2Bc.stl", "",
                "a b+c.stl");
    check_parse(SHARE "path=%2FA%2FB+c%2F&files=x", SHARE "path=%2FA%2FB+c%2F&files=", "x", "A/B c",
                "x");
    check_parse(SHARE "path=A//B&files=x#frag", SHARE "path=A//B&files=", "x", "A/B", "x");
    check_parse(SHARE "files=x", SHARE "files=", "x", "", "x");
    check_parse(SHARE "path=&files=..", SHARE "path=&files=", "..", "", "..");
    check_parse(SHARE "path=/&files=a%2Fb", SHARE "path=/&files=", "a%2Fb", "", "a/b");
    check_parse("http://h:80/own/cloud/index.php/s/a-b_C/download?path=%2F&files=x",
                "http://h:80/own/cloud/index.php/s/a-b_C/download?path=%2F&files=", "x", "", "x");
}

static void test_share_links_of_another_form(void **state)
{
    (void)state;
    static const char *const urls[] = {SHARE "files=a%20b&path=%2FD",
                                       SHARE "path=%2FD&files=a%20b&x=1",
                                       SHARE "x=1&path=%2FD&files=a%20b"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        check_parse(urls[i], "", urls[i], "D", "a b");
}

static void test_base_and_token(void **state)
{
    (void)state;
    static const char *const urls[] = {"https://h/own/s/T0k/download?files=x",
                                       "https://h/own/index.php/s/T0k/download?files=x"};
    for (size_t i = 0; i < 2; i++) {
        struct place_url p = PLACE_URL_INIT;
        const char *why;
        assert_int_equal(place_parse(&p, urls[i], strlen(urls[i]), &why), 0);
        assert_true(p.share);
        assert_int_equal(p.base_len, strlen("https://h/own"));
        assert_memory_equal(p.base, "https://h/own", p.base_len);
        assert_int_equal(p.token_len, 3);
        assert_memory_equal(p.token, "T0k", 3);
        place_url_free(&p);
    }
}

static void test_other_links(void **state)
{
    (void)state;
    check_parse("http://h/a/b%20c.stl", "http://h/a/", "b%20c.stl", "", "b c.stl");
    check_parse("http://h/a+b", "http://h/", "a+b", "", "a+b");
    check_parse("http://h/d/x.stl?sig=a/b&c#f", "http://h/d/", "x.stl?sig=a/b&c", "", "x.stl");
    check_parse("http://h/a/%2e%2E", "http://h/a/", "%2e%2E", "", "..");
    check_parse("http://h/s/T/x/download?files=x", "http://h/s/T/x/", "download?files=x", "",
                "download");
    check_parse("http://h/download?files=x", "http://h/", "download?files=x", "", "download");
}

static void test_refused(void **state)
{
    (void)state;
    check_refused("file:///etc/passwd", "not an http:// or https:// link");
    check_refused("ftp://h/x", "not an http:// or https:// link");
    check_refused("javascript:alert(1)", "not an http:// or https:// link");
    check_refused("no link at all", "not a URL");
    check_refused("http:///x", "not a URL");
    check_refused("http://user:pw@h/x", "not a URL");
    check_refused("http://h", "no file name");
    check_refused("http://h/", "no file name");
    check_refused("http://h/a/?x", "no file name");
    check_refused("https://h/s/T/download", "a whole folder, not a file");
    check_refused(SHARE "path=%2F", "a whole folder, not a file");
    check_refused(SHARE "path=%2F&files[]=a&files[]=b", "a whole folder, not a file");
    check_refused(SHARE "files=a&files=b", "a whole folder, not a file");
    check_refused(SHARE "path=%2F&files=", "no file name");
    check_refused(SHARE "path=a/../b&files=x", "a folder with '.', '..' or NUL in it");
    check_refused(SHARE "path=%2e&files=x", "a folder with '.', '..' or NUL in it");
    check_refused(SHARE "path=a%00b&files=x", "a folder with '.', '..' or NUL in it");
}

static void test_nul_in_name(void **state)
{
    (void)state;
    struct place_url p = PLACE_URL_INIT;
    const char *why, *url = SHARE "files=a%00b";
    assert_int_equal(place_parse(&p, url, strlen(url), &why), 0);
    assert_int_equal(p.name.len, 3);
    assert_memory_equal(p.name.data, "a\0b", 3);
    place_url_free(&p);
}

static void test_too_long(void **state)
{
    (void)state;
    static char url[PLACE_URL_MAX + 2];
    memset(url, 'x', PLACE_URL_MAX + 1);
    memcpy(url, "http://h/", 9);
    check_refused(url, "longer than 16 KiB");
    url[PLACE_URL_MAX] = '\0';
    check_parse(url, "http://h/", url + 9, "", url + 9);
}

static void check_request(const struct source_place *place, const char *key, bool by_link,
                          const char *url, const char *user)
{
    struct buf text = BUF_INIT;
    struct http_req req = {.first = 7, .len = 9};
    assert_int_equal(source_request(place, key, strlen(key), by_link, &text, &req), 0);
    assert_string_equal(req.url, url);
    assert_int_equal(req.first, 7);
    assert_int_equal(req.len, 9);
    if (user == NULL) {
        assert_null(req.user);
        assert_null(req.password);
    } else {
        assert_string_equal(req.user, user);
        assert_string_equal(req.password, "");
    }
    bool dav = place->dav[0] != '\0' && strstr(url, ".php/") != NULL;
    assert_true(dav == (req.headers != NULL));
    if (req.headers != NULL)
        assert_string_equal(req.headers[0], "X-Requested-With: XMLHttpRequest");
    buf_free(&text);
}

static void test_requests(void **state)
{
    (void)state;
    char link[] = SHARE "path=%2FD&files=", folder[] = "D",
         dav[] = "https://h/public.php/webdav/D/", user[] = "T0k", none[] = "", source[] = "s";
    struct source_place p = {
        .link = link, .folder = folder, .dav = dav, .user = user, .source = source};
    check_request(&p, "a+b%2Bc.stl", false, "https://h/public.php/webdav/D/a%20b%2Bc.stl", "T0k");
    check_request(&p, "a+b%2Bc.stl", true, SHARE "path=%2FD&files=a+b%2Bc.stl", NULL);
    check_request(&p, "a%2Fb", false, SHARE "path=%2FD&files=a%2Fb", NULL);
    check_request(&p, "%2E.", false, SHARE "path=%2FD&files=%2E.", NULL);
    check_request(&p, "a%00b", false, SHARE "path=%2FD&files=a%00b", NULL);
    p.user = none;
    check_request(&p, "x", false, "https://h/public.php/webdav/D/x", NULL);
    p.link = none;
    check_request(&p, SHARE "files=q%20&path=D", false, "https://h/public.php/webdav/D/q%20", NULL);
    p.dav = none;
    check_request(&p, "http://h/a/b", false, "http://h/a/b", NULL);
}

static void test_encode_decode(void **state)
{
    (void)state;
    char a[] = "link", b[] = "f\xC3\xA9/g", c[] = "", d[] = "user", e[] = "msn1";
    struct source_place in = {.link = a, .folder = b, .dav = c, .user = d, .source = e}, out;
    struct buf text = BUF_INIT;
    source_place_encode(&in, &text);
    assert_int_equal(source_place_decode(text.data, text.len, &out), 0);
    assert_string_equal(out.link, a);
    assert_string_equal(out.folder, b);
    assert_string_equal(out.dav, c);
    assert_string_equal(out.user, d);
    assert_string_equal(out.source, e);
    source_place_free(&out);
    for (size_t cut = 0; cut < text.len; cut++)
        assert_int_equal(source_place_decode(text.data, cut, &out), -EBADMSG);
    buf_str(&text, "x");
    assert_int_equal(source_place_decode(text.data, text.len, &out), -EBADMSG);
    text.data[0]++;
    assert_int_equal(source_place_decode(text.data, text.len - 1, &out), -EBADMSG);
    text.data[0]--;
    text.data[4] = '\0';
    assert_int_equal(source_place_decode(text.data, text.len - 1, &out), -EBADMSG);
    assert_null(out.link);
    buf_free(&text);
}

static uint32_t find(struct places *t, const char *url)
{
    struct place_url p = PLACE_URL_INIT;
    const char *why;
    uint32_t number;
    assert_int_equal(place_parse(&p, url, strlen(url), &why), 0);
    assert_int_equal(places_find(t, &p, &number), 0);
    place_url_free(&p);
    return number;
}

static void test_places(void **state)
{
    (void)state;
    struct places t;
    places_init(&t);
    uint32_t plain = find(&t, SHARE "path=%2FD&files=a");
    assert_int_equal(find(&t, SHARE "path=%2FD&files=b"), plain);
    uint32_t whole = find(&t, SHARE "path=D&files=b");
    assert_int_not_equal(whole, plain);
    assert_int_equal(find(&t, SHARE "files=c&path=D"), whole);
    assert_int_equal(find(&t, SHARE "path=%2FD&files=c"), plain);
    assert_string_equal(places_link(&t, plain), SHARE "path=%2FD&files=");
    assert_string_equal(places_link(&t, whole), "");
    assert_int_equal(t.folders.count, 1);
    uint32_t other = find(&t, "http://h/x/a");
    assert_int_equal(find(&t, "http://h/x/b"), other);
    assert_int_equal(t.place[other].folder, PLACES_NONE);
    find(&t, SHARE "path=E&files=c");
    assert_int_equal(t.folders.count, 2);
    assert_int_equal(t.shares.count, 1);
    find(&t, "https://h/s/U/download?path=E&files=c");
    assert_int_equal(t.shares.count, 2);
    places_free(&t);
}

/* Beyond the limit URLs share one place, and those that have one keep it. */
static void test_places_overflow(void **state)
{
    (void)state;
    struct places t;
    char url[128];
    places_init(&t);
    uint32_t share = find(&t, SHARE "path=%2FD&files=a");
    for (unsigned i = 0; i < PLACES_MAX + 100; i++) {
        (void)snprintf(url, sizeof(url), "http://h/%u/x", i);
        (void)find(&t, url);
    }
    assert_int_equal(t.place_count, PLACES_MAX + 1);
    uint32_t over = t.overflow;
    assert_string_equal(places_link(&t, over), "");
    assert_int_equal(find(&t, "http://h/new/x"), over);
    assert_int_equal(find(&t, "https://h/s/New/download?files=x"), over);
    assert_int_equal(find(&t, SHARE "path=D&files=x"), over);
    assert_int_equal(find(&t, SHARE "path=%2FD&files=x"), share);
    assert_int_equal(find(&t, "http://h/5/y"), find(&t, "http://h/5/x"));
    assert_int_not_equal(find(&t, "http://h/5/y"), over);
    assert_int_equal(t.folders.count, 1);
    places_free(&t);
}

static void test_places_bounded_text(void **state)
{
    (void)state;
    struct places t;
    static char url[PLACE_URL_MAX];
    places_init(&t);
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(url, sizeof(url), "http://h/%06u%0*u/x", i, 12000, 0);
        (void)find(&t, url);
    }
    assert_true(t.links.bytes.len <= PLACES_BYTES);
    assert_int_not_equal(t.overflow, PLACES_NONE);
    places_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_links),     cmocka_unit_test(test_share_links_of_another_form),
        cmocka_unit_test(test_base_and_token),  cmocka_unit_test(test_other_links),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_nul_in_name),
        cmocka_unit_test(test_too_long),        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_encode_decode),   cmocka_unit_test(test_places),
        cmocka_unit_test(test_places_overflow), cmocka_unit_test(test_places_bounded_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
