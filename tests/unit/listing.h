/* Runs a listing against lib/davd.py and keeps what it said. For the tests of the source layer. */
#ifndef TESTS_UNIT_LISTING_H
#define TESTS_UNIT_LISTING_H

#include "base/buf.h"
#include "base/fsio.h"
#include "lib/davd.h"
#include "source/source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
    char dir[64], state[80], temp[80], names[80], base[64], url[256];
    struct davd davd;
    struct conf_source src;
    struct conf conf;
    struct source_listing l;
    int result; /* of the last listing, and what it gave: */
    struct err e;
    struct buf out; /* "place LINK | FOLDER | DAV | USER | SOURCE\n", "item PLACE KEY NAME LINE
                       [un]sized SIZE MTIME ETAG\n" */
    struct buf remarks;
    char progress[160];
    struct source_place first; /* the first place */
    uint32_t places;
    bool sorted; /* by place, name, line */
    struct buf last;
    int stop_after; /* the sink returns -ENOSPC at that item, where it is not 0 */
};

static inline int listing_place(void *arg, const struct source_place *p, uint32_t *number)
{
    struct fixture *f = arg;
    *number = f->places++;
    buf_clear(&f->last);
    buf_fmt(&f->out, "place %s | %s | %s | %s | %s\n", p->link, p->folder, p->dav, p->user,
            p->source);
    if (*number > 0)
        return 0;
    struct buf bytes = BUF_INIT;
    source_place_encode(p, &bytes);
    int r = source_place_decode(bytes.data, bytes.len, &f->first);
    buf_free(&bytes);
    return r;
}

static inline int listing_item(void *arg, const struct source_item *i)
{
    struct fixture *f = arg;
    struct buf key = BUF_INIT;
    bool known = i->size != SOURCE_UNKNOWN;
    buf_fmt(&f->out, "item %u ", i->place);
    buf_add(&f->out, i->key, i->key_len);
    buf_str(&f->out, " ");
    buf_add(&f->out, i->name, i->name_len);
    buf_fmt(&f->out, " %llu %s %lld %lld %s\n", (unsigned long long)i->line,
            known ? "sized" : "unsized", known ? (long long)i->size : -1LL, (long long)i->mtime,
            i->etag);
    buf_add(&key, i->name, i->name_len);
    buf_fmt(&key, "%c%020llu", 0, (unsigned long long)i->line);
    size_t least = key.len < f->last.len ? key.len : f->last.len;
    if (i->place + 1 != f->places || (least > 0 && memcmp(f->last.data, key.data, least) >= 0))
        f->sorted = false;
    buf_clear(&f->last);
    buf_add(&f->last, key.data, key.len);
    buf_free(&key);
    return f->stop_after > 0 && --f->stop_after == 0 ? -ENOSPC : 0;
}

static inline void listing_remark(void *arg, const char *line)
{
    struct fixture *f = arg;
    buf_fmt(&f->remarks, "%s\n", line);
}

static inline void listing_progress(void *arg, const char *text)
{
    struct fixture *f = arg;
    if (f->progress[0] == '\0')
        (void)snprintf(f->progress, sizeof(f->progress), "%s", text);
}

/* Lists a URL. */
static inline void fixture_list_url(struct fixture *f, const char *url)
{
    const struct source_sink sink = {.place = listing_place,
                                     .item = listing_item,
                                     .remark = listing_remark,
                                     .progress = listing_progress,
                                     .arg = f};
    (void)snprintf(f->url, sizeof(f->url), "%s", url);
    buf_clear(&f->out);
    buf_clear(&f->remarks);
    buf_clear(&f->last);
    f->progress[0] = '\0';
    f->places = 0;
    f->sorted = true;
    f->e = (struct err){0};
    source_place_free(&f->first);
    f->result = source_find("manifest")->list(&f->src, &f->l, &sink, &f->e);
}

/* Lists a path of the server. */
static inline void fixture_list(struct fixture *f, const char *path)
{
    char url[200];
    (void)snprintf(url, sizeof(url), "%s%s", f->base, path);
    fixture_list_url(f, url);
}

/* Lists this very text, served over HTTP. */
static inline void fixture_list_bytes(struct fixture *f, const char *text, size_t len)
{
    free(davd_ask(&f->davd, "POST", "/_list", text, len));
    fixture_list(f, "/list.txt");
}

static inline void fixture_list_text(struct fixture *f, const char *text)
{
    fixture_list_bytes(f, text, strlen(text));
}

/* Whether the listing gave that text. */
static inline bool __attribute__((format(printf, 2, 3)))
fixture_has(struct fixture *f, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return strstr(buf_cstr(&f->out), text) != NULL;
}

/* 40 files f_000.stl ..., two with awkward names, in the share Tok; NULL: no server. */
static inline struct fixture *fixture_open(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct buf names = BUF_INIT;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_source.XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return NULL;
    (void)snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
    (void)snprintf(f->temp, sizeof(f->temp), "%s/temp", f->dir);
    (void)snprintf(f->names, sizeof(f->names), "%s/names", f->dir);
    (void)mkdir(f->state, 0700);
    (void)mkdir(f->temp, 0700);
    for (int i = 0; i < 38; i++)
        buf_fmt(&names, "f_%03d.stl\n", i);
    buf_str(&names, "a b+c.stl\nB +/\xC3\xA9.stl\n");
    (void)fsio_write_file(f->names, names.data, names.len);
    buf_free(&names);
    const char *const args[] = {"--names", f->names, "--token", "Tok", NULL};
    if (!davd_start(&f->davd, args))
        return NULL;
    (void)snprintf(f->base, sizeof(f->base), "http://127.0.0.1:%u", f->davd.port);
    static char name[] = "msn", type[] = "manifest";
    f->src = (struct conf_source){name, type, f->url, NULL};
    f->conf = (struct conf){.sources = &f->src, .source_count = 1};
    f->conf.network = (struct conf_network){
        .connections = 4, .timeout_ms = 5000, .listing_timeout_ms = 600000, .retry_for_ms = 5000};
    f->l = (struct source_listing){.conf = &f->conf, .state_dir = f->state, .temp_dir = f->temp};
    return http_open(&f->conf.network, &f->l.http, &f->e) == 0 ? f : NULL;
}

static inline void fixture_close(struct fixture *f)
{
    http_close(&f->l.http);
    davd_stop(&f->davd);
    source_place_free(&f->first);
    buf_free(&f->out);
    buf_free(&f->remarks);
    buf_free(&f->last);
    (void)fsio_remove_tree(f->dir);
    free(f);
}

#endif
