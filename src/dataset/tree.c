#include "dataset/dataset_i.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files that tell crawlers and desktops to leave the mount alone: served when looked up, listed
 * nowhere. */
static const struct {
    const char *name, *text;
} markers[] = {
    {".trackerignore", ""},
    {".nomedia", ""},
    {".metadata_never_index", ""},
    {"CACHEDIR.TAG",
     "Signature: 8a477f597d28d172789f06886806bc55\n# Everything here can be fetched again.\n"},
};

enum { MARKERS = sizeof(markers) / sizeof(markers[0]) };

uint64_t tree_id(uint64_t ino)
{
    if (ino == MEDSHAPEFS_ROOT)
        return NODE_ROOT;
    return (ino & SEARCH_BIT) != 0 ? UINT64_MAX : ino >> 8;
}

uint64_t tree_ino(uint64_t id)
{
    return id == NODE_ROOT ? MEDSHAPEFS_ROOT : id << 8;
}

static void folder_attr(uint64_t ino, int64_t mtime, struct medshapefs_attr *out)
{
    *out = (struct medshapefs_attr){
        .ino = ino, .mode = S_IFDIR | 0555, .nlink = 2, .mtime = mtime, .known = true};
}

static void marker_attr(size_t i, int64_t mtime, struct medshapefs_attr *out)
{
    *out = (struct medshapefs_attr){.ino = tree_ino(NODE_MARKER + i),
                                    .mode = S_IFREG | 0444,
                                    .nlink = 1,
                                    .size = strlen(markers[i].text),
                                    .mtime = mtime,
                                    .known = true};
}

void tree_attr(struct medshapefs *m, const struct catalog *c, struct db_txn *t, uint64_t id,
               const struct node *n, struct medshapefs_attr *out)
{
    static const uint32_t mode[] = {[NODE_DIR] = S_IFDIR | 0555,
                                    [NODE_FILE] = S_IFREG | 0444,
                                    [NODE_TEXT] = S_IFREG | 0444,
                                    [NODE_SYMLINK] = S_IFLNK | 0777};
    *out = (struct medshapefs_attr){.ino = tree_ino(id),
                                    .mode = mode[n->kind],
                                    .nlink = n->kind == NODE_DIR ? 2 : 1,
                                    .size = n->size,
                                    .mtime = n->mtime,
                                    .known = true};
    if (id == NODE_SEARCH) {
        int64_t changed = search_changed(m);
        out->mtime = changed > n->mtime ? changed : n->mtime;
        out->fleeting = true;
    }
    if (n->kind != NODE_FILE)
        return;
    struct blob_version v;
    out->nlink = n->anatomy != CATALOG_NONE ? 2 : 1;
    out->known = object_version(m, c, t, id, n, &v, &out->generation);
    out->size = out->known ? v.size : 0;
    out->mtime = v.mtime;
}

void tree_path(struct db_txn *t, const struct node *n, struct buf *out)
{
    struct slice part[64];
    size_t count = 0;
    struct node up = *n;
    for (;;) {
        part[count++] = up.name;
        if (up.parent == NODE_ROOT || count == sizeof(part) / sizeof(part[0]) ||
            !catalog_node(t, up.parent, &up))
            break;
    }
    while (count-- > 0) {
        buf_add(out, part[count].s, part[count].len);
        if (count > 0)
            buf_str(out, "/");
    }
}

/* Names of .medshapefs/ and the markers, which no catalogue has. */
static bool hidden_lookup(struct medshapefs *m, uint64_t folder, const char *name, int64_t mtime,
                          struct medshapefs_attr *out)
{
    const char *file;
    uint64_t id;
    if (folder == NODE_ROOT && strcmp(name, ".medshapefs") == 0) {
        folder_attr(tree_ino(NODE_STATE), m->started, out);
        return true;
    }
    for (size_t i = 0; folder == NODE_ROOT && i < MARKERS; i++)
        if (strcmp(name, markers[i].name) == 0) {
            marker_attr(i, mtime, out);
            return true;
        }
    for (size_t i = 0; folder == NODE_STATE && (id = state_file_at(i, &file)) != 0; i++)
        if (strcmp(name, file) == 0)
            return state_attr(m, tree_ino(id), out);
    return false;
}

/* The class that a folder below anatomy/ stands for, or CATALOG_NONE. */
static uint16_t class_of(const struct catalog *c, uint64_t id)
{
    for (size_t i = 0; i < c->class_count; i++)
        if (c->classes[i].folder == id)
            return (uint16_t)i;
    return CATALOG_NONE;
}

/* Runs `use` with the folder that a search inode stands for; -ESTALE when it is not known any more.
 */
static int with_search(struct medshapefs *m, const struct catalog *c, struct db_txn *t,
                       uint64_t ino, int (*use)(const struct folder *f, void *arg), void *arg)
{
    struct query *query = NULL;
    char *text = search_query(m, ino);
    if (text == NULL)
        return -ESTALE;
    int r = query_parse(text, strlen(text), &query, NULL);
    struct folder f = {c, t, CATALOG_NONE, query};
    if (r == 0)
        r = use(&f, arg);
    query_free(query);
    free(text);
    return r;
}

struct find {
    const char *name;
    uint64_t id;
};

static int find_in(const struct folder *f, void *arg)
{
    struct find *x = arg;
    return folder_find(f, x->name, &x->id) ? 0 : -ENOENT;
}

/* Finds the node that a name in a folder means. */
static int find_node(struct medshapefs *m, const struct catalog *c, struct db_txn *t,
                     uint64_t folder_ino, const char *name, uint64_t *id)
{
    struct find x = {name, 0};
    struct node n;
    uint64_t folder = tree_id(folder_ino);
    if (folder == UINT64_MAX) {
        int r = with_search(m, c, t, folder_ino, find_in, &x);
        *id = x.id;
        return r;
    }
    if (catalog_lookup(t, folder, name, strlen(name), id))
        return 0;
    if (!catalog_node(t, folder, &n))
        return folder == NODE_STATE ? -ENOENT : -ESTALE;
    if (n.kind != NODE_DIR)
        return -ENOTDIR;
    uint16_t class = n.parent == NODE_ANATOMY ? class_of(c, folder) : CATALOG_NONE;
    struct folder f = {c, t, class, NULL};
    return class != CATALOG_NONE && folder_find(&f, name, id) ? 0 : -ENOENT;
}

int medshapefs_lookup(struct medshapefs *m, uint64_t folder, const char *name,
                      struct medshapefs_attr *out)
{
    struct shelf *s = shelf_take(m);
    struct catalog *c = s->catalog;
    uint64_t id, search;
    int r = 0;
    if (tree_id(folder) == NODE_SEARCH) {
        search = search_lookup(m, name);
        if (search == 0)
            r = -ENOENT;
        else
            folder_attr(search, c->info.refreshed, out);
    } else if (strlen(name) > 255 ||
               !hidden_lookup(m, tree_id(folder), name, c->info.refreshed, out)) {
        struct db_txn t = catalog_begin(c);
        struct node n;
        r = find_node(m, c, &t, folder, name, &id);
        if (r == 0 && !catalog_node(&t, id, &n))
            r = -EIO;
        if (r == 0) {
            tree_attr(m, c, &t, id, &n, out);
            object_renewed(m, id);
        }
        db_abort(&t);
    }
    shelf_put(&s);
    return r;
}

/* Attributes of what no catalogue has; false for all else. */
static bool special_attr(struct medshapefs *m, uint64_t ino, int64_t refreshed,
                         struct medshapefs_attr *out, int *err)
{
    uint64_t id = tree_id(ino);
    *err = 0;
    if (id == UINT64_MAX) {
        char *query = search_query(m, ino);
        *err = query != NULL ? 0 : -ESTALE;
        free(query);
        folder_attr(ino, refreshed, out);
    } else if (id == NODE_STATE) {
        folder_attr(ino, m->started, out);
    } else if (id >= NODE_STATUS && id <= NODE_ERRORS) {
        *err = state_attr(m, ino, out) ? 0 : -ESTALE;
    } else if (id >= NODE_MARKER && id < NODE_MARKER + MARKERS) {
        marker_attr((size_t)(id - NODE_MARKER), refreshed, out);
    } else {
        return false;
    }
    return true;
}

void medshapefs_getattr(struct medshapefs *m, uint64_t ino,
                        void (*done)(void *arg, int err, const struct medshapefs_attr *attr),
                        void *arg)
{
    struct shelf *s = shelf_take(m);
    struct catalog *c = s->catalog;
    struct medshapefs_attr attr = {.ino = ino};
    uint64_t id = tree_id(ino);
    int err;
    bool learn = false;
    if (!special_attr(m, ino, c->info.refreshed, &attr, &err)) {
        struct db_txn t = catalog_begin(c);
        struct node n;
        if (!catalog_node(&t, id, &n) || object_stale(m, id))
            err = -ESTALE;
        else
            tree_attr(m, c, &t, id, &n, &attr);
        learn = err == 0 && !attr.known;
        db_abort(&t);
    }
    shelf_put(&s);
    if (learn)
        size_learn(m, id, done, arg);
    else
        done(arg, err, &attr);
}

struct list {
    struct medshapefs *m;
    const struct catalog *catalog;
    struct db_txn *txn;
    const struct folder *folder; /* NULL: a plain folder, names are the nodes' own */
    bool (*emit)(void *arg, const char *name, const struct medshapefs_attr *attr, uint64_t next);
    void *arg;
    uint64_t after;
    bool any;
};

static int list_node(void *arg, uint64_t id, const struct node *n)
{
    struct list *l = arg;
    struct medshapefs_attr attr;
    char name[512];
    if (l->folder != NULL && l->folder->query != NULL &&
        (n->kind != NODE_FILE || !folder_has(l->folder, n)))
        return 0;
    l->any = true;
    if (l->folder != NULL) {
        struct buf shown = BUF_INIT;
        folder_name(l->folder, id, n, &shown);
        (void)snprintf(name, sizeof(name), "%s", buf_cstr(&shown));
        buf_free(&shown);
    } else {
        (void)snprintf(name, sizeof(name), "%.*s", (int)n->name.len, n->name.s);
    }
    tree_attr(l->m, l->catalog, l->txn, id, n, &attr);
    if (!l->emit(l->arg, name, &attr, tree_ino(id)))
        return 1;
    object_renewed(l->m, id);
    return 0;
}

static int list_child(void *arg, uint64_t id)
{
    struct list *l = arg;
    struct node n;
    return catalog_node(l->txn, id, &n) ? list_node(l, id, &n) : 0;
}

static int list_search(const struct folder *f, void *arg)
{
    struct list *l = arg;
    l->folder = f;
    uint64_t after = l->after < NODE_FIRST ? NODE_FIRST - 1 : l->after;
    int r = catalog_nodes(l->txn, after, list_node, l);
    return r < 0 ? r : 0;
}

struct search_row {
    struct list *list;
    int64_t mtime;
};

static bool emit_search(void *arg, uint64_t ino, const char *query)
{
    struct search_row *x = arg;
    struct medshapefs_attr attr;
    folder_attr(ino, x->mtime, &attr);
    return x->list->emit(x->list->arg, query, &attr, ino);
}

static void list_state(struct list *l)
{
    const char *name;
    uint64_t id;
    for (size_t i = 0; (id = state_file_at(i, &name)) != 0; i++) {
        struct medshapefs_attr attr;
        if (id > l->after && state_attr(l->m, tree_ino(id), &attr) &&
            !l->emit(l->arg, name, &attr, tree_ino(id)))
            return;
    }
}

static int list_plain(struct list *l, uint64_t id)
{
    struct node n;
    if (!catalog_node(l->txn, id, &n))
        return -ESTALE;
    if (n.kind != NODE_DIR)
        return -ENOTDIR;
    struct folder f = {l->catalog, l->txn,
                       n.parent == NODE_ANATOMY ? class_of(l->catalog, id) : CATALOG_NONE, NULL};
    if (f.anatomy != CATALOG_NONE)
        l->folder = &f;
    int r = catalog_children(l->txn, id, l->after, list_child, l);
    return r < 0 ? r : 0;
}

int medshapefs_readdir(struct medshapefs *m, uint64_t folder, uint64_t cookie,
                       bool (*emit)(void *arg, const char *name, const struct medshapefs_attr *attr,
                                    uint64_t next),
                       void *arg)
{
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct list l = {.m = m,
                     .catalog = s->catalog,
                     .txn = &t,
                     .emit = emit,
                     .arg = arg,
                     .after = tree_id(cookie)};
    uint64_t id = tree_id(folder);
    int r = 0;
    if (cookie == 0)
        l.after = 0;
    if (id == UINT64_MAX) {
        r = with_search(m, s->catalog, &t, folder, list_search, &l);
        if (r == 0 && l.any)
            search_was_read(m, folder, s->catalog->info.refreshed);
    } else if (id == NODE_SEARCH) {
        struct search_row x = {&l, s->catalog->info.refreshed};
        search_list(m, cookie, emit_search, &x);
    } else if (id == NODE_STATE) {
        list_state(&l);
    } else {
        r = list_plain(&l, id);
    }
    db_abort(&t);
    shelf_put(&s);
    return r;
}

uint64_t medshapefs_parent(struct medshapefs *m, uint64_t folder)
{
    uint64_t id = tree_id(folder), up = MEDSHAPEFS_ROOT;
    if (id == UINT64_MAX)
        return tree_ino(NODE_SEARCH);
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct node n;
    if (catalog_node(&t, id, &n))
        up = tree_ino(n.parent);
    db_abort(&t);
    shelf_put(&s);
    return up;
}

int medshapefs_readlink(struct medshapefs *m, uint64_t ino, struct buf *target)
{
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct node n;
    bool found = catalog_node(&t, tree_id(ino), &n);
    if (found && n.kind == NODE_SYMLINK)
        buf_add(target, n.target.s, n.target.len);
    db_abort(&t);
    shelf_put(&s);
    return !found ? -ESTALE : n.kind != NODE_SYMLINK ? -EINVAL : target->err;
}

static void read_text(struct medshapefs *m, uint64_t id, uint64_t off, size_t len,
                      void (*done)(void *arg, struct medshapefs_data data), void *arg)
{
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct node n;
    char *data = malloc(len);
    size_t got = 0;
    int err = data == NULL ? -ENOMEM : catalog_node(&t, id, &n) ? 0 : -ESTALE;
    if (err == 0)
        got = catalog_text(&t, &n, off, data, len);
    db_abort(&t);
    shelf_put(&s);
    struct iovec span = {data, got};
    done(arg, (struct medshapefs_data){err, &span, 1});
    free(data);
}

void medshapefs_read(struct medshapefs *m, uint64_t ino, uint64_t off, size_t len,
                     void (*done)(void *arg, struct medshapefs_data data), void *arg)
{
    uint64_t id = tree_id(ino);
    if (id >= NODE_STATUS && id <= NODE_ERRORS) {
        state_read(m, ino, off, len, done, arg);
        return;
    }
    if (id >= NODE_MARKER && id < NODE_MARKER + MARKERS) {
        const char *text = markers[id - NODE_MARKER].text;
        size_t size = strlen(text), at = off < size ? (size_t)off : size;
        struct iovec span = {(void *)(uintptr_t)(text + at), size - at < len ? size - at : len};
        done(arg, (struct medshapefs_data){0, &span, 1});
        return;
    }
    struct shelf *s = shelf_take(m);
    struct db_txn t = catalog_begin(s->catalog);
    struct node n;
    int kind = catalog_node(&t, id, &n) ? (int)n.kind : -1;
    db_abort(&t);
    shelf_put(&s);
    if (kind == NODE_FILE)
        object_read(m, id, off, len, done, arg);
    else if (kind == NODE_TEXT)
        read_text(m, id, off, len, done, arg);
    else
        done(arg, (struct medshapefs_data){.err = kind < 0 ? -ESTALE : -EISDIR});
}

bool medshapefs_cancel(struct medshapefs *m, uint64_t ino, void *arg)
{
    return object_cancel(m, tree_id(ino), arg);
}

void medshapefs_totals(struct medshapefs *m, uint64_t *files, uint64_t *bytes)
{
    struct shelf *s = shelf_take(m);
    *files = s->catalog->info.files;
    *bytes = s->catalog->info.bytes;
    shelf_put(&s);
}
