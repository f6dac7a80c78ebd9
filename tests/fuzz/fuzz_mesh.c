/* Packed meshes of any bytes: refused, or a mesh within its bounds that packs and comes back; and
 * any bytes as a mesh. */
#include "codec/mesh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FACETS = 800 };

static void check(int fine)
{
    if (!fine)
        abort();
}

static void there_and_back(struct mesh_coder *c, const struct mesh *m, unsigned effort)
{
    size_t cap = mesh_bound(m->facets, m->vertices);
    unsigned char *out = malloc(cap);
    struct mesh back = {0, 0, malloc(12 * (size_t)m->facets + 1),
                        malloc(12 * (size_t)m->vertices + 1)};
    check(out != NULL && back.ref != NULL && back.xyz != NULL);
    size_t len = mesh_encode(c, m, effort, out, cap);
    check(len > 0 && len <= cap);
    check(mesh_decode(c, out, len, m->facets, m->vertices, &back) == 0);
    check(back.facets == m->facets && back.vertices == m->vertices);
    check(memcmp(back.ref, m->ref, 12 * (size_t)m->facets) == 0);
    check(memcmp(back.xyz, m->xyz, 12 * (size_t)m->vertices) == 0);
    free(out);
    free(back.ref);
    free(back.xyz);
}

/* Each byte is a reference: new, near or anywhere; positions are the bytes themselves. Positions
 * need not be distinct for the coder. */
static void as_mesh(struct mesh_coder *c, const uint8_t *data, size_t size, struct mesh *m)
{
    m->facets = (uint32_t)(size / 3 < FACETS ? size / 3 : FACETS);
    m->vertices = 0;
    for (uint32_t i = 0; i < 3 * m->facets; i++) {
        uint32_t back = data[i] < 16   ? data[i]
                        : data[i] < 64 ? 0
                                       : data[i] * 8U % (m->vertices + 1);
        m->ref[i] = back < m->vertices + 1 ? m->vertices - back : m->vertices;
        m->vertices += m->ref[i] == m->vertices;
    }
    for (uint32_t i = 0; i < 3 * m->vertices; i++)
        memcpy(m->xyz + i, data + i * 7U % (size - 2), 3);
    there_and_back(c, m, size % 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mesh_coder *c = mesh_coder_new(FACETS, 1);
    struct mesh m = {0, 0, calloc(FACETS, 12), calloc(FACETS, 36)};
    check(c != NULL && m.ref != NULL && m.xyz != NULL);
    int r = mesh_decode(c, data, size, FACETS, 3 * FACETS, &m);
    check(r == 0 || r == -EBADMSG);
    if (r == 0) {
        check(m.facets <= FACETS && m.vertices <= 3 * m.facets);
        there_and_back(c, &m, MESH_FAST);
    }
    if (size >= 3)
        as_mesh(c, data, size, &m);
    mesh_coder_free(&c);
    free(m.ref);
    free(m.xyz);
    return 0;
}
