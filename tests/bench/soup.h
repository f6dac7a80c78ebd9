/* Reads a binary STL as a mesh of distinct vertices in order of first use. */
#ifndef TESTS_BENCH_SOUP_H
#define TESTS_BENCH_SOUP_H

#include "codec/mesh.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOUP_HEAD = 84, SOUP_FACET = 50, SOUP_NORMAL = 12 };

/* The number of the vertex at `at`; `slot` is a hash table of mask + 1 numbers + 1. */
static inline uint32_t soup_vertex(struct mesh *m, uint32_t *slot, uint32_t mask, const void *at)
{
    uint32_t k[3];
    memcpy(k, at, sizeof(k));
    uint32_t h = (k[0] * 0x9e3779b1U ^ k[1]) * 0x85ebca77U ^ k[2];
    for (h = (h ^ h >> 15) * 0xc2b2ae3dU & mask; slot[h] != 0; h = (h + 1) & mask)
        if (memcmp(m->xyz + 3 * (size_t)(slot[h] - 1), k, sizeof(k)) == 0)
            return slot[h] - 1;
    memcpy(m->xyz + 3 * (size_t)m->vertices, k, sizeof(k));
    slot[h] = ++m->vertices;
    return m->vertices - 1;
}

/* Frees what soup_read() or soup_index() made. */
static inline void soup_free(struct mesh *m)
{
    free(m->ref);
    free(m->xyz);
}

/* The mesh of `facets` facets whose 9 coordinates are at `from`, each `step` bytes after the one
 * before. False: out of memory. */
static inline bool soup_index(const unsigned char *from, size_t step, uint32_t facets,
                              struct mesh *m)
{
    uint32_t mask = 1023;
    while (mask < 6 * facets)
        mask = 2 * mask + 1;
    uint32_t *slot = calloc((size_t)mask + 1, sizeof(*slot));
    *m = (struct mesh){facets, 0, malloc(12 * (size_t)facets + 1), malloc(36 * (size_t)facets + 1)};
    if (slot == NULL || m->ref == NULL || m->xyz == NULL) {
        free(slot);
        soup_free(m);
        return false;
    }
    for (uint32_t i = 0; i < 3 * facets; i++)
        m->ref[i] = soup_vertex(m, slot, mask, from + step * (i / 3) + 12 * (size_t)(i % 3));
    free(slot);
    return true;
}

/* Reads up to MESH_FACETS_MAX facets of a binary STL. */
static inline bool soup_read(const char *path, struct mesh *m)
{
    size_t cap = SOUP_HEAD + SOUP_FACET * (size_t)MESH_FACETS_MAX;
    unsigned char *data = malloc(cap);
    FILE *f = fopen(path, "rb");
    size_t n = data != NULL && f != NULL ? fread(data, 1, cap, f) : 0;
    bool fine = n >= SOUP_HEAD && soup_index(data + SOUP_HEAD + SOUP_NORMAL, SOUP_FACET,
                                             (uint32_t)((n - SOUP_HEAD) / SOUP_FACET), m);
    if (f != NULL)
        (void)fclose(f);
    free(data);
    return fine;
}

#endif
