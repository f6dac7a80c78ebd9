/* Private to the dataset layer: the core that owns everything, and how its parts meet. */
#ifndef DATASET_DATASET_I_H
#define DATASET_DATASET_I_H

#include "base/lock.h"
#include "blob/blob.h"
#include "blob/store.h"
#include "catalog/catalog.h"
#include "catalog/facts.h"
#include "catalog/query.h"
#include "medshapefs.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    SEARCH_MAX = 4096,   /* search folders that the kernel may know */
    SEARCH_LISTED = 100, /* of them in `ls search/` */
    OBJECTS_MAX = 256,   /* blobs that are kept open while nobody reads */
    OBJECT_SLOTS = 1024,
    ERRORS_KEPT = 100,
    STATE_FILES = 3,
    STATE_KEPT = 4,
    STALE_MAX = 4096,
};

#define SEARCH_BIT (1ULL << 62)

/* A catalogue in use; the last one to leave an old one closes it. */
struct shelf {
    struct catalog *catalog;
    atomic_int refs;
};

struct search {
    uint64_t ino; /* 0: a free slot */
    char *query;
    uint64_t used; /* when it was looked up last: a counter */
    uint64_t read; /* when it was read last and had a match; 0: never */
};

struct object;

struct objects {
    struct lock lock;
    pthread_cond_t opened;
    struct object *slot[OBJECT_SLOTS];
    struct object *newest, *oldest; /* by last use */
    size_t count;
    struct learner *learners;
    uint64_t stale[STALE_MAX]; /* nodes whose inode in the kernel stands for old content */
    size_t stale_count;
    uint64_t last_learnt; /* by the getattr before: is somebody walking a folder? 0: none yet */
    bool walk_told;
};

struct failure {
    int64_t time;
    char path[512], url[512], reason[160];
    int status, err;
};

/* One text of a file of .medshapefs/. */
struct state_text {
    char *text;
    size_t len;
    int64_t mtime;
    unsigned edition; /* 1 to 255, over and over; 0: none */
};

/* One of .medshapefs/: made when asked for, at most once a second. The texts before are kept for
 * those who began to read them. */
struct state_file {
    struct state_text kept[STATE_KEPT];
    size_t newest;
    int64_t made; /* clock_ms(), 0: never */
};

struct medshapefs {
    const struct conf *conf;
    enum medshapefs_mode mode;
    char catalog_path[PATH_MAX], facts_path[PATH_MAX], content_dir[PATH_MAX], mountpoint[PATH_MAX];
    int lock_fd;
    int64_t started;
    struct lock shelf_lock;
    struct shelf *shelf; /* protected by shelf_lock */
    struct facts *facts; /* NULL when there are none (BROWSE) */
    struct http *http;
    struct store *store;
    struct blob_env *env;
    struct objects objects;
    struct lock search_lock;
    struct search *search;  /* SEARCH_MAX of them; protected by search_lock */
    uint64_t search_clock;  /* protected by search_lock */
    int64_t search_changed; /* when `ls search/` became another; protected by search_lock */
    struct lock state_lock;
    struct failure *failures; /* ring of ERRORS_KEPT; protected by state_lock */
    size_t failure_next, failure_count;
    struct state_file state[STATE_FILES]; /* protected by state_lock */
    struct medshapefs_watcher watcher;
    char **refresh_argv;
    int wake_fd; /* eventfd of the watching thread, -1: it does not run */
    pthread_t watch_thread;
    atomic_bool ending;
    struct lock change_lock;
    uint64_t changed[STALE_MAX]; /* ids whose change the kernel is to hear of; protected by
                                    change_lock */
    size_t changed_count;
};

/* ---- dataset.c ---- */

/* The catalogue in use, until shelf_put(). Never NULL after medshapefs_open(). */
struct shelf *shelf_take(struct medshapefs *m);
/* Gives it back and empties *s. */
void shelf_put(struct shelf **s);
/* Puts a new catalogue in the place of the old one, which is returned with the caller's reference.
 */
struct shelf *shelf_swap(struct medshapefs *m, struct catalog *c);

/* ---- tree.c ---- */

/* Node id of an inode and back; search folders have no id (UINT64_MAX). */
uint64_t tree_id(uint64_t ino);
/* Inode of a node. */
uint64_t tree_ino(uint64_t id);

/* Attributes of a node as the catalogue and the facts have them. */
void tree_attr(struct medshapefs *m, const struct catalog *c, struct db_txn *t, uint64_t id,
               const struct node *n, struct medshapefs_attr *out);

/* The path of a node below the mount, without a '/' at its start. */
void tree_path(struct db_txn *t, const struct node *n, struct buf *out);

/* ---- folder.c: folders that list shapes which live elsewhere ---- */

/* Which shapes are in it: those of a class, or those that match a query. */
struct folder {
    const struct catalog *catalog;
    struct db_txn *txn;
    uint16_t anatomy; /* CATALOG_NONE: by the query */
    const struct query *query;
};

/* True where the shape is in the folder. */
bool folder_has(const struct folder *f, const struct node *n);

/* The name of a shape in the folder: its own, or STEM~DATASET.stl where another one has it too. */
void folder_name(const struct folder *f, uint64_t id, const struct node *n, struct buf *out);

/* The shape of that name in the folder: true and its id. */
bool folder_find(const struct folder *f, const char *name, uint64_t *id);

/* ---- search.c ---- */

/* The inode of search/<query>, noted; 0 where it cannot be parsed. */
uint64_t search_lookup(struct medshapefs *m, const char *query);
/* The query of a search folder's inode: a text that the caller frees, or NULL (-ESTALE). */
char *search_query(struct medshapefs *m, uint64_t ino);
/* Notes that the folder was read and had a match. */
void search_was_read(struct medshapefs *m, uint64_t ino, int64_t refreshed);
/* When the listing became another, in seconds; it grows with each change, and is later than
 * `refreshed` then, so that the kernel sees that its copy is old. 0: never. */
int64_t search_changed(struct medshapefs *m);
/* Calls `row` for each search folder listed, in order of inode, after `after`, until it returns
 * false. */
void search_list(struct medshapefs *m, uint64_t after,
                 bool (*row)(void *arg, uint64_t ino, const char *query), void *arg);
/* Inodes of all search folders that the kernel may know; at most `max`. Returns how many. */
size_t search_inodes(struct medshapefs *m, uint64_t *out, size_t max);
/* Frees the table. */
void search_free(struct medshapefs *m);

/* ---- spec.c ---- */

/* A file with all that asking for it needs; the texts live until spec_free(). */
struct spec {
    struct source_place place;
    char *key;
    struct blob_extents extents;
    struct blob_extent *blocks;
    char tag[72];
    struct blob_object object;
    uint64_t url; /* as facts name it */
    uint32_t generation;
    bool known;
};

/* The URL of a file, as users see it; nothing where there is no such place. */
void object_url(struct db_txn *t, const struct node *n, struct buf *out);

/* What facts know an object by. */
uint64_t object_fact_url(struct slice link, struct db_slice place, struct slice key);

/* Loads what asking for a file needs, as the catalogue and the facts have it; the caller ends it
 * with spec_free(). 0 or -errno (-ESTALE: there is no such file any more). */
int spec_load(struct medshapefs *m, uint64_t id, struct spec *s);
/* Frees its texts. */
void spec_free(struct spec *s);

/* The version of a file in force: the listing's, or what was learnt since. True where its size is
 * known. */
bool object_version(struct medshapefs *m, const struct catalog *c, struct db_txn *t, uint64_t id,
                    const struct node *n, struct blob_version *v, uint32_t *generation);

/* ---- neighbours.c ---- */

/* Tells the blobs of a small file's neighbours in its pack: see struct blob_env_options. `arg` is
 * the core. */
void object_neighbours(void *arg, uint64_t id, bool before,
                       bool (*row)(void *row_arg, const struct blob_object *o), void *row_arg);

/* ---- object.c ---- */

/* Prepares and ends the table of objects; ending waits for nobody: close http first. */
void objects_init(struct medshapefs *m);
/* Ends it. */
void objects_free(struct medshapefs *m);

/* Closes the file's blob: who reads it gets -ESTALE. */
void object_retire(struct medshapefs *m, uint64_t id);

/* Lets go of the file's blob, so that the next read opens it anew; who reads goes on. */
void object_reopen(struct medshapefs *m, uint64_t id);

/* Reads a file's bytes. */
void object_read(struct medshapefs *m, uint64_t id, uint64_t off, size_t len,
                 void (*done)(void *arg, struct medshapefs_data data), void *arg);

/* Takes a parked read or getattr back. */
bool object_cancel(struct medshapefs *m, uint64_t id, void *arg);

/* ---- size.c ---- */

/* Learns a file's size, then answers with its attributes. */
void size_learn(struct medshapefs *m, uint64_t id,
                void (*done)(void *, int, const struct medshapefs_attr *), void *arg);

/* Takes a parked getattr back; false where there is none. */
bool size_cancel(struct medshapefs *m, uint64_t id, const void *arg);

/* ---- change.c ---- */

/* Callbacks for the blobs. */
void object_changed(void *arg, uint64_t id, const struct blob_version *now);
/* A failure, for errors.json. */
void object_failed(void *arg, const struct blob_failure *f);

/* True where the kernel's inode of that node stands for old content; a lookup ends that. */
bool object_stale(struct medshapefs *m, uint64_t id);
/* The kernel was given the new generation. */
void object_renewed(struct medshapefs *m, uint64_t id);
/* A refresh brought other content: whoever has the old one open gets -ESTALE. */
void object_replaced(struct medshapefs *m, uint64_t id);

/* ---- state.c ---- */

/* Attributes of a file of .medshapefs/ by its inode (made anew when older than a second) or by that
 * of an edition. False: the edition is not kept any more. */
bool state_attr(struct medshapefs *m, uint64_t ino, struct medshapefs_attr *out);
/* Reads from an edition, or from the text that the last state_attr() made; -ESTALE. */
void state_read(struct medshapefs *m, uint64_t ino, uint64_t off, size_t len,
                void (*done)(void *arg, struct medshapefs_data data), void *arg);
/* The file's id and name by position, or 0 at the end. */
uint64_t state_file_at(size_t i, const char **name);
/* Notes a failure. */
void state_failure(struct medshapefs *m, const struct failure *f);
/* Frees texts and failures. */
void state_free(struct medshapefs *m);

/* ---- status.c: the texts of .medshapefs/ ---- */

/* Writes status.json, metrics or errors.json. No lock may be held. */
void status_write(struct medshapefs *m, uint64_t id, struct buf *out);

/* ---- reload.c ---- */

/* Ends the watching thread; reload_tell() is still allowed. */
void reload_stop(struct medshapefs *m);
/* Frees what it used, once nobody tells it anything any more. */
void reload_free(struct medshapefs *m);
/* Has the watching thread tell the kernel of a node whose content changed. */
void reload_tell(struct medshapefs *m, uint64_t id);

#endif
