/* The places of a listing: numbers for what many URLs share, in bounded memory. */
#ifndef SOURCE_PLACES_I_H
#define SOURCE_PLACES_I_H

#include "base/buf.h"
#include "source/place_i.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLACES_MAX = 65536,             /* and one more for the URLs that find no place of their own */
    PLACES_BYTES = 8 * 1024 * 1024, /* of their texts */
    PLACES_ROOTS = 3,               /* where a share may have WebDAV */
};

#define PLACES_NONE UINT32_MAX

/* Numbers for different byte strings, in order of their first appearance. */
struct names {
    struct buf bytes; /* each ended by a NUL */
    size_t *start;    /* of each string; count + 1 entries */
    uint32_t *slot;   /* open addressing: number + 1, or 0 */
    uint32_t count, slots;
    uint64_t seed; /* so that nobody can write a list whose names all collide */
};

struct place_row {
    uint32_t link;   /* in `links`, or PLACES_NONE: the key is the whole URL */
    uint32_t folder; /* row of `folder`, or PLACES_NONE: no share */
};

/* A folder of a share: at most two places, one for the usual form of its links and one for all
 * others. */
struct folder_row {
    uint32_t share;
    uint32_t plain, whole; /* places, or PLACES_NONE */
    uint32_t answer;       /* number of the PROPFIND answer that counts; 0: none */
    unsigned root;         /* of its share, when answer is not 0 */
};

enum root_state {
    ROOT_UNTRIED,
    ROOT_GOOD,
    ROOT_PUBLIC,
    ROOT_BAD
}; /* PUBLIC: good with the user `public` */

struct share_row {
    enum root_state root[PLACES_ROOTS];
    bool told; /* the user knows that all roots are bad */
};

struct places {
    struct names links, folders, shares;
    uint32_t *link_place; /* place of each of `links` */
    struct place_row *place;
    struct folder_row *folder;
    struct share_row *share;
    uint32_t place_count, overflow; /* the place for what found none, or PLACES_NONE */
    uint32_t link_cap, place_cap, folder_cap, share_cap;
    uint32_t last; /* the place found last */
};

/* Begins without places. */
void places_init(struct places *t);

/* The place of a URL, made when it is new. 0 and *number, or -ENOMEM. Where places_link() of it is
 * "", the key is the whole URL, else what `u` says. */
int places_find(struct places *t, const struct place_url *u, uint32_t *number);

/* The text before a key in a URL; "" for whole URLs. Lives until the next places_find(). */
const char *places_link(const struct places *t, uint32_t number);

/* Decoded path of a share's folder, and its length. */
const char *places_folder(const struct places *t, uint32_t folder, size_t *len);

/* BASE and TOKEN of a share, as C strings. */
void places_share(const struct places *t, uint32_t share, const char **base, const char **token);

/* Frees everything. */
void places_free(struct places *t);

#endif
