/* What a refresh found, as text. Pure. */
#ifndef CLI_REFRESH_TEXT_I_H
#define CLI_REFRESH_TEXT_I_H

#include "base/buf.h"
#include "medshapefs.h"

/* Appends the line that `refresh` prints. */
void refresh_text(struct buf *out, const struct medshapefs_refreshed *r);

/* Appends the object that `refresh --json` prints, with a newline. */
void refresh_json(struct buf *out, const struct medshapefs_refreshed *r);

#endif
