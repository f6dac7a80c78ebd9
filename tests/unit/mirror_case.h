/* A folder of packs to be written, and content for it. */
#ifndef TESTS_MIRROR_CASE_H
#define TESTS_MIRROR_CASE_H

#include "base/fsio.h"
#include "base/hash.h"
#include "dataset/mirror_i.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { KILO = 1 << 10, MEGA = 1 << 20 };

struct fixture {
    char dir[64];
    struct mirror_options o;
    unsigned calls;   /* of progress */
    unsigned stop_at; /* the call that says no; 0: never */
    unsigned damaged; /* lines of mirror_verify() */
    char line[512];   /* the last of them */
    unsigned rewound;
};

/* Content that nothing makes smaller, of `size` bytes. */
struct content {
    struct fixture *f;
    uint64_t size, off;
    uint64_t seed;
    int fail; /* -errno after half of it */
};

static inline int64_t read_content(void *arg, void *buf, size_t len)
{
    struct content *c = arg;
    unsigned char *out = buf;
    if (c->fail != 0 && c->off >= c->size / 2)
        return c->fail;
    size_t n = c->size - c->off < len ? (size_t)(c->size - c->off) : len;
    for (size_t i = 0; i < n; i++) {
        uint64_t x = (c->off + i + 1) * 0x9E3779B97F4A7C15ULL + c->seed * 0xD1B54A32D192ED03ULL;
        x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9ULL;
        out[i] = (unsigned char)(x >> 56);
    }
    c->off += n;
    return (int64_t)n;
}

static inline void rewind_content(void *arg)
{
    struct content *c = arg;
    c->off = 0;
    c->f->rewound++;
}

static inline bool progress(void *arg, uint64_t text, uint64_t packed)
{
    struct fixture *f = arg;
    (void)text;
    (void)packed;
    return ++f->calls != f->stop_at;
}

static inline void bad(void *arg, const char *line)
{
    struct fixture *f = arg;
    f->damaged++;
    (void)snprintf(f->line, sizeof(f->line), "%s", line);
}

static inline int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test-mirror-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->o = (struct mirror_options){.dir = f->dir,
                                   .effort = CODEC_FAST,
                                   .pack_max = 1 << 30,
                                   .checkpoint = 1 << 30,
                                   .progress = progress,
                                   .arg = f};
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)fsio_remove_tree(f->dir);
    test_free(f);
    return 0;
}

static inline struct mirror *open_mirror(struct fixture *f)
{
    struct mirror *m;
    struct err e = {0};
    int r = mirror_open(&f->o, &m, &e);
    if (r != 0)
        fail_msg("%s", e.text);
    return m;
}

static inline struct export_item item_of(const char *path, struct content *c, int64_t mtime,
                                         const char *etag)
{
    return (struct export_item){.path = path,
                                .mtime = mtime,
                                .url = "",
                                .dataset = "",
                                .etag = etag,
                                .read = read_content,
                                .rewind = rewind_content,
                                .arg = c};
}

static inline int add(struct fixture *f, struct mirror *m, const char *path, uint64_t size,
                      int64_t mtime)
{
    struct content c = {.f = f, .size = size, .seed = hash64(path, strlen(path), 0)};
    struct export_item item = item_of(path, &c, mtime, "");
    struct err e = {0};
    bool lost;
    int r = mirror_add(m, &item, &lost, &e);
    if (r != 0)
        assert_int_equal(e.code, r);
    return r;
}

static inline void end(struct mirror **m)
{
    struct err e = {0};
    assert_int_equal(mirror_end(*m, &e), 0);
    mirror_close(m);
}

static inline bool has(const struct mirror *m, const char *path, int64_t mtime, const char *etag)
{
    struct export_item item = item_of(path, NULL, mtime, etag);
    return mirror_has(m, &item);
}

static inline char *path_of(const struct fixture *f, const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return path;
}

static inline uint64_t size_of(const struct fixture *f, const char *name)
{
    struct stat st;
    return stat(path_of(f, name), &st) == 0 ? (uint64_t)st.st_size : 0;
}

static inline void totals(const struct mirror *m, uint64_t packs, uint64_t files, uint64_t text)
{
    uint64_t p, n, t, b;
    mirror_totals(m, &p, &n, &t, &b);
    assert_int_equal(p, packs);
    assert_int_equal(n, files);
    assert_int_equal(t, text);
}

#endif
