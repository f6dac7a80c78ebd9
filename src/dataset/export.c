#include "dataset/export_i.h"

#include "base/fsio.h"
#include "base/str.h"
#include "catalog/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILURES_IN_A_ROW = 64 /* of a network that is gone, before it is given up */ };

struct export
{
    const struct medshapefs_export *o;
    struct medshapefs_exported *out;
    struct mirror *mirror;
    struct registry *registry; /* NULL for a local folder */
    struct conf conf;          /* as given, but that what is read here is not packed twice */
    struct medshapefs *m;
    char mountpoint[PATH_MAX]; /* of the daemon that has the cache, or "" */
    struct query *query;       /* NULL: everything */
    struct buf ids;            /* of the datasets that were met, each ended by NUL */
    unsigned in_a_row;
    bool stopped;
    struct err *err;
};

/* ---- what the caller is told ---- */

static void say(struct export *x, const char *line)
{
    x->out->remarks++;
    if (x->o->remark != NULL)
        x->o->remark(x->o->arg, line);
}

static bool tell(struct export *x, const struct medshapefs_exporting *now)
{
    if (x->o->progress != NULL && !x->o->progress(x->o->arg, now))
        x->stopped = true;
    return !x->stopped;
}

static bool packing(void *arg, uint64_t text, uint64_t packed)
{
    struct export *x = arg;
    x->out->text = text;
    x->out->bytes = packed;
    return tell(
        x, &(struct medshapefs_exporting){.files = x->out->added, .text = text, .packed = packed});
}

static bool verifying(void *arg, uint64_t done, uint64_t all)
{
    struct export *x = arg;
    return tell(x, &(struct medshapefs_exporting){
                       .verifying = true, .files = x->out->added, .text = done, .packed = all});
}

static void damaged(void *arg, const char *line)
{
    say(arg, line);
}

/* ---- items ---- */

static bool has(void *arg, const struct export_item *item)
{
    return mirror_has(((struct export *)arg)->mirror, item);
}

static bool has_path(void *arg, const char *path)
{
    return mirror_has_path(((struct export *)arg)->mirror, path);
}

static void met_dataset(void *arg, const char *id)
{
    struct export *x = arg;
    if (id[0] != '\0' && !export_listed(&x->ids, id))
        buf_add(&x->ids, id, strlen(id) + 1);
}

static bool stop(void *arg)
{
    struct export *x = arg;
    return !packing(x, x->out->text, x->out->bytes);
}

static int add_dataset(struct export *x, const char *id)
{
    struct buf json = BUF_INIT;
    size_t i = x->registry != NULL && id[0] != '\0' ? registry_find(x->registry, id) : SIZE_MAX;
    if (i == SIZE_MAX || mirror_has_dataset(x->mirror, id))
        return 0;
    registry_entry_json(registry_at(x->registry, i), &json);
    int r = json.err != 0 ? json.err : mirror_dataset(x->mirror, id, buf_cstr(&json), x->err);
    buf_free(&json);
    return r;
}

static bool is_network(int r)
{
    return r == -ETIMEDOUT || r == -ENETUNREACH;
}

/* A file that could not be had is a remark, unless none can be had any more. */
static int note_failure(struct export *x, int r, const char *line)
{
    x->out->failed++;
    say(x, line);
    x->in_a_row = is_network(r) ? x->in_a_row + 1 : 0;
    if (r == -ENOTCONN)
        return err_set(x->err, r, "%s: the mount is gone (run it again to go on)", x->mountpoint);
    if (x->in_a_row == FAILURES_IN_A_ROW)
        return err_set(x->err, r, "export: no file came any more: %s (run it again to go on)",
                       err_text(r));
    return 0;
}

static int failed(void *arg, const char *path, int r)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "%.400s: %s", path, err_text(r));
    return note_failure(arg, r, line);
}

static void left_out(void *arg, const char *path)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "%.400s: not a regular file: left out", path);
    say(arg, line);
}

static int take(void *arg, const struct export_item *item)
{
    struct export *x = arg;
    struct err e = {0};
    bool lost = false;
    int r = mirror_add(x->mirror, item, &lost, &e);
    if (r == 0) {
        x->in_a_row = 0;
        x->out->added++;
        r = add_dataset(x, item->dataset);
        return r != 0 ? r : mirror_checkpoint(x->mirror, x->err);
    }
    return lost ? err_set(x->err, r, "%s", e.text) : note_failure(x, r, e.text);
}

/* ---- what is exported ---- */

/* The mount point of the daemon that uses the cache; -ESRCH where the lock does not tell. */
static int find_daemon(struct export *x)
{
    char path[PATH_MAX + 8];
    struct buf text = BUF_INIT;
    (void)snprintf(path, sizeof(path), "%s/lock", x->o->conf->cache_dir);
    int r = fsio_read_file(path, 2 * PATH_MAX, &text);
    const char *line = buf_cstr(&text);
    const char *where = r == 0 ? strchr(line, '\n') : NULL;
    size_t len = where != NULL ? strcspn(where + 1, "\n") : 0;
    if (len > 0 && len < sizeof(x->mountpoint))
        memcpy(x->mountpoint, where + 1, len);
    buf_free(&text);
    if (x->mountpoint[0] == '/')
        return 0;
    x->mountpoint[0] = '\0';
    return -ESRCH;
}

/* Opens the collection itself, or beside the daemon that serves it. */
static int open_collection(struct export *x)
{
    struct err why = {0};
    x->conf = *x->o->conf;
    x->conf.cache_packed = false;
    int r = medshapefs_open(&x->conf, MEDSHAPEFS_SERVE, "(nowhere: it exports)", &x->m, &why);
    if (r == -EBUSY && find_daemon(x) == 0)
        r = medshapefs_open(&x->conf, MEDSHAPEFS_BROWSE, NULL, &x->m, x->err);
    if (r == -ENOENT)
        return err_set(x->err, -ENODATA, "%s: there is no catalogue yet (run 'medshapefs refresh')",
                       x->conf.cache_dir);
    return r != 0 ? err_set(x->err, r, "%s", why.code != 0 ? why.text : err_text(r)) : 0;
}

static bool is_dataset(const struct registry *r, const char *text)
{
    for (size_t i = 0; i < registry_count(r); i++)
        if (str_loose_eq(registry_at(r, i)->id, strlen(registry_at(r, i)->id), text, strlen(text)))
            return true;
    return false;
}

/* A dataset's id, else a query. */
static int parse_what(struct export *x)
{
    struct buf text = BUF_INIT;
    const char *what = x->o->what;
    if (what == NULL)
        return 0;
    buf_fmt(&text, "%s%s", is_dataset(x->registry, what) ? "dataset:" : "", what);
    int r = text.err != 0 ? text.err : query_parse(text.data, text.len, &x->query, x->err);
    buf_free(&text);
    return r;
}

static int begin(struct export *x)
{
    const struct medshapefs_export *o = x->o;
    const struct mirror_options mirror = {.dir = o->dir,
                                          .effort = o->small ? CODEC_SMALL : CODEC_FAST,
                                          .pack_max = o->pack_max,
                                          .checkpoint = o->checkpoint,
                                          .progress = packing,
                                          .arg = x};
    int r;
    if (o->folder) {
        r = export_folder_check(o->what, o->dir, x->err);
    } else {
        r = registry_load(o->conf->catalog, &x->registry, x->err);
        if (r == 0)
            r = parse_what(x);
        if (r == 0)
            r = open_collection(x);
    }
    return r != 0 ? r : mirror_open(&mirror, &x->mirror, x->err);
}

static int add_all(struct export *x)
{
    const struct export_sink sink = {take, has, has_path, met_dataset, stop, left_out, failed, x};
    if (x->m == NULL)
        return export_folder(x->o->what, x->o->dir, &sink, x->err);
    return export_shapes(x->m, x->mountpoint[0] != '\0' ? x->mountpoint : NULL, x->query, &sink,
                         x->err);
}

static int run(struct export *x)
{
    int r = add_all(x);
    if (r == -ECANCELED)
        (void)err_set(x->err, r, "export: stopped (run it again to go on: what was packed stays)");
    /* What was packed until then stays, whatever came. */
    struct err e = {0};
    int ended = mirror_end(x->mirror, &e);
    if (ended != 0)
        (void)err_set(x->err, ended, "%s", e.text);
    r = r != 0 ? r : ended;
    if (r == 0)
        r = export_readme(x->o->dir, x->err);
    if (r == 0 && x->m != NULL)
        r = export_licences(x->m, x->o->dir, &x->ids, x->err);
    return r != 0 ? r : mirror_verify(x->mirror, damaged, verifying, x, x->err);
}

int medshapefs_export(const struct medshapefs_export *o, struct medshapefs_exported *out,
                      struct err *e)
{
    struct export x = {.o = o, .out = out, .err = e};
    *out = (struct medshapefs_exported){.added = 0};
    int r = begin(&x);
    if (r == 0)
        r = run(&x);
    if (x.mirror != NULL)
        mirror_totals(x.mirror, &out->packs, &out->files, &out->text, &out->bytes);
    mirror_close(&x.mirror);
    medshapefs_close(&x.m);
    query_free(x.query);
    registry_free(x.registry);
    buf_free(&x.ids);
    return r;
}
