/* The list itself: how it comes, what is wrong with it, what is kept. */
#include "source/source.h"

#include "base/fsio.h"
#include "lib/davd.h"
#include "lib/real_data.h"
#include "unit/listing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct fixture *f = fixture_open();
    *state = f;
    return f == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    return 0;
}

static int reset(void **state)
{
    struct fixture *f = *state;
    char path[128];
    f->stop_after = 0;
    (void)snprintf(path, sizeof(path), "%s/msn.json", f->state);
    (void)remove(path);
    (void)snprintf(path, sizeof(path), "%s/msn.list", f->state);
    (void)remove(path);
    return davd_post(&f->davd, "/_reset") ? 0 : -1;
}

static void keep(struct fixture *f)
{
    source_find("manifest")->keep(&f->src, &f->l);
}

static void test_conditional(void **state)
{
    struct fixture *f = *state;
    fixture_list(f, "/list.txt");
    keep(f);
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, 0);
    assert_true(f->l.unchanged);
    assert_int_equal(f->l.items, 40);
    assert_int_equal(f->l.sized, 40);
    assert_int_equal(davd_count(&f->davd, "\"status\": 304"), 1);
    keep(f);
    fixture_list(f, "/list.txt");
    assert_true(f->l.unchanged);
    fixture_list_text(f, "http://127.0.0.1:{PORT}/plain//f_000.stl\n");
    assert_false(f->l.unchanged);
    assert_int_equal(f->l.items, 1);
    assert_int_equal(davd_count(&f->davd, "\"status\": 304"), 2);
}

/* Without keep() the next refresh asks for the whole again; a failed refresh leaves what was kept.
 */
static void test_nothing_is_kept_of_a_failed_refresh(void **state)
{
    struct fixture *f = *state;
    fixture_list(f, "/list.txt");
    fixture_list(f, "/list.txt");
    assert_false(f->l.unchanged);
    keep(f);
    assert_true(davd_post(&f->davd, "/_set?list_html=1"));
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, -EBADMSG);
    keep(f);
    assert_true(davd_post(&f->davd, "/_set?list_html=0"));
    fixture_list(f, "/list.txt");
    assert_true(f->l.unchanged);
    assert_int_equal(f->l.items, 40);
}

static void test_kept_list_of_another_url_or_damaged(void **state)
{
    struct fixture *f = *state;
    char path[128];
    fixture_list(f, "/list.txt");
    keep(f);
    fixture_list(f, "/list.txt?other");
    assert_int_equal(f->result, 0);
    assert_false(f->l.unchanged);
    (void)snprintf(path, sizeof(path), "%s/msn.list", f->state);
    assert_int_equal(fsio_write_file(path, "http://h/x\n", 11), 0);
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, 0);
    assert_false(f->l.unchanged);
    assert_int_equal(f->l.items, 40);
    (void)snprintf(path, sizeof(path), "%s/msn.json", f->state);
    keep(f);
    assert_int_equal(fsio_write_file(path, "{\"url\"", 6), 0);
    fixture_list(f, "/list.txt");
    assert_int_equal(f->l.items, 40);
    assert_false(f->l.unchanged);
}

static void check_refused(struct fixture *f, int code, const char *why)
{
    assert_int_equal(f->result, code);
    if (strstr(f->e.text, why) == NULL)
        print_error("%s\n", f->e.text);
    assert_non_null(strstr(f->e.text, why));
    assert_int_equal(f->e.code, code);
    assert_int_equal(f->out.len, 0);
    assert_null(strchr(f->e.text, '\n'));
}

static void test_html(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?list_html=1"));
    fixture_list(f, "/list.txt?secret=1");
    check_refused(f, -EBADMSG, "an HTML page came: Sign in");
    assert_null(strstr(f->e.text, "secret"));
    assert_true(davd_post(&f->davd, "/_set?list_html=0"));
    fixture_list_text(f, "\n <!DOCTYPE html><html>http://h/x\n");
    check_refused(f, -EBADMSG, "an HTML page");
}

static void test_cut_short(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?list_cut=300"));
    fixture_list(f, "/list.txt");
    check_refused(f, -ECONNRESET, "list http://127.0.0.1:");
}

static void test_no_list(void **state)
{
    struct fixture *f = *state;
    fixture_list_text(f, "# only\n\n");
    check_refused(f, -EBADMSG, "no link in it");
    fixture_list_text(f, "\nhello world\nftp://h/x\n");
    check_refused(f, -EBADMSG, "no link in it: line 2: not a URL");
    fixture_list_bytes(f, "\x1F\x8B\x08\0\0", 5);
    check_refused(f, -EBADMSG, "binary data");
    fixture_list_url(f, "http://127.0.0.1:1/list.txt");
    check_refused(f, -EHOSTUNREACH, "list http://127.0.0.1:1/list.txt: ");
    fixture_list_url(f, "gopher://h/x");
    check_refused(f, -EPROTONOSUPPORT, "neither http://, https:// nor file://");
}

static void test_malformed_lines(void **state)
{
    struct fixture *f = *state;
    struct buf text = BUF_INIT;
    buf_str(&text, "file:///etc/passwd\nhttp://h/ok\nhttp://h/a\x01z\n");
    for (int i = 0; i < 1 << 16; i++)
        buf_str(&text, "0123456789abcdef");
    buf_str(&text, "\nhttp://127.0.0.1:{PORT}/s/Tok/download?path=%2F\n");
    for (int i = 0; i < 20; i++)
        buf_fmt(&text, "junk %d\n", i);
    buf_str(&text, "http://h/last");
    fixture_list_bytes(f, text.data, text.len);
    buf_free(&text);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.items, 2);
    assert_int_equal(f->l.malformed, 24);
    assert_int_equal(f->l.lines, 26);
    const char *said = buf_cstr(&f->remarks);
    assert_non_null(strstr(said, "msn: line 1: not an http:// or https:// link: left out\n"));
    assert_non_null(strstr(said, "msn: line 3: control characters: left out\n"));
    assert_non_null(strstr(said, "msn: line 4: longer than 16 KiB: left out\n"));
    assert_non_null(strstr(said, "msn: line 5: a whole folder, not a file: left out\n"));
    assert_non_null(
        strstr(said, "msn: line 11: not a URL: left out\nmsn: 24 lines in all are malformed"));
    assert_null(strstr(said, "line 12:"));
}

static void test_duplicates_and_equal_names(void **state)
{
    struct fixture *f = *state;
    fixture_list_text(
        f, "http://h/d/x.stl\r\nhttp://h/d/%78.stl\r\nhttp://h/d/x.stl\r\n\r\n"
           "http://h/d/x.stl?v=1\nhttp://h/d/X.stl\nhttp://h/d/x.stl#f\nhttp://h/d/%78.stl\n"
           "http://g/d/x.stl\n");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.duplicates, 3);
    assert_int_equal(f->l.items, 5);
    assert_true(f->sorted);
    assert_true(fixture_has(f, "item 0 X.stl X.stl 6 unsized -1 -1 \n"
                               "item 0 x.stl x.stl 1 unsized -1 -1 \n"
                               "item 0 %%78.stl x.stl 2 unsized -1 -1 \n"
                               "item 0 x.stl?v=1 x.stl 5 unsized -1 -1 \n"
                               "place http://g/d/ |  | "));
    assert_true(f->l.without_sizes);
    assert_int_equal(f->remarks.len, 0);
}

static void test_many_urls_of_one_name(void **state)
{
    if (getenv("MSFS_SMALL") != NULL)
        skip();
    struct fixture *f = *state;
    struct buf text = BUF_INIT;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5000; i++)
            buf_fmt(&text, "http://h/d/x.stl?%d\nhttp://h/d/y%d.stl\n", i, i);
    fixture_list_bytes(f, text.data, text.len);
    buf_free(&text);
    assert_int_equal(f->l.items, 10000);
    assert_int_equal(f->l.duplicates, 10000);
    assert_true(f->sorted);
}

static void test_local_file(void **state)
{
    struct fixture *f = *state;
    char path[128], url[256];
    (void)snprintf(path, sizeof(path), "%s/a list%%41.txt", f->dir);
    assert_int_equal(fsio_write_file(path, "\xEF\xBB\xBFhttp://h/x\r\nfile:///y\n", 25), 0);
    (void)snprintf(url, sizeof(url), "file://%s", path);
    fixture_list_url(f, url);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.items, 1);
    assert_int_equal(f->l.malformed, 1);
    keep(f);
    (void)snprintf(url, sizeof(url), "file://localhost%s/a%%20list%%2541.txt", f->dir);
    fixture_list_url(f, url);
    assert_int_equal(f->result, 0);
    (void)snprintf(url, sizeof(url), "file://%s/missing", f->dir);
    fixture_list_url(f, url);
    check_refused(f, -ENOENT, "no such file");
    (void)snprintf(url, sizeof(url), "file://%s", f->dir);
    fixture_list_url(f, url);
    check_refused(f, -EINVAL, "not a regular file");
    fixture_list_url(f, "file://other.host/x");
    assert_int_not_equal(f->result, 0);
}

static void test_sink_stops(void **state)
{
    struct fixture *f = *state;
    f->stop_after = 3;
    fixture_list_text(f, "http://h/1\nhttp://h/2\nhttp://h/3\nhttp://h/4\n");
    assert_int_equal(f->result, -ENOSPC);
    assert_int_equal(f->e.code, -ENOSPC);
}

/* The list of MedShapeNet itself, where it is at hand. */
static void test_real_list(void **state)
{
    if (getenv("MSFS_SMALL") != NULL)
        skip();
    struct fixture *f = *state;
    struct buf text = BUF_INIT, local = BUF_INIT;
    if (!real_data("MedShapeNetDataset.txt", &text)) {
        buf_free(&text);
        skip();
    }
    static const char host[] = "https://uni-duisburg-essen.sciebo.de";
    for (size_t i = 0, n; i < text.len; i += n) {
        const char *end = memchr(text.data + i, '\n', text.len - i);
        n = end == NULL ? text.len - i : (size_t)(end + 1 - text.data) - i;
        assert_true(n > strlen(host) && memcmp(text.data + i, host, strlen(host)) == 0);
        buf_str(&local, "http://127.0.0.1:1");
        buf_add(&local, text.data + i + strlen(host), n - strlen(host));
    }
    fixture_list_bytes(f, local.data, local.len);
    buf_free(&text);
    buf_free(&local);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.lines, 106101);
    assert_int_equal(f->l.items, 106101);
    assert_int_equal(f->l.malformed + f->l.duplicates + f->l.sized, 0);
    assert_int_equal(f->places, 1);
    assert_true(f->sorted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_conditional, reset),
        cmocka_unit_test_setup(test_nothing_is_kept_of_a_failed_refresh, reset),
        cmocka_unit_test_setup(test_kept_list_of_another_url_or_damaged, reset),
        cmocka_unit_test_setup(test_html, reset),
        cmocka_unit_test_setup(test_cut_short, reset),
        cmocka_unit_test_setup(test_no_list, reset),
        cmocka_unit_test_setup(test_malformed_lines, reset),
        cmocka_unit_test_setup(test_duplicates_and_equal_names, reset),
        cmocka_unit_test_setup(test_many_urls_of_one_name, reset),
        cmocka_unit_test_setup(test_local_file, reset),
        cmocka_unit_test_setup(test_sink_stops, reset),
        cmocka_unit_test_setup(test_real_list, reset),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
