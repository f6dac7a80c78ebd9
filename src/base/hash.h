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

/* Writes 32 lower-case hex digits and a NUL. */
void hash_id_hex(const struct hash_id *id, char out[33]);

#endif
