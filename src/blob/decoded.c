#include "blob/decoded_i.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/lock.h"
#include "blob/blob_i.h"
#include "codec/block.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    IDLE_MS = 4000,  /* an entry nobody wants goes after so long */
    FRESH_MS = 2000, /* what was unpacked ahead is kept for its reader for so long */
    CODERS_KEPT = 3,
};

struct decoded_block {
    struct pool_job job; /* first */
    struct decoded_block *next;
    struct hash_id content;
    uint32_t block;
    struct blob *blob; /* a reference, until the job is done */
    bool want_text, ahead;
    /* Written by the job before it is ready. */
    unsigned char *text;
    struct codec_open *open;
    size_t text_len, bytes;
    struct store_packed info;
    /* By the set's lock: */
    bool ready;
    bool linked;
    bool unread; /* unpacked ahead, and not asked for yet */
    unsigned pins;
    int64_t used; /* clock_ms() */
    struct decoded_wait *waits;
};

struct free_text {
    struct free_text *next;
};

struct decoded {
    struct pool *pool;
    struct lock lock;
    /* By lock: */
    struct decoded_block *list;
    struct free_text *texts; /* buffers of a whole block */
    size_t bytes;            /* of entries and of buffers */
    struct codec *coder[CODERS_KEPT];
    unsigned coders;
};

static int64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

struct decoded *decoded_create(struct pool *pool)
{
    struct decoded *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->pool = pool;
    lock_init(&s->lock, LOCK_RANK_LEAF);
    return s;
}

/* With the lock held. */
static void unlink_block(struct decoded *s, struct decoded_block *d)
{
    struct decoded_block **at = &s->list;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    d->linked = false;
}

/* Frees an entry that is in no list; its text becomes a free buffer. With the lock held. */
static void free_block(struct decoded *s, struct decoded_block *d)
{
    if (d->text != NULL) {
        struct free_text *t = (struct free_text *)(void *)d->text;
        t->next = s->texts;
        s->texts = t;
    } else {
        s->bytes -= d->bytes;
    }
    codec_close(&d->open);
    free(d);
}

/* With the lock held. */
static void free_one_text(struct decoded *s)
{
    struct free_text *t = s->texts;
    s->texts = t->next;
    s->bytes -= STORE_BLOCK;
    (void)munmap(t, STORE_BLOCK);
}

void decoded_destroy(struct decoded **sp)
{
    struct decoded *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    while (s->list != NULL) {
        struct decoded_block *d = s->list;
        s->list = d->next;
        free_block(s, d);
    }
    while (s->texts != NULL)
        free_one_text(s);
    while (s->coders > 0)
        codec_free(&s->coder[--s->coders]);
    lock_destroy(&s->lock);
    free(s);
}

static struct codec *take_coder(struct decoded *s)
{
    lock_take(&s->lock);
    struct codec *c = s->coders > 0 ? s->coder[--s->coders] : NULL;
    lock_drop(&s->lock);
    return c != NULL ? c : codec_new(0);
}

static void give_coder(struct decoded *s, struct codec *c)
{
    lock_take(&s->lock);
    if (s->coders < CODERS_KEPT) {
        s->coder[s->coders++] = c;
        c = NULL;
    }
    lock_drop(&s->lock);
    codec_free(&c);
}

/* The entry that was not used for the longest time and that nobody holds; `ahead` spares what was
 * unpacked ahead for others. With the lock held. */
static struct decoded_block *victim(const struct decoded *s, bool ahead)
{
    int64_t fresh = clock_ms() - FRESH_MS;
    struct decoded_block *oldest = NULL;
    for (struct decoded_block *d = s->list; d != NULL; d = d->next)
        if (d->ready && d->pins == 0 && (oldest == NULL || d->used < oldest->used) &&
            !(ahead && d->unread && d->used > fresh))
            oldest = d;
    return oldest;
}

/* Makes room for `need` bytes and counts them; false where there is none. With the lock held. */
static bool make_room(struct decoded *s, size_t need, bool ahead)
{
    while (s->bytes + need > DECODED_LIMIT) {
        struct decoded_block *d = s->texts == NULL ? victim(s, ahead) : NULL;
        if (s->texts != NULL) {
            free_one_text(s);
        } else if (d != NULL) {
            unlink_block(s, d);
            free_block(s, d);
        } else if (ahead) {
            return false;
        } else {
            break;
        }
    }
    s->bytes += need;
    return true;
}

static unsigned char *take_text(struct decoded *s, bool ahead)
{
    lock_take(&s->lock);
    struct decoded_block *d = NULL;
    if (s->texts == NULL && s->bytes + STORE_BLOCK > DECODED_LIMIT &&
        (d = victim(s, ahead)) != NULL && d->text != NULL) {
        unlink_block(s, d);
        free_block(s, d);
    }
    struct free_text *t = s->texts;
    bool room = t != NULL;
    if (room)
        s->texts = t->next;
    else
        room = make_room(s, STORE_BLOCK, ahead);
    lock_drop(&s->lock);
    if (t != NULL || !room)
        return (unsigned char *)t;
    void *fresh =
        mmap(NULL, STORE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh != MAP_FAILED)
        return fresh;
    lock_take(&s->lock);
    s->bytes -= STORE_BLOCK;
    lock_drop(&s->lock);
    return NULL;
}

static void note_time(struct blob_env *env, int64_t since_ns)
{
    (void)atomic_fetch_add(&env->decode_ns, (unsigned long long)(now_ns() - since_ns));
}

static int unpack(struct decoded *s, struct decoded_block *d, struct codec *c,
                  const struct buf *packed)
{
    if (d->want_text && (d->text = take_text(s, d->ahead)) == NULL)
        return -ENOMEM;
    if (d->want_text) {
        int err = codec_decode(c, packed->data, packed->len, d->text, d->text_len);
        if (err == 0 && hash64(d->text, d->text_len, 0) != d->info.text_sum)
            err = -EBADMSG;
        return err;
    }
    int err = codec_open(c, packed->data, packed->len, d->text_len, &d->open);
    if (err != 0)
        return err;
    lock_take(&s->lock);
    (void)make_room(s, codec_open_size(d->open), false);
    d->bytes = codec_open_size(d->open);
    lock_drop(&s->lock);
    return 0;
}

/* Reads and unpacks an entry's block. */
static int fill(struct decoded *s, struct decoded_block *d)
{
    struct blob_env *env = d->blob->env;
    CLEANUP_BUF struct buf packed = BUF_INIT;
    int err = blob_load_packed(d->blob, d->block, &packed, &d->info);
    if (err != 0)
        return err == -ENOENT ? -EBADMSG : err;
    struct codec *c = take_coder(s);
    if (c == NULL)
        return -ENOMEM;
    int64_t since = now_ns();
    d->text_len = (size_t)d->info.text;
    err = d->info.text <= STORE_BLOCK ? unpack(s, d, c, &packed) : -ENOTSUP;
    give_coder(s, c);
    note_time(env, since);
    (void)atomic_fetch_add(&env->decoded_blocks, 1);
    if (err != -EBADMSG && err != -ENOTSUP)
        return err;
    blob_drop_packed(d->blob, d->block, &d->info, err == -EBADMSG);
    return -EBADMSG;
}

static void decode_run(struct pool_job *job)
{
    struct decoded_block *d = (struct decoded_block *)(void *)job;
    struct blob *b = d->blob;
    struct decoded *s = b->env->decoded;
    int err = fill(s, d);
    lock_take(&s->lock);
    struct decoded_wait *w = d->waits;
    d->waits = NULL;
    d->blob = NULL;
    d->used = clock_ms();
    d->unread = d->ahead && w == NULL;
    d->ready = err == 0;
    if (err != 0)
        unlink_block(s, d);
    lock_drop(&s->lock);
    while (w != NULL) {
        struct decoded_wait *self = w;
        w = w->next;
        self->ready(self, err);
    }
    decoded_put(s, d);
    blob_put(&b);
}

/* With the lock held. */
static struct decoded_block *find(const struct decoded *s, const struct blob *b, uint32_t block)
{
    struct decoded_block *d = s->list;
    while (d != NULL &&
           (d->block != block || memcmp(&d->content, &b->content, sizeof(d->content)) != 0))
        d = d->next;
    return d;
}

/* A new entry that its job is to fill; NULL when out of memory. With the lock held. */
static struct decoded_block *begin(struct decoded *s, struct blob *b, uint32_t block, bool text)
{
    struct decoded_block *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->job.run = decode_run;
    d->content = b->content;
    d->block = block;
    d->blob = blob_get(b);
    d->want_text = text;
    d->pins = 1;
    d->linked = true;
    d->next = s->list;
    s->list = d;
    return d;
}

static void wait_for(struct decoded_block *d, struct decoded_wait *w)
{
    w->next = d->waits;
    d->waits = w;
}

int decoded_get(struct blob *b, uint32_t block, bool text, struct decoded_wait *w,
                struct decoded_block **out)
{
    struct decoded *s = b->env->decoded;
    struct decoded_block *fresh = NULL;
    lock_take(&s->lock);
    struct decoded_block *d = find(s, b, block);
    int r = d != NULL && d->ready ? 0 : w == NULL ? -EAGAIN : 1;
    if (r == 0) {
        d->pins++;
        d->used = clock_ms();
        d->unread = false;
        *out = d;
    } else if (r == 1 && d == NULL) {
        d = fresh = begin(s, b, block, text);
        r = d != NULL ? 1 : -ENOMEM;
    }
    if (r == 1)
        wait_for(d, w);
    lock_drop(&s->lock);
    if (fresh != NULL) {
        pool_run(s->pool, &fresh->job);
        blob_env_wake(b->env);
    }
    return r;
}

void decoded_ahead(struct blob *b, uint32_t block)
{
    struct decoded *s = b->env->decoded;
    lock_take(&s->lock);
    bool room =
        s->bytes + STORE_BLOCK <= DECODED_LIMIT || s->texts != NULL || victim(s, true) != NULL;
    struct decoded_block *d = room && find(s, b, block) == NULL ? begin(s, b, block, true) : NULL;
    if (d != NULL)
        d->ahead = true;
    lock_drop(&s->lock);
    if (d == NULL)
        return;
    pool_run(s->pool, &d->job);
    blob_env_wake(b->env);
}

const unsigned char *decoded_text(const struct decoded_block *d)
{
    return d->text;
}

int decoded_copy(struct blob *b, struct decoded_block *d, size_t off, size_t len, void *out)
{
    struct decoded *s = b->env->decoded;
    if (d->text != NULL) {
        memcpy(out, d->text + off, len);
        return 0;
    }
    struct codec *c = take_coder(s);
    if (c == NULL)
        return -ENOMEM;
    int64_t since = now_ns();
    int err = codec_read(c, d->open, off, len, out);
    give_coder(s, c);
    note_time(b->env, since);
    if (err == -EBADMSG) {
        lock_take(&s->lock);
        if (d->linked)
            unlink_block(s, d);
        lock_drop(&s->lock);
        blob_drop_packed(b, d->block, &d->info, true);
    }
    return err;
}

void decoded_put(struct decoded *s, struct decoded_block *d)
{
    lock_take(&s->lock);
    if (--d->pins == 0 && !d->linked)
        free_block(s, d);
    lock_drop(&s->lock);
}

bool decoded_trim(struct decoded *s)
{
    int64_t old = clock_ms() - IDLE_MS;
    struct codec *idle[CODERS_KEPT];
    unsigned count = 0;
    lock_take(&s->lock);
    size_t before = s->bytes;
    for (struct decoded_block *d = s->list, *next; d != NULL; d = next) {
        next = d->next;
        if (d->ready && d->pins == 0 && d->used < old) {
            unlink_block(s, d);
            free_block(s, d);
        }
    }
    while (s->texts != NULL)
        free_one_text(s);
    bool left = s->list != NULL;
    while (!left && s->coders > 0)
        idle[count++] = s->coder[--s->coders];
    bool freed = s->bytes < before;
    lock_drop(&s->lock);
    while (count > 0)
        codec_free(&idle[--count]);
    if (freed && !left)
        (void)malloc_trim(0);
    return left;
}
