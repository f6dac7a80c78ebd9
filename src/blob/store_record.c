#include "blob/store_i.h"

#include <errno.h>
#include <string.h>

/* Format 1 had one number for what is held: nothing was packed then. */
enum { ROW_FORMAT_RAW = 1, ROW_FORMAT = 2 };

static bool has_packed(const struct store_row *row)
{
    return row->held.packed != 0 || row->held.text != row->held.disk;
}

void store_row_encode(const struct store_row *row, struct buf *out)
{
    bool packed = has_packed(row);
    buf_le(out, packed ? ROW_FORMAT : ROW_FORMAT_RAW, 1);
    buf_le(out, row->size, 8);
    buf_le(out, row->held.disk, 8);
    if (packed) {
        buf_le(out, row->held.text, 8);
        buf_le(out, row->held.packed, 8);
    }
    buf_le(out, row->use, 8);
    buf_lstr(out, row->tag, strlen(row->tag));
}

/* What lies raw takes as much as it says; the rest is packed. */
static bool adds_up(const struct store_row *row)
{
    const struct store_sum *h = &row->held;
    return row->size <= STORE_SIZE_MAX && h->text <= row->size && h->packed <= h->disk &&
           h->disk - h->packed <= h->text &&
           h->packed <= row->size + (row->size / STORE_BLOCK + 1) * STORE_SLOT_MORE;
}

int store_row_decode(const void *data, size_t len, struct store_row *row)
{
    struct view v = view_of(data, len);
    uint64_t format = view_le(&v, 1);
    row->size = view_le(&v, 8);
    row->held = (struct store_sum){.disk = view_le(&v, 8)};
    row->held.text = row->held.disk;
    if (format == ROW_FORMAT) {
        row->held.text = view_le(&v, 8);
        row->held.packed = view_le(&v, 8);
    }
    row->use = view_le(&v, 8);
    const char *tag;
    size_t tag_len;
    view_str(&v, &tag, &tag_len);
    if (v.err != 0 || v.p != v.end || !adds_up(row) ||
        format != (has_packed(row) ? ROW_FORMAT : ROW_FORMAT_RAW) || tag_len > STORE_TAG_MAX ||
        memchr(tag, '\0', tag_len) != NULL)
        return -EBADMSG;
    memcpy(row->tag, tag, tag_len);
    row->tag[tag_len] = '\0';
    return 0;
}

static void encode_packed(const struct store_packed *p, struct buf *out)
{
    buf_le(out, p->codec, 1);
    buf_le(out, p->version, 1);
    buf_le(out, p->len, 4);
    buf_le(out, p->text, 8);
    buf_le(out, p->packed_sum, 8);
    buf_le(out, p->text_sum, 8);
}

void store_block_encode(const struct store_block *block, struct buf *out)
{
    buf_le(out, block->form, 1);
    buf_le(out, block->version, 1);
    if (block->form == STORE_FORM_PACKED) {
        encode_packed(&block->packed, out);
        return;
    }
    buf_le(out, block->bits, 4);
    for (unsigned i = 0; i < STORE_BLOCK_PIECES; i++)
        if (block->bits >> i & 1)
            buf_le(out, block->sum[i], 8);
}

static int decode_packed(struct view *v, struct store_packed *p)
{
    p->codec = (uint8_t)view_le(v, 1);
    p->version = (uint8_t)view_le(v, 1);
    p->len = (uint32_t)view_le(v, 4);
    p->text = view_le(v, 8);
    p->packed_sum = view_le(v, 8);
    p->text_sum = view_le(v, 8);
    return v->err != 0 || v->p != v->end || p->len == 0 || p->text == 0 ? -EBADMSG : 0;
}

int store_block_decode(const void *data, size_t len, struct store_block *block)
{
    struct view v = view_of(data, len);
    memset(block, 0, sizeof(*block));
    block->form = (uint8_t)view_le(&v, 1);
    block->version = (uint8_t)view_le(&v, 1);
    if (v.err == 0 && (block->version != 0 || block->form > STORE_FORM_PACKED))
        return -ENOTSUP;
    if (block->form == STORE_FORM_PACKED)
        return decode_packed(&v, &block->packed);
    block->bits = (uint32_t)view_le(&v, 4);
    for (unsigned i = 0; i < STORE_BLOCK_PIECES; i++)
        if (block->bits >> i & 1)
            block->sum[i] = view_le(&v, 8);
    return v.err != 0 || v.p != v.end || block->bits == 0 ? -EBADMSG : 0;
}
