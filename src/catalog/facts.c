#include "catalog/facts.h"

#include "base/buf.h"
#include "catalog/catalog.h"
#include "db/db.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct facts {
    struct db *db;
    atomic_bool any; /* false only while the table is known to be empty */
};

static const char *const tables[] = {"fact"};

int facts_open(const char *path, bool read_only, struct facts **out, struct err *e)
{
    struct facts *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return err_set(e, -ENOMEM, "%s: out of memory", path);
    int r = db_open(path, read_only ? DB_SHARED : DB_NO_SYNC, tables, 1, &f->db, e);
    if (r != 0) {
        free(f);
        return r;
    }
    struct db_txn t = db_begin(f->db, false);
    atomic_store(&f->any, db_count(&t, 0) > 0);
    db_abort(&t);
    *out = f;
    return 0;
}

void facts_close(struct facts **fp)
{
    struct facts *f = *fp;
    *fp = NULL;
    if (f == NULL)
        return;
    (void)db_sync(f->db);
    db_close(&f->db);
    free(f);
}

static int decode(struct db_slice row, struct fact *out)
{
    struct view v = view_of(row.data, row.len);
    const char *etag;
    size_t len;
    out->url = view_le(&v, 8);
    out->size = view_le(&v, 8);
    out->mtime = (int64_t)view_le(&v, 8);
    out->when = (int64_t)view_le(&v, 8);
    out->generation = (uint32_t)view_le(&v, 4);
    view_str(&v, &etag, &len);
    if (v.err != 0 || len >= sizeof(out->etag))
        return -EBADMSG;
    memcpy(out->etag, etag, len);
    out->etag[len] = '\0';
    return 0;
}

bool facts_any(struct facts *f)
{
    return f != NULL && atomic_load(&f->any);
}

bool facts_get(struct facts *f, uint64_t id, uint64_t url, struct fact *out)
{
    if (!facts_any(f))
        return false;
    struct db_key k = catalog_id_key(id);
    struct db_slice row;
    struct db_txn t = db_begin(f->db, false);
    bool found = db_get(&t, 0, k.data, k.len, &row) && decode(row, out) == 0 && out->url == url;
    db_abort(&t);
    return found;
}

int facts_put(struct facts *f, uint64_t id, const struct fact *fact)
{
    struct db_key k = catalog_id_key(id);
    struct buf row = BUF_INIT;
    buf_le(&row, fact->url, 8);
    buf_le(&row, fact->size, 8);
    buf_le(&row, (uint64_t)fact->mtime, 8);
    buf_le(&row, (uint64_t)fact->when, 8);
    buf_le(&row, fact->generation, 4);
    buf_lstr(&row, fact->etag, strnlen(fact->etag, sizeof(fact->etag)));
    int r = row.err;
    if (r == 0) {
        struct db_txn t = db_begin(f->db, true);
        db_put(&t, 0, k.data, k.len, row.data, row.len);
        r = db_commit(&t);
    }
    buf_free(&row);
    if (r == 0)
        atomic_store(&f->any, true);
    return r;
}
