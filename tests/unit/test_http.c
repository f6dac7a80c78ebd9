/* The engine: requests, answers, headers. */
#include "lib/http_case.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void log_of(const struct world *w, char *text, size_t cap)
{
    faultd_control(&w->d, "GET /_log", "", text, cap);
}

static void test_whole_and_range(void **state)
{
    const struct world *w = *state;
    struct got g;
    assert_int_equal(fetch_path(w, "/!size=700001/liver.stl", 0, 0, &g), 0);
    assert_int_equal(g.resp.status, 200);
    assert_int_equal(g.body.len, 700001);
    assert_int_equal(g.resp.body, 700001);
    assert_int_equal(g.resp.length, 700001);
    assert_true(body_is(&g, "liver.stl", 0, 0));
    assert_true(g.largest <= 256 * 1024);
    assert_int_equal(g.heads, 1);
    assert_int_equal(g.dones, 1);
    assert_false(g.resp.has_range);
    assert_string_equal(g.resp.last_modified_text, "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_int_equal(g.resp.last_modified, 1700000000);
    assert_true(g.resp.date > 1700000000);
    assert_true(g.resp.etag[0] == '"');
    assert_string_equal(g.resp.why, "");
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!size=700001/liver.stl", 699999, 50, &g), 0);
    assert_int_equal(g.resp.status, 206);
    assert_int_equal(g.body.len, 2);
    assert_true(body_is(&g, "liver.stl", 0, 699999));
    assert_true(g.resp.has_range);
    assert_int_equal(g.resp.range_first, 699999);
    assert_int_equal(g.resp.range_last, 700000);
    assert_int_equal(g.resp.range_total, 700001);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!size=700001/liver.stl", HTTP_UNKNOWN, 5, &g), 0);
    assert_int_equal(g.resp.range_first, 699996);
    assert_int_equal(g.resp.range_total, 700001);
    assert_true(body_is(&g, "liver.stl", 0, 699996));
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!size=100/liver.stl", 100, 1, &g), 0);
    assert_int_equal(g.resp.status, 416);
    assert_true(g.resp.has_range);
    assert_true(g.resp.range_first == HTTP_UNKNOWN && g.resp.range_last == HTTP_UNKNOWN);
    assert_int_equal(g.resp.range_total, 100);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/a/../b/./%2e/liver.stl?q=1", 0, 1, &g), 0);
    got_free(&g);
    char text[16384];
    log_of(w, text, sizeof(text));
    assert_non_null(strstr(text, "\"path\": \"/a/../b/./%2e/liver.stl?q=1\""));
    assert_non_null(strstr(text, "\"range\": \"bytes=699999-700048\""));
    assert_non_null(strstr(text, "\"accept-encoding\": \"identity\""));
    assert_non_null(strstr(text, "\"range\": \"bytes=-5\""));
    assert_int_equal(faultd_stat(&w->d, "requests"), 5);
}

static void test_head_and_connection(void **state)
{
    const struct world *w = *state;
    struct got g;
    struct http_req req = {.method = HTTP_HEAD, .url = world_url(w, "/!size=12345/a.stl")};
    long before = faultd_stat(&w->d, "connections");
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.resp.length, 12345);
    assert_int_equal(g.body.len, 0);
    got_free(&g);
    req.url = world_url(w, "/!size=12345,nolength/a.stl");
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.resp.status, 200);
    assert_true(g.resp.length == HTTP_UNKNOWN);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/a.stl", 0, 9, &g), 0);
    got_free(&g);
    /* One connection for the three, one for the look at the counter itself. */
    assert_int_equal(faultd_stat(&w->d, "connections"), before + 2);
}

static void test_validators(void **state)
{
    const struct world *w = *state;
    struct got g;
    char etag[128], text[16384];
    assert_int_equal(fetch_path(w, "/v.stl", 0, 0, &g), 0);
    memcpy(etag, g.resp.etag, sizeof(etag));
    got_free(&g);
    struct http_req req = {.url = world_url(w, "/v.stl"),
                           .if_none_match = etag,
                           .if_modified_since = "Tue, 14 Nov 2023 22:13:20 GMT"};
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.resp.status, 304);
    assert_int_equal(g.body.len, 0);
    got_free(&g);
    log_of(w, text, sizeof(text));
    assert_non_null(strstr(text, "\"if-modified-since\": \"Tue, 14 Nov 2023 22:13:20 GMT\""));
    faultd_control(&w->d, "POST /_version?name=v.stl&v=3", "", NULL, 0);
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.resp.status, 200);
    assert_string_not_equal(g.resp.etag, etag);
    assert_true(body_is(&g, "v.stl", 3, 0));
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!weak/v.stl", 0, 5, &g), 0);
    assert_memory_equal(g.resp.etag, "W/\"", 3);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!noetag,nodate,attachment/v.stl", 0, 5, &g), 0);
    assert_string_equal(g.resp.etag, "");
    assert_int_equal(g.resp.last_modified, -1);
    assert_true(g.resp.attachment);
    got_free(&g);
}

static void test_content_range_grammar(void **state)
{
    const struct world *w = *state;
    static const char *const bad[] = {
        "bytes%200-999",
        "bytes%200-999/",
        "bytes%20-999/1000",
        "bytes%20999-0/1000",
        "bytes%200-999/999",
        "bytes%200-999/1000x",
        "bytes=0-999/1000",
        "bytes%20%200-9/1000",
        "octets%200-999/1000",
        "bytes%20*/*",
        "bytes%20*",
        "0-999/1000",
        "bytes%20-1-999/1000",
        "bytes%200x0-9/1000",
        "bytes%200%20-%20999/1000",
        "bytes%200-99999999999999999999/*",
    };
    struct got g;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char path[256];
        (void)snprintf(path, sizeof(path), "/!size=1000,crange=%s/x.stl", bad[i]);
        assert_int_equal(fetch_path(w, path, 0, 1000, &g), 0);
        assert_int_equal(g.resp.status, 206);
        if (g.resp.has_range || g.resp.range_first != HTTP_UNKNOWN)
            fail_msg("%s was taken", bad[i]);
        got_free(&g);
    }
    assert_int_equal(fetch_path(w, "/!size=1000,total=*/x.stl", 0, 1000, &g), 0);
    assert_true(g.resp.has_range);
    assert_true(g.resp.range_total == HTTP_UNKNOWN);
    assert_int_equal(g.resp.range_last, 999);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!size=1000,shift=7,total=9999/x.stl", 0, 1000, &g), 0);
    assert_int_equal(g.resp.range_first, 7);
    assert_int_equal(g.resp.range_last, 1006);
    got_free(&g);
    /* Twice the header: which one holds cannot be known. */
    assert_int_equal(
        fetch_path(w, "/!size=1000,header=Content-Range:bytes%200-999%2F1000/x.stl", 0, 1000, &g),
        0);
    assert_false(g.resp.has_range);
    got_free(&g);
}

static void test_early_hints_and_trailers(void **state)
{
    const struct world *w = *state;
    struct got g;
    assert_int_equal(fetch_path(w, "/!early,noetag/e.stl", 0, 100, &g), 0);
    assert_int_equal(g.resp.status, 206);
    assert_string_equal(g.resp.etag, "");
    assert_int_equal(g.heads, 1);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!chunked,noetag,size=300000/e.stl", 0, 0, &g), 0);
    assert_int_equal(g.resp.status, 200);
    assert_true(g.resp.length == HTTP_UNKNOWN);
    assert_int_equal(g.body.len, 300000);
    assert_true(body_is(&g, "e.stl", 0, 0));
    assert_string_equal(g.resp.etag, "");
    got_free(&g);
}

static void test_retry_after(void **state)
{
    const struct world *w = *state;
    static const struct {
        const char *path;
        unsigned ms;
    } cases[] = {
        {"/!status=503,retry=2/a", 2000},
        {"/!status=503,retry=99999999999/b", 300000},
        {"/!status=503,retry=-1/c", 0},
        {"/!status=503,retry=soon/d", 0},
        {"/!status=404,retry=2/e", 0},
        {"/!status=200,retry=2/f", 0},
        {"/!status=429,retry=0/g", 0},
        {"/!status=503,retrydate=-50/h", 0},
        {"/!status=503,retrydate=5000/i", 300000},
        {"/!status=429,retry=99999999999999999999999999999999999999999999999999999999999999999999/"
         "j",
         0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct got g;
        assert_int_equal(fetch_path(w, cases[i].path, 0, 0, &g), 0);
        if (g.resp.retry_after_ms != cases[i].ms)
            fail_msg("%s: %u", cases[i].path, g.resp.retry_after_ms);
        got_free(&g);
        world_reopen(*state, usual_net()); /* or the host would rest */
    }
    struct got g;
    assert_int_equal(fetch_path(w, "/!status=429,retrydate=60/k", 0, 0, &g), 0);
    assert_in_range(g.resp.retry_after_ms, 58000, 60000);
    got_free(&g);
}

static void test_html(void **state)
{
    const struct world *w = *state;
    struct got g;
    assert_int_equal(fetch_path(w, "/!html=Please%20%0A%20log%09in%20/a.stl", 0, 0, &g), 0);
    assert_true(g.resp.html);
    assert_string_equal(g.resp.why, "Please log in");
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!status=404/a.stl", 0, 0, &g), 0);
    assert_false(g.resp.html);
    assert_string_equal(g.resp.why, "HTTP 404");
    got_free(&g);
    /* Whoever refuses the page in head() is told its title all the same, and gets no byte of it. */
    got_init(&g);
    g.head_rc = -EIO;
    struct http_req req = {.url = world_url(w, "/!html,trickle=40:1,cut=400/a.stl")};
    assert_true(http_start(w->h, &req, &got_ops, &g) != 0);
    got_wait(&g, &g.dones, 1);
    assert_int_equal(g.err, -EIO);
    assert_string_equal(g.resp.why, "Login needed");
    assert_int_equal(g.body.len, 0);
    got_free(&g);
}

static void test_propfind(void **state)
{
    const struct world *w = *state;
    static const char *const headers[] = {"Depth: 1", "X-Requested-With: XMLHttpRequest", NULL};
    char text[16384];
    struct got g;
    faultd_control(&w->d, "POST /_put?path=/dav/&status=207&type=application/xml", "<d:x/>", NULL,
                   0);
    struct http_req req = {.method = HTTP_PROPFIND,
                           .url = world_url(w, "/dav/"),
                           .body = "<propfind/>",
                           .headers = headers,
                           .user = "TOKEN",
                           .gzip = true};
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.resp.status, 207);
    assert_string_equal(buf_cstr(&g.body), "<d:x/>");
    got_free(&g);
    log_of(w, text, sizeof(text));
    assert_non_null(strstr(text, "\"method\": \"PROPFIND\""));
    assert_non_null(strstr(text, "\"depth\": \"1\""));
    assert_non_null(strstr(text, "\"accept-encoding\": \"gzip\""));
    assert_non_null(strstr(text, "\"content-length\": \"11\""));
    assert_non_null(strstr(text, "\"content-type\": \"application/xml; charset=utf-8\""));
    assert_non_null(strstr(text, "\"authorization\": \"Basic VE9LRU46\"")); /* TOKEN: */
}

static void test_gzip(void **state)
{
    const struct world *w = *state;
    static char list[100001];
    memset(list, 'a', sizeof(list) - 1);
    faultd_control(&w->d, "POST /_put?path=/list.txt", list, NULL, 0);
    struct http_req req = {.url = world_url(w, "/!gzipask/list.txt"), .gzip = true};
    struct got g;
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.body.len, 100000);
    assert_false(g.resp.encoded);
    assert_true(g.resp.length == HTTP_UNKNOWN);
    got_free(&g);
    req.max_body = 99999; /* far more than what comes over the wire */
    assert_int_equal(fetch(w, &req, &g), -EFBIG);
    assert_true(g.body.len <= 99999);
    got_free(&g);
    req.max_body = 100000;
    assert_int_equal(fetch(w, &req, &g), 0);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!gzip/list.txt", 0, 100, &g), 0);
    assert_true(g.resp.encoded);
    assert_int_equal(g.resp.status, 200);
    got_free(&g);
}

static void test_max_body(void **state)
{
    const struct world *w = *state;
    static const char *const paths[] = {"/!size=5000/m", "/!size=5000,chunked/m",
                                        "/!size=5000,close/m"};
    for (size_t i = 0; i < 3; i++) {
        struct http_req req = {.url = world_url(w, paths[i]), .max_body = 5000};
        struct got g;
        assert_int_equal(fetch(w, &req, &g), 0);
        assert_int_equal(g.body.len, 5000);
        got_free(&g);
        req.max_body = 4999;
        assert_int_equal(fetch(w, &req, &g), -EFBIG);
        assert_true(g.body.len <= 4999);
        got_free(&g);
    }
}

static void test_bad_requests(void **state)
{
    const struct world *w = *state;
    static const char *const split[] = {"X: a\r\nY: b", NULL};
    struct got g;
    struct http_req req = {.url = "file:///etc/passwd"};
    assert_int_equal(fetch(w, &req, &g), -EPROTONOSUPPORT);
    assert_int_equal(g.resp.status, 0);
    got_free(&g);
    req.url = NULL;
    assert_int_equal(fetch(w, &req, &g), -EINVAL);
    got_free(&g);
    req = (struct http_req){.url = world_url(w, "/x"), .headers = split};
    assert_int_equal(fetch(w, &req, &g), -EINVAL);
    got_free(&g);
    req = (struct http_req){.url = world_url(w, "/x"), .first = UINT64_MAX - 1, .len = 2};
    assert_int_equal(fetch(w, &req, &g), -EINVAL);
    got_free(&g);
    assert_int_equal(faultd_stat(&w->d, "requests"), 0);
}

static void test_run_and_stats(void **state)
{
    const struct world *w = *state;
    struct http_resp resp;
    struct http_stats s;
    struct http_req req = {.url = world_url(w, "/!size=4321/s")};
    assert_int_equal(http_run(w->h, &req, NULL, NULL, &resp), 0);
    assert_int_equal(resp.body, 4321);
    req.url = world_url(w, "/!cut=5/s");
    struct got g;
    got_init(&g);
    assert_int_equal(http_run(w->h, &req, &got_ops, &g, &resp), -ECONNRESET);
    assert_int_equal(g.dones, 1);
    assert_int_equal(g.body.len, 5);
    got_free(&g);
    http_stats(w->h, &s);
    assert_int_equal(s.requests, 2);
    assert_int_equal(s.failures, 1);
    assert_int_equal(s.bytes_received, 4326);
    assert_int_equal(s.running, 0);
    assert_int_equal(s.queued, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, world_fresh)
    const struct CMUnitTest tests[] = {
        T(test_whole_and_range),
        T(test_head_and_connection),
        T(test_validators),
        T(test_content_range_grammar),
        T(test_retry_after),
        T(test_early_hints_and_trailers),
        T(test_html),
        T(test_propfind),
        T(test_gzip),
        T(test_max_body),
        T(test_bad_requests),
        T(test_run_and_stats),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
