#include "blob/store_i.h"

#include "base/fsio.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const store_tables[STORE_TABLES] = {"object", "block", "lru"};

static void index_path(const char *dir, const char *suffix, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/index.mdb%s", dir, suffix);
}

void store_index_remove(const char *dir)
{
    char path[PATH_MAX];
    index_path(dir, "", path);
    (void)unlink(path);
    index_path(dir, "-lock", path);
    (void)unlink(path);
}

static int add_row(void *arg, struct db_slice key, struct db_slice val)
{
    struct store_totals *totals = arg;
    struct store_row row;
    if (key.len != HASH_ID_LEN || store_row_decode(val.data, val.len, &row) != 0)
        return -EBADMSG;
    totals->objects++;
    store_sum_add(&totals->sum, row.held);
    return 0;
}

static int add_up(struct db *db, struct store_totals *totals)
{
    *totals = (struct store_totals){0};
    struct db_txn t = db_begin(db, false);
    int err = t.err != 0 ? t.err : db_scan(&t, STORE_T_OBJECT, NULL, 0, add_row, totals);
    struct db_slice key, val;
    if (err == 0 && db_last(&t, STORE_T_LRU, &key, &val)) {
        if (key.len == 8 + HASH_ID_LEN)
            totals->last_use = db_key_read(key.data, 8);
        else
            err = -EBADMSG;
    }
    err = err != 0 ? err : t.err;
    db_abort(&t);
    return err;
}

static int open_once(const char *path, struct db **db, struct store_totals *totals, struct err *e)
{
    int err = db_open(path, DB_NO_SYNC, store_tables, STORE_TABLES, db, e);
    if (err != 0)
        return err;
    err = add_up(*db, totals);
    if (err != 0) {
        db_close(db);
        return err_set(e, err, "%s: %s", path, err_text(err));
    }
    return 0;
}

int store_index_open(const char *dir, struct store_index **out, struct store_totals *totals,
                     struct err *e)
{
    char path[PATH_MAX];
    index_path(dir, "", path);
    struct db *db = NULL;
    struct err first = {0};
    store_salvage(dir);
    int err = open_once(path, &db, totals, &first);
    if (err == -EBADMSG || err == -EINVAL) {
        log_warn("%s: damaged; the cache begins anew", path);
        store_index_remove(dir);
        first = (struct err){0};
        err = open_once(path, &db, totals, &first);
    }
    if (err != 0)
        return err_set(e, err, "%s", first.text);
    struct stat st;
    struct store_index *ix = calloc(1, sizeof(*ix));
    if (ix == NULL || stat(path, &st) != 0) {
        err = ix == NULL ? -ENOMEM : -errno;
        free(ix);
        db_close(&db);
        return err_set(e, err, "%s: %s", path, err_text(err));
    }
    *ix = (struct store_index){.db = db, .refs = 1, .dev = st.st_dev, .ino = st.st_ino};
    *out = ix;
    store_salvage_mark(dir);
    return 0;
}

bool store_index_lost(const struct store_index *ix, const char *dir)
{
    char path[PATH_MAX];
    struct stat st;
    index_path(dir, "", path);
    if (stat(path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR;
    return st.st_dev != ix->dev || st.st_ino != ix->ino;
}

struct store_index *store_index_ref(struct store *s)
{
    lock_take(&s->lock);
    struct store_index *ix = s->index;
    if (ix != NULL)
        (void)atomic_fetch_add(&ix->refs, 1);
    lock_drop(&s->lock);
    return ix;
}

void store_index_unref(struct store_index *ix)
{
    if (ix == NULL || atomic_fetch_sub(&ix->refs, 1) > 1)
        return;
    db_close(&ix->db);
    free(ix);
}

static struct db_key block_key(const struct hash_id *id, uint32_t number)
{
    struct db_key k;
    k.len = 0;
    db_key_add(&k, id->byte, HASH_ID_LEN);
    db_key_u(&k, number, 4);
    return k;
}

struct db_key store_index_use_key(uint64_t use, const struct hash_id *id)
{
    struct db_key k;
    k.len = 0;
    db_key_u(&k, use, 8);
    db_key_add(&k, id->byte, HASH_ID_LEN);
    return k;
}

int store_index_row(struct db_txn *t, const struct hash_id *id, struct store_row *row)
{
    struct db_slice val;
    if (!db_get(t, STORE_T_OBJECT, id->byte, HASH_ID_LEN, &val))
        return t->err;
    int err = store_row_decode(val.data, val.len, row);
    return err != 0 ? err : 1;
}

/* The block number of a key that belongs to `id`, or -1. */
static int64_t block_of(struct db_slice key, const struct hash_id *id)
{
    if (key.len != HASH_ID_LEN + 4 || memcmp(key.data, id->byte, HASH_ID_LEN) != 0)
        return -1;
    return (int64_t)db_key_read((const unsigned char *)key.data + HASH_ID_LEN, 4);
}

static int load_pieces(struct store_object *o, uint32_t number, const struct store_block *block)
{
    for (uint32_t i = 0; i < STORE_BLOCK_PIECES; i++) {
        uint64_t piece = (uint64_t)number * STORE_BLOCK_PIECES + i;
        if (!(block->bits >> i & 1))
            continue;
        if (piece >= o->pieces)
            return -EBADMSG;
        size_t len = store_piece_len(o, (uint32_t)piece);
        atomic_store_explicit(&o->sum[piece], block->sum[i], memory_order_relaxed);
        atomic_store(&o->state[piece], STORE_UNPROVED);
        store_sum_add(&o->held, (struct store_sum){.disk = len, .text = len});
    }
    return 0;
}

static int load_packed(struct store_object *o, uint32_t number, const struct store_packed *p)
{
    if (p->text != store_block_len(o, number) || p->len > store_slot_len(o, number))
        return -EBADMSG;
    uint32_t first = number * STORE_BLOCK_PIECES;
    for (uint32_t i = first; i < o->pieces && i < first + STORE_BLOCK_PIECES; i++)
        atomic_store(&o->state[i], STORE_PACKED);
    o->cell[number].packed = true;
    o->cell[number].as = *p;
    store_sum_add(&o->held, store_packed_sum(p));
    return 0;
}

static int load_block(void *arg, struct db_slice key, struct db_slice val)
{
    struct store_object *o = arg;
    struct store_block block;
    int64_t number = block_of(key, &o->id);
    if (number < 0)
        return 1;
    int err = store_block_decode(val.data, val.len, &block);
    if (err == -ENOTSUP)
        return 0;
    if (err != 0 || number >= o->blocks)
        return -EBADMSG;
    return block.form == STORE_FORM_PACKED ? load_packed(o, (uint32_t)number, &block.packed)
                                           : load_pieces(o, (uint32_t)number, &block);
}

int store_index_load(struct store_index *ix, struct store_object *o, struct store_row *row)
{
    struct db_txn t = db_begin(ix->db, false);
    int found = t.err != 0 ? t.err : store_index_row(&t, &o->id, row);
    if (found > 0 && row->size == o->size) {
        struct db_key from = block_key(&o->id, 0);
        int err = db_scan(&t, STORE_T_BLOCK, from.data, from.len, load_block, o);
        found = err < 0 ? err : found;
    }
    db_abort(&t);
    return found;
}

void store_index_put(struct db_txn *t, const struct hash_id *id, const struct store_row *row,
                     uint64_t old_use)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    store_row_encode(row, &b);
    if (b.err != 0 && t->err == 0)
        t->err = b.err;
    db_put(t, STORE_T_OBJECT, id->byte, HASH_ID_LEN, b.data, b.len);
    if (row->use == old_use)
        return;
    struct db_key k = store_index_use_key(old_use, id);
    if (old_use != 0)
        db_del(t, STORE_T_LRU, k.data, k.len);
    k = store_index_use_key(row->use, id);
    db_put(t, STORE_T_LRU, k.data, k.len, "", 0);
}

void store_index_put_block(struct db_txn *t, const struct hash_id *id, uint32_t number,
                           const struct store_block *block)
{
    struct db_key k = block_key(id, number);
    if (block->form == STORE_FORM_PIECES && block->bits == 0) {
        db_del(t, STORE_T_BLOCK, k.data, k.len);
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    store_block_encode(block, &b);
    if (b.err != 0 && t->err == 0)
        t->err = b.err;
    db_put(t, STORE_T_BLOCK, k.data, k.len, b.data, b.len);
}

enum { DELETE_AT_ONCE = 64 };

struct numbers {
    const struct hash_id *id;
    size_t count;
    uint32_t number[DELETE_AT_ONCE];
};

static int collect_number(void *arg, struct db_slice key, struct db_slice val)
{
    struct numbers *n = arg;
    (void)val;
    int64_t number = block_of(key, n->id);
    if (number < 0 || n->count == DELETE_AT_ONCE)
        return 1;
    n->number[n->count++] = (uint32_t)number;
    return 0;
}

static void delete_blocks(struct db_txn *t, const struct hash_id *id)
{
    struct numbers n = {.id = id};
    struct db_key from = block_key(id, 0);
    do {
        n.count = 0;
        if (db_scan(t, STORE_T_BLOCK, from.data, from.len, collect_number, &n) < 0)
            return;
        for (size_t i = 0; i < n.count; i++) {
            struct db_key k = block_key(id, n.number[i]);
            db_del(t, STORE_T_BLOCK, k.data, k.len);
        }
    } while (n.count == DELETE_AT_ONCE && t->err == 0);
}

void store_index_delete(struct db_txn *t, const struct hash_id *id, uint64_t use)
{
    struct store_row row = {.use = use};
    int found = store_index_row(t, id, &row);
    if (found < 0 && t->err == 0)
        t->err = found;
    delete_blocks(t, id);
    db_del(t, STORE_T_OBJECT, id->byte, HASH_ID_LEN);
    struct db_key k = store_index_use_key(found > 0 ? row.use : use, id);
    db_del(t, STORE_T_LRU, k.data, k.len);
    k = store_index_use_key(use, id);
    db_del(t, STORE_T_LRU, k.data, k.len);
}

struct usage {
    struct usage_tag {
        char tag[STORE_TAG_MAX + 1];
        uint64_t text, disk;
    } * tags;
    size_t count, cap;
};

static struct usage_tag *usage_find(struct usage *u, const char *tag)
{
    for (size_t i = 0; i < u->count; i++)
        if (strcmp(u->tags[i].tag, tag) == 0)
            return &u->tags[i];
    if (u->count == u->cap) {
        size_t cap = u->cap == 0 ? 64 : u->cap * 2;
        struct usage_tag *more = realloc(u->tags, cap * sizeof(*more));
        if (more == NULL)
            return NULL;
        u->tags = more;
        u->cap = cap;
    }
    struct usage_tag *t = &u->tags[u->count++];
    (void)snprintf(t->tag, sizeof(t->tag), "%s", tag);
    t->text = t->disk = 0;
    return t;
}

static int usage_add(void *arg, struct db_slice key, struct db_slice val)
{
    struct store_row row;
    (void)key;
    if (store_row_decode(val.data, val.len, &row) != 0)
        return -EBADMSG;
    struct usage_tag *t = usage_find(arg, row.tag);
    if (t == NULL)
        return -ENOMEM;
    t->text += row.held.text;
    t->disk += row.held.disk;
    return 0;
}

int store_usage(const char *dir,
                int (*row)(void *arg, const char *tag, uint64_t text, uint64_t disk), void *arg)
{
    char path[PATH_MAX];
    index_path(dir, "", path);
    struct db *db = NULL;
    int err = db_open(path, DB_SHARED, store_tables, STORE_TABLES, &db, NULL);
    if (err != 0)
        return err;
    struct usage u = {0};
    struct db_txn t = db_begin(db, false);
    err = t.err != 0 ? t.err : db_scan(&t, STORE_T_OBJECT, NULL, 0, usage_add, &u);
    db_abort(&t);
    db_close(&db);
    for (size_t i = 0; i < u.count && err == 0; i++)
        err = row(arg, u.tags[i].tag, u.tags[i].text, u.tags[i].disk);
    free(u.tags);
    return err;
}
