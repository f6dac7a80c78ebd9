/* What the tests of the content cache share: a folder, objects whose bytes are a formula of id and
 * offset. */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include "base/clock.h"
#include "base/fsio.h"
#include "base/obj.h"
#include "blob/store.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

struct fixture {
    char dir[64];
    struct store *s;
};

/* Id number `n`; the folder of its file is the lowest byte. */
static inline struct hash_id nth_id(unsigned n)
{
    struct hash_id id = {{0}};
    id.byte[0] = (unsigned char)n;
    id.byte[1] = (unsigned char)(n >> 8);
    id.byte[15] = 0x5a;
    return id;
}

/* Writes the path of the file of object `n`. */
static inline void nth_path(const char *dir, unsigned n, char out[PATH_MAX])
{
    char hex[33];
    struct hash_id id = nth_id(n);
    hash_id_hex(&id, hex);
    (void)snprintf(out, PATH_MAX, "%s/data/%.2s/%s", dir, hex, hex);
}

static inline bool nth_exists(const char *dir, unsigned n)
{
    char path[PATH_MAX];
    nth_path(dir, n, path);
    return access(path, F_OK) == 0;
}

/* Fills `out` with the bytes of a piece of object `n`. */
static inline void piece_bytes(unsigned n, uint32_t piece, unsigned char *out, size_t len)
{
    uint64_t x = ((uint64_t)n << 32 | piece) * 0x9e3779b97f4a7c15U + 1;
    for (size_t i = 0; i < len; i += 8) {
        x = x * 6364136223846793005U + 1442695040888963407U;
        memcpy(out + i, &x, len - i < 8 ? len - i : 8);
    }
}

static inline size_t piece_len(uint64_t size, uint32_t piece)
{
    uint64_t rest = size - (uint64_t)piece * STORE_PIECE;
    return rest < STORE_PIECE ? (size_t)rest : STORE_PIECE;
}

/* True where the mapping holds what piece_bytes() makes. */
static inline bool piece_right(struct store_file *f, unsigned n, uint64_t size, uint32_t piece)
{
    unsigned char *want = malloc(STORE_PIECE);
    size_t len = piece_len(size, piece);
    piece_bytes(n, piece, want, len);
    uint64_t at = (uint64_t)piece * STORE_PIECE;
    const unsigned char *have = store_lease(f, at, len);
    bool same = have != NULL && memcmp(want, have, len) == 0;
    if (have != NULL)
        store_release(f, at, len);
    free(want);
    return same;
}

static inline int write_piece(struct store_file *f, unsigned n, uint64_t size, uint32_t piece)
{
    unsigned char *data = malloc(STORE_PIECE);
    size_t len = piece_len(size, piece);
    piece_bytes(n, piece, data, len);
    int err = store_write(f, piece, data, len);
    free(data);
    return err;
}

static inline struct store *open_store(const char *dir, uint64_t size, uint64_t min_free)
{
    struct store *s = NULL;
    struct err e = {0};
    if (store_open(dir, size, min_free, &s, &e) != 0)
        fail_msg("%s", e.text);
    return s;
}

static inline struct store_file *get(struct store *s, unsigned n, uint64_t size)
{
    struct store_file *f = NULL;
    struct hash_id id = nth_id(n);
    assert_int_equal(store_get(s, &id, size, "tag", &f), 0);
    assert_non_null(f);
    return f;
}

/* Opens, fills and closes a whole object. */
static inline void fill(struct store *s, unsigned n, uint64_t size)
{
    struct store_file *f = get(s, n, size);
    for (uint32_t i = 0; i < store_pieces(f); i++)
        assert_int_equal(write_piece(f, n, size, i), 0);
    store_put(&f);
}

/* Number of pieces that the cache has, each proved and compared; -1 when one of them is wrong. */
static inline int pieces_held(struct store *s, unsigned n, uint64_t size)
{
    struct store_file *f = get(s, n, size);
    int held = 0;
    for (uint32_t i = 0; i < store_pieces(f) && held >= 0; i++) {
        if (store_state(f, i) == STORE_UNPROVED)
            (void)store_prove(f, i);
        if (store_state(f, i) == STORE_PRESENT)
            held = piece_right(f, n, size, i) ? held + 1 : -1;
    }
    store_put(&f);
    return held;
}

static inline struct store_stats stats_of(struct store *s)
{
    struct store_stats st;
    store_flush(s);
    store_stats(s, &st);
    return st;
}

/* Calls `done` until it is true, for at most ten seconds; returns what it said last. */
static inline bool eventually(bool (*done)(void *arg), void *arg)
{
    int64_t until = clock_ms() + 60000; /* packing is the last that a busy machine does */
    while (!done(arg)) {
        if (clock_ms() > until)
            return false;
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return true;
}

static inline int make_folder(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_store.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static inline int make_store(void **state)
{
    (void)make_folder(state);
    struct fixture *f = *state;
    f->s = open_store(f->dir, 1024 * MIB, 0);
    return 0;
}

static inline int remove_store(void **state)
{
    struct fixture *f = *state;
    store_close(&f->s);
    assert_int_equal(fsio_remove_tree(f->dir), 0);
    test_free(f);
    return 0;
}

static inline void reopen(struct fixture *f, uint64_t size)
{
    store_close(&f->s);
    f->s = open_store(f->dir, size, 0);
}

#endif
