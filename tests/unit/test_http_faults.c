/* The engine against servers that break off, lie, go silent or lead elsewhere. */
#include "lib/http_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct conf_network impatient(unsigned timeout_ms)
{
    struct conf_network net = usual_net();
    net.timeout_ms = timeout_ms;
    return net;
}

static void test_short_bodies(void **state)
{
    const struct world *w = *state;
    static const struct {
        const char *path;
        int err;
    } cases[] = {
        {"/!size=9000,cut=5000/b", -ECONNRESET},
        {"/!size=9000,cut=0/b", -ECONNRESET},
        {"/!size=9000,rst=5000/b", -ECONNRESET},
        {"/!size=9000,length=+1/b", -ECONNRESET},
        {"/!size=9000,chunked,cut=5000/b", -ECONNRESET},
        {"/!size=9000,close,cut=5000/b", -ECONNRESET}, /* only Content-Range tells */
        {"/!size=9000,close/b", 0},
        {"/!size=9000,norange/b", 0},
        {"/!size=9000,length=-1/b", -ECONNRESET},
        {"/!size=9000,crange=bytes%200-99%2F9000/b", -EPROTO},
        {"/!size=9000,garbage/b", -EPROTO},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct got g;
        int err = fetch_path(w, cases[i].path, 0, 9000, &g);
        if (err != cases[i].err)
            fail_msg("%s: %d", cases[i].path, err);
        assert_true(body_is(&g, "b", 0, 0));
        assert_true((err == 0) == (g.resp.why[0] == '\0'));
        got_free(&g);
    }
}

static void test_statuses_heal(void **state)
{
    const struct world *w = *state;
    static const int statuses[] = {401, 403, 404, 410, 416, 429, 500, 503};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/!status=%d,times=2,size=50/s%zu", statuses[i], i);
        for (int n = 0; n < 3; n++) {
            struct got g;
            assert_int_equal(fetch_path(w, path, 0, 0, &g), 0);
            assert_int_equal(g.resp.status, n < 2 ? statuses[i] : 200);
            got_free(&g);
        }
    }
}

static void test_silence(void **state)
{
    struct world *w = *state;
    static const char *const paths[] = {"/!stallhead/s", "/!size=9000,stall=0/s",
                                        "/!size=9000,stall=100/s"};
    world_reopen(w, impatient(400));
    for (size_t i = 0; i < 3; i++) {
        struct got g;
        int64_t start = clock_ms();
        assert_int_equal(fetch_path(w, paths[i], 0, 0, &g), -ETIMEDOUT);
        assert_in_range(clock_ms() - start, 395, 9000);
        assert_int_equal(g.resp.status, i == 0 ? 0 : 200);
        assert_string_equal(g.resp.why, "no byte came for too long");
        got_free(&g);
    }
    /* A trickle is no silence, however long it takes. */
    struct got g;
    assert_int_equal(fetch_path(w, "/!size=60,trickle=10:80/s", 0, 0, &g), 0);
    assert_int_equal(g.body.len, 60);
    got_free(&g);
}

static void test_first_byte(void **state)
{
    struct world *w = *state;
    world_reopen(w, impatient(300));
    struct got g;
    struct http_req req = {.url = world_url(w, "/!delay=700,size=10/f"), .first_byte_ms = 5000};
    assert_int_equal(fetch(w, &req, &g), 0);
    got_free(&g);
    req.url = world_url(
        w, "/!delay=700,size=10,to=%2F!delay=700%2Fx/f"); /* each answer has the patience */
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.resp.status, 200);
    got_free(&g);
    req.url = world_url(w, "/!stall=5,size=10/f");
    assert_int_equal(fetch(w, &req, &g), -ETIMEDOUT);
    got_free(&g);
    req = (struct http_req){.url = world_url(w, "/!delay=700,size=10/f")};
    assert_int_equal(fetch(w, &req, &g), -ETIMEDOUT);
    got_free(&g);
}

/* A socket on a free port of 127.0.0.1, listening where `backlog` is not negative. */
static int local_socket(int backlog, unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s >= 0);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
    if (backlog >= 0)
        assert_int_equal(listen(s, backlog), 0);
    assert_int_equal(getsockname(s, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return s;
}

static int fetch_port(const struct world *w, unsigned port, struct got *g)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/x?token=secret", port);
    struct http_req req = {.url = url};
    return fetch(w, &req, g);
}

static void test_no_server(void **state)
{
    struct world *w = *state;
    unsigned port;
    struct got g;
    int s = local_socket(-1, &port);
    assert_int_equal(fetch_port(w, port, &g), -EHOSTUNREACH);
    assert_int_equal(g.resp.status, 0);
    assert_null(strstr(g.resp.why, "secret"));
    assert_true(g.resp.why[0] != '\0');
    got_free(&g);
    close(s);
    struct http_req req = {.url = "http://no-such-host.invalid/"};
    assert_int_equal(fetch(w, &req, &g), -EHOSTUNREACH);
    got_free(&g);
}

/* Nobody accepts: first with room in the backlog (connected, silent), then without (no connection).
 */
static void test_black_hole(void **state)
{
    struct world *w = *state;
    unsigned port;
    struct got g;
    world_reopen(w, impatient(250));
    int s = local_socket(8, &port);
    assert_int_equal(fetch_port(w, port, &g), -ETIMEDOUT);
    got_free(&g);
    close(s);
    int filler[4];
    s = local_socket(0, &port);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (size_t i = 0; i < 4; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(filler[i], (struct sockaddr *)&a, sizeof(a));
    }
    int64_t start = clock_ms();
    assert_int_equal(fetch_port(w, port, &g), -ETIMEDOUT);
    assert_in_range(clock_ms() - start, 240, 5000);
    got_free(&g);
    for (size_t i = 0; i < 4; i++)
        close(filler[i]);
    close(s);
}

static void test_redirects(void **state)
{
    struct world *w = *state;
    struct got g;
    assert_int_equal(fetch_path(w, "/!togood,code=307/r.stl", 10, 20, &g), 0);
    assert_int_equal(g.resp.status, 206);
    assert_int_equal(g.heads, 1);
    assert_int_equal(g.body.len, 20);
    assert_true(body_is(&g, "r.stl", 0, 10));
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!loop/r.stl", 0, 0, &g), -ELOOP);
    assert_int_equal(g.heads, 0);
    got_free(&g);
    assert_int_equal(faultd_stat(&w->d, "requests"), 2 + 6);
    static const char *const refused[] = {"/!to=file:%2F%2F%2Fetc%2Fpasswd/r",
                                          "/!to=ftp:%2F%2F127.0.0.1%2Fx/r",
                                          "/!to=http:%2F%2Fu:p@127.0.0.1%2Fx/r"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fetch_path(w, refused[i], 0, 0, &g), -EPROTONOSUPPORT);
        assert_int_equal(g.body.len, 0);
        assert_int_equal(g.resp.status, 302);
        got_free(&g);
    }
    /* 304 and 300 lead nowhere, whatever Location says. */
    assert_int_equal(fetch_path(w, "/!code=300,togood/r", 0, 0, &g), 0);
    assert_int_equal(g.resp.status, 300);
    got_free(&g);
}

/* Logins go to the host asked, not to where a redirect leads; by netrc too. */
static void test_logins(void **state)
{
    struct world *w = *state;
    struct faultd other;
    char path[128], text[32768], netrc[] = "/tmp/test_http_netrc_XXXXXX";
    struct got g;
    faultd_start(&other);
    int fd = mkstemp(netrc);
    assert_true(fd >= 0 && dprintf(fd, "machine 127.0.0.1 login joe password pw\n") > 0);
    close(fd);
    (void)snprintf(path, sizeof(path), "/!to=http:%%2F%%2F127.0.0.1:%u%%2Fy/x", other.port);
    struct http_req req = {.url = world_url(w, path), .user = "u", .password = "p"};
    assert_int_equal(fetch(w, &req, &g), 0);
    got_free(&g);
    struct conf_network net = usual_net();
    net.netrc = netrc;
    world_reopen(w, net);
    req.user = req.password = NULL;
    assert_int_equal(fetch(w, &req, &g), 0);
    got_free(&g);
    assert_int_equal(fetch_path(w, "/!togood/same", 0, 0, &g), 0);
    got_free(&g);
    faultd_control(&other, "GET /_log", "", text, sizeof(text));
    assert_non_null(strstr(text, "\"path\": \"/y\""));
    assert_null(strstr(text, "authorization"));
    faultd_control(&w->d, "GET /_log", "", text, sizeof(text));
    assert_non_null(strstr(text, "\"authorization\": \"Basic dTpw\""));     /* u:p */
    assert_non_null(strstr(text, "\"authorization\": \"Basic am9lOnB3\"")); /* joe:pw */
    assert_non_null(
        strstr(strstr(text, "\"path\": \"/same\""), "\"authorization\": \"Basic am9lOnB3\""));
    unlink(netrc);
    faultd_stop(&other);
}

static void test_mirrors(void **state)
{
    struct world *w = *state;
    unsigned port, silent;
    char from[64], dead[64], good[128];
    struct got g;
    int none = local_socket(-1, &port), hole = local_socket(8, &silent);
    (void)snprintf(from, sizeof(from), "http://127.0.0.1:%u/data/", silent);
    (void)snprintf(dead, sizeof(dead), "http://127.0.0.1:%u/", port);
    (void)snprintf(good, sizeof(good), "http://127.0.0.1:%u/mirror/", w->d.port);
    char *to[] = {dead, good};
    struct conf_mirror m = {from, to, 2};
    struct conf_network net = impatient(200);
    net.mirrors = &m;
    net.mirror_count = 1;
    world_reopen(w, net);
    char url[128], text[8192];
    (void)snprintf(url, sizeof(url), "%sm.stl?q", from);
    struct http_req req = {.url = url, .first = 5, .len = 6};
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.heads, 1);
    assert_true(g.body.len == 6 && body_is(&g, "m.stl", 0, 5));
    got_free(&g);
    faultd_control(&w->d, "GET /_log", "", text, sizeof(text));
    assert_non_null(strstr(text, "\"path\": \"/mirror/m.stl?q\""));
    /* An answer, even a bad one, is the answer; and when all fail, the last failure is told. */
    (void)snprintf(good, sizeof(good), "http://127.0.0.1:%u/!status=500/", w->d.port);
    world_reopen(w, net);
    assert_int_equal(fetch(w, &req, &g), 0);
    assert_int_equal(g.resp.status, 500);
    got_free(&g);
    (void)snprintf(good, sizeof(good), "http://127.0.0.1:%u/!cut=3/", w->d.port);
    world_reopen(w, net);
    assert_int_equal(fetch(w, &req, &g), -ECONNRESET);
    assert_int_equal(g.heads, 1);
    got_free(&g);
    (void)snprintf(good, sizeof(good), "%s", dead);
    world_reopen(w, net);
    assert_int_equal(fetch(w, &req, &g), -EHOSTUNREACH);
    assert_int_equal(g.dones, 1);
    got_free(&g);
    close(none);
    close(hole);
}

/* Once an answer began, no mirror may go on with it. */
static void test_mirror_not_amid(void **state)
{
    struct world *w = *state;
    char from[64], good[64];
    struct got g;
    (void)snprintf(from, sizeof(from), "http://127.0.0.1:%u/!cut=3/", w->d.port);
    (void)snprintf(good, sizeof(good), "http://127.0.0.1:%u/", w->d.port);
    char *to[] = {good};
    struct conf_mirror m = {from, to, 1};
    struct conf_network net = usual_net();
    net.mirrors = &m;
    net.mirror_count = 1;
    world_reopen(w, net);
    assert_int_equal(fetch_path(w, "/!cut=3/m.stl", 0, 0, &g), -ECONNRESET);
    assert_int_equal(g.body.len, 3);
    got_free(&g);
    assert_int_equal(faultd_stat(&w->d, "requests"), 1);
}

/* A server may send headers for ever; one must not take them for ever. */
static void *endless_headers(void *arg)
{
    int s = accept(*(int *)arg, NULL, NULL);
    static const char status[] = "HTTP/1.1 200 OK\r\n";
    static const char line[] = "X-A: 0123456789012345678901234567890123456789012345678901\r\n";
    ssize_t n = send(s, status, sizeof(status) - 1, MSG_NOSIGNAL);
    while (n > 0)
        n = send(s, line, sizeof(line) - 1, MSG_NOSIGNAL);
    close(s);
    return NULL;
}

static void test_endless_header(void **state)
{
    struct world *w = *state;
    unsigned port;
    pthread_t thread;
    struct got g;
    int s = local_socket(8, &port);
    assert_int_equal(pthread_create(&thread, NULL, endless_headers, &s), 0);
    assert_int_equal(fetch_port(w, port, &g), -EPROTO);
    assert_int_equal(g.heads, 0);
    got_free(&g);
    pthread_join(thread, NULL);
    close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, world_fresh)
    const struct CMUnitTest tests[] = {
        T(test_short_bodies), T(test_statuses_heal),  T(test_silence),         T(test_first_byte),
        T(test_no_server),    T(test_black_hole),     T(test_redirects),       T(test_logins),
        T(test_mirrors),      T(test_endless_header), T(test_mirror_not_amid),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
