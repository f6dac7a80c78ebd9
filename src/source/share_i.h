/* Sizes of what public shares hold: which WebDAV root a share has, and one PROPFIND for each
 * folder. */
#ifndef SOURCE_SHARE_I_H
#define SOURCE_SHARE_I_H

#include "base/buf.h"
#include "base/sort.h"
#include "source/fetch_i.h"
#include "source/places_i.h"

/* A row of the answers: its key is share_row_key(), its value answer (4 bytes), size, mtime (8
 * each), then the ETag. */
enum { SHARE_VALUE_HEAD = 20 };

/* What share_sizes() works on. */
struct share_work {
    const struct fetch *fetch;
    const char *source;    /* its name, for remarks */
    struct places *places; /* in: folders; out: their `answer` and `root`, the roots of shares */
    struct sort *answers; /* out: rows for each place of each folder; only those whose number is its
                             folder's `answer` count */
};

/* Begins the sort key of rows and items: the place, big-endian, then the name. */
void share_row_key(struct buf *out, uint32_t place, const char *name, size_t len);

/* Asks all folders of all shares. A share that refuses costs a remark, no more; the whole takes at
 * most six times network.listing_timeout. 0 or -errno of this machine (memory, disk). */
int share_sizes(struct share_work *w);

/* Appends the WebDAV URL of a folder at a root, with '/' at its end. */
void share_url(const struct places *t, uint32_t folder, unsigned root, struct buf *out);

/* The Basic user for that folder's share at that root; "" for none. Lives as long as the places do.
 */
const char *share_user(const struct places *t, uint32_t folder, unsigned root);

#endif
