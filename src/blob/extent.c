/* Objects of a pack: what is fetched is packed blocks, by their byte ranges in the pack, and each
 * is checked by its checksum. A pack that is a local file is read in place, past the cache. */
#include "blob/blob_i.h"
#include "blob/siblings_i.h"

#include "base/fsio.h"
#include "base/obj.h"
#include "base/str.h"
#include "codec/block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longest pack that is taken whole from a server that knows no ranges. */
enum { WHOLE_MAX = BLOB_SMALL };

static uint64_t block_text(uint64_t size, uint64_t block)
{
    uint64_t left = size - block * STORE_BLOCK;
    return left < STORE_BLOCK ? left : STORE_BLOCK;
}

bool blob_extents_right(const struct blob_extents *e, uint64_t size)
{
    if (e->count != (size + STORE_BLOCK - 1) / STORE_BLOCK)
        return false;
    for (uint32_t i = 0; i < e->count; i++) {
        const struct blob_extent *x = &e->at[i];
        if (x->text != block_text(size, i) || x->packed < 2 || x->packed > x->text + 4095 ||
            x->offset > e->pack.size || x->packed > e->pack.size - x->offset)
            return false;
    }
    return true;
}

/* Opens the file that a file:// URL names. */
static int open_local(struct blob *b)
{
    static const char scheme[] = "file://";
    const size_t skip = sizeof(scheme) - 1;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct http_req req;
    int r = blob_request(b, 0, 0, &text, &req);
    if (r != 0 || strncmp(req.url, scheme, skip) != 0)
        return r;
    CLEANUP_FREE char *path = strdup(req.url + skip);
    if (path == NULL)
        return -ENOMEM;
    size_t len = str_percent_decode(path, strlen(path), path, false);
    path[len] = '\0';
    if (strlen(path) != len)
        return -ENOENT;
    b->local = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return b->local < 0 ? -errno : 0;
}

int blob_copy_extents(struct blob *b, const struct blob_extents *e)
{
    if (!blob_extents_right(e, b->version.size))
        return -EINVAL;
    size_t bytes = e->count * sizeof(e->at[0]);
    struct blob_extent *at = malloc(bytes > 0 ? bytes : 1);
    if (at == NULL)
        return -ENOMEM;
    if (bytes > 0)
        memcpy(at, e->at, bytes);
    b->extents = at;
    b->pack = e->pack;
    return open_local(b);
}

uint64_t blob_extents_sum(const struct blob_extents *e)
{
    uint64_t sum = e->count;
    for (uint32_t i = 0; i < e->count; i++) {
        const struct blob_extent *x = &e->at[i];
        const uint64_t all[] = {x->packed, x->text, x->packed_sum, x->text_sum};
        sum = hash64(all, sizeof(all), sum);
    }
    return sum;
}

int blob_load_packed(struct blob *b, uint32_t block, struct buf *packed, struct store_packed *info)
{
    if (b->local < 0)
        return store_read_packed(b->file, block, packed, info);
    const struct blob_extent *x = &b->extents[block];
    buf_clear(packed);
    if (buf_reserve(packed, x->packed) != 0)
        return -ENOMEM;
    int err = fsio_pread_all(b->local, packed->data, x->packed, x->offset);
    if (err != 0)
        return err == -ENODATA ? -EBADMSG : err;
    packed->len = x->packed;
    *info = (struct store_packed){.codec = (uint8_t)packed->data[0],
                                  .version = (uint8_t)packed->data[1],
                                  .len = x->packed,
                                  .text = x->text,
                                  .packed_sum = x->packed_sum,
                                  .text_sum = x->text_sum};
    return hash64(packed->data, x->packed, 0) == x->packed_sum ? 0 : -EBADMSG;
}

void blob_drop_packed(struct blob *b, uint32_t block, const struct store_packed *info, bool damaged)
{
    if (b->local < 0 && b->file != NULL)
        store_drop_packed(b->file, block, info, damaged);
}

bool blob_is_packed(const struct blob *b, uint32_t block)
{
    return b->local >= 0 || store_state(b->file, block * STORE_BLOCK_PIECES) == STORE_PACKED;
}

void blob_extent_range(const struct blob *b, uint32_t block, uint32_t end, uint64_t *first,
                       uint64_t *len)
{
    const struct blob_extent *last = &b->extents[end - 1];
    *first = b->extents[block].offset;
    *len = last->offset + last->packed - *first;
}

uint32_t blob_extent_run(const struct blob *b, uint32_t block, uint32_t stop)
{
    uint32_t end = block;
    uint64_t bytes = 0;
    while (end < stop &&
           (end == block ||
            (b->extents[end - 1].offset + b->extents[end - 1].packed == b->extents[end].offset &&
             bytes + b->extents[end].packed <= BLOB_REQUEST)))
        bytes += b->extents[end++].packed;
    return end;
}

/* What the pack's own version says does not matter as long as the blocks are right: one that grew
 * at its end is as good as before. */
bool blob_extent_good(const struct blob *b, const struct http_resp *resp, uint64_t first,
                      uint64_t len, bool *other, uint64_t *pos)
{
    struct blob_version now;
    enum check_verdict v = check_answer(resp, first, len, &b->pack, false, &now);
    bool whole = resp->status == 200;
    *other = v == CHECK_CHANGED;
    *pos = whole ? 0 : first;
    return v != CHECK_BAD && resp->status != 416 && (!whole || first + len <= WHOLE_MAX);
}

static bool has_own(const struct blob_flight *f)
{
    return f->first < f->end;
}

static void own_range(const struct blob_flight *f, uint64_t *first, uint64_t *len)
{
    blob_extent_range(f->blob, f->first / STORE_BLOCK_PIECES, blob_block_end(f->end), first, len);
}

void blob_extent_asked(const struct blob_flight *f, uint64_t *first, uint64_t *len)
{
    const struct siblings *s = f->along;
    if (has_own(f))
        own_range(f, first, len);
    if (s == NULL)
        return;
    bool own = has_own(f);
    uint64_t end = own && *first + *len > s->end ? *first + *len : s->end;
    *first = own && *first < s->first ? *first : s->first;
    *len = end - *first;
}

int blob_extent_head(struct blob_flight *f, const struct http_resp *resp)
{
    uint64_t first = 0, len = 0;
    if (resp->status == 200 && has_own(f)) /* how far the others are is not to matter */
        own_range(f, &first, &len);
    else
        blob_extent_asked(f, &first, &len);
    f->block = f->first / STORE_BLOCK_PIECES;
    f->judged = blob_extent_good(f->blob, resp, first, len, &f->other, &f->pos);
    if (f->judged)
        return 0;
    f->pos = 0;
    return f->other ? -ESTALE : resp->status == 200 ? -EPROTO : 0;
}

ssize_t blob_extent_feed(struct blob_flight *f, const unsigned char *data, size_t len, bool *whole)
{
    const struct blob *b = f->blob;
    uint64_t pos = f->pos;
    *whole = false;
    size_t n = len;
    if (f->block < blob_block_end(f->end)) {
        const struct blob_extent *x = &b->extents[f->block];
        uint64_t skip = f->pos < x->offset ? x->offset - f->pos : 0;
        if (skip > 0) {
            n = skip < len ? (size_t)skip : len;
        } else {
            if (f->piece == NULL && (f->piece = malloc(x->packed)) == NULL)
                return -ENOMEM;
            n = len < x->packed - f->filled ? len : x->packed - f->filled;
            memcpy(f->piece + f->filled, data, n);
            f->filled += n;
            *whole = f->filled == x->packed;
        }
    }
    f->pos += n;
    int r = f->along != NULL ? siblings_feed(f->along, pos, data, n) : 0;
    return r != 0 ? r : (ssize_t)n;
}

int blob_extent_store(struct blob_flight *f, uint32_t block, const void *data, size_t len)
{
    const struct blob_extent *x = &f->blob->extents[block];
    int err = store_write_packed(f->blob->file, block, data, len, x->packed_sum, x->text_sum);
    if (err == -EBADMSG)
        atomic_store(&f->bad, true);
    return err == -EBADMSG ? 0 : err;
}

void blob_extent_judge(struct blob_flight *f)
{
    if (f->blob->extents == NULL || f->dropped)
        return;
    /* A 206 with less than was asked for. */
    bool cut = f->err == 0 && has_own(f) && f->block < blob_block_end(f->end);
    bool bad = atomic_load(&f->bad) || cut;
    if (bad)
        f->err = f->other ? -ESTALE : -EBADMSG;
    if (bad || f->err == -ESTALE)
        (void)snprintf(f->resp.why, sizeof(f->resp.why), "%s",
                       f->err == -ESTALE ? "the pack has changed at its source (medshapefs refresh)"
                       : cut             ? "less came than was asked for"
                                         : "a block of the pack does not match its checksum");
}

/* Unpacks into `out` where all of the block is wanted, else by a text of its own. */
static int unpack(struct codec *c, const struct blob_extent *x, const void *packed, size_t off,
                  size_t len, void *out)
{
    CLEANUP_FREE unsigned char *own = len < x->text ? malloc((size_t)x->text) : NULL;
    unsigned char *text = len < x->text ? own : out;
    if (text == NULL)
        return -ENOMEM;
    int err = codec_decode(c, packed, x->packed, text, (size_t)x->text);
    if (err == 0 && hash64(text, (size_t)x->text, 0) != x->text_sum)
        err = -EBADMSG;
    if (err == 0 && own != NULL)
        memcpy(out, own + off, len);
    return err;
}

int blob_extent_unpack(const struct blob *b, uint32_t block, const void *packed, size_t off,
                       size_t len, void *out)
{
    const struct blob_extent *x = &b->extents[block];
    if (hash64(packed, x->packed, 0) != x->packed_sum)
        return -EBADMSG;
    struct codec *c = codec_new(0);
    int err = c != NULL ? unpack(c, x, packed, off, len, out) : -ENOMEM;
    codec_free(&c);
    return err;
}
