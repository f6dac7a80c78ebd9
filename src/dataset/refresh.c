#include "dataset/borrowed_i.h"
#include "dataset/dataset_i.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "catalog/ingest.h"
#include "catalog/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* One refresh, from the lock to the rename. */
struct refresh {
    const struct conf *conf;
    bool force;
    void (*remark)(void *arg, const char *line);
    void (*progress)(void *arg, const char *text);
    void *arg;
    struct err *err;
    struct medshapefs_refreshed *out;
    char dir[PATH_MAX], path[PATH_MAX], facts_path[PATH_MAX], temp[PATH_MAX], state[PATH_MAX];
    int lock_fd;
    struct registry *registry;
    struct catalog *old;
    struct facts *facts;
    struct http *http;
    struct ingest *ingest;
    size_t forced;                  /* dataset that the source at hand belongs to */
    uint64_t order;                 /* of the object at hand, over all sources */
    uint64_t emitted;               /* objects of the source at hand */
    char **source_text;             /* "name: URL", for the generated texts */
    struct source_listing *listing; /* one a source */
    bool *failed;                   /* one a source */
    struct err *prepared;           /* one a source: why it could not be prepared */
    struct borrowed *borrowed;      /* datasets that packs tell of */
};

static void say(struct refresh *r, const char *line)
{
    r->out->remarks++;
    if (r->remark != NULL)
        r->remark(r->arg, line);
}

static int sink_place(void *arg, const struct source_place *p, uint32_t *number)
{
    struct refresh *r = arg;
    struct buf row = BUF_INIT;
    source_place_encode(p, &row);
    int err = row.err != 0 ? row.err
                           : ingest_place(r->ingest, row.data, row.len, p->link, p->folder, number);
    buf_free(&row);
    return err;
}

static int sink_item(void *arg, const struct source_item *i)
{
    struct refresh *r = arg;
    const struct source_packed *p = i->packed;
    struct ingest_packed packed;
    struct ingest_item item = {.place = i->place,
                               .key = {i->key, i->key_len},
                               .name = {i->name, i->name_len},
                               .order = r->order + i->line,
                               .size = i->size == SOURCE_UNKNOWN ? CATALOG_UNKNOWN : i->size,
                               .mtime = i->mtime,
                               .etag = slice_of(i->etag),
                               .forced = r->forced};
    if (p != NULL) {
        packed = (struct ingest_packed){.path = {p->path, p->path_len},
                                        .dataset = {p->dataset, p->dataset_len},
                                        .url = {p->url, p->url_len},
                                        .shown = {p->shown, p->shown_len},
                                        .fallback = p->fallback};
        item.packed = &packed;
    }
    r->emitted++;
    return ingest_item(r->ingest, &item);
}

static int sink_dataset(void *arg, const char *id, size_t id_len, const char *json, size_t json_len)
{
    struct refresh *r = arg;
    struct err why = {.code = 0};
    int err = borrowed_add(r->borrowed, id, id_len, json, json_len, &why);
    if (why.code != 0)
        say(r, why.text);
    return err;
}

static void sink_remark(void *arg, const char *line)
{
    say(arg, line);
}

static void sink_progress(void *arg, const char *text)
{
    struct refresh *r = arg;
    if (r->progress != NULL)
        r->progress(r->arg, text);
}

static void meta_name(const char *source, char *out, size_t size)
{
    (void)snprintf(out, size, "source:%s", source);
}

static uint64_t old_count(struct refresh *r, const char *source)
{
    char name[128];
    uint64_t count = 0;
    if (r->old == NULL)
        return 0;
    meta_name(source, name, sizeof(name));
    struct db_txn t = catalog_begin(r->old);
    (void)catalog_meta(&t, name, &count);
    db_abort(&t);
    return count;
}

/* ---- what a source that fails had before ---- */

struct carry {
    struct refresh *r;
    const char *source;
    struct db_txn *txn;
    uint32_t old_place, new_place;
    bool mine; /* the place at hand is of the source */
    int err;
};

static int carry_place(struct carry *c, uint32_t number)
{
    struct slice link;
    struct db_slice bytes;
    struct source_place p;
    c->mine = false;
    c->old_place = number;
    if (!catalog_place(c->txn, number, &link, &bytes) ||
        source_place_decode(bytes.data, bytes.len, &p) != 0)
        return -EBADMSG;
    int err = 0;
    if (strcmp(p.source, c->source) == 0) {
        c->mine = true;
        err = sink_place(c->r, &p, &c->new_place);
    }
    source_place_free(&p);
    return err;
}

static int carry_node(void *arg, uint64_t id, const struct node *n)
{
    struct carry *c = arg;
    if (n->kind != NODE_FILE)
        return 0;
    if (n->place != c->old_place && (c->err = carry_place(c, n->place)) != 0)
        return c->err;
    if (!c->mine)
        return 0;
    struct ingest_item item = {.place = c->new_place,
                               .key = n->key,
                               .name = n->remote.len > 0 ? n->remote : n->name,
                               .order = c->r->order + id,
                               .size = n->size,
                               .mtime = n->mtime,
                               .etag = n->etag,
                               .forced = c->r->forced};
    c->r->emitted++;
    return c->err = ingest_item(c->r->ingest, &item);
}

static int carry_over(struct refresh *r, const char *source)
{
    if (r->old == NULL)
        return 0;
    struct db_txn t = catalog_begin(r->old);
    struct carry c = {.r = r, .source = source, .txn = &t, .old_place = UINT32_MAX};
    int err = catalog_nodes(&t, 0, carry_node, &c);
    db_abort(&t);
    return err < 0 ? err : c.err;
}

/* ---- the steps ---- */

static int prepare_paths(struct refresh *r)
{
    const char *dir = r->conf->cache_dir;
    if (strlen(dir) + 64 >= PATH_MAX)
        return err_set(r->err, -ENAMETOOLONG, "%s: the path is too long", dir);
    (void)snprintf(r->dir, sizeof(r->dir), "%s/catalog", dir);
    (void)snprintf(r->path, sizeof(r->path), "%s/catalog/catalog.mdb", dir);
    (void)snprintf(r->facts_path, sizeof(r->facts_path), "%s/catalog/facts.mdb", dir);
    (void)snprintf(r->temp, sizeof(r->temp), "%s/catalog/temp", dir);
    (void)snprintf(r->state, sizeof(r->state), "%s/catalog/lists", dir);
    const char *network = fsio_network_fs(r->dir);
    if (network != NULL)
        return err_set(r->err, -EREMOTE,
                       "%s: the cache is on a network file system (%s), where its index would "
                       "break (medshapefs refresh "
                       "-o cache=/var/tmp/medshapefs-%u)",
                       r->dir, network, (unsigned)getuid());
    int err = fsio_mkdirs(r->dir, 0700);
    if (err == 0)
        err = fsio_mkdirs(r->temp, 0700);
    if (err == 0)
        err = fsio_mkdirs(r->state, 0700);
    if (err != 0)
        return err_set(r->err, err, "%s: %s (give another folder with -o cache=DIR)", r->dir,
                       err_text(err));
    return 0;
}

static int take_lock(struct refresh *r)
{
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof(path), "%s/refresh.lock", r->dir);
    r->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (r->lock_fd < 0)
        return err_set(r->err, -errno, "%s: %s", path, err_text(errno));
    if (flock(r->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(r->err, -EBUSY, "%s: another refresh is under way (wait for it)", path);
    return 0;
}

static struct source_sink sink_of(struct refresh *r)
{
    return (struct source_sink){sink_place, sink_item, sink_dataset, sink_remark, sink_progress, r};
}

/* Has sources that need it get what they are to list. One that fails lists what it kept, if it can.
 */
static void prepare_all(struct refresh *r)
{
    const struct source_sink sink = sink_of(r);
    for (size_t i = 0; i < r->conf->source_count; i++) {
        const struct conf_source *src = &r->conf->sources[i];
        const struct source_ops *ops = source_find(src->type);
        struct source_listing *l = &r->listing[i];
        *l = (struct source_listing){
            .http = r->http, .conf = r->conf, .state_dir = r->state, .temp_dir = r->temp};
        if (ops == NULL || ops->prepare == NULL ||
            ops->prepare(src, l, &sink, &r->prepared[i]) == 0)
            continue;
        struct err e = {.code = 0};
        l->kept = true;
        l->kept = ops->prepare(src, l, &sink, &e) == 0;
    }
}

static int load_registry(struct refresh *r)
{
    struct buf records = BUF_INIT;
    borrowed_text(r->borrowed, &records);
    int err = records.err != 0
                  ? err_set(r->err, records.err, "out of memory")
                  : registry_load_more(r->conf->catalog, buf_cstr(&records), &r->registry, r->err);
    buf_free(&records);
    return err;
}

static void open_old(struct refresh *r)
{
    struct err e = {.code = 0};
    if (catalog_open(r->path, &r->old, &e) != 0 && e.code != -ENOENT)
        say(r, e.text);
    if (access(r->facts_path, F_OK) == 0 && facts_open(r->facts_path, true, &r->facts, &e) != 0)
        r->facts = NULL;
}

static bool has_type(const struct refresh *r, const char *type)
{
    for (size_t i = 0; i < r->conf->source_count; i++)
        if (strcmp(r->conf->sources[i].type, type) == 0)
            return true;
    return false;
}

static int begin(struct refresh *r)
{
    size_t n = r->conf->source_count;
    r->source_text = calloc(n + 1, sizeof(r->source_text[0]));
    r->listing = calloc(n + 1, sizeof(r->listing[0]));
    r->failed = calloc(n + 1, sizeof(r->failed[0]));
    r->prepared = calloc(n + 1, sizeof(r->prepared[0]));
    r->borrowed = borrowed_new();
    if (r->source_text == NULL || r->listing == NULL || r->failed == NULL || r->prepared == NULL ||
        r->borrowed == NULL)
        return err_set(r->err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        if (asprintf(&r->source_text[i], "%s: %s", r->conf->sources[i].name,
                     r->conf->sources[i].url) < 0)
            return err_set(r->err, -ENOMEM, "out of memory");
    int err = http_open(&r->conf->network, &r->http, r->err);
    if (err != 0)
        return err;
    prepare_all(r);
    err = load_registry(r);
    if (err != 0)
        return err;
    open_old(r);
    struct ingest_options o = {.path = r->path,
                               .temp_dir = r->temp,
                               .registry = r->registry,
                               .old = r->old,
                               .facts = r->facts,
                               .sources = (const char *const *)r->source_text,
                               .source_count = n,
                               .now = clock_wall(),
                               .sparse = r->conf->by_source_option && !has_type(r, "manifest"),
                               .by_url = has_type(r, "pack") && n > 1};
    return ingest_begin(&o, &r->ingest, r->err);
}

/* A list that lost more than half of its files is more likely to be broken than right. */
static int check_loss(struct refresh *r, const struct conf_source *src, struct err *e)
{
    uint64_t before = old_count(r, src->name);
    if (r->force || r->emitted * 2 >= before)
        return 0;
    return err_set(e, -ECANCELED,
                   "%s: the list has %llu files, %llu before: more than half are gone (medshapefs "
                   "refresh --force takes it)",
                   src->name, (unsigned long long)r->emitted, (unsigned long long)before);
}

static int list_source(struct refresh *r, size_t i, struct err *e)
{
    const struct conf_source *src = &r->conf->sources[i];
    const struct source_ops *ops = source_find(src->type);
    const struct source_sink sink = sink_of(r);
    struct source_listing *l = &r->listing[i];
    r->forced = src->dataset != NULL ? registry_find(r->registry, src->dataset) : SIZE_MAX;
    r->emitted = 0;
    if (ops == NULL)
        return err_set(e, -EPROTONOSUPPORT, "%s: source type '%s' is not in this version",
                       src->name, src->type);
    if (src->dataset != NULL && r->forced == SIZE_MAX)
        return err_set(e, -EINVAL, "%s: there is no dataset '%s' (medshapefs datasets lists them)",
                       src->name, src->dataset);
    if (r->prepared[i].code != 0 && !l->kept)
        return err_set(e, r->prepared[i].code, "%s", r->prepared[i].text);
    int err = ops->list(src, l, &sink, e);
    return err != 0 ? err : check_loss(r, src, e);
}

static void add_up(struct refresh *r, const struct source_listing *l)
{
    r->out->lines += l->lines;
    r->out->malformed += l->malformed;
    r->out->duplicates += l->duplicates;
    r->out->without_sizes = r->out->without_sizes || l->without_sizes;
    r->out->unchanged = r->out->unchanged || l->unchanged;
}

/* A source failed: it keeps what it had, as long as another one works. `listed`: it listed that
 * itself. */
static int source_failed(struct refresh *r, size_t i, bool listed, const struct err *e)
{
    const char *name = r->conf->sources[i].name;
    const struct source_ops *ops = source_find(r->conf->sources[i].type);
    bool own = ops != NULL && ops->prepare != NULL;
    r->failed[i] = true;
    r->out->failed_sources++;
    if (r->out->failed_sources == r->conf->source_count ||
        (!listed && (r->emitted > 0 || (own && old_count(r, name) > 0))))
        return err_set(r->err, e->code, "%s", e->text);
    say(r, e->text);
    int err = listed || own ? 0 : carry_over(r, name);
    return err == 0 ? 0
                    : err_set(r->err, err, "%s: cannot be taken over from the old catalogue: %s",
                              name, err_text(err));
}

/* Lists each source. */
static int list_all(struct refresh *r)
{
    for (size_t i = 0; i < r->conf->source_count; i++) {
        struct err e = {.code = 0};
        char meta[128];
        bool listed = list_source(r, i, &e) == 0;
        if (listed)
            e = r->prepared[i];
        if (e.code != 0) {
            int err = source_failed(r, i, listed, &e);
            if (err != 0)
                return err;
        }
        meta_name(r->conf->sources[i].name, meta, sizeof(meta));
        ingest_meta(r->ingest, meta, r->emitted);
        add_up(r, &r->listing[i]);
        r->order += 1ULL << 40;
    }
    return 0;
}

static void keep_lists(struct refresh *r)
{
    for (size_t i = 0; i < r->conf->source_count; i++) {
        const struct source_ops *ops = source_find(r->conf->sources[i].type);
        if (!r->failed[i] && ops != NULL && ops->keep != NULL)
            ops->keep(&r->conf->sources[i], &r->listing[i]);
    }
}

static int finish(struct refresh *r)
{
    struct catalog_info info;
    int err = ingest_finish(&r->ingest, r->out->without_sizes, &info, r->err);
    if (err != 0)
        return err;
    keep_lists(r);
    r->out->files = info.files;
    r->out->shapes = info.shapes;
    r->out->unknown_sizes = info.unknown_sizes;
    return 0;
}

static void end(struct refresh *r)
{
    ingest_abort(&r->ingest);
    http_close(&r->http);
    facts_close(&r->facts);
    catalog_close(&r->old);
    registry_free(r->registry);
    for (size_t i = 0; r->source_text != NULL && i < r->conf->source_count; i++)
        free(r->source_text[i]);
    free(r->source_text);
    free(r->listing);
    free(r->failed);
    free(r->prepared);
    borrowed_free(&r->borrowed);
    if (r->temp[0] != '\0' && r->lock_fd >= 0)
        (void)fsio_remove_tree(r->temp);
    if (r->lock_fd >= 0)
        (void)close(r->lock_fd);
}

int medshapefs_refresh(const struct conf *conf, bool force,
                       void (*remark)(void *arg, const char *line),
                       void (*progress)(void *arg, const char *text), void *arg,
                       struct medshapefs_refreshed *out, struct err *e)
{
    struct refresh r = {.conf = conf,
                        .force = force,
                        .remark = remark,
                        .progress = progress,
                        .arg = arg,
                        .err = e,
                        .out = out,
                        .lock_fd = -1};
    *out = (struct medshapefs_refreshed){.shapes = 0};
    if (conf->offline)
        return err_set(e, -ENETUNREACH, "refresh: offline was asked for (leave -o offline away)");
    int err = prepare_paths(&r);
    if (err == 0)
        err = take_lock(&r);
    if (err == 0)
        err = begin(&r);
    if (err == 0)
        err = list_all(&r);
    if (err == 0)
        err = finish(&r);
    end(&r);
    return err;
}
