#include "pack/pack_i.h"

#include "base/fsio.h"
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { LEVEL = 19 };

struct pack_pages {
    int fd;
    uint64_t start, pos, sum;
    enum pack_page kind;
    struct buf raw, row;
    ZSTD_CCtx *zstd;
    unsigned char *out;
};

struct pack_pages *pack_pages_new(int fd, uint64_t offset)
{
    struct pack_pages *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->fd = fd;
    p->start = p->pos = offset;
    p->kind = PACK_PAGE_DATASETS;
    p->zstd = ZSTD_createCCtx();
    p->out = malloc(PACK_PAGE_HEAD + ZSTD_compressBound(PACK_PAGE_MAX));
    if (p->zstd == NULL || p->out == NULL)
        pack_pages_free(&p);
    return p;
}

void pack_pages_free(struct pack_pages **pp)
{
    struct pack_pages *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    buf_free(&p->raw);
    buf_free(&p->row);
    (void)ZSTD_freeCCtx(p->zstd);
    free(p->out);
    free(p);
}

static void put_head(struct pack_pages *p, size_t stored)
{
    struct buf head = BUF_INIT;
    buf_le(&head, p->kind, 1);
    buf_le(&head, stored, 4);
    buf_le(&head, p->raw.len, 4);
    buf_le(&head, hash64(p->out + PACK_PAGE_HEAD, stored, 0), 8);
    if (head.err == 0)
        memcpy(p->out, head.data, PACK_PAGE_HEAD);
    else
        p->raw.err = head.err;
    buf_free(&head);
}

static int flush(struct pack_pages *p)
{
    if (p->raw.len == 0)
        return p->raw.err;
    size_t n = ZSTD_compressCCtx(p->zstd, p->out + PACK_PAGE_HEAD, ZSTD_compressBound(p->raw.len),
                                 p->raw.data, p->raw.len, LEVEL);
    if (ZSTD_isError(n))
        return -ENOMEM;
    put_head(p, n);
    if (p->raw.err != 0)
        return p->raw.err;
    int r = fsio_pwrite_all(p->fd, p->out, PACK_PAGE_HEAD + n, p->pos);
    p->sum = hash64(p->out, PACK_PAGE_HEAD, p->sum);
    p->pos += PACK_PAGE_HEAD + n;
    buf_clear(&p->raw);
    return r;
}

int pack_pages_add(struct pack_pages *p, enum pack_page kind, const void *bytes, size_t len)
{
    if (len > PACK_ROW_MAX)
        return -EMSGSIZE;
    buf_clear(&p->row);
    pack_put_varint(&p->row, len);
    buf_add(&p->row, bytes, len);
    int r = p->row.err;
    bool full = p->raw.len > 0 && p->raw.len + p->row.len > PACK_PAGE_AIM;
    if (r == 0 && (full || kind != p->kind))
        r = flush(p);
    p->kind = kind;
    buf_add(&p->raw, p->row.data, p->row.len);
    return r != 0 ? r : p->raw.err;
}

int pack_pages_end(struct pack_pages *p, struct pack_trailer *t)
{
    int r = flush(p);
    t->catalogue = p->start;
    t->catalogue_len = p->pos - p->start;
    t->catalogue_sum = p->sum;
    return r;
}

void pack_dataset_encode(struct pack_slice id, struct pack_slice json, struct buf *out)
{
    pack_put_varint(out, id.len);
    buf_add(out, id.s, id.len);
    buf_add(out, json.s, json.len);
}

int pack_dataset_decode(const void *bytes, size_t len, struct pack_slice *id,
                        struct pack_slice *json)
{
    struct view v = view_of(bytes, len);
    uint64_t n = pack_get_varint(&v);
    if (v.err != 0 || n == 0 || n > (uint64_t)(v.end - v.p))
        return -EBADMSG;
    *id = (struct pack_slice){view_take(&v, (size_t)n), (size_t)n};
    *json = (struct pack_slice){(const char *)v.p, (size_t)(v.end - v.p)};
    return 0;
}
