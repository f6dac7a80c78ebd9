#include "source/pack_i.h"

#include "base/fsio.h"
#include "base/obj.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 2, CHUNK = 1 << 20, SMALL = 2 << 20 /* such a pack may come whole */ };

static const uint64_t catalogue_max = UINT64_C(1) << 30, size_max = UINT64_C(1) << 53;

static int no_room(struct packing *p, int err)
{
    return err_set(p->e, err, "%s: %s", p->l->temp_dir, err_text(err));
}

/* Where a pack's catalogue begins, from its last bytes; never behind `first`, their offset. */
static int find_base(struct packing *p, struct pack_known *k, const void *tail, uint64_t first,
                     size_t len)
{
    struct pack_trailer t;
    struct err e = {0};
    int r = -EBADMSG;
    if (len >= PACK_TRAILER)
        r = pack_trailer_read((const char *)tail + len - PACK_TRAILER, k->size, &t, &e);
    else
        (void)err_set(&e, r, "not a pack: it has %zu bytes", len);
    if (r == 0 && (t.catalogue_len > catalogue_max || k->size > size_max))
        r = err_set(&e, -EFBIG, "its catalogue is too large (over 1 GiB)");
    if (r != 0)
        return pack_refuse(p, k->link, r, e.text);
    k->base = t.catalogue < first ? t.catalogue : first;
    k->sum = t.catalogue_sum;
    return 0;
}

/* ---- local ---- */

static int copy_range(const struct pack_io *io, uint64_t from, int fd, void *chunk)
{
    int r = 0;
    for (uint64_t at = from; at < io->size && r == 0;) {
        size_t n = io->size - at < CHUNK ? (size_t)(io->size - at) : CHUNK;
        r = io->read(io->arg, at, n, chunk);
        if (r == 0)
            r = fsio_pwrite_all(fd, chunk, n, at - from);
        at += n;
    }
    return r;
}

static int copy_local(struct packing *p, struct pack_known *k, const struct pack_io *io, int fd)
{
    CLEANUP_FREE void *chunk = malloc(CHUNK);
    size_t tail = io->size < PACK_TAIL ? (size_t)io->size : PACK_TAIL;
    if (chunk == NULL)
        return -ENOMEM;
    k->size = io->size;
    int r = io->read(io->arg, io->size - tail, tail, chunk);
    if (r == 0)
        r = find_base(p, k, chunk, io->size - tail, tail);
    return r != 0 ? r : copy_range(io, k->base, fd, chunk);
}

static int fetch_local(struct packing *p, struct pack_known *k, const struct pack_known *kept,
                       int fd)
{
    struct stat st;
    struct pack_io io;
    CLEANUP_FREE char *path = strdup(k->link + strlen("file://"));
    if (path == NULL)
        return -ENOMEM;
    path[str_percent_decode(path, strlen(path), path, false)] = '\0';
    if (stat(path, &st) != 0)
        return pack_refuse(p, path, -errno, err_text(errno));
    k->mtime = st.st_mtim.tv_sec;
    (void)snprintf(k->modified, sizeof(k->modified), "%lld.%09ld %llu",
                   (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                   (unsigned long long)st.st_size);
    if (kept != NULL && strcmp(kept->modified, k->modified) == 0)
        return 1;
    int r = pack_file_open(path, &io, p->e);
    if (r != 0)
        return r;
    r = copy_local(p, k, &io, fd);
    pack_file_close(&io);
    return r == 0 ? 0 : pack_refuse(p, path, r, err_text(r));
}

/* ---- on a web server ---- */

/* A body on its way into memory or a file. */
struct body {
    unsigned char *data; /* or NULL */
    int fd;
    size_t len, max;
};

static int body_data(void *arg, const void *data, size_t len)
{
    struct body *b = arg;
    int r = 0;
    if (len > b->max - b->len)
        return -EFBIG;
    if (b->data != NULL)
        memcpy(b->data + b->len, data, len);
    else
        r = fsio_pwrite_all(b->fd, data, len, b->len);
    b->len += len;
    return r;
}

static int body_again(void *arg)
{
    ((struct body *)arg)->len = 0;
    return 0;
}

static int ask(struct packing *p, const struct pack_known *k, const struct http_req *more, int want,
               struct body *b, struct http_resp *resp)
{
    struct fetch_job job = {.req = *more,
                            .label = "the catalogue of a pack",
                            .want = want,
                            .tries = TRIES,
                            .data = body_data,
                            .again = body_again,
                            .arg = b};
    job.req.method = HTTP_GET;
    job.req.url = k->link;
    job.req.first_byte_ms = p->fetch.net->listing_timeout_ms;
    return fetch_run(&p->fetch, &job, resp);
}

static int refuse_answer(struct packing *p, const struct pack_known *k, int err,
                         const struct http_resp *resp)
{
    char why[240];
    if (err == -EBADMSG && resp->status == 200 && !resp->html)
        return pack_refuse(p, k->link, -EOPNOTSUPP,
                           "the server answers a range with the whole file (packs need a server "
                           "that knows ranges; or copy the pack to this machine)");
    fetch_why(err, resp, why, sizeof(why));
    return pack_refuse(p, k->link, err, why);
}

static void note_version(struct pack_known *k, const struct http_resp *resp, uint64_t size)
{
    k->size = size;
    k->mtime = resp->last_modified;
    memcpy(k->etag, resp->etag, sizeof(k->etag));
    memcpy(k->modified, resp->last_modified_text, sizeof(k->modified));
}

/* A small pack from a server that knows no ranges. */
static int fetch_whole(struct packing *p, struct pack_known *k, unsigned char *tail, size_t *len)
{
    struct http_resp resp;
    CLEANUP_FREE unsigned char *all = malloc(SMALL);
    struct body b = {.data = all, .max = SMALL};
    const struct http_req req = {.max_body = SMALL};
    if (all == NULL)
        return -ENOMEM;
    int r = ask(p, k, &req, 200, &b, &resp);
    if (r != 0)
        return refuse_answer(p, k, r, &resp);
    *len = b.len;
    memcpy(tail, all, b.len);
    note_version(k, &resp, b.len);
    return 0;
}

/* True where an answer's range is the last `len` bytes. */
static bool is_tail(const struct http_resp *resp, uint64_t len)
{
    return resp->has_range && resp->range_total != HTTP_UNKNOWN &&
           resp->range_last + 1 == resp->range_total &&
           resp->range_total - resp->range_first == len;
}

/* The last bytes of the pack; 1: it is as it was. `tail` has room for SMALL bytes. */
static int fetch_tail(struct packing *p, struct pack_known *k, const struct pack_known *kept,
                      unsigned char *tail, size_t *len)
{
    struct http_resp resp;
    struct body b = {.data = tail, .max = PACK_TAIL};
    struct http_req req = {.first = HTTP_UNKNOWN, .len = PACK_TAIL, .max_body = PACK_TAIL};
    if (kept != NULL && kept->etag[0] != '\0')
        req.if_none_match = kept->etag;
    else if (kept != NULL && kept->modified[0] != '\0')
        req.if_modified_since = kept->modified;
    int r = ask(p, k, &req, 206, &b, &resp);
    if (r == 0 && resp.status == 304)
        return kept != NULL ? 1 : pack_refuse(p, k->link, -EPROTO, "HTTP 304 without a question");
    if (r == -EBADMSG && resp.status == 200 && resp.length <= SMALL)
        return fetch_whole(p, k, tail, len);
    if (r != 0)
        return refuse_answer(p, k, r, &resp);
    if (!is_tail(&resp, b.len))
        return pack_refuse(p, k->link, -EPROTO, "a wrong Content-Range came");
    *len = b.len;
    note_version(k, &resp, resp.range_total);
    return 0;
}

/* What of the catalogue lies before `end`, into the file. -EAGAIN: the pack changed meanwhile. */
static int fetch_rest(struct packing *p, const struct pack_known *k, uint64_t end, int fd)
{
    struct http_resp resp;
    if (k->base == end)
        return 0;
    struct body b = {.fd = fd, .max = (size_t)(end - k->base)};
    const struct http_req req = {.first = k->base, .len = b.max, .max_body = b.max};
    int r = ask(p, k, &req, 206, &b, &resp);
    if (r != 0)
        return refuse_answer(p, k, r, &resp);
    if (resp.range_total != k->size || strcmp(resp.etag, k->etag) != 0)
        return -EAGAIN;
    return resp.has_range && resp.range_first == k->base && b.len == b.max
               ? 0
               : pack_refuse(p, k->link, -EPROTO, "a wrong Content-Range came");
}

static int fetch_http(struct packing *p, struct pack_known *k, const struct pack_known *kept,
                      int fd)
{
    CLEANUP_FREE unsigned char *tail = malloc(SMALL);
    size_t len = 0;
    int r = tail != NULL ? fetch_tail(p, k, kept, tail, &len) : -ENOMEM;
    if (r == 0)
        r = find_base(p, k, tail, k->size - len, len);
    if (r != 0)
        return r;
    uint64_t first = k->size - len;
    r = fetch_rest(p, k, first, fd);
    if (r != 0)
        return r;
    r = fsio_pwrite_all(fd, tail, len, first - k->base);
    return r == 0 ? 0 : no_room(p, r);
}

static void take_kept(struct pack_known *k, const struct pack_known *kept)
{
    k->size = kept->size;
    k->base = kept->base;
    k->sum = kept->sum;
    k->mtime = kept->mtime;
    memcpy(k->etag, kept->etag, sizeof(k->etag));
    memcpy(k->modified, kept->modified, sizeof(k->modified));
}

static int fetch_into(struct packing *p, struct pack_known *k, const struct pack_known *kept,
                      const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return no_room(p, -errno);
    if (strncmp(k->link, "file://", 7) == 0)
        return fetch_local(p, k, kept, fd);
    int r = fetch_http(p, k, kept, fd);
    if (r == -EAGAIN) /* it was replaced just now: the new one, once */
        r = ftruncate(fd, 0) == 0 ? fetch_http(p, k, NULL, fd) : -errno;
    return r == -EAGAIN ? pack_refuse(p, k->link, r, "it changes while it is read (try again)") : r;
}

int pack_fetch(struct packing *p, struct pack_known *k, const struct pack_known *kept)
{
    CLEANUP_BUF struct buf path = BUF_INIT, old = BUF_INIT;
    pack_file(p, k, true, &path);
    pack_file(p, k, false, &old);
    if (path.err != 0 || old.err != 0)
        return -ENOMEM;
    if (kept != NULL && access(buf_cstr(&old), R_OK) != 0)
        kept = NULL;
    bool listed = kept != NULL && k->bytes == kept->size && k->sum == kept->sum;
    int r = listed ? 1 : fetch_into(p, k, kept, buf_cstr(&path));
    if (r != 1 || kept == NULL)
        return r;
    (void)unlink(buf_cstr(&path));
    take_kept(k, kept);
    return 0;
}
