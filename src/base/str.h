/* Text: percent-encoding, UTF-8, names that are safe as one path component. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest name of a file, in bytes (NAME_MAX of Linux). */
enum { STR_NAME_MAX = 255 };

/* Decodes %XX into `out` (at least `len` bytes; may be `in` itself); '+' stays unless
 * plus_is_blank; a '%' that no two hex digits follow stays as it is. Returns the number of bytes,
 * which may include NUL. */
size_t str_percent_decode(const char *in, size_t len, char *out, bool plus_is_blank);

/* Appends `len` bytes, each but A-Za-z0-9-._~ and those in `keep` (may be "") as upper-case %XX. */
void str_percent_encode(struct buf *out, const char *in, size_t len, const char *keep);

/* True where the bytes are well-formed UTF-8 (no overlong form, no surrogate). */
bool str_is_utf8(const char *s, size_t len);

/* Appends the file name for a remote name: bytes that must not be in a name ('/', NUL, control
 * characters, those that are not UTF-8) and the names ".", ".." and "" come percent-encoded; one
 * over 255 bytes is cut, keeps its suffix and gets '~' and 16 hex digits of a hash of the whole.
 * The same input gives the same name, always. */
void str_safe_name(struct buf *out, const char *name, size_t len);

/* Compares without case (ASCII); true when equal. */
bool str_ieq(const char *a, const char *b);

/* True when only letters and digits, case ignored, of both texts agree. */
bool str_loose_eq(const char *a, size_t alen, const char *b, size_t blen);

/* True where `needle` (already lower case) is in `hay`, case ignored (ASCII). */
bool str_icontains(const char *hay, size_t hlen, const char *needle, size_t nlen);

/* True where `s` ends in `suffix`, case ignored. */
bool str_iends(const char *s, size_t len, const char *suffix);

/* Parses decimal digits only; returns 0 or -EINVAL (empty, another character, over 2^63-1). */
int str_u64(const char *s, size_t len, uint64_t *value);

/* Writes seconds since 1970 as 2025-09-19T10:00:00Z into `out` (at least 32 bytes). */
void str_iso_time(int64_t seconds, char *out);

#endif
