#include "dataset/dataset_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct shelf *shelf_take(struct medshapefs *m)
{
    lock_take(&m->shelf_lock);
    struct shelf *s = m->shelf;
    atomic_fetch_add(&s->refs, 1);
    lock_drop(&m->shelf_lock);
    return s;
}

void shelf_put(struct shelf **sp)
{
    struct shelf *s = *sp;
    *sp = NULL;
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    catalog_close(&s->catalog);
    free(s);
}

static struct shelf *new_shelf(struct catalog *c)
{
    struct shelf *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->catalog = c;
    atomic_store(&s->refs, 1);
    return s;
}

struct shelf *shelf_swap(struct medshapefs *m, struct catalog *c)
{
    struct shelf *new = new_shelf(c);
    if (new == NULL)
        return NULL;
    lock_take(&m->shelf_lock);
    struct shelf *old = m->shelf;
    m->shelf = new;
    lock_drop(&m->shelf_lock);
    return old;
}

static int set_paths(struct medshapefs *m, const char *mountpoint, struct err *e)
{
    const char *dir = m->conf->cache_dir;
    int n = snprintf(m->catalog_path, sizeof(m->catalog_path), "%s/catalog/catalog.mdb", dir);
    (void)snprintf(m->facts_path, sizeof(m->facts_path), "%s/catalog/facts.mdb", dir);
    (void)snprintf(m->content_dir, sizeof(m->content_dir), "%s/content", dir);
    (void)snprintf(m->mountpoint, sizeof(m->mountpoint), "%s",
                   mountpoint != NULL ? mountpoint : "");
    return n >= (int)sizeof(m->catalog_path)
               ? err_set(e, -ENAMETOOLONG, "%s: the path is too long", dir)
               : 0;
}

/* Who has the lock says so in it: two lines, pid and mount point. */
static int refuse_second(const char *path, struct err *e)
{
    struct buf text = BUF_INIT;
    (void)fsio_read_file(path, 8192, &text);
    const char *line = buf_cstr(&text);
    size_t pid = strcspn(line, "\n");
    const char *where = line[pid] != '\0' ? line + pid + 1 : "?";
    (void)err_set(e, -EBUSY,
                  "%s: another medshapefs uses this cache: pid %.*s, mounted at %.*s (unmount it, "
                  "or give another "
                  "folder with -o cache=DIR)",
                  path, (int)pid, line, (int)strcspn(where, "\n"), where);
    buf_free(&text);
    return -EBUSY;
}

static int lock_cache(struct medshapefs *m, struct err *e)
{
    const char *dir = m->conf->cache_dir;
    char path[PATH_MAX + 8], text[PATH_MAX + 32];
    const char *network = fsio_network_fs(dir);
    if (network != NULL)
        return err_set(e, -EREMOTE,
                       "%s: the cache is on a network file system (%s), where its index would "
                       "break (medshapefs mount "
                       "-o cache=/var/tmp/medshapefs-%u %s)",
                       dir, network, (unsigned)getuid(), m->mountpoint);
    int r = fsio_mkdirs(dir, 0700);
    if (r != 0)
        return err_set(e, r,
                       "%s: cannot make the cache folder: %s (give another with -o cache=DIR)", dir,
                       err_text(r));
    (void)snprintf(path, sizeof(path), "%s/lock", dir);
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (m->lock_fd < 0)
        return err_set(e, -errno, "%s: %s (is the folder yours?)", path, err_text(errno));
    if (flock(m->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return refuse_second(path, e);
    int n = snprintf(text, sizeof(text), "%d\n%s\n", (int)getpid(), m->mountpoint);
    if (ftruncate(m->lock_fd, 0) != 0 || fsio_pwrite_all(m->lock_fd, text, (size_t)n, 0) != 0)
        return err_set(e, -EIO, "%s: cannot be written (is the disk full?)", path);
    return 0;
}

/* Bytes that catalogue and facts take: they count against cache.size. */
static uint64_t catalog_bytes(const struct medshapefs *m)
{
    struct stat st;
    uint64_t bytes = 0;
    if (stat(m->catalog_path, &st) == 0)
        bytes += (uint64_t)st.st_blocks * 512;
    if (stat(m->facts_path, &st) == 0)
        bytes += (uint64_t)st.st_blocks * 512;
    return bytes;
}

static int start_serving(struct medshapefs *m, struct err *e)
{
    const struct conf *c = m->conf;
    struct err cache = {.code = 0};
    int r = facts_open(m->facts_path, false, &m->facts, e);
    if (r == 0)
        r = http_open(&c->network, &m->http, e);
    if (r != 0)
        return r;
    if (store_open(m->content_dir, c->cache_size, c->cache_min_free, &m->store, &cache) != 0)
        log_warn("%s: reading without a cache", cache.text);
    else
        store_reserve(m->store, catalog_bytes(m));
    const struct blob_env_options o = {.conf = c,
                                       .http = m->http,
                                       .store = m->store,
                                       .failed = object_failed,
                                       .changed = object_changed,
                                       .neighbours = object_neighbours,
                                       .arg = m};
    return blob_env_open(&o, &m->env, e);
}

static void init_locks(struct medshapefs *m)
{
    lock_init(&m->shelf_lock, LOCK_RANK_CATALOG);
    lock_init(&m->search_lock, LOCK_RANK_LEAF);
    lock_init(&m->state_lock, LOCK_RANK_LEAF);
    lock_init(&m->change_lock, LOCK_RANK_LEAF);
    objects_init(m);
}

int medshapefs_open(const struct conf *conf, enum medshapefs_mode mode, const char *mountpoint,
                    struct medshapefs **out, struct err *e)
{
    struct medshapefs *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    m->conf = conf;
    m->mode = mode;
    m->lock_fd = -1;
    m->wake_fd = -1;
    m->started = clock_wall();
    init_locks(m);
    struct catalog *c = NULL;
    int r = set_paths(m, mountpoint, e);
    if (r == 0 && mode == MEDSHAPEFS_SERVE)
        r = lock_cache(m, e);
    if (r == 0)
        r = catalog_open(m->catalog_path, &c, e);
    if (r == 0 && (m->shelf = new_shelf(c)) == NULL)
        r = err_set(e, -ENOMEM, "out of memory");
    if (r == 0 && mode == MEDSHAPEFS_SERVE)
        r = start_serving(m, e);
    else if (r == 0)
        (void)facts_open(m->facts_path, true, &m->facts, NULL);
    if (r != 0)
        medshapefs_close(&m);
    *out = m;
    return r;
}

void medshapefs_close(struct medshapefs **mp)
{
    struct medshapefs *m = *mp;
    *mp = NULL;
    if (m == NULL)
        return;
    atomic_store(&m->ending, true);
    reload_stop(m);
    http_stop(m->http);
    blob_env_close(&m->env); /* its last jobs may still call the engine */
    objects_free(m);
    http_close(&m->http);
    reload_free(m);
    store_close(&m->store);
    facts_close(&m->facts);
    shelf_put(&m->shelf);
    search_free(m);
    state_free(m);
    if (m->lock_fd >= 0)
        (void)close(m->lock_fd);
    free(m);
}
