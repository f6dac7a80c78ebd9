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

enum { MANY = 10000000, FEW = 400000, TEXT = 2400 };

static unsigned how_many(void)
{
    return getenv("MSFS_SMALL") != NULL ? FEW : MANY;
}

/* Both readers against the C library's; `end` is that of readable memory. */
static void check(const char *p, const char *end, size_t want_len, float want, double want_wide)
{
    float f = 7;
    double v = 7;
    const char *a = number_parsef(p, end, &f), *b = number_parse(p, end, &v);
    if (want_len == 0) {
        if (a != NULL || b != NULL || f != 7 || v != 7)
            fail_msg("'%.*s' was taken for a number", (int)(end - p), p);
        return;
    }
    if (a != p + want_len || b != p + want_len)
        fail_msg("'%.60s' ends at another place", p);
    if (memcmp(&f, &want, sizeof(f)) != 0 || memcmp(&v, &want_wide, sizeof(v)) != 0)
        fail_msg("'%.60s' is %a, not %a, as float32, and %a, not %a", p, (double)f, (double)want, v,
                 want_wide);
}

/* Reads a text with plenty of memory behind it, and with none. */
static void read_both(const char *text)
{
    char roomy[TEXT + 64], *end, *tight;
    size_t len = strlen(text);
    double wide = strtod(text, &end);
    float narrow = strtof(text, NULL);
    size_t used = (size_t)(end - text);
    memset(roomy, ' ', sizeof(roomy));
    memcpy(roomy, text, len);
    check(roomy, roomy + sizeof(roomy), used, narrow, wide);
    tight = malloc(len > 0 ? len : 1);
    assert_non_null(tight);
    memcpy(tight, text, len);
    check(tight, tight + len, used, narrow, wide);
    free(tight);
}

static int write_somehow(char *text, size_t room, unsigned how, double v)
{
    switch (how % 8) {
    case 0:
        return snprintf(text, room, "%.9g", v);
    case 1:
        return snprintf(text, room, "%g", v);
    case 2:
        return snprintf(text, room, "%.8E", v);
    case 3:
        return snprintf(text, room, "%f", v);
    case 4:
        return snprintf(text, room, "%.30e", v);
    case 5:
        return snprintf(text, room, "%.15g", v);
    default:
        return snprintf(text, room, "%.17g", v);
    }
}

static void what_printf_wrote_is_read_as_strtod_does(void **unused)
{
    (void)unused;
    uint64_t state = 1;
    char text[512];
    for (unsigned i = 0; i < how_many(); i++) {
        size_t len = (size_t)write_somehow(text, sizeof(text), i, numbers_value(&state));
        memset(text + len, ' ', 40);
        double wide = strtod(text, NULL);
        check(text, text + len + 40, len, strtof(text, NULL), wide);
    }
}

static void random_digits_and_exponents(void **unused)
{
    (void)unused;
    uint64_t state = 2;
    char text[96];
    for (unsigned i = 0; i < how_many() / 10; i++) {
        uint64_t r = numbers_next(&state), a = numbers_next(&state), b = numbers_next(&state);
        snprintf(text, sizeof(text), "%s%llu%s%llue%d",
                 (r & 1) != 0   ? "-"
                 : (r & 2) != 0 ? "+"
                                : "",
                 (unsigned long long)(a >> r % 64), (r & 4) != 0 ? "." : "",
                 (unsigned long long)(b >> (r >> 8) % 64), (int)((r >> 16) % 760) - 380);
        read_both(text);
    }
}

/* The exact middles between neighbours, cut, lengthened and changed in a late digit. */
static void middle(double low, double high, int digits, bool single)
{
    char text[TEXT];
    if (single)
        snprintf(text, sizeof(text), "%.*g", digits, low / 2 + high / 2);
    else
        snprintf(text, sizeof(text), "%.*Lg", digits, ((long double)low + (long double)high) / 2);
    read_both(text);
    char *e = strchr(text, 'e'), exponent[16] = "";
    if (e != NULL) {
        snprintf(exponent, sizeof(exponent), "%s", e);
        *e = 0;
    }
    size_t len = strlen(text);
    if (strchr(text, '.') == NULL)
        snprintf(text + len++, 2, ".");
    snprintf(text + len, 64, "000000000000000000000001%s", exponent);
    read_both(text);
}

static void middles_between_two_floats(void **unused)
{
    (void)unused;
    uint64_t state = 3;
    for (int i = 0; i < 30000; i++) {
        uint32_t bits = (uint32_t)numbers_next(&state) & 0x7fffffff;
        float low = numbers_float(bits), high = numbers_float(bits + 1);
        if (isfinite(low) && isfinite(high))
            middle((double)low, (double)high, i % 4 != 0 ? 300 : 17 + i % 30, true);
    }
    middle(0, (double)FLT_TRUE_MIN, 300, true);
    read_both("340282356779733661637539395458142568447");
    read_both("340282356779733661637539395458142568448");
    read_both("340282346638528859811704183484516925440");
}

static void middles_between_two_doubles(void **unused)
{
    (void)unused;
    uint64_t state = 4;
    for (int i = 0; i < 10000; i++) {
        uint64_t bits = numbers_next(&state) & INT64_MAX;
        double low = numbers_double(bits), high = numbers_double(bits + 1);
        if (isfinite(low) && isfinite(high))
            middle(low, high, i % 4 != 0 ? 800 : 17 + i % 30, false);
    }
    middle(0, DBL_TRUE_MIN, 1100, false);
    middle(DBL_MIN, nextafter(DBL_MIN, 0), 1100, false);
    read_both(
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649"
        "017977587207096330286416692887910946555547851940402630657488671505820681908902000708383"
        "676273854845817711531764475730270069855571366959622842914819860834936475292719074168444"
        "365510704342711559699508093042880");
}

static void odd_texts(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"",
                                        "-",
                                        "+",
                                        ".",
                                        "-.",
                                        "e5",
                                        "x",
                                        "--1",
                                        " 1",
                                        "1",
                                        "1.",
                                        ".5",
                                        "-.5e1",
                                        "1e",
                                        "1e+",
                                        "1e-x",
                                        "1.e3",
                                        "1..2",
                                        "1.2.3",
                                        "0",
                                        "-0",
                                        "0.0e99",
                                        "00012",
                                        "000.001",
                                        "1E5",
                                        "1e0005",
                                        "+1.5",
                                        "1e400",
                                        "-1e400",
                                        "1e-400",
                                        "-1e-400",
                                        "1e99999999999999999999",
                                        "1e-99999999999999999999",
                                        "0e99999999999999999999",
                                        "3.4e38",
                                        "3.5e38",
                                        "1e-45",
                                        "7e-46",
                                        "0.1,5",
                                        "1-2",
                                        "12345678.5",
                                        "123456789.5",
                                        "1234567.12345678901234",
                                        "0.00000000000000000000001",
                                        "1.0000000000000000000",
                                        "16777217",
                                        "16777219.0",
                                        "9007199254740993",
                                        "123456789012345678901234567890",
                                        "1.23456789012345678901234567890e-7",
                                        "99999999999999999999",
                                        "18446744073709551616.5"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i][0] != ' ')
            read_both(texts[i]);
    static const char *const taken_by_strtod[] = {" 1", "inf", "nan", "-inf", "\t1", "\n1"};
    for (size_t i = 0; i < 6; i++)
        check(taken_by_strtod[i], taken_by_strtod[i] + strlen(taken_by_strtod[i]), 0, 0, 0);
    static const char hexadecimal[] = "0x10";
    check(hexadecimal, hexadecimal + 4, 1, 0, 0);
}

static void long_texts(void **unused)
{
    (void)unused;
    char text[TEXT];
    memset(text, '7', 2000);
    snprintf(text + 2000, 16, "e-1990");
    read_both(text);
    memset(text, '0', 2000);
    snprintf(text + 2000, 16, "123.5e-3");
    read_both(text);
    text[1] = '.';
    snprintf(text + 2000, 16, "123e2000");
    read_both(text);
    memset(text, '9', 2000);
    text[1] = '.';
    text[2000] = 0;
    read_both(text);
}

static void every_cut_of_a_number(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"-53.841289520263672", "1.2345678901234567e-05 7",
                                        "+0.00012345678901234567",
                                        "123456789.123456789123456789E+12", "-0.5397605 0.25"};
    char cut[64];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (size_t len = 0; len <= strlen(texts[i]); len++) {
            snprintf(cut, sizeof(cut), "%.*s", (int)len, texts[i]);
            read_both(cut);
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_printf_wrote_is_read_as_strtod_does),
        cmocka_unit_test(random_digits_and_exponents),
        cmocka_unit_test(middles_between_two_floats),
        cmocka_unit_test(middles_between_two_doubles),
        cmocka_unit_test(odd_texts),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(every_cut_of_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
