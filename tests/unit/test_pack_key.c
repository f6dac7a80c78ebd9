/* Keys of objects in packs, and places that are packs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/pack_key_i.h"
#include "source/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct pack_slice slice(const char *s)
{
    return (struct pack_slice){s, strlen(s)};
}

/* A row of `count` blocks, the last one of `rest` bytes of text. */
static struct pack_row row_of(struct pack_block *block, size_t count, uint64_t rest)
{
    uint64_t offset = 16;
    for (size_t i = 0; i < count; i++) {
        block[i] = (struct pack_block){offset, (uint32_t)(70000 + 3 * i),
                                       i + 1 < count ? CODEC_BLOCK_MAX : rest, UINT64_MAX - i,
                                       0x0102030405060708 * (i + 1)};
        offset += block[i].packed;
    }
    return (struct pack_row){.path = slice("heart/a b#%\xC3\xA9\n.stl"),
                             .size = count > 0 ? (count - 1) * CODEC_BLOCK_MAX + rest : 0,
                             .has_facts = true,
                             .facts = {.health = FACTS_TRUNCATED},
                             .block = block,
                             .blocks = count};
}

static void comes_back(size_t count, uint64_t rest)
{
    struct pack_block *block = calloc(count + 1, sizeof(*block));
    struct pack_row row = row_of(block, count, rest);
    struct source_extent *e;
    struct buf key = BUF_INIT;
    uint32_t n;
    assert_true(pack_key_fits(&row));
    pack_key_encode(&row, &key);
    assert_null(memchr(key.data, '\0', key.len));
    assert_int_equal(source_extents(key.data, key.len, row.size, &e, &n), 0);
    assert_int_equal(n, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(e[i].offset, block[i].offset);
        assert_int_equal(e[i].packed, block[i].packed);
        assert_int_equal(e[i].text, block[i].text);
        assert_int_equal(e[i].packed_sum, block[i].packed_sum);
        assert_int_equal(e[i].text_sum, block[i].text_sum);
    }
    assert_string_equal(source_health(key.data, key.len), "truncated");
    free(e);
    free(block);
    buf_free(&key);
}

static void test_blocks_come_back(void **state)
{
    (void)state;
    comes_back(0, 0);
    comes_back(1, 1);
    comes_back(1, CODEC_BLOCK_MAX);
    comes_back(2, 1);
    comes_back(5, 12345);
    comes_back(PACK_BLOCKS_MAX, CODEC_BLOCK_MAX);
}

static void test_blocks_of_another_length_do_not_fit(void **state)
{
    (void)state;
    struct pack_block block[3];
    struct pack_row row = row_of(block, 3, 100);
    block[0].text--;
    assert_false(pack_key_fits(&row));
    row = row_of(block, 1, CODEC_BLOCK_MAX);
    row.size = block[0].text = CODEC_BLOCK_MAX + 1;
    assert_false(pack_key_fits(&row));
}

/* Whatever is changed or cut: an error or blocks of that very size, never more. */
static void test_damaged_keys(void **state)
{
    (void)state;
    struct pack_block block[3];
    struct pack_row row = row_of(block, 3, 100);
    struct source_extent *e;
    struct buf key = BUF_INIT;
    uint32_t n;
    pack_key_encode(&row, &key);
    for (size_t len = 0; len < key.len; len++) {
        assert_int_equal(source_extents(key.data, len, row.size, &e, &n), -EBADMSG);
        assert_null(e);
        (void)source_health(key.data, len);
    }
    for (size_t i = 0; i < key.len; i++) {
        char was = key.data[i];
        key.data[i] = (char)(was ^ 0x80);
        int r = source_extents(key.data, key.len, row.size, &e, &n);
        assert_true(r == -EBADMSG || (r == 0 && n == 3));
        free(e);
        key.data[i] = was;
    }
    assert_int_equal(source_extents(key.data, key.len, row.size + CODEC_BLOCK_MAX, &e, &n),
                     -EBADMSG);
    assert_int_equal(source_extents(key.data, key.len, UINT64_MAX, &e, &n), -EBADMSG);
    buf_free(&key);
}

static void url_is(const struct source_place *p, const struct buf *key, const char *want)
{
    struct buf url = BUF_INIT, bytes = BUF_INIT, quick = BUF_INIT;
    source_url(p, key->data, key->len, &url);
    assert_string_equal(buf_cstr(&url), want);
    source_place_encode(p, &bytes);
    source_encoded_url(bytes.data, bytes.len, key->data, key->len, &quick);
    assert_string_equal(buf_cstr(&quick), want);
    assert_true(source_is_pack(bytes.data, bytes.len) == p->pack);
    buf_free(&url);
    buf_free(&bytes);
    buf_free(&quick);
}

static void test_urls_and_requests(void **state)
{
    (void)state;
    char link[] = "https://h/x.shapepack?token=secret", none[] = "", name[] = "lab",
         etag[] = "\"e\"";
    const struct source_place p = {link, none, none, none, name, true, 1234, -1, etag};
    struct pack_block block[1];
    struct pack_row row = row_of(block, 1, 10);
    struct buf key = BUF_INIT, text = BUF_INIT;
    struct http_req req = {.method = HTTP_GET};
    pack_key_encode(&row, &key);
    url_is(&p, &key, "https://h/x.shapepack#heart/a%20b%23%25%C3%A9%0A.stl");
    assert_int_equal(source_request(&p, key.data, key.len, false, &text, &req), 0);
    assert_string_equal(req.url, link);
    assert_null(req.user);
    static const char *const bad[] = {"http://h/a\nb", "file:///etc/passwd", "javascript:x",
                                      "http://u:p@h/x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        row.url = slice(bad[i]);
        assert_int_equal(pack_key_origin(&row).len, 0);
    }
    row.url = slice("http://origin/a%20b.stl?x=1");
    buf_clear(&key);
    pack_key_encode(&row, &key);
    url_is(&p, &key, "http://origin/a%20b.stl?x=1");
    buf_free(&key);
    buf_free(&text);
}

static void test_places_come_back(void **state)
{
    (void)state;
    char link[] = "file:///a%20b", none[] = "", name[] = "lab", etag[] = "W/\"e\"";
    const struct source_place p = {link, none, none, none, name, true, UINT64_MAX, -5, etag};
    struct source_place out, copy;
    struct buf bytes = BUF_INIT;
    source_place_encode(&p, &bytes);
    assert_int_equal(source_place_decode(bytes.data, bytes.len, &out), 0);
    assert_true(out.pack);
    assert_int_equal(out.pack_size, UINT64_MAX);
    assert_int_equal(out.pack_mtime, -5);
    assert_string_equal(out.pack_etag, etag);
    assert_int_equal(source_place_copy(&out, &copy), 0);
    assert_string_equal(copy.link, link);
    assert_string_equal(copy.pack_etag, etag);
    source_place_free(&out);
    source_place_free(&copy);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(source_place_decode(bytes.data, len, &out), -EBADMSG);
    buf_free(&bytes);
}

/* What facts know an object by stays when the pack is written anew, or the object moves. */
static void test_identity(void **state)
{
    (void)state;
    char link[] = "http://h/1", other[] = "http://h/2", none[] = "", name[] = "lab";
    struct source_place p = {link, none, none, none, name, true, 1, 1, none};
    struct pack_block block[1];
    struct pack_row row = row_of(block, 1, 10);
    struct buf key = BUF_INIT, bytes = BUF_INIT, all[2] = {BUF_INIT, BUF_INIT};
    for (int i = 0; i < 2; i++) {
        const char *part[2];
        size_t len[2];
        buf_clear(&key);
        buf_clear(&bytes);
        pack_key_encode(&row, &key);
        source_place_encode(&p, &bytes);
        assert_true(source_identity(bytes.data, bytes.len, key.data, key.len, part, len));
        buf_fmt(&all[i], "%.*s|%.*s", (int)len[0], part[0], (int)len[1], part[1]);
        p.link = other;
        block[0].offset = 99;
    }
    assert_string_equal(buf_cstr(&all[0]), buf_cstr(&all[1]));
    assert_string_equal(buf_cstr(&all[0]), "lab|heart/a%20b%23%25%C3%A9%0A.stl");
    buf_free(&key);
    buf_free(&bytes);
    buf_free(&all[0]);
    buf_free(&all[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_come_back),
        cmocka_unit_test(test_blocks_of_another_length_do_not_fit),
        cmocka_unit_test(test_damaged_keys),
        cmocka_unit_test(test_urls_and_requests),
        cmocka_unit_test(test_places_come_back),
        cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
