#include "conf/conf_i.h"

#include "base/fsio.h"
#include "base/hash.h"
#include "base/obj.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { HEAD = 65536, NAME_MAX_LEN = 64 };

static const char suffix[] = ".shapepack";
static const char magic[] = {'\x93', 'S', 'H', 'P', '\r', '\n', '\x1a', '\n'};
static const char in_names[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool conf_source_name_ok(const char *name)
{
    size_t len = strspn(name, in_names);
    return len > 0 && len <= NAME_MAX_LEN && name[len] == '\0' && name[0] != '.';
}

static size_t http_prefix(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0)
        return 7;
    return strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
}

bool conf_is_http(const char *url)
{
    size_t n = http_prefix(url);
    return n > 0 && url[n] != '\0';
}

const char *conf_url_fault(const char *url)
{
    for (const char *p = url; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7F)
            return "has a blank or a control character in it (write %20 for a blank)";
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    size_t len = strcspn(host, "/?#");
    if (len == 0)
        return "must have a host in it";
    if (memchr(host, '@', len) != NULL)
        return "has a login in it, which does not belong here (put it into ~/.netrc)";
    return NULL;
}

char *conf_absolute(const char *folder, const char *path)
{
    char *here CLEANUP_FREE = NULL;
    struct buf out = BUF_INIT;
    if (path[0] == '/')
        return strdup(path);
    if (folder == NULL)
        here = getcwd(NULL, 0);
    const char *above = folder != NULL ? folder : here;
    if (above == NULL)
        return NULL;
    buf_fmt(&out, "%s%s%s", above, strcmp(above, "/") == 0 ? "" : "/", path);
    return buf_take(&out);
}

static int file_url(const char *path, char **url, struct err *e)
{
    char *real CLEANUP_FREE = realpath(path, NULL);
    char *absolute CLEANUP_FREE = real == NULL ? conf_absolute(NULL, path) : NULL;
    const char *use = real != NULL ? real : absolute;
    if (use == NULL || asprintf(url, "file://%s", use) < 0) {
        *url = NULL;
        return err_set(e, -ENOMEM, "%.200s: out of memory", path);
    }
    return 0;
}

int conf_source_url(const char *text, char **url, struct err *e)
{
    const char *scheme = strstr(text, "://");
    *url = NULL;
    if (text[0] == '\0')
        return err_set(e, -EINVAL, "must be a path or a URL");
    if (scheme == NULL || memchr(text, '/', (size_t)(scheme - text)) != NULL)
        return file_url(text, url, e);
    bool local = strncasecmp(text, "file://", 7) == 0;
    if (!local && http_prefix(text) == 0)
        return err_set(e, -EINVAL, "%.*s:// is not in this version (it has: http, https, file)",
                       (int)(scheme - text > 32 ? 32 : scheme - text), text);
    const char *fault = local ? NULL : conf_url_fault(text);
    if (local && text[7] != '/' && strncasecmp(text + 7, "localhost/", 10) != 0)
        fault = "must have three slashes: file:///path";
    if (fault != NULL)
        return err_set(e, -EINVAL, "%s", fault);
    *url = strdup(text);
    return *url != NULL ? 0 : err_set(e, -ENOMEM, "source: out of memory");
}

/* ---- what -o source= is ---- */

/* "/s/TOKEN" at the end of a path: the page of a public share. */
static bool is_share(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/')
        len--;
    const char *token = len > 0 ? memrchr(path, '/', len) : NULL;
    return token != NULL && token - path >= 2 && strncmp(token - 2, "/s/", 3) == 0 &&
           path + len - token > 1;
}

static int not_here(struct err *e, const char *what, const char *kind)
{
    return err_set(
        e, -EINVAL,
        "source=%.200s: %s is not in this version (it takes a list of links, a .shapepack "
        "or a folder of them, each as a path or a URL)",
        what, kind);
}

static int check_http(const char *url, const char **type, struct err *e)
{
    const char *path = url + http_prefix(url);
    path += strcspn(path, "/?#");
    size_t len = strcspn(path, "?#");
    if (str_icontains(path, len, suffix, strlen(suffix)) || str_iends(path, len, "/index.json") ||
        (len > 0 && path[len - 1] == '/' && !is_share(path, len)))
        *type = "pack";
    return is_share(path, len) ? not_here(e, url, "a share") : 0;
}

/* The first line that says something, in the first bytes of a file; NULL where there is none. */
static const char *first_line(const char *head)
{
    static const char bom[] = "\xEF\xBB\xBF";
    if (strncmp(head, bom, 3) == 0)
        head += 3;
    for (;;) {
        head += strspn(head, " \t\r\n");
        if (*head == '\0')
            return NULL;
        if (*head != '#')
            return head;
        head += strcspn(head, "\n");
    }
}

static int check_head(const char *path, const char **type, struct err *e)
{
    char head[HEAD + 1];
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, head, HEAD) : -1;
    if (n < 0)
        return err_set(e, -errno, "source=%.200s: %s", path, err_text(errno));
    head[n] = '\0';
    if (n >= (ssize_t)sizeof(magic) && memcmp(head, magic, sizeof(magic)) == 0) {
        *type = "pack";
        return 0;
    }
    const char *line = first_line(head);
    if (line == NULL && n == HEAD)
        return 0;
    if (line == NULL || !conf_is_http(line))
        return err_set(e, -EINVAL,
                       "source=%.200s: it is no list of links (its first line is no http:// or "
                       "https:// URL)",
                       path);
    return 0;
}

/* True where a folder has packs in it. */
static bool has_packs(const char *path)
{
    DIR *d = opendir(path);
    bool found = false;
    for (struct dirent *x; d != NULL && !found && (x = readdir(d)) != NULL;)
        found = x->d_name[0] != '.' && str_iends(x->d_name, strlen(x->d_name), suffix);
    if (d != NULL)
        (void)closedir(d);
    return found;
}

static int check_local(const char *path, const char **type, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_set(e, -errno, "source=%.200s: %s", path, err_text(errno));
    if (S_ISDIR(st.st_mode) && !has_packs(path))
        return not_here(e, path, "a folder without packs");
    if (S_ISDIR(st.st_mode) || str_iends(path, strlen(path), suffix))
        *type = "pack";
    if (S_ISDIR(st.st_mode))
        return 0;
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "source=%.200s: it is not a regular file", path);
    return strcmp(*type, "pack") == 0 ? 0 : check_head(path, type, e);
}

/* The path of a file:// URL: as it stands where there is such a file, else decoded. */
static int check_file_url(const char *url, const char **type, struct err *e)
{
    const char *path = strchr(url + 7, '/');
    char *decoded CLEANUP_FREE = strdup(path);
    struct stat st;
    if (decoded == NULL)
        return err_set(e, -ENOMEM, "source: out of memory");
    if (stat(path, &st) == 0)
        return check_local(path, type, e);
    decoded[str_percent_decode(path, strlen(path), decoded, false)] = '\0';
    return check_local(decoded, type, e);
}

/* The base name of the URL's path, in the letters that a name may have. */
static void name_of(const char *url, char out[NAME_MAX_LEN + 1])
{
    const char *host = strstr(url, "://") + 3;
    bool http = conf_is_http(url);
    const char *path = host + strcspn(host, "/?#");
    size_t len = http ? strcspn(path, "?#") : strlen(path), n = 0;
    while (len > 0 && path[len - 1] == '/')
        len--;
    const char *slash = len > 0 ? memrchr(path, '/', len) : NULL;
    for (const char *p = slash != NULL ? slash + 1 : path; p < path + len; p++)
        if (n < NAME_MAX_LEN && strchr(in_names, *p) != NULL && (n > 0 || *p != '.'))
            out[n++] = *p;
    out[n] = '\0';
    if (n == 0)
        (void)snprintf(out, NAME_MAX_LEN + 1, "source");
}

int conf_source_settle(struct conf *c, struct err *e)
{
    struct conf_source *src = &c->sources[0];
    char *text CLEANUP_FREE = src->url;
    char *base CLEANUP_FREE = c->cache_dir;
    char name[NAME_MAX_LEN + 1];
    const char *type = "manifest";
    src->url = c->cache_dir = NULL;
    int rc = conf_source_url(text, &src->url, e);
    if (src->url == NULL) {
        char prefix[256];
        (void)snprintf(prefix, sizeof(prefix), "source=%.200s", text);
        err_prefix(e, prefix);
        return rc;
    }
    rc = http_prefix(src->url) > 0 ? check_http(src->url, &type, e)
                                   : check_file_url(src->url, &type, e);
    if (rc != 0)
        return rc;
    name_of(src->url, name);
    src->name = strdup(name);
    src->type = strdup(type);
    unsigned hash = (unsigned)hash64(src->url, strlen(src->url), 0);
    if (asprintf(&c->cache_dir, "%s/%s-%08x", base, name, hash) < 0)
        c->cache_dir = NULL;
    bool whole = src->name != NULL && src->type != NULL && c->cache_dir != NULL;
    return whole ? 0 : err_set(e, -ENOMEM, "source: out of memory");
}
