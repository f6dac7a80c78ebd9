/* Answers to PROPFIND: a streamed parser that trusts nothing. The only place that knows expat. */
#ifndef SOURCE_WEBDAV_I_H
#define SOURCE_WEBDAV_I_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEBDAV_DEPTH_MAX = 16,   /* of elements */
    WEBDAV_TEXT_MAX = 65536, /* bytes of one value, or of one tag or comment */
    WEBDAV_WORDS_MAX = 256,  /* different names of elements, attributes and namespaces */
    WEBDAV_ENTRIES_MAX = 10000000,
    WEBDAV_ETAG_MAX = 128, /* with its NUL */
};

/* One file of the folder that was asked for. Valid during the call. */
struct webdav_file {
    const char *name; /* decoded bytes, no '/' and no NUL */
    size_t name_len;
    uint64_t size;    /* UINT64_MAX: not told */
    int64_t mtime;    /* seconds since 1970, or -1 */
    const char *etag; /* as sent, with its quotes; "" where none is usable */
};

/* 0, or -errno to stop. */
typedef int webdav_file_fn(void *arg, const struct webdav_file *file);

/* What an answer held. */
struct webdav_counts {
    uint64_t entries; /* responses of any kind */
    uint64_t refused; /* whose address is not in the folder, or has '..', %2F or %00 in a segment */
    uint64_t bad_sizes; /* negative, empty or over 2^63 */
};

struct webdav;

/* A parser for the answer to PROPFIND `url` (Depth 0 or 1); each file below it goes to `file` (may
 * be NULL). The caller destroys it. NULL when out of memory or where `url` has no sane path. */
struct webdav *webdav_create(const char *url, webdav_file_fn *file, void *arg);

/* Takes the next bytes. 0; -EBADMSG for what is no multistatus or hostile; what `file` returned;
 * -ENOMEM. */
int webdav_feed(struct webdav *w, const void *data, size_t len);

/* The answer ended: 0 where it is whole and not all of it lies outside of the folder, else as
 * webdav_feed(). */
int webdav_end(struct webdav *w);

/* What was counted so far. */
struct webdav_counts webdav_counts(const struct webdav *w);

/* Why the last call failed: "cut short", "a DOCTYPE", ... Static. */
const char *webdav_why(const struct webdav *w);

/* Frees it and empties *w; NULL inside is fine. */
void webdav_destroy(struct webdav **w);

#endif
