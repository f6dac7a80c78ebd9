/* The command by which a daemon refreshes what it mounts. Pure. */
#ifndef CLI_MOUNT_ARGS_I_H
#define CLI_MOUNT_ARGS_I_H

#include "base/buf.h"

/* Appends the options after -o for a process in another folder: config= goes (its file is given by
 * --config), source= becomes `source` (a URL; NULL: it stays), a relative cache= is put under
 * `folder`. `options` may be NULL. */
void mount_args_options(struct buf *out, const char *options, const char *source,
                        const char *folder);

#endif
