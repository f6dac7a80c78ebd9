/* The engine over TLS: whom it trusts, and where it does not go from there. */
#include "lib/http_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct tls {
    struct faultd d;
    char dir[64], cert[96], key[96];
};

static int make_certificate(const struct tls *t)
{
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout %s -out %s -subj "
                   "/CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null",
                   t->key, t->cert);
    return system(command);
}

static int setup(void **state)
{
    struct tls *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return -1;
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/test_http_tls_XXXXXX");
    if (mkdtemp(t->dir) == NULL)
        return -1;
    (void)snprintf(t->cert, sizeof(t->cert), "%s/cert.pem", t->dir);
    (void)snprintf(t->key, sizeof(t->key), "%s/key.pem", t->dir);
    if (make_certificate(t) == 0)
        faultd_start_tls(&t->d, t->cert, t->key);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct tls *t = *state;
    if (t->d.port != 0)
        faultd_stop(&t->d);
    unlink(t->cert);
    unlink(t->key);
    rmdir(t->dir);
    free(t);
    return 0;
}

/* Fetches a path with an engine of its own that trusts `ca_file`. */
static int fetch_tls(const struct tls *t, char *ca_file, const char *path, struct got *g)
{
    struct world w = {.net = usual_net()};
    char url[256];
    if (t->d.port == 0)
        skip(); /* no openssl program */
    w.net.ca_file = ca_file;
    world_open(&w);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", t->d.port, path);
    struct http_req req = {.url = url};
    int err = fetch(&w, &req, g);
    http_close(&w.h);
    return err;
}

static void test_trust(void **state)
{
    struct tls *t = *state;
    struct got g;
    unsetenv("CURL_CA_BUNDLE");
    unsetenv("SSL_CERT_FILE");
    assert_int_equal(fetch_tls(t, t->cert, "/!size=100000/t", &g), 0);
    assert_true(g.body.len == 100000 && body_is(&g, "t", 0, 0));
    got_free(&g);
    assert_int_equal(fetch_tls(t, NULL, "/t", &g), -EPROTO);
    assert_int_equal(g.resp.status, 0);
    assert_non_null(strstr(g.resp.why, "certificate"));
    got_free(&g);
}

static void test_trust_by_environment(void **state)
{
    struct tls *t = *state;
    static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};
    for (size_t i = 0; i < 2; i++) {
        struct got g;
        setenv(names[i], t->cert, 1);
        int err = fetch_tls(t, NULL, "/t", &g);
        unsetenv(names[i]);
        assert_int_equal(err, 0);
        got_free(&g);
    }
}

static void test_never_back_to_http(void **state)
{
    struct tls *t = *state;
    struct got g;
    assert_int_equal(fetch_tls(t, t->cert, "/!to=http:%2F%2F127.0.0.1%2Fx/t", &g),
                     -EPROTONOSUPPORT);
    assert_string_equal(g.resp.why, "redirect from https to http");
    got_free(&g);
    assert_int_equal(fetch_tls(t, t->cert, "/!togood/t", &g), 0);
    assert_int_equal(g.resp.status, 200);
    got_free(&g);
}

static void test_broken_off(void **state)
{
    struct tls *t = *state;
    struct got g;
    assert_int_equal(fetch_tls(t, t->cert, "/!size=9000,cut=100/t", &g), -ECONNRESET);
    got_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_trust_by_environment),
        cmocka_unit_test(test_never_back_to_http),
        cmocka_unit_test(test_broken_off),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
