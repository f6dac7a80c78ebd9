/* The one door between the core and what shows it (the FUSE server, the command line). Nothing of
 * it is installed.
 *
 * Inode numbers: the root is 1, other nodes are (catalogue id << 8), search folders have bit 62
 * set; they are stable across refreshes and remounts for as long as a path exists. Functions return
 * 0 or -errno. Callbacks named `done` come exactly once, now or later on a thread of the core, with
 * no lock held. All functions may be called on any thread; only medshapefs_refresh() waits for the
 * network. */
#ifndef MEDSHAPEFS_H
#define MEDSHAPEFS_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct medshapefs;

enum { MEDSHAPEFS_ROOT = 1 };

enum medshapefs_mode {
    MEDSHAPEFS_BROWSE, /* names and texts only: no network, no cache, no lock; beside a daemon */
    MEDSHAPEFS_SERVE,  /* all of it; the one daemon of its cache.dir */
};

/* Opens the collection that `conf` (which must outlive it) describes. SERVE locks cache.dir (-EBUSY
 * with the other daemon's mount point and pid), refuses a network file system (-EREMOTE) and starts
 * threads: call it after fork(). -ENOENT: there is no catalogue yet. `mountpoint` is what the lock
 * file tells others; NULL for BROWSE. */
int medshapefs_open(const struct conf *conf, enum medshapefs_mode mode, const char *mountpoint,
                    struct medshapefs **out, struct err *e);

/* Ends it: readers that still wait get -ECANCELED first. Empties *m; NULL inside is fine. */
void medshapefs_close(struct medshapefs **m);

/* What stat shows. */
struct medshapefs_attr {
    uint64_t ino;
    uint32_t mode; /* type and permission bits, before -o umask= */
    uint32_t nlink;
    uint64_t size;
    int64_t mtime;
    uint32_t generation; /* grows when the content under a path changed */
    bool known;    /* false: the size is not known yet (0 stands there); only medshapefs_getattr()
                      learns it */
    bool fleeting; /* made when asked for: not to be remembered by the kernel */
    uint64_t edition; /* 0, or the inode by which to read this very text of a name that means
                         another text a second later: each lookup has to be asked */
};

/* Finds a name in a folder; -ENOENT, -ENOTDIR. Never waits for the network. */
int medshapefs_lookup(struct medshapefs *m, uint64_t folder, const char *name,
                      struct medshapefs_attr *out);

/* The attributes of a node. Where the size is not known, it is asked for at the source: `done`
 * comes later then. */
void medshapefs_getattr(struct medshapefs *m, uint64_t ino,
                        void (*done)(void *arg, int err, const struct medshapefs_attr *attr),
                        void *arg);

/* Lists a folder: calls `emit` for each entry after `cookie` (0: from the start) until it returns
 * false. `next` is the cookie to go on after that entry, stable across refreshes. Without "." and
 * "..". Never waits for the network. */
int medshapefs_readdir(struct medshapefs *m, uint64_t folder, uint64_t cookie,
                       bool (*emit)(void *arg, const char *name, const struct medshapefs_attr *attr,
                                    uint64_t next),
                       void *arg);

/* The inode of the folder that holds a folder (for ".."). */
uint64_t medshapefs_parent(struct medshapefs *m, uint64_t folder);

/* Appends a symlink's target. */
int medshapefs_readlink(struct medshapefs *m, uint64_t ino, struct buf *target);

/* How a read ends: err 0 and all of the range (cut at the end of the file) as spans that live
 * during the call. */
struct medshapefs_data {
    int err;
    const struct iovec *span;
    int count;
};

/* Reads; parked while the bytes are fetched. */
void medshapefs_read(struct medshapefs *m, uint64_t ino, uint64_t off, size_t len,
                     void (*done)(void *arg, struct medshapefs_data data), void *arg);

/* Takes back a parked read or getattr of that inode and `arg`: true, and its done never comes. */
bool medshapefs_cancel(struct medshapefs *m, uint64_t ino, void *arg);

/* For statfs. */
void medshapefs_totals(struct medshapefs *m, uint64_t *files, uint64_t *bytes);

/* Appends the value of an extended attribute ("user.medshapefs.dataset", ...); -ENODATA. */
int medshapefs_getxattr(struct medshapefs *m, uint64_t ino, const char *name, struct buf *value);

/* Appends the names of a node's extended attributes, each ended by NUL. */
int medshapefs_listxattr(struct medshapefs *m, uint64_t ino, struct buf *names);

/* Who is told of what changed under the kernel; called on a thread that is in no request. */
struct medshapefs_watcher {
    void (*entry)(void *arg, uint64_t folder,
                  const char *name);        /* a name came, went, or means other content */
    void (*inode)(void *arg, uint64_t ino); /* attributes or content changed */
    void *arg;
};

/* Begins to watch for new catalogues and for changes seen while reading; starts `medshapefs
 * refresh` by itself when the catalogue is older than conf->refresh_s. `refresh_argv` is that
 * command, ended by NULL; it is copied; NULL: never. Call once, after the mount answers. */
int medshapefs_watch(struct medshapefs *m, const struct medshapefs_watcher *w,
                     const char *const *refresh_argv);

/* ---- commands ---- */

struct medshapefs_refreshed {
    uint64_t shapes, files, lines, malformed, duplicates, unknown_sizes;
    bool without_sizes, unchanged;
    unsigned remarks; /* lines given to remark(); with failed sources, exit 3 */
    unsigned failed_sources;
};

/* Rebuilds the catalogue from the sources and swaps it in whole, in this process (which is a
 * command of its own, since the memory of a large listing is not given back). A source that fails,
 * or whose list lost more than half of its files (unless `force`), leaves the old catalogue in
 * place. `remark` gets one line at a time for the user, `progress` what is waited for; either may
 * be NULL. Another refresh under way: -EBUSY. */
int medshapefs_refresh(const struct conf *conf, bool force,
                       void (*remark)(void *arg, const char *line),
                       void (*progress)(void *arg, const char *text), void *arg,
                       struct medshapefs_refreshed *out, struct err *e);

/* One dataset, for tables. Texts live during the call. */
struct medshapefs_dataset {
    const char *id, *title, *licence; /* licence: SPDX id, LicenseRef-..., or "unstated" */
    uint64_t shapes, files, bytes, unknown_sizes;
    uint64_t cached,
        cached_disk; /* bytes of shapes that are held, and what they take on the disk */
};

/* Calls `row` for each dataset that is shown, in order of id. */
int medshapefs_datasets(struct medshapefs *m,
                        void (*row)(void *arg, const struct medshapefs_dataset *d), void *arg);

/* Appends a file of a dataset's folder as text: "dataset.json", "LICENSE.txt", "CITATION.bib";
 * -ENOENT with `e` (and the nearest ids) where there is no such dataset. The id is compared without
 * case and punctuation. */
int medshapefs_dataset_file(struct medshapefs *m, const char *id, const char *file, struct buf *out,
                            struct err *e);

/* The same of the root: "CITATION.bib", "README.txt". */
int medshapefs_root_file(struct medshapefs *m, const char *file, struct buf *out);

/* One match of a search. Texts live during the call. */
struct medshapefs_match {
    const char *path, *url, *dataset, *anatomy, *subject, *side, *licence;
    uint64_t bytes; /* UINT64_MAX: not known yet */
};

/* Calls `row` for each match until it returns false (NULL: only count); *count is their number.
 * -EINVAL with `e` for a query that cannot be parsed. */
int medshapefs_search(struct medshapefs *m, const char *query,
                      bool (*row)(void *arg, const struct medshapefs_match *x), void *arg,
                      uint64_t *count, struct err *e);

/* ---- mirrors ---- */

/* How far it is. */
struct medshapefs_exporting {
    bool verifying;        /* else packing */
    uint64_t files;        /* added in this run */
    uint64_t text, packed; /* their bytes, and what they take; verifying: bytes of packs that were
                              read again, of so many */
};

struct medshapefs_export {
    const struct conf *conf; /* NULL for a local folder */
    const char *what;        /* dataset, query, or a local folder; NULL: everything */
    bool folder;             /* it is a local folder */
    const char *dir;         /* of the packs */
    bool small;              /* packs smaller, four times slower */
    uint64_t pack_max;       /* bytes of a pack at most, but where one file alone takes more */
    uint64_t checkpoint;     /* bytes of packs that a kill -9 may cost */
    void (*remark)(void *arg, const char *line); /* one line for the user; never at the same time */
    /* false: it ends soon with -ECANCELED. On any thread, never at the same time; may be NULL. */
    bool (*progress)(void *arg, const struct medshapefs_exporting *now);
    void *arg;
};

struct medshapefs_exported {
    uint64_t added, failed;      /* files of this run */
    uint64_t packs, files, text; /* in the folder now: the newest version of each file */
    uint64_t bytes;              /* of the packs */
    unsigned remarks;
};

/* Adds what a folder of packs does not have yet, with its index, licences and citations, and reads
 * all that was written again. Where another process serves the collection, the files are read
 * through its mount. What was packed before a failure stays and counts for the next run. 0 or
 * -errno with `e` (-ENOENT: no such folder; -ENODATA: no catalogue yet; -EINVAL: no query); files
 * that could not be had are remarks. */
int medshapefs_export(const struct medshapefs_export *o, struct medshapefs_exported *out,
                      struct err *e);

/* ---- packs ----
 *
 * They need no collection. Callbacks come on the caller's thread, inside the call; those that are
 * said to may be NULL. A `progress` that returns false ends the work soon: -ECANCELED. */

struct medshapefs_pack {
    const char *file;        /* the pack to be made */
    const char *const *path; /* files and folders, `paths` of them */
    size_t paths;
    bool replace; /* an old pack of that name may be replaced */
    bool small;   /* some percent smaller, four times slower */
    /* One line for the user: what is left out, and why. */
    void (*remark)(void *arg, const char *line);
    /* Bytes that were read and bytes that are written; may be NULL. */
    bool (*progress)(void *arg, uint64_t text, uint64_t packed);
    void *arg;
};

struct medshapefs_packed {
    uint64_t files, folders; /* folders: empty ones, which are kept by name */
    uint64_t text, packed;   /* bytes; packed: of the whole pack */
    uint64_t skipped;        /* links, sockets, ... */
    uint64_t failed;         /* could not be read, or changed meanwhile: not in the pack */
};

/* Packs files and folders under the names that tar would give them. Until all is done, there is no
 * file of the pack's name (or the old one). 0 also where some files failed. -EINVAL with `e`: a
 * path that has "..", or two that overlap; -ENOENT: one that is not there; -ENODATA: nothing to
 * pack; -EEXIST: the pack is there already; other -errno. */
int medshapefs_pack(const struct medshapefs_pack *o, struct medshapefs_packed *out, struct err *e);

enum medshapefs_unpacking {
    MEDSHAPEFS_UNPACK,
    MEDSHAPEFS_LIST,   /* only `row` is called */
    MEDSHAPEFS_VERIFY, /* all is unpacked into memory, and each file's SHA-256 is checked */
};

/* A file of a pack, or an empty folder, as listed. Texts live during the call; those that are not
 * known are empty. */
struct medshapefs_packed_file {
    const char *path; /* any bytes but NUL */
    bool folder;
    uint64_t bytes, packed;
    int64_t mtime;
    uint32_t mtime_ns;
    const unsigned char *sha256; /* 32 bytes */
    const char *url, *etag, *dataset;
    const char *licence; /* as the pack's record of that dataset says */
    bool shape;          /* what follows is known */
    const char *health;  /* "ok", "truncated", "empty", "malformed" */
    bool binary, closed;
    uint64_t facets, vertices; /* vertices: UINT64_MAX: too many to be counted */
    float min[3], max[3];
    double surface, volume;
};

struct medshapefs_unpack {
    enum medshapefs_unpacking what;
    const char *file;        /* the pack */
    const char *dir;         /* where to; made where it is missing */
    const char *const *path; /* what of it: files, or folders with all below; none: everything */
    size_t paths;
    bool replace; /* files that are there already with other content may be replaced */
    /* One line for the user: a file that did not come out, and why; a path that matched nothing. */
    void (*remark)(void *arg, const char *line);
    /* LIST: called for each file, until it returns false. */
    bool (*row)(void *arg, const struct medshapefs_packed_file *f);
    /* Bytes that are done, and all that the pack has (0: not known, since `paths` chose some); may
     * be NULL. */
    bool (*progress)(void *arg, uint64_t text, uint64_t all);
    void *arg;
};

struct medshapefs_unpacked {
    uint64_t files, folders, text; /* that came out, were there already, or are listed */
    uint64_t there;                /* those of the files that were there already */
    uint64_t failed;               /* files, and damaged places of the catalogue */
    uint64_t missing;              /* paths that matched nothing */
};

/* Unpacks, lists or verifies a pack, which is a local file. Nothing outside of `dir` is written,
 * and a file has its name only once it is whole. What fails is a remark, and the others come out: 0
 * then too. -ENOENT and others with `e` where the pack or `dir` cannot be used at all, or where the
 * disk is full. Some 64 MiB of memory for packs of any size, and up to 6 threads. */
int medshapefs_unpack(const struct medshapefs_unpack *o, struct medshapefs_unpacked *out,
                      struct err *e);

#endif
