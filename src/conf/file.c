#include "conf/conf_i.h"

#include "base/fsio.h"
#include "base/obj.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

enum { FILE_MAX = 4 << 20, SOURCES_MAX = 64, MIRRORS_MAX = 64 };

static const char *const types[] = {"manifest", "pack"};

/* One reading of a file. */
struct file {
    struct conf *c;
    const char *path;
    char *folder; /* where it is, absolute */
    const char *text;
    size_t len;
    const struct json *root;
    struct err *e;
};

/* "FILE:LINE: KEY: WHY"; the line is that of `v`. */
static int refuse(const struct file *f, const struct json *v, const char *key, const char *why)
{
    unsigned line = conf_line_of(f->text, f->len, f->root, v);
    const char *colon = key[0] != '\0' ? ": " : "";
    return err_set(f->e, -EBADMSG, "%s:%u: %s%s%s", f->path, line, key, colon, why);
}

static int no_memory(const struct file *f)
{
    return err_set(f->e, -ENOMEM, "%s: out of memory", f->path);
}

/* Names come from the file: long ones are cut, so that the reason still fits. */
static void add_key(struct buf *out, const char *prefix, const char *name)
{
    buf_fmt(out, "%s%s%.100s", prefix, prefix[0] != '\0' ? "." : "", name);
}

/* A name that stands twice in an object: the parser keeps both. */
static int refuse_twice(const struct file *f, const struct json *v, const struct json *parent,
                        const char *key)
{
    return json_get(parent, json_name(v)) == v ? 0 : refuse(f, v, key, "is there twice");
}

static int refuse_type(const struct file *f, const struct json *v, const char *key,
                       const char *wanted)
{
    char why[80];
    (void)snprintf(why, sizeof(why), "must be %s", wanted);
    return refuse(f, v, key, why);
}

/* ---- sources and mirrors ---- */

/* Where a member of a source goes. */
static char **source_field(struct conf_source *src, const char *name)
{
    if (strcmp(name, "name") == 0)
        return &src->name;
    if (strcmp(name, "type") == 0)
        return &src->type;
    if (strcmp(name, "url") == 0)
        return &src->url;
    return strcmp(name, "dataset") == 0 ? &src->dataset : NULL;
}

static bool dataset_ok(const char *id)
{
    size_t len = strlen(id);
    for (size_t i = 0; i < len; i++)
        if (id[i] == '/' || (unsigned char)id[i] < 0x20 || id[i] == 0x7F)
            return false;
    return len > 0 && len <= STR_NAME_MAX && id[0] != '.' && str_is_utf8(id, len);
}

static int source_member(const struct file *f, struct conf_source *src, const struct json *v,
                         const struct json *parent, const char *prefix)
{
    struct buf key CLEANUP_BUF = BUF_INIT;
    add_key(&key, prefix, json_name(v));
    char **at = source_field(src, json_name(v));
    if (at == NULL)
        return refuse(f, v, buf_cstr(&key), "unknown key (a source has: name, type, url, dataset)");
    int rc = refuse_twice(f, v, parent, buf_cstr(&key));
    if (rc != 0)
        return rc;
    if (json_type(v) == JSON_NULL && at == &src->dataset)
        return 0;
    if (json_type(v) != JSON_STRING)
        return refuse_type(f, v, buf_cstr(&key), "a text");
    *at = strdup(json_string(v, ""));
    return *at != NULL ? 0 : no_memory(f);
}

/* The type first: members of another type of source would only be unknown keys. */
static int source_type(const struct file *f, const struct json *v, const char *key)
{
    const struct json *type = json_get(v, "type");
    const char *text = json_string(type, NULL);
    if (type == NULL)
        return refuse(f, v, key, "has no \"type\" (\"manifest\" or \"pack\")");
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (text == NULL || strcmp(text, types[i]) == 0)
            return 0;
    struct buf why CLEANUP_BUF = BUF_INIT;
    buf_fmt(&why, "source '%.64s': type '%.64s' is not in this version (it has: %s, %s)",
            json_string(json_get(v, "name"), key), text, types[0], types[1]);
    return refuse(f, type, "", buf_cstr(&why));
}

static int source_url(const struct file *f, struct conf_source *src, const struct json *v,
                      const char *key)
{
    struct err e = {0};
    char *url = NULL;
    char *path CLEANUP_FREE =
        strstr(src->url, "://") == NULL ? conf_absolute(f->folder, src->url) : strdup(src->url);
    if (path == NULL)
        return no_memory(f);
    int rc = src->url[0] == '\0' ? err_set(&e, -EINVAL, "must be a path or a URL")
                                 : conf_source_url(path, &url, &e);
    if (rc != 0)
        return rc == -ENOMEM ? no_memory(f) : refuse(f, json_get(v, "url"), key, e.text);
    free(src->url);
    src->url = url;
    return 0;
}

static bool name_taken(const struct conf *c, const struct conf_source *src)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (&c->sources[i] != src && c->sources[i].name != NULL &&
            strcmp(c->sources[i].name, src->name) == 0)
            return true;
    return false;
}

static int source_check(const struct file *f, struct conf_source *src, const struct json *v,
                        const char *prefix)
{
    struct buf key CLEANUP_BUF = BUF_INIT;
    const char *missing = src->name == NULL ? "name" : (src->url == NULL ? "url" : NULL);
    if (missing != NULL) {
        char why[32];
        (void)snprintf(why, sizeof(why), "has no \"%s\"", missing);
        return refuse(f, v, prefix, why);
    }
    add_key(&key, prefix, "name");
    if (!conf_source_name_ok(src->name))
        return refuse_type(f, json_get(v, "name"), buf_cstr(&key),
                           "1 to 64 of A-Z a-z 0-9 . _ - and not begin with '.'");
    if (name_taken(f->c, src))
        return refuse(f, json_get(v, "name"), buf_cstr(&key), "another source has this name");
    if (src->dataset != NULL && !dataset_ok(src->dataset)) {
        buf_clear(&key);
        add_key(&key, prefix, "dataset");
        return refuse_type(f, json_get(v, "dataset"), buf_cstr(&key),
                           "the name of a dataset (no '/', no leading '.')");
    }
    buf_clear(&key);
    add_key(&key, prefix, "url");
    return source_url(f, src, v, buf_cstr(&key));
}

static int take_source(const struct file *f, const struct json *v, size_t index)
{
    char key[32];
    (void)snprintf(key, sizeof(key), "sources[%zu]", index);
    if (json_type(v) != JSON_OBJECT)
        return refuse_type(f, v, key, "an object");
    int rc = source_type(f, v, key);
    struct conf_source *src = rc == 0 ? conf_source_add(f->c) : NULL;
    if (src == NULL)
        return rc != 0 ? rc : no_memory(f);
    for (const struct json *m = json_first(v); m != NULL && rc == 0; m = json_next(m))
        rc = source_member(f, src, m, v, key);
    return rc == 0 ? source_check(f, src, v, key) : rc;
}

static int take_sources(const struct file *f, const struct json *v)
{
    size_t n = 0;
    int rc = 0;
    if (json_type(v) != JSON_ARRAY)
        return refuse_type(f, v, "sources", "a list of objects");
    for (const struct json *s = json_first(v); s != NULL && rc == 0; s = json_next(s))
        rc = n == SOURCES_MAX ? refuse(f, s, "sources", "more than 64 of them")
                              : take_source(f, s, n++);
    return rc == 0 && n == 0 ? refuse(f, v, "sources", "there must be at least one") : rc;
}

static int mirror_url(const struct file *f, const struct json *v, const char *url, const char *key,
                      char **out)
{
    const char *fault = url == NULL || !conf_is_http(url) ? "must be an http:// or https:// URL"
                                                          : conf_url_fault(url);
    if (fault != NULL)
        return refuse(f, v, key, fault);
    *out = strdup(url);
    return *out != NULL ? 0 : no_memory(f);
}

static int take_mirror(const struct file *f, struct conf_mirror *m, const struct json *v)
{
    struct buf key CLEANUP_BUF = BUF_INIT;
    buf_fmt(&key, "network.mirrors[\"%.200s\"]", json_name(v));
    const char *name = buf_cstr(&key);
    size_t n = 0;
    for (const struct json *u = json_first(v); u != NULL; u = json_next(u))
        n++;
    if (json_type(v) != JSON_ARRAY || n == 0 || n > MIRRORS_MAX)
        return refuse_type(f, v, name, "a list of 1 to 64 URLs");
    m->to = calloc(n, sizeof(*m->to));
    if (m->to == NULL)
        return no_memory(f);
    int rc = mirror_url(f, v, json_name(v), name, &m->from);
    for (const struct json *u = json_first(v); u != NULL && rc == 0; u = json_next(u)) {
        rc = mirror_url(f, u, json_string(u, NULL), name, &m->to[m->to_count]);
        m->to_count += rc == 0;
    }
    return rc;
}

static int take_mirrors(const struct file *f, const struct json *v)
{
    struct conf_network *net = &f->c->network;
    size_t n = 0;
    int rc = 0;
    for (const struct json *m = json_first(v); m != NULL; m = json_next(m))
        n++;
    if (json_type(v) != JSON_OBJECT || n > MIRRORS_MAX)
        return refuse_type(f, v, "network.mirrors", "an object of at most 64 URLs");
    net->mirrors = calloc(n + 1, sizeof(*net->mirrors));
    if (net->mirrors == NULL)
        return no_memory(f);
    for (const struct json *m = json_first(v); m != NULL && rc == 0; m = json_next(m)) {
        rc = refuse_twice(f, m, v, "network.mirrors");
        if (rc == 0)
            rc = take_mirror(f, &net->mirrors[net->mirror_count++], m);
    }
    return rc;
}

/* ---- everything else is in options.def ---- */

static int take_setting(const struct file *f, const struct json *v, const char *key)
{
    struct buf why CLEANUP_BUF = BUF_INIT;
    const struct conf_setting *s = conf_setting_find(NULL, key);
    if (s == NULL)
        return refuse(f, v, key, "unknown key");
    int rc = conf_setting_json(f->c, s, v, f->folder, &why);
    if (rc == -EINVAL)
        return refuse(f, v, key, buf_cstr(&why));
    return rc == 0 ? 0 : no_memory(f);
}

static int take_members(const struct file *f, const struct json *parent, const char *prefix);

static int take(const struct file *f, const struct json *v, const char *key)
{
    if (strcmp(key, "sources") == 0)
        return take_sources(f, v);
    if (strcmp(key, "network.mirrors") == 0)
        return take_mirrors(f, v);
    if (strchr(key, '.') != NULL || !conf_setting_section(key))
        return take_setting(f, v, key);
    return json_type(v) == JSON_OBJECT ? take_members(f, v, key)
                                       : refuse_type(f, v, key, "an object");
}

static int take_members(const struct file *f, const struct json *parent, const char *prefix)
{
    int rc = 0;
    for (const struct json *v = json_first(parent); v != NULL && rc == 0; v = json_next(v)) {
        struct buf key CLEANUP_BUF = BUF_INIT;
        add_key(&key, prefix, json_name(v));
        if (key.err != 0)
            return no_memory(f);
        rc = strchr(json_name(v), '.') != NULL ? refuse(f, v, buf_cstr(&key), "unknown key")
                                               : refuse_twice(f, v, parent, buf_cstr(&key));
        if (rc == 0)
            rc = take(f, v, buf_cstr(&key));
    }
    return rc;
}

/* The folder that the file is in, absolute. */
static char *folder_of(const char *path)
{
    char *absolute = conf_absolute(NULL, path);
    char *slash = absolute != NULL ? strrchr(absolute, '/') : NULL;
    if (slash != NULL)
        slash[slash == absolute ? 1 : 0] = '\0';
    return absolute;
}

int conf_file_parse(struct conf *c, const char *path, const char *text, size_t len, struct err *e)
{
    unsigned line = 0;
    struct json *root = json_parse(text, len, &line);
    if (root == NULL)
        return err_set(e, -EBADMSG, "%s:%u: this is not JSON (a comma or a quote missing before?)",
                       path, line);
    char *folder CLEANUP_FREE = folder_of(path);
    struct file f = {c, path, folder, text, len, root, e};
    int rc = folder == NULL ? no_memory(&f) : 0;
    if (rc == 0)
        rc = json_type(root) == JSON_OBJECT ? take_members(&f, root, "")
                                            : refuse_type(&f, root, "", "an object");
    json_free(root);
    return rc;
}

int conf_file_read(struct conf *c, const char *path, struct err *e)
{
    struct buf text CLEANUP_BUF = BUF_INIT;
    int rc = fsio_read_file(path, FILE_MAX, &text);
    if (rc != 0)
        return err_set(e, rc, "%s: %s", path, err_text(rc));
    return conf_file_parse(c, path, buf_cstr(&text), text.len, e);
}
