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

enum { MANY = 2000000, FEW = 200000, WANT = 512 };

static unsigned how_many(void)
{
    return getenv("MSFS_SMALL") != NULL ? FEW : MANY;
}

/* What printf gives; blank and upper as the format says. */
static int with_printf(const struct number_format *f, double v, char want[WANT])
{
    char any[WANT];
    int p = f->precision;
    switch (f->style) {
    case NUMBER_G:
        snprintf(any, sizeof(any), "%.*g", p, v);
        break;
    case NUMBER_E:
        snprintf(any, sizeof(any), "%.*e", p, v);
        break;
    default:
        snprintf(any, sizeof(any), "%.*f", p, v);
        break;
    }
    char *e = strchr(any, 'e');
    if (f->upper && e != NULL && isfinite(v))
        *e = 'E';
    return snprintf(want, WANT, "%s%s", f->blank && *any != '-' ? " " : "", any);
}

static void same(const struct number_format *f, double v)
{
    char want[WANT], got[NUMBER_LONG];
    int len = with_printf(f, v, want);
    unsigned n = number_print(f, v, got);
    if (n == 0 && f->style == NUMBER_F && len >= 77)
        return;
    if ((int)n != len || memcmp(got, want, n) != 0)
        fail_msg("style %d, precision %d: '%.*s' in place of '%s'", f->style, f->precision, (int)n,
                 got, want);
}

static void any_format_as_printf_does(void **unused)
{
    (void)unused;
    uint64_t state = 1;
    for (unsigned i = 0; i < how_many(); i++) {
        uint64_t r = numbers_next(&state);
        double v = numbers_value(&state), narrow = (double)(float)v;
        struct number_format f = {(uint8_t)(r % 3), (uint8_t)((r >> 8) % 18), (r & 4096) != 0,
                                  (r & 8192) != 0};
        same(&f, f.style == NUMBER_F && (r & 16384) != 0 && isfinite(narrow) ? narrow : v);
    }
}

static void ties_and_special_numbers_in_any_format(void **unused)
{
    (void)unused;
    static const double v[] = {0.0,
                               -0.0,
                               0.5,
                               1.5,
                               2.5,
                               0.25,
                               0.125,
                               0.375,
                               1e22,
                               1e23,
                               9.5,
                               99.5,
                               999.5,
                               0.05,
                               0.95,
                               9.995,
                               12345678.5,
                               25,
                               35,
                               1.25e10,
                               1.5e300,
                               0x1p-1074,
                               DBL_MAX,
                               FLT_MAX,
                               FLT_TRUE_MIN,
                               1e-5,
                               9.9999999e-5,
                               999999.5,
                               9999995,
                               1e17,
                               123456789012345678.0,
                               0.9999999999999999,
                               5e-324,
                               3.5e15,
                               0x1p70,
                               0x1.8p60};
    for (int style = 0; style < 3; style++)
        for (int precision = 0; precision < 18; precision++)
            for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
                struct number_format f = {(uint8_t)style, (uint8_t)precision, false, i % 2 != 0};
                same(&f, v[i]);
                same(&f, -v[i]);
            }
    struct number_format f = {NUMBER_G, 6, false, true};
    same(&f, (double)INFINITY);
    same(&f, (double)-INFINITY);
    same(&f, (double)NAN);
    same(&f, -(double)NAN);
    char out[NUMBER_LONG];
    f = (struct number_format){NUMBER_E, 6, true, false};
    assert_int_equal(number_print(&f, -(double)INFINITY, out), 4);
    assert_memory_equal(out, "-INF", 4);
}

static void what_does_not_fit_is_refused(void **unused)
{
    (void)unused;
    char out[NUMBER_LONG];
    assert_int_equal(number_print(&(struct number_format){NUMBER_F, 6, false, false}, 1e300, out),
                     0);
    assert_int_equal(number_print(&(struct number_format){NUMBER_F, 17, false, false}, -2e59, out),
                     0);
    assert_int_equal(
        number_print(&(struct number_format){NUMBER_F, 17, false, true}, (double)FLT_MAX, out), 58);
    assert_int_equal(number_print(&(struct number_format){NUMBER_G, 18, false, false}, 1, out), 0);
    assert_int_equal(number_print(&(struct number_format){200, 6, false, false}, 1, out), 0);
}

static void shortest(float v, const char *want)
{
    static const struct number_format f = {NUMBER_SHORTEST, 0, false, false};
    char got[NUMBER_LONG];
    unsigned n = number_print(&f, (double)v, got);
    if (n != strlen(want) || memcmp(got, want, n) != 0)
        fail_msg("'%.*s' in place of '%s'", (int)n, got, want);
}

static void shortest_texts_that_are_known(void **unused)
{
    (void)unused;
    shortest(0.0f, "0.0");
    shortest(-0.0f, "-0.0");
    shortest(0.1f, "0.1");
    shortest(1.0f, "1.0");
    shortest(-10.0f, "-10.0");
    shortest(16777216.0f, "16777216.0");
    shortest(123456.789f, "123456.79");
    shortest(123456789012.0f, "123456790000.0");
    shortest(1e15f, "1000000000000000.0");
    shortest(1e16f, "1e+16");
    shortest(1e-5f, "1e-05");
    shortest(1e20f, "1e+20");
    shortest(0x1p90f, "1.2379401e+27");
    shortest(0x1p-44f, "5.684342e-14");
    shortest(0x1p-20f, "9.536743e-07");
    shortest(FLT_MAX, "3.4028235e+38");
    shortest(FLT_MIN, "1.1754944e-38");
    shortest(FLT_TRUE_MIN, "1e-45");
    shortest(0.00012345f, "0.00012345");
    shortest(9e9f, "9000000000.0");
}

/* Whether a number of `digits` digits is read as v. */
static int some_text_gives(float v, int digits)
{
    char text[32];
    snprintf(text, sizeof(text), "%.*e", digits - 1, (double)v);
    if (strtof(text, NULL) == v)
        return 1;
    /* The one on the other side: the last digit up or down by one. */
    double step = pow(10, floor(log10(fabs((double)v))) - digits + 1);
    for (int side = -1; side <= 1; side += 2) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, strtod(text, NULL) + side * step);
        if (strtof(text, NULL) == v)
            return 1;
    }
    return 0;
}

static void shortest_texts_are_read_again_and_are_the_shortest(void **unused)
{
    (void)unused;
    static const struct number_format f = {NUMBER_SHORTEST, 0, true, false};
    uint64_t state = 5;
    char got[NUMBER_LONG + 1];
    for (unsigned i = 0; i < how_many() / 4; i++) {
        uint32_t bits = (uint32_t)numbers_next(&state);
        float v = numbers_float(i % 8 == 0 ? bits & 0xff800000 : bits);
        if (!isfinite(v))
            continue;
        got[number_print(&f, (double)v, got)] = 0;
        float again = strtof(got, NULL);
        if (memcmp(&again, &v, sizeof(v)) != 0)
            fail_msg("%a was printed as %s", (double)v, got);
        int digits = 0, kept = 0;
        for (const char *p = got; *p != 0 && *p != 'E'; p++)
            if (*p >= '0' && *p <= '9' && (*p != '0' || digits > 0)) {
                digits++;
                kept = *p != '0' ? digits : kept;
            }
        if (kept > 1 && some_text_gives(v, kept - 1))
            fail_msg("%s could be shorter", got);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_format_as_printf_does),
        cmocka_unit_test(ties_and_special_numbers_in_any_format),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(shortest_texts_that_are_known),
        cmocka_unit_test(shortest_texts_are_read_again_and_are_the_shortest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
