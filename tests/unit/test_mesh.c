/* The mesh coder: every mesh comes back bit for bit, whatever it is; damaged bytes are refused or
 * give some mesh within its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "codec/mesh_i.h"
#include "codec/small_i.h"
#include "lib/meshes.h"
#include "lib/real_data.h"

#include <errno.h>

enum { FACETS = 6000 };

struct bench {
    struct mesh_coder *coder, *reader;
    struct mesh back;
    unsigned char *out;
    size_t cap;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->coder = mesh_coder_new(FACETS, 1);
    b->reader = mesh_coder_new(FACETS, 0);
    b->cap = mesh_bound(FACETS, 3 * FACETS);
    b->out = malloc(b->cap);
    b->back = (struct mesh){0, 0, malloc(12 * (FACETS + 1)), malloc(36 * (FACETS + 1))};
    assert_true(b->coder != NULL && b->reader != NULL && b->out != NULL);
    assert_true(b->back.ref != NULL && b->back.xyz != NULL);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    mesh_coder_free(&b->coder);
    assert_null(b->coder);
    mesh_coder_free(&b->coder);
    mesh_coder_free(&b->reader);
    free(b->out);
    free(b->back.ref);
    free(b->back.xyz);
    free(b);
    return 0;
}

static void assert_same(const struct mesh *a, const struct mesh *b)
{
    assert_int_equal(a->facets, b->facets);
    assert_int_equal(a->vertices, b->vertices);
    if (a->facets == 0)
        return;
    assert_memory_equal(a->ref, b->ref, 12 * (size_t)a->facets);
    assert_memory_equal(a->xyz, b->xyz, 12 * (size_t)a->vertices);
}

/* There and back in both efforts, by a coder that was used before and by one that only reads;
 * returns the length of the last. The exact capacity does. */
static size_t both_ways(struct bench *b, const struct mesh *m)
{
    size_t len = 0;
    for (unsigned effort = MESH_FAST; effort <= MESH_SMALL; effort++) {
        len = mesh_encode(b->coder, m, effort, b->out, mesh_bound(m->facets, m->vertices));
        assert_true(len > 0 && len <= mesh_bound(m->facets, m->vertices));
        assert_int_equal(mesh_decode(b->reader, b->out, len, m->facets, m->vertices, &b->back), 0);
        assert_same(m, &b->back);
        assert_int_equal(mesh_decode(b->coder, b->out, len, FACETS, 3 * FACETS, &b->back), 0);
        assert_same(m, &b->back);
    }
    return len;
}

/* ------------------------------------------------------------------ meshes of all kinds */

static void test_all_sizes(void **state)
{
    struct bench *b = *state;
    struct mesh m;
    for (uint32_t n = 0; n < 40; n++) {
        meshes_random(&m, n, n, 7 * n);
        (void)both_ways(b, &m);
        meshes_free(&m);
    }
}

static void test_torus(void **state)
{
    struct bench *b = *state;
    struct mesh m;
    for (unsigned n = 3; n < 55; n += 4) {
        meshes_torus(&m, n, n, 0);
        size_t len = both_ways(b, &m);
        if (m.facets > 2000)
            assert_true(len < 5 * (size_t)m.facets);
        meshes_free(&m);
    }
}

/* A sheet is open at its border; a fan has hundreds of open edges at one vertex. */
static void test_open_and_crowded(void **state)
{
    struct bench *b = *state;
    struct mesh m;
    meshes_torus(&m, 40, 31, 1);
    (void)both_ways(b, &m);
    meshes_free(&m);
    meshes_fan(&m, 500);
    (void)both_ways(b, &m);
    meshes_free(&m);
}

/* Random references: degenerate facets, facets twice, edges of many facets, turned ones. */
static void test_non_manifold(void **state)
{
    struct bench *b = *state;
    struct mesh m;
    for (uint32_t vertices = 1; vertices < 2000; vertices = vertices * 3 + 1) {
        meshes_random(&m, 3000, vertices, vertices);
        (void)both_ways(b, &m);
        meshes_free(&m);
    }
}

static void test_soup(void **state)
{
    struct bench *b = *state;
    struct mesh m;
    meshes_random(&m, FACETS, 3 * FACETS, 5);
    (void)both_ways(b, &m);
    assert_int_equal(m.vertices, 3 * FACETS);
    meshes_free(&m);
}

/* NaN of any payload, infinities, -0, denormals, sums that overflow. */
static void test_any_bits(void **state)
{
    struct bench *b = *state;
    static const uint32_t special[] = {0x7fc00000, 0xffc00001, 0x7f800001, 0x7f800000, 0xff800000,
                                       0x80000000, 0x00000000, 0x00000001, 0x807fffff, 0x7f7fffff,
                                       0xff7fffff, 0x7fffffff, 0xffffffff};
    struct mesh m;
    for (unsigned every = 1; every < 400; every = every * 2 + 1) {
        meshes_torus(&m, 25, 25, 0);
        for (uint32_t i = 0; i < 3 * m.vertices; i += every)
            memcpy(m.xyz + i, &special[i / every % (sizeof(special) / 4)], 4);
        (void)both_ways(b, &m);
        meshes_free(&m);
    }
}

/* Nothing can be predicted: the most bytes that there may be, by coders that are just large enough.
 */
static void test_noise_as_mesh(void **state)
{
    struct bench *b = *state;
    uint64_t seed = 1;
    for (uint32_t facets = 1; facets <= MESH_SMALL_FACETS; facets = facets * 3 + 1)
        for (uint32_t share = 1; share < 64; share *= 4) {
            struct bench exact = *b;
            struct mesh m;
            meshes_random(&m, facets, 1 + 3 * facets / share, facets);
            for (uint32_t i = 0; i < 3 * m.vertices; i++) {
                uint32_t bits = meshes_chance(&seed);
                memcpy(m.xyz + i, &bits, sizeof(bits));
            }
            exact.coder = mesh_coder_new(facets, 1);
            exact.reader = mesh_coder_new(facets, 0);
            exact.cap = mesh_bound(m.facets, m.vertices);
            exact.out = malloc(exact.cap);
            assert_true(exact.coder != NULL && exact.reader != NULL && exact.out != NULL);
            (void)both_ways(&exact, &m);
            mesh_coder_free(&exact.coder);
            mesh_coder_free(&exact.reader);
            free(exact.out);
            meshes_free(&m);
        }
}

static void test_planes(void **state)
{
    struct bench *b = *state;
    struct mesh m;
    meshes_torus(&m, 50, 50, 1);
    for (uint32_t i = 0; i < m.vertices; i++)
        m.xyz[3 * i] = (float)(i % 50), m.xyz[3 * i + 1] = (float)(i / 50);
    assert_true(both_ways(b, &m) < m.facets);
    assert_int_equal(b->coder->shape.planes, 1);
    meshes_free(&m);
}

/* ------------------------------------------------------------------ limits, damage */

static void test_limits(void **state)
{
    struct bench *b = *state;
    struct mesh m;
    meshes_torus(&m, 20, 20, 0);
    size_t cap = mesh_bound(m.facets, m.vertices);
    assert_int_equal(mesh_encode(b->coder, &m, MESH_FAST, b->out, cap - 1), 0);
    size_t len = mesh_encode(b->coder, &m, MESH_FAST, b->out, cap);
    assert_true(len > 0);
    assert_int_equal(mesh_decode(b->reader, b->out, len, m.facets - 1, m.vertices, &b->back),
                     -EBADMSG);
    assert_int_equal(mesh_decode(b->reader, b->out, len, m.facets, m.vertices - 1, &b->back),
                     -EBADMSG);
    struct mesh_coder *tiny = mesh_coder_new(m.facets - 1, 1);
    assert_non_null(tiny);
    assert_int_equal(mesh_encode(tiny, &m, MESH_FAST, b->out, b->cap), 0);
    assert_int_equal(mesh_decode(tiny, b->out, len, FACETS, 3 * FACETS, &b->back), -EBADMSG);
    mesh_coder_free(&tiny);
    meshes_free(&m);
}

/* Decodes into memory that ends where the caps say. */
static void damaged(struct bench *b, const unsigned char *in, size_t len)
{
    enum { CAP = 900 };
    unsigned char *copy = malloc(len + 1);
    uint32_t *ref = malloc(12 * CAP);
    float *xyz = malloc(36 * CAP);
    assert_true(copy != NULL && ref != NULL && xyz != NULL);
    memcpy(copy, in, len);
    struct mesh m = {0, 0, ref, xyz};
    int r = mesh_decode(b->reader, copy, len, CAP, 3 * CAP, &m);
    assert_true(r == 0 || r == -EBADMSG);
    if (r == 0) {
        assert_true(m.facets <= CAP && m.vertices <= 3 * CAP);
        for (uint32_t i = 0; i < 3 * m.facets; i++)
            assert_true(m.ref[i] < m.vertices);
    }
    free(copy);
    free(ref);
    free(xyz);
}

static void damage_all(struct bench *b, const struct mesh *m, bool cut_is_bad)
{
    size_t len = mesh_encode(b->coder, m, MESH_FAST, b->out, b->cap);
    struct mesh back = b->back;
    for (size_t i = 0; i < len; i++) {
        damaged(b, b->out, i);
        if (cut_is_bad)
            assert_int_equal(mesh_decode(b->reader, b->out, i, FACETS, 3 * FACETS, &back),
                             -EBADMSG);
        for (unsigned bit = 0; bit < 8; bit++) {
            b->out[i] ^= (unsigned char)(1 << bit);
            damaged(b, b->out, len);
            b->out[i] ^= (unsigned char)(1 << bit);
        }
    }
}

static void test_damaged_small(void **state)
{
    struct mesh m;
    meshes_torus(&m, 9, 8, 0);
    damage_all(*state, &m, false);
    meshes_free(&m);
}

static void test_damaged_streams(void **state)
{
    struct mesh m;
    meshes_torus(&m, 9, 8, 0);
    for (uint32_t i = 0; i < 3 * m.vertices; i++)
        m.xyz[i] = (float)(i % 4);
    m.xyz[0] = 1e30F;
    damage_all(*state, &m, true);
    meshes_free(&m);
}

static void test_noise(void **state)
{
    struct bench *b = *state;
    unsigned char in[400];
    uint64_t seed = 3;
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = meshes_chance(&seed) % sizeof(in);
        for (size_t k = 0; k < len; k++)
            in[k] = (unsigned char)meshes_chance(&seed);
        in[0] = (unsigned char)(i % 3);
        damaged(b, in, len);
    }
}

/* ------------------------------------------------------------------ tables, real shapes */

static void test_tables_are_documented(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    assert_int_equal(fsio_read_file(TEST_SOURCE_DIR "/../docs/small-tables.txt", 1 << 20, &text),
                     0);
    const char *p = buf_cstr(&text);
    for (unsigned i = 0; i < SMALL_PROBABILITIES; i++) {
        char *end;
        assert_int_equal(strtoul(p, &end, 10), small_table[i]);
        assert_true(end > p && small_table[i] > 0);
        p = end;
    }
    assert_int_equal(strspn(p, " \n"), strlen(p));
    buf_free(&text);
}

/* The packed sizes of meshes that never change are a part of the format, so to say. */
static void test_real_shapes(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *name;
        double bytes; /* a facet, at most */
    } shape[] = {
        {"s0605_vertebrae_T12", 6.8}, {"s0000_rib_right_12", 4.7}, {"s0606_iliopsoas_left", 4.4},
        {"s0606_duodenum", 4.5},      {"s0606_gallbladder", 4.4},  {"s0000_iliac_vena_right", 3.7},
        {"s0606_kidney_right", 4.05}, {"s0000_sacrum", 3.85},
    };
    for (unsigned i = 0; i < sizeof(shape) / sizeof(shape[0]); i++) {
        char name[80];
        struct buf text = BUF_INIT;
        struct mesh m;
        (void)snprintf(name, sizeof(name), "stl/%s.nii.g_1.stl", shape[i].name);
        if (!real_data(name, &text))
            skip();
        meshes_parse(&m, buf_cstr(&text));
        assert_true((double)both_ways(b, &m) < shape[i].bytes * m.facets);
        meshes_free(&m);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_and_crowded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_non_manifold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_soup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_noise_as_mesh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_planes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_small, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
        cmocka_unit_test(test_tables_are_documented),
        cmocka_unit_test_setup_teardown(test_real_shapes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
