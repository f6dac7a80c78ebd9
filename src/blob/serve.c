/* Reads whose range is held: from the mapping, from unpacked blocks, or put together from both. */
#include "blob/blob_i.h"
#include "blob/decoded_i.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SLACK = 1 << 20,        /* reads of a sequential reader may come in another order */
    SEQUENTIAL = 256 << 10, /* bytes in a row that make a reader one */
    HINTS = 24,             /* blocks ahead of it that the disk is told of */
};

/* A read that is being put together, or waits for a block. */
struct serving {
    struct decoded_wait wait; /* first */
    struct blob *blob;        /* a reference */
    struct blob_waiter *waiter;
    unsigned char *data; /* the part that is done; NULL: none */
    size_t got;
};

static void answer(struct blob *b, const unsigned char *data, size_t len,
                   void (*done)(void *, struct blob_answer), void *arg)
{
    /* Cast away const: struct iovec has no other way; nobody writes through it. */
    struct iovec span = {(void *)(uintptr_t)data, len};
    if (b->file != NULL)
        store_touch(b->file);
    atomic_fetch_add(&b->env->bytes, len);
    done(arg, (struct blob_answer){0, &span, 1});
}

static bool answer_mapped(struct blob *b, uint64_t off, size_t len,
                          void (*done)(void *, struct blob_answer), void *arg)
{
    const unsigned char *data = b->file != NULL ? store_lease(b->file, off, len) : NULL;
    if (data == NULL)
        return false;
    answer(b, data, len, done, arg);
    store_release(b->file, off, len);
    return true;
}

/* True where the range lies in one block. */
static bool in_one(uint64_t off, size_t len)
{
    return off / STORE_BLOCK == (off + len - 1) / STORE_BLOCK;
}

/* Answers a range of one block from its unpacked form; false where that cannot be. */
static bool answer_unpacked(struct blob *b, struct decoded_block *d, uint64_t off, size_t len,
                            void (*done)(void *, struct blob_answer), void *arg)
{
    size_t at = (size_t)(off % STORE_BLOCK);
    const unsigned char *text = decoded_text(d);
    if (text != NULL) {
        answer(b, text + at, len, done, arg);
        return true;
    }
    unsigned char *data = malloc(len);
    bool ok = data != NULL && decoded_copy(b, d, at, len, data) == 0;
    if (ok)
        answer(b, data, len, done, arg);
    free(data);
    return ok;
}

/* Notes a read of packed blocks; true where it goes on from those before. */
static bool is_sequential(struct blob *b, uint64_t off, size_t len)
{
    uint64_t next = atomic_load(&b->seq_next);
    bool near = off + SLACK >= next && off <= next + SLACK;
    uint64_t run = near ? atomic_load(&b->seq_run) + len : len;
    atomic_store(&b->seq_run, run);
    if (!near || off + len > next)
        atomic_store(&b->seq_next, off + len);
    return run >= SEQUENTIAL;
}

/* Packed blocks lie far apart in their file, where the disk's own read-ahead does not find them. */
static void hint_ahead(struct blob *b, uint32_t block)
{
    unsigned from = atomic_load(&b->hinted), end = block + HINTS;
    if (b->file == NULL || (from <= end && from > block + HINTS / 2))
        return;
    from = from > end || from <= block ? block + 1 : from;
    atomic_store(&b->hinted, end);
    for (unsigned i = from; i < end; i++)
        store_hint_packed(b->file, i);
}

/* Has the blocks unpacked that a sequential reader comes to next. */
static void read_ahead(struct blob *b, uint64_t off)
{
    hint_ahead(b, (uint32_t)(off / STORE_BLOCK));
    for (uint64_t i = 1; i <= DECODED_AHEAD; i++) {
        uint64_t block = off / STORE_BLOCK + i;
        if (block * STORE_BLOCK >= b->version.size)
            return;
        if (blob_is_packed(b, (uint32_t)block))
            decoded_ahead(b, (uint32_t)block);
    }
}

static void serve_end(struct serving *sv)
{
    struct blob *b = sv->blob;
    free(sv->data);
    free(sv->waiter);
    free(sv);
    blob_put(&b);
}

/* A local pack cannot be read: nobody else has those bytes. */
static void local_failed(struct blob *b, struct blob_waiter *w, int err)
{
    struct http_resp none = {.status = 0};
    (void)snprintf(none.why, sizeof(none.why), "%s",
                   err == -EBADMSG ? "a block of the pack does not match its checksum"
                                   : err_text(err));
    w->err = err == -EBADMSG ? -EIO : err;
    blob_report(b->env, b->id, b->url, b->place.source, w->err, &none);
    blob_answer_all(b, w);
}

/* A part cannot be had: `err` -EBADMSG, it is absent now, or has changed its form; else memory or
 * the disk is short, and the read goes past the cache. */
static void serve_otherwise(struct serving *sv, int err)
{
    struct blob *b = sv->blob;
    struct blob_waiter *w = sv->waiter;
    sv->waiter = NULL;
    if (b->local >= 0)
        local_failed(b, w, err);
    else if (err == -EBADMSG && blob_has(b, w->off, w->len))
        blob_serve(b, w);
    else
        blob_fetch(b, w, err != -EBADMSG);
    serve_end(sv);
}

/* One part, within a block: 0 and it is in sv->data or, where it is all of the range, answered
 * (then sv->got is the whole length); 1: it waits; -errno as serve_otherwise() takes it. */
static int serve_part(struct serving *sv, uint64_t off, size_t len)
{
    struct blob *b = sv->blob;
    const struct blob_waiter *w = sv->waiter;
    struct decoded_block *d = NULL;
    uint32_t block = (uint32_t)(off / STORE_BLOCK);
    bool text = atomic_load(&b->seq_run) >= SEQUENTIAL;
    int r = blob_is_packed(b, block) ? decoded_get(b, block, text, &sv->wait, &d) : 0;
    if (r != 0)
        return r;
    if (d != NULL && len == w->len && answer_unpacked(b, d, off, len, w->done, w->arg)) {
        decoded_put(b->env->decoded, d);
        return 0;
    }
    if (sv->data == NULL && (sv->data = malloc(w->len)) == NULL)
        r = -ENOMEM;
    else if (d != NULL)
        r = decoded_copy(b, d, (size_t)(off % STORE_BLOCK), len, sv->data + sv->got);
    else
        r = store_read(b->file, off, len, sv->data + sv->got);
    if (d != NULL)
        decoded_put(b->env->decoded, d);
    return r;
}

static void serve_go_on(struct serving *sv)
{
    struct blob_waiter *w = sv->waiter;
    bool parts = !in_one(w->off, w->len);
    while (sv->got < w->len) {
        uint64_t off = w->off + sv->got;
        size_t len = STORE_BLOCK - (size_t)(off % STORE_BLOCK);
        if (len > w->len - sv->got)
            len = w->len - sv->got;
        int r = serve_part(sv, off, len);
        if (r > 0)
            return;
        if (r < 0) {
            serve_otherwise(sv, r);
            return;
        }
        sv->got += len;
    }
    if (parts || sv->data != NULL)
        answer(sv->blob, sv->data, w->len, w->done, w->arg);
    serve_end(sv);
}

static void serve_ready(struct decoded_wait *self, int err)
{
    struct serving *sv = (struct serving *)(void *)self;
    if (err != 0)
        serve_otherwise(sv, err);
    else
        serve_go_on(sv);
}

void blob_serve(struct blob *b, struct blob_waiter *w)
{
    if (answer_mapped(b, w->off, w->len, w->done, w->arg)) {
        free(w);
        return;
    }
    struct serving *sv = calloc(1, sizeof(*sv));
    if (sv == NULL) {
        w->done(w->arg, (struct blob_answer){.err = -ENOMEM});
        free(w);
        return;
    }
    *sv = (struct serving){.wait = {.ready = serve_ready}, .blob = blob_get(b), .waiter = w};
    serve_go_on(sv);
}

void blob_serve_read(struct blob *b, uint64_t off, size_t len,
                     void (*done)(void *, struct blob_answer), void *arg)
{
    struct decoded_block *d = NULL;
    if (answer_mapped(b, off, len, done, arg))
        return;
    if (is_sequential(b, off, len))
        read_ahead(b, off);
    bool answered = false;
    if (in_one(off, len) && decoded_get(b, (uint32_t)(off / STORE_BLOCK), false, NULL, &d) == 0) {
        answered = answer_unpacked(b, d, off, len, done, arg);
        decoded_put(b->env->decoded, d);
    }
    if (answered)
        return;
    struct blob_waiter *w = blob_waiter_new(b, off, len, done, arg);
    if (w != NULL)
        blob_serve(b, w);
    else
        done(arg, (struct blob_answer){.err = -ENOMEM});
}
