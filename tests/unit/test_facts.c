#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/block.h"
#include "codec/facts.h"
#include "lib/real_data.h"
#include "stl_case.h"

#include <stdlib.h>

static struct codec *coder;
static struct facts_part *part;
static struct facts_sum *sum;

static int setup(void **state)
{
    (void)state;
    coder = codec_new(1);
    part = facts_part_new();
    sum = facts_new();
    return coder == NULL || part == NULL || sum == NULL;
}

static int teardown(void **state)
{
    (void)state;
    codec_free(&coder);
    facts_part_free(&part);
    facts_free(&sum);
    return coder != NULL || part != NULL || sum != NULL;
}

/* The facts of a file in blocks of `block` bytes. */
static struct facts facts_of(const void *text, size_t len, size_t block, const char *name)
{
    struct facts f;
    unsigned char *packed = malloc(codec_bound(block));
    assert_non_null(packed);
    facts_reset(sum);
    for (size_t at = 0; at < len; at += block) {
        size_t n = block < len - at ? block : len - at;
        (void)codec_encode(coder, (const char *)text + at, n, at, CODEC_FAST, packed, part);
        facts_add(sum, part);
    }
    facts_end(sum, name, &f);
    free(packed);
    return f;
}

/* Puts `to` in the place of the first `from`, which is as long. */
static void replace(struct buf *text, const char *from, const char *to)
{
    size_t len = strlen(from);
    char *at = memmem(text->data, text->len, from, len);
    assert_non_null(at);
    assert_int_equal(strlen(to), len);
    memcpy(at, to, len);
}

static void near(double is, double want)
{
    if (!(fabs(is - want) <= 1e-9 * fabs(want)))
        fail_msg("%.17g is not near %.17g", is, want);
}

/* The same but for the last bits of sums. */
static void same_facts(const struct facts *a, const struct facts *b)
{
    assert_int_equal(a->health, b->health);
    assert_int_equal(a->binary, b->binary);
    assert_int_equal(a->closed, b->closed);
    assert_int_equal(a->facets, b->facets);
    assert_int_equal(a->vertices, b->vertices);
    assert_memory_equal(a->min, b->min, sizeof(a->min));
    assert_memory_equal(a->max, b->max, sizeof(a->max));
    near(a->surface, b->surface);
    near(a->volume, b->volume);
}

static const int cube[12][3] = {{0, 2, 1}, {1, 2, 3}, {4, 5, 6}, {5, 7, 6}, {0, 1, 4}, {1, 5, 4},
                                {2, 6, 3}, {3, 6, 7}, {0, 4, 2}, {2, 4, 6}, {1, 3, 5}, {3, 7, 5}};

/* A cube of edge 2 at the origin, as text; leaves out the facets from `facets` on. */
static void write_cube(struct buf *text, unsigned facets, const char *zero)
{
    buf_str(text, "solid cube\n");
    for (unsigned f = 0; f < facets; f++) {
        buf_str(text, "facet normal 0 0 0\n outer loop\n");
        for (unsigned k = 0; k < 3; k++) {
            int v = cube[f][k];
            buf_fmt(text, "  vertex %s %s %s\n",
                    v & 1        ? "2"
                    : f % 2 != 0 ? zero
                                 : "0",
                    v & 2 ? "2" : "0", v & 4 ? "2" : zero);
        }
        buf_str(text, " endloop\nendfacet\n");
    }
    buf_str(text, "endsolid cube\n");
}

static void a_cube(void **state)
{
    (void)state;
    static const char *const zero[] = {"0", "-0", "0.0", "-0e-5"};
    for (unsigned i = 0; i < 4; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        write_cube(&text, 12, zero[i]);
        struct facts f = facts_of(text.data, text.len, text.len, "cube.stl");
        assert_int_equal(f.health, FACTS_OK);
        assert_false(f.binary);
        assert_true(f.closed);
        assert_int_equal(f.facets, 12);
        assert_int_equal(f.vertices, 8);
        for (unsigned k = 0; k < 3; k++)
            assert_true(f.min[k] == 0 && f.max[k] == 2);
        near(f.surface, 24);
        near(f.volume, 8);
        assert_int_equal(facts_of(text.data, text.len, 1000, "cube.STL").vertices, 8);
    }
}

static void an_open_cube(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 12; n++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        write_cube(&text, n, "0");
        struct facts f = facts_of(text.data, text.len, text.len, "x.stl");
        assert_int_equal(f.facets, n);
        assert_false(f.closed);
        near(f.surface, 2 * n);
    }
}

/* A facet that is turned round, and one that is there twice, make it not closed. */
static void not_closed(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_cube(&text, 12, "0");
    replace(&text, "  vertex 2 0 0", "  vertex 2 0 1");
    assert_false(facts_of(text.data, text.len, text.len, "x.stl").closed);
}

/* However it is cut into blocks, as text and as binary. */
static void blocks_make_no_difference(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= HANDS; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        if (i < HANDS)
            write_torus(&text, &hands[i], "\r\n", 30);
        else
            write_binary_torus(&text, 30);
        struct facts whole = facts_of(text.data, text.len, text.len, "x.stl");
        assert_int_equal(whole.health, FACTS_OK);
        assert_int_equal(whole.binary, i == HANDS);
        assert_int_equal(whole.facets, 1800);
        assert_int_equal(whole.vertices, 900);
        assert_true(whole.closed);
        static const size_t block[] = {100, 1009, 8192, 50000, 100001};
        for (size_t k = 0; k < sizeof(block) / sizeof(block[0]); k++) {
            struct facts f = facts_of(text.data, text.len, block[k], "x.stl");
            same_facts(&f, &whole);
        }
    }
}

static void other_names(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_cube(&text, 12, "0");
    static const char *const names[] = {"x.txt", "stl", "x.stl.gz", "", "x.stl "};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct facts f = facts_of(text.data, text.len, text.len, names[i]), none = {.health = 0};
        same_facts(&f, &none);
    }
    assert_int_equal(facts_of(text.data, 0, 1, "x.stl").health, FACTS_EMPTY);
    assert_int_equal(facts_of("%PDF", 4, 4, "x.stl").health, FACTS_MALFORMED);
    assert_string_equal(facts_health_name(FACTS_TRUNCATED), "truncated");
    assert_string_equal(facts_health_name(77), "unknown");
}

/* Numbers that are not finite are told as malformed and leave the others alone. */
static void not_finite(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT, binary = BUF_INIT;
    write_cube(&text, 12, "nan");
    struct facts odd = facts_of(text.data, text.len, text.len, "x.stl");
    assert_int_equal(odd.health, FACTS_MALFORMED);
    assert_int_equal(odd.facets, 12);
    assert_true(isfinite(odd.surface) && isfinite(odd.volume));
    write_binary_torus(&binary, 20);
    memcpy(binary.data + 84 + 50 * 10 + 12, "\0\0\xc0\x7f", 4);
    for (size_t block = 500; block < 100000; block += 49500) {
        struct facts f = facts_of(binary.data, binary.len, block, "x.stl");
        assert_int_equal(f.health, FACTS_MALFORMED);
        assert_int_equal(f.facets, 800);
        assert_true(isfinite(f.surface) && isfinite(f.volume) && f.max[0] < 150);
    }
}

static void two_solids(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_torus(&text, &hands[0], "\n", 20);
    write_torus(&text, &hands[0], "\n", 10);
    struct facts f = facts_of(text.data, text.len, text.len, "x.stl");
    assert_int_equal(f.health, FACTS_OK);
    assert_int_equal(f.facets, 1000);
    assert_true(f.closed);
    buf_str(&text, "more");
    assert_int_equal(facts_of(text.data, text.len, 7777, "x.stl").health, FACTS_MALFORMED);
}

static void real_samples(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum facts_health health;
        bool binary, closed;
        unsigned facets, vertices;
    } samples[] = {
        {"stl/s0605_vertebrae_T8.nii.g_1.stl", FACTS_OK, false, true, 10556, 5278},
        {"stl/s0000_rib_right_12.nii.g_1.stl", FACTS_OK, false, false, 88, 56},
        {"stl/binary_featuretype_upper_ext.STL", FACTS_OK, true, false, 3476, 2010},
        {"stl/derived_count_too_big_binary.stl", FACTS_TRUNCATED, true, false, 88, 56},
        {"stl/derived_truncated_binary.stl", FACTS_TRUNCATED, true, false, 40, 31},
        {"stl/derived_truncated_ascii_no_endsolid.stl", FACTS_TRUNCATED, false, false, 43, 33},
        {"stl/derived_tail_only_endsolid_no_solid.stl", FACTS_MALFORMED, false, false, 0, 0},
        {"stl/edge_ascii_utf8_name.stl", FACTS_OK, false, true, 116, 60},
        {"stl/edge_binary_blank_header.stl", FACTS_OK, true, true, 68, 36},
        {"stl/edge_binary_header_starts_solid_invalid_utf8.stl", FACTS_OK, true, true, 12, 8},
        {"stl/edge_empty_ascii.stl", FACTS_EMPTY, false, false, 0, 0},
        {"stl/edge_empty_binary_84B.stl", FACTS_EMPTY, true, false, 0, 0},
        {"stl/edge_multibody_ascii_Eformat.stl", FACTS_OK, false, false, 32, 20},
        {"stl/edge_soup_binary.stl", FACTS_OK, true, false, 100, 300},
        {"stl/edge_two_solids_ascii.stl", FACTS_OK, false, true, 24, 16},
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        if (!real_data(samples[i].name, &text))
            skip();
        for (size_t block = 1000; block <= CODEC_BLOCK_MAX; block += CODEC_BLOCK_MAX - 1000) {
            struct facts f = facts_of(text.data, text.len, block, samples[i].name);
            if (f.health != samples[i].health || f.binary != samples[i].binary ||
                f.closed != samples[i].closed || f.facets != samples[i].facets ||
                f.vertices != samples[i].vertices)
                fail_msg("%s: %s, %s, %u facets, %u vertices", samples[i].name,
                         facts_health_name(f.health), f.closed ? "closed" : "open",
                         (unsigned)f.facets, (unsigned)f.vertices);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cube),      cmocka_unit_test(an_open_cube),
        cmocka_unit_test(not_closed),  cmocka_unit_test(blocks_make_no_difference),
        cmocka_unit_test(other_names), cmocka_unit_test(not_finite),
        cmocka_unit_test(two_solids),  cmocka_unit_test(real_samples),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
