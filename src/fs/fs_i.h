/* Private to the fs layer. FUSE's header is included here and nowhere else outside of it. */
#ifndef FS_FS_I_H
#define FS_FS_I_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "conf/conf.h"
#include "medshapefs.h"

#include <stdatomic.h>

struct session_options;

/* What each request sees. */
struct fs {
    const struct conf *conf;
    struct medshapefs *core;
    struct fuse_session *session;
    const struct session_options *options;
    uid_t uid;
    gid_t gid;
    int *ready_fd; /* where the parent waits, -1: nobody does (any more) */
};

/* Seconds for which the kernel may remember what does not change: what does is told to it
 * (notify.c). */
#define FS_FOREVER 31536000.0

/* The operations; each sends exactly one reply. */
extern const struct fuse_lowlevel_ops fs_ops;

/* Fills what stat shows. */
void fs_stat(const struct fs *fs, const struct medshapefs_attr *a, struct stat *st);

/* The core's error as FUSE's (a positive errno): the border table. */
int fs_errno(int err);

/* A request that may be answered later, and may be interrupted. */
struct fs_parked;

/* Begins: registers for INTERRUPT. NULL (and ENOMEM was replied) when there is no memory. */
struct fs_parked *fs_park(fuse_req_t req, uint64_t ino);

/* The issuer is through: an interrupt that came too early is looked at once more. */
void fs_park_issued(struct fs_parked *p);

/* The answer is there: no interrupt comes any more; returns the request, which is to be replied to.
 */
fuse_req_t fs_park_end(struct fs_parked *p);

/* Telling the kernel, for medshapefs_watch(); `arg` is struct fs. */
void fs_notify_entry(void *arg, uint64_t folder, const char *name);
/* The same for an inode. */
void fs_notify_inode(void *arg, uint64_t ino);

/* Says to the parent that the mount answers, and begins to watch for changes; called by the INIT
 * request. */
void fs_ready(struct fs *fs);

/* Where a mount is in /proc/self/mountinfo: true and its device numbers; *dead: nobody serves it
 * any more. */
bool fs_find_mount(const char *mountpoint, unsigned *major, unsigned *minor);

/* Unmounts: at once where nobody is in it, else lazily (*busy). 0 or -errno. */
int fs_unmount(const char *mountpoint, bool *busy);

/* Clears what a dead daemon left at the mount point. 0 or -errno with `e`. */
int fs_clear_stale(const char *mountpoint, struct err *e);

#endif
