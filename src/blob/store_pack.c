#include "blob/store_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/log.h"
#include "codec/block.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    QUIET_MS = 2000, /* packed then, flights or not */
    POLL_MS = 50,    /* between two looks at readers, commits and flights */
    IDLE_MS = 2000,  /* the coder's memory is kept for so long */
    DISK_BLOCK = 4096,
    IOPRIO_WHO_PROCESS = 1,
    IOPRIO_IDLE = 3 << 13,
};

/* The thread that packs. Its list holds references. */
struct store_packer {
    struct store *s;
    bool (*busy)(void *arg);
    void *arg;
    pthread_t thread;
    /* By store.lock: */
    pthread_cond_t wake;
    struct store_object *list, **list_end;
    bool ending;
    /* The thread's: */
    struct codec *codec;
    unsigned char *text, *packed;
};

static bool has_work(const struct store_object *o)
{
    for (uint32_t i = 0; i < o->blocks; i++)
        if (o->cell[i].wanted || o->cell[i].spare)
            return true;
    return false;
}

void store_pack_queue(struct store_object *o)
{
    struct store_packer *p = o->store->packer;
    if (p == NULL || o->pack_queued || atomic_load(&o->evicted) || !has_work(o))
        return;
    o->pack_queued = true;
    o->refs++;
    o->pack_next = NULL;
    *p->list_end = o;
    p->list_end = &o->pack_next;
    store_pack_wake(o->store);
}

void store_pack_wake(struct store *s)
{
    struct store_packer *p = s->packer;
    if (p != NULL && p->list != NULL)
        (void)pthread_cond_signal(&p->wake);
}

static struct store_object *take_first(struct store_packer *p)
{
    struct store_object *o = p->list;
    p->list = o->pack_next;
    if (p->list == NULL)
        p->list_end = &p->list;
    o->pack_queued = false;
    return o;
}

static bool get_memory(struct store_packer *p)
{
    if (p->codec == NULL)
        p->codec = codec_new(1);
    if (p->text == NULL)
        p->text = malloc(STORE_BLOCK);
    if (p->packed == NULL)
        p->packed = malloc(codec_bound(STORE_BLOCK));
    return p->codec != NULL && p->text != NULL && p->packed != NULL;
}

static void free_memory(struct store_packer *p)
{
    codec_free(&p->codec);
    free(p->text);
    free(p->packed);
    p->text = p->packed = NULL;
}

/* A piece that was right when it came and is not now: it is to be fetched again. */
static void piece_damaged(struct store_object *o, uint32_t piece)
{
    uint8_t present = STORE_PRESENT;
    struct store *s = o->store;
    lock_take(&s->lock);
    if (atomic_compare_exchange_strong(&o->state[piece], &present, STORE_ABSENT)) {
        const struct store_sum less = {.disk = store_piece_len(o, piece),
                                       .text = store_piece_len(o, piece)};
        if (!atomic_load(&o->evicted)) {
            store_sum_sub(&o->held, less);
            store_sum_sub(&s->sum, less);
        }
        store_note_change(o, piece);
        (void)atomic_fetch_add(&s->damaged, 1);
    }
    lock_drop(&s->lock);
}

/* The lowest nice value; an ordinary user has no way back from it. Not SCHED_IDLE: where all CPUs
 * are busy the end of the mount would wait seconds for the block that is being packed. */
static void step_back(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

/* One block on its way. */
struct packing {
    struct store_packer *p;
    const struct store_object *o;
    int fd;
    uint32_t block;
    bool read;    /* the text could be read */
    uint32_t bad; /* pieces whose checksum does not match */
    struct store_packed as;
};

/* Reads a block's text, compares the checksums of its pieces, packs it. On a thread of its own,
 * which takes no lock: one that got no time while it held the store's would stop all readers. */
static void *pack_aside(void *arg)
{
    struct packing *w = arg;
    struct store_packer *p = w->p;
    uint64_t at = (uint64_t)w->block * STORE_BLOCK;
    size_t len = store_block_len(w->o, w->block);
    step_back();
    w->read = fsio_pread_all(w->fd, p->text, len, at) == 0;
    if (!w->read)
        return NULL;
    for (uint32_t i = 0; (size_t)i * STORE_PIECE < len; i++) {
        uint32_t piece = w->block * STORE_BLOCK_PIECES + i;
        uint64_t sum = hash64(p->text + (size_t)i * STORE_PIECE, store_piece_len(w->o, piece), 0);
        w->bad |= sum != atomic_load(&w->o->sum[piece]) ? 1U << i : 0;
    }
    if (w->bad != 0)
        return NULL;
    size_t n = codec_encode(p->codec, p->text, len, at, CODEC_FAST, p->packed, NULL);
    w->as = (struct store_packed){.codec = p->packed[0],
                                  .version = p->packed[1],
                                  .len = (uint32_t)n,
                                  .text = len,
                                  .packed_sum = hash64(p->packed, n, 0),
                                  .text_sum = hash64(p->text, len, 0)};
    return NULL;
}

/* Claims a block, of which nobody writes: writers wait until release(). */
static bool claim(struct store_object *o, uint32_t block)
{
    struct store_cell *c = &o->cell[block];
    lock_take(&o->store->lock);
    bool ours = c->writers == 0 && !atomic_load(&o->evicted);
    c->busy = ours;
    lock_drop(&o->store->lock);
    return ours;
}

static void release(struct store_object *o, uint32_t block)
{
    o->cell[block].busy = false;
    (void)pthread_cond_broadcast(&o->store->changed);
}

/* Writes what was packed to its slot; then the block is packed for everybody. */
static void put_packed(struct store_packer *p, struct store_object *o, int fd, uint32_t block,
                       struct store_packed *as)
{
    if (!claim(o, block))
        return;
    int err = fsio_pwrite_all(fd, p->packed, as->len, store_slot(o, block));
    struct store_cell *c = &o->cell[block];
    lock_take(&o->store->lock);
    release(o, block);
    if (err == 0 && !c->packed && store_block_whole(o, block))
        store_become_packed(o, block, as);
    else
        c->tried = c->spare = true;
    lock_drop(&o->store->lock);
}

static uint64_t on_disk(uint64_t len)
{
    return (len + DISK_BLOCK - 1) / DISK_BLOCK;
}

static void pack_block(struct store_packer *p, struct store_object *o, int fd, uint32_t block)
{
    struct packing w = {.p = p, .o = o, .fd = fd, .block = block};
    pthread_t thread;
    if (!get_memory(p) || pthread_create(&thread, NULL, pack_aside, &w) != 0)
        return;
    (void)pthread_join(thread, NULL);
    for (uint32_t i = 0; i < STORE_BLOCK_PIECES; i++)
        if (w.bad >> i & 1)
            piece_damaged(o, block * STORE_BLOCK_PIECES + i);
    if (!w.read || w.bad != 0)
        return;
    if (on_disk(w.as.len) * 4 <= on_disk(w.as.text) * 3) {
        put_packed(p, o, fd, block, &w.as);
        return;
    }
    lock_take(&o->store->lock);
    o->cell[block].tried = true;
    lock_drop(&o->store->lock);
}

/* True where the pieces of a packed block are nobody's any more, or the slot of another one is.
 * With the lock held. */
static bool may_give_back(const struct store_object *o, const struct store_cell *c)
{
    return c->spare && c->writers == 0 &&
           (!c->packed || (o->committed >= c->spare_since && atomic_load(&c->readers) == 0));
}

/* Gives the room of the form that does not count back to the disk. True: it is done. */
static bool give_back(struct store_object *o, int fd, uint32_t block)
{
    struct store_cell *c = &o->cell[block];
    lock_take(&o->store->lock);
    bool ours = may_give_back(o, c) && !atomic_load(&o->evicted);
    bool packed = c->packed;
    if (ours) {
        c->busy = true;
        c->spare = false;
    }
    lock_drop(&o->store->lock);
    if (!ours)
        return false;
    uint64_t at = packed ? (uint64_t)block * STORE_BLOCK : store_slot(o, block);
    size_t len = packed ? store_block_len(o, block) : store_slot_len(o, block);
    int r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len);
    if (r != 0)
        log_debug("cache: no hole: %s", err_text(errno));
    lock_take(&o->store->lock);
    release(o, block);
    lock_drop(&o->store->lock);
    return true;
}

static bool may_pack(const struct store_cell *c, bool busy)
{
    return c->wanted && (!busy || clock_ms() - c->wanted_ms >= QUIET_MS);
}

/* What is due of a block now; true where something was done. */
static bool step(struct store_packer *p, struct store_object *o, int fd, uint32_t block)
{
    struct store_cell *c = &o->cell[block];
    bool busy = p->busy(p->arg);
    lock_take(&o->store->lock);
    bool spare = c->spare;
    bool wanted = may_pack(c, busy);
    if (wanted)
        c->wanted = false;
    bool whole = !c->packed && store_block_whole(o, block);
    lock_drop(&o->store->lock);
    bool did = spare && give_back(o, fd, block);
    if (wanted && whole)
        pack_block(p, o, fd, block);
    return did || wanted;
}

/* True where something of an object is due now. */
static bool is_due(struct store_packer *p, struct store_object *o)
{
    bool busy = p->busy(p->arg);
    bool due = false;
    lock_take(&p->s->lock);
    for (uint32_t i = 0; i < o->blocks && !due; i++)
        due = may_pack(&o->cell[i], busy) || may_give_back(o, &o->cell[i]);
    lock_drop(&p->s->lock);
    return due;
}

static bool is_ending(struct store_packer *p)
{
    lock_take(&p->s->lock);
    bool ending = p->ending;
    lock_drop(&p->s->lock);
    return ending;
}

/* Goes once over an object; true where something was done. */
static bool work_on(struct store_packer *p, struct store_object *o)
{
    bool did = false;
    int fd = -1;
    if (is_due(p, o)) {
        if (store_open_file(o, &fd) != 0)
            return false;
        for (uint32_t i = 0; i < o->blocks && !is_ending(p); i++)
            did = step(p, o, fd, i) || did;
        (void)close(fd);
    }
    lock_take(&p->s->lock);
    store_pack_queue(o);
    lock_drop(&p->s->lock);
    return did;
}

/* Once over all that is on the list now; true where something was done. */
static bool work_round(struct store_packer *p)
{
    bool did = false;
    lock_take(&p->s->lock);
    unsigned count = 0;
    for (const struct store_object *o = p->list; o != NULL; o = o->pack_next)
        count++;
    for (; count > 0 && p->list != NULL && !p->ending; count--) {
        struct store_object *o = take_first(p);
        lock_drop(&p->s->lock);
        did = work_on(p, o) || did;
        store_object_unref(o);
        lock_take(&p->s->lock);
    }
    lock_drop(&p->s->lock);
    return did;
}

/* Waits for work; false at the end. */
static bool wait_for_work(struct store_packer *p, bool did)
{
    struct store *s = p->s;
    lock_take(&s->lock);
    while (p->list == NULL && !p->ending) {
        bool kept = p->codec != NULL;
        if (!lock_cond_wait(&p->wake, &s->lock, kept ? IDLE_MS : -1) && kept) {
            lock_drop(&s->lock);
            free_memory(p);
            (void)malloc_trim(0);
            lock_take(&s->lock);
        }
    }
    if (!did && !p->ending)
        (void)lock_cond_wait(&p->wake, &s->lock, POLL_MS);
    bool go_on = !p->ending;
    lock_drop(&s->lock);
    return go_on;
}

static void *packer_main(void *arg)
{
    struct store_packer *p = arg;
    bool did = true;
    while (wait_for_work(p, did))
        did = work_round(p);
    free_memory(p);
    return NULL;
}

/* Can a part of a file be given back here? */
static int try_hole(const char *dir)
{
    int fd = fsio_temp_file(dir);
    if (fd < 0)
        return fd;
    int err = ftruncate(fd, 2 * DISK_BLOCK) != 0 ||
                      fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, DISK_BLOCK) != 0
                  ? -errno
                  : 0;
    (void)close(fd);
    return err;
}

int store_pack_start(struct store *s, bool (*busy)(void *arg), void *arg)
{
    int err = try_hole(s->dir);
    if (err != 0) {
        log_info("%s: blocks stay unpacked: %s", s->dir, err_text(err));
        return err;
    }
    struct store_packer *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return -ENOMEM;
    *p = (struct store_packer){.s = s, .busy = busy, .arg = arg};
    p->list_end = &p->list;
    lock_cond_init(&p->wake);
    err = -pthread_create(&p->thread, NULL, packer_main, p);
    if (err != 0) {
        (void)pthread_cond_destroy(&p->wake);
        free(p);
        return err;
    }
    lock_take(&s->lock);
    s->packer = p;
    lock_drop(&s->lock);
    return 0;
}

void store_pack_stop(struct store *s)
{
    lock_take(&s->lock);
    struct store_packer *p = s->packer;
    if (p != NULL) {
        p->ending = true;
        (void)pthread_cond_signal(&p->wake);
    }
    lock_drop(&s->lock);
    if (p == NULL)
        return;
    (void)pthread_join(p->thread, NULL);
    lock_take(&s->lock);
    s->packer = NULL;
    lock_drop(&s->lock);
    while (p->list != NULL)
        store_object_unref(take_first(p));
    (void)pthread_cond_destroy(&p->wake);
    free(p);
}
