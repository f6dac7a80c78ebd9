#include "source/pack_key_i.h"

#include "base/str.h"
#include "net/url.h"
#include "source/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_PATH,
    LINE_HEALTH,
    LINE_URL,
    LINE_BLOCKS,
    OFFSET_LEN = 8,
    BLOCK_LEN = 19, /* packed length (3 bytes), both sums */
    ORIGIN_MAX = 4096,
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void add_base64(struct buf *out, const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t v = (uint32_t)data[i] << 16 | (n > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                     (n > 2 ? (uint32_t)data[i + 2] : 0);
        const char text[4] = {digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63],
                              digits[v & 63]};
        buf_add(out, text, n + 1);
    }
}

/* Appends the bytes that a text stands for; false where it is none. */
static bool take_base64(const char *s, size_t len, struct buf *out)
{
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        const char *at = s[i] != '\0' ? strchr(digits, s[i]) : NULL;
        if (at == NULL)
            return false;
        v = v << 6 | (uint32_t)(at - digits);
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        buf_le(out, v >> bits & 255, 1);
    }
    return out->err == 0 && (v & ((1U << bits) - 1)) == 0;
}

static struct pack_slice line_of(const char *key, size_t len, int line)
{
    const char *end = key + len;
    for (; line > 0 && key < end; line--) {
        const char *nl = memchr(key, '\n', (size_t)(end - key));
        key = nl != NULL ? nl + 1 : end;
    }
    const char *nl = memchr(key, '\n', (size_t)(end - key));
    return (struct pack_slice){key, (size_t)((nl != NULL ? nl : end) - key)};
}

static uint64_t blocks_of(uint64_t size)
{
    return size / CODEC_BLOCK_MAX + (size % CODEC_BLOCK_MAX != 0);
}

static uint64_t text_of(uint64_t size, uint64_t block)
{
    uint64_t left = size - block * CODEC_BLOCK_MAX;
    return left < CODEC_BLOCK_MAX ? left : CODEC_BLOCK_MAX;
}

bool pack_key_fits(const struct pack_row *row)
{
    if (row->blocks != blocks_of(row->size))
        return false;
    for (size_t i = 0; i < row->blocks; i++)
        if (row->block[i].text != text_of(row->size, i))
            return false;
    return true;
}

struct pack_slice pack_key_origin(const struct pack_row *row)
{
    struct url u;
    bool fine = row->url.len > 0 && row->url.len <= ORIGIN_MAX &&
                url_split(row->url.s, row->url.len, &u) == 0;
    return fine ? row->url : (struct pack_slice){"", 0};
}

void pack_key_encode(const struct pack_row *row, struct buf *out)
{
    struct buf bytes = BUF_INIT;
    struct pack_slice url = pack_key_origin(row);
    str_percent_encode(out, row->path.s, row->path.len, "/");
    buf_fmt(out, "\n%u\n", row->has_facts ? row->facts.health : 0U);
    buf_add(out, url.s, url.len);
    buf_str(out, "\n");
    if (row->blocks > 0)
        buf_le(&bytes, row->block[0].offset, OFFSET_LEN);
    for (size_t i = 0; i < row->blocks; i++) {
        buf_le(&bytes, row->block[i].packed & 0xFFFF, 2);
        buf_le(&bytes, row->block[i].packed >> 16, 1);
        buf_le(&bytes, row->block[i].packed_sum, 8);
        buf_le(&bytes, row->block[i].text_sum, 8);
    }
    add_base64(out, (const unsigned char *)bytes.data, bytes.len);
    if (bytes.err != 0)
        out->err = bytes.err;
    buf_free(&bytes);
}

size_t pack_key_path(const char *key, size_t len)
{
    return line_of(key, len, LINE_PATH).len;
}

void pack_key_url(bool pack, const char *link, size_t link_len, const char *key, size_t key_len,
                  struct buf *out)
{
    struct pack_slice url = line_of(key, pack ? key_len : 0, LINE_URL);
    if (url.len > 0) {
        buf_add(out, url.s, url.len);
        return;
    }
    const char *query = pack ? memchr(link, '?', link_len) : NULL;
    buf_add(out, link, query != NULL ? (size_t)(query - link) : link_len);
    if (pack)
        buf_str(out, "#");
    buf_add(out, key, pack ? pack_key_path(key, key_len) : key_len);
}

static void fill(struct view v, uint64_t size, struct source_extent *at, uint32_t count)
{
    uint64_t offset = view_le(&v, OFFSET_LEN);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t packed = view_le(&v, 2);
        packed |= view_le(&v, 1) << 16;
        at[i] = (struct source_extent){
            .offset = offset, .packed = (uint32_t)packed, .text = text_of(size, i)};
        at[i].packed_sum = view_le(&v, 8);
        at[i].text_sum = view_le(&v, 8);
        offset += packed;
    }
}

int source_extents(const char *key, size_t key_len, uint64_t size, struct source_extent **out,
                   uint32_t *count)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    struct pack_slice text = line_of(key, key_len, LINE_BLOCKS);
    uint64_t n = blocks_of(size);
    *out = NULL;
    *count = 0;
    bool whole = take_base64(text.s, text.len, &bytes);
    if (bytes.err != 0)
        return -ENOMEM;
    if (!whole || n > PACK_BLOCKS_MAX || bytes.len != (n > 0 ? OFFSET_LEN + n * BLOCK_LEN : 0))
        return -EBADMSG;
    *out = n > 0 ? calloc((size_t)n, sizeof(**out)) : NULL;
    if (n > 0 && *out == NULL)
        return -ENOMEM;
    *count = (uint32_t)n;
    if (n > 0)
        fill(view_of(bytes.data, bytes.len), size, *out, *count);
    return 0;
}

const char *source_health(const char *key, size_t key_len)
{
    struct pack_slice s = line_of(key, key_len, LINE_HEALTH);
    return facts_health_name(s.len == 1 && s.s[0] >= '0' && s.s[0] <= '9' ? (unsigned)(s.s[0] - '0')
                                                                          : FACTS_UNKNOWN);
}
