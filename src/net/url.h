/* URLs: just what listing and reading need. */
#ifndef NET_URL_H
#define NET_URL_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* The parts of an absolute URL, as slices of the text given; no decoding. */
struct url {
    const char *scheme, *host, *path,
        *query; /* host with its port, without user:password@; path from its '/' on;
                   query without '?', NULL when there is none */
    size_t scheme_len, host_len, path_len, query_len;
};

/* Splits an http:// or https:// URL. 0; -EPROTONOSUPPORT for another scheme; -EINVAL for what is
 * none (blanks, control characters, empty host). A fragment is cut off; credentials in it are
 * refused (-EINVAL). */
int url_split(const char *text, size_t len, struct url *u);

/* Finds parameter `name` in a query; the slice is not decoded. False where it is not there. */
bool url_param(const struct url *u, const char *name, const char **value, size_t *len);

/* Appends the URL without query and credentials, for logs and messages. */
void url_redact(struct buf *out, const char *text, size_t len);

#endif
