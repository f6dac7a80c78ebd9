#include "pack/pack_i.h"

#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* One walk through the pages of one kind. */
struct cursor {
    enum pack_page kind;
    uint64_t at; /* of the next page */
    uint64_t sum;
    unsigned char *raw;
    struct view page;
};

struct pack {
    struct pack_io io;
    struct pack_trailer trailer;
    unsigned char *tail; /* the pack's last bytes */
    size_t tail_len;
    struct cursor rows, datasets;
    struct buf stored, before, id; /* id: of the dataset before */
    uint8_t before_type;
    uint64_t seen, text; /* files and their bytes, so far */
    bool hurt, ended;    /* an error was told; all rows were */
    struct pack_slice bytes;
    ZSTD_DCtx *zstd;
    struct pack_row_memory *memory;
};

/* Bytes of the pack, of which the last ones are at hand. */
static int fetch(struct pack *p, uint64_t off, size_t len, void *out)
{
    uint64_t start = p->io.size - p->tail_len;
    if (off < start || len > p->io.size - off)
        return p->io.read(p->io.arg, off, len, out);
    memcpy(out, p->tail + (off - start), len);
    return 0;
}

static int fetch_tail(struct pack *p, struct err *e)
{
    if (p->io.size < PACK_HEAD + PACK_TRAILER)
        return err_set(e, -EBADMSG, "not a pack: it has %llu bytes",
                       (unsigned long long)p->io.size);
    p->tail_len = p->io.size < PACK_TAIL ? (size_t)p->io.size : PACK_TAIL;
    p->tail = malloc(p->tail_len);
    if (p->tail == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    int r = p->io.read(p->io.arg, p->io.size - p->tail_len, p->tail_len, p->tail);
    if (r != 0)
        return err_set(e, r, "cannot read its end: %s", err_text(r));
    r = pack_trailer_read(p->tail + p->tail_len - PACK_TRAILER, p->io.size, &p->trailer, e);
    return r == 0 && p->tail_len == p->io.size ? pack_head_check(p->tail, e) : r;
}

static void begin(struct pack *p, struct cursor *c)
{
    c->at = p->trailer.catalogue;
    c->sum = 0;
    c->page = view_of("", 0);
}

int pack_open(const struct pack_io *io, struct pack **out, struct err *e)
{
    struct pack *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    p->io = *io;
    int r = fetch_tail(p, e);
    p->rows.kind = PACK_PAGE_ROWS;
    p->datasets.kind = PACK_PAGE_DATASETS;
    begin(p, &p->rows);
    begin(p, &p->datasets);
    p->zstd = ZSTD_createDCtx();
    p->memory = malloc(sizeof(*p->memory));
    if (r == 0 && (p->zstd == NULL || p->memory == NULL))
        r = err_set(e, -ENOMEM, "out of memory");
    if (r != 0)
        pack_close(&p);
    *out = p;
    return r;
}

void pack_close(struct pack **pp)
{
    struct pack *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    free(p->tail);
    free(p->rows.raw);
    free(p->datasets.raw);
    buf_free(&p->stored);
    buf_free(&p->before);
    buf_free(&p->id);
    (void)ZSTD_freeDCtx(p->zstd);
    free(p->memory);
    free(p);
}

const struct pack_trailer *pack_trailer(const struct pack *p)
{
    return &p->trailer;
}

void pack_rewind(struct pack *p)
{
    begin(p, &p->rows);
    buf_clear(&p->before);
    p->seen = p->text = 0;
    p->hurt = p->ended = false;
}

static int damaged(struct err *e)
{
    return err_set(e, -EBADMSG,
                   "damaged: the catalogue does not match its checksum (get the pack again)");
}

struct page_head {
    uint8_t kind;
    uint32_t stored, raw;
    uint64_t sum;
};

static int read_page(struct pack *p, struct cursor *c, const struct page_head *h, struct err *e)
{
    uint64_t at = c->at + PACK_PAGE_HEAD;
    c->at = at + h->stored; /* a damaged page is passed over by the next call */
    buf_clear(&p->stored);
    if (buf_reserve(&p->stored, (size_t)h->stored + 1) != 0)
        return err_set(e, -ENOMEM, "out of memory");
    int r = fetch(p, at, h->stored, p->stored.data);
    if (r != 0)
        return err_set(e, r, "cannot read its catalogue: %s", err_text(r));
    if (hash64(p->stored.data, h->stored, 0) != h->sum)
        return damaged(e);
    if (c->raw == NULL && (c->raw = malloc(PACK_PAGE_MAX)) == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    size_t n = ZSTD_decompressDCtx(p->zstd, c->raw, h->raw, p->stored.data, h->stored);
    if (ZSTD_isError(n) || n != h->raw)
        return damaged(e);
    c->page = view_of(c->raw, n);
    return 0;
}

/* A page's head makes no sense: there is no way on from here. */
static int lost(const struct pack *p, struct cursor *c, struct err *e)
{
    c->at = p->trailer.catalogue + p->trailer.catalogue_len;
    c->sum = p->trailer.catalogue_sum;
    return damaged(e);
}

/* Goes to the next page of the cursor's kind: 1, 0 at the end, or -errno. */
static int next_page(struct pack *p, struct cursor *c, struct err *e)
{
    uint64_t end = p->trailer.catalogue + p->trailer.catalogue_len;
    unsigned char bytes[PACK_PAGE_HEAD];
    while (c->at < end) {
        if (end - c->at < PACK_PAGE_HEAD)
            return lost(p, c, e);
        int r = fetch(p, c->at, PACK_PAGE_HEAD, bytes);
        if (r != 0)
            return err_set(e, r, "cannot read its catalogue: %s", err_text(r));
        struct view v = view_of(bytes, sizeof(bytes));
        struct page_head h = {.kind = (uint8_t)view_le(&v, 1)};
        h.stored = (uint32_t)view_le(&v, 4);
        h.raw = (uint32_t)view_le(&v, 4);
        h.sum = view_le(&v, 8);
        if (h.stored > end - c->at - PACK_PAGE_HEAD || h.raw > PACK_PAGE_MAX ||
            h.stored > ZSTD_COMPRESSBOUND(PACK_PAGE_MAX))
            return lost(p, c, e);
        c->sum = hash64(bytes, sizeof(bytes), c->sum);
        if (h.kind == c->kind)
            return (r = read_page(p, c, &h, e)) != 0 ? r : 1;
        c->at += PACK_PAGE_HEAD + h.stored;
    }
    if (c->sum == p->trailer.catalogue_sum)
        return 0;
    return lost(p, c, e);
}

/* The next record of the cursor's kind: 1, 0 at the end, or -errno. */
static int next_record(struct pack *p, struct cursor *c, struct pack_slice *out, struct err *e)
{
    while (c->page.p == c->page.end) {
        int r = next_page(p, c, e);
        if (r <= 0)
            return r;
    }
    uint64_t len = pack_get_varint(&c->page);
    if (c->page.err != 0 || len > (uint64_t)(c->page.end - c->page.p)) {
        c->page = view_of("", 0);
        return err_set(e, -EBADMSG, "damaged: the catalogue has a row that is cut short");
    }
    *out = (struct pack_slice){view_take(&c->page, (size_t)len), (size_t)len};
    return 1;
}

static int check_order(struct pack *p, const struct pack_row *row, struct err *e)
{
    struct pack_slice before = {p->before.data, p->before.len};
    int r = before.len > 0 ? pack_path_follow(before, p->before_type, row->path) : 0;
    int n = row->path.len < 200 ? (int)row->path.len : 200;
    if (r == -EEXIST)
        return err_set(e, -EBADMSG, "damaged: it has two files of one name: %.*s", n, row->path.s);
    if (r == -ENOTDIR)
        return err_set(e, -EBADMSG, "damaged: it has a file below a file: %.*s", n, row->path.s);
    if (r != 0)
        return err_set(e, -EBADMSG, "damaged: its catalogue is not in order: %.*s", n, row->path.s);
    buf_clear(&p->before);
    buf_add(&p->before, row->path.s, row->path.len);
    p->before_type = row->type;
    return p->before.err != 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}

/* Counts what the trailer has counted too. */
static int count_row(struct pack *p, const struct pack_row *row, struct err *e)
{
    if (p->seen == p->trailer.files || row->size > p->trailer.text - p->text)
        return err_set(e, -EBADMSG, "damaged: it has more files or bytes than its end says");
    p->seen++;
    p->text += row->size;
    return 0;
}

static int check_end(struct pack *p, struct err *e)
{
    p->ended = true;
    if (p->hurt || (p->seen == p->trailer.files && p->text == p->trailer.text))
        return 0;
    return err_set(e, -EBADMSG,
                   "damaged: it has %llu files of %llu bytes where its end says %llu of %llu",
                   (unsigned long long)p->seen, (unsigned long long)p->text,
                   (unsigned long long)p->trailer.files, (unsigned long long)p->trailer.text);
}

static int next_row(struct pack *p, struct pack_row *row, struct err *e)
{
    int r = next_record(p, &p->rows, &p->bytes, e);
    if (r == 0)
        return check_end(p, e);
    if (r > 0)
        r = pack_row_decode(p->bytes.s, p->bytes.len, p->trailer.catalogue, p->memory, e);
    if (r == 0)
        r = check_order(p, &p->memory->row, e);
    if (r == 0)
        r = count_row(p, &p->memory->row, e);
    *row = p->memory->row;
    return r == 0 ? 1 : r;
}

int pack_next(struct pack *p, struct pack_row *row, struct err *e)
{
    int r = p->ended ? 0 : next_row(p, row, e);
    p->hurt = p->hurt || r < 0;
    return r;
}

struct pack_slice pack_row_bytes(const struct pack *p)
{
    return p->bytes;
}

static bool comes_after(struct pack_slice id, const struct buf *before)
{
    int c = memcmp(id.s, before->data, id.len < before->len ? id.len : before->len);
    return c > 0 || (c == 0 && id.len > before->len);
}

int pack_next_dataset(struct pack *p, struct pack_slice *id, struct pack_slice *json, struct err *e)
{
    struct pack_slice bytes = {NULL, 0};
    int r = next_record(p, &p->datasets, &bytes, e);
    if (r <= 0)
        return r;
    if (pack_dataset_decode(bytes.s, bytes.len, id, json) != 0)
        return err_set(e, -EBADMSG, "damaged: the record of a dataset is cut short");
    if (p->id.len > 0 && !comes_after(*id, &p->id))
        return err_set(e, -EBADMSG, "damaged: the records of its datasets are not in order");
    buf_clear(&p->id);
    buf_add(&p->id, id->s, id->len);
    return p->id.err != 0 ? err_set(e, -ENOMEM, "out of memory") : 1;
}
