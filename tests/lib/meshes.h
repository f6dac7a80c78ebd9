/* Meshes for tests of the mesh coder. */
#ifndef TESTS_LIB_MESHES_H
#define TESTS_LIB_MESHES_H

#include "codec/mesh.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A random number of 32 bits. */
static inline uint32_t meshes_chance(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(*seed >> 32);
}

/* Frees what the others made. */
static inline void meshes_free(struct mesh *m)
{
    free(m->ref);
    free(m->xyz);
}

/* Makes a mesh of `facets` triples of positions, 9 floats each, in order of first use; positions
 * are the same where their bits are. Slow for large ones. */
static inline void meshes_index(struct mesh *m, const float *soup, uint32_t facets)
{
    uint32_t mask = 1023;
    while (mask < 6 * facets)
        mask = 2 * mask + 1;
    uint32_t *slot = calloc((size_t)mask + 1, sizeof(*slot));
    *m = (struct mesh){facets, 0, malloc(12 * (size_t)facets + 1), malloc(36 * (size_t)facets + 1)};
    if (slot == NULL || m->ref == NULL || m->xyz == NULL)
        abort();
    for (uint32_t i = 0; i < 3 * facets; i++) {
        uint32_t k[3];
        memcpy(k, soup + 3 * (size_t)i, sizeof(k));
        uint32_t h = ((k[0] * 0x9e3779b1U ^ k[1]) * 0x85ebca77U ^ k[2]) * 0xc2b2ae3dU;
        for (h = (h ^ h >> 15) & mask;; h = (h + 1) & mask) {
            if (slot[h] == 0) {
                memcpy(m->xyz + 3 * (size_t)m->vertices, k, sizeof(k));
                slot[h] = ++m->vertices;
            }
            if (memcmp(m->xyz + 3 * (size_t)(slot[h] - 1), k, sizeof(k)) == 0)
                break;
        }
        m->ref[i] = slot[h] - 1;
    }
    free(slot);
}

/* Random references to at most `vertices` random positions. */
static inline void meshes_random(struct mesh *m, uint32_t facets, uint32_t vertices, uint64_t seed)
{
    float *soup = malloc(36 * (size_t)facets + 1);
    if (soup == NULL)
        abort();
    for (uint32_t i = 0; i < 3 * facets; i++) {
        uint32_t pick = vertices >= 3 * facets ? i : meshes_chance(&seed) % vertices;
        for (uint32_t k = 0; k < 3; k++)
            soup[3 * (size_t)i + k] = (float)((pick * 2654435761U >> 8) + k * pick) / 1024;
    }
    meshes_index(m, soup, facets);
    free(soup);
}

/* A grid of n by k squares, bent to a torus (closed), or cut open along both seams. */
static inline void meshes_torus(struct mesh *m, uint32_t n, uint32_t k, bool cut)
{
    float *soup = malloc(72 * (size_t)n * k + 1), *p = soup;
    if (soup == NULL)
        abort();
    for (uint32_t i = 0; i < 6 * n * k; i++) {
        static const uint8_t right[6] = {0, 1, 1, 0, 1, 0}, up[6] = {0, 0, 1, 0, 1, 1};
        uint32_t x = i / 6 / k + right[i % 6], y = i / 6 % k + up[i % 6];
        float u = 6.0F * (float)(cut ? x : x % n) / (float)n,
              v = 6.0F * (float)(cut ? y : y % k) / (float)k;
        /* Sines by their first terms: the same bits everywhere matter, the shape does not. */
        float su = u - u * u * u / 6 + u * u * u * u * u / 120;
        float sv = v - v * v * v / 6 + v * v * v * v * v / 120;
        *p++ = 100 + (20 + 5 * sv) * su;
        *p++ = (20 + 5 * sv) * u - 60;
        *p++ = 7 * v + su / 3;
    }
    meshes_index(m, soup, 2 * n * k);
    free(soup);
}

/* `n` facets about one vertex, none of which share an edge. */
static inline void meshes_fan(struct mesh *m, uint32_t n)
{
    float *soup = calloc(9 * (size_t)n + 1, sizeof(*soup));
    if (soup == NULL)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        soup[9 * i + 3] = (float)i + 1;
        soup[9 * i + 7] = (float)i + 1;
    }
    meshes_index(m, soup, n);
    free(soup);
}

/* The mesh of an STL text. */
static inline void meshes_parse(struct mesh *m, const char *text)
{
    size_t cap = strlen(text) / 100 + 1;
    float *soup = malloc(36 * cap);
    uint32_t n = 0;
    if (soup == NULL)
        abort();
    for (const char *p = strstr(text, "vertex "); p != NULL && n < 3 * cap; n++) {
        char *end;
        p += 7;
        for (uint32_t k = 0; k < 3; k++, p = end)
            soup[3 * (size_t)n + k] = strtof(p, &end);
        p = strstr(p, "vertex ");
    }
    meshes_index(m, soup, n / 3);
    free(soup);
}

#endif
