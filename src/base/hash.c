#include "base/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

uint64_t hash64(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

int hash_id(struct hash_id *out, const void *const *parts, const size_t *lens, size_t count)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (size_t i = 0; ok && i < count; i++) {
        unsigned char prefix[8];
        for (unsigned k = 0; k < 8; k++)
            prefix[k] = (unsigned char)((uint64_t)lens[i] >> (8 * k));
        ok = EVP_DigestUpdate(ctx, prefix, sizeof(prefix)) &&
             EVP_DigestUpdate(ctx, parts[i], lens[i]);
    }
    ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return -ENOMEM;
    memcpy(out->byte, digest, HASH_ID_LEN);
    return 0;
}

void hash_id_hex(const struct hash_id *id, char out[33])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_ID_LEN; i++) {
        out[2 * i] = digits[id->byte[i] >> 4];
        out[2 * i + 1] = digits[id->byte[i] & 15];
    }
    out[32] = '\0';
}

struct hash_sha256 {
    EVP_MD_CTX *md;
    bool bad;
};

static void begin(struct hash_sha256 *h)
{
    h->bad = EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1;
}

struct hash_sha256 *hash_sha256_new(void)
{
    struct hash_sha256 *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return NULL;
    h->md = EVP_MD_CTX_new();
    if (h->md == NULL)
        hash_sha256_free(&h);
    else
        begin(h);
    return h;
}

void hash_sha256_add(struct hash_sha256 *h, const void *data, size_t len)
{
    h->bad = h->bad || EVP_DigestUpdate(h->md, data, len) != 1;
}

int hash_sha256_end(struct hash_sha256 *h, unsigned char out[HASH_SHA256_LEN])
{
    bool bad = h->bad || EVP_DigestFinal_ex(h->md, out, NULL) != 1;
    begin(h);
    return bad ? -ENOMEM : 0;
}

void hash_sha256_free(struct hash_sha256 **h)
{
    if (*h != NULL)
        EVP_MD_CTX_free((*h)->md);
    free(*h);
    *h = NULL;
}
