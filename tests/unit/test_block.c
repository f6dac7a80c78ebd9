#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coder_case.h"
#include "lib/real_data.h"
#include "stl_case.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A packed block and its text. */
struct packed {
    const char *text;
    size_t text_len, len;
    unsigned char *bytes;
};

/* Compares text[off, off + len) as read from an open block; sees what is written beside it. */
static void read_range(const struct packed *p, const struct codec_open *o, size_t off, size_t len)
{
    char *out = malloc(len + 2);
    assert_non_null(out);
    out[0] = out[len + 1] = 'G';
    assert_int_equal(codec_read(coder, o, off, len, out + 1), 0);
    assert_memory_equal(out + 1, p->text + off, len);
    assert_true(out[0] == 'G' && out[len + 1] == 'G');
    free(out);
}

static void check_decode(const struct packed *p)
{
    char *out = malloc(p->text_len + 1);
    assert_non_null(out);
    out[p->text_len] = 'G';
    assert_int_equal(codec_decode(coder, p->bytes, p->len, out, p->text_len), 0);
    assert_memory_equal(out, p->text, p->text_len);
    assert_int_equal(out[p->text_len], 'G');
    free(out);
}

/* Packs, unpacks whole and in ranges, compares; the caller frees p.bytes. */
static struct packed through(const void *text, size_t len, uint64_t offset,
                             enum codec_effort effort)
{
    struct packed p = {.text = text, .text_len = len, .bytes = malloc(codec_bound(len))};
    struct codec_open *o;
    uint64_t seed = 88172645463325252U;
    assert_non_null(p.bytes);
    p.len = codec_encode(coder, text, len, offset, effort, p.bytes, NULL);
    assert_in_range(p.len, CODEC_HEAD + 1, codec_bound(len));
    check_decode(&p);
    assert_int_equal(codec_open(coder, p.bytes, p.len, len, &o), 0);
    read_range(&p, o, 0, len);
    for (unsigned i = 0; i < 40; i++) {
        size_t off = (size_t)(next(&seed) % len);
        size_t n = (size_t)(next(&seed) % (i % 2 == 0 ? 5000 : len)) + 1;
        read_range(&p, o, off, n < len - off ? n : len - off);
    }
    codec_close(&o);
    assert_null(o);
    return p;
}

static unsigned char id_of(const void *text, size_t len)
{
    struct packed p = through(text, len, 0, CODEC_FAST);
    unsigned char id = p.bytes[0];
    free(p.bytes);
    return id;
}

/* ---- layouts ---- */

static void all_hands(void **state)
{
    (void)state;
    static const double least[HANDS] = {45, 12, 30, 40, 15, 25, 15, 35};
    for (unsigned i = 0; i < HANDS; i++)
        for (unsigned turn = 0; turn < 4; turn++) {
            CLEANUP_BUF struct buf text = BUF_INIT;
            write_torus(&text, &hands[i], turn % 2 != 0 ? "\r\n" : "\n", 40);
            struct packed p =
                through(text.data, text.len, 0, turn / 2 != 0 ? CODEC_SMALL : CODEC_FAST);
            double ratio = (double)text.len / (double)p.len;
            if (p.bytes[0] != CODEC_MESH || ratio < least[i])
                fail_msg("%s: %s, ratio %.1f", hands[i].name, codec_name(p.bytes[0]), ratio);
            free(p.bytes);
        }
}

static void every_size(void **state)
{
    (void)state;
    for (unsigned side = 1; side < 12; side++)
        for (unsigned i = 0; i < HANDS; i++) {
            CLEANUP_BUF struct buf text = BUF_INIT;
            write_torus(&text, &hands[i], "\r\n", side);
            (void)id_of(text.data, text.len);
        }
}

/* A file in two blocks, cut anywhere. */
static void cut_anywhere(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        if (i == 0)
            write_torus(&text, &hands[0], "\r\n", 2);
        else
            write_binary_torus(&text, 3);
        for (size_t cut = 1; cut < text.len; cut++) {
            struct packed a = through(text.data, cut, 0, CODEC_FAST);
            struct packed b = through(text.data + cut, text.len - cut, cut, CODEC_FAST);
            free(a.bytes);
            free(b.bytes);
        }
    }
}

/* Each range of a small block, and the ends of all steps of a larger one. */
static void all_ranges(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct codec_open *o;
    write_torus(&text, &hands[0], "\r\n", 2);
    struct packed p = through(text.data, text.len, 0, CODEC_FAST);
    assert_int_equal(codec_open(coder, p.bytes, p.len, p.text_len, &o), 0);
    for (size_t off = 0; off < text.len; off++)
        for (size_t len = 0; len <= text.len - off; len += len < 20 ? 1 : 97)
            read_range(&p, o, off, len);
    codec_close(&o);
    free(p.bytes);
    buf_clear(&text);
    write_torus(&text, &hands[0], "\n", 60);
    p = through(text.data, text.len, 0, CODEC_FAST);
    assert_int_equal(codec_open(coder, p.bytes, p.len, p.text_len, &o), 0);
    assert_in_range(codec_open_size(o), 7200 * 12, 7200 * 25);
    for (size_t off = 0; off + 300 < text.len; off += 997)
        read_range(&p, o, off, off % 3 == 0 ? 300 : 1);
    codec_close(&o);
    free(p.bytes);
}

/* ---- what is no plain mesh ---- */

/* The text of a torus with one facet in the middle replaced. */
static void with_facet(struct buf *text, const char *facet)
{
    float v[3][3];
    buf_fmt(text, VTK_HEAD "\n");
    for (unsigned f = 0; f < 2 * 16 * 16; f++) {
        torus_facet(16, f, v);
        if (f == 300)
            buf_str(text, facet);
        else
            write_facet(text, &hands[0], "\n", v);
    }
    buf_fmt(text, "endsolid\n");
}

/* One odd facet among many costs its own text, no more. */
static void odd_facets(void **state)
{
    (void)state;
    static const char *const odd[] = {
        " facet normal 0 0 1\n  outer loop\n   vertex 1 2 3\n   vertex 4 5 6\n   vertex 7 8 10\n"
        "  endloop\n endfacet\n",
        " facet normal nan nan nan\n  outer loop\n   vertex 1 2 3\n   vertex 4 5 6\n   vertex 7 8 "
        "9\n  endloop\n endfacet\n",
        " facet normal 0 0 1\n  outer loop\n   vertex inf -inf nan\n   vertex 4 5 6\n   vertex 7 8 "
        "9\n  endloop\n endfacet\n",
        " facet normal 0 0 1\n  outer loop\n   vertex 0.123456789012345678901234567890 2 3\n"
        "   vertex 4 5 6\n   vertex 7 8 9\n  endloop\n endfacet\n",
        " facet normal 0 0 1\n  outer loop\n   vertex 1 2\n  endloop\n endfacet\n",
        " facet normal 0 0 1\n  outer loop\n  endloop\n endfacet\n",
        " facet normal 0 0 1\r\n  outer loop\r\n   vertex 1 2 3\r\n   vertex 4 5 6\r\n   vertex 7 "
        "8 "
        "9\r\n  endloop\r\n endfacet\r\n",
        "\tFACET NORMAL 0 0 1\n\tOUTER LOOP\nVERTEX 1E0 2 3\nvertex 4 5 6\nvertex 7 8 9\nENDLOOP\n"
        "ENDFACET\n",
        " facet normal 0 0 1\n  outer loop\n   vertex 1.0 02 +3\n   vertex 4 5 6\n   vertex 7 8 9\n"
        "  endloop\n endfacet\n",
        "endsolid\nsolid the second\n",
        "\n\n\n",
        "  outer loop\n   vertex 1 2 3\n",
        "\xff\xfe and\0a NUL\n",
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        with_facet(&text, odd[i]);
        struct packed p = through(text.data, text.len, 0, CODEC_FAST);
        if (p.bytes[0] != CODEC_MESH || p.len * 25 > p.text_len)
            fail_msg("odd facet %zu: %s, %zu bytes", i, codec_name(p.bytes[0]), p.len);
        free(p.bytes);
    }
}

/* Every 40th normal is wrong, or all are. */
static void wrong_normals(void **state)
{
    (void)state;
    for (unsigned every = 1; every <= 40; every += 39) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        buf_str(&text, "solid\n");
        for (unsigned f = 0; f < 800; f++) {
            float v[3][3];
            size_t from = text.len;
            torus_facet(20, f, v);
            write_facet(&text, &hands[0], "\n", v);
            char *n = memmem(text.data + from, text.len - from, "normal ", 7);
            if (f % every == 0)
                n[n[7] == '-' ? 8 : 7] = '7';
        }
        assert_int_equal(id_of(text.data, text.len), every == 1 ? CODEC_ZSTD : CODEC_MESH);
    }
}

static void other_bytes(void **state)
{
    (void)state;
    uint64_t seed = 1;
    unsigned char noise[5000];
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (unsigned char)next(&seed);
    assert_int_equal(id_of(noise, sizeof(noise)), CODEC_RAW);
    assert_int_equal(id_of("x", 1), CODEC_RAW);
    memset(noise, 'x', sizeof(noise));
    assert_int_equal(id_of(noise, sizeof(noise)), CODEC_ZSTD);
    memset(noise, 0, sizeof(noise)); /* a binary file of points, for what it is worth */
    (void)id_of(noise, sizeof(noise));
    CLEANUP_BUF struct buf line = BUF_INIT;
    while (line.len < CODEC_BLOCK_MAX)
        buf_str(&line, " facet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 "
                       "endloop endfacet");
    assert_int_equal(id_of(line.data, CODEC_BLOCK_MAX), CODEC_ZSTD);
    buf_clear(&line);
    while (line.len < CODEC_BLOCK_MAX)
        buf_str(&line, "facet\n");
    assert_int_equal(id_of(line.data, CODEC_BLOCK_MAX), CODEC_ZSTD);
}

/* Facets of zero size, minus zero, denormal and huge numbers. */
static void hard_numbers(void **state)
{
    (void)state;
    static const float values[] = {0, -0.0F, 1e-45F, -1e-40F, 3e38F, 1.5F, -1e20F, 1e17F, 1e-30F};
    enum { VALUES = sizeof(values) / sizeof(values[0]) };
    CLEANUP_BUF struct buf text = BUF_INIT;
    uint64_t seed = 7;
    buf_str(&text, "solid\n");
    for (unsigned f = 0; f < 500; f++) {
        float v[3][3];
        for (unsigned k = 0; k < 9; k++)
            v[k / 3][k % 3] = values[next(&seed) % VALUES];
        if (f % 5 == 0)
            memcpy(v[2], v[0], sizeof(v[0]));
        write_facet(&text, &hands[0], "\n", v);
    }
    assert_int_equal(id_of(text.data, text.len), CODEC_MESH);
}

/* ---- binary ---- */

static void binary_blocks(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT;
    write_binary_torus(&file, 40);
    struct packed p = through(file.data, file.len, 0, CODEC_FAST);
    assert_int_equal(p.bytes[0], CODEC_MESH);
    assert_true(p.len * 8 < p.text_len);
    size_t plain = p.len;
    free(p.bytes);
    for (size_t off = 1; off < 200; off += 13) {
        p = through(file.data + off, file.len - off, off, CODEC_FAST);
        assert_int_equal(p.bytes[0], CODEC_MESH);
        free(p.bytes);
    }
    file.data[84 + 50 * 1000 + 48] = 7; /* an attribute */
    file.data[84 + 50 * 1001 + 3] = 1;  /* a wrong normal */
    p = through(file.data, file.len, 0, CODEC_SMALL);
    assert_int_equal(p.bytes[0], CODEC_MESH);
    assert_true(p.len < plain + 200);
    free(p.bytes);
    for (unsigned k = 0; k < 12; k++) /* nan, with bits of its own */
        memcpy(file.data + 84 + (size_t)50 * 100 * k + 4 * k, "\x55\x01\xc0\x7f", 4);
    assert_int_equal(id_of(file.data, file.len), CODEC_MESH);
}

static void largest_blocks(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT;
    uint64_t seed = 5;
    write_binary_torus(&file, 210);
    assert_true(file.len >= CODEC_BLOCK_MAX);
    assert_int_equal(id_of(file.data, CODEC_BLOCK_MAX), CODEC_MESH);
    for (size_t i = 84; i + 50 <= file.len; i += 50) /* no vertex twice */
        for (size_t k = 12; k < 48; k += 4)
            file.data[i + k] = (char)next(&seed);
    (void)id_of(file.data, CODEC_BLOCK_MAX);
    buf_clear(&file);
    for (unsigned f = 0; file.len < CODEC_BLOCK_MAX; f++) /* the shortest facets */
        buf_fmt(&file,
                "facet normal 0 0 0\nouter loop\nvertex %u 0 0\nvertex 0 %u 0\nvertex 0 0 %u"
                "\nendloop\nendfacet\n",
                f, f, f);
    (void)id_of(file.data, CODEC_BLOCK_MAX);
}

/* ---- the marks ---- */

static void real_samples(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double least;
    } samples[] = {
        {"stl/s0000_rib_right_12.nii.g_1.stl", 60},
        {"stl/s0605_vertebrae_T12.nii.g_1.stl", 44},
        {"stl/s0606_iliopsoas_left.nii.g_1.stl", 65},
        {"stl/s0606_duodenum.nii.g_1.stl", 65},
        {"stl/s0606_gallbladder.nii.g_1.stl", 68},
        {"stl/s0000_iliac_vena_right.nii.g_1.stl", 80},
        {"stl/s0606_kidney_right.nii.g_1.stl", 74},
        {"stl/s0000_sacrum.nii.g_1.stl", 78},
        {"stl/s0605_vertebrae_T8.nii.g_1.stl", 82},
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        if (!real_data(samples[i].name, &text))
            skip();
        struct packed p = through(text.data, text.len, 0, CODEC_FAST);
        if ((double)text.len < samples[i].least * (double)p.len)
            fail_msg("%s: %zu of %zu bytes", samples[i].name, p.len, text.len);
        free(p.bytes);
    }
}

/* A small shape costs no more than a few bytes besides its mesh. */
static void same_bytes_each_time(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_torus(&text, &hands[0], "\r\n", 6);
    struct packed p = through(text.data, text.len, 0, CODEC_FAST);
    static const unsigned char head[] = {CODEC_MESH, 1, 4, 0, 1, 2, 72, 4};
    assert_memory_equal(p.bytes, head, sizeof(head));
    struct codec *fresh = codec_new(1);
    assert_non_null(fresh);
    unsigned char *again = malloc(codec_bound(text.len));
    assert_non_null(again);
    assert_int_equal(codec_encode(fresh, text.data, text.len, 0, CODEC_FAST, again, NULL), p.len);
    assert_memory_equal(again, p.bytes, p.len);
    free(again);
    free(p.bytes);
    codec_free(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hands),     cmocka_unit_test(every_size),
        cmocka_unit_test(cut_anywhere),  cmocka_unit_test(all_ranges),
        cmocka_unit_test(odd_facets),    cmocka_unit_test(wrong_normals),
        cmocka_unit_test(other_bytes),   cmocka_unit_test(hard_numbers),
        cmocka_unit_test(binary_blocks), cmocka_unit_test(largest_blocks),
        cmocka_unit_test(real_samples),  cmocka_unit_test(same_bytes_each_time),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
