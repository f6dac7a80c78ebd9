/* A mount: from the mount point to the end of its last request. */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "base/err.h"
#include "conf/conf.h"

#include <stdbool.h>

struct session_options {
    const char *mountpoint; /* absolute */
    bool foreground; /* stays in front and logs to stderr; else the process daemonises once the
                        mount answers */
    const char *const
        *refresh_argv; /* the command that refreshes this configuration, ended by NULL */
};

/* Mounts and serves until unmounted or until SIGINT, SIGTERM (with foreground SIGHUP too). In the
 * background it returns 0 in the caller's process once the mount answers, or -errno with `e`:
 * failures are the caller's to print. A mount point that a dead daemon left behind is cleared
 * first. There must be a catalogue. */
int session_run(const struct conf *conf, const struct session_options *o, struct err *e);

/* Unmounts and waits (at most 10 s) for the end of the daemon. A busy mount is detached, and not
 * waited for: its daemon ends when the last user lets go. -EINVAL: not a mount of ours. */
int session_unmount(const char *mountpoint, struct err *e);

/* Calls `row` with each mount point of type fuse.medshapefs, unescaped, until it returns false. 0
 * or -errno. */
int session_mounts(bool (*row)(void *arg, const char *mountpoint), void *arg);

#endif
