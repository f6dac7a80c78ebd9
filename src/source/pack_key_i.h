/* Keys of objects in packs: one line of text each for the path in the pack, the health, the URL at
 * the origin and the blocks. Pure. */
#ifndef SOURCE_PACK_KEY_I_H
#define SOURCE_PACK_KEY_I_H

#include "base/buf.h"
#include "pack/pack.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends the key of a row, whose blocks pack_key_fits(). */
void pack_key_encode(const struct pack_row *row, struct buf *out);

/* True where the blocks are of the length that this program reads: CODEC_BLOCK_MAX but for the
 * last. */
bool pack_key_fits(const struct pack_row *row);

/* The URL that a row has and that may be shown; empty where it has none or one that is no
 * http(s):// URL. */
struct pack_slice pack_key_origin(const struct pack_row *row);

/* The path's line of a key, percent-encoded: its length. */
size_t pack_key_path(const char *key, size_t len);

/* Appends the URL of an object as source_url() has it. */
void pack_key_url(bool pack, const char *link, size_t link_len, const char *key, size_t key_len,
                  struct buf *out);

#endif
