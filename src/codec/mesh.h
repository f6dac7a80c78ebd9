/* A triangle mesh as few bytes: references by open-edge tokens, vertices by parallelogram
 * prediction, both entropy coded; small meshes by an adaptive coder with start tables that were
 * learnt from shapes. Pure: the same bytes give the same mesh on every machine. The decoder takes
 * hostile input: it writes within the mesh it was given, in time bound by its capacity, or says
 * -EBADMSG. */
#ifndef CODEC_MESH_H
#define CODEC_MESH_H

#include <stddef.h>
#include <stdint.h>

enum {
    MESH_FACETS_MAX = 84000, /* of one block: 4 MiB of binary STL at 50 bytes a facet */
    MESH_VERTICES_MAX = 3 * MESH_FACETS_MAX,
};

/* Vertices are distinct in their bits (0 and -0 differ) and numbered in order of first use: ref[i]
 * is at most the number of vertices that were used before it. Any float32 bits may be in it, NaN
 * too. */
struct mesh {
    uint32_t facets, vertices;
    uint32_t *ref; /* 3 a facet */
    float *xyz;    /* 3 a vertex */
};

enum mesh_effort {
    MESH_FAST,  /* zstd -3 of the streams; 400 MB/s of text and more */
    MESH_SMALL, /* zstd -19: a tenth smaller at most, 100 MB/s */
};

/* All memory of a coder: none is allocated while it works. */
struct mesh_coder;

/* A coder for meshes of at most `facets` facets (and 3 times as many vertices). `encode`: for both
 * ways, else for decoding only. NULL when out of memory. One thread at a time. */
struct mesh_coder *mesh_coder_new(uint32_t facets, int encode);

/* Frees it and empties *c; NULL inside is fine. */
void mesh_coder_free(struct mesh_coder **c);

/* Largest packed size of a mesh. */
size_t mesh_bound(uint32_t facets, uint32_t vertices);

/* Packs the mesh into `out` of `cap` bytes, which are at least mesh_bound(): returns the length, 0
 * where the coder cannot hold the mesh. Chooses between its ways by size. */
size_t mesh_encode(struct mesh_coder *c, const struct mesh *m, enum mesh_effort effort,
                   unsigned char *out, size_t cap);

/* Unpacks into m->ref and m->xyz, which have room for `facets_cap` facets and `vertices_cap`
 * vertices; sets m->facets and m->vertices. 0, or -EBADMSG (what was written is worthless then). */
int mesh_decode(struct mesh_coder *c, const unsigned char *in, size_t len, uint32_t facets_cap,
                uint32_t vertices_cap, struct mesh *m);

#endif
