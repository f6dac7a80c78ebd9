/* Private to the ingest_*.c files: the state of one refresh's new catalogue.
 *
 * Objects are sorted by path first. Then one pass in that order gives ids and writes nodes
 * (ingest_tree.c), while the lines of index.csv go to a spool; objects whose path is taken are put
 * off and get their `~N` name at the end. Last, the spool and the late lines are merged into the
 * heap, and the generated texts follow (ingest_texts.c). */
#ifndef CATALOG_INGEST_I_H
#define CATALOG_INGEST_I_H

#include "base/sort.h"
#include "catalog/ingest.h"
#include "catalog/texts.h"

#include <limits.h>
#include <stdio.h>

enum { INGEST_BATCH = 4096, INGEST_MAX_CLASSES = 4096, INGEST_PATH_MAX = 4096 };

/* What is known of a dataset while its files come. */
struct ingest_dataset {
    uint64_t folder;               /* node, or 0: not shown */
    uint64_t text[4];              /* nodes of its generated files, in order of ingest_text_names */
    uint64_t index_off, index_len; /* its lines of index.csv in the heap */
    struct texts_counts counts;
};

struct ingest_class {
    uint64_t folder;
    char *name;
};

struct ingest {
    struct ingest_options o;
    char new_path[PATH_MAX];
    struct db *db;
    struct db_txn txn; /* of the batch that is being written */
    unsigned in_batch;
    struct db_txn
        old_txn; /* of the old catalogue, all the way; its db is NULL where there is none */
    struct sort *origins;    /* by_url: hash of the URL, no pack, order -> path, 0, order; row */
    struct sort *items;      /* path, 0, order -> struct row */
    struct sort *late;       /* the same, of those whose path is taken */
    struct sort *late_index; /* path -> line of index.csv */
    FILE *spool;             /* lines of index.csv in order */
    struct ingest_dataset *datasets; /* one for each of the registry */
    struct ingest_class *classes;
    size_t class_count;
    uint16_t *class_slot; /* hash table over classes, number + 1 */
    uint32_t places;
    char *place_folder; /* escaped, of the place added last, with '/' at its end; "" for none */
    char *place_link;   /* of the same */
    char last_folder[INGEST_PATH_MAX]; /* the folder that the last object went to, and its id */
    uint64_t last_folder_id;
    struct buf heap; /* the chunk that is not full yet */
    uint64_t heap_len;
    struct catalog_info info;
};

/* One object on its way from the listing to its node. Slices lie in the sorter's row. */
struct ingest_row {
    uint32_t place;
    uint64_t size;
    int64_t mtime;
    uint16_t dataset;
    enum side side;
    struct slice subject, anatomy, etag, key, remote;
    struct slice shown; /* its URL where that is not link + key, else empty */
};

extern const char
    *const ingest_text_names[4]; /* LICENSE.txt, CITATION.bib, dataset.json, index.csv */

/* Row <-> bytes; the slices of `out` lie in `data`. -EBADMSG when damaged. */
void ingest_row_encode(const struct ingest_row *r, struct buf *out);
/* Reads what ingest_row_encode() wrote. */
int ingest_row_decode(const void *data, size_t len, struct ingest_row *out);

/* Adds the object's row to those that are sorted. 0 or -errno. */
int ingest_sort_row(struct ingest *g, const struct ingest_item *item, const struct buf *key,
                    const struct buf *val);

/* Ends the sorting by URL: what is left of it goes to g->items. 0 or -errno. */
int ingest_sort_end(struct ingest *g);

/* Where an object in a pack belongs: its dataset's number, and its folder below that (appended,
 * escaped, '/' at its end). False: it is a generated text. */
bool ingest_pack_place(const struct ingest *g, const struct ingest_item *item, size_t *dataset,
                       struct shape_name *shape, struct buf *folder);

/* A folder as a path: each part escaped, '/' at its end; one that is too deep becomes a single
 * name. The caller frees; NULL when out of memory. */
char *ingest_folder_path(const char *folder, size_t len);

/* Commits the batch when it is full (or `now`) and begins the next. 0 or -errno. */
int ingest_batch(struct ingest *g, bool now);

/* The id for a node: that of the old catalogue where it had such a node there, else a new one. */
uint64_t ingest_take_id(struct ingest *g, uint64_t folder, const char *name, size_t len,
                        enum node_kind kind);

/* Writes a node with its name and its place in the folder's list. */
void ingest_put_node(struct ingest *g, uint64_t id, const struct node *n);

/* Makes a folder in a folder; returns its id (that of the one that is there already), or 0 when a
 * file has the name. */
uint64_t ingest_folder(struct ingest *g, uint64_t parent, const char *name, size_t len);

/* Makes the fixed nodes, all folders of datasets and licences. 0 or -errno. */
int ingest_skeleton(struct ingest *g);

/* Gives each object its node, in order of path; then those that were put off. 0 or -errno. */
int ingest_place_all(struct ingest *g);

/* Appends to the heap; the offset at which it begins is returned. */
uint64_t ingest_heap_add(struct ingest *g, const void *data, size_t len);

/* Writes one line of index.csv for a file at `path` (below datasets/) into `out`. */
void ingest_index_line(struct ingest *g, const char *path, const struct ingest_row *r,
                       uint64_t size, int64_t mtime, struct buf *out);

/* Merges the lines of index.csv into the heap, then writes all generated texts. 0 or -errno. */
int ingest_write_texts(struct ingest *g);

#endif
