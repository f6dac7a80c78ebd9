#include "blob/store_i.h"

#include "base/clock.h"
#include "base/fsio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
    DISK_BLOCK = 4096,
    BUSY_MS = 10000,      /* longest wait for bytes that are being given back */
    SPARE_MIN = 64 << 10, /* what a file may take for nothing: tables of the file system */
    CODEC_HEAD = 2,       /* id and version */
};

static uint64_t round_up(uint64_t n)
{
    return (n + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
}

size_t store_block_len(const struct store_object *o, uint32_t block)
{
    uint64_t rest = o->size - (uint64_t)block * STORE_BLOCK;
    return rest < STORE_BLOCK ? (size_t)rest : STORE_BLOCK;
}

size_t store_slot_len(const struct store_object *o, uint32_t block)
{
    return store_block_len(o, block) + STORE_SLOT_MORE - 1;
}

uint64_t store_slot(const struct store_object *o, uint32_t block)
{
    return round_up(o->size) + (uint64_t)block * (STORE_BLOCK + STORE_SLOT_MORE);
}

struct store_sum store_packed_sum(const struct store_packed *p)
{
    uint64_t disk = round_up(p->len);
    return (struct store_sum){.disk = disk, .text = p->text, .packed = disk};
}

bool store_block_whole(const struct store_object *o, uint32_t block)
{
    uint32_t first = block * STORE_BLOCK_PIECES;
    for (uint32_t i = first; i < o->pieces && i < first + STORE_BLOCK_PIECES; i++)
        if (atomic_load(&o->state[i]) != STORE_PRESENT)
            return false;
    return true;
}

void store_want_packed(struct store_object *o, uint32_t block)
{
    struct store_cell *c = &o->cell[block];
    if (o->store->packer == NULL || c->packed || c->wanted || c->tried ||
        store_block_len(o, block) <= DISK_BLOCK || !store_block_whole(o, block))
        return;
    c->wanted = true;
    c->wanted_ms = clock_ms();
    store_pack_queue(o);
}

int store_cell_enter(struct store_object *o, uint32_t block)
{
    struct store *s = o->store;
    struct store_cell *c = &o->cell[block];
    int64_t until = clock_ms() + BUSY_MS;
    int64_t left = BUSY_MS;
    lock_take(&s->lock);
    while (c->busy && (left = until - clock_ms()) > 0)
        (void)lock_cond_wait(&s->changed, &s->lock, left);
    int r = c->packed ? 1 : left <= 0 ? -EBUSY : 0;
    if (r == 0)
        c->writers++;
    lock_drop(&s->lock);
    return r;
}

/* What the block's pieces count for; they get `state`. With the lock held. */
static struct store_sum turn_pieces(struct store_object *o, uint32_t block, uint8_t state)
{
    uint32_t first = block * STORE_BLOCK_PIECES;
    uint64_t held = 0;
    for (uint32_t i = first; i < o->pieces && i < first + STORE_BLOCK_PIECES; i++) {
        uint8_t old = atomic_exchange(&o->state[i], state);
        if (old == STORE_PRESENT || old == STORE_UNPROVED)
            held += store_piece_len(o, i);
    }
    return (struct store_sum){.disk = held, .text = held};
}

static void replace_held(struct store_object *o, struct store_sum old, struct store_sum new)
{
    if (atomic_load(&o->evicted))
        return;
    store_sum_sub(&o->held, old);
    store_sum_add(&o->held, new);
    store_sum_sub(&o->store->sum, old);
    store_sum_add(&o->store->sum, new);
}

/* Only one form of the block counts now: the room of the other is to be given back. With the lock
 * held. */
static void note_spare(struct store_object *o, uint32_t block)
{
    struct store_cell *c = &o->cell[block];
    c->wanted = c->tried = false;
    c->spare = true;
    store_note_change(o, block * STORE_BLOCK_PIECES);
    c->spare_since = o->changes;
    store_pack_queue(o);
}

void store_become_packed(struct store_object *o, uint32_t block, const struct store_packed *p)
{
    struct store_cell *c = &o->cell[block];
    uint32_t turn = c->as.turn + 1;
    c->packed = true;
    c->as = *p;
    c->as.turn = turn;
    replace_held(o, turn_pieces(o, block, STORE_PACKED), store_packed_sum(p));
    note_spare(o, block);
    (void)atomic_fetch_add(&o->store->packed_blocks, 1);
}

void store_drop_packed(struct store_file *f, uint32_t block, const struct store_packed *info,
                       bool damaged)
{
    struct store_object *o = f->object;
    struct store_cell *c = &o->cell[block];
    lock_take(&o->store->lock);
    if (c->packed && c->as.turn == info->turn) {
        c->packed = false;
        (void)turn_pieces(o, block, STORE_ABSENT);
        replace_held(o, store_packed_sum(&c->as), (struct store_sum){0});
        note_spare(o, block);
        if (damaged)
            (void)atomic_fetch_add(&o->store->damaged, 1);
    }
    lock_drop(&o->store->lock);
}

int store_read_packed(struct store_file *f, uint32_t block, struct buf *packed,
                      struct store_packed *info)
{
    struct store_object *o = f->object;
    if (block >= o->blocks)
        return -ENOENT;
    lock_take(&o->store->lock);
    bool is_packed = o->cell[block].packed;
    *info = o->cell[block].as;
    lock_drop(&o->store->lock);
    if (!is_packed)
        return -ENOENT;
    buf_clear(packed);
    if (buf_reserve(packed, info->len) != 0)
        return -ENOMEM;
    int err = fsio_pread_all(f->fd, packed->data, info->len, store_slot(o, block));
    if (err != 0 && err != -ENODATA)
        return err;
    packed->len = info->len;
    if (err == 0 && hash64(packed->data, info->len, 0) == info->packed_sum)
        return 0;
    store_drop_packed(f, block, info, true);
    return -EBADMSG;
}

void store_hint_packed(struct store_file *f, uint32_t block)
{
    struct store_object *o = f->object;
    if (block >= o->blocks)
        return;
    lock_take(&o->store->lock);
    uint64_t len = o->cell[block].packed ? o->cell[block].as.len : 0;
    lock_drop(&o->store->lock);
    if (len > 0)
        (void)posix_fadvise(f->fd, (off_t)store_slot(o, block), (off_t)len, POSIX_FADV_WILLNEED);
}

int store_write_packed(struct store_file *f, uint32_t block, const void *packed, size_t len,
                       uint64_t packed_sum, uint64_t text_sum)
{
    struct store_object *o = f->object;
    struct store *s = o->store;
    if (block >= o->blocks || len < CODEC_HEAD || len > store_slot_len(o, block))
        return -EINVAL;
    if (hash64(packed, len, 0) != packed_sum)
        return -EBADMSG;
    int err = store_cell_enter(o, block);
    if (err != 0)
        return err > 0 ? 0 : err;
    err = fsio_pwrite_all(f->fd, packed, len, store_slot(o, block));
    if (err == -EBADF)
        err = -EROFS;
    store_note_write(s, err);
    const unsigned char *head = packed;
    const struct store_packed as = {.codec = head[0],
                                    .version = head[1],
                                    .len = (uint32_t)len,
                                    .text = store_block_len(o, block),
                                    .packed_sum = packed_sum,
                                    .text_sum = text_sum};
    lock_take(&s->lock);
    o->cell[block].writers--;
    if (err == 0 && !o->cell[block].packed)
        store_become_packed(o, block, &as);
    lock_drop(&s->lock);
    return err;
}

void store_find_spare(struct store_object *o, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_blocks * 512 <= o->held.disk + SPARE_MIN)
        return;
    for (uint32_t i = 0; i < o->blocks; i++)
        o->cell[i].spare = true;
}
