/* Sources: what exists at an origin, and how to ask for it. */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "net/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_UNKNOWN UINT64_MAX

/* A place that many objects share: kept in the catalogue once, as the bytes of
 * source_place_encode(). An object is a place and a key. */
struct source_place {
    char *link;   /* URL = link + key (as it stood in the list) */
    char *folder; /* folder of the objects below their dataset, decoded bytes without '/' at the
                     ends; "" for none */
    char *dav; /* WebDAV URL of that folder with a '/' at its end, to which the percent-encoded name
                  is added; "" where WebDAV was refused */
    char *user;   /* Basic user for dav (a share's token), or "" */
    char *source; /* name of the source */
};

/* One object, as listed. All slices are valid during the call only. */
struct source_item {
    uint32_t place;  /* number that sink.place gave */
    const char *key; /* what is appended to place.link */
    size_t key_len;
    const char *name; /* decoded remote file name: any bytes */
    size_t name_len;
    uint64_t line;    /* position in the list: who comes first keeps the plain name */
    uint64_t size;    /* SOURCE_UNKNOWN where the source does not tell */
    int64_t mtime;    /* seconds, or -1 */
    const char *etag; /* with quotes; "" where unknown */
};

/* Receives a listing; each returns 0, or -errno to stop it. */
struct source_sink {
    int (*place)(void *arg, const struct source_place *place, uint32_t *number);
    int (*item)(void *arg, const struct source_item *item);
    /* One line that the user should know (a malformed line, a refused WebDAV): the listing goes on.
     */
    void (*remark)(void *arg, const char *line);
    /* What is waited for, for the terminal: "the share's listing, up to 10 min: 0:45"; may be NULL.
     */
    void (*progress)(void *arg, const char *text);
    void *arg;
};

/* What a listing needs and what it tells. */
struct source_listing {
    struct http *http;
    const struct conf *conf;
    const char *state_dir; /* existing folder for what a source keeps between refreshes: NAME.list,
                              NAME.json */
    const char *temp_dir;  /* existing folder for temporary files, on the same file system: keep()
                              moves from here */
    uint64_t lines, items, malformed, duplicates,
        sized;      /* out: counts; lines (without blank ones and comments) = items + malformed +
                       duplicates */
    bool unchanged; /* out: the origin said 304; the kept list was used */
    bool without_sizes; /* out: some place has no WebDAV, its sizes are unknown */
};

struct source_ops {
    const char *type; /* as the configuration writes it */
    /* Lists everything: items come grouped by place, in a place by name, then line; of equal URLs
     * only the first. Nothing is emitted unless the list is whole and is a list. 0 or -errno with
     * `e` (half a list, HTML, no answer). */
    int (*list)(const struct conf_source *src, struct source_listing *l,
                const struct source_sink *sink, struct err *e);
    /* Called after a catalogue made of this listing was swapped in: keep the new list and its ETag.
     * May be NULL. */
    void (*keep)(const struct conf_source *src, const struct source_listing *l);
};

/* The source type of that name, or NULL: this version lacks it. */
const struct source_ops *source_find(const char *type);

/* Fills url, user, password and headers of the request for an object's bytes and leaves the rest of
 * `req` alone: pure, no I/O. The texts are appended to `text`, which must outlive `req` and not
 * grow meanwhile. Prefers WebDAV unless `by_link`; a name that is no plain path component ('/',
 * NUL,
 * '.' or '..') always goes by its link. 0 or -errno. */
int source_request(const struct source_place *place, const char *key, size_t key_len, bool by_link,
                   struct buf *text, struct http_req *req);

/* Appends the object's own URL (link + key), as index.csv and errors show it. */
void source_url(const struct source_place *place, const char *key, size_t key_len, struct buf *out);

/* Writes a place as bytes, and reads it back (-EBADMSG when damaged). The caller frees with
 * source_place_free(). */
void source_place_encode(const struct source_place *place, struct buf *out);
/* Reads what source_place_encode() wrote; 0 or -errno. */
int source_place_decode(const void *data, size_t len, struct source_place *out);
/* Frees what source_place_decode() made. */
void source_place_free(struct source_place *place);

#endif
