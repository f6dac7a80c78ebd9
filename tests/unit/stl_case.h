/* Shapes for tests of the codec, written as STL by many hands. */
#ifndef TESTS_UNIT_STL_CASE_H
#define TESTS_UNIT_STL_CASE_H

#include "base/buf.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* How a program writes STL. */
struct hand {
    const char *name;
    const char *head, *tail; /* without the newline */
    const char *facet, *loop, *vertex, *endloop, *endfacet;
    const char *vertex_format, *normal_format; /* printf's, of one double */
    bool single;                               /* normals are rounded to float32 */
};

#define VTK_HEAD "solid Visualization Toolkit generated SLA File"

static const struct hand hands[] = {
    {"vtk", VTK_HEAD, "endsolid", " facet normal ", "  outer loop", "   vertex ", "  endloop",
     " endfacet", "%.17g", "%.17g", false},
    {"vtk before 9", VTK_HEAD, "endsolid", " facet normal ", "  outer loop", "   vertex ",
     "  endloop", " endfacet", "%.6g", "%.6g", false},
    {"admesh", "solid  Processed by ADMesh", "endsolid", "  facet normal ", "    outer loop",
     "      vertex ", "    endloop", "  endfacet", "% .8E", "% .8E", true},
    {"gmsh", "solid Created by Gmsh", "endsolid Created by Gmsh", "facet normal ", "  outer loop",
     "    vertex ", "  endloop", "endfacet", "%.16g", "%g", false},
    {"openscad", "solid OpenSCAD_Model", "endsolid OpenSCAD_Model", "  facet normal ",
     "    outer loop", "      vertex ", "    endloop", "  endfacet", "%.6g", "%.6g", false},
    {"meshlab", "solid vcg", "endsolid vcg", "  facet normal ", "    outer loop", "      vertex  ",
     "    endloop", "  endfacet", "% .6e", "% .6e", true},
    {"fixed", "solid x", "endsolid x", "facet normal ", "  outer loop", "    vertex ", "  endloop",
     "endfacet", "%.6f", "%.6f", false},
    {"upper, tabs", "SOLID X", "ENDSOLID", "\tFACET NORMAL\t", "\t\tOUTER LOOP", "\t\t\tVERTEX\t",
     "\t\tENDLOOP", "\tENDFACET", "%.9E", "%.9E", false},
};

enum { HANDS = sizeof(hands) / sizeof(hands[0]) };

/* Corner (i, j) of a torus of `side` by `side` squares, roughened; coordinates are float32. */
static inline void corner(unsigned side, unsigned i, unsigned j, float v[3])
{
    double a = 6.283185307179586 * (i % side) / side, b = 6.283185307179586 * (j % side) / side;
    double r = 10 + 0.3 * sin(7 * a + 3 * b) + 0.05 * sin(31 * a * b);
    v[0] = (float)(100 + (30 + r * cos(b)) * cos(a));
    v[1] = (float)(-50 + (30 + r * cos(b)) * sin(a));
    v[2] = (float)(r * sin(b));
}

/* The corners of facet `f` of the 2 side^2 that the torus has. */
static inline void torus_facet(unsigned side, unsigned f, float v[3][3])
{
    unsigned i = f / 2 / side, j = f / 2 % side;
    corner(side, i, j, v[0]);
    corner(side, i + 1, f % 2 == 0 ? j : j + 1, v[1]);
    corner(side, f % 2 == 0 ? i + 1 : i, j + 1, v[2]);
}

/* The normal as VTK works it out. */
static inline void vtk_normal(float v[3][3], double n[3])
{
    double a[3], b[3];
    for (unsigned k = 0; k < 3; k++) {
        a[k] = (double)v[2][k] - (double)v[1][k];
        b[k] = (double)v[0][k] - (double)v[1][k];
    }
    for (unsigned k = 0; k < 3; k++)
        n[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
    double l = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (unsigned k = 0; k < 3 && l != 0; k++)
        n[k] /= l;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static inline void write_three(struct buf *out, const char *format, const double v[3], bool single)
{
    for (unsigned k = 0; k < 3; k++) {
        float rounded = (float)v[k];
        buf_str(out, k > 0 ? " " : "");
        buf_fmt(out, format, single ? (double)rounded : v[k]);
    }
}

#pragma GCC diagnostic pop

static inline void write_facet(struct buf *out, const struct hand *h, const char *nl, float v[3][3])
{
    double n[3];
    vtk_normal(v, n);
    buf_str(out, h->facet);
    write_three(out, h->normal_format, n, h->single);
    buf_fmt(out, "%s%s%s", nl, h->loop, nl);
    for (unsigned k = 0; k < 3; k++) {
        double x[3] = {(double)v[k][0], (double)v[k][1], (double)v[k][2]};
        buf_str(out, h->vertex);
        write_three(out, h->vertex_format, x, false);
        buf_str(out, nl);
    }
    buf_fmt(out, "%s%s%s%s", h->endloop, nl, h->endfacet, nl);
}

/* A torus of 2 side^2 facets as text. */
static inline void write_torus(struct buf *out, const struct hand *h, const char *nl, unsigned side)
{
    float v[3][3];
    buf_fmt(out, "%s%s", h->head, nl);
    for (unsigned f = 0; f < 2 * side * side; f++) {
        torus_facet(side, f, v);
        write_facet(out, h, nl, v);
    }
    buf_fmt(out, "%s%s", h->tail, nl);
}

static inline void add_float(struct buf *out, float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof(u));
    buf_le(out, u, 4);
}

/* The same as binary STL, with the formula's normals. */
static inline void write_binary_torus(struct buf *out, unsigned side)
{
    static const char head[80] = "Visualization Toolkit generated SLA File";
    buf_add(out, head, sizeof(head));
    buf_le(out, 2 * side * side, 4);
    for (unsigned f = 0; f < 2 * side * side; f++) {
        float v[3][3];
        double n[3];
        torus_facet(side, f, v);
        vtk_normal(v, n);
        for (unsigned k = 0; k < 3; k++)
            add_float(out, (float)n[k]);
        for (unsigned k = 0; k < 9; k++)
            add_float(out, v[k / 3][k % 3]);
        buf_le(out, 0, 2);
    }
}

#endif
