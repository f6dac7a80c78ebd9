/* Private to the commands that make packs and open them. */
#ifndef DATASET_PACKS_I_H
#define DATASET_PACKS_I_H

#include "medshapefs.h"
#include "pack/pack.h"

#include <sys/stat.h>

/* ---- pack_name.c: the names of operands ---- */

/* Appends the name that tar would keep for a path: without "/" and "./" at its start, double
 * slashes and "." components; "" for "." and "/". -EINVAL where it has "..", or -ENOMEM. */
int packs_name(const char *path, struct buf *out);

/* True where `path` is `folder` or below it; all is below "". */
bool packs_below(const char *folder, const char *path, size_t len);

/* Compares names so that what is in a folder comes right after it. */
int packs_compare(const char *a, const char *b);

/* Calls `remark`, where it is not NULL, with one line. */
void packs_remark(void (*remark)(void *arg, const char *line), void *arg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- pack_walk.c: files and folders into a pack ---- */

/* The order within a folder: small files lie beside each other in the pack. */
enum packs_rank { PACKS_SMALL, PACKS_LARGE, PACKS_FOLDER, PACKS_OTHER };

struct packs_walk {
    const struct medshapefs_pack *o;
    struct medshapefs_packed *sum;
    struct pack_writer *writer;
    struct stat old,
        partial;           /* of the pack, as it was and as it is being written; st_ino 0: none */
    const char *spill;     /* a folder for temporary files */
    struct buf path;       /* of what is visited, as the pack has it */
    uint64_t text, packed; /* bytes read, bytes written */
    dev_t device;          /* the one seen last, and whether it is a FUSE mount */
    bool fuse, stopped;
};

/* The rank of what `st` tells of. */
enum packs_rank packs_rank(const struct stat *st);

/* Packs a file, or a folder with all below, that openat(at, name) finds; w->path names it. What
 * cannot be read is a remark. 0; -ECANCELED; another -errno with `e`: the pack cannot be made. */
int packs_visit(struct packs_walk *w, int at, const char *name, enum packs_rank rank,
                struct err *e);

/* Tells the caller's progress; false where the work has to end. */
bool packs_tick(struct packs_walk *w);

/* ---- unpack_crew.c: threads that unpack ---- */

struct unpack_file;

/* What one thread has for itself. */
struct unpack_kit {
    struct codec *codec;
    struct buf scratch;
};

/* A piece of work. */
struct unpack_job {
    void (*run)(struct unpack_job *job, struct unpack_kit *kit);
    struct unpack_file *file;
    size_t block;
    unsigned char *text; /* CODEC_BLOCK_MAX bytes for it to use */
    int err;             /* its result */
};

struct unpack_crew;

/* A crew; NULL when out of memory or threads. The caller's side is one thread's. */
struct unpack_crew *unpack_crew_new(void);
/* The next job to fill, its buffer set, or NULL: take one first. */
struct unpack_job *unpack_crew_free_job(struct unpack_crew *c);
/* Starts the job that unpack_crew_free_job() gave. */
void unpack_crew_put(struct unpack_crew *c);
/* The oldest job, done; waits for it. NULL where there is none. */
struct unpack_job *unpack_crew_take(struct unpack_crew *c);
/* Ends the use of what unpack_crew_take() gave. */
void unpack_crew_done(struct unpack_crew *c);
/* Waits for all jobs, frees, empties *c. NULL inside is fine. */
void unpack_crew_free(struct unpack_crew **c);

/* ---- unpack_place.c: the folders below the one that is unpacked to ---- */

/* A folder; who uses it counts. The caller's thread only takes and gives back. */
struct unpack_place {
    unsigned uses;
    int fd;  /* -1: it cannot be used */
    int err; /* then why */
    char *path;
};

/* Opens, or makes, the folder path[0, len) below `root`, component by component; no link is
 * followed. A place with one use, also where that fails (place->err), or NULL when out of memory.
 */
struct unpack_place *unpack_place_open(int root, const char *path, size_t len);
/* Gives it back and empties *p; NULL inside is fine. */
void unpack_place_drop(struct unpack_place **p);

/* ---- unpack_file.c: one file that comes out ---- */

enum unpack_end {
    UNPACK_OUT,     /* it is out, or as its sum says */
    UNPACK_THERE,   /* it was there already */
    UNPACK_DIFFERS, /* another one was there */
    UNPACK_FAILED,  /* see err */
};

struct unpack_file {
    const struct pack_io *io;
    struct unpack_place *place; /* NULL: only to be verified */
    struct pack_row row;        /* its path ends in NUL; urls and the like are gone */
    const char *name;           /* the last component */
    bool compare;               /* one of this size is there */
    bool replace;
    bool unnamed; /* files can be made without a name here */
    int fd;       /* of the file that is being made, or -1 */
    bool temp;    /* it has a name of its own */
    enum unpack_end end;
    int err;
    size_t bad; /* the block that failed first; SIZE_MAX: the whole file's SHA-256 */
    /* While its blocks are on their way (the caller's thread): */
    size_t outstanding;
    bool closed;
    struct hash_sha256 *sha;
};

/* A file for that row, with a use of `place` (which may be NULL); NULL when out of memory. */
struct unpack_file *unpack_file_new(const struct pack_io *io, const struct pack_row *row,
                                    struct unpack_place *place);
/* Frees it, and removes what it has begun; empties *f. NULL inside is fine. */
void unpack_file_free(struct unpack_file **f);

/* Begins to write a file that has no name yet. 0 or -errno. */
int unpack_file_begin(struct unpack_file *f);
/* Gives it its time and its name. 0; -EEXIST: that name is taken; other -errno. */
int unpack_file_publish(struct unpack_file *f);

/* The work of a thread: one block of a file, into the file, or for its sum into job->text. */
void unpack_run_block(struct unpack_job *job, struct unpack_kit *kit);
/* The work of a thread: all of a file, from comparing to its name. */
void unpack_run_whole(struct unpack_job *job, struct unpack_kit *kit);

/* ---- unpack_list.c ---- */

struct unpack_licences;

/* The licences that the pack's records of datasets state, as far as they can be read. NULL when out
 * of memory. *r is below 0, and `e` set, where a record is damaged. */
struct unpack_licences *unpack_licences_read(struct pack *p, int *r, struct err *e);
/* Frees them and empties *l; NULL inside is fine. */
void unpack_licences_free(struct unpack_licences **l);

/* Tells `o->row` of a row; false where no more is wanted. */
bool unpack_list_row(const struct medshapefs_unpack *o, const struct pack_row *row,
                     const struct unpack_licences *l);

#endif
