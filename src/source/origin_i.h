/* The text of a list: from disk, or from the network into a spool file, and what is kept of it
 * between refreshes. */
#ifndef SOURCE_ORIGIN_I_H
#define SOURCE_ORIGIN_I_H

#include "base/buf.h"
#include "source/fetch_i.h"

/* Gets the list of `src` and appends the path of the file that holds it to `path`; l->unchanged is
 * set where the server said 304, and the file is the kept one then. 0, or -errno with `e`. Judges
 * nothing but status and media type. */
int origin_get(const struct conf_source *src, struct source_listing *l, const struct fetch *f,
               struct buf *path, struct err *e);

/* Moves what origin_get() fetched to where the next refresh looks for it. */
void origin_keep(const struct conf_source *src, const struct source_listing *l);

#endif
