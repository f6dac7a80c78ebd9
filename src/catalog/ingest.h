/* Making a new catalogue file: objects come in any order, ids of paths that stay are taken over
 * from the old file, and the new one is swapped in whole by a rename. Memory stays bounded whatever
 * the number of objects. One thread, in the refresh process. */
#ifndef CATALOG_INGEST_H
#define CATALOG_INGEST_H

#include "base/err.h"
#include "catalog/catalog.h"
#include "catalog/facts.h"
#include "catalog/registry.h"

struct ingest;

struct ingest_options {
    const char *path;     /* of the catalogue; beside it the new file is written */
    const char *temp_dir; /* for sorting */
    const struct registry *registry;
    struct catalog *old;        /* or NULL */
    struct facts *facts;        /* sizes learnt before, or NULL */
    const char *const *sources; /* "name: URL" of each source, for the generated texts */
    size_t source_count;
    int64_t now; /* time of this refresh */
    bool sparse; /* show only datasets that have files */
    bool by_url; /* of one object at several sources that of a pack counts, else the first */
};

struct ingest_item {
    uint32_t place;
    struct slice key, name; /* as the source layer gives them */
    uint64_t order; /* position in the listing: the first of two equal paths keeps the plain name */
    uint64_t size;  /* CATALOG_UNKNOWN where not told */
    int64_t mtime;  /* or -1 */
    struct slice etag;
    size_t
        forced; /* number of the registry's dataset that the configuration names, else SIZE_MAX */
    const struct ingest_packed *packed; /* of an object in a pack; else NULL */
};

/* What a pack tells of an object, as the source layer has it. */
struct ingest_packed {
    struct slice path;    /* in the pack */
    struct slice dataset; /* its id; empty where the pack names none */
    struct slice url;     /* at its origin; empty where not known */
    struct slice shown;   /* the URL that index.csv shows */
    const char *fallback; /* id of the dataset that it is of where no rule knows it */
};

/* Begins. 0 and *out, ended by ingest_finish() or ingest_abort(), or -errno with `e`. */
int ingest_begin(const struct ingest_options *o, struct ingest **out, struct err *e);

/* Adds a place: bytes of the source layer, the text before a key in a URL, the folder below the
 * dataset. Its number is *number. 0 or -errno. */
int ingest_place(struct ingest *g, const void *data, size_t len, const char *link,
                 const char *folder, uint32_t *number);

/* Adds an object; `order` has the source's number from bit 40 on. 0 or -errno. An object in a pack
 * that is a generated text of an export is left out. */
int ingest_item(struct ingest *g, const struct ingest_item *item);

/* Notes a number under a name for catalog_meta(). */
void ingest_meta(struct ingest *g, const char *name, uint64_t value);

/* Builds the file, syncs it, renames it over the old one; frees and empties *g in any case. *info
 * is what was built. 0 or -errno with `e`: the old catalogue is untouched then. */
int ingest_finish(struct ingest **g, bool without_sizes, struct catalog_info *info, struct err *e);

/* Throws it away; NULL inside is fine. */
void ingest_abort(struct ingest **g);

#endif
