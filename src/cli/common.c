#include "cli/cli_i.h"

#include "base/log.h"
#include "base/obj.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int cli_fail(const struct err *e, int rc, const char *what)
{
    if (e != NULL && e->text[0] != '\0')
        log_error("%s", e->text);
    else
        log_error("%s: %s", what, err_text(rc));
    return CLI_FAILED;
}

int cli_conf(struct args *a, struct conf **out)
{
    struct err e = {0};
    int rc = conf_load(a->config, args_mount(a), out, &e);
    if (rc == 0)
        return CLI_DONE;
    (void)cli_fail(&e, rc, "configuration");
    return rc == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

int cli_open(struct args *a, struct cli_view *v)
{
    memset(v, 0, sizeof(*v));
    int status = cli_conf(a, &v->conf);
    if (status != CLI_DONE)
        return status;
    struct err e = {0};
    int rc = medshapefs_open(v->conf, MEDSHAPEFS_BROWSE, NULL, &v->shapes, &e);
    if (rc == -ENOENT)
        log_error("%s: there is no catalogue yet (run 'medshapefs refresh' with the same options)",
                  v->conf->cache_dir);
    else if (rc != 0)
        (void)cli_fail(&e, rc, "catalogue");
    return rc == 0 ? CLI_DONE : CLI_FAILED;
}

void cli_close(struct cli_view *v)
{
    medshapefs_close(&v->shapes);
    conf_free(v->conf);
    v->conf = NULL;
}

int cli_print(struct buf *text)
{
    if (text->err != 0)
        return cli_fail(NULL, text->err, "output");
    if (text->len > 0)
        (void)fwrite(text->data, 1, text->len, stdout);
    return CLI_DONE;
}

/* A mount point whose daemon is gone cannot be resolved itself, but the folder that it is in can.
 */
static int absolute_by_parent(const char *path, char **out)
{
    char copy[PATH_MAX], parent[PATH_MAX];
    int len = snprintf(copy, sizeof(copy), "%s", path);
    if (len < 0 || (size_t)len >= sizeof(copy))
        return -ENAMETOOLONG;
    for (; len > 1 && copy[len - 1] == '/'; len--)
        copy[len - 1] = '\0';
    char *slash = strrchr(copy, '/');
    const char *name = slash != NULL ? slash + 1 : copy;
    if (strcmp(name, "") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -ENOTCONN;
    const char *folder = slash == NULL ? "." : (slash == copy ? "/" : copy);
    if (slash != NULL)
        *slash = '\0';
    if (realpath(folder, parent) == NULL)
        return -errno;
    const char *join = strcmp(parent, "/") == 0 ? "" : "/";
    return asprintf(out, "%s%s%s", parent, join, name) < 0 ? -ENOMEM : 0;
}

int cli_absolute(const char *path, char **out)
{
    *out = realpath(path, NULL);
    if (*out != NULL)
        return 0;
    return errno == ENOTCONN ? absolute_by_parent(path, out) : -errno;
}
