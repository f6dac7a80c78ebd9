#include "dataset/export_i.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH = 256,           /* files that are looked up at once */
    AHEAD = 16,            /* of them asked for before their turn */
    AHEAD_BYTES = 1 << 20, /* of each */
    READ = 1 << 20,
    LOOK_MS = 100, /* how often somebody who waits looks whether to stop */
};

/* A file of the collection, as the catalogue has it. */
struct shape {
    uint64_t id;
    char *path, *url, *etag;
    const char *dataset;
    uint64_t size; /* UINT64_MAX: not known */
    int64_t mtime;
};

struct batch {
    struct folder filter;
    bool all;
    struct medshapefs *m;
    struct shape shape[BATCH];
    size_t count;
    int err;
};

/* ---- what there is ---- */

/* "unsorted" says that the dataset is not known. */
static const char *dataset_id(const struct catalog *c, const struct node *n)
{
    const struct catalog_dataset *d = catalog_dataset_at(c, n->dataset);
    return d == NULL || strcmp(d->id, "unsorted") == 0 ? "" : d->id;
}

static int add_shape(void *arg, uint64_t id, const struct node *n)
{
    struct batch *b = arg;
    struct buf path = BUF_INIT, url = BUF_INIT;
    struct blob_version v;
    uint32_t generation;
    if (n->kind != NODE_FILE || (!b->all && !folder_has(&b->filter, n)))
        return 0;
    const struct catalog *c = b->filter.catalog;
    tree_path(b->filter.txn, n, &path);
    object_url(b->filter.txn, n, &url);
    bool known = object_version(b->m, c, b->filter.txn, id, n, &v, &generation);
    struct shape *s = &b->shape[b->count++];
    *s = (struct shape){.id = id,
                        .path = buf_take(&path),
                        .url = buf_take(&url),
                        .etag = strdup(v.etag),
                        .dataset = dataset_id(c, n),
                        .size = known ? v.size : UINT64_MAX,
                        .mtime = v.mtime};
    if (s->path == NULL || s->url == NULL || s->etag == NULL)
        b->err = -ENOMEM;
    return b->count == BATCH || b->err != 0 ? 1 : 0;
}

static void clear(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free(b->shape[i].path);
        free(b->shape[i].url);
        free(b->shape[i].etag);
    }
    b->count = 0;
}

/* ---- answers of the core that are waited for ---- */

struct answer {
    struct lock lock;
    pthread_cond_t came;
    bool done;
    int err;
    char *out;
    size_t len;
    struct medshapefs_attr attr;
};

static void answer_init(struct answer *a, void *out)
{
    *a = (struct answer){.out = out};
    lock_init(&a->lock, LOCK_RANK_LEAF);
    lock_cond_init(&a->came);
}

static void wake(struct answer *a)
{
    a->done = true;
    (void)pthread_cond_signal(&a->came);
}

static void read_came(void *arg, struct medshapefs_data data)
{
    struct answer *a = arg;
    lock_take(&a->lock);
    a->err = data.err;
    for (int i = 0; data.err == 0 && i < data.count; i++) {
        memcpy(a->out + a->len, data.span[i].iov_base, data.span[i].iov_len);
        a->len += data.span[i].iov_len;
    }
    wake(a);
    lock_drop(&a->lock);
}

static void attr_came(void *arg, int err, const struct medshapefs_attr *attr)
{
    struct answer *a = arg;
    lock_take(&a->lock);
    a->err = err;
    if (err == 0)
        a->attr = *attr;
    wake(a);
    lock_drop(&a->lock);
}

/* Waits and ends it; the core answers within retry_for, whatever comes. 0 or -errno. */
static int await(struct answer *a, struct medshapefs *m, uint64_t id,
                 const struct export_sink *sink)
{
    bool cancelled = false, asked = false;
    lock_take(&a->lock);
    while (!a->done && !cancelled) {
        (void)lock_cond_wait(&a->came, &a->lock, LOOK_MS);
        if (a->done || asked)
            continue;
        lock_drop(&a->lock);
        asked = sink->stop(sink->arg);
        cancelled = asked && object_cancel(m, id, a);
        lock_take(&a->lock);
    }
    lock_drop(&a->lock);
    (void)pthread_cond_destroy(&a->came);
    lock_destroy(&a->lock);
    return cancelled ? -ECANCELED : a->err;
}

static void forget(void *arg, struct medshapefs_data data)
{
    (void)arg;
    (void)data;
}

/* ---- one file at a time, the next ones on their way ---- */

struct reader {
    struct medshapefs *m;
    int root; /* of the mount; -1: the core itself reads */
    const struct export_sink *sink;
    struct shape *shape;
    uint64_t off;
    int fd;
};

static int64_t read_shape(void *arg, void *buf, size_t len)
{
    struct reader *r = arg;
    int64_t n;
    if (r->root < 0) {
        struct answer a;
        answer_init(&a, buf);
        object_read(r->m, r->shape->id, r->off, len < READ ? len : READ, read_came, &a);
        n = await(&a, r->m, r->shape->id, r->sink);
        n = n == 0 ? (int64_t)a.len : n;
    } else {
        n = read(r->fd, buf, len);
        n = n < 0 ? -errno : n;
    }
    r->off += n > 0 ? (uint64_t)n : 0;
    return n;
}

static void rewind_shape(void *arg)
{
    struct reader *r = arg;
    r->off = 0;
    if (r->fd >= 0)
        (void)lseek(r->fd, 0, SEEK_SET);
}

static int open_mounted(int root, const struct shape *s)
{
    int fd = openat(root, s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static void ask_ahead(const struct reader *r, const struct shape *s)
{
    if (r->root < 0) {
        object_read(r->m, s->id, 0, AHEAD_BYTES, forget, NULL);
        return;
    }
    int fd = open_mounted(r->root, s);
    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, AHEAD_BYTES, POSIX_FADV_WILLNEED);
    (void)close(fd);
}

/* The version as it is known now, when the source was asked. */
static int look_again(struct medshapefs *m, struct shape *s)
{
    struct shelf *shelf = shelf_take(m);
    struct db_txn t = catalog_begin(shelf->catalog);
    struct node n;
    struct blob_version v;
    uint32_t generation;
    char *etag = NULL;
    bool known = catalog_node(&t, s->id, &n) &&
                 object_version(m, shelf->catalog, &t, s->id, &n, &v, &generation);
    if (known)
        etag = strdup(v.etag);
    db_abort(&t);
    shelf_put(&shelf);
    if (known && etag == NULL)
        return -ENOMEM;
    if (known) {
        free(s->etag);
        *s = (struct shape){s->id, s->path, s->url, etag, s->dataset, v.size, v.mtime};
    }
    return 0;
}

static int learn_core(struct reader *r)
{
    struct answer a;
    if (r->shape->size != UINT64_MAX)
        return 0;
    answer_init(&a, NULL);
    medshapefs_getattr(r->m, tree_ino(r->shape->id), attr_came, &a);
    int err = await(&a, r->m, r->shape->id, r->sink);
    return err != 0 ? err : look_again(r->m, r->shape);
}

/* The daemon may know of another version than this process does. */
static int learn_mounted(struct reader *r)
{
    struct stat st;
    struct shape *s = r->shape;
    r->fd = open_mounted(r->root, s);
    if (r->fd < 0 || fstat(r->fd, &st) != 0)
        return r->fd < 0 ? r->fd : -errno;
    if (s->size == (uint64_t)st.st_size && s->mtime == st.st_mtim.tv_sec)
        return 0;
    int err = look_again(r->m, s);
    if (s->size != (uint64_t)st.st_size || s->mtime != st.st_mtim.tv_sec)
        s->etag[0] = '\0';
    s->size = (uint64_t)st.st_size;
    s->mtime = st.st_mtim.tv_sec;
    return err;
}

static struct export_item item_of(const struct shape *s, struct reader *r)
{
    return (struct export_item){.path = s->path,
                                .mtime = s->mtime,
                                .url = s->url,
                                .dataset = s->dataset,
                                .etag = s->etag,
                                .read = read_shape,
                                .rewind = rewind_shape,
                                .arg = r};
}

static int export_shape(struct reader *r)
{
    const struct export_sink *sink = r->sink;
    struct export_item item;
    int err = r->root < 0 ? learn_core(r) : learn_mounted(r);
    item = item_of(r->shape, r);
    if (err == -ECANCELED || err == -ENOMEM)
        return err;
    if (err != 0)
        return sink->failed(sink->arg, r->shape->path, err);
    return sink->has(sink->arg, &item) ? 0 : sink->take(sink->arg, &item);
}

static int export_batch(struct batch *b, int root, const struct export_sink *sink)
{
    size_t ahead = 0;
    int r = 0;
    for (size_t i = 0; i < b->count && r == 0; i++) {
        struct reader reader = {b->m, root, sink, &b->shape[i], 0, -1};
        struct export_item item = item_of(&b->shape[i], &reader);
        sink->dataset(sink->arg, item.dataset);
        if (sink->has(sink->arg, &item))
            continue;
        for (ahead = ahead > i ? ahead : i + 1; ahead < b->count && ahead <= i + AHEAD; ahead++)
            if (!sink->has_path(sink->arg, b->shape[ahead].path))
                ask_ahead(&reader, &b->shape[ahead]);
        r = export_shape(&reader);
        if (reader.fd >= 0)
            (void)close(reader.fd);
    }
    return r;
}

static int export_from(struct medshapefs *m, int root, const struct query *q,
                       const struct export_sink *sink, struct err *e)
{
    struct batch *b = calloc(1, sizeof(*b));
    uint64_t after = NODE_FIRST - 1;
    bool more = true;
    int r = 0;
    if (b == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    struct shelf *s = shelf_take(m);
    while (r == 0 && more) {
        struct db_txn t = catalog_begin(s->catalog);
        b->m = m;
        b->all = q == NULL;
        b->filter = (struct folder){s->catalog, &t, CATALOG_NONE, q};
        r = catalog_nodes(&t, after, add_shape, b);
        db_abort(&t);
        more = r > 0;
        if (r < 0 || b->err != 0) {
            r = err_set(e, r < 0 ? r : b->err, "catalogue: %s", err_text(r < 0 ? r : b->err));
        } else {
            after = b->count > 0 ? b->shape[b->count - 1].id : after;
            r = export_batch(b, root, sink);
        }
        clear(b);
    }
    free(b);
    shelf_put(&s);
    return r;
}

int export_shapes(struct medshapefs *m, const char *mountpoint, const struct query *q,
                  const struct export_sink *sink, struct err *e)
{
    int root = -1;
    struct stat st;
    if (mountpoint != NULL) {
        root = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root < 0 || fstatat(root, ".medshapefs/status.json", &st, 0) != 0) {
            int r = err_set(e, -errno,
                            "%s: the collection is mounted there, and cannot be read: %s "
                            "(unmount it, or export as the user who mounted it)",
                            mountpoint, err_text(errno));
            if (root >= 0)
                (void)close(root);
            return r;
        }
    }
    int r = export_from(m, root, q, sink, e);
    if (root >= 0)
        (void)close(root);
    return r;
}
