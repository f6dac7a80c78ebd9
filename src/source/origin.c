#include "source/origin_i.h"

#include "base/fsio.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/obj.h"
#include "base/str.h"
#include "net/url.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { TRIES = 2, NOTE_MAX = 65536 };

static const uint64_t list_max = UINT64_C(4) << 30;

/* What is known of the kept list. */
struct note {
    char etag[128];
    char modified[64];
};

/* A list on its way into a file. */
struct spool {
    int fd;
    uint64_t len;
};

static void add_file(struct buf *out, const char *dir, const char *name, const char *suffix)
{
    buf_fmt(out, "%s/%s.%s", dir, name, suffix);
}

static void url_id(const char *url, char hex[33])
{
    struct hash_id id = {{0}};
    const void *part = url;
    size_t len = strlen(url);
    (void)hash_id(&id, &part, &len, 1);
    hash_id_hex(&id, hex);
}

static bool is_http(const char *url)
{
    return strncasecmp(url, "http:", 5) == 0 || strncasecmp(url, "https:", 6) == 0;
}

static bool read_note(const struct conf_source *src, const char *path, uint64_t bytes,
                      struct note *note)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    if (fsio_read_file(path, NOTE_MAX, &text) != 0)
        return false;
    struct json *root = json_parse(buf_cstr(&text), text.len, NULL);
    char hex[33];
    url_id(src->url, hex);
    uint64_t noted;
    bool fits = strcmp(json_string(json_get(root, "url"), ""), hex) == 0 &&
                json_u64(json_get(root, "bytes"), &noted) && noted == bytes;
    if (fits) {
        (void)snprintf(note->etag, sizeof(note->etag), "%s",
                       json_string(json_get(root, "etag"), ""));
        (void)snprintf(note->modified, sizeof(note->modified), "%s",
                       json_string(json_get(root, "last_modified"), ""));
    }
    json_free(root);
    return fits && (note->etag[0] != '\0' || note->modified[0] != '\0');
}

/* Looks for a list that was kept of this very URL and is as long as noted. */
static bool find_kept(const struct conf_source *src, const struct source_listing *l,
                      struct buf *list, struct note *note)
{
    CLEANUP_BUF struct buf path = BUF_INIT;
    struct stat st;
    add_file(list, l->state_dir, src->name, "list");
    add_file(&path, l->state_dir, src->name, "json");
    if (stat(buf_cstr(list), &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    return read_note(src, buf_cstr(&path), (uint64_t)st.st_size, note);
}

static int write_note(const struct conf_source *src, const struct source_listing *l, uint64_t bytes,
                      const struct http_resp *resp)
{
    CLEANUP_BUF struct buf path = BUF_INIT, text = BUF_INIT;
    char hex[33];
    url_id(src->url, hex);
    add_file(&path, l->temp_dir, src->name, "json.new");
    buf_fmt(&text, "{\"url\": \"%s\", \"bytes\": %llu, \"etag\": ", hex, (unsigned long long)bytes);
    json_quote(&text, resp->etag, strlen(resp->etag));
    buf_str(&text, ", \"last_modified\": ");
    json_quote(&text, resp->last_modified_text, strlen(resp->last_modified_text));
    buf_str(&text, "}\n");
    if (path.err != 0 || text.err != 0)
        return -ENOMEM;
    return fsio_write_file(buf_cstr(&path), text.data, text.len);
}

static int spool_data(void *arg, const void *data, size_t len)
{
    static const char pack[] = {'\x93', 'S', 'H', 'P', '\r', '\n', '\x1a', '\n'};
    struct spool *s = arg;
    if (s->len == 0 && len >= sizeof(pack) && memcmp(data, pack, sizeof(pack)) == 0)
        return -EMEDIUMTYPE;
    int r = fsio_pwrite_all(s->fd, data, len, s->len);
    s->len += len;
    return r;
}

static int spool_again(void *arg)
{
    struct spool *s = arg;
    s->len = 0;
    return ftruncate(s->fd, 0) == 0 ? 0 : -errno;
}

static int fetch_list(const struct conf_source *src, const struct fetch *f, const struct note *note,
                      struct spool *s, struct http_resp *resp)
{
    struct fetch_job job = {
        .req = {.method = HTTP_GET,
                .url = src->url,
                .gzip = true,
                .if_none_match = note->etag[0] != '\0' ? note->etag : NULL,
                .if_modified_since = note->modified[0] != '\0' ? note->modified : NULL,
                .max_body = list_max,
                .first_byte_ms = f->net->listing_timeout_ms},
        .label = "the list of links",
        .want = 200,
        .tries = TRIES,
        .data = spool_data,
        .again = spool_again,
        .arg = s,
    };
    return fetch_run(f, &job, resp);
}

static int refuse(const struct conf_source *src, int err, const char *why, struct err *e)
{
    CLEANUP_BUF struct buf url = BUF_INIT;
    url_redact(&url, src->url, strlen(src->url));
    return err_set(e, err, "list %s: %s (check the url of source %s)", buf_cstr(&url), why,
                   src->name);
}

static int get_http(const struct conf_source *src, struct source_listing *l, const struct fetch *f,
                    struct buf *path, struct err *e)
{
    CLEANUP_BUF struct buf kept = BUF_INIT;
    struct note note = {"", ""};
    bool have = find_kept(src, l, &kept, &note);
    if (!have)
        note = (struct note){"", ""};
    add_file(path, l->temp_dir, src->name, "list.new");
    struct spool s = {open(buf_cstr(path), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 0};
    if (s.fd < 0)
        return err_set(e, -errno, "%s: %s", buf_cstr(path), err_text(errno));
    struct http_resp resp;
    int r = fetch_list(src, f, &note, &s, &resp);
    (void)close(s.fd);
    l->unchanged = r == 0 && resp.status == 304;
    if (r == 0 && (have || !l->unchanged)) {
        if (!l->unchanged)
            return write_note(src, l, s.len, &resp);
        buf_clear(path);
        buf_add(path, kept.data, kept.len);
        return path->err;
    }
    char why[240];
    fetch_why(r == 0 ? -EBADMSG : r, &resp, why, sizeof(why));
    if (r == -EMEDIUMTYPE)
        (void)snprintf(why, sizeof(why),
                       "it is a .shapepack, which a URL with that in its path or a source of type "
                       "pack reads");
    return refuse(src, r == 0 ? -EBADMSG : r, why, e);
}

/* The path of file:///path or file://localhost/path. */
static const char *local_path(const char *url)
{
    if (strncasecmp(url, "file://", 7) != 0)
        return NULL;
    url += 7;
    if (strncasecmp(url, "localhost/", 10) == 0)
        url += 9;
    return url[0] == '/' ? url : NULL;
}

static int get_local(const struct conf_source *src, const char *local, struct buf *path,
                     struct err *e)
{
    struct stat st;
    size_t len = strlen(local);
    buf_str(path, local);
    if (stat(local, &st) != 0 && buf_reserve(path, 1) == 0) {
        path->len = str_percent_decode(local, len, path->data, false);
        if (memchr(path->data, '\0', path->len) != NULL || stat(buf_cstr(path), &st) != 0)
            return refuse(src, -ENOENT, "no such file", e);
    }
    if (path->err != 0)
        return path->err;
    return S_ISREG(st.st_mode) ? 0 : refuse(src, -EINVAL, "not a regular file", e);
}

int origin_get(const struct conf_source *src, struct source_listing *l, const struct fetch *f,
               struct buf *path, struct err *e)
{
    static const char *const leftovers[] = {"list.new", "json.new"};
    for (size_t i = 0; i < ARRAY_LEN(leftovers); i++) {
        CLEANUP_BUF struct buf left = BUF_INIT;
        add_file(&left, l->temp_dir, src->name, leftovers[i]);
        (void)unlink(buf_cstr(&left));
    }
    const char *local = local_path(src->url);
    if (local != NULL)
        return get_local(src, local, path, e);
    if (!is_http(src->url))
        return refuse(src, -EPROTONOSUPPORT, "neither http://, https:// nor file://", e);
    return get_http(src, l, f, path, e);
}

void origin_keep(const struct conf_source *src, const struct source_listing *l)
{
    CLEANUP_BUF struct buf list = BUF_INIT, note = BUF_INIT, kept_list = BUF_INIT,
                           kept_note = BUF_INIT;
    add_file(&list, l->temp_dir, src->name, "list.new");
    add_file(&note, l->temp_dir, src->name, "json.new");
    add_file(&kept_list, l->state_dir, src->name, "list");
    add_file(&kept_note, l->state_dir, src->name, "json");
    if (access(buf_cstr(&note), F_OK) != 0)
        return;
    /* The note goes first and comes last: never a note about another list. */
    (void)unlink(buf_cstr(&kept_note));
    if (rename(buf_cstr(&list), buf_cstr(&kept_list)) != 0 ||
        rename(buf_cstr(&note), buf_cstr(&kept_note)) != 0)
        log_warn("%s: the list is not kept: %s (the next refresh asks for it again)", src->name,
                 err_text(errno));
}
