#include "dataset/dataset_i.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETRY_REFRESH_S = 3600 };

/* The one thread that tells the kernel what changed: it is in no request, so a notification cannot
 * wait for itself. */
struct watch {
    struct medshapefs *m;
    int inotify, child_fd; /* -1: none */
    pid_t child;
    int64_t next_refresh; /* clock_wall(), or INT64_MAX */
    uint64_t last_folder;
};

/* ---- what differs between two catalogues ---- */

struct side_of {
    struct catalog *catalog;
    struct db_txn txn;
    uint64_t id; /* 0: at the end */
    struct node node;
};

static int take_first(void *arg, uint64_t id, const struct node *n)
{
    struct side_of *s = arg;
    s->id = id;
    s->node = *n;
    return 1;
}

static void step(struct side_of *s)
{
    uint64_t after = s->id;
    s->id = 0;
    (void)catalog_nodes(&s->txn, after, take_first, s);
}

static void tell_folder(struct watch *w, uint64_t folder)
{
    if (folder == w->last_folder)
        return;
    w->last_folder = folder;
    w->m->watcher.inode(w->m->watcher.arg, tree_ino(folder));
}

/* A name came, went, or means other content: in its own folder and in its class. */
static void tell_name(struct watch *w, const struct catalog *c, const struct node *n)
{
    const struct medshapefs_watcher *to = &w->m->watcher;
    char name[256];
    (void)snprintf(name, sizeof(name), "%.*s", (int)n->name.len, n->name.s);
    to->entry(to->arg, tree_ino(n->parent), name);
    tell_folder(w, n->parent);
    if (n->kind == NODE_FILE && n->anatomy < c->class_count) {
        to->entry(to->arg, tree_ino(c->classes[n->anatomy].folder), name);
        to->inode(to->arg, tree_ino(c->classes[n->anatomy].folder));
        w->last_folder = 0;
    }
}

static bool same(struct slice a, struct slice b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

/* The content under a path is another: known before, known now, and different. */
static bool replaced(const struct node *a, const struct node *b)
{
    if (a->kind != NODE_FILE || a->size == CATALOG_UNKNOWN || b->size == CATALOG_UNKNOWN)
        return false;
    if (a->size != b->size)
        return true;
    if (a->etag.len > 0 && b->etag.len > 0)
        return !same(a->etag, b->etag);
    return a->etag.len == 0 && b->etag.len == 0 && a->mtime != b->mtime;
}

/* The same content, but elsewhere: in another pack, or at another place in it. */
static bool moved(struct side_of *old, struct side_of *new)
{
    struct slice link;
    struct db_slice a, b;
    if (memchr(new->node.key.s, '\n', new->node.key.len) == NULL)
        return false; /* of no pack */
    return !same(old->node.key, new->node.key) ||
           !catalog_place(&old->txn, old->node.place, &link, &a) ||
           !catalog_place(&new->txn, new->node.place, &link, &b) || a.len != b.len ||
           memcmp(a.data, b.data, a.len) != 0;
}

static void compare(struct watch *w, struct side_of *old, struct side_of *new)
{
    const struct medshapefs_watcher *to = &w->m->watcher;
    if (old->node.kind == NODE_FILE && replaced(&old->node, &new->node)) {
        object_replaced(w->m, new->id);
        tell_name(w, new->catalog, &new->node);
        return;
    }
    if (old->node.kind == NODE_FILE && moved(old, new))
        object_reopen(w->m, new->id);
    if (old->node.kind == NODE_TEXT || old->node.size != new->node.size ||
        old->node.mtime != new->node.mtime) {
        to->inode(to->arg, tree_ino(new->id));
    }
}

static void tell_differences(struct watch *w, struct catalog *before, struct catalog *now)
{
    struct side_of old = {.catalog = before, .txn = catalog_begin(before)};
    struct side_of new = {.catalog = now, .txn = catalog_begin(now)};
    step(&old);
    step(&new);
    while ((old.id != 0 || new.id != 0) && !atomic_load(&w->m->ending)) {
        if (new.id == 0 || (old.id != 0 && old.id < new.id)) {
            tell_name(w, before, &old.node);
            step(&old);
        } else if (old.id == 0 || new.id < old.id) {
            tell_name(w, now, &new.node);
            step(&new);
        } else {
            compare(w, &old, &new);
            step(&old);
            step(&new);
        }
    }
    db_abort(&old.txn);
    db_abort(&new.txn);
}

static void tell_searches(struct watch *w)
{
    uint64_t *ino = calloc(SEARCH_MAX, sizeof(ino[0]));
    size_t count = ino != NULL ? search_inodes(w->m, ino, SEARCH_MAX) : 0;
    for (size_t i = 0; i < count; i++)
        w->m->watcher.inode(w->m->watcher.arg, ino[i]);
    free(ino);
}

static void reload(struct watch *w)
{
    struct medshapefs *m = w->m;
    struct catalog *now;
    struct err e = {.code = 0};
    if (catalog_open(m->catalog_path, &now, &e) != 0) {
        log_warn("%s", e.text);
        return;
    }
    int64_t refreshed = now->info.refreshed;
    log_info("new catalogue: %llu shapes", (unsigned long long)now->info.shapes);
    struct shelf *old = shelf_swap(m, now);
    if (old == NULL) {
        catalog_close(&now);
        return;
    }
    blob_env_unstop(m->env);
    tell_differences(w, old->catalog, now);
    tell_searches(w);
    shelf_put(&old);
    w->next_refresh = m->conf->refresh_s == 0 ? INT64_MAX : refreshed + (int64_t)m->conf->refresh_s;
}

/* ---- refreshing by itself ---- */

static void start_refresh(struct watch *w)
{
    extern char **environ;
    w->next_refresh = clock_wall() + RETRY_REFRESH_S; /* should it fail */
    if (w->m->refresh_argv == NULL || w->child > 0)
        return;
    int r = posix_spawn(&w->child, w->m->refresh_argv[0], NULL, NULL, w->m->refresh_argv, environ);
    if (r != 0) {
        w->child = 0;
        log_warn("cannot start the refresh: %s", err_text(r));
        return;
    }
    w->child_fd = (int)syscall(SYS_pidfd_open, w->child, 0);
}

static void reap(struct watch *w)
{
    int status;
    if (w->child <= 0 || waitpid(w->child, &status, WNOHANG) != w->child)
        return;
    w->child = 0;
    if (w->child_fd >= 0)
        (void)close(w->child_fd);
    w->child_fd = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        log_warn("the refresh did not succeed: the catalogue stays as it is (medshapefs refresh "
                 "says why)");
}

/* ---- the thread ---- */

static void tell_changed(struct watch *w)
{
    struct medshapefs *m = w->m;
    for (;;) {
        lock_take(&m->change_lock);
        uint64_t id = m->changed_count > 0 ? m->changed[--m->changed_count] : 0;
        lock_drop(&m->change_lock);
        if (id == 0)
            return;
        struct shelf *s = shelf_take(m);
        struct db_txn t = catalog_begin(s->catalog);
        struct node n;
        if (catalog_node(&t, id, &n))
            tell_name(w, s->catalog, &n);
        db_abort(&t);
        shelf_put(&s);
    }
}

/* Reads what inotify has; true where the catalogue was replaced. */
static bool catalog_arrived(int fd)
{
    char events[4096] __attribute__((aligned(8)));
    bool arrived = false;
    ssize_t n;
    while ((n = read(fd, events, sizeof(events))) > 0)
        for (char *p = events; p < events + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)p;
            arrived = arrived || (e->len > 0 && strcmp(e->name, "catalog.mdb") == 0) ||
                      (e->mask & IN_Q_OVERFLOW) != 0;
            p += sizeof(*e) + e->len;
        }
    return arrived;
}

static int wait_ms(const struct watch *w)
{
    if (w->child > 0 && w->child_fd < 0)
        return 1000; /* a kernel without pidfd */
    if (w->next_refresh == INT64_MAX || w->m->refresh_argv == NULL)
        return -1;
    int64_t ms = (w->next_refresh - clock_wall()) * 1000;
    return ms < 0 ? 0 : ms > 3600000 ? 3600000 : (int)ms;
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    struct medshapefs *m = w->m;
    while (!atomic_load(&m->ending)) {
        struct pollfd p[3] = {
            {m->wake_fd, POLLIN, 0}, {w->inotify, POLLIN, 0}, {w->child_fd, POLLIN, 0}};
        uint64_t woken;
        (void)poll(p, 3, wait_ms(w));
        if ((p[0].revents & POLLIN) != 0)
            (void)!read(m->wake_fd, &woken, sizeof(woken));
        w->last_folder = 0;
        tell_changed(w);
        if (catalog_arrived(w->inotify))
            reload(w);
        reap(w);
        if (clock_wall() >= w->next_refresh && !atomic_load(&m->ending))
            start_refresh(w);
    }
    if (w->child > 0)
        (void)kill(w->child, SIGTERM);
    if (w->child > 0)
        (void)waitpid(w->child, NULL, 0);
    (void)close(w->inotify);
    if (w->child_fd >= 0)
        (void)close(w->child_fd);
    free(w);
    return NULL;
}

static char **copy_argv(const char *const *argv)
{
    size_t n = 0;
    while (argv != NULL && argv[n] != NULL)
        n++;
    char **copy = n > 0 ? calloc(n + 1, sizeof(copy[0])) : NULL;
    for (size_t i = 0; copy != NULL && i < n; i++)
        copy[i] = strdup(argv[i]);
    return copy;
}

int medshapefs_watch(struct medshapefs *m, const struct medshapefs_watcher *watcher,
                     const char *const *refresh_argv)
{
    char dir[PATH_MAX];
    struct watch *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    m->watcher = *watcher;
    m->refresh_argv = m->conf->offline ? NULL : copy_argv(refresh_argv);
    w->m = m;
    w->child_fd = -1;
    w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(m->catalog_path, '/') - m->catalog_path),
                   m->catalog_path);
    if (w->inotify < 0 || inotify_add_watch(w->inotify, dir, IN_MOVED_TO) < 0)
        log_warn("%s: cannot be watched: a refresh is seen after the next mount only", dir);
    struct shelf *s = shelf_take(m);
    w->next_refresh = m->conf->refresh_s == 0
                          ? INT64_MAX
                          : s->catalog->info.refreshed + (int64_t)m->conf->refresh_s;
    shelf_put(&s);
    if (m->wake_fd < 0 || pthread_create(&m->watch_thread, NULL, watch_main, w) != 0) {
        (void)close(w->inotify);
        (void)close(m->wake_fd);
        m->wake_fd = -1;
        free(w);
        return -EAGAIN;
    }
    return 0;
}

static void wake(struct medshapefs *m)
{
    uint64_t one = 1;
    if (m->wake_fd >= 0)
        (void)!write(m->wake_fd, &one, sizeof(one));
}

void reload_tell(struct medshapefs *m, uint64_t id)
{
    lock_take(&m->change_lock);
    if (m->changed_count < STALE_MAX)
        m->changed[m->changed_count++] = id;
    lock_drop(&m->change_lock);
    wake(m);
}

void reload_stop(struct medshapefs *m)
{
    if (m->wake_fd < 0)
        return;
    wake(m);
    (void)pthread_join(m->watch_thread, NULL);
}

void reload_free(struct medshapefs *m)
{
    if (m->wake_fd >= 0)
        (void)close(m->wake_fd);
    for (size_t i = 0; m->refresh_argv != NULL && m->refresh_argv[i] != NULL; i++)
        free(m->refresh_argv[i]);
    free(m->refresh_argv);
}
