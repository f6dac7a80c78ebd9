#include "net/retry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_border(void **state)
{
    (void)state;
    static const struct {
        int status, rc;
        bool worth;
    } cases[] = {
        {200, 0, false},       {206, 0, false},       {207, 0, false},       {304, 0, false},
        {301, -EIO, false},    {0, -EIO, false},      {400, -EIO, false},    {416, -EIO, false},
        {501, -EIO, false},    {401, -EACCES, false}, {403, -EACCES, false}, {407, -EACCES, false},
        {451, -EACCES, false}, {404, -ENOENT, false}, {410, -ENOENT, false}, {408, -EAGAIN, true},
        {423, -EAGAIN, true},  {425, -EAGAIN, true},  {429, -EAGAIN, true},  {500, -EAGAIN, true},
        {502, -EAGAIN, true},  {503, -EAGAIN, true},  {504, -EAGAIN, true},  {507, -EAGAIN, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(retry_errno(0, cases[i].status), cases[i].rc);
        assert_int_equal(retry_worth(0, cases[i].status), cases[i].worth);
    }
    assert_int_equal(retry_errno(-ECONNRESET, 200), -ECONNRESET);
    assert_true(retry_worth(-ECONNRESET, 200));
    assert_true(retry_worth(-ETIMEDOUT, 0));
    assert_true(retry_worth(-EHOSTUNREACH, 0));
    assert_true(retry_worth(-EPROTO, 0));
    assert_false(retry_worth(-ECANCELED, 503));
    assert_false(retry_worth(-EFBIG, 200));
    assert_false(retry_worth(-ENOMEM, 0));
    assert_false(retry_worth(-EPROTONOSUPPORT, 302));
    assert_false(retry_worth(-ELOOP, 302));
}

static void test_final(void **state)
{
    (void)state;
    assert_int_equal(retry_final(-ETIMEDOUT, 0), -ETIMEDOUT);
    assert_int_equal(retry_final(-EHOSTUNREACH, 0), -ETIMEDOUT);
    assert_int_equal(retry_final(-ECONNRESET, 0), -ETIMEDOUT);
    assert_int_equal(retry_final(-EPROTO, 0), -EIO);
    assert_int_equal(retry_final(-ETIMEDOUT, 206), -EIO);
    assert_int_equal(retry_final(0, 503), -EIO);
}

static void test_delay(void **state)
{
    (void)state;
    static const unsigned base[] = {250, 250, 500, 1000, 2000, 4000, 8000, 10000, 10000};
    bool differ = false;
    for (unsigned attempt = 0; attempt < sizeof(base) / sizeof(base[0]); attempt++)
        for (uint64_t seed = 0; seed < 500; seed++) {
            unsigned ms = retry_delay_ms(attempt, NULL, seed);
            assert_in_range(ms, base[attempt] - base[attempt] / 4,
                            base[attempt] + base[attempt] / 4);
            assert_int_equal(ms, retry_delay_ms(attempt, NULL, seed));
            differ = differ || ms != retry_delay_ms(attempt, NULL, 0);
        }
    assert_true(differ);
    assert_in_range(retry_delay_ms(4000000000U, NULL, 1), 7500, 12500);
    struct http_resp resp = {.retry_after_ms = 120000};
    assert_int_equal(retry_delay_ms(1, &resp, 7), 120000);
    resp.retry_after_ms = 1;
    assert_in_range(retry_delay_ms(1, &resp, 7), 187, 313);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_border),
        cmocka_unit_test(test_final),
        cmocka_unit_test(test_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
