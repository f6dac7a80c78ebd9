#include "source/pack_i.h"

#include "base/fsio.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTE_MAX = 64 << 20 };

static void url_id(const char *url, char hex[33])
{
    struct hash_id id = {{0}};
    const void *part = url;
    size_t len = strlen(url);
    (void)hash_id(&id, &part, &len, 1);
    hash_id_hex(&id, hex);
}

static void note_path(const struct conf_source *src, const struct source_listing *l, bool fresh,
                      struct buf *path)
{
    buf_fmt(path, "%s/%s.packs.json", fresh ? l->temp_dir : l->state_dir, src->name);
}

void pack_file(const struct packing *p, const struct pack_known *k, bool fresh, struct buf *path)
{
    char hex[33];
    url_id(k->link, hex);
    buf_fmt(path, "%s/%s.pack-%s", fresh ? p->l->temp_dir : p->l->state_dir, p->src->name, hex);
}

static bool take_pack(const struct json *v, struct packs *out)
{
    const char *link = json_string(json_get(v, "link"), "");
    struct pack_known *k = packs_add(out, link, strlen(link));
    uint64_t mtime = 0;
    if (k == NULL)
        return false;
    if (json_u64(json_get(v, "mtime"), &mtime))
        k->mtime = (int64_t)mtime;
    k->sum = strtoull(json_string(json_get(v, "sum"), "0"), NULL, 16);
    (void)snprintf(k->etag, sizeof(k->etag), "%s", json_string(json_get(v, "etag"), ""));
    (void)snprintf(k->modified, sizeof(k->modified), "%s",
                   json_string(json_get(v, "modified"), ""));
    return json_u64(json_get(v, "size"), &k->size) && json_u64(json_get(v, "base"), &k->base);
}

int pack_note_read(const struct packing *p, bool fresh, struct packs *out)
{
    CLEANUP_BUF struct buf path = BUF_INIT, text = BUF_INIT;
    char hex[33];
    note_path(p->src, p->l, fresh, &path);
    int r = fsio_read_file(buf_cstr(&path), NOTE_MAX, &text);
    if (r != 0)
        return r;
    struct json *root = json_parse(buf_cstr(&text), text.len, NULL);
    url_id(p->src->url, hex);
    bool fits = strcmp(json_string(json_get(root, "url"), ""), hex) == 0;
    const struct json *v = json_first(json_get(root, "packs"));
    out->folder = json_bool(json_get(root, "folder"), false);
    for (; v != NULL && fits; v = json_next(v))
        fits = take_pack(v, out);
    json_free(root);
    if (!fits)
        packs_free(out);
    return fits ? 0 : -ENOENT;
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_fmt(out, ", \"%s\": ", name);
    json_quote(out, text, strlen(text));
}

static void add_pack(struct buf *out, const struct pack_known *k)
{
    buf_fmt(out, "{\"size\": %llu, \"base\": %llu, \"sum\": \"%016llx\"",
            (unsigned long long)k->size, (unsigned long long)k->base, (unsigned long long)k->sum);
    if (k->mtime >= 0)
        buf_fmt(out, ", \"mtime\": %lld", (long long)k->mtime);
    add_text(out, "link", k->link);
    add_text(out, "etag", k->etag);
    add_text(out, "modified", k->modified);
    buf_str(out, "}");
}

int pack_note_write(const struct packing *p, const struct packs *packs)
{
    CLEANUP_BUF struct buf path = BUF_INIT, text = BUF_INIT;
    char hex[33];
    url_id(p->src->url, hex);
    note_path(p->src, p->l, true, &path);
    buf_fmt(&text, "{\"url\": \"%s\", \"folder\": %s, \"packs\": [", hex,
            packs->folder ? "true" : "false");
    for (size_t i = 0; i < packs->count; i++) {
        buf_str(&text, i > 0 ? ",\n" : "\n");
        add_pack(&text, &packs->at[i]);
    }
    buf_str(&text, "]}\n");
    if (path.err != 0 || text.err != 0)
        return -ENOMEM;
    return fsio_write_file(buf_cstr(&path), text.data, text.len);
}

/* Calls `use` with each file of a folder that is a catalogue of this source's. */
static void each_file(const struct conf_source *src, const char *dir,
                      void (*use)(void *arg, const char *path, const char *name), void *arg)
{
    CLEANUP_BUF struct buf prefix = BUF_INIT;
    buf_fmt(&prefix, "%s.pack-", src->name);
    const char *begins = buf_cstr(&prefix);
    DIR *d = opendir(dir);
    for (struct dirent *x; d != NULL && (x = readdir(d)) != NULL;) {
        CLEANUP_BUF struct buf path = BUF_INIT;
        if (strncmp(x->d_name, begins, prefix.len) != 0)
            continue;
        buf_fmt(&path, "%s/%s", dir, x->d_name);
        use(arg, buf_cstr(&path), x->d_name);
    }
    if (d != NULL)
        (void)closedir(d);
}

static void remove_file(void *arg, const char *path, const char *name)
{
    (void)arg;
    (void)name;
    (void)unlink(path);
}

void pack_note_clear(const struct packing *p)
{
    CLEANUP_BUF struct buf note = BUF_INIT;
    note_path(p->src, p->l, true, &note);
    (void)unlink(buf_cstr(&note));
    each_file(p->src, p->l->temp_dir, remove_file, NULL);
}

struct keeping {
    const struct packing *p;
    struct packs packs;
    int failed;
};

static void keep_file(void *arg, const char *path, const char *name)
{
    struct keeping *k = arg;
    CLEANUP_BUF struct buf to = BUF_INIT;
    buf_fmt(&to, "%s/%s", k->p->l->state_dir, name);
    if (rename(path, buf_cstr(&to)) != 0)
        k->failed = errno;
}

/* A catalogue of a pack that is no more. */
static void drop_file(void *arg, const char *path, const char *name)
{
    struct keeping *k = arg;
    (void)name;
    for (size_t i = 0; i < k->packs.count; i++) {
        CLEANUP_BUF struct buf known = BUF_INIT;
        pack_file(k->p, &k->packs.at[i], false, &known);
        if (strcmp(buf_cstr(&known), path) == 0)
            return;
    }
    (void)unlink(path);
}

void pack_note_keep(const struct conf_source *src, const struct source_listing *l)
{
    CLEANUP_BUF struct buf note = BUF_INIT, kept = BUF_INIT;
    struct source_listing copy = *l;
    struct packing p = {.src = src, .l = &copy};
    struct keeping k = {.p = &p};
    if (l->kept || pack_note_read(&p, true, &k.packs) != 0)
        return;
    note_path(src, l, true, &note);
    note_path(src, l, false, &kept);
    /* The note goes first and comes last: never a note about other files. */
    (void)unlink(buf_cstr(&kept));
    each_file(src, l->temp_dir, keep_file, &k);
    if (k.failed == 0 && rename(buf_cstr(&note), buf_cstr(&kept)) != 0)
        k.failed = errno;
    if (k.failed != 0)
        log_warn("%s: the catalogues of the packs are not kept: %s (the next refresh asks for them "
                 "again)",
                 src->name, err_text(k.failed));
    each_file(src, l->state_dir, drop_file, &k);
    packs_free(&k.packs);
}
