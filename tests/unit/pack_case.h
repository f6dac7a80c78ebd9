/* What the tests of packs share: a folder of their own, packs made of texts in memory, and reading
 * them back whole. */
#ifndef PACK_CASE_H
#define PACK_CASE_H

#include "base/fsio.h"
#include "base/hash.h"
#include "pack/pack_i.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

static inline struct pack_slice slice(const char *s)
{
    return (struct pack_slice){s, strlen(s)};
}

static inline int make_folder(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/test-pack-XXXXXX", tmp != NULL ? tmp : "/tmp");
    *state = mkdtemp(path) != NULL ? strdup(path) : NULL;
    return *state != NULL ? 0 : -1;
}

static inline int drop_folder(void **state)
{
    int r = fsio_remove_tree(*state);
    free(*state);
    return r;
}

/* The path of `name` in the test's folder; valid until the next call with the same `which`. */
static inline const char *path_in(void **state, int which, const char *name)
{
    static char path[2][PATH_MAX];
    (void)snprintf(path[which], sizeof(path[which]), "%s/%s", (const char *)*state, name);
    return path[which];
}

/* A text to be read, in steps of `step` bytes; a failure `fail` at its end, where not 0. */
struct text {
    const char *s;
    size_t len, at, step;
    int fail;
};

static inline int64_t read_text(void *arg, void *out, size_t len)
{
    struct text *t = arg;
    size_t n = t->len - t->at;
    if (n == 0)
        return t->fail;
    n = n < len ? n : len;
    n = t->step != 0 && n > t->step ? t->step : n;
    memcpy(out, t->s + t->at, n);
    t->at += n;
    return (int64_t)n;
}

static inline struct pack_writer *open_writer(const char *path, bool append)
{
    struct pack_writer_options o = {
        .path = path, .replace = !append, .append = append, .threads = 2};
    struct pack_writer *w = NULL;
    struct err e = {0};
    int r = pack_writer_open(&o, &w, &e);
    if (r != 0)
        print_error("%s\n", e.text);
    assert_int_equal(r, 0);
    return w;
}

static inline int add_text(struct pack_writer *w, const char *path, const char *s, size_t len,
                           struct err *e)
{
    struct text t = {.s = s, .len = len, .step = 100000};
    struct pack_item item = {.path = slice(path), .mtime = 1700000000 + (int64_t)(len % 1000)};
    return pack_writer_add(w, &item, read_text, &t, e);
}

static inline void add(struct pack_writer *w, const char *path, const char *s, size_t len)
{
    struct err e = {0};
    int r = add_text(w, path, s, len, &e);
    if (r != 0)
        print_error("%s\n", e.text);
    assert_int_equal(r, 0);
}

static inline void end_writer(struct pack_writer *w)
{
    struct err e = {0};
    int r = pack_writer_end(&w, &e);
    if (r != 0)
        print_error("%s\n", e.text);
    assert_int_equal(r, 0);
}

/* Bytes in memory as a pack. */
static inline int read_memory(void *arg, uint64_t off, size_t len, void *out)
{
    const struct buf *b = arg;
    if (off > b->len || len > b->len - off)
        return -EIO;
    if (len > 0)
        memcpy(out, b->data + off, len);
    return 0;
}

static inline struct pack_io memory_io(struct buf *b)
{
    return (struct pack_io){.read = read_memory, .arg = b, .size = b->len};
}

/* Unpacks a file whole; 0, or what a block says. Checks nothing but what pack_read_block() does. */
static inline int read_row(const struct pack_io *io, struct codec *c, const struct pack_row *row,
                           struct buf *out)
{
    struct buf scratch = BUF_INIT;
    int r = 0;
    buf_clear(out);
    for (size_t i = 0; i < row->blocks && r == 0; i++) {
        if (buf_reserve(out, (size_t)row->block[i].text + 1) != 0)
            return -ENOMEM;
        r = pack_read_block(io, c, &row->block[i], &scratch, out->data + out->len);
        out->len += r == 0 ? (size_t)row->block[i].text : 0;
    }
    buf_free(&scratch);
    return r;
}

static inline void sha256_of(const void *data, size_t len, unsigned char out[PACK_SHA256])
{
    struct hash_sha256 *h = hash_sha256_new();
    hash_sha256_add(h, data, len);
    assert_int_equal(hash_sha256_end(h, out), 0);
    hash_sha256_free(&h);
}

/* Bytes that pack by a few times only: letters of a small generator. */
static inline void fill_letters(char *out, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (char)('a' + (seed >> 60));
    }
}

#endif
