/* What the tests of packed blocks share: text that packs well, a cache that packs, and reading back
 * what it holds in either form. */
#ifndef PACKED_CASE_H
#define PACKED_CASE_H

#include "store_test.h"

#include "blob/store_i.h"
#include "codec/block.h"

/* Byte `i` of the text of object `n`: runs of one letter. */
static inline unsigned char text_byte(unsigned n, uint64_t i)
{
    return (unsigned char)('a' + (i / 97 * 31 + i / 4099 + n) % 23);
}

static inline void text_bytes(unsigned n, uint64_t off, unsigned char *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = text_byte(n, off + i);
}

static inline int write_text(struct store_file *f, unsigned n, uint64_t size, uint32_t piece)
{
    unsigned char *data = malloc(STORE_PIECE);
    size_t len = piece_len(size, piece);
    text_bytes(n, (uint64_t)piece * STORE_PIECE, data, len);
    int err = store_write(f, piece, data, len);
    free(data);
    return err;
}

static inline void fill_text(struct store *s, unsigned n, uint64_t size)
{
    struct store_file *f = get(s, n, size);
    for (uint32_t i = 0; i < store_pieces(f); i++)
        assert_int_equal(write_text(f, n, size, i), 0);
    store_put(&f);
}

/* Bytes of text that the cache gives of an object, each compared; -1 when one of them is wrong. */
static inline int64_t text_given(struct store_file *f, unsigned n, uint64_t size)
{
    struct codec *c = codec_new(0);
    struct buf packed = BUF_INIT;
    struct store_packed info;
    unsigned char *want = malloc(STORE_BLOCK);
    unsigned char *have = malloc(STORE_BLOCK);
    int64_t given = 0;
    for (uint32_t p = 0; p < store_pieces(f) && given >= 0; p++) {
        uint32_t block = p / STORE_BLOCK_PIECES;
        uint64_t at = (uint64_t)p * STORE_PIECE;
        size_t len = piece_len(size, p);
        if (store_state(f, p) == STORE_UNPROVED)
            (void)store_prove(f, p);
        if (p % STORE_BLOCK_PIECES == 0 && store_read_packed(f, block, &packed, &info) == 0) {
            len = (size_t)info.text;
            if (codec_decode(c, packed.data, packed.len, have, len) != 0)
                given = -1;
            p += STORE_BLOCK_PIECES - 1;
        } else if (store_read(f, at, len, have) != 0) {
            continue;
        }
        text_bytes(n, at, want, len);
        given = given < 0 || memcmp(want, have, len) != 0 ? -1 : given + (int64_t)len;
    }
    free(want);
    free(have);
    buf_free(&packed);
    codec_free(&c);
    return given;
}

static inline int64_t text_held(struct store *s, unsigned n, uint64_t size)
{
    struct store_file *f = get(s, n, size);
    int64_t given = text_given(f, n, size);
    store_put(&f);
    return given;
}

static inline bool never_busy(void *arg)
{
    (void)arg;
    return false;
}

/* Bytes that the file of object `n` takes on the disk. */
static inline uint64_t disk_use(const char *dir, unsigned n)
{
    char path[PATH_MAX];
    struct stat st;
    nth_path(dir, n, path);
    return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

struct packing {
    struct fixture *fx;
    unsigned n;
    uint64_t blocks, most;
};

static inline bool has_packed(void *arg)
{
    const struct packing *p = arg;
    struct store_stats st;
    store_stats(p->fx->s, &st);
    return st.packed_blocks >= p->blocks;
}

static inline bool takes_at_most(void *arg)
{
    const struct packing *p = arg;
    return disk_use(p->fx->dir, p->n) <= p->most;
}

#endif
