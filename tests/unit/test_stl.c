#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/stl.h"
#include "stl_case.h"

#include <stdlib.h>

/* What a reader said of a text that came in pieces of `step` bytes. */
struct said {
    enum stl_health health;
    uint64_t facets;
    double sum; /* over all numbers */
};

static void add(void *arg, const struct stl_facet *f)
{
    struct said *s = arg;
    for (unsigned i = 0; i < 9; i++)
        s->sum += (i + 1) * (double)f->vertex[i / 3][i % 3];
    s->sum += (double)f->normal[0] + 2 * (double)f->normal[1] + 3 * (double)f->normal[2];
}

static struct said read_in(const char *text, size_t len, size_t step)
{
    struct said s = {.sum = 0};
    struct stl_reader r;
    stl_begin(&r, add, &s);
    for (size_t at = 0; at < len; at += step)
        stl_feed(&r, text + at, step < len - at ? step : len - at);
    s.health = stl_end(&r);
    s.facets = r.facets;
    return s;
}

#define TRIANGLE(a, b, c)                                                                          \
    "facet normal 0 0 1 outer loop vertex " a " vertex " b " vertex " c " endloop endfacet\n"
#define FACET TRIANGLE("0 0 0", "1 0 0", "0 1 0")

static const struct {
    const char *text;
    enum stl_health health;
    unsigned facets;
} cases[] = {
    {"", STL_EMPTY, 0},
    {" \r\n\t", STL_EMPTY, 0},
    {"solid\nendsolid\n", STL_EMPTY, 0},
    {"solid a b c\nendsolid a b c", STL_EMPTY, 0},
    {"solid\n" FACET "endsolid", STL_OK, 1},
    {"solid\r\n" FACET FACET "endsolid x\r\n", STL_OK, 2},
    {"solid\r" FACET "endsolid\r", STL_OK, 1},
    {"SoLiD x\n\tFACET NORMAL 0 0 1\n\tOuter\tLoop\nVERTEX 1 2 3\nvertex 1E0 2e+0 3.0E-00\n"
     "vertex .5 5. -0\nEndLoop\vEndFacet\fEndSolid",
     STL_OK, 1},
    {"solid a\n" FACET "endsolid a\nsolid b\n" FACET "endsolid b\n", STL_OK, 2},
    {"solid a\n" FACET "endsolid\n\n\nsolid facet\n" FACET "endsolid facet", STL_OK, 2},
    {"solid on one line " FACET "endsolid", STL_OK, 1},
    {"solid facet facet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 endloop "
     "endfacet endsolid",
     STL_OK, 1},
    {"solid\n" TRIANGLE("0.100000000000000000000000000001 1 2", "1 0 0", "0 1 0") "endsolid",
     STL_OK, 1},
    {"solid\nfacet normal nan -nan(ind) -1.#IND outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 "
     "endloop endfacet\nendsolid",
     STL_OK, 1},
    {"solid\n" TRIANGLE("nan 0 0", "1 0 0", "0 1 0") "endsolid", STL_MALFORMED, 1},
    {"solid\n" TRIANGLE("-inf 0 0", "1 0 0", "0 1 0") "endsolid", STL_MALFORMED, 1},
    {"solid\n" TRIANGLE("1e999 0 0", "1 0 0", "0 1 0") "endsolid", STL_MALFORMED, 1},
    {"solid\n" FACET, STL_TRUNCATED, 1},
    {"solid\n" FACET "ends", STL_TRUNCATED, 1},
    {"solid\n" FACET "facet normal 0 0 1 outer loop vertex 1 2", STL_TRUNCATED, 1},
    {"solid\n" FACET "facet normal 0 0 1e", STL_TRUNCATED, 1},
    {"solid", STL_TRUNCATED, 0},
    {"sol", STL_MALFORMED, 0},
    {"hello world", STL_MALFORMED, 0},
    {"endsolid", STL_MALFORMED, 0},
    {FACET "endsolid", STL_MALFORMED, 0},
    {"1.5 2.5\n vertex 1 2 3\nendloop\nendfacet\nendsolid\n", STL_MALFORMED, 0},
    {"solid\n" FACET "endsolid\ntrailing", STL_MALFORMED, 1},
    {"solid\nfacet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 endloop endfacet endsolid",
     STL_MALFORMED, 0},
    {"solid\nfacet normal 0 0 1 outer loop endloop endfacet\nendsolid\n", STL_MALFORMED, 0},
    {"solid\nfacet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 vertex 1 1 0 "
     "endloop endfacet endsolid",
     STL_MALFORMED, 0},
    {"solid\n" TRIANGLE("0 0 x", "1 0 0", "0 1 0") "endsolid", STL_MALFORMED, 0},
    {"solid\n" TRIANGLE("0 0 0x10", "1 0 0", "0 1 0") "endsolid", STL_MALFORMED, 0},
    {"solid\n" TRIANGLE("0 0 1,5", "1 0 0", "0 1 0") "endsolid", STL_MALFORMED, 0},
};

static void all_cases_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].text);
        struct said whole = read_in(cases[i].text, len, SIZE_MAX / 2);
        if (whole.health != cases[i].health || whole.facets != cases[i].facets)
            fail_msg("case %zu: %d, %llu facets", i, (int)whole.health,
                     (unsigned long long)whole.facets);
        for (size_t step = 1; step < len; step++) {
            struct said now = read_in(cases[i].text, len, step);
            assert_int_equal(now.health, whole.health);
            assert_int_equal(now.facets, whole.facets);
            assert_true(now.sum == whole.sum || whole.sum != whole.sum);
        }
    }
}

static void values_are_read(void **state)
{
    (void)state;
    const char *text = "solid\n" TRIANGLE("1 2 3", "4 5 6", "7 8 9.5") "endsolid";
    struct said s = read_in(text, strlen(text), 7);
    assert_true(s.sum == 1 + 4 + 9 + 16 + 25 + 36 + 49 + 64 + 85.5 + 3);
}

/* Every place where a file may be cut gives truncated, or empty, or what the whole gives. */
static void cut_anywhere(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_torus(&text, &hands[0], "\r\n", 2);
    for (size_t len = 0; len <= text.len; len++) {
        struct said s = read_in(text.data, len, len + 1);
        enum stl_health want = len == 0             ? STL_EMPTY
                               : len < 5            ? STL_MALFORMED
                               : len < text.len - 2 ? STL_TRUNCATED
                                                    : STL_OK;
        assert_int_equal(s.health, want);
    }
}

static void long_words_and_lines(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    buf_str(&text, "solid ");
    for (unsigned i = 0; i < 100000; i++)
        buf_str(&text, "name");
    buf_str(&text, "\n" FACET "endsolid\n");
    assert_int_equal(read_in(text.data, text.len, 1000).health, STL_OK);
    buf_clear(&text);
    buf_str(&text, "solid\nfacet normal 0 0 ");
    for (unsigned i = 0; i < 100000; i++)
        buf_str(&text, "1234");
    assert_int_equal(read_in(text.data, text.len, 1000).health, STL_MALFORMED);
    buf_clear(&text);
    buf_str(&text, "solid x ");
    for (unsigned i = 0; i < 1000; i++)
        buf_str(&text, "facet normal 0 0 1  outer loop \t vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 "
                       "endloop endfacet    ");
    buf_str(&text, "endsolid");
    struct said s = read_in(text.data, text.len, 4096);
    assert_int_equal(s.health, STL_OK);
    assert_int_equal(s.facets, 1000);
}

static void binary_in_pieces(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT;
    write_binary_torus(&file, 4);
    struct said whole = read_in(file.data, file.len, file.len);
    assert_int_equal(whole.health, STL_OK);
    assert_int_equal(whole.facets, 32);
    for (size_t step = 1; step < file.len; step += 7) {
        struct said s = read_in(file.data, file.len, step);
        assert_int_equal(s.health, STL_OK);
        assert_true(s.sum == whole.sum);
    }
    memcpy(file.data, "solid x", 7); /* as some programs begin it */
    assert_int_equal(read_in(file.data, file.len, 100).health, STL_OK);
    for (size_t len = 84; len < file.len; len += 13)
        assert_int_equal(read_in(file.data, len, len).health, STL_TRUNCATED);
    for (size_t len = 81; len < 84; len++)
        assert_int_equal(read_in(file.data, len, len).health, STL_MALFORMED);
    buf_str(&file, "x");
    assert_int_equal(read_in(file.data, file.len, 99).health, STL_MALFORMED);
    memcpy(file.data + 80, "\xff\xff\xff\xff", 4);
    assert_int_equal(read_in(file.data, file.len, 99).health, STL_TRUNCATED);
    memset(file.data + 80, 0, 4);
    assert_int_equal(read_in(file.data, 84, 84).health, STL_EMPTY);
    assert_int_equal(read_in(file.data, 200, 84).health, STL_MALFORMED);
}

/* Facets that somebody else read may stand where a facet may. */
static void runs(void **state)
{
    (void)state;
    struct stl_reader r;
    stl_begin(&r, NULL, NULL);
    stl_feed(&r, "solid x\n", 8);
    assert_true(stl_run(&r, STL_TEXT, 5, true));
    stl_feed(&r, FACET, strlen(FACET));
    assert_true(stl_run(&r, STL_TEXT, 7, true));
    stl_feed(&r, "endsolid\n", 9);
    assert_int_equal(stl_end(&r), STL_OK);
    assert_int_equal(r.facets, 13);
    stl_begin(&r, NULL, NULL);
    stl_feed(&r, "solid x\nfacet", 13);
    assert_false(stl_run(&r, STL_TEXT, 5, true));
    assert_int_equal(stl_end(&r), STL_MALFORMED);
    stl_begin(&r, NULL, NULL);
    assert_false(stl_run(&r, STL_TEXT, 5, true));
    stl_begin(&r, NULL, NULL);
    assert_false(stl_run(&r, STL_BINARY, 5, true));
    static const char before[] = "solid x\nfacet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 "
                                 "vertex 0 1 0 endloop endfacet";
    for (unsigned apart = 0; apart < 2; apart++) { /* a word that may end here, or may not */
        stl_begin(&r, NULL, NULL);
        stl_feed(&r, before, strlen(before));
        assert_int_equal(stl_run(&r, STL_TEXT, 5, apart), apart);
        assert_int_equal(r.facets, apart ? 6 : 0);
    }
    unsigned char head[84] = {0};
    head[80] = 9;
    stl_begin(&r, NULL, NULL);
    stl_feed(&r, head, sizeof(head));
    assert_true(stl_run(&r, STL_BINARY, 9, true));
    assert_false(stl_run(&r, STL_TEXT, 1, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases_in_pieces), cmocka_unit_test(values_are_read),
        cmocka_unit_test(cut_anywhere),        cmocka_unit_test(long_words_and_lines),
        cmocka_unit_test(binary_in_pieces),    cmocka_unit_test(runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
