#include "source/place_i.h"

#include "base/str.h"
#include "net/url.h"
#include "source/pack_key_i.h"
#include "source/source.h"

#include <errno.h>
#include <string.h>

enum { TOKEN_MAX = 128 };

static const char whole_folder[] = "a whole folder, not a file";
static const char no_name[] = "no file name";
static const char bad_folder[] = "a folder with '.', '..' or NUL in it";

/* The query of a share's download link. */
struct query {
    const char *path, *files;
    size_t path_len, files_len;
    bool plain; /* [path=P&]files=N and nothing else, so that all before N is common to a folder */
};

static bool ends_in(const char *s, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);
    return len >= n && memcmp(s + len - n, suffix, n) == 0;
}

static bool slice_is(const char *s, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(s, text, len) == 0;
}

static bool is_token(const char *s, size_t len)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < len; i++)
        if (s[i] == '\0' || strchr(letters, s[i]) == NULL)
            return false;
    return len > 0 && len <= TOKEN_MAX;
}

/* Looks for BASE[/index.php]/s/TOKEN/download. */
static bool find_share(struct place_url *p, const struct url *u, const char *text)
{
    size_t len = u->path_len;
    if (!ends_in(u->path, len, "/download"))
        return false;
    len -= strlen("/download");
    const char *slash = memrchr(u->path, '/', len);
    if (slash == NULL)
        return false;
    p->token = slash + 1;
    p->token_len = (size_t)(u->path + len - p->token);
    len = (size_t)(slash - u->path);
    if (!is_token(p->token, p->token_len) || !ends_in(u->path, len, "/s"))
        return false;
    len -= strlen("/s");
    if (ends_in(u->path, len, "/index.php"))
        len -= strlen("/index.php");
    p->base = text;
    p->base_len = (size_t)(u->path + len - text);
    return true;
}

/* False where a parameter is there twice: servers differ in which one they take. */
static bool take_parameter(struct query *q, const char *s, size_t len)
{
    const char *eq = memchr(s, '=', len);
    size_t name = eq == NULL ? len : (size_t)(eq - s);
    const char *value = eq == NULL ? s + len : eq + 1;
    size_t value_len = (size_t)(s + len - value);
    if (slice_is(s, name, "path")) {
        q->plain = q->plain && q->files == NULL;
        if (q->path != NULL)
            return false;
        q->path = value;
        q->path_len = value_len;
    } else if (slice_is(s, name, "files")) {
        if (q->files != NULL)
            return false;
        q->files = value;
        q->files_len = value_len;
    } else {
        q->plain = false;
    }
    return true;
}

static bool parse_query(struct query *q, const char *s, size_t len)
{
    *q = (struct query){.plain = true};
    while (len > 0) {
        const char *amp = memchr(s, '&', len);
        size_t n = amp == NULL ? len : (size_t)(amp - s);
        if (!take_parameter(q, s, n))
            return false;
        n += amp == NULL ? 0 : 1;
        s += n;
        len -= n;
    }
    return true;
}

static int decode(struct buf *out, const char *s, size_t len, bool plus_is_blank)
{
    if (buf_reserve(out, len) != 0)
        return out->err;
    out->len = len == 0 ? 0 : str_percent_decode(s, len, out->data, plus_is_blank);
    return 0;
}

/* Cuts empty segments out, in place; false where a segment leads elsewhere. */
static bool clean_folder(struct buf *b)
{
    size_t out = 0;
    for (size_t i = 0, n; i < b->len; i += n + 1) {
        const char *s = b->data + i;
        const char *slash = memchr(s, '/', b->len - i);
        n = slash == NULL ? b->len - i : (size_t)(slash - s);
        if (n == 0)
            continue;
        if (slice_is(s, n, ".") || slice_is(s, n, "..") || memchr(s, '\0', n) != NULL)
            return false;
        if (out > 0)
            b->data[out++] = '/';
        memmove(b->data + out, s, n);
        out += n;
    }
    b->len = out;
    return true;
}

static int parse_share(struct place_url *p, const struct url *u, const char *text, size_t len,
                       const char **why)
{
    struct query q;
    *why = whole_folder;
    if (!parse_query(&q, u->query, u->query == NULL ? 0 : u->query_len) || q.files == NULL)
        return -EINVAL;
    int r = decode(&p->folder, q.path, q.path_len, true);
    if (r == 0)
        r = decode(&p->name, q.files, q.files_len, true);
    if (r != 0)
        return r;
    *why = bad_folder;
    if (!clean_folder(&p->folder))
        return -EINVAL;
    *why = no_name;
    p->share = true;
    p->link = text;
    p->link_len = q.plain ? (size_t)(q.files - text) : 0;
    p->key = text + p->link_len;
    p->key_len = len - p->link_len;
    return p->name.len > 0 ? 0 : -EINVAL;
}

static int parse_other(struct place_url *p, const struct url *u, const char *text, size_t len,
                       const char **why)
{
    const char *slash = u->path_len == 0 ? NULL : memrchr(u->path, '/', u->path_len);
    *why = no_name;
    if (slash == NULL)
        return -EINVAL;
    p->link = text;
    p->link_len = (size_t)(slash + 1 - text);
    p->key = text + p->link_len;
    p->key_len = len - p->link_len;
    int r = decode(&p->name, p->key, (size_t)(u->path + u->path_len - p->key), false);
    if (r != 0)
        return r;
    return p->name.len > 0 ? 0 : -EINVAL;
}

int place_parse(struct place_url *p, const char *text, size_t len, const char **why)
{
    struct url u;
    buf_clear(&p->folder);
    buf_clear(&p->name);
    p->share = false;
    *why = "longer than 16 KiB";
    if (len > PLACE_URL_MAX)
        return -EINVAL;
    int r = url_split(text, len, &u);
    *why = r == -EPROTONOSUPPORT ? "not an http:// or https:// link" : "not a URL";
    if (r != 0)
        return -EINVAL;
    const char *end = u.query != NULL ? u.query + u.query_len : u.path + u.path_len;
    len = (size_t)(end - text);
    if (find_share(p, &u, text))
        return parse_share(p, &u, text, len, why);
    return parse_other(p, &u, text, len, why);
}

void place_url_free(struct place_url *p)
{
    buf_free(&p->folder);
    buf_free(&p->name);
}

/* A name that stays one path component whatever a WebDAV server makes of it. */
static bool fits_dav(const struct buf *name)
{
    const char *s = name->data;
    return memchr(s, '/', name->len) == NULL && memchr(s, '\0', name->len) == NULL &&
           !slice_is(s, name->len, ".") && !slice_is(s, name->len, "..");
}

/* Appends the WebDAV URL of the object whose own URL is text[start..]; 1 where there is none. */
static int add_dav_url(const struct source_place *place, struct buf *text, size_t start)
{
    struct place_url p = PLACE_URL_INIT;
    const char *why;
    int r = place_parse(&p, text->data + start, text->len - start, &why);
    if (r == 0 && p.share && fits_dav(&p.name)) {
        text->len = start;
        buf_str(text, place->dav);
        str_percent_encode(text, p.name.data, p.name.len, "");
    } else if (r != -ENOMEM) {
        r = 1;
    }
    place_url_free(&p);
    return r;
}

int source_request(const struct source_place *place, const char *key, size_t key_len, bool by_link,
                   struct buf *text, struct http_req *req)
{
    static const char *const headers[] = {"X-Requested-With: XMLHttpRequest", NULL};
    size_t start = text->len;
    if (place->pack)
        buf_str(text, place->link);
    else
        source_url(place, key, key_len, text);
    if (text->err != 0)
        return text->err;
    int r = by_link || place->pack || place->dav[0] == '\0' ? 1 : add_dav_url(place, text, start);
    if (r < 0)
        return r;
    bool dav = r == 0;
    buf_add(text, "", 1);
    size_t user = text->len;
    buf_add(text, place->user, strlen(place->user) + 1);
    if (text->err != 0)
        return text->err;
    req->url = text->data + start;
    req->user = dav && place->user[0] != '\0' ? text->data + user : NULL;
    req->password = req->user != NULL ? "" : NULL;
    req->headers = dav ? headers : NULL;
    return 0;
}

void source_url(const struct source_place *place, const char *key, size_t key_len, struct buf *out)
{
    pack_key_url(place->pack, place->link, strlen(place->link), key, key_len, out);
}
