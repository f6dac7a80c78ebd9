#include "base/sort.h"

#include "base/fsio.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A row in the arena, in a run and in a reader's buffer: two 4-byte lengths, the key, the value. */
enum { ROW_HEAD = 8, READ_MIN = 4096, READ_MAX = 65536 };

/* One sorted run in the temporary file, and the window of it that is in memory. */
struct run {
    uint64_t pos, end; /* what is still to be read from the file */
    char *window;
    size_t at, have, cap;
};

struct sort {
    char *arena;
    size_t used, memory;
    uint32_t *index; /* offsets of rows in the arena */
    size_t rows, cap;
    bool ordered; /* rows of the arena came in order */
    int fd;
    uint64_t file_len;
    struct run *run;
    size_t runs;
    uint64_t *run_start; /* runs + 1 offsets */
    size_t *heap;
    size_t heap_len;
    size_t cursor; /* next row of the arena, when nothing was spilled */
    bool popped;   /* the heap's first run has given its row */
    char dir[PATH_MAX];
};

static uint32_t length_at(const char *row, size_t which)
{
    uint32_t v;
    memcpy(&v, row + 4 * which, 4);
    return v;
}

static size_t row_size(const char *row)
{
    return (size_t)ROW_HEAD + length_at(row, 0) + length_at(row, 1);
}

static int compare_rows(const char *a, const char *b)
{
    uint32_t alen = length_at(a, 0), blen = length_at(b, 0);
    int c = memcmp(a + ROW_HEAD, b + ROW_HEAD, alen < blen ? alen : blen);
    return c != 0 ? c : (alen > blen) - (alen < blen);
}

static int compare_index(const void *a, const void *b, void *arena)
{
    uint32_t x, y;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    int c = compare_rows((const char *)arena + x, (const char *)arena + y);
    return c != 0 ? c : (x > y) - (x < y);
}

struct sort *sort_create(const char *dir, size_t memory)
{
    struct sort *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->fd = -1;
    s->memory = memory;
    s->ordered = true;
    (void)snprintf(s->dir, sizeof(s->dir), "%s", dir);
    s->arena = malloc(memory);
    if (s->arena == NULL)
        sort_destroy(&s);
    return s;
}

void sort_destroy(struct sort **sp)
{
    struct sort *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->runs && s->run != NULL; i++)
        free(s->run[i].window);
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s->run);
    free(s->run_start);
    free(s->heap);
    free(s->index);
    free(s->arena);
    free(s);
}

static void order_arena(struct sort *s)
{
    if (!s->ordered)
        qsort_r(s->index, s->rows, sizeof(s->index[0]), compare_index, s->arena);
    s->ordered = true;
}

static int write_rows(struct sort *s)
{
    struct buf out = BUF_INIT;
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->rows; i++) {
        const char *row = s->arena + s->index[i];
        buf_add(&out, row, row_size(row));
        if (out.err != 0 || out.len > 256 * 1024 || i + 1 == s->rows) {
            r = out.err != 0 ? out.err : fsio_pwrite_all(s->fd, out.data, out.len, s->file_len);
            s->file_len += out.len;
            buf_clear(&out);
        }
    }
    buf_free(&out);
    return r;
}

static int spill(struct sort *s)
{
    if (s->rows == 0)
        return 0;
    if (s->fd < 0 && (s->fd = fsio_temp_file(s->dir)) < 0)
        return s->fd;
    uint64_t *starts = realloc(s->run_start, (s->runs + 2) * sizeof(starts[0]));
    if (starts == NULL)
        return -ENOMEM;
    s->run_start = starts;
    starts[s->runs] = s->file_len;
    order_arena(s);
    int r = write_rows(s);
    if (r != 0)
        return r;
    starts[++s->runs] = s->file_len;
    s->rows = s->used = 0;
    return 0;
}

static int grow_index(struct sort *s)
{
    size_t cap = s->cap == 0 ? 1024 : s->cap * 2;
    uint32_t *index = realloc(s->index, cap * sizeof(index[0]));
    if (index == NULL)
        return -ENOMEM;
    s->index = index;
    s->cap = cap;
    return 0;
}

int sort_add(struct sort *s, const void *key, size_t klen, const void *val, size_t vlen)
{
    size_t size = ROW_HEAD + klen + vlen;
    if (klen > UINT32_MAX || vlen > UINT32_MAX || size > s->memory / 4)
        return -EMSGSIZE;
    int r = 0;
    if (s->used + size + (s->rows + 1) * sizeof(s->index[0]) > s->memory)
        r = spill(s);
    if (r == 0 && s->rows == s->cap)
        r = grow_index(s);
    if (r != 0)
        return r;
    char *row = s->arena + s->used;
    uint32_t lengths[2] = {(uint32_t)klen, (uint32_t)vlen};
    memcpy(row, lengths, ROW_HEAD);
    memcpy(row + ROW_HEAD, key, klen);
    if (vlen > 0)
        memcpy(row + ROW_HEAD + klen, val, vlen);
    if (s->rows > 0 && compare_rows(s->arena + s->index[s->rows - 1], row) > 0)
        s->ordered = false;
    s->index[s->rows++] = (uint32_t)s->used;
    s->used += size;
    return 0;
}

/* Makes at least `need` bytes of the run's next row available; 0, or -errno. */
static int run_fill(const struct sort *s, struct run *r, size_t need)
{
    if (r->have - r->at >= need)
        return 0;
    memmove(r->window, r->window + r->at, r->have - r->at);
    r->have -= r->at;
    r->at = 0;
    if (need > r->cap) {
        char *window = realloc(r->window, need);
        if (window == NULL)
            return -ENOMEM;
        r->window = window;
        r->cap = need;
    }
    uint64_t want = r->cap - r->have;
    if (want > r->end - r->pos)
        want = r->end - r->pos;
    int err = fsio_pread_all(s->fd, r->window + r->have, (size_t)want, r->pos);
    r->pos += want;
    r->have += (size_t)want;
    return err != 0 ? err : (r->have >= need ? 0 : -EIO);
}

/* Brings the run's next row into its window: 1, 0 at its end, or -errno. */
static int run_peek(const struct sort *s, struct run *r)
{
    if (r->at == r->have && r->pos == r->end)
        return 0;
    int err = run_fill(s, r, ROW_HEAD);
    if (err == 0)
        err = run_fill(s, r, row_size(r->window + r->at));
    return err != 0 ? err : 1;
}

static bool run_before(const struct sort *s, size_t a, size_t b)
{
    const struct run *x = &s->run[a], *y = &s->run[b];
    int c = compare_rows(x->window + x->at, y->window + y->at);
    return c < 0 || (c == 0 && a < b);
}

static void heap_sink(struct sort *s, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < s->heap_len; child++)
            if (run_before(s, s->heap[child], s->heap[least]))
                least = child;
        if (least == at)
            return;
        size_t t = s->heap[at];
        s->heap[at] = s->heap[least];
        s->heap[least] = t;
        at = least;
    }
}

static int prepare_runs(struct sort *s)
{
    if (s->run != NULL)
        return 0;
    s->run = calloc(s->runs, sizeof(s->run[0]));
    s->heap = calloc(s->runs, sizeof(s->heap[0]));
    if (s->run == NULL || s->heap == NULL)
        return -ENOMEM;
    size_t window = s->memory / s->runs;
    window = window < READ_MIN ? READ_MIN : window > READ_MAX ? READ_MAX : window;
    for (size_t i = 0; i < s->runs; i++) {
        s->run[i].cap = window;
        s->run[i].window = malloc(window);
        if (s->run[i].window == NULL)
            return -ENOMEM;
    }
    free(s->arena); /* adding has ended: its memory serves the windows now */
    s->arena = NULL;
    return 0;
}

static int rewind_runs(struct sort *s)
{
    int r = s->rows > 0 ? spill(s) : 0;
    if (r == 0)
        r = prepare_runs(s);
    s->heap_len = 0;
    for (size_t i = 0; r == 0 && i < s->runs; i++) {
        struct run *run = &s->run[i];
        run->pos = s->run_start[i];
        run->end = s->run_start[i + 1];
        run->at = run->have = 0;
        int got = run_peek(s, run);
        if (got > 0)
            s->heap[s->heap_len++] = i;
        r = got < 0 ? got : 0;
    }
    for (size_t i = s->heap_len; r == 0 && i-- > 0;)
        heap_sink(s, i);
    return r;
}

int sort_rewind(struct sort *s)
{
    s->cursor = 0;
    s->popped = false;
    if (s->runs > 0)
        return rewind_runs(s);
    order_arena(s);
    return 0;
}

static void give(const char *row, const void **key, size_t *klen, const void **val, size_t *vlen)
{
    *klen = length_at(row, 0);
    *vlen = length_at(row, 1);
    *key = row + ROW_HEAD;
    *val = row + ROW_HEAD + *klen;
}

/* Steps over the row that the last call gave. */
static int heap_advance(struct sort *s)
{
    struct run *r = &s->run[s->heap[0]];
    r->at += row_size(r->window + r->at);
    int got = run_peek(s, r);
    if (got < 0)
        return got;
    if (got == 0)
        s->heap[0] = s->heap[--s->heap_len];
    heap_sink(s, 0);
    return 0;
}

int sort_next(struct sort *s, const void **key, size_t *klen, const void **val, size_t *vlen)
{
    if (s->runs == 0) {
        if (s->cursor == s->rows)
            return 0;
        give(s->arena + s->index[s->cursor++], key, klen, val, vlen);
        return 1;
    }
    int r = s->popped && s->heap_len > 0 ? heap_advance(s) : 0;
    s->popped = true;
    if (r != 0 || s->heap_len == 0)
        return r;
    const struct run *first = &s->run[s->heap[0]];
    give(first->window + first->at, key, klen, val, vlen);
    return 1;
}
