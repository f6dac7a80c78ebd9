#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/layout.h"
#include "stl_case.h"

#include <errno.h>
#include <stdlib.h>

static void same_layout(const struct layout *a, const struct layout *b)
{
    assert_int_equal(a->binary, b->binary);
    assert_int_equal(a->float_normals, b->float_normals);
    assert_memory_equal(a->text, b->text, sizeof(a->text));
    assert_int_equal(a->vertex.style, b->vertex.style);
    assert_int_equal(a->vertex.precision, b->vertex.precision);
    assert_int_equal(a->vertex.upper, b->vertex.upper);
    assert_int_equal(a->vertex.blank, b->vertex.blank);
    assert_int_equal(a->normal.style, b->normal.style);
    assert_int_equal(a->normal.precision, b->normal.precision);
    assert_int_equal(a->normal.upper, b->normal.upper);
    assert_int_equal(a->normal.blank, b->normal.blank);
}

/* Packs, unpacks, compares; returns the packed length. Each shorter piece is refused. */
static size_t through(const struct layout *l)
{
    unsigned char packed[LAYOUT_PACKED_MAX];
    struct layout back;
    size_t len = layout_put(l, packed);
    assert_true(len <= sizeof(packed));
    struct view in = view_of(packed, len);
    assert_int_equal(layout_get(&in, &back), 0);
    assert_true(in.p == in.end);
    same_layout(l, &back);
    for (size_t n = 0; n < len; n++) {
        in = view_of(packed, n);
        assert_int_equal(layout_get(&in, &back), -EBADMSG);
    }
    return len;
}

static void guess(const struct hand *h, const char *nl, struct layout *l)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_torus(&text, h, nl, 12);
    assert_true(layout_guess(text.data, text.len, l));
}

/* What each hand writes is recognised, found again facet by facet, and its layout packs small. */
static void all_hands(void **state)
{
    (void)state;
    static const size_t most[HANDS] = {1, 1, 1, 1, 1, 1, 11, 140};
    for (unsigned i = 0; i < HANDS; i++)
        for (unsigned crlf = 0; crlf < 2; crlf++) {
            const char *nl = crlf ? "\r\n" : "\n";
            CLEANUP_BUF struct buf text = BUF_INIT;
            struct layout l;
            struct layout_facet f;
            write_torus(&text, &hands[i], nl, 12);
            guess(&hands[i], nl, &l);
            const char *p = text.data + strlen(hands[i].head) + strlen(nl);
            const char *end = text.data + text.len;
            for (unsigned k = 0; k < 288; k++, p = f.end) {
                float v[3], want[3][3];
                assert_true(layout_find(&l, p, end, &f));
                torus_facet(12, k, want);
                assert_true(layout_numbers(&l, 1, l.normal.blank, f.normal, f.normal_len, v));
                assert_true(layout_numbers(&l, 7, l.vertex.blank, f.vertex[1], f.vertex_len[1], v));
                assert_true(fabsf(v[0] - want[1][0]) < 1e-3F && fabsf(v[2] - want[1][2]) < 1e-3F);
            }
            assert_false(layout_find(&l, p, end, &f));
            size_t len = through(&l);
            assert_true(len <= (crlf && i > 1 && most[i] == 1 ? 11 : most[i] + 10 * crlf));
        }
}

static void formats_are_told(void **state)
{
    (void)state;
    struct layout l;
    guess(&hands[0], "\n", &l);
    assert_int_equal(l.vertex.precision, 17);
    assert_false(l.float_normals);
    guess(&hands[1], "\r\n", &l);
    assert_int_equal(l.vertex.precision, 6);
    assert_true(l.float_normals);
    guess(&hands[2], "\n", &l);
    assert_int_equal(l.vertex.style, NUMBER_E);
    assert_int_equal(l.vertex.precision, 8);
    assert_true(l.vertex.upper && l.vertex.blank && l.normal.blank);
    assert_int_equal(l.text[4].len, 1);
    guess(&hands[6], "\n", &l);
    assert_int_equal(l.vertex.style, NUMBER_F);
}

/* A first facet that another hand wrote does not mislead. */
static void odd_first_facet(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct layout l, want;
    float v[3][3];
    guess(&hands[0], "\n", &want);
    buf_str(&text, VTK_HEAD "\n");
    torus_facet(12, 0, v);
    write_facet(&text, &hands[2], "\n", v);
    for (unsigned f = 0; f < 288; f++) {
        torus_facet(12, f, v);
        write_facet(&text, &hands[0], "\n", v);
    }
    assert_true(layout_guess(text.data, text.len, &l));
    same_layout(&l, &want);
}

/* Layouts of any texts come through, regular or not. */
static void spelled_out(void **state)
{
    (void)state;
    struct layout l;
    guess(&hands[0], "\n", &l);
    assert_int_equal(through(&l), 1);
    l.normal.precision = 9;
    assert_int_equal(through(&l), 5);
    l.float_normals = true;
    assert_int_equal(through(&l), 5);
    memcpy(l.text[4].s, "  ", 2);
    l.text[4].len = 2;
    assert_true(through(&l) > 20);
    memset(l.text, 0, sizeof(l.text));
    assert_int_equal(through(&l), 18);
    for (unsigned i = 0; i < 6; i++) {
        l.text[i].len = LAYOUT_TEXT;
        memset(l.text[i].s, (int)('a' + i), LAYOUT_TEXT);
    }
    assert_true(through(&l) > 6 * LAYOUT_TEXT);
    layout_binary(&l);
    assert_int_equal(through(&l), 1);
}

static void hostile_layouts(void **state)
{
    (void)state;
    static const unsigned char bad[][12] = {
        {11},                               /* no layout of that number */
        {31},                               /* nor this */
        {3 | 32},                           /* a bit that means nothing */
        {2 | 128, 0, 0, 0, 0},              /* binary with formats */
        {0},                                /* spelled out without */
        {0 | 128, 65},                      /* a text too long */
        {0 | 128, 128},                     /* the same as itself */
        {0 | 128, 1, 'x', 130},             /* the same as a later one */
        {1 | 128, 41, 0, 0, 0, 0, 0, 0, 0}, /* an indent too large */
        {1 | 128, 1, 1, 1, 1, 1, 2, 0, 0},  /* no newline of that kind */
        {3 | 128, 0, 18, 0, 17},            /* precision */
        {3 | 128, 16, 17, 0, 17},           /* float where vertices are told */
        {3 | 128, 0, 17, 32, 17},           /* a bit that means nothing */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct layout l;
        struct view in = view_of(bad[i], sizeof(bad[i]));
        assert_int_equal(layout_get(&in, &l), -EBADMSG);
    }
    unsigned char much[1 + LAYOUT_TEXTS * (1 + LAYOUT_TEXT) + 4]; /* over LAYOUT_ALL_TEXTS */
    memset(much, 'x', sizeof(much));
    much[0] = 128;
    for (unsigned i = 0; i < LAYOUT_TEXTS; i++)
        much[1 + i * (1 + LAYOUT_TEXT)] = LAYOUT_TEXT;
    memset(much + sizeof(much) - 4, 0, 4);
    struct layout l;
    struct view in = view_of(much, sizeof(much));
    assert_int_equal(layout_get(&in, &l), -EBADMSG);
}

static void nothing_to_guess(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "solid\nendsolid\n",
        "facet",
        "facet normal 1 2 3\n",
        "facet facet facet",
        "facet normal x y z\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\n"
        "endfacet",
        "facet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 endloop endfacet\n",
        "facet normal 0 0 1\nouter loop\nvertex a b c\nvertex 1 0 0\nvertex 0 1 0\nendloop\n"
        "endfacet\n",
    };
    struct layout l;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(layout_guess(texts[i], strlen(texts[i]), &l));
}

static void find_reads_no_further(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct layout l;
    struct layout_facet f;
    float v[3][3];
    guess(&hands[0], "\r\n", &l);
    torus_facet(12, 3, v);
    write_facet(&text, &hands[0], "\r\n", v);
    for (size_t len = 0; len <= text.len; len++) {
        char *exact = malloc(len + 1); /* so that a sanitizer sees a read behind it */
        assert_non_null(exact);
        memcpy(exact + 1, text.data, len);
        assert_int_equal(layout_find(&l, exact + 1, exact + 1 + len, &f), len == text.len);
        assert_false(layout_numbers(&l, 4, false, exact + 1, len, v[0]));
        free(exact);
    }
    assert_true(layout_numbers(&l, 4, false, "1 2 3", 5, v[0]));
    assert_false(layout_numbers(&l, 4, false, "1 2 3 ", 6, v[0]));
    assert_false(layout_numbers(&l, 4, false, "1  2 3", 6, v[0]));
    assert_false(layout_numbers(&l, 4, false, " 1 2 3", 6, v[0]));
    assert_true(layout_numbers(&l, 4, true, " 1  2 -3", 8, v[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hands),
        cmocka_unit_test(formats_are_told),
        cmocka_unit_test(odd_first_facet),
        cmocka_unit_test(spelled_out),
        cmocka_unit_test(hostile_layouts),
        cmocka_unit_test(nothing_to_guess),
        cmocka_unit_test(find_reads_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
