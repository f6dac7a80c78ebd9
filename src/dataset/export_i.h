/* Inside of `export --packed`: what is exported, how its bytes are read, and the folder of packs
 * that it goes to. One thread, but for what mirror_verify() says. */
#ifndef DATASET_EXPORT_I_H
#define DATASET_EXPORT_I_H

#include "dataset/dataset_i.h"
#include "pack/pack.h"

/* One thing to export. Texts live during the call. */
struct export_item {
    const char *path; /* in the pack */
    bool folder;      /* an empty one */
    int64_t mtime;
    uint32_t mtime_ns;
    const char *url, *dataset, *etag;                  /* "" where there is none */
    int64_t (*read)(void *arg, void *buf, size_t len); /* as for pack_writer_add() */
    void (*rewind)(void *arg);                         /* to the first byte again */
    void *arg;
};

/* ---- mirror.c, mirror_add.c, mirror_verify.c: a folder of packs and its index ---- */

struct mirror;

struct mirror_options {
    const char *dir;
    enum codec_effort effort;
    uint64_t pack_max;   /* bytes of a pack, but where one file alone takes more */
    uint64_t checkpoint; /* bytes after which what was packed is made to last */
    /* Bytes of this run that were packed, and what they take; false: mirror_add() is to end with
     * -ECANCELED. */
    bool (*progress)(void *arg, uint64_t text, uint64_t packed);
    void *arg;
};

/* Opens a folder of packs, made where it is missing, and reads what its packs hold; -EBUSY where
 * another export is writing it, -EEXIST where it has an index.json of something else. 0 or -errno
 * with `e`. */
int mirror_open(const struct mirror_options *o, struct mirror **out, struct err *e);

/* True where the item is in the packs in this version: path, and ETag where both have one, else
 * time of change. */
bool mirror_has(const struct mirror *m, const struct export_item *item);

/* True where some version of that path is in the packs. */
bool mirror_has_path(const struct mirror *m, const char *path);

/* Adds an item. 0 or -errno with `e`; `*lost` says whether nothing more can be added (else only
 * this item could not be had, and nothing of it is in a pack). */
int mirror_add(struct mirror *m, const struct export_item *item, bool *lost, struct err *e);

/* True where the pack at hand has a dataset's entry. */
bool mirror_has_dataset(const struct mirror *m, const char *id);

/* Adds a dataset's entry to the pack at hand, so that each pack has those of its files. 0 or -errno
 * with `e`. */
int mirror_dataset(struct mirror *m, const char *id, const char *json, struct err *e);

/* Makes what was added last, where that is worth while or some time has gone by. 0 or -errno with
 * `e`. */
int mirror_checkpoint(struct mirror *m, struct err *e);

/* Makes all that was added last; not in the index yet. 0 or -errno with `e`. */
int mirror_end(struct mirror *m, struct err *e);

/* Reads each pack that is not in the index yet again, whole, compares each checksum, and puts what
 * is sound into the index; from then on it never changes. `bad` is called with a line for each file
 * that is damaged, `progress` with the bytes of packs that were read and are to be read; both on
 * any thread, never at the same time. 0; -ECANCELED where progress gave false; another -errno with
 * `e`. */
int mirror_verify(struct mirror *m, void (*bad)(void *arg, const char *line),
                  bool (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
                  struct err *e);

/* Its packs, the files and empty folders in them (the newest version of each), the sum of their
 * sizes, and the bytes of the packs. */
void mirror_totals(const struct mirror *m, uint64_t *packs, uint64_t *files, uint64_t *text,
                   uint64_t *bytes);

/* Ends it and empties *m; NULL inside is fine. */
void mirror_close(struct mirror **m);

/* ---- export_texts.c: files beside the packs, for people ---- */

/* Writes DIR/README.txt, where there is none. 0 or -errno with `e`. */
int export_readme(const char *dir, struct err *e);

/* Writes DIR/CITATION.bib, and licence and citation of each dataset (`ids`: each ended by NUL) into
 * DIR/datasets/<id>/. 0 or -errno with `e`. */
int export_licences(struct medshapefs *m, const char *dir, const struct buf *ids, struct err *e);

/* True where `id` is in such a list. */
bool export_listed(const struct buf *ids, const char *id);

/* ---- export_shapes.c, export_folder.c: where items come from ----
 *
 * Each calls `take` for every item until it returns non-zero, which is returned; 0 at the end, or
 * -errno with `e`. */

struct export_sink {
    int (*take)(void *arg, const struct export_item *item);
    bool (*has)(void *arg, const struct export_item *item); /* need not be read */
    bool (*has_path)(void *arg, const char *path);          /* in some version */
    void (*dataset)(void *arg, const char *id);             /* some item is of it */
    bool (*stop)(void *arg);                                /* asked while something is awaited */
    void (*left_out)(void *arg, const char *path);          /* what is no file and no folder */
    int (*failed)(void *arg, const char *path, int err);    /* could not be had; as for take */
    void *arg;
};

/* The files of the collection that a query matches (NULL: all), read through the mount at
 * `mountpoint`, or where that is NULL by `m` itself, which is open to SERVE then. */
int export_shapes(struct medshapefs *m, const char *mountpoint, const struct query *q,
                  const struct export_sink *sink, struct err *e);

/* Whether a folder can be exported to `but`, which may not be there yet. 0; -ENOENT, -ENOTDIR or
 * -EINVAL (they are the same) with `e`. */
int export_folder_check(const char *folder, const char *but, struct err *e);

/* The files below a local folder, in order of name, but those in folder `but`; links are not
 * followed. */
int export_folder(const char *folder, const char *but, const struct export_sink *sink,
                  struct err *e);

#endif
