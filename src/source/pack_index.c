#include "source/pack_i.h"

#include "base/fsio.h"
#include "base/json.h"
#include "base/obj.h"
#include "base/str.h"
#include "net/url.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { INDEX_MAX = 16 << 20, TRIES = 2, ID_MAX = 64 };

static const char index_name[] = "index.json", suffix[] = ".shapepack";

void packs_free(struct packs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->at[i].link);
        free(p->at[i].name);
    }
    free(p->at);
    *p = (struct packs){.count = 0};
}

/* The file name that a URL ends in, decoded; the caller frees. */
static char *name_of(const char *url)
{
    size_t len = strcspn(url, "?#");
    const char *slash = memrchr(url, '/', len);
    size_t at = slash != NULL ? (size_t)(slash + 1 - url) : 0;
    char *name = strndup(url + at, len - at);
    if (name != NULL)
        name[str_percent_decode(name, len - at, name, false)] = '\0';
    return name;
}

struct pack_known *packs_add(struct packs *p, const char *link, size_t len)
{
    struct pack_known *grown =
        p->count < PACKS_MAX ? reallocarray(p->at, p->count + 1, sizeof(grown[0])) : NULL;
    if (grown == NULL)
        return NULL;
    p->at = grown;
    struct pack_known *k = &grown[p->count++];
    *k = (struct pack_known){.link = strndup(link, len), .bytes = UINT64_MAX, .mtime = -1};
    k->name = k->link != NULL ? name_of(k->link) : NULL;
    return k->name != NULL ? k : NULL;
}

int pack_refuse(struct packing *p, const char *url, int err, const char *why)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    url_redact(&text, url, strlen(url));
    return err_set(p->e, err, "pack %.250s: %s", buf_cstr(&text), why);
}

static bool in_id(char c, bool first)
{
    bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return plain || (!first && c != '\0' && strchr("._+-", c) != NULL);
}

void pack_dataset(const struct conf_source *src, const struct packs *all,
                  const struct pack_known *k, char out[65])
{
    const char *name = all->folder ? src->name : k->name;
    size_t len = strlen(name), n = 0;
    if (str_iends(name, len, suffix))
        len -= strlen(suffix);
    for (size_t i = 0; i < len && n < ID_MAX; i++) {
        bool fits = in_id(name[i], n == 0);
        if (fits || n > 0)
            out[n++] = fits ? name[i] : '_';
    }
    out[n] = '\0';
    if (n == 0 || strcmp(out, "unsorted") == 0)
        (void)snprintf(out, ID_MAX + 1, "pack");
}

/* ---- index.json ---- */

static bool name_ok(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (name[i] == '/' || (unsigned char)name[i] < ' ' || name[i] == 0x7F)
            return false;
    return len > 0 && len <= STR_NAME_MAX && name[0] != '.';
}

static bool hex_sum(const char *text, uint64_t *sum)
{
    char *end;
    *sum = strtoull(text, &end, 16);
    return strlen(text) == 16 && *end == '\0' && strspn(text, "0123456789abcdefABCDEF") == 16;
}

/* base: URL up to the index's name; query: "?..." or "". */
static const char *add_listed(const struct json *v, const char *base, size_t base_len,
                              const char *query, struct packs *out)
{
    const char *name = json_string(json_get(v, "name"), "");
    uint64_t bytes = 0, sum = 0;
    if (!name_ok(name))
        return "a pack's \"name\" is no plain file name";
    if (!json_u64(json_get(v, "bytes"), &bytes) ||
        !hex_sum(json_string(json_get(v, "catalogue_sum"), ""), &sum))
        return "a pack has no \"bytes\" or no \"catalogue_sum\" of 16 hex digits";
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->at[i].name, name) == 0)
            return "a pack is in it twice";
    CLEANUP_BUF struct buf link = BUF_INIT;
    buf_add(&link, base, base_len);
    str_percent_encode(&link, name, strlen(name), "");
    buf_str(&link, query);
    struct pack_known *k = link.err == 0 ? packs_add(out, link.data, link.len) : NULL;
    if (k == NULL)
        return "too many packs";
    k->bytes = bytes;
    k->sum = sum;
    return NULL;
}

static bool is_ours(const struct json *root)
{
    return strcmp(json_string(json_get(root, "format"), ""), "medshapefs packs") == 0;
}

static const char *take_index(const struct json *root, const char *base, size_t base_len,
                              const char *query, struct packs *out)
{
    uint64_t version = 0;
    const struct json *list = json_get(root, "packs");
    const char *why = NULL;
    if (!is_ours(root))
        return "it is no index of packs";
    if (!json_u64(json_get(root, "version"), &version) || version != 1)
        return "an index of another version (this program reads version 1)";
    for (const struct json *v = json_first(list); v != NULL && why == NULL; v = json_next(v))
        why = add_listed(v, base, base_len, query, out);
    return why == NULL && out->count == 0 ? "no pack is in it" : why;
}

/* ---- local ---- */

/* The path of a file:// URL, as it stands where there is such a file, else decoded; NULL for
 * another URL. The caller frees. */
static char *local_path(const char *url)
{
    struct stat st;
    if (strncasecmp(url, "file://", 7) != 0)
        return NULL;
    const char *path = strchr(url + 7, '/');
    char *own = path != NULL ? strdup(path) : NULL;
    if (own == NULL || stat(own, &st) == 0)
        return own;
    own[str_percent_decode(path, strlen(path), own, false)] = '\0';
    return own;
}

static int add_local(struct packing *p, const char *folder, const char *name, struct packs *out)
{
    CLEANUP_BUF struct buf link = BUF_INIT;
    buf_str(&link, "file://");
    str_percent_encode(&link, folder, strlen(folder), "/");
    buf_str(&link, folder[0] != '\0' ? "/" : "");
    str_percent_encode(&link, name, strlen(name), "/");
    return link.err == 0 && packs_add(out, link.data, link.len) != NULL
               ? 0
               : err_set(p->e, -ENOMEM, "source %s: too many packs", p->src->name);
}

static int is_pack(const struct dirent *d)
{
    return d->d_name[0] != '.' && str_iends(d->d_name, strlen(d->d_name), suffix);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int scan_folder(struct packing *p, const char *folder, struct packs *out)
{
    struct dirent **list = NULL;
    out->folder = true;
    int n = scandir(folder, &list, is_pack, by_name);
    int r = n < 0 ? pack_refuse(p, folder, -errno, err_text(errno)) : 0;
    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = add_local(p, folder, list[i]->d_name, out);
        free(list[i]);
    }
    free(list);
    return r == 0 && n == 0 ? pack_refuse(p, folder, -ENOENT, "no .shapepack is in this folder")
                            : r;
}

static int take_local(struct packing *p, const char *at, const char *folder,
                      const struct json *root, struct packs *out)
{
    CLEANUP_BUF struct buf base = BUF_INIT;
    buf_str(&base, "file://");
    str_percent_encode(&base, folder, strlen(folder), "/");
    buf_str(&base, "/");
    out->folder = true;
    const char *why =
        base.err != 0 ? "out of memory" : take_index(root, base.data, base.len, "", out);
    return why == NULL ? 0 : pack_refuse(p, at, -EBADMSG, why);
}

/* A folder has the packs that its index names, or where it has none of ours, those that are there.
 */
static int local_folder(struct packing *p, const char *folder, struct packs *out)
{
    CLEANUP_BUF struct buf at = BUF_INIT, text = BUF_INIT;
    buf_fmt(&at, "%s/%s", folder, index_name);
    int r = at.err != 0 ? at.err : fsio_read_file(buf_cstr(&at), INDEX_MAX, &text);
    if (r != 0 && r != -ENOENT)
        return pack_refuse(p, buf_cstr(&at), r, err_text(r));
    struct json *root = r == 0 ? json_parse(buf_cstr(&text), text.len, NULL) : NULL;
    r = root != NULL && is_ours(root) ? take_local(p, buf_cstr(&at), folder, root, out)
                                      : scan_folder(p, folder, out);
    json_free(root);
    return r;
}

static int index_local(struct packing *p, char *path, struct packs *out)
{
    struct stat st;
    size_t len = strlen(path);
    if (stat(path, &st) != 0)
        return pack_refuse(p, path, -errno, err_text(errno));
    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    if (S_ISDIR(st.st_mode))
        return local_folder(p, path, out);
    char *slash = strrchr(path, '/');
    if (slash == NULL || strcmp(slash + 1, index_name) != 0)
        return add_local(p, "", path, out);
    *slash = '\0';
    return local_folder(p, slash == path ? "/" : path, out);
}

/* ---- on a web server ---- */

static int index_data(void *arg, const void *data, size_t len)
{
    struct buf *text = arg;
    buf_add(text, data, len);
    return text->err;
}

static int index_again(void *arg)
{
    buf_clear(arg);
    return 0;
}

static int get_index(struct packing *p, const char *url, struct buf *text)
{
    struct http_resp resp;
    char why[240];
    const struct fetch_job job = {.req = {.method = HTTP_GET,
                                          .url = url,
                                          .gzip = true,
                                          .max_body = INDEX_MAX,
                                          .first_byte_ms = p->fetch.net->listing_timeout_ms},
                                  .label = "the index of the packs",
                                  .want = 200,
                                  .tries = TRIES,
                                  .data = index_data,
                                  .again = index_again,
                                  .arg = text};
    int r = fetch_run(&p->fetch, &job, &resp);
    if (r == 0)
        return 0;
    fetch_why(r, &resp, why, sizeof(why));
    return pack_refuse(p, url, r, why);
}

static int index_folder(struct packing *p, const char *url, size_t base_len, const char *query,
                        struct packs *out)
{
    CLEANUP_BUF struct buf at = BUF_INIT, text = BUF_INIT;
    out->folder = true;
    buf_add(&at, url, base_len);
    buf_fmt(&at, "%s%s", index_name, query);
    int r = at.err != 0 ? at.err : get_index(p, buf_cstr(&at), &text);
    if (r != 0)
        return r;
    struct json *root = json_parse(buf_cstr(&text), text.len, NULL);
    const char *why = root == NULL ? "it is not JSON" : take_index(root, url, base_len, query, out);
    json_free(root);
    return why == NULL ? 0 : pack_refuse(p, buf_cstr(&at), -EBADMSG, why);
}

int pack_index(struct packing *p, struct packs *out)
{
    const char *url = p->src->url;
    char *path CLEANUP_FREE = local_path(url);
    if (path != NULL)
        return index_local(p, path, out);
    size_t len = strcspn(url, "?#"), tail = strlen(index_name);
    size_t query_len = url[len] == '?' ? strcspn(url + len, "#") : 0;
    char *query CLEANUP_FREE = strndup(url + len, query_len);
    if (query == NULL)
        return -ENOMEM;
    if (len > tail && url[len - tail - 1] == '/' &&
        strncmp(url + len - tail, index_name, tail) == 0)
        len -= tail;
    if (url[len - 1] == '/')
        return index_folder(p, url, len, query, out);
    return packs_add(out, url, len + query_len) != NULL ? 0 : -ENOMEM;
}
