#include "catalog/ingest_i.h"

#include "base/hash.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const ingest_text_names[4] = {"LICENSE.txt", "CITATION.bib", "dataset.json",
                                          "index.csv"};

uint64_t ingest_take_id(struct ingest *g, uint64_t folder, const char *name, size_t len,
                        enum node_kind kind)
{
    uint64_t id;
    struct node old;
    if (g->old_txn.db != NULL && catalog_lookup(&g->old_txn, folder, name, len, &id) &&
        catalog_node(&g->old_txn, id, &old) && old.kind == kind)
        return id;
    return g->info.next_id++;
}

void ingest_put_node(struct ingest *g, uint64_t id, const struct node *n)
{
    struct buf row = BUF_INIT;
    node_encode(n, &row);
    struct db_key key = catalog_id_key(id);
    struct db_key name = catalog_name_key(n->name.s, n->name.len, n->parent);
    struct db_key child = catalog_child_key(n->parent, id);
    if (row.err == 0) {
        db_put(&g->txn, CATALOG_NODE, key.data, key.len, row.data, row.len);
        db_put(&g->txn, CATALOG_NAME, name.data, name.len, key.data, key.len);
        db_put(&g->txn, CATALOG_CHILD, child.data, child.len, "", 0);
    } else if (g->txn.err == 0) {
        g->txn.err = row.err;
    }
    buf_free(&row);
}

uint64_t ingest_folder(struct ingest *g, uint64_t parent, const char *name, size_t len)
{
    uint64_t id;
    struct node n;
    if (catalog_lookup(&g->txn, parent, name, len, &id))
        return catalog_node(&g->txn, id, &n) && n.kind == NODE_DIR ? id : 0;
    id = ingest_take_id(g, parent, name, len, NODE_DIR);
    n = (struct node){.kind = NODE_DIR,
                      .parent = parent,
                      .name = {name, len},
                      .dataset = CATALOG_NONE,
                      .mtime = g->o.now};
    ingest_put_node(g, id, &n);
    return id;
}

static void put_text(struct ingest *g, uint64_t id, uint64_t parent, const char *name)
{
    struct node n = {.kind = NODE_TEXT,
                     .parent = parent,
                     .name = slice_of(name),
                     .dataset = CATALOG_NONE,
                     .mtime = g->o.now};
    ingest_put_node(g, id, &n);
}

static void make_dataset(struct ingest *g, size_t i)
{
    const struct dataset *d = registry_at(g->o.registry, i);
    struct ingest_dataset *mine = &g->datasets[i];
    mine->folder = ingest_folder(g, NODE_DATASETS, d->id, strlen(d->id));
    for (size_t k = 0; k < 4; k++) {
        const char *name = ingest_text_names[k];
        mine->text[k] = ingest_take_id(g, mine->folder, name, strlen(name), NODE_TEXT);
        put_text(g, mine->text[k], mine->folder, name);
    }
    const char *licence = registry_licence(d);
    char target[600];
    int n = snprintf(target, sizeof(target), "../../datasets/%s", d->id);
    struct node link = {.kind = NODE_SYMLINK,
                        .parent = ingest_folder(g, NODE_LICENSES, licence, strlen(licence)),
                        .name = slice_of(d->id),
                        .dataset = (uint16_t)i,
                        .mtime = g->o.now,
                        .size = (uint64_t)n,
                        .target = {target, (size_t)n}};
    ingest_put_node(g, ingest_take_id(g, link.parent, d->id, strlen(d->id), NODE_SYMLINK), &link);
}

int ingest_skeleton(struct ingest *g)
{
    static const struct {
        uint64_t id;
        const char *name;
    } folders[] = {{NODE_DATASETS, "datasets"},
                   {NODE_ANATOMY, "anatomy"},
                   {NODE_LICENSES, "licenses"},
                   {NODE_SEARCH, "search"}},
      texts[] = {
          {NODE_README, "README.txt"}, {NODE_CITATION, "CITATION.bib"}, {NODE_INDEX, "index.csv"}};
    struct node root = {.kind = NODE_DIR, .dataset = CATALOG_NONE, .mtime = g->o.now};
    struct buf row = BUF_INIT;
    node_encode(&root, &row);
    struct db_key key = catalog_id_key(NODE_ROOT);
    db_put(&g->txn, CATALOG_NODE, key.data, key.len, row.data, row.len);
    buf_free(&row);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        root.name = slice_of(folders[i].name);
        ingest_put_node(g, folders[i].id, &root);
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        put_text(g, texts[i].id, NODE_ROOT, texts[i].name);
    for (size_t i = 0; !g->o.sparse && i + 1 < registry_count(g->o.registry); i++)
        if (!registry_at(g->o.registry, i)->borrowed)
            make_dataset(g, i);
    return ingest_batch(g, true);
}

/* The number of a class, made when it is new; CATALOG_NONE for none and for one too many. */
static uint16_t class_number(struct ingest *g, struct slice name)
{
    if (name.len == 0)
        return CATALOG_NONE;
    size_t mask = (size_t)2 * INGEST_MAX_CLASSES - 1;
    size_t slot = hash64(name.s, name.len, 0) & mask;
    for (; g->class_slot[slot] != 0; slot = (slot + 1) & mask) {
        uint16_t number = (uint16_t)(g->class_slot[slot] - 1);
        const char *known = g->classes[number].name;
        if (strlen(known) == name.len && memcmp(known, name.s, name.len) == 0)
            return number;
    }
    if (g->class_count == INGEST_MAX_CLASSES)
        return CATALOG_NONE;
    struct ingest_class *c = &g->classes[g->class_count];
    c->name = strndup(name.s, name.len);
    c->folder = ingest_folder(g, NODE_ANATOMY, name.s, name.len);
    if (c->name == NULL || c->folder == 0)
        return CATALOG_NONE;
    g->class_slot[slot] = (uint16_t)++g->class_count;
    return (uint16_t)(g->class_count - 1);
}

static void count_type(struct texts_counts *c, struct slice name)
{
    const char *dot = memrchr(name.s, '.', name.len);
    char type[sizeof(c->types[0].type)] = "";
    size_t len = dot != NULL ? (size_t)(name.s + name.len - dot) - 1 : 0;
    for (size_t i = 0; len < sizeof(type) && i < len; i++) {
        char ch = dot[1 + i];
        type[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
    }
    size_t i = 0;
    while (i < c->type_count && strcmp(c->types[i].type, type) != 0)
        i++;
    if (i == c->type_count) {
        if (i == sizeof(c->types) / sizeof(c->types[0]))
            return;
        memcpy(c->types[c->type_count++].type, type, sizeof(type));
    }
    c->types[i].files++;
}

static void count_file(struct ingest *g, const struct node *n)
{
    struct texts_counts *c = &g->datasets[n->dataset].counts;
    bool shape = str_iends(n->name.s, n->name.len, ".stl");
    c->files++;
    g->info.files++;
    c->shapes += shape;
    g->info.shapes += shape;
    if (n->size == CATALOG_UNKNOWN) {
        c->unknown_sizes++;
        g->info.unknown_sizes++;
    } else {
        c->bytes += n->size;
        g->info.bytes += n->size;
    }
    count_type(c, n->name);
}

/* What the listing does not say: a size that was learnt, the time at which the file was first seen.
 */
static void fill_facts(struct ingest *g, uint64_t id, const struct ingest_row *r, struct node *n,
                       struct fact *fact)
{
    struct node old;
    struct slice link;
    struct db_slice bytes;
    if (n->size == CATALOG_UNKNOWN && facts_any(g->o.facts) &&
        catalog_place(&g->txn, r->place, &link, &bytes) &&
        facts_get(g->o.facts, id, catalog_url_hash(link, r->key), fact)) {
        n->size = fact->size;
        n->mtime = fact->mtime;
        n->etag = slice_of(fact->etag);
    }
    if (n->mtime < 0 && g->old_txn.db != NULL && catalog_node(&g->old_txn, id, &old) &&
        old.kind == NODE_FILE)
        n->mtime = old.mtime;
    if (n->mtime < 0)
        n->mtime = g->o.now;
}

/* Writes an object's node into a folder that has no such name; its line of index.csv goes to
 * `line`. */
static void put_file(struct ingest *g, uint64_t folder, const char *path,
                     const struct ingest_row *r, struct buf *line)
{
    const char *slash = strrchr(path, '/');
    struct fact fact;
    struct node n = {.kind = NODE_FILE,
                     .parent = folder,
                     .name = slice_of(slash + 1),
                     .dataset = r->dataset,
                     .anatomy = class_number(g, r->anatomy),
                     .side = r->side,
                     .subject = r->subject,
                     .place = r->place,
                     .key = r->key,
                     .remote = r->remote,
                     .size = r->size,
                     .mtime = r->mtime,
                     .etag = r->etag};
    uint64_t id = ingest_take_id(g, folder, n.name.s, n.name.len, NODE_FILE);
    fill_facts(g, id, r, &n, &fact);
    ingest_put_node(g, id, &n);
    if (n.anatomy != CATALOG_NONE) {
        struct db_key child = catalog_child_key(g->classes[n.anatomy].folder, id);
        db_put(&g->txn, CATALOG_CHILD, child.data, child.len, "", 0);
    }
    count_file(g, &n);
    ingest_index_line(g, path, r, n.size, n.mtime, line);
}

/* The folder of `path` (its last part left out), made where it is missing; 0 where a file stands in
 * the way. */
static uint64_t folder_of(struct ingest *g, const char *path)
{
    const char *end = strrchr(path, '/');
    size_t len = (size_t)(end - path);
    if (strncmp(g->last_folder, path, len) == 0 && g->last_folder[len] == '\0' &&
        g->last_folder_id != 0)
        return g->last_folder_id;
    uint64_t id = NODE_DATASETS;
    for (size_t at = 0; at < len && id != 0;) {
        size_t n = strcspn(path + at, "/");
        id = ingest_folder(g, id, path + at, n);
        at += n + 1;
    }
    (void)snprintf(g->last_folder, sizeof(g->last_folder), "%.*s", (int)len, path);
    g->last_folder_id = id;
    return id;
}

static int place_one(struct ingest *g, const void *key, size_t klen, const void *val, size_t vlen)
{
    const char *path = key;
    struct ingest_row row;
    uint64_t taken;
    int r = ingest_row_decode(val, vlen, &row);
    if (r != 0)
        return r;
    if (g->datasets[row.dataset].folder == 0)
        make_dataset(g, row.dataset);
    const char *name = strrchr(path, '/') + 1;
    uint64_t folder = folder_of(g, path);
    if (folder == 0 || catalog_lookup(&g->txn, folder, name, strlen(name), &taken))
        return sort_add(g->late, key, klen, val, vlen);
    struct buf line = BUF_INIT;
    put_file(g, folder, path, &row, &line);
    uint32_t head[2] = {(uint32_t)strlen(path), (uint32_t)line.len};
    if (line.err != 0 || fwrite(head, sizeof(head), 1, g->spool) != 1 ||
        fwrite(path, head[0], 1, g->spool) != 1 || fwrite(line.data, line.len, 1, g->spool) != 1)
        r = line.err != 0 ? line.err : -EIO;
    buf_free(&line);
    return r != 0 ? r : ingest_batch(g, false);
}

/* STEM~N.SUFFIX, cut so that it is a name. */
static void numbered(struct buf *out, const char *name, uint64_t n)
{
    const char *dot = strrchr(name, '.');
    size_t stem = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
    char tail[64];
    int len = snprintf(tail, sizeof(tail), "~%llu%.32s", (unsigned long long)n, name + stem);
    while (stem + (size_t)len > STR_NAME_MAX ||
           (stem > 0 && ((unsigned char)name[stem] & 0xC0) == 0x80))
        stem--;
    buf_add(out, name, stem);
    buf_add(out, tail, (size_t)len);
}

/* Makes the folders of `path` although files stand in the way: such a folder gets a number. The
 * path that it became is appended to `out`, with a '/' at its end. */
static uint64_t late_folder(struct ingest *g, const char *path, struct buf *out)
{
    uint64_t id = NODE_DATASETS;
    const char *end = strrchr(path, '/');
    while (path < end && id != 0) {
        size_t len = strcspn(path, "/");
        size_t at = out->len;
        uint64_t next = ingest_folder(g, id, path, len);
        buf_add(out, path, len);
        char *name = strndup(path, len);
        for (uint64_t n = 2; next == 0 && name != NULL && out->err == 0; n++) {
            out->len = at;
            numbered(out, name, n);
            next = ingest_folder(g, id, out->data + at, out->len - at);
        }
        free(name);
        buf_str(out, "/");
        id = next;
        path += len + 1;
    }
    return id;
}

/* Gives an object whose path is taken a name with a number; *n is where the search for a free one
 * begins. */
static int place_late(struct ingest *g, const char *path, const void *val, size_t vlen, uint64_t *n)
{
    struct ingest_row row;
    struct buf full = BUF_INIT, line = BUF_INIT;
    uint64_t taken;
    int r = ingest_row_decode(val, vlen, &row);
    uint64_t folder = late_folder(g, path, &full);
    size_t at = full.len;
    const char *name = strrchr(path, '/') + 1;
    buf_str(&full, name);
    if (row.remote.len == 0)
        row.remote = slice_of(name);
    while (full.err == 0 &&
           catalog_lookup(&g->txn, folder, full.data + at, full.len - at, &taken)) {
        full.len = at;
        numbered(&full, name, (*n)++);
    }
    const char *final = buf_cstr(&full);
    if (r == 0 && full.err == 0) {
        put_file(g, folder, final, &row, &line);
        r = sort_add(g->late_index, final, strlen(final), line.data, line.len);
    }
    r = r != 0 ? r : full.err != 0 ? full.err : line.err;
    buf_free(&full);
    buf_free(&line);
    return r != 0 ? r : ingest_batch(g, false);
}

static int place_all_late(struct ingest *g)
{
    const void *key, *val;
    size_t klen, vlen;
    char last[INGEST_PATH_MAX] = "";
    uint64_t n = 2;
    int r = sort_rewind(g->late);
    while (r == 0) {
        int got = sort_next(g->late, &key, &klen, &val, &vlen);
        if (got <= 0)
            return got;
        if (strcmp(last, key) != 0)
            n = 2;
        (void)snprintf(last, sizeof(last), "%s", (const char *)key);
        r = place_late(g, key, val, vlen, &n);
    }
    return r;
}

int ingest_place_all(struct ingest *g)
{
    const void *key, *val;
    size_t klen, vlen;
    int r = sort_rewind(g->items);
    while (r == 0) {
        int got = sort_next(g->items, &key, &klen, &val, &vlen);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        r = place_one(g, key, klen, val, vlen);
    }
    return r != 0 ? r : place_all_late(g);
}
