/* The state of a folder of packs that is written. */
#ifndef DATASET_MIRROR_I_H
#define DATASET_MIRROR_I_H

#include "dataset/export_i.h"

enum {
    MIRROR_NAME = 32, /* of a pack: "0001.shapepack" */
    MIRROR_PACKS = 9999,
};

/* ---- mirror_held.c: what the packs have ---- */

enum held_kind { HELD_FILE, HELD_FOLDER, HELD_ABOVE /* a folder above something */ };

/* A path that some pack has, by its hash. */
struct held {
    uint64_t path; /* 0: a free place */
    uint64_t etag; /* its hash, 0: none */
    uint64_t when; /* hash of the time of change */
    uint64_t size;
    unsigned pack; /* the last one that has it */
    enum held_kind kind;
};

struct held_table {
    struct held *at; /* open addressing */
    size_t places, count;
};

/* Notes that pack number `pack` (from 0) has this row. 0 or -ENOMEM. */
int held_add(struct held_table *t, const struct pack_row *row, unsigned pack);

/* What is held of a path, or NULL. Valid until the next held_add(). */
const struct held *held_find(const struct held_table *t, const char *path, size_t len);

/* True where `h` is this version. */
bool held_is(const struct held *h, const char *etag, int64_t mtime, uint32_t ns);

/* True where a pack that has `pack`'s rows could not hold the path as well: it is there, or a file
 * stands where the path needs a folder. */
bool held_clashes(const struct held_table *t, const char *path, unsigned pack);

/* Rows (files and empty folders) and the sum of their sizes. */
void held_totals(const struct held_table *t, uint64_t *rows, uint64_t *text);

/* ---- the folder ---- */

struct mirror_pack {
    char name[MIRROR_NAME];
    bool there;
    uint64_t bytes, files, text, sum, catalogue;
    bool published; /* verified and in the index: it never changes again */
};

struct mirror {
    struct mirror_options o;
    char *dir;
    int lock_fd;
    struct mirror_pack *pack; /* one more than `packs` has room */
    unsigned packs;
    struct held_table held;
    struct pack_writer *w; /* of the last pack, or NULL */
    bool begun;            /* that pack is new */
    uint64_t rows, added;  /* of that pack; of them since it was opened */
    uint64_t catalogue;    /* bytes that its catalogue may take */
    struct buf ids;        /* datasets whose entry it has, each ended by NUL */
    uint64_t durable;      /* its size when it was ended last */
    int64_t durable_at;
    uint64_t before;       /* its size when it was opened */
    uint64_t fed, retired; /* bytes of text that it was given, and that are packed */
    uint64_t text, packed; /* of this run, in packs that were ended */
    bool stopped;
};

/* DIR/NAME into *out, which the caller frees; 0 or -ENOMEM. */
int mirror_path(const struct mirror *m, const char *name, char **out);

/* Gives place `number` (from 0) of m->pack its name, empty. 0 or -errno with `e`. */
int mirror_name(struct mirror *m, unsigned number, struct err *e);

/* Reads what a pack says of itself and, with `rows`, all that it has. 0 or -errno with `e`. */
int mirror_read(struct mirror *m, unsigned number, bool rows, struct err *e);

/* Writes the index of what is published. 0 or -errno with `e`. */
int mirror_index_write(const struct mirror *m, struct err *e);

/* Takes from the index which packs are published; refuses the index of something else (-EEXIST with
 * `e`). None is fine, and so is a damaged one. */
int mirror_index_read(struct mirror *m, struct err *e);

#endif
