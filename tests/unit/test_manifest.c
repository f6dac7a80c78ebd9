#include "source/source.h"

#include "base/fsio.h"
#include "lib/davd.h"
#include "unit/listing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
    return davd_post(&((struct fixture *)*state)->davd, "/_reset") ? 0 : -1;
}

static void test_registry(void **state)
{
    (void)state;
    assert_string_equal(source_find("manifest")->type, "manifest");
    assert_null(source_find("s3"));
    assert_null(source_find(""));
}

static void test_lists_with_sizes(void **state)
{
    struct fixture *f = *state;
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.items, 40);
    assert_int_equal(f->l.lines, 40);
    assert_int_equal(f->l.sized, 40);
    assert_false(f->l.without_sizes);
    assert_false(f->l.unchanged);
    assert_int_equal(f->places, 2);
    assert_true(fixture_has(
        f, "place %s/s/Tok/download?path=%%2F&files= |  | %s/public.php/webdav/ | Tok | msn\n",
        f->base, f->base));
    assert_true(fixture_has(
        f, "path=%%2FB%%20%%2B&files= | B + | %s/public.php/webdav/B%%20%%2B/ | Tok", f->base));
    assert_true(fixture_has(f, "%s", "item 0 a%20b%2Bc.stl a b+c.stl 39 sized"));
    assert_true(fixture_has(f, "%s", "item 1 %C3%A9.stl \xC3\xA9.stl 40 sized"));
    assert_string_equal(f->remarks.len == 0 ? "" : buf_cstr(&f->remarks), "");
    assert_true(f->sorted);
    assert_int_equal(davd_count(&f->davd, "\"depth\": \"1\""), 2);
    assert_int_equal(davd_count(&f->davd, "\"depth\": \"0\""), 1);
    assert_int_equal(davd_count(&f->davd, "\"XMLHttpRequest\""), 3);
}

static void test_sizes_times_and_etags_are_the_files_own(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_change?name=f_001.stl&size=77"));
    fixture_list(f, "/list.txt");
    assert_true(fixture_has(f, "%s", "f_001.stl f_001.stl 2 sized 77 "));
    struct buf text = BUF_INIT;
    struct http_req req = {.method = HTTP_HEAD};
    struct http_resp resp;
    assert_int_equal(source_request(&f->first, "f_001.stl", 9, false, &text, &req), 0);
    assert_int_equal(http_run(f->l.http, &req, NULL, NULL, &resp), 0);
    assert_int_equal(resp.status, 200);
    assert_int_equal(resp.length, 77);
    assert_true(fixture_has(f, " 77 %lld %s\n", (long long)resp.last_modified, resp.etag));
    buf_free(&text);
}

static void check_root(struct fixture *f, const char *root, const char *user)
{
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.sized, 40);
    assert_string_equal(f->first.user, user);
    assert_non_null(strstr(f->first.dav, root));
}

static void test_roots_in_order(void **state)
{
    struct fixture *f = *state;
    static const int codes[] = {401, 403, 404, 405, 501, 500};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_true(davd_post(&f->davd, "/_set?dav0=%d&dav1=0", codes[i]));
        check_root(f, "/public.php/dav/files/Tok/", "");
        assert_true(davd_post(&f->davd, "/_set?dav1=%d", codes[i]));
        check_root(f, "/remote.php/dav/public-files/Tok/", "");
    }
}

static void test_user_public_and_header(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?dav0=404&auth=1&xrw=1"));
    check_root(f, "/public.php/dav/files/Tok/", "public");
}

static void check_without_sizes(struct fixture *f, const char *why)
{
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.items, 40);
    assert_int_equal(f->l.sized, 0);
    assert_true(f->l.without_sizes);
    assert_string_equal(f->first.dav, "");
    assert_string_equal(f->first.user, "");
    if (strstr(buf_cstr(&f->remarks), why) == NULL)
        print_error("%s\n", buf_cstr(&f->remarks));
    assert_non_null(strstr(buf_cstr(&f->remarks), why));
}

static void test_refused_webdav_costs_one_remark(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?dav=401"));
    check_without_sizes(f, "/s/Tok: WebDAV is refused: HTTP 401");
    assert_ptr_equal(strchr(buf_cstr(&f->remarks), '\n') + 1, f->remarks.data + f->remarks.len);
}

static void test_answers_that_do_not_count(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?cut=400"));
    check_without_sizes(f, "WebDAV is refused: ");
    assert_true(davd_post(&f->davd, "/_set?cut=0&cut_close=400"));
    check_without_sizes(f, "the answer is refused: cut short");
    assert_true(davd_post(&f->davd, "/_set?cut_close=400&gzip=0"));
    check_without_sizes(f, "the answer is refused: cut short");
    assert_true(davd_post(&f->davd, "/_set?cut_close=0&html=1"));
    check_without_sizes(f, "an HTML page came: Sign in");
    assert_true(davd_post(&f->davd, "/_set?html=0&bomb=1"));
    check_without_sizes(f, "the answer is refused: a DOCTYPE");
}

static void test_answer_of_another_root_when_one_is_cut(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?cut0=3000"));
    check_root(f, "/public.php/dav/files/Tok/", "");
}

static void test_names_in_one_of_both_only(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?missing=3&extra=50"));
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.items, 40);
    assert_int_equal(f->l.sized, 40 - 13 - 1);
    assert_false(fixture_has(f, "extra_"));
    assert_false(f->l.without_sizes);
}

static void test_sizes_not_told(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?nosize=1"));
    fixture_list(f, "/list.txt");
    assert_int_equal(f->l.items, 40);
    assert_int_equal(f->l.sized, 0);
    assert_false(f->l.without_sizes);
    assert_true(fixture_has(f, "a b+c.stl 39 unsized"));
}

static void test_busy_server_is_waited_for(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?busy=1"));
    fixture_list(f, "/list.txt");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.sized, 40);
    assert_int_equal(davd_count(&f->davd, "\"status\": 503"), 1);
}

static void test_progress_while_the_share_thinks(void **state)
{
    struct fixture *f = *state;
    assert_true(davd_post(&f->davd, "/_set?stall=2"));
    fixture_list_text(f, "http://127.0.0.1:{PORT}/s/Tok/download?path=%2F&files=f_000.stl\n");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.sized, 1);
    assert_string_equal(f->progress, "the share's listing, up to 10 min: 0:01");
}

static void test_silent_server_has_a_deadline(void **state)
{
    struct fixture *f = *state;
    f->conf.network.listing_timeout_ms = 300;
    assert_true(davd_post(&f->davd, "/_set?stall=3&dav1=404&dav2=404"));
    fixture_list_text(f, "http://127.0.0.1:{PORT}/s/Tok/download?path=%2F&files=f_000.stl\n");
    f->conf.network.listing_timeout_ms = 600000;
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.sized, 0);
    assert_true(f->l.without_sizes);
}

static void test_a_dead_share_does_not_hurt_another(void **state)
{
    struct fixture *f = *state;
    fixture_list_text(f, "http://127.0.0.1:1/s/Dead/download?path=%2F&files=x.stl\n"
                         "http://127.0.0.1:{PORT}/s/Gone/download?path=%2F&files=y.stl\n"
                         "http://127.0.0.1:{PORT}/s/Tok/download?path=%2FNowhere&files=z.stl\n"
                         "http://127.0.0.1:{PORT}/plain//f_000.stl\n"
                         "http://127.0.0.1:{PORT}/s/Tok/download?path=%2F&files=f_000.stl\n");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.items, 5);
    assert_int_equal(f->l.sized, 1);
    assert_int_equal(f->places, 5);
    assert_true(f->l.without_sizes);
    const char *said = buf_cstr(&f->remarks);
    assert_non_null(strstr(said, "share http://127.0.0.1:1/s/Dead: "));
    assert_non_null(strstr(said, "/s/Gone: "));
    assert_non_null(strstr(said, "/s/Tok folder Nowhere: WebDAV is refused: HTTP 404"));
}

static void test_one_listing_for_links_of_several_forms(void **state)
{
    struct fixture *f = *state;
    fixture_list_text(f, "http://127.0.0.1:{PORT}/s/Tok/download?path=%2F&files=f_000.stl\n"
                         "http://127.0.0.1:{PORT}/index.php/s/Tok/download?path=/&files=f_001.stl\n"
                         "http://127.0.0.1:{PORT}/s/Tok/download?files=f_002.stl&path=/\n");
    assert_int_equal(f->result, 0);
    assert_int_equal(f->l.sized, 3);
    assert_int_equal(f->places, 2);
    assert_int_equal(davd_count(&f->davd, "\"depth\": \"1\""), 1);
    assert_true(fixture_has(f, "item 1 %s/s/Tok/download?files=f_002.stl&path=/ f_002.stl 3 sized",
                            f->base));
}

static void test_only_200_is_a_list(void **state)
{
    struct fixture *f = *state;
    static const int codes[] = {404, 403, 500, 401};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        char text[32];
        assert_true(davd_post(&f->davd, "/_set?list_status=%d", codes[i]));
        fixture_list(f, "/list.txt");
        (void)snprintf(text, sizeof(text), "HTTP %d", codes[i]);
        assert_int_equal(f->result, -EBADMSG);
        assert_non_null(strstr(f->e.text, text));
        assert_int_equal(f->out.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),
        cmocka_unit_test_setup(test_lists_with_sizes, reset),
        cmocka_unit_test_setup(test_sizes_times_and_etags_are_the_files_own, reset),
        cmocka_unit_test_setup(test_roots_in_order, reset),
        cmocka_unit_test_setup(test_user_public_and_header, reset),
        cmocka_unit_test_setup(test_refused_webdav_costs_one_remark, reset),
        cmocka_unit_test_setup(test_answers_that_do_not_count, reset),
        cmocka_unit_test_setup(test_answer_of_another_root_when_one_is_cut, reset),
        cmocka_unit_test_setup(test_names_in_one_of_both_only, reset),
        cmocka_unit_test_setup(test_sizes_not_told, reset),
        cmocka_unit_test_setup(test_busy_server_is_waited_for, reset),
        cmocka_unit_test_setup(test_progress_while_the_share_thinks, reset),
        cmocka_unit_test_setup(test_silent_server_has_a_deadline, reset),
        cmocka_unit_test_setup(test_a_dead_share_does_not_hurt_another, reset),
        cmocka_unit_test_setup(test_one_listing_for_links_of_several_forms, reset),
        cmocka_unit_test_setup(test_only_200_is_a_list, reset),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
