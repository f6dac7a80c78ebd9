/* The rows of the catalogue as bytes, and back. Whatever a file holds, decoding stays inside of it.
 */
#ifndef CATALOG_RECORD_H
#define CATALOG_RECORD_H

#include "base/buf.h"
#include "catalog/registry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CATALOG_UNKNOWN UINT64_MAX
enum { CATALOG_NONE = 0xFFFF }; /* no dataset, no class */

/* Ids of the nodes that every catalogue has; others are given from NODE_FIRST on and never twice.
 */
enum node_fixed {
    NODE_ROOT = 0,
    NODE_DATASETS = 1,
    NODE_ANATOMY,
    NODE_LICENSES,
    NODE_SEARCH,
    NODE_STATE, /* .medshapefs */
    NODE_README,
    NODE_CITATION,
    NODE_INDEX,
    NODE_STATUS, /* .medshapefs/status.json, metrics, errors.json */
    NODE_METRICS,
    NODE_ERRORS,
    NODE_MARKER, /* first of the crawler markers */
    NODE_FIRST = 64,
};

enum node_kind { NODE_DIR, NODE_FILE, NODE_TEXT, NODE_SYMLINK };

struct slice {
    const char *s; /* not NUL-terminated */
    size_t len;
};

/* One node. Slices lie in the row that was decoded (or are the caller's when encoding). */
struct node {
    enum node_kind kind;
    uint64_t parent;
    struct slice name; /* as shown */
    uint16_t dataset;  /* numbers of the catalogue's own tables, or CATALOG_NONE */
    uint16_t anatomy;
    enum side side;
    struct slice subject;
    uint32_t place; /* of a file: where it is at its source */
    struct slice key;
    struct slice remote; /* the remote name where it is not the name shown, else empty */
    uint64_t size;       /* CATALOG_UNKNOWN where the source did not tell */
    int64_t mtime;
    struct slice etag;
    struct slice target; /* of a symlink */
    struct {             /* of a text: up to two ranges of the heap, one after the other */
        uint64_t off, len;
    } extent[2];
};

/* Appends the row. */
void node_encode(const struct node *n, struct buf *out);

/* Reads a row; 0 or -EBADMSG. */
int node_decode(const void *data, size_t len, struct node *out);

/* A slice of a C string. */
struct slice slice_of(const char *s);

#endif
