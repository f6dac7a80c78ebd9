#include "source/share_i.h"

#include "base/clock.h"
#include "base/str.h"
#include "source/webdav_i.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REMARKS = 10, BUDGET = 6, WHY = 240 };

static const uint64_t answer_max = UINT64_C(2) << 30;
static const uint64_t probe_max = UINT64_C(1) << 20;

/* A folder being asked. */
struct asking {
    struct share_work *work;
    uint32_t folder;
    uint32_t answer; /* number that its rows get */
    struct webdav *webdav;
    struct buf key, value;
    int broken;    /* -errno of this machine */
    char why[WHY]; /* of the first failure */
};

void share_row_key(struct buf *out, uint32_t place, const char *name, size_t len)
{
    unsigned char number[4] = {(unsigned char)(place >> 24), (unsigned char)(place >> 16),
                               (unsigned char)(place >> 8), (unsigned char)place};
    buf_add(out, number, sizeof(number));
    buf_add(out, name, len);
}

/* The root's URL, with '/' at its end. */
static void root_url(const struct places *t, uint32_t share, unsigned root, struct buf *out)
{
    static const char *const paths[PLACES_ROOTS] = {"/public.php/webdav/", "/public.php/dav/files/",
                                                    "/remote.php/dav/public-files/"};
    const char *base, *token;
    places_share(t, share, &base, &token);
    buf_str(out, base);
    buf_str(out, paths[root]);
    if (root > 0) {
        buf_str(out, token);
        buf_str(out, "/");
    }
}

void share_url(const struct places *t, uint32_t folder, unsigned root, struct buf *out)
{
    size_t len;
    const char *path = places_folder(t, folder, &len);
    root_url(t, t->folder[folder].share, root, out);
    str_percent_encode(out, path, len, "/");
    if (len > 0)
        buf_str(out, "/");
}

const char *share_user(const struct places *t, uint32_t folder, unsigned root)
{
    uint32_t share = t->folder[folder].share;
    const char *base, *token;
    places_share(t, share, &base, &token);
    if (root == 0)
        return token;
    return t->share[share].root[root] == ROOT_PUBLIC ? "public" : "";
}

static int add_row(struct asking *a, uint32_t place, const struct webdav_file *file)
{
    if (place == PLACES_NONE)
        return 0;
    buf_clear(&a->key);
    buf_clear(&a->value);
    share_row_key(&a->key, place, file->name, file->name_len);
    buf_le(&a->value, a->answer, 4);
    buf_le(&a->value, file->size, 8);
    buf_le(&a->value, (uint64_t)file->mtime, 8);
    buf_str(&a->value, file->etag);
    if (a->key.err != 0 || a->value.err != 0)
        return -ENOMEM;
    return sort_add(a->work->answers, a->key.data, a->key.len, a->value.data, a->value.len);
}

static int on_file(void *arg, const struct webdav_file *file)
{
    struct asking *a = arg;
    const struct folder_row *f = &a->work->places->folder[a->folder];
    a->broken = add_row(a, f->plain, file);
    if (a->broken == 0)
        a->broken = add_row(a, f->whole, file);
    return a->broken;
}

static int on_data(void *arg, const void *data, size_t len)
{
    struct asking *a = arg;
    return webdav_feed(a->webdav, data, len);
}

static int propfind(struct asking *a, const char *url, const char *user, bool whole,
                    struct http_resp *resp)
{
    static const char body[] = "<?xml version=\"1.0\"?><d:propfind xmlns:d=\"DAV:\" "
                               "xmlns:oc=\"http://owncloud.org/ns\"><d:prop>"
                               "<d:resourcetype/><d:getcontentlength/><d:getlastmodified/"
                               "><d:getetag/><oc:checksums/><oc:fileid/>"
                               "<oc:size/></d:prop></d:propfind>";
    const char *const headers[] = {
        whole ? "Depth: 1" : "Depth: 0",    "Content-Type: application/xml",
        "X-Requested-With: XMLHttpRequest", "Brief: t",
        "Prefer: return=minimal",           NULL};
    struct fetch_job job = {
        .req = {.method = HTTP_PROPFIND,
                .url = url,
                .user = user[0] != '\0' ? user : NULL,
                .password = user[0] != '\0' ? "" : NULL,
                .body = body,
                .headers = headers,
                .gzip = true,
                .max_body = whole ? answer_max : probe_max,
                .first_byte_ms = whole ? a->work->fetch->net->listing_timeout_ms : 0},
        .label = whole ? "the share's listing" : NULL,
        .want = 207,
        .data = on_data,
        .arg = a,
    };
    return fetch_run(a->work->fetch, &job, resp);
}

static void note_why(struct asking *a, int err, const struct http_resp *resp)
{
    bool parser = resp->status == 207 && a->webdav != NULL && webdav_why(a->webdav)[0] != '\0';
    if (a->why[0] != '\0')
        return;
    if (parser)
        (void)snprintf(a->why, sizeof(a->why), "the answer is refused: %s", webdav_why(a->webdav));
    else
        fetch_why(err, resp, a->why, sizeof(a->why));
}

/* One PROPFIND and the parsing of its answer. 0, or -errno with a->why. */
static int ask(struct asking *a, const char *url, const char *user, bool whole,
               struct http_resp *resp)
{
    *resp = (struct http_resp){0};
    a->webdav = webdav_create(url, whole ? on_file : NULL, a);
    if (a->webdav == NULL)
        return -EINVAL;
    int r = propfind(a, url, user, whole, resp);
    if (r == 0)
        r = resp->status == 207 ? webdav_end(a->webdav) : -EBADMSG;
    if (r != 0)
        note_why(a, r, resp);
    return r;
}

/* Says what an accepted answer had in it that does not count. */
static void report_counts(const struct asking *a, const char *url)
{
    const struct source_sink *sink = a->work->fetch->sink;
    struct webdav_counts n = webdav_counts(a->webdav);
    char line[512];
    if (n.refused > 0) {
        (void)snprintf(line, sizeof(line),
                       "%s: %s: %llu entries lie outside of the folder: left out", a->work->source,
                       url, (unsigned long long)n.refused);
        sink->remark(sink->arg, line);
    }
    if (n.bad_sizes > 0) {
        (void)snprintf(line, sizeof(line), "%s: %s: %llu sizes are no sizes: unknown",
                       a->work->source, url, (unsigned long long)n.bad_sizes);
        sink->remark(sink->arg, line);
    }
}

/* Whether a share has WebDAV at that root; a host that does not answer at all is not asked for the
 * others. */
static void probe(struct asking *a, struct share_row *s, uint32_t share, unsigned root)
{
    CLEANUP_BUF struct buf url = BUF_INIT;
    const char *base, *token;
    struct http_resp resp;
    places_share(a->work->places, share, &base, &token);
    root_url(a->work->places, share, root, &url);
    int r = ask(a, buf_cstr(&url), root == 0 ? token : "", false, &resp);
    webdav_destroy(&a->webdav);
    s->root[root] = r == 0 ? ROOT_GOOD : ROOT_BAD;
    if (r != 0 && resp.status == 401 && root > 0) {
        r = ask(a, buf_cstr(&url), "public", false, &resp);
        webdav_destroy(&a->webdav);
        s->root[root] = r == 0 ? ROOT_PUBLIC : ROOT_BAD;
    }
    if ((r == -EHOSTUNREACH || r == -ETIMEDOUT) && resp.status == 0)
        for (unsigned i = 0; i < PLACES_ROOTS; i++)
            s->root[i] = ROOT_BAD;
}

/* Lists the folder at a root. 1: done; 0: the next root may do better; -1: no root will. */
static int list_at(struct asking *a, unsigned root)
{
    CLEANUP_BUF struct buf url = BUF_INIT;
    struct places *t = a->work->places;
    struct http_resp resp;
    share_url(t, a->folder, root, &url);
    a->answer++;
    int r = url.err != 0 ? url.err
                         : ask(a, buf_cstr(&url), share_user(t, a->folder, root), true, &resp);
    if (r == 0) {
        t->folder[a->folder].answer = a->answer;
        t->folder[a->folder].root = root;
        report_counts(a, buf_cstr(&url));
    }
    webdav_destroy(&a->webdav);
    if (r == 0)
        return 1;
    return a->broken != 0 || url.err != 0 || resp.status == 404 ? -1 : 0;
}

/* Tries the share's roots in turn. */
static bool list_folder(struct asking *a)
{
    struct places *t = a->work->places;
    uint32_t share = t->folder[a->folder].share;
    struct share_row *s = &t->share[share];
    int r = 0;
    for (unsigned root = 0; r == 0 && root < PLACES_ROOTS; root++) {
        if (s->root[root] == ROOT_UNTRIED)
            probe(a, s, share, root);
        if (s->root[root] != ROOT_BAD)
            r = list_at(a, root);
    }
    return r > 0;
}

static void __attribute__((format(printf, 2, 3)))
remark(const struct share_work *w, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    w->fetch->sink->remark(w->fetch->sink->arg, line);
}

static bool all_bad(const struct share_row *s)
{
    return s->root[0] == ROOT_BAD && s->root[1] == ROOT_BAD && s->root[2] == ROOT_BAD;
}

/* Says that a folder has no sizes, once a share where that has none at all. */
static void report_failure(const struct asking *a, uint64_t *failures)
{
    const struct places *t = a->work->places;
    struct share_row *s = &t->share[t->folder[a->folder].share];
    bool said = s->told;
    const char *base, *token;
    size_t len;
    s->told = all_bad(s);
    if (said || ++*failures > REMARKS)
        return;
    const char *folder = places_folder(t, a->folder, &len);
    CLEANUP_BUF struct buf name = BUF_INIT;
    places_share(t, t->folder[a->folder].share, &base, &token);
    str_percent_encode(&name, folder, s->told ? 0 : len, "/ ");
    remark(a->work,
           "%s: share %s/s/%s%s%s: WebDAV is refused: %s (its sizes are asked for file by file)",
           a->work->source, base, token, name.len > 0 ? " folder " : "", buf_cstr(&name),
           a->why[0] != '\0' ? a->why : "no root of it answers");
}

int share_sizes(struct share_work *w)
{
    int64_t end = clock_ms() + (int64_t)BUDGET * w->fetch->net->listing_timeout_ms;
    struct asking a = {.work = w, .key = BUF_INIT, .value = BUF_INIT};
    uint64_t failures = 0;
    uint32_t i = 0;
    for (; a.broken == 0 && i < w->places->folders.count && clock_ms() < end; i++) {
        a.folder = i;
        a.why[0] = '\0';
        if (!list_folder(&a) && a.broken == 0)
            report_failure(&a, &failures);
    }
    buf_free(&a.key);
    buf_free(&a.value);
    if (failures > REMARKS)
        remark(w, "%s: %llu folders in all have no sizes by WebDAV", w->source,
               (unsigned long long)failures);
    if (a.broken == 0 && i < w->places->folders.count)
        remark(w,
               "%s: %u folders were not asked for sizes: it took too long (raise listing_timeout)",
               w->source, w->places->folders.count - i);
    return a.broken;
}
