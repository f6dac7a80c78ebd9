#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/form.h"
#include "coder_case.h"
#include "stl_case.h"

#include <errno.h>
#include <stdlib.h>

/* Unpacks into memory of exactly that size; the bytes come at the end of memory of their own, so
 * that a sanitizer sees a read or a write too far. */
static int decode(const unsigned char *bytes, size_t len, size_t text_len)
{
    unsigned char *in = malloc(len + 1), *out = malloc(text_len + 1);
    struct codec_open *o;
    assert_true(in != NULL && out != NULL);
    memcpy(in + 1, bytes, len);
    int r = codec_decode(coder, in + 1, len, out, text_len);
    int s = codec_open(coder, in + 1, len, text_len, &o);
    if (s == 0) {
        unsigned char *again = malloc(text_len + 1);
        assert_non_null(again);
        assert_in_range(codec_open_size(o), 1, 12 << 20);
        assert_int_equal(codec_read(coder, o, 0, text_len, again), r);
        if (r == 0)
            assert_memory_equal(again, out, text_len);
        for (size_t off = 0; off < text_len; off += text_len / 3 + 1)
            (void)codec_read(coder, o, off, text_len - off < 100 ? text_len - off : 100, again);
        free(again);
        codec_close(&o);
    } else {
        assert_int_equal(r, s);
        assert_null(o);
    }
    free(in);
    free(out);
    return r;
}

static size_t pack(const struct buf *text, unsigned char **bytes)
{
    *bytes = malloc(codec_bound(text->len));
    assert_non_null(*bytes);
    return codec_encode(coder, text->data, text->len, 0, CODEC_FAST, *bytes, NULL);
}

static void sample(unsigned i, struct buf *text)
{
    if (i < HANDS)
        write_torus(text, &hands[i], "\r\n", i == 0 ? 11 : 5);
    else if (i == HANDS)
        write_binary_torus(text, 9);
    else
        buf_fmt(text, "%s", "some text that is no shape at all, all at all, at all, no, no, no");
}

static void cut_short(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HANDS + 2; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        unsigned char *bytes;
        sample(i, &text);
        size_t len = pack(&text, &bytes);
        assert_int_equal(decode(bytes, len, text.len), 0);
        /* The last bytes of a range coder may say nothing, and where all numbers print as long,
         * any mesh will do: the checksums of those who keep blocks find that. */
        for (size_t n = 0; n < len; n++)
            if (decode(bytes, n, text.len) == 0 && (n < CODEC_HEAD + 5 || (i == 0 && len - n > 5)))
                fail_msg("sample %u: %zu of %zu bytes do", i, n, len);
        free(bytes);
    }
}

/* Every byte changed in some ways: no harm, and the next block is well again. */
static void changed(void **state)
{
    (void)state;
    static const unsigned char with[] = {0xff, 0x01, 0x80, 0x40};
    for (unsigned i = 0; i < HANDS + 2; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        unsigned char *bytes;
        sample(i, &text);
        size_t len = pack(&text, &bytes);
        for (size_t at = 0; at < len; at++)
            for (size_t k = 0; k < sizeof(with); k++) {
                bytes[at] ^= with[k];
                int r = decode(bytes, len, text.len);
                assert_true(r == 0 || r == -EBADMSG || (r == -ENOTSUP && at < CODEC_HEAD));
                bytes[at] ^= with[k];
            }
        assert_int_equal(decode(bytes, len, text.len), 0);
        free(bytes);
    }
}

static void wrong_length(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HANDS + 2; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        unsigned char *bytes;
        sample(i, &text);
        size_t len = pack(&text, &bytes);
        const size_t wrong[] = {0,
                                1,
                                text.len - 1,
                                text.len + 1,
                                text.len / 2,
                                text.len * 2,
                                CODEC_BLOCK_MAX,
                                (size_t)CODEC_BLOCK_MAX + 1,
                                SIZE_MAX / 4};
        for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++)
            if (wrong[k] <= CODEC_BLOCK_MAX)
                assert_int_equal(decode(bytes, len, wrong[k]), -EBADMSG);
            else
                assert_int_equal(codec_decode(coder, bytes, len, bytes, wrong[k]), -EBADMSG);
        free(bytes);
    }
}

static void heads(void **state)
{
    (void)state;
    unsigned char bytes[] = {CODEC_RAW, 1, 'a', 'b'};
    assert_int_equal(decode(bytes, 4, 2), 0);
    assert_int_equal(decode(bytes, 4, 3), -EBADMSG);
    assert_int_equal(decode(bytes, 1, 1), -EBADMSG);
    bytes[1] = 2;
    assert_int_equal(decode(bytes, 4, 2), -ENOTSUP);
    bytes[1] = 0;
    assert_int_equal(decode(bytes, 4, 2), -ENOTSUP);
    bytes[1] = 1;
    bytes[0] = 3;
    assert_int_equal(decode(bytes, 4, 2), -ENOTSUP);
    bytes[0] = 16;
    assert_int_equal(decode(bytes, 4, 2), -ENOTSUP);
    assert_string_equal(codec_name(CODEC_MESH), "mesh");
    assert_string_equal(codec_name(99), "unknown");
}

/* Outer forms that lie. */
static void forms(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[16];
        int result;
    } cases[] = {
        {{3, 0, 1, 0, 5, 0}, 0},                 /* five facets, no literal */
        {{3, 0, 1, 1, 5, 3}, 0},                 /* with head and tail of VTK */
        {{3, 0, 0, 0}, -EBADMSG},                /* no run */
        {{3, 0, 0x81, 0x10, 0}, -EBADMSG},       /* 2049 runs */
        {{3, 0, 1, 0, 0, 0}, -EBADMSG},          /* a run of nothing */
        {{3, 0, 1, 10, 5, 0}, -EBADMSG},         /* no known text of that number */
        {{3, 8, 1, 0, 5, 0}, -EBADMSG},          /* a flag that means nothing */
        {{3, 2, 1, 0, 5, 0}, -EBADMSG},          /* normals where they are doubles */
        {{3, 4, 1, 0, 5, 0}, -EBADMSG},          /* attributes of a text */
        {{3, 1, 1, 0, 5, 0}, -EBADMSG},          /* packed literals where none are */
        {{3, 0, 1, 0, 0x80, 0x40, 0}, -EBADMSG}, /* more facets than text */
        {{3, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}, -EBADMSG},
        {{3, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0}, -EBADMSG}, /* over 32 bits */
        {{3, 0, 1, 0xf0, 0xff, 0xff, 0xff, 0x0f, 5, 0}, -EBADMSG}, /* a literal over the text */
        {{2, 0, 1, 0, 5, 0}, -EBADMSG}, /* binary: not 50 bytes a facet */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct form f;
        unsigned flags;
        struct view in = view_of(cases[i].bytes, sizeof(cases[i].bytes));
        assert_int_equal(form_get_head(&in, 2000, &f, &flags), cases[i].result);
    }
}

static void varints(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 127, 128, 16383, 16384, 1 << 21, 1 << 28, UINT32_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        unsigned char bytes[8];
        size_t len = form_put_varint(values[i], bytes);
        struct view in = view_of(bytes, len);
        assert_int_equal(form_get_varint(&in), values[i]);
        assert_int_equal(in.err, 0);
        in = view_of(bytes, len - 1);
        (void)form_get_varint(&in);
        assert_int_equal(in.err, -EBADMSG);
    }
    struct view in = view_of("\xff\xff\xff\xff\xff\x01", 6);
    (void)form_get_varint(&in);
    assert_int_equal(in.err, -EBADMSG);
}

/* A coder for opening only does all of that too. */
static void opens_only(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    unsigned char *bytes;
    struct codec *opener = codec_new(0);
    assert_non_null(opener);
    sample(0, &text);
    size_t len = pack(&text, &bytes);
    char *out = malloc(text.len);
    assert_non_null(out);
    assert_int_equal(codec_decode(opener, bytes, len, out, text.len), 0);
    assert_memory_equal(out, text.data, text.len);
    free(out);
    free(bytes);
    codec_free(&opener);
    codec_free(&opener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_short),  cmocka_unit_test(changed), cmocka_unit_test(wrong_length),
        cmocka_unit_test(heads),      cmocka_unit_test(forms),   cmocka_unit_test(varints),
        cmocka_unit_test(opens_only),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
