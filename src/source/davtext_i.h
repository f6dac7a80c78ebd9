/* Texts inside of WebDAV answers: addresses, dates, ETags. Pure. */
#ifndef SOURCE_DAVTEXT_I_H
#define SOURCE_DAVTEXT_I_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends the path of a URL or of an absolute path, each segment decoded once and preceded by '/';
 * empty segments are dropped, so "/" gives nothing. False where there is no path, or a segment is
 * '.' or '..' or has '/' or NUL in it. */
bool davtext_path(struct buf *out, const char *text, size_t len);

/* What a decoded path is to a decoded folder. */
enum davtext_place { DAVTEXT_OUTSIDE, DAVTEXT_SELF, DAVTEXT_CHILD, DAVTEXT_DEEPER };

/* Says it; of a child *name is the rest. */
enum davtext_place davtext_place(const char *folder, size_t folder_len, const char *path,
                                 size_t path_len, const char **name, size_t *name_len);

/* Seconds since 1970 of an RFC 1123, RFC 850, asctime or ISO 8601 date, also with a numeric zone;
 * -1 for anything else. */
int64_t davtext_date(const char *text, size_t len);

/* Copies an ETag with its quotes into `out` of `cap` bytes; "" where it is not quoted, does not fit
 * or has bytes that no header may have. */
void davtext_etag(const char *text, size_t len, char *out, size_t cap);

/* Drops white space at both ends. */
void davtext_trim(const char **text, size_t *len);

#endif
