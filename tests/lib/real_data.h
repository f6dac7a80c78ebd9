/* Files of the real dataset, where they are beside the checkout. */
#ifndef TESTS_LIB_REAL_DATA_H
#define TESTS_LIB_REAL_DATA_H

#include "base/fsio.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Reads file `name` of $MSFS_DATA, else of ../shared/data beside the checkout. False where it is
 * not there. */
static inline bool real_data(const char *name, struct buf *out)
{
    char path[PATH_MAX];
    const char *dir = getenv("MSFS_DATA");
    (void)snprintf(path, sizeof(path), "%s/%s",
                   dir != NULL ? dir : TEST_SOURCE_DIR "/../../shared/data", name);
    return fsio_read_file(path, 64u << 20, out) == 0;
}

#endif
