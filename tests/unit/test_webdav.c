#include "source/webdav_i.h"

#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD  "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
#define OPEN  HEAD "<d:multistatus xmlns:d=\"DAV:\">"
#define CLOSE "</d:multistatus>"
#define OK    "<d:status>HTTP/1.1 200 OK</d:status>"
#define SELF                                                                                       \
    "<d:response><d:href>/d/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/>"          \
    "</d:resourcetype></d:prop>" OK "</d:propstat></d:response>"
#define FILE_AT(href, props)                                                                       \
    "<d:response><d:href>" href "</d:href><d:propstat><d:prop>" props "</d:prop>" OK               \
    "</d:propstat></d:response>"

/* The files, as "name size mtime etag\n"; -1 for an unknown size. */
static int collect(void *arg, const struct webdav_file *file)
{
    struct buf *out = arg;
    buf_add(out, file->name, file->name_len);
    buf_fmt(out, " %lld %lld %s\n", (long long)file->size, (long long)file->mtime, file->etag);
    return out->err;
}

static int parse(const char *url, const char *xml, size_t len, size_t step, struct buf *out,
                 struct webdav_counts *counts, char why[64])
{
    struct webdav *w = webdav_create(url, collect, out);
    assert_non_null(w);
    int r = 0;
    for (size_t i = 0; r == 0 && i < len; i += step)
        r = webdav_feed(w, xml + i, step < len - i ? step : len - i);
    if (r == 0)
        r = webdav_end(w);
    *counts = webdav_counts(w);
    (void)snprintf(why, 64, "%s", webdav_why(w));
    webdav_destroy(&w);
    assert_null(w);
    return r;
}

/* The same files whatever the chunks are. */
static struct webdav_counts check(const char *url, const char *xml, const char *expected)
{
    static const size_t steps[] = {1, 13, 1 << 20};
    struct webdav_counts counts = {0};
    char why[64];
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct buf out = BUF_INIT;
        int r = parse(url, xml, strlen(xml), steps[i], &out, &counts, why);
        if (r != 0)
            print_error("%s\n", why);
        assert_int_equal(r, 0);
        assert_string_equal(buf_cstr(&out), expected);
        buf_free(&out);
    }
    return counts;
}

static void check_refused(const char *xml, size_t len, const char *expected)
{
    struct webdav_counts counts;
    struct buf out = BUF_INIT;
    char why[64];
    assert_int_equal(parse("http://h/d/", xml, len, 4096, &out, &counts, why), -EBADMSG);
    assert_string_equal(why, expected);
    buf_free(&out);
}

static void test_sabre(void **state)
{
    (void)state;
    static const char xml[] =
        "<?xml version=\"1.0\"?>\n<d:multistatus xmlns:d=\"DAV:\" "
        "xmlns:s=\"http://sabredav.org/ns\" "
        "xmlns:oc=\"http://owncloud.org/ns\"><d:response><d:href>/own/public.php/webdav/D/</"
        "d:href><d:propstat><d:prop>"
        "<d:resourcetype><d:collection/></d:resourcetype><d:getlastmodified>Thu, 19 Sep 2024 "
        "10:00:00 "
        "GMT</d:getlastmodified>"
        "<d:getetag>&quot;66ec&quot;</d:getetag></d:prop><d:status>HTTP/1.1 200 "
        "OK</d:status></d:propstat><d:propstat>"
        "<d:prop><d:getcontentlength/></d:prop><d:status>HTTP/1.1 404 Not "
        "Found</d:status></d:propstat></d:response>"
        "<d:response><d:href>/own/public.php/webdav/D/a%20%2b%26%27(1)@~%c3%a9.stl</"
        "d:href><d:propstat><d:prop>"
        "<d:resourcetype/><d:getcontentlength>27665</d:getcontentlength><d:getlastmodified>Thu, 19 "
        "Sep 2024 10:00:01 GMT"
        "</d:getlastmodified><d:getetag>&quot;abc&quot;</d:getetag><x1:fileid "
        "xmlns:x1=\"http://owncloud.org/ns\">7"
        "</x1:fileid><oc:checksums><oc:checksum>SHA1:x "
        "MD5:y</oc:checksum></oc:checksums></d:prop><d:status>HTTP/1.1 200 "
        "OK"
        "</d:status></d:propstat><d:propstat><d:prop><oc:size/></d:prop><d:status>HTTP/1.1 404 Not "
        "Found</d:status></d:propstat>"
        "</d:response></d:multistatus>\n";
    struct webdav_counts n = check("http://h/own/public.php/webdav/D/", xml,
                                   "a +&'(1)@~\xC3\xA9.stl 27665 1726740001 \"abc\"\n");
    assert_int_equal(n.entries, 2);
    assert_int_equal(n.refused, 0);
    assert_int_equal(n.bad_sizes, 0);
}

static void test_apache(void **state)
{
    (void)state;
    static const char xml[] = HEAD
        "<D:multistatus xmlns:D=\"DAV:\" xmlns:ns0=\"DAV:\">\n"
        "<D:response xmlns:lp1=\"DAV:\" xmlns:lp2=\"http://apache.org/dav/props/\" "
        "xmlns:g0=\"http://owncloud.org/ns\">\n"
        "<D:href>/d/b%c3%a9+c&amp;d.stl</D:href>\n<D:propstat>\n<D:prop>\n<lp1:resourcetype/>\n"
        "<lp1:getcontentlength>12</lp1:getcontentlength>\n<lp1:getlastmodified>Thu, 19 Sep 2024 "
        "10:00:00 GMT"
        "</lp1:getlastmodified>\n<lp1:getetag>\"c-622\"</lp1:getetag>\n</D:prop>\n<D:status>HTTP/"
        "1.1 200 OK</D:status>\n"
        "</D:propstat>\n<D:propstat>\n<D:prop>\n<g0:checksums/>\n<g0:fileid/>\n</"
        "D:prop>\n<D:status>HTTP/1.1 404 Not "
        "Found"
        "</D:status>\n</D:propstat>\n</D:response>\n<D:response><D:href>/d/</"
        "D:href><D:propstat><D:prop>"
        "<ns0:resourcetype><D:collection/></ns0:resourcetype></D:prop><D:status>HTTP/1.1 200 "
        "OK</D:status></D:propstat>"
        "</D:response></D:multistatus>\n";
    (void)check("http://h/d/", xml, "b\xC3\xA9+c&d.stl 12 1726740000 \"c-622\"\n");
}

static void test_rclone(void **state)
{
    (void)state;
    static const char xml[] =
        HEAD "<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/d/</D:href><D:propstat><D:prop>"
             "<D:resourcetype><D:collection "
             "xmlns:D=\"DAV:\"/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status>"
             "</D:propstat><D:propstat><D:prop><D:getcontentlength></D:getcontentlength></"
             "D:prop><D:status>HTTP/1.1 404 Not "
             "Found</D:status></D:propstat></D:response><D:response><D:href>/d/X+%C3%A9.stl</"
             "D:href><D:propstat><D:prop>"
             "<getcontentlength xmlns=\"DAV:\">5</getcontentlength><D:getlastmodified>Thu, 19 Sep "
             "2024 10:00:00 GMT"
             "</D:getlastmodified><D:getetag>\"17f5\"</D:getetag></D:prop><D:status>HTTP/1.1 200 "
             "OK</D:status></D:propstat>"
             "<D:propstat><D:prop><fileid "
             "xmlns=\"http://owncloud.org/ns\"></fileid></D:prop><D:status>HTTP/1.1 404 Not Found"
             "</D:status></D:propstat></D:response></D:multistatus>";
    (void)check("http://h/d", xml, "X+\xC3\xA9.stl 5 1726740000 \"17f5\"\n");
}

static void test_nginx(void **state)
{
    (void)state;
    static const char xml[] = HEAD
        "<D:multistatus "
        "xmlns:D=\"DAV:\">\n<D:response>\n<D:href>/d</D:href>\n<D:propstat>\n<D:prop>\n"
        "<D:displayname>d</D:displayname>\n<D:getcontentlength>4096</"
        "D:getcontentlength>\n<D:resourcetype>"
        "<D:collection/></D:resourcetype>\n</D:prop>\n<D:status>HTTP/1.1 200 "
        "OK</D:status>\n</D:propstat>\n"
        "</D:response>\n<D:response>\n<D:href>/d/sub</"
        "D:href>\n<D:propstat>\n<D:prop>\n<D:resourcetype><D:collection/>"
        "</D:resourcetype>\n</D:prop>\n<D:status>HTTP/1.1 200 "
        "OK</D:status>\n</D:propstat>\n</D:response>\n"
        "<D:response>\n<D:href>/d/a.stl</D:href>\n<D:propstat>\n<D:prop>\n<D:displayname>a.stl</"
        "D:displayname>\n"
        "<D:getcontentlength>0</D:getcontentlength>\n<D:getlastmodified>Thu, 19 Sep 2024 10:00:00 "
        "GMT"
        "</D:getlastmodified>\n<D:resourcetype></D:resourcetype>\n<D:lockdiscovery/>\n</D:prop>\n"
        "<D:status>HTTP/1.1 200 OK</D:status>\n</D:propstat>\n</D:response>\n</D:multistatus>\n";
    struct webdav_counts n = check("http://h/d/", xml, "a.stl 0 1726740000 \n");
    assert_int_equal(n.entries, 3);
}

static void test_full_urls_and_iso_dates(void **state)
{
    (void)state;
    (void)check("http://h/d/",
                OPEN SELF FILE_AT("https://other:8443/d/x.stl",
                                  "<d:getcontentlength> 7 </d:getcontentlength><d:getlastmodified>"
                                  "2024-09-19T10:00:00Z</d:getlastmodified>") CLOSE,
                "x.stl 7 1726740000 \n");
}

static void test_namespaces_not_prefixes(void **state)
{
    (void)state;
    (void)check(
        "http://h/d/",
        "<multistatus xmlns=\"DAV:\" "
        "xmlns:d=\"urn:other\"><response><href>/d/x</href><propstat><prop>"
        "<getcontentlength>5</getcontentlength><d:getcontentlength>6</d:getcontentlength></prop>"
        "<status>HTTP/2 200</status></propstat></response></multistatus>",
        "x 5 -1 \n");
    check_refused("<d:multistatus xmlns:d=\"dav:\"/>", 32, "no multistatus");
    check_refused("<multistatus/>", 14, "no multistatus");
}

static void test_only_values_with_status_200(void **state)
{
    (void)state;
    (void)check(
        "http://h/d/",
        OPEN "<d:response><d:href>/d/x</d:href>"
             "<d:propstat><d:prop><d:getcontentlength>1</d:getcontentlength></"
             "d:prop><d:status>HTTP/1.1 404 200 "
             "</d:status></d:propstat>"
             "<d:propstat><d:prop><d:getcontentlength>2</d:getcontentlength></d:prop></d:propstat>"
             "<d:propstat><d:prop><d:getetag>\"e\"</d:getetag></d:prop>" OK "</d:propstat>"
             "<d:propstat><d:prop><d:getcontentlength>3</d:getcontentlength></"
             "d:prop><d:status>HTTP/1.1 2000 OK"
             "</d:status></d:propstat></d:response>" CLOSE,
        "x -1 -1 \"e\"\n");
}

static void test_responses_without_a_file(void **state)
{
    (void)state;
    struct webdav_counts n =
        check("http://h/d/",
              OPEN SELF "<d:response><d:href>/d/gone</d:href><d:status>HTTP/1.1 404 Not "
                        "Found</d:status></d:response>"
                        "<d:response><d:href>/d/1</d:href><d:href>/d/2</d:href><d:status>HTTP/1.1 "
                        "423 Locked</d:status>"
                        "</d:response><d:response><d:href>/d/none</d:href></d:response>"
                        "<d:response/>" FILE_AT("/d/sub/", "") FILE_AT("/d/sub/deep", "") CLOSE,
              "");
    assert_int_equal(n.entries, 7);
    assert_int_equal(n.refused, 1);
}

static void test_sizes_that_are_none(void **state)
{
    (void)state;
    struct webdav_counts n = check(
        "http://h/d/",
        OPEN FILE_AT("/d/a", "<d:getcontentlength>-5</d:getcontentlength>")
            FILE_AT("/d/b", "<d:getcontentlength></d:getcontentlength>") FILE_AT(
                "/d/c", "<d:getcontentlength>9223372036854775808</d:getcontentlength>")
                FILE_AT("/d/d", "<d:getcontentlength>9223372036854775790</d:getcontentlength>")
                    FILE_AT("/d/e", "<d:getcontentlength>1e3</d:getcontentlength>") FILE_AT(
                        "/d/f", "<d:getcontentlength>99999999999999999999999</d:getcontentlength>")
                        FILE_AT("/d/g", "") CLOSE,
        "a -1 -1 \nb -1 -1 \nc -1 -1 \nd 9223372036854775790 -1 \ne -1 -1 \nf -1 -1 \ng -1 -1 \n");
    assert_int_equal(n.bad_sizes, 5);
}

static void test_hostile_addresses(void **state)
{
    (void)state;
    struct webdav_counts n =
        check("http://h/d/",
              OPEN SELF FILE_AT("/etc/passwd", "") FILE_AT("/d/../x", "") FILE_AT("/d/%2e%2e", "")
                  FILE_AT("/d/a%2fb", "") FILE_AT("/d/a%00b", "") FILE_AT("d/x", "") FILE_AT("", "")
                      FILE_AT("/dx/y", "") FILE_AT("ftp://h/d/x", "") FILE_AT("/d/%2525", "")
                          FILE_AT(" \n/d/fine ", "") CLOSE,
              "%25 -1 -1 \nfine -1 -1 \n");
    assert_int_equal(n.refused, 9);
    static const char other[] = OPEN FILE_AT("/e/x", "") CLOSE;
    check_refused(other, sizeof(other) - 1, "it is about another folder");
}

static void test_etag_cannot_carry_a_header(void **state)
{
    (void)state;
    (void)check("http://h/d/",
                OPEN FILE_AT("/d/x", "<d:getetag>\"a&#13;&#10;Evil: 1\"</d:getetag>")
                    FILE_AT("/d/y", "<d:getetag>W/\"weak\"</d:getetag>")
                        FILE_AT("/d/z", "<d:getetag>bare</d:getetag>") CLOSE,
                "x -1 -1 \ny -1 -1 W/\"weak\"\nz -1 -1 \n");
}

static void test_bombs(void **state)
{
    (void)state;
    static const char entity[] =
        HEAD "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>" CLOSE;
    check_refused(entity, sizeof(entity) - 1, "a DOCTYPE");
    static const char external[] = HEAD "<!DOCTYPE d SYSTEM \"file:///etc/passwd\"><d/>";
    check_refused(external, sizeof(external) - 1, "a DOCTYPE");
}

static void test_deep(void **state)
{
    (void)state;
    struct buf xml = BUF_INIT;
    buf_str(&xml, OPEN);
    for (int i = 0; i < 100000; i++)
        buf_str(&xml, "<d:x>");
    check_refused(xml.data, xml.len, "elements nested too deep");
    buf_free(&xml);
}

static void check_bulk(const char *before, const char *unit, size_t count, const char *why)
{
    struct buf xml = BUF_INIT;
    buf_str(&xml, OPEN);
    buf_str(&xml, before);
    for (size_t i = 0; i < count; i++)
        buf_str(&xml, unit);
    check_refused(xml.data, xml.len, why);
    buf_free(&xml);
}

static void test_large_values(void **state)
{
    (void)state;
    check_bulk("<d:response><d:href>", "0123456789abcdef", 8192, "a value over 64 KiB");
    check_bulk("<d:response a=\"", "0123456789abcdef", 1 << 16, "a tag over 64 KiB");
    check_bulk("<!-- ", "0123456789abcdef", 1 << 16, "a tag over 64 KiB");
    check_bulk("<d:a", "0123456789abcdef", 1 << 16, "a tag over 64 KiB");
}

static void test_many_names(void **state)
{
    (void)state;
    struct buf xml = BUF_INIT;
    buf_str(&xml, OPEN);
    for (unsigned i = 0; i < 2 * WEBDAV_WORDS_MAX; i++)
        buf_fmt(&xml, "<p%u:x xmlns:p%u=\"DAV:\"/>", i, i);
    check_refused(xml.data, xml.len, "too many different names");
    buf_clear(&xml);
    buf_str(&xml, OPEN);
    for (unsigned i = 0; i < 2 * WEBDAV_WORDS_MAX; i++)
        buf_fmt(&xml, "<e%u/>", i);
    check_refused(xml.data, xml.len, "too many different names");
    buf_free(&xml);
}

/* Text outside of what is wanted may be long: it is not kept. */
static void test_long_unknown_text(void **state)
{
    (void)state;
    struct buf xml = BUF_INIT, out = BUF_INIT;
    struct webdav_counts n;
    char why[64];
    buf_str(&xml, OPEN "<d:response><d:href>/d/x</d:href><d:propstat><d:prop><d:note>");
    for (int i = 0; i < 1 << 16; i++)
        buf_str(&xml, "0123456789abcdef\n");
    buf_str(&xml, "</d:note></d:prop>" OK "</d:propstat></d:response>" CLOSE);
    assert_int_equal(parse("http://h/d/", xml.data, xml.len, 4096, &out, &n, why), 0);
    assert_string_equal(buf_cstr(&out), "x -1 -1 \n");
    buf_free(&xml);
    buf_free(&out);
}

/* Wherever an answer is cut, it does not count. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char xml[] =
        OPEN SELF FILE_AT("/d/x", "<d:getcontentlength>5</d:getcontentlength>") CLOSE;
    for (size_t len = 0; len < sizeof(xml) - 1; len++)
        check_refused(xml, len, "cut short");
}

static void test_no_xml(void **state)
{
    (void)state;
    static const char html[] = "<!DOCTYPE html><html><body><br></body></html>";
    check_refused(html, sizeof(html) - 1, "a DOCTYPE");
    static const char html2[] = "<html><body></body></html>";
    check_refused(html2, sizeof(html2) - 1, "no multistatus");
    check_refused("hello <world>\n", 14, "malformed XML");
    static const char control[] = OPEN "<d:response><d:href>/d/&#x01;</d:href></d:response>" CLOSE;
    check_refused(control, sizeof(control) - 1, "malformed XML");
    static const char error[] = HEAD "<d:error xmlns:d=\"DAV:\"/>";
    check_refused(error, sizeof(error) - 1, "no multistatus");
}

static int stop(void *arg, const struct webdav_file *file)
{
    (void)file;
    (*(int *)arg)++;
    return -ENOSPC;
}

static void test_stopped_by_the_caller(void **state)
{
    (void)state;
    static const char xml[] = OPEN FILE_AT("/d/x", "") FILE_AT("/d/y", "") CLOSE;
    int calls = 0;
    struct webdav *w = webdav_create("http://h/d/", stop, &calls);
    assert_int_equal(webdav_feed(w, xml, sizeof(xml) - 1), -ENOSPC);
    assert_int_equal(webdav_end(w), -ENOSPC);
    assert_int_equal(calls, 1);
    webdav_destroy(&w);
    assert_null(webdav_create("http://h/a/../b", NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sabre),
        cmocka_unit_test(test_apache),
        cmocka_unit_test(test_rclone),
        cmocka_unit_test(test_nginx),
        cmocka_unit_test(test_full_urls_and_iso_dates),
        cmocka_unit_test(test_namespaces_not_prefixes),
        cmocka_unit_test(test_only_values_with_status_200),
        cmocka_unit_test(test_responses_without_a_file),
        cmocka_unit_test(test_sizes_that_are_none),
        cmocka_unit_test(test_hostile_addresses),
        cmocka_unit_test(test_etag_cannot_carry_a_header),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_long_unknown_text),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_no_xml),
        cmocka_unit_test(test_stopped_by_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
