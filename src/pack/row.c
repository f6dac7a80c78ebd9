#include "pack/pack_i.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Tags of a row's fields. Readers skip those that they do not know. */
enum tag {
    TAG_PATH = 1,
    TAG_TYPE = 2,
    TAG_SIZE = 3,
    TAG_MTIME = 4,
    TAG_MTIME_NS = 5,
    TAG_SHA256 = 6,
    TAG_URL = 7,
    TAG_DATASET = 8,
    TAG_ETAG = 9,
    TAG_BLOCKS = 10,
    TAG_FACTS = 11,
};

enum { FACT_BINARY = 1, FACT_CLOSED = 2, FACT_VERTICES = 4 };

/* A row while it is read. */
struct reading {
    struct pack_row *row;
    struct view blocks;
    uint64_t tags; /* those below 64 that were seen, a bit each */
};

void pack_put_varint(struct buf *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        buf_le(out, (value & 127) | 128, 1);
    buf_le(out, value, 1);
}

uint64_t pack_get_varint(struct view *v)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;
    do {
        byte = view_le(v, 1);
        if (shift == 63 && byte > 1)
            v->err = -EBADMSG;
        value |= (byte & 127) << shift;
        shift += 7;
    } while (v->err == 0 && byte > 127);
    return v->err == 0 ? value : 0;
}

/* ---- paths ---- */

static bool component_ok(const char *s, size_t len)
{
    return len > 0 && !(len == 1 && s[0] == '.') && !(len == 2 && s[0] == '.' && s[1] == '.');
}

bool pack_path_ok(struct pack_slice path)
{
    if (path.len == 0 || path.len > PACK_PATH_MAX || memchr(path.s, '\0', path.len) != NULL)
        return false;
    const char *s = path.s, *end = path.s + path.len;
    for (;;) {
        const char *slash = memchr(s, '/', (size_t)(end - s));
        if (!component_ok(s, (size_t)((slash != NULL ? slash : end) - s)))
            return false;
        if (slash == NULL)
            return true;
        s = slash + 1;
    }
}

void pack_path_key(struct pack_slice path, struct buf *out)
{
    size_t at = out->len;
    buf_add(out, path.s, path.len);
    for (; at < out->len; at++)
        if (out->data[at] == '/')
            out->data[at] = '\0';
}

static unsigned order(char c)
{
    return c == '/' ? 0 : (unsigned char)c;
}

int pack_path_follow(struct pack_slice before, uint8_t before_type, struct pack_slice next)
{
    size_t n = before.len < next.len ? before.len : next.len, i = 0;
    while (i < n && before.s[i] == next.s[i])
        i++;
    if (i < n)
        return order(before.s[i]) < order(next.s[i]) ? 0 : -EINVAL;
    if (before.len == next.len)
        return -EEXIST;
    if (next.len < before.len)
        return -EINVAL;
    return next.s[n] == '/' && before_type == PACK_FILE ? -ENOTDIR : 0;
}

/* ---- writing ---- */

static void put_bytes(struct buf *out, enum tag tag, const void *data, size_t len)
{
    if (len == 0)
        return;
    pack_put_varint(out, tag);
    pack_put_varint(out, len);
    buf_add(out, data, len);
}

static void put_number(struct buf *out, enum tag tag, uint64_t value)
{
    struct buf text = BUF_INIT;
    if (value == 0)
        return;
    pack_put_varint(&text, value);
    put_bytes(out, tag, text.data, text.len);
    buf_free(&text);
}

static void put_f32(struct buf *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    buf_le(out, bits, 4);
}

static void put_f64(struct buf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    buf_le(out, bits, 8);
}

static void put_facts(struct buf *out, const struct facts *f)
{
    struct buf text = BUF_INIT;
    bool counted = f->vertices != FACTS_NO_COUNT;
    buf_le(&text, f->health, 1);
    buf_le(&text,
           (f->binary ? FACT_BINARY : 0U) | (f->closed ? FACT_CLOSED : 0U) |
               (counted ? FACT_VERTICES : 0U),
           1);
    pack_put_varint(&text, f->facets);
    pack_put_varint(&text, counted ? f->vertices : 0);
    for (int i = 0; i < 3; i++)
        put_f32(&text, f->min[i]);
    for (int i = 0; i < 3; i++)
        put_f32(&text, f->max[i]);
    put_f64(&text, f->surface);
    put_f64(&text, f->volume);
    put_bytes(out, TAG_FACTS, text.data, text.len);
    buf_free(&text);
}

static void put_blocks(struct buf *out, const struct pack_row *row)
{
    struct buf text = BUF_INIT;
    pack_put_varint(&text, row->block[0].offset);
    pack_put_varint(&text, row->block[0].text);
    for (size_t i = 0; i < row->blocks; i++)
        pack_put_varint(&text, row->block[i].packed);
    for (size_t i = 0; i < row->blocks; i++) {
        buf_le(&text, row->block[i].packed_sum, 8);
        buf_le(&text, row->block[i].text_sum, 8);
    }
    put_bytes(out, TAG_BLOCKS, text.data, text.len);
    buf_free(&text);
}

void pack_row_encode(const struct pack_row *row, struct buf *out)
{
    uint64_t mtime = (uint64_t)row->mtime << 1 ^ (row->mtime < 0 ? UINT64_MAX : 0);
    put_bytes(out, TAG_PATH, row->path.s, row->path.len);
    put_number(out, TAG_TYPE, row->type);
    put_number(out, TAG_SIZE, row->size);
    put_number(out, TAG_MTIME, mtime);
    put_number(out, TAG_MTIME_NS, row->mtime_ns);
    put_bytes(out, TAG_URL, row->url.s, row->url.len);
    put_bytes(out, TAG_DATASET, row->dataset.s, row->dataset.len);
    put_bytes(out, TAG_ETAG, row->etag.s, row->etag.len);
    if (row->has_facts)
        put_facts(out, &row->facts);
    if (row->blocks > 0)
        put_blocks(out, row);
    if (row->type == PACK_FILE)
        put_bytes(out, TAG_SHA256, row->sha256, PACK_SHA256);
}

/* ---- reading ---- */

static float get_f32(struct view *v)
{
    uint32_t bits = (uint32_t)view_le(v, 4);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static double get_f64(struct view *v)
{
    uint64_t bits = view_le(v, 8);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void get_facts(struct view *v, struct pack_row *row)
{
    struct facts *f = &row->facts;
    bool finite = true;
    row->has_facts = true;
    f->health = (uint8_t)view_le(v, 1);
    if (f->health > FACTS_MALFORMED)
        f->health = FACTS_UNKNOWN;
    uint64_t flags = view_le(v, 1);
    f->binary = (flags & FACT_BINARY) != 0;
    f->closed = (flags & FACT_CLOSED) != 0;
    f->facets = pack_get_varint(v);
    f->vertices = pack_get_varint(v);
    if ((flags & FACT_VERTICES) == 0)
        f->vertices = FACTS_NO_COUNT;
    for (int i = 0; i < 3; i++)
        f->min[i] = get_f32(v);
    for (int i = 0; i < 3; i++)
        f->max[i] = get_f32(v);
    for (int i = 0; i < 3; i++)
        finite = finite && isfinite(f->min[i]) && isfinite(f->max[i]);
    f->surface = get_f64(v);
    f->volume = get_f64(v);
    if (!finite || !isfinite(f->surface) || !isfinite(f->volume))
        v->err = -EBADMSG;
}

/* A varint of at most `max`. */
static uint64_t view_small(struct view *v, uint64_t max)
{
    uint64_t value = pack_get_varint(v);
    if (value > max)
        v->err = -EBADMSG;
    return value;
}

static bool block_fits(uint64_t packed, uint64_t text, uint64_t offset, uint64_t limit)
{
    return packed > CODEC_HEAD && packed <= text + CODEC_HEAD && packed <= UINT32_MAX &&
           offset <= limit && packed <= limit - offset;
}

/* Their number follows from the size of the file and of a block, which may come in any order: the
 * field is kept and read last. */
static bool get_blocks(struct view *v, uint64_t limit, struct pack_row_memory *m)
{
    struct pack_row *row = &m->row;
    uint64_t offset = pack_get_varint(v), unit = pack_get_varint(v);
    if (v->err != 0 || unit == 0 || unit > row->size || offset < PACK_HEAD)
        return false;
    uint64_t count = (row->size - 1) / unit + 1;
    if (count > PACK_BLOCKS_MAX || count * 17 > (uint64_t)(v->end - v->p))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t packed = pack_get_varint(v);
        uint64_t text = i + 1 < count ? unit : row->size - unit * (count - 1);
        if (v->err != 0 || !block_fits(packed, text, offset, limit))
            return false;
        m->block[i] = (struct pack_block){offset, (uint32_t)packed, text, 0, 0};
        offset += packed;
    }
    for (size_t i = 0; i < count; i++) {
        m->block[i].packed_sum = view_le(v, 8);
        m->block[i].text_sum = view_le(v, 8);
    }
    row->block = m->block;
    row->blocks = (size_t)count;
    return v->err == 0 && v->p == v->end;
}

static void get_sha256(struct view *v, struct pack_row *row)
{
    const void *sum = view_take(v, PACK_SHA256);
    if (sum != NULL)
        memcpy(row->sha256, sum, PACK_SHA256);
}

static void get_field(uint64_t tag, struct view *v, struct reading *r)
{
    struct pack_slice text = {(const char *)v->p, (size_t)(v->end - v->p)};
    struct pack_row *row = r->row;
    if (tag == TAG_PATH)
        row->path = text;
    else if (tag == TAG_TYPE)
        row->type = (uint8_t)view_small(v, UINT8_MAX);
    else if (tag == TAG_SIZE)
        row->size = pack_get_varint(v);
    else if (tag == TAG_MTIME) {
        uint64_t z = pack_get_varint(v);
        row->mtime = (int64_t)(z >> 1 ^ (0 - (z & 1)));
    } else if (tag == TAG_MTIME_NS)
        row->mtime_ns = (uint32_t)view_small(v, 999999999);
    else if (tag == TAG_SHA256)
        get_sha256(v, row);
    else if (tag == TAG_URL)
        row->url = text;
    else if (tag == TAG_DATASET)
        row->dataset = text;
    else if (tag == TAG_ETAG)
        row->etag = text;
    else if (tag == TAG_BLOCKS)
        r->blocks = *v;
    else if (tag == TAG_FACTS)
        get_facts(v, row);
}

static const char *judge(const struct reading *r)
{
    const struct pack_row *row = r->row;
    if (!pack_path_ok(row->path))
        return "a path that is empty, absolute or climbs";
    if (row->type > PACK_FOLDER)
        return "a kind of file that this version does not know";
    if (row->size > PACK_SIZE_MAX)
        return "a size beyond all sense";
    if (row->type == PACK_FOLDER ? row->size > 0 : row->size > 0 && row->blocks == 0)
        return "blocks that do not add up to the size";
    if (row->type == PACK_FILE && (r->tags >> TAG_SHA256 & 1) == 0)
        return "a file without its SHA-256";
    return NULL;
}

/* A path as an error may show it. */
static void show(struct pack_slice path, char out[128])
{
    size_t n = path.len < 100 ? path.len : 100;
    (void)snprintf(out, 128, "%.*s", (int)n, n > 0 ? path.s : "");
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
}

/* The next field; NULL or what is wrong. */
static const char *read_field(struct view *v, struct reading *r)
{
    uint64_t tag = pack_get_varint(v), n = pack_get_varint(v);
    if (v->err != 0 || n > (uint64_t)(v->end - v->p))
        return "a row that is cut short";
    uint64_t bit = tag < 64 ? (uint64_t)1 << tag : 0;
    if ((r->tags & bit) != 0)
        return "a field twice";
    r->tags |= bit;
    struct view field = view_of(view_take(v, (size_t)n), (size_t)n);
    get_field(tag, &field, r);
    return field.err != 0 ? "a field that is cut short or out of range" : NULL;
}

int pack_row_decode(const void *bytes, size_t len, uint64_t limit, struct pack_row_memory *m,
                    struct err *e)
{
    struct view v = view_of(bytes, len);
    struct reading r = {.row = &m->row, .blocks = view_of("", 0)};
    const char *wrong = NULL;
    char name[128];
    m->row = (struct pack_row){.size = 0};
    while (v.p < v.end && wrong == NULL)
        wrong = read_field(&v, &r);
    if (wrong == NULL && (r.tags >> TAG_BLOCKS & 1) != 0 && !get_blocks(&r.blocks, limit, m))
        wrong = "blocks that do not add up to the size or lie outside of the pack";
    if (wrong == NULL)
        wrong = judge(&r);
    if (wrong == NULL)
        return 0;
    show(m->row.path, name);
    return err_set(e, -EBADMSG, "damaged: the catalogue has %s%s%s", wrong,
                   name[0] != '\0' ? ": " : "", name);
}
