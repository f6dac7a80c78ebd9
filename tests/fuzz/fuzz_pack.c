/* A pack of any bytes: what is read of it is whole and within it, or refused in one line; and the
 * same with its checksums made right, so that what stands behind them is reached. */
#include "base/hash.h"
#include "pack/pack_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS = 2000, TEXT_MAX = 64 << 10 };

static void check(bool fine)
{
    if (!fine)
        abort();
}

struct bytes {
    unsigned char *p;
    size_t len;
};

static int read_bytes(void *arg, uint64_t off, size_t len, void *out)
{
    const struct bytes *b = arg;
    check(off <= b->len && len <= b->len - off); /* a reader asks for nothing that is not there */
    if (len > 0)
        memcpy(out, b->p + off, len);
    return 0;
}

static void check_error(int r, struct err *e)
{
    check(r == -EBADMSG || r == -ENOTSUP || r == -ENOMEM);
    check(e->text[0] != '\0' && strchr(e->text, '\n') == NULL);
    *e = (struct err){0};
}

/* The row is what pack.h promises. */
static void check_row(const struct pack_row *row, const struct pack_trailer *t)
{
    uint64_t text = 0;
    check(pack_path_ok(row->path) && row->size <= PACK_SIZE_MAX && row->type <= PACK_FOLDER);
    for (size_t i = 0; i < row->blocks; i++) {
        const struct pack_block *b = &row->block[i];
        check(b->offset >= PACK_HEAD && b->offset <= t->catalogue);
        check(b->packed <= t->catalogue - b->offset && b->text > 0);
        text += b->text;
    }
    check(text == row->size);
}

static void read_blocks(const struct pack_io *io, struct codec *c, const struct pack_row *row)
{
    static unsigned char out[TEXT_MAX];
    struct buf scratch = BUF_INIT;
    for (size_t i = 0; i < row->blocks && i < 4; i++) {
        struct pack_block b = row->block[i];
        if (b.text > TEXT_MAX)
            continue;
        (void)pack_read_block(io, c, &b, &scratch, out);
        if (b.packed <= io->size) { /* and as if its checksum were right */
            b.packed_sum = hash64(((const struct bytes *)io->arg)->p + b.offset, b.packed, 0);
            (void)pack_read_block(io, c, &b, &scratch, out);
        }
    }
    buf_free(&scratch);
}

static void read_pack(struct bytes *b, struct codec *c)
{
    const struct pack_io io = {read_bytes, b, b->len};
    struct pack *p = NULL;
    struct pack_row row;
    struct pack_slice id, json;
    struct err e = {0};
    int r = pack_open(&io, &p, &e);
    if (r != 0) {
        check(p == NULL);
        check_error(r, &e);
        return;
    }
    for (int n = 0; n < CALLS && (r = pack_next(p, &row, &e)) != 0; n++)
        if (r < 0) {
            check_error(r, &e);
        } else {
            check_row(&row, pack_trailer(p));
            read_blocks(&io, c, &row);
        }
    for (int n = 0; n < CALLS && (r = pack_next_dataset(p, &id, &json, &e)) != 0; n++)
        if (r < 0)
            check_error(r, &e);
    pack_close(&p);
}

static uint64_t word(const unsigned char *p)
{
    struct view v = view_of(p, 8);
    return view_le(&v, 8);
}

/* Makes the sums of pages, catalogue and trailer right, as far as they can be found. */
static void make_right(struct bytes *b)
{
    unsigned char *end = b->p + b->len - PACK_TRAILER;
    struct pack_trailer t = {word(end + 16), word(end + 24), word(end + 32), word(end + 40), 0};
    size_t at = PACK_HEAD, last = b->len - PACK_TRAILER;
    if (t.catalogue >= at && t.catalogue < last)
        at = (size_t)t.catalogue;
    t.catalogue = at;
    t.catalogue_len = last - at;
    while (last - at >= PACK_PAGE_HEAD) {
        struct view v = view_of(b->p + at + 1, 4);
        size_t stored = (size_t)view_le(&v, 4);
        if (stored > last - at - PACK_PAGE_HEAD)
            break;
        uint64_t sum = hash64(b->p + at + PACK_PAGE_HEAD, stored, 0);
        for (unsigned i = 0; i < 8; i++)
            b->p[at + 9 + i] = (unsigned char)(sum >> (8 * i));
        t.catalogue_sum = hash64(b->p + at, PACK_PAGE_HEAD, t.catalogue_sum);
        at += PACK_PAGE_HEAD + stored;
    }
    pack_head_write(b->p);
    pack_trailer_write(&t, end);
}

/* The bytes as the fields of one row, and as a row of a page that is not packed at all. */
static void read_fields(const uint8_t *data, size_t size)
{
    struct pack_row_memory *m = malloc(sizeof(*m));
    struct err e = {0};
    struct pack_slice id, json;
    const struct pack_trailer t = {.catalogue = 1 << 20};
    int r = m != NULL ? pack_row_decode(data, size, t.catalogue, m, &e) : -ENOMEM;
    if (r == 0)
        check_row(&m->row, &t);
    else if (m != NULL)
        check_error(r, &e);
    if (pack_dataset_decode(data, size, &id, &json) == 0)
        check(id.len + json.len < size);
    free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec *c; /* its memory is large */
    struct bytes b = {malloc(size + 1), size};
    c = c != NULL ? c : codec_new(0);
    check(c != NULL && b.p != NULL);
    if (size > 0)
        memcpy(b.p, data, size);
    read_fields(data, size);
    read_pack(&b, c);
    if (size >= PACK_HEAD + PACK_TRAILER) {
        make_right(&b);
        read_pack(&b, c);
    }
    free(b.p);
    return 0;
}
