/* What one URL of a list says: pure, no I/O. */
#ifndef SOURCE_PLACE_I_H
#define SOURCE_PLACE_I_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Longest URL that is taken. */
enum { PLACE_URL_MAX = 16384 };

/* A URL taken apart. The slices are of the text that was given; the buffers are decoded bytes,
 * reused by each call. */
struct place_url {
    const char *link, *key; /* URL = link + key, without a fragment; link is empty where no other
                               URL can share it */
    size_t link_len, key_len;
    bool share;               /* a download link of a public share: base and token are set */
    const char *base, *token; /* text before [/index.php]/s/TOKEN/download, and the token */
    size_t base_len, token_len;
    struct buf folder; /* no '/' at the ends, no empty, '.' or '..' segment, no NUL */
    struct buf name;   /* not empty; any bytes */
};

#define PLACE_URL_INIT                                                                             \
    {                                                                                              \
        .folder = BUF_INIT, .name = BUF_INIT                                                       \
    }

/* Takes a URL apart. 0; -EINVAL and *why (a static text) for one that names no file or cannot be
 * asked; -ENOMEM. `p` begins as PLACE_URL_INIT and ends with place_url_free(). */
int place_parse(struct place_url *p, const char *text, size_t len, const char **why);

/* Frees the buffers. */
void place_url_free(struct place_url *p);

#endif
