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
    /* A place that is a pack: link is its URL, which is http(s):// or, percent-encoded, file://,
     * and keys are opaque: see source_extents(). */
    bool pack;
    uint64_t pack_size; /* its version when its catalogue was read */
    int64_t pack_mtime; /* seconds, or -1 */
    char *pack_etag;    /* with quotes, or ""; may be NULL where it is no pack */
};

/* What a pack tells of an object beyond the rest. Slices as in struct source_item. */
struct source_packed {
    const char *path; /* in the pack: folders and the name */
    size_t path_len;
    const char *dataset; /* id, checked by nobody; "" where the pack names none */
    size_t dataset_len;
    const char *url; /* the object's own URL at its origin; "" where unknown */
    size_t url_len;
    const char *shown; /* what source_url() gives */
    size_t shown_len;
    const char *fallback; /* id of the dataset that the pack itself stands for */
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
    const char *etag; /* with quotes; "" where unknown; of a pack "\"sha256-HEX\"" */
    const struct source_packed *packed; /* NULL: not of a pack */
};

/* Receives a listing; each returns 0, or -errno to stop it. */
struct source_sink {
    int (*place)(void *arg, const struct source_place *place, uint32_t *number);
    int (*item)(void *arg, const struct source_item *item);
    /* A dataset that items belong to: its id, and its entry as JSON (registry.h) or NULL where the
     * source has none. Called by prepare() only; may come more than once. May be NULL. */
    int (*dataset)(void *arg, const char *id, size_t id_len, const char *json, size_t json_len);
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
    bool kept;      /* in: the origin failed; list what keep() kept, without a request */
    bool unchanged; /* out: the origin said 304; the kept list was used */
    bool without_sizes; /* out: some place has no WebDAV, its sizes are unknown */
};

struct source_ops {
    const char *type; /* as the configuration writes it */
    /* Gets what list() is to list, proves it and tells its datasets. 0 or -errno with `e`. NULL
     * where list() does all; a source that has it can list what it kept, too. */
    int (*prepare)(const struct conf_source *src, struct source_listing *l,
                   const struct source_sink *sink, struct err *e);
    /* Lists everything: items come grouped by place, in a place by name, then line (those of packs
     * in any order, after all places); of equal URLs only the first. Nothing is emitted unless the
     * list is whole and is a list. 0 or -errno with `e` (half a list, HTML, no answer). */
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

/* Appends the object's own URL, as index.csv and errors show it: link + key; of an object in a pack
 * that at its origin, or where that is not known the pack's URL (without its query), '#' and the
 * path in the pack. */
void source_url(const struct source_place *place, const char *key, size_t key_len, struct buf *out);

/* The same from the bytes of source_place_encode(), quickly; nothing where they are damaged. */
void source_encoded_url(const void *place, size_t place_len, const char *key, size_t key_len,
                        struct buf *out);

/* True where the bytes of source_place_encode() are those of a pack. */
bool source_is_pack(const void *place, size_t place_len);

/* What names an object whatever becomes of its content, in two parts: link and key, or of an object
 * in a pack the source's name and the path in the pack. Slices of what was given. False where the
 * bytes are damaged. */
bool source_identity(const void *place, size_t place_len, const char *key, size_t key_len,
                     const char *part[2], size_t len[2]);

/* One packed block of an object in a pack. */
struct source_extent {
    uint64_t offset; /* in the pack */
    uint32_t packed; /* bytes there */
    uint64_t text;
    uint64_t packed_sum, text_sum; /* XXH3-64 */
};

/* The blocks of an object of `size` bytes in a pack, from its key. 0 and *out, which the caller
 * frees (NULL for none), -EBADMSG or -ENOMEM. Pure. */
int source_extents(const char *key, size_t key_len, uint64_t size, struct source_extent **out,
                   uint32_t *count);

/* The health of an object in a pack ("ok", ...; "unknown"), from its key. Static. */
const char *source_health(const char *key, size_t key_len);

/* Writes a place as bytes, and reads it back (-EBADMSG when damaged). The caller frees with
 * source_place_free(). */
void source_place_encode(const struct source_place *place, struct buf *out);
/* Reads what source_place_encode() wrote; 0 or -errno. */
int source_place_decode(const void *data, size_t len, struct source_place *out);
/* A copy; ended as one that source_place_decode() made. 0 or -ENOMEM. */
int source_place_copy(const struct source_place *place, struct source_place *out);
/* Frees what source_place_decode() or source_place_copy() made. */
void source_place_free(struct source_place *place);

#endif
