/* Hashes: XXH3 where only accidents matter (checksums, tables), SHA-256 where a remote side chooses
 * the input. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_ID_LEN = 16 };

/* A name for something that a remote side describes: the first 16 bytes of a SHA-256. */
struct hash_id {
    unsigned char byte[HASH_ID_LEN];
};

/* XXH3 of `len` bytes, 64 bits; the same on every machine. */
uint64_t hash64(const void *data, size_t len, uint64_t seed);

/* SHA-256 over the parts, each preceded by its length, cut to 16 bytes. Returns 0 or -ENOMEM. */
int hash_id(struct hash_id *out, const void *const *parts, const size_t *lens, size_t count);

enum { HASH_SHA256_LEN = 32 };

/* A SHA-256 of bytes that come in parts. One thread at a time. */
struct hash_sha256;

/* A fresh one; NULL when out of memory. The caller frees. */
struct hash_sha256 *hash_sha256_new(void);

/* Adds bytes. */
void hash_sha256_add(struct hash_sha256 *h, const void *data, size_t len);

/* Gives the sum of what was added and begins anew. 0 or -ENOMEM (for all that was added). */
int hash_sha256_end(struct hash_sha256 *h, unsigned char out[HASH_SHA256_LEN]);

/* Frees it and empties *h; NULL inside is fine. */
void hash_sha256_free(struct hash_sha256 **h);

/* Writes 32 lower-case hex digits and a NUL. */
void hash_id_hex(const struct hash_id *id, char out[33]);

#endif
