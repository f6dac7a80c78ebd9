#include "conf/conf_i.h"

#include "base/obj.h"

#include <errno.h>
#include <string.h>

static const char default_name[] = "medshapenet";
static const char default_url[] = "https://medshapenet.ikim.nrw/uploads/MedShapeNetDataset.txt";

struct conf_source *conf_source_add(struct conf *c)
{
    struct conf_source *grown = reallocarray(c->sources, c->source_count + 1, sizeof(*c->sources));
    if (grown == NULL)
        return NULL;
    c->sources = grown;
    memset(&grown[c->source_count], 0, sizeof(*grown));
    return &grown[c->source_count++];
}

void conf_sources_clear(struct conf *c)
{
    for (size_t i = 0; i < c->source_count; i++) {
        free(c->sources[i].name);
        free(c->sources[i].type);
        free(c->sources[i].url);
        free(c->sources[i].dataset);
    }
    free(c->sources);
    c->sources = NULL;
    c->source_count = 0;
}

static void free_network(struct conf_network *n)
{
    for (size_t i = 0; i < n->mirror_count; i++) {
        for (size_t k = 0; k < n->mirrors[i].to_count; k++)
            free(n->mirrors[i].to[k]);
        free(n->mirrors[i].to);
        free(n->mirrors[i].from);
    }
    free(n->mirrors);
    free(n->proxy);
    free(n->ca_file);
    free(n->netrc);
}

void conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    conf_sources_clear(c);
    free_network(&c->network);
    free(c->catalog);
    free(c->cache_dir);
    free(c->kernel_options);
    free(c->file);
    free(c);
}

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* A folder of the XDG specification, which says that a relative one is to be ignored. */
static void xdg_path(struct buf *out, const char *variable, const char *below_home,
                     const char *name)
{
    const char *dir = env(variable), *home = env("HOME");
    if (dir != NULL && dir[0] == '/')
        buf_fmt(out, "%s/%s", dir, name);
    else if (home != NULL && home[0] == '/')
        buf_fmt(out, "%s/%s/%s", home, below_home, name);
}

/* Reads a file that need not be there: *found tells. */
static int read_optional(struct conf *c, const char *path, bool *found, struct err *e)
{
    struct err mine = {0};
    int rc = conf_file_read(c, path, &mine);
    *found = rc != -ENOENT && rc != -ENOTDIR;
    if (!*found)
        return 0;
    if (rc != 0)
        return err_set(e, rc, "%s", mine.text);
    free(c->file);
    c->file = strdup(path);
    return c->file != NULL ? 0 : err_set(e, -ENOMEM, "%s: out of memory", path);
}

static int read_required(struct conf *c, const char *path, struct err *e)
{
    bool found;
    int rc = read_optional(c, path, &found, e);
    return rc == 0 && !found ? err_set(e, -ENOENT, "%s: there is no such file", path) : rc;
}

static int read_first(struct conf *c, const char *config, const char *options, struct err *e)
{
    struct buf path CLEANUP_BUF = BUF_INIT;
    bool found = false;
    if (options != NULL && conf_options_value(options, "config", &path))
        return read_required(c, buf_cstr(&path), e);
    if (config == NULL)
        config = env("MEDSHAPEFS_CONFIG");
    if (config != NULL)
        return read_required(c, config, e);
    xdg_path(&path, "XDG_CONFIG_HOME", ".config", "medshapefs/config.json");
    int rc = path.len > 0 ? read_optional(c, buf_cstr(&path), &found, e) : 0;
    return rc == 0 && !found ? read_optional(c, "/etc/medshapefs/config.json", &found, e) : rc;
}

static int default_source(struct conf *c)
{
    struct conf_source *src = conf_source_add(c);
    if (src == NULL)
        return -ENOMEM;
    src->name = strdup(default_name);
    src->type = strdup("manifest");
    src->url = strdup(default_url);
    return src->name != NULL && src->type != NULL && src->url != NULL ? 0 : -ENOMEM;
}

static int default_cache_dir(struct conf *c, struct err *e)
{
    struct buf path CLEANUP_BUF = BUF_INIT;
    if (geteuid() == 0 && env("XDG_CACHE_HOME") == NULL)
        buf_str(&path, "/var/cache/medshapefs");
    else
        xdg_path(&path, "XDG_CACHE_HOME", ".cache", "medshapefs");
    if (path.err == 0 && path.len == 0)
        return err_set(e, -EINVAL,
                       "cache: neither $XDG_CACHE_HOME nor $HOME is set (give cache=DIR)");
    c->cache_dir = buf_take(&path);
    return c->cache_dir != NULL ? 0 : -ENOMEM;
}

static int settle(struct conf *c, struct err *e)
{
    int rc = c->cache_dir == NULL ? default_cache_dir(c, e) : 0;
    if (rc == 0 && c->source_count == 0)
        rc = default_source(c);
    if (rc == 0 && c->by_source_option)
        rc = conf_source_settle(c, e);
    return rc;
}

int conf_load(const char *config, const char *options, struct conf **out, struct err *e)
{
    struct conf *c = calloc(1, sizeof(*c));
    *out = NULL;
    int rc = c != NULL ? conf_settings_default(c) : -ENOMEM;
    if (rc == 0)
        rc = read_first(c, config, options, e);
    if (rc == 0 && options != NULL)
        rc = conf_options_take(c, options, e);
    if (rc == 0)
        rc = settle(c, e);
    if (rc != 0) {
        conf_free(c);
        return rc == -ENOMEM ? err_set(e, rc, "configuration: out of memory") : rc;
    }
    *out = c;
    return 0;
}
