/* Source "pack": one .shapepack, or a folder of them.
 *
 * A refresh gets of each pack its catalogue only, as a file: the pack's bytes from `base` to its
 * end. What was got is noted in SOURCE.packs.json, in the order in which the packs count; files
 * and note lie in temp_dir until keep() moves them to state_dir. */
#ifndef SOURCE_PACK_I_H
#define SOURCE_PACK_I_H

#include "pack/pack.h"
#include "source/fetch_i.h"
#include "source/source.h"

enum { PACKS_MAX = 10000 };

/* What source_find("pack") gives. */
extern const struct source_ops pack_ops;

/* What one run works with. */
struct packing {
    const struct conf_source *src;
    struct source_listing *l;
    const struct source_sink *sink;
    struct fetch fetch;
    struct err *e;
};

/* One pack. */
struct pack_known {
    char *link;          /* http(s)://, or percent-encoded file:// */
    char *name;          /* its file name, decoded */
    uint64_t bytes, sum; /* as an index says, or UINT64_MAX and 0 */
    /* What is known since its catalogue was read: */
    uint64_t size, base;
    int64_t mtime; /* seconds, or -1 */
    char etag[128];
    char modified[64];
};

struct packs {
    struct pack_known *at;
    size_t count;
    bool folder; /* the source is a folder of packs */
};

/* Frees what it holds and makes it empty. */
void packs_free(struct packs *p);

/* Adds the pack of that URL; NULL when out of memory or where there are PACKS_MAX. */
struct pack_known *packs_add(struct packs *p, const char *link, size_t len);

/* Sets p->e to a URL without its query and `why`; returns `err`. */
int pack_refuse(struct packing *p, const char *url, int err, const char *why);

/* ---- pack_index.c ---- */

/* Which packs the source has, in the order in which they count (a path of two packs is that of the
 * later one). 0 or -errno with p->e. */
int pack_index(struct packing *p, struct packs *out);

/* The id of the dataset that files of no known dataset belong to: the pack's name in the letters
 * that an id may have. */
void pack_dataset(const struct conf_source *src, const struct packs *all,
                  const struct pack_known *k, char out[65]);

/* ---- pack_note.c ---- */

/* Where the file of a pack's catalogue is: with `fresh` in temp_dir, else the one that is kept. */
void pack_file(const struct packing *p, const struct pack_known *k, bool fresh, struct buf *path);

/* Reads the note of this refresh, or the kept one. 0, -ENOENT: there is none of this URL. */
int pack_note_read(const struct packing *p, bool fresh, struct packs *out);

/* Writes the note of this refresh. 0 or -errno. */
int pack_note_write(const struct packing *p, const struct packs *packs);

/* What keep() does. */
void pack_note_keep(const struct conf_source *src, const struct source_listing *l);

/* Removes what an earlier refresh that was cut off left in temp_dir. */
void pack_note_clear(const struct packing *p);

/* ---- pack_fetch.c ---- */

/* Gets the catalogue of `k` into its fresh file and fills in what is known since then; `kept`,
 * where not NULL, is what was noted of it: where it is unchanged that is taken and no file made. At
 * most two range requests. 0 or -errno with p->e. */
int pack_fetch(struct packing *p, struct pack_known *k, const struct pack_known *kept);

/* ---- pack_rows.c ---- */

/* An open catalogue file. */
struct pack_rows {
    int fd;
    uint64_t base;
    struct pack_io io;
    struct pack *pack;
};

/* Opens the catalogue file of a pack, the fresh one where there is one and `fresh`. 0 or -errno
 * with p->e. */
int pack_rows_open(struct packing *p, const struct pack_known *k, bool fresh,
                   struct pack_rows *rows);
/* Closes it. */
void pack_rows_close(struct pack_rows *rows);

/* The next row as pack_next() has it; an error names the pack. */
int pack_rows_next(struct packing *p, const struct pack_known *k, struct pack_rows *rows,
                   struct pack_row *row);

#endif
