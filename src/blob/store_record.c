#include "blob/store_i.h"

#include <errno.h>
#include <string.h>

enum { ROW_FORMAT = 1 };

void store_row_encode(const struct store_row *row, struct buf *out)
{
    buf_le(out, ROW_FORMAT, 1);
    buf_le(out, row->size, 8);
    buf_le(out, row->held, 8);
    buf_le(out, row->use, 8);
    buf_lstr(out, row->tag, strlen(row->tag));
}

int store_row_decode(const void *data, size_t len, struct store_row *row)
{
    struct view v = view_of(data, len);
    uint64_t format = view_le(&v, 1);
    row->size = view_le(&v, 8);
    row->held = view_le(&v, 8);
    row->use = view_le(&v, 8);
    const char *tag;
    size_t tag_len;
    view_str(&v, &tag, &tag_len);
    if (v.err != 0 || v.p != v.end || format != ROW_FORMAT || row->size > STORE_SIZE_MAX ||
        row->held > row->size || tag_len > STORE_TAG_MAX || memchr(tag, '\0', tag_len) != NULL)
        return -EBADMSG;
    memcpy(row->tag, tag, tag_len);
    row->tag[tag_len] = '\0';
    return 0;
}

void store_block_encode(const struct store_block *block, struct buf *out)
{
    buf_le(out, block->codec, 1);
    buf_le(out, block->version, 1);
    buf_le(out, block->bits, 4);
    for (unsigned i = 0; i < STORE_BLOCK_PIECES; i++)
        if (block->bits >> i & 1)
            buf_le(out, block->sum[i], 8);
}

int store_block_decode(const void *data, size_t len, struct store_block *block)
{
    struct view v = view_of(data, len);
    memset(block, 0, sizeof(*block));
    block->codec = (uint8_t)view_le(&v, 1);
    block->version = (uint8_t)view_le(&v, 1);
    block->bits = (uint32_t)view_le(&v, 4);
    for (unsigned i = 0; i < STORE_BLOCK_PIECES; i++)
        if (block->bits >> i & 1)
            block->sum[i] = view_le(&v, 8);
    return v.err != 0 || v.p != v.end || block->bits == 0 ? -EBADMSG : 0;
}
