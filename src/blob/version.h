/* Which content of an object is meant. */
#ifndef BLOB_VERSION_H
#define BLOB_VERSION_H

#include <stdint.h>

/* What is known of an object's present content. */
struct blob_version {
    uint64_t size;  /* exact; SOURCE_UNKNOWN only for blob_learn() */
    int64_t mtime;  /* seconds, or -1 */
    char etag[128]; /* with quotes, or "" */
};

#endif
