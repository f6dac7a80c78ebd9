#include "blob/store_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    VICTIMS_AT_ONCE = 16, /* whoever wants one of them again waits for all their removals */
    FREE_MS = 1000,       /* file systems take a while to count freed space as free */
};

struct victim {
    struct store_object *object;
    uint64_t use;
    struct store_sum held;
    bool has_row;
    bool stray; /* a place in the order of use that no row has */
};

struct hunt {
    struct store *s;
    struct db_txn *t;
    bool open_too;
    uint64_t need, found;
    struct db_key from; /* behind what was looked at */
    size_t count;
    struct victim victim[VICTIMS_AT_ONCE];
};

static int consider(void *arg, struct db_slice key, struct db_slice val)
{
    struct hunt *h = arg;
    struct hash_id id;
    struct store_row row;
    (void)val;
    if (key.len != 8 + HASH_ID_LEN)
        return -EBADMSG;
    memcpy(&id, (const unsigned char *)key.data + 8, sizeof(id));
    h->from.len = 0;
    db_key_add(&h->from, key.data, key.len);
    db_key_add(&h->from, "", 1);
    int found = store_index_row(h->t, &id, &row);
    if (found < 0)
        return found;
    struct store_object *o = store_object_claim(h->s, &id, h->open_too);
    if (o == NULL)
        return 0;
    struct victim *v = &h->victim[h->count++];
    *v = (struct victim){.object = o, .use = db_key_read(key.data, 8)};
    v->has_row = found > 0;
    v->stray = o->pieces == 0 && (found == 0 || row.use != v->use);
    v->held = found == 0 || v->stray ? (struct store_sum){0} : row.held;
    h->found += v->held.disk;
    return h->count == VICTIMS_AT_ONCE || h->found >= h->need ? 1 : 0;
}

static int delete_rows(struct hunt *h, struct store_index *ix)
{
    struct db_txn t = db_begin(ix->db, true);
    for (size_t i = 0; i < h->count; i++) {
        struct victim *v = &h->victim[i];
        struct db_key k = store_index_use_key(v->use, &v->object->id);
        if (v->stray)
            db_del(&t, STORE_T_LRU, k.data, k.len);
        else
            store_index_delete(&t, &v->object->id, v->use);
    }
    return db_commit(&t);
}

/* Rows first, then files. On a full disk the rows may have to stay for now: a row without a file is
 * harmless. */
static int remove_victims(struct hunt *h, struct store_index *ix)
{
    int err = delete_rows(h, ix);
    for (size_t i = 0; i < h->count; i++) {
        struct victim *v = &h->victim[i];
        char path[PATH_MAX];
        store_path(h->s, &v->object->id, path);
        if (!v->stray) {
            (void)unlink(path);
            (void)atomic_fetch_add(&h->s->evicted, 1);
        }
        store_object_release(v->object, err == 0 && v->has_row && !v->stray, v->held);
    }
    return err;
}

/* Removes objects, least recently used first, until `need` bytes are free. Returns the bytes that
 * it freed. */
static uint64_t pass(struct store *s, struct store_index *ix, uint64_t need, bool open_too)
{
    struct hunt h = {.s = s, .open_too = open_too, .need = need};
    int err = 0;
    do {
        struct db_txn t = db_begin(ix->db, false);
        h.t = &t;
        h.count = 0;
        err = t.err != 0 ? t.err : db_scan(&t, STORE_T_LRU, h.from.data, h.from.len, consider, &h);
        db_abort(&t);
        if (h.count > 0) {
            int removed = remove_victims(&h, ix);
            err = err < 0 ? err : removed;
        }
    } while (err >= 0 && h.count > 0 && h.found < need);
    if (err == -EBADMSG || err == -EINVAL || err == -ENOTRECOVERABLE) {
        lock_take(&s->lock);
        s->index_bad = true;
        lock_drop(&s->lock);
    }
    return h.found;
}

/* Bytes that the disk lacks; looked at but once a second after an eviction. */
static uint64_t disk_lacks(struct store *s)
{
    int64_t now = clock_ms();
    if (s->min_free == 0 || now < s->free_due)
        return 0;
    uint64_t left = fsio_free_bytes(s->dir);
    if (left >= s->min_free)
        return 0;
    s->free_due = now + FREE_MS;
    return s->min_free - left + s->min_free / 20;
}

static uint64_t bytes_to_free(struct store *s, struct store_index *ix)
{
    uint64_t need = disk_lacks(s);
    uint64_t index = db_bytes(ix->db); /* never shrinks: it must not starve a small cache */
    uint64_t other = (index < s->size / 4 ? index : s->size / 4) + atomic_load(&s->reserve);
    lock_take(&s->lock);
    uint64_t held = s->sum.disk;
    bool squeezed = s->squeezed;
    s->squeezed = false;
    lock_drop(&s->lock);
    if (squeezed && need < held / 20 + 1)
        need = held / 20 + 1;
    uint64_t target = s->size - s->size / 20;
    if (held + other > s->size && held + other - target > need)
        need = held + other - target;
    return need < held ? need : held;
}

bool store_evict(struct store *s, struct store_index *ix)
{
    uint64_t need = bytes_to_free(s, ix);
    if (need == 0)
        return false;
    uint64_t freed = pass(s, ix, need, false);
    if (freed < need)
        freed += pass(s, ix, need - freed, true);
    log_debug("cache: %llu bytes to free, %llu freed", (unsigned long long)need,
              (unsigned long long)freed);
    return freed > 0;
}

static bool parse_id(const char *name, struct hash_id *id)
{
    const size_t digits = 2 * (size_t)HASH_ID_LEN;
    if (strlen(name) != digits || strspn(name, "0123456789abcdef") != digits)
        return false;
    for (size_t i = 0; i < HASH_ID_LEN; i++) {
        unsigned byte;
        (void)sscanf(name + 2 * i, "%2x", &byte);
        id->byte[i] = (unsigned char)byte;
    }
    return true;
}

static bool has_row(struct store_index *ix, const struct hash_id *id)
{
    struct store_row row;
    struct db_txn t = db_begin(ix->db, false);
    int found = t.err != 0 ? t.err : store_index_row(&t, id, &row);
    db_abort(&t);
    return found != 0;
}

static void sweep_one(struct store *s, struct store_index *ix, const struct hash_id *id)
{
    if (has_row(ix, id))
        return;
    struct store_object *o = store_object_claim(s, id, false);
    if (o == NULL)
        return;
    char path[PATH_MAX];
    store_path(s, id, path);
    if (!has_row(ix, id))
        (void)unlink(path);
    store_object_release(o, false, (struct store_sum){0});
}

bool store_sweep(struct store *s, struct store_index *ix, unsigned folder)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/data/%02x", s->dir, folder);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return false;
    struct dirent *entry;
    struct hash_id id;
    while ((entry = readdir(dir)) != NULL)
        if (parse_id(entry->d_name, &id) && id.byte[0] == folder)
            sweep_one(s, ix, &id);
    (void)closedir(dir);
    return true;
}
