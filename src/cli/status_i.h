/* What a mount says of itself. */
#ifndef CLI_STATUS_I_H
#define CLI_STATUS_I_H

#include "base/buf.h"
#include "base/json.h"

/* Appends MOUNTPOINT/.medshapefs/status.json without the blanks at its end. -ETIMEDOUT where the
 * daemon does not answer within `ms` (the read is made by a process that can be killed), -ENOTCONN
 * where it is gone, or another -errno. */
int status_read(const char *mountpoint, int ms, struct buf *out);

/* Appends the page for people. Pure; members that are missing are left out. */
void status_text(struct buf *out, const struct json *status);

#endif
