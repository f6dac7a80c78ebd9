/* What `pack` and `unpack` print. Pure. */
#ifndef CLI_PACK_TEXT_I_H
#define CLI_PACK_TEXT_I_H

#include "base/buf.h"
#include "medshapefs.h"

/* Appends the line that `pack` prints. */
void pack_text(struct buf *out, const char *file, const struct medshapefs_packed *p);

/* Appends the object that `pack --json` prints, with a newline. */
void pack_json(struct buf *out, const char *file, const struct medshapefs_packed *p);

/* Appends the line that `unpack`, or `unpack --verify`, prints. */
void unpack_text(struct buf *out, const struct medshapefs_unpacked *u, bool verify);

/* Appends the object of the same with --json, with a newline. */
void unpack_json(struct buf *out, const struct medshapefs_unpacked *u);

/* Appends the line above a listing. */
void unpack_list_head(struct buf *out);

/* Appends the line of a file in a listing. */
void unpack_list_text(struct buf *out, const struct medshapefs_packed_file *f);

/* Appends the object of a file in a listing. */
void unpack_list_json(struct buf *out, const struct medshapefs_packed_file *f);

#endif
