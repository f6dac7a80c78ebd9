#include "blob/store_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    BUSY_MS = 10000,  /* longest wait for an object that is being removed */
    TOUCH_MS = 60000, /* between two notes of use */
    TRIES = 3,        /* when the object changes below store_get() */
};

void store_path(const struct store *s, const struct hash_id *id, char out[PATH_MAX])
{
    char hex[33];
    hash_id_hex(id, hex);
    (void)snprintf(out, PATH_MAX, "%s/data/%.2s/%s", s->dir, hex, hex);
}

int store_open_file(const struct store_object *o, int *fd)
{
    char path[PATH_MAX];
    struct stat st;
    store_path(o->store, &o->id, path);
    int got = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (got < 0 && (errno == EROFS || errno == EACCES))
        got = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (got < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -ESTALE : -errno;
    /* What is packed lies behind the text. */
    bool same = fstat(got, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size >= o->size;
    /* Once the object is evicted the name may be that of its successor's file. */
    if (!same || atomic_load(&o->evicted)) {
        (void)close(got);
        return -ESTALE;
    }
    *fd = got;
    return 0;
}

static int open_new(char *path)
{
    enum { FLAGS = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC };
    (void)unlink(path);
    int fd = open(path, FLAGS, 0600);
    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? fd : -errno;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    int err = fsio_mkdirs(path, 0700);
    *slash = '/';
    if (err != 0)
        return err;
    fd = open(path, FLAGS, 0600);
    return fd >= 0 ? fd : -errno;
}

static int create_file(const struct store_object *o, int *fd)
{
    char path[PATH_MAX];
    store_path(o->store, &o->id, path);
    int got = open_new(path);
    int err = got < 0 ? got : 0;
    if (got >= 0 && ftruncate(got, (off_t)o->size) != 0) {
        err = -errno;
        (void)close(got);
        (void)unlink(path);
    }
    if (err == 0)
        *fd = got;
    else if (err != -EMFILE && err != -ENFILE && err != -ENOENT && err != -EEXIST)
        store_note_write(o->store,
                         err); /* the others pass: no descriptor, a folder deleted just now */
    return err;
}

/* What store_get() learnt of the index. */
struct found {
    int row; /* 1 there is a row, 0 none, or -errno */
    bool bad;
    struct store_index *ix;
    struct store_row as;
};

static void clear_pieces(struct store_object *o)
{
    for (uint32_t i = 0; i < o->pieces; i++)
        atomic_store(&o->state[i], STORE_ABSENT);
    for (uint32_t i = 0; i < o->blocks; i++)
        o->cell[i].packed = false;
    o->held = (struct store_sum){0};
}

/* Fills a busy object from the index and opens its file, or makes a new one. */
static int load(struct store_object *o, struct found *found, int *fd)
{
    found->ix = store_index_ref(o->store);
    found->row = found->ix != NULL ? store_index_load(found->ix, o, &found->as) : 0;
    found->bad = found->row == -EBADMSG || found->row == -EINVAL;
    if (found->row < 0 && !found->bad)
        return found->row;
    if (found->row > 0 && found->as.size == o->size) {
        int err = store_open_file(o, fd);
        if (err == 0)
            store_find_spare(o, *fd);
        if (err != -ESTALE)
            return err;
    }
    clear_pieces(o);
    o->forget = found->row > 0;
    return create_file(o, fd);
}

/* Makes a loaded object live. With the lock held. */
static void settle(struct store_object *o, const char *tag, const struct found *found)
{
    struct store *s = o->store;
    bool news = o->forget;
    if (found->row > 0) {
        o->indexed = true;
        o->row_held = found->as.held;
        if (o->forget)
            o->stale = found->as.held;
        else {
            store_sum_add(&s->sum, o->held);
            store_sum_sub(&s->sum, found->as.held);
        }
        news = news || !store_sum_equal(o->held, found->as.held) || strcmp(tag, found->as.tag) != 0;
    }
    (void)snprintf(o->tag, sizeof(o->tag), "%s", tag);
    if (news)
        store_object_queue(o);
    store_pack_queue(o);
}

static int load_and_settle(struct store_object *o, const char *tag, int *fd)
{
    struct store *s = o->store;
    struct found found = {0};
    int err = load(o, &found, fd);
    lock_take(&s->lock);
    if (err == 0 && s->index != found.ix) {
        err = -ESTALE; /* the index was begun anew meanwhile */
        (void)close(*fd);
        *fd = -1;
    }
    if (found.bad) {
        s->index_bad = true;
        s->urgent = true;
        (void)pthread_cond_signal(&s->wake);
    }
    o->busy = false;
    if (err == 0)
        settle(o, tag, &found);
    else
        store_object_remove(o);
    (void)pthread_cond_broadcast(&s->changed);
    lock_drop(&s->lock);
    store_index_unref(found.ix);
    return err;
}

/* The live object of this id and size with a reference, or `fresh` put into the table, busy. */
static int find_or_insert(struct store *s, struct store_object *fresh, struct store_object **out)
{
    int64_t until = clock_ms() + BUSY_MS;
    struct store_object *o;
    int err = 0;
    lock_take(&s->lock);
    while ((o = store_object_find(s, &fresh->id)) != NULL && o->busy && err == 0) {
        int64_t left = until - clock_ms();
        if (left <= 0)
            err = -EBUSY;
        else
            (void)lock_cond_wait(&s->changed, &s->lock, left);
    }
    if (err == 0 && o != NULL && o->size != fresh->size) {
        store_object_drop(o);
        o = NULL;
    }
    if (err == 0 && o == NULL) {
        fresh->busy = true;
        store_object_insert(fresh);
        o = fresh;
    }
    if (err == 0)
        o->refs++;
    lock_drop(&s->lock);
    *out = o;
    return err;
}

static int try_object(struct store_object *fresh, const char *tag, struct store_object **out,
                      int *fd)
{
    struct store *s = fresh->store;
    struct store_object *o = NULL;
    int err = find_or_insert(s, fresh, &o);
    if (err != 0)
        return err;
    err = o == fresh ? load_and_settle(o, tag, fd) : store_open_file(o, fd);
    if (err == 0) {
        *out = o;
        return 0;
    }
    if (o != fresh && err == -ESTALE) {
        lock_take(&s->lock);
        store_object_drop(o);
        lock_drop(&s->lock);
    }
    store_object_unref(o);
    return err;
}

static int open_object(struct store *s, const struct hash_id *id, uint64_t size, const char *tag,
                       struct store_object **out, int *fd)
{
    int err = -ESTALE;
    for (int i = 0; i < TRIES && err == -ESTALE; i++) {
        struct store_object *fresh = store_object_new(s, id, size);
        if (fresh == NULL)
            return -ENOMEM;
        err = try_object(fresh, tag, out, fd);
        store_object_unref(fresh);
    }
    return err == -ESTALE ? -EBUSY : err;
}

int store_get(struct store *s, const struct hash_id *id, uint64_t size, const char *tag,
              struct store_file **out)
{
    *out = NULL;
    if (size > STORE_SIZE_MAX || strlen(tag) > STORE_TAG_MAX)
        return size > STORE_SIZE_MAX ? -EFBIG : -EINVAL;
    struct store_file *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return -ENOMEM;
    f->fd = -1;
    int err = 0;
    if (size > 0)
        err = open_object(s, id, size, tag, &f->object, &f->fd);
    else if ((f->object = store_object_new(s, id, 0)) == NULL)
        err = -ENOMEM;
    if (err == 0 && size > 0) {
        void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, f->fd, 0);
        if (map == MAP_FAILED)
            err = -errno;
        else
            f->map = map;
    }
    if (err != 0)
        store_put(&f);
    *out = f;
    return err;
}

void store_put(struct store_file **pf)
{
    struct store_file *f = *pf;
    *pf = NULL;
    if (f == NULL)
        return;
    if (f->map != NULL)
        (void)munmap(f->map, f->object->size);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (f->object != NULL)
        store_object_unref(f->object);
    free(f);
}

uint32_t store_pieces(const struct store_file *f)
{
    return f->object->pieces;
}

enum store_state store_state(const struct store_file *f, uint32_t piece)
{
    const struct store_object *o = f->object;
    return piece < o->pieces ? (enum store_state)atomic_load(&o->state[piece]) : STORE_ABSENT;
}

void store_note_change(struct store_object *o, uint32_t piece)
{
    struct store *s = o->store;
    o->changes++;
    atomic_store(&o->dirty[piece / STORE_BLOCK_PIECES], 1);
    if (atomic_load(&o->evicted))
        return;
    store_object_queue(o);
    if (s->sum.disk + atomic_load(&s->reserve) > s->size && !s->urgent) {
        s->urgent = true;
        (void)pthread_cond_signal(&s->wake);
    }
}

static void add_held(struct store_object *o, uint64_t bytes)
{
    const struct store_sum more = {.disk = bytes, .text = bytes};
    if (atomic_load(&o->evicted))
        return;
    store_sum_add(&o->held, more);
    store_sum_add(&o->store->sum, more);
}

static int damaged(struct store_object *o, uint32_t piece)
{
    struct store *s = o->store;
    lock_take(&s->lock);
    uint8_t unproved = STORE_UNPROVED;
    bool ours = atomic_compare_exchange_strong(&o->state[piece], &unproved, STORE_ABSENT);
    if (ours) {
        add_held(o, -(uint64_t)store_piece_len(o, piece));
        store_note_change(o, piece);
        (void)atomic_fetch_add(&s->damaged, 1);
    }
    lock_drop(&s->lock);
    return unproved == STORE_PRESENT || unproved == STORE_PACKED ? 0 : -EBADMSG;
}

int store_prove(struct store_file *f, uint32_t piece)
{
    struct store_object *o = f->object;
    enum store_state state = store_state(f, piece);
    if (state != STORE_UNPROVED)
        return state == STORE_ABSENT ? -EBADMSG : 0;
    size_t len = store_piece_len(o, piece);
    CLEANUP_FREE void *data = malloc(len);
    if (data == NULL)
        return -ENOMEM;
    int err = fsio_pread_all(f->fd, data, len, (uint64_t)piece * STORE_PIECE);
    if (err != 0 && err != -ENODATA)
        return err;
    if (err != 0 || hash64(data, len, 0) != atomic_load(&o->sum[piece]))
        return damaged(o, piece);
    uint8_t unproved = STORE_UNPROVED;
    (void)atomic_compare_exchange_strong(&o->state[piece], &unproved, STORE_PRESENT);
    if (store_block_whole(o, piece / STORE_BLOCK_PIECES)) {
        lock_take(&o->store->lock);
        store_want_packed(o, piece / STORE_BLOCK_PIECES);
        lock_drop(&o->store->lock);
    }
    return unproved == STORE_ABSENT ? -EBADMSG : 0;
}

int store_write(struct store_file *f, uint32_t piece, const void *data, size_t len)
{
    struct store_object *o = f->object;
    struct store *s = o->store;
    if (piece >= o->pieces || len != store_piece_len(o, piece))
        return -EINVAL;
    if (store_state(f, piece) == STORE_PRESENT)
        return 0;
    uint32_t block = piece / STORE_BLOCK_PIECES;
    int err = store_cell_enter(o, block);
    if (err != 0)
        return err > 0 ? 0 : err;
    err = fsio_pwrite_all(f->fd, data, len, (uint64_t)piece * STORE_PIECE);
    if (err == -EBADF)
        err = -EROFS;
    store_note_write(s, err);
    uint64_t sum = err == 0 ? hash64(data, len, 0) : 0;
    lock_take(&s->lock);
    o->cell[block].writers--;
    if (err == 0 && !o->cell[block].packed) {
        atomic_store(&o->sum[piece], sum);
        if (atomic_exchange(&o->state[piece], STORE_PRESENT) == STORE_ABSENT)
            add_held(o, len);
        store_note_change(o, piece);
        store_want_packed(o, block);
    }
    lock_drop(&s->lock);
    return err;
}

static bool all_present(const struct store_object *o, uint64_t off, size_t len)
{
    uint32_t end = (uint32_t)((off + len + STORE_PIECE - 1) / STORE_PIECE);
    for (uint32_t p = (uint32_t)(off / STORE_PIECE); p < end; p++)
        if (atomic_load(&o->state[p]) != STORE_PRESENT)
            return false;
    return true;
}

const unsigned char *store_lease(struct store_file *f, uint64_t off, size_t len)
{
    struct store_object *o = f->object;
    if (len == 0 || off >= o->size || len > o->size - off)
        return NULL;
    for (uint64_t b = off / STORE_BLOCK; b <= (off + len - 1) / STORE_BLOCK; b++)
        (void)atomic_fetch_add(&o->cell[b].readers, 1);
    if (all_present(o, off, len))
        return f->map + off;
    store_release(f, off, len);
    return NULL;
}

void store_release(struct store_file *f, uint64_t off, size_t len)
{
    for (uint64_t b = off / STORE_BLOCK; b <= (off + len - 1) / STORE_BLOCK; b++)
        (void)atomic_fetch_sub(&f->object->cell[b].readers, 1);
}

int store_read(struct store_file *f, uint64_t off, size_t len, void *out)
{
    if (store_lease(f, off, len) == NULL)
        return -EBADMSG;
    int err = fsio_pread_all(f->fd, out, len, off);
    store_release(f, off, len);
    return err;
}

void store_touch(struct store_file *f)
{
    struct store_object *o = f->object;
    int64_t now = clock_ms();
    int64_t last = atomic_load(&o->touched_ms);
    if (now - last < TOUCH_MS || !atomic_compare_exchange_strong(&o->touched_ms, &last, now))
        return;
    lock_take(&o->store->lock);
    if (!atomic_load(&o->evicted) && o->pieces > 0) {
        o->touched = true;
        store_object_queue(o);
    }
    lock_drop(&o->store->lock);
}

bool store_evicted(const struct store_file *f)
{
    return atomic_load(&f->object->evicted);
}
