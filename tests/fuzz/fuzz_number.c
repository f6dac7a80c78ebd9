/* Bytes as a number, with no byte readable behind them: read as strtod and strtof do; and the
 * number, and one made of the bytes themselves, printed as printf does. */
#include "codec/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int fine)
{
    if (!fine)
        abort();
}

static void check_print(double v)
{
    char want[64], slot[1][NUMBER_SLOT];
    uint8_t len[1];
    int n = snprintf(want, sizeof(want), "%.17g", v);
    number_print17(&v, 1, slot, len);
    check(n == len[0] && memcmp(want, slot[0], len[0]) == 0);
}

static void check_format(const uint8_t *data, double v)
{
    char want[512], got[NUMBER_LONG];
    struct number_format f = {data[0] % 5, data[1] % 20, false, false};
    unsigned n = number_print(&f, v, got);
    check(n <= NUMBER_LONG && (n > 0 || f.style > NUMBER_SHORTEST || f.precision > 17 || v != 0));
    if (n == 0 || f.style == NUMBER_SHORTEST)
        return;
    int w = f.style == NUMBER_G   ? snprintf(want, sizeof(want), "%.*g", f.precision, v)
            : f.style == NUMBER_E ? snprintf(want, sizeof(want), "%.*e", f.precision, v)
                                  : snprintf(want, sizeof(want), "%.*f", f.precision, v);
    check(w == (int)n && memcmp(want, got, n) == 0);
}

static void check_parse(const char *p, size_t size, const char *text)
{
    float f = 0;
    double v = 0;
    const char *a = number_parsef(p, p + size, &f), *b = number_parse(p, p + size, &v);
    check(a == b);
    if (a == NULL)
        return;
    char *end;
    double want = strtod(text, &end);
    float narrow = strtof(text, NULL);
    if (memchr(text, 'x', size) != NULL || memchr(text, 'X', size) != NULL) /* hexadecimal */
        return;
    check(end - text == a - p && memcmp(&want, &v, sizeof(v)) == 0 &&
          memcmp(&narrow, &f, sizeof(f)) == 0);
    check_print(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *tight = malloc(size > 0 ? size : 1), *text = malloc(size + 1);
    check(tight != NULL && text != NULL);
    if (size > 0) {
        memcpy(tight, data, size);
        memcpy(text, data, size);
    }
    text[size] = 0;
    check_parse(tight, size, text);
    if (size >= 10) {
        double v;
        memcpy(&v, data + 2, sizeof(v));
        check_print(v);
        check_format(data, v);
    }
    free(tight);
    free(text);
    return 0;
}
