/* Facts that were learnt after the listing: size, ETag, time of an object, how often it changed. An
 * LMDB environment of its own beside the catalogue, so that neither a refresh nor `cache clear`
 * loses them. */
#ifndef CATALOG_FACTS_H
#define CATALOG_FACTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct facts;

struct fact {
    uint64_t url;  /* hash64 of the object's URL: a fact is about that URL only */
    uint64_t size; /* exact */
    int64_t mtime; /* seconds, or -1 */
    int64_t when;  /* when it was learnt: a listing that is newer wins where it tells a size */
    uint32_t generation; /* how often the content changed under this path */
    char etag[128];      /* with quotes, or "" */
};

/* Opens or creates the file; `read_only` beside a daemon that writes it (-ENOENT when there is
 * none). 0 or -errno. */
int facts_open(const char *path, bool read_only, struct facts **out, struct err *e);

/* Closes and empties *f; NULL inside is fine. */
void facts_close(struct facts **f);

/* The fact of node `id`, if there is one about that URL. Any thread. Cheap while there is no fact
 * at all. */
bool facts_get(struct facts *f, uint64_t id, uint64_t url, struct fact *out);

/* False only while there is no fact at all: then facts_get() needs not be asked. Any thread. */
bool facts_any(struct facts *f);

/* Stores a fact, for good. Any thread; waits for the disk's page cache only. 0 or -errno. */
int facts_put(struct facts *f, uint64_t id, const struct fact *fact);

#endif
