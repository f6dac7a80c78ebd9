#include "fs/fs_i.h"

#include <string.h>

/* Errors mean that the kernel does not know the name or inode: then it has nothing to forget. */

void fs_notify_entry(void *arg, uint64_t folder, const char *name)
{
    const struct fs *fs = arg;
    (void)fuse_lowlevel_notify_inval_entry(fs->session, folder, name, strlen(name));
}

void fs_notify_inode(void *arg, uint64_t ino)
{
    const struct fs *fs = arg;
    (void)fuse_lowlevel_notify_inval_inode(fs->session, ino, 0, 0);
}
