/* The catalogue, read side: one finished LMDB file that nobody writes any more. A refresh makes a
 * new file. */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "base/err.h"
#include "catalog/record.h"
#include "db/db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tables of the file, in this order. */
enum catalog_table {
    CATALOG_META,    /* text -> text or integer */
    CATALOG_NODE,    /* id -> struct node */
    CATALOG_CHILD,   /* folder id, child id -> nothing; classes list shapes that live elsewhere */
    CATALOG_NAME,    /* name, 0, folder id -> id; the folder is the one where the node lives */
    CATALOG_PLACE,   /* number -> bytes of the source layer */
    CATALOG_HEAP,    /* chunk number -> bytes of generated texts */
    CATALOG_DATASET, /* number -> struct catalog_dataset */
    CATALOG_CLASS,   /* number -> folder id, name */
    CATALOG_TABLES,
};

enum {
    CATALOG_FORMAT = 1,
    CATALOG_CHUNK = 65520, /* fills whole LMDB pages */
};

extern const char *const catalog_tables[CATALOG_TABLES];

struct catalog_dataset {
    char *id, *title, *licence; /* licence: name of its folder under licenses/ */
    uint64_t folder;            /* node */
    uint64_t shapes, files, bytes, unknown_sizes;
};

struct catalog_class {
    char *name;
    uint64_t folder;
};

struct catalog_info {
    int64_t refreshed; /* when, seconds */
    uint64_t next_id, files, shapes, bytes, unknown_sizes, heap;
    uint64_t lines;     /* valid lines of all lists */
    bool without_sizes; /* a source told no sizes in bulk */
};

struct catalog {
    struct db *db;
    struct catalog_info info;
    struct catalog_dataset *datasets;
    size_t dataset_count;
    struct catalog_class *classes;
    size_t class_count;
};

/* Opens a catalogue file. 0 or -errno with `e` (-ENOENT: there is none; -EBADMSG: damaged or of
 * another format). */
int catalog_open(const char *path, struct catalog **out, struct err *e);

/* Closes it and empties *c; no transaction may be open. NULL inside is fine. */
void catalog_close(struct catalog **c);

/* A look at the catalogue; begun and ended on one thread, short, never across I/O. */
struct db_txn catalog_begin(struct catalog *c);

/* The node of that id; its slices live until the transaction ends. False where there is none. */
bool catalog_node(struct db_txn *t, uint64_t id, struct node *out);

/* The id of `name` in the folder where it lives; false where there is none. */
bool catalog_lookup(struct db_txn *t, uint64_t folder, const char *name, size_t len, uint64_t *id);

/* Calls `row` with each child id > `after` (0: all) of a folder, in order, until it returns
 * non-zero; returns that, 0 at the end, or -errno. */
int catalog_children(struct db_txn *t, uint64_t folder, uint64_t after,
                     int (*row)(void *arg, uint64_t id), void *arg);

/* Calls `row` with each node that has exactly that name, in any folder, until it returns non-zero;
 * returns that, 0 or -errno. */
int catalog_named(struct db_txn *t, const char *name, size_t len,
                  int (*row)(void *arg, uint64_t id), void *arg);

/* Calls `row` with each node with id > `after`, in order, until it returns non-zero; returns that,
 * 0 or -errno. */
int catalog_nodes(struct db_txn *t, uint64_t after,
                  int (*row)(void *arg, uint64_t id, const struct node *n), void *arg);

/* A place: the text before a key in a URL, and the bytes of the source layer (source_place_decode()
 * reads them); false where there is none. */
bool catalog_place(struct db_txn *t, uint32_t number, struct slice *link, struct db_slice *bytes);

/* hash64 of the URL link + key, as facts have it. Pure. */
uint64_t catalog_url_hash(struct slice link, struct slice key);

/* Copies up to `len` bytes at `off` of a generated text; returns how many. */
size_t catalog_text(struct db_txn *t, const struct node *n, uint64_t off, char *out, size_t len);

/* A number that a refresh noted under `name`; false where there is none. */
bool catalog_meta(struct db_txn *t, const char *name, uint64_t *value);

/* The dataset of that number, or NULL. */
const struct catalog_dataset *catalog_dataset_at(const struct catalog *c, uint16_t number);

/* The name of a class, "" for CATALOG_NONE. */
const char *catalog_class_name(const struct catalog *c, uint16_t number);

/* Builders of keys, for both sides. */
struct db_key catalog_id_key(uint64_t id);
/* Key of CATALOG_CHILD. */
struct db_key catalog_child_key(uint64_t folder, uint64_t child);
/* Key of CATALOG_NAME. */
struct db_key catalog_name_key(const char *name, size_t len, uint64_t folder);
/* A row of CATALOG_DATASET and back (the texts of `out` are the caller's to free; -EBADMSG when
 * damaged). */
void catalog_dataset_encode(const struct catalog_dataset *d, struct buf *out);
/* Reads what catalog_dataset_encode() wrote. */
int catalog_dataset_decode(const void *data, size_t len, struct catalog_dataset *out);
/* The row of CATALOG_META that holds struct catalog_info, and back. */
void catalog_info_encode(const struct catalog_info *info, struct buf *out);
/* Reads what catalog_info_encode() wrote; -EBADMSG for another format. */
int catalog_info_decode(const void *data, size_t len, struct catalog_info *out);

#endif
