#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/number.h"
#include "lib/numbers.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 10000000, FEW = 500000, BATCH = 1000 };

static unsigned how_many(void)
{
    return getenv("MSFS_SMALL") != NULL ? FEW : MANY;
}

static void check_batch(const double *v, size_t n)
{
    char slot[BATCH][NUMBER_SLOT], want[64];
    uint8_t len[BATCH];
    number_print17(v, n, slot, len);
    for (size_t i = 0; i < n; i++) {
        int w = snprintf(want, sizeof(want), "%.17g", v[i]);
        if (len[i] != w || memcmp(slot[i], want, len[i]) != 0)
            fail_msg("%s was printed as %.*s", want, (int)len[i], slot[i]);
    }
}

static void one(double v)
{
    check_batch(&v, 1);
    v = -v;
    check_batch(&v, 1);
}

static void with_neighbours(double v)
{
    one(v);
    one(nextafter(v, 0));
    one(nextafter(v, INFINITY));
}

static void many_numbers_are_printed_as_printf_does(void **unused)
{
    (void)unused;
    uint64_t state = 1;
    double v[BATCH];
    for (unsigned done = 0; done < how_many(); done += BATCH) {
        for (int i = 0; i < BATCH; i++)
            v[i] = numbers_value(&state);
        check_batch(v, BATCH);
    }
}

static void every_exponent_of_float32(void **unused)
{
    (void)unused;
    uint64_t state = 2;
    double v[BATCH];
    for (uint32_t exponent = 0; exponent < 512; exponent++) {
        if ((exponent & 255) == 255)
            continue;
        for (int i = 0; i < BATCH; i++)
            v[i] =
                (double)numbers_float(exponent << 23 | (uint32_t)(numbers_next(&state) & 0x7fffff));
        check_batch(v, BATCH);
    }
}

static void powers_and_their_neighbours(void **unused)
{
    (void)unused;
    char text[16];
    for (int e = -323; e <= 308; e++) {
        snprintf(text, sizeof(text), "1e%d", e);
        with_neighbours(strtod(text, NULL));
        snprintf(text, sizeof(text), "5e%d", e);
        with_neighbours(strtod(text, NULL));
    }
    for (int e = -1074; e <= 1023; e++)
        with_neighbours(ldexp(1, e));
}

static void ties_go_to_the_even_digit(void **unused)
{
    (void)unused;
    /* 18 digits of which the last is 5. */
    for (int i = 0; i < 4000; i++) {
        double whole = 1e15 + 2 * i + 1;
        one(whole / 4 + 0.25);
        one(whole * 1.25);
        one((4503599627370497.0 + i) + 0.5);
        one((double)(131071 + 2 * i) / 65536);
    }
    one(0x1.8p-17 + 1);
}

static void special_numbers(void **unused)
{
    (void)unused;
    static const double v[] = {
        0.0,      -0.0,     1,    -1,   DBL_MAX, DBL_MIN, DBL_TRUE_MIN,
        9.5e-5,   1e-4,     1e-5, 1e16, 1e17,    9999999, 99999999999999999.0,
        INFINITY, -INFINITY};
    check_batch(v, sizeof(v) / sizeof(v[0]));
    double nan[] = {
        numbers_double(UINT64_C(0x7ff8000000000000)), numbers_double(UINT64_C(0xfff8000000000000)),
        numbers_double(UINT64_C(0x7ff0000000000001)),
        numbers_double(UINT64_C(0x7ff0000000000000) | UINT64_C(100000000000000000) >> 12)};
    check_batch(nan, 4);
}

static void float32_are_printed_as_their_doubles(void **unused)
{
    (void)unused;
    uint64_t state = 3;
    float v[BATCH];
    double wide[BATCH];
    char slot[2][BATCH][NUMBER_SLOT];
    uint8_t len[2][BATCH];
    for (size_t n = 0; n < BATCH; n++) {
        v[n] = numbers_any_float(numbers_next(&state));
        wide[n] = (double)v[n];
    }
    for (size_t n = 0; n <= BATCH; n += n < 130 ? 1 : 87) {
        number_print17f(v, n, slot[0], len[0]);
        number_print17(wide, n, slot[1], len[1]);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(len[0][i], len[1][i]);
            assert_memory_equal(slot[0][i], slot[1][i], len[0][i]);
        }
    }
}

static void nothing_is_written_beyond_the_slots(void **unused)
{
    (void)unused;
    static const double v[] = {-1.2345678901234567e-300, -12345678.901234567,
                               -0.00012345678901234567};
    for (size_t i = 0; i < 3; i++) {
        char(*slot)[NUMBER_SLOT] = malloc(NUMBER_SLOT);
        uint8_t *len = malloc(1);
        assert_true(slot != NULL && len != NULL);
        number_print17(v + i, 1, slot, len);
        assert_true(*len <= 24);
        free(slot);
        free(len);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_numbers_are_printed_as_printf_does),
        cmocka_unit_test(every_exponent_of_float32),
        cmocka_unit_test(powers_and_their_neighbours),
        cmocka_unit_test(ties_go_to_the_even_digit),
        cmocka_unit_test(special_numbers),
        cmocka_unit_test(float32_are_printed_as_their_doubles),
        cmocka_unit_test(nothing_is_written_beyond_the_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
