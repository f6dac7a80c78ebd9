/* A writer's dialect of STL: the texts between the numbers of a facet, and how numbers are printed.
 * docs/blocks.md, "Layouts", is its packed form. Pure. */
#ifndef CODEC_LAYOUT_H
#define CODEC_LAYOUT_H

#include "base/buf.h"
#include "codec/number.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LAYOUT_TEXTS =
        13, /* text 0, normal x, text 1, ..., normal z, text 3, x, text 4, ..., text 12 */
    LAYOUT_TEXT = 64,
    LAYOUT_ALL_TEXTS = 448, /* bytes of all of them */
    LAYOUT_VERTEX = 75,     /* bytes of a vertex: three numbers and two texts */
    LAYOUT_FACET_MAX = LAYOUT_ALL_TEXTS + 3 * LAYOUT_VERTEX + 3 * NUMBER_LONG,
    LAYOUT_PACKED_MAX = 1 + LAYOUT_TEXTS * (1 + LAYOUT_TEXT) + 4,
};

struct layout_text {
    uint8_t len;
    char s[LAYOUT_TEXT]; /* bytes after len are 0 */
};

struct layout {
    bool binary;        /* then all else but float_normals is empty */
    bool float_normals; /* normals are float32, corrected by the block; else doubles by the formula
                         */
    struct number_format vertex, normal;
    struct layout_text text[LAYOUT_TEXTS];
};

/* Bytes of all texts of a facet. */
size_t layout_text_len(const struct layout *l);

/* The layout of binary STL. */
void layout_binary(struct layout *l);

/* Appends the packed form, the shortest that fits, to `out` (LAYOUT_PACKED_MAX bytes); returns its
 * length. */
size_t layout_put(const struct layout *l, unsigned char *out);

/* Reads a packed form; 0 or -EBADMSG. */
int layout_get(struct view *in, struct layout *l);

/* Guesses the layout of a text from the first whole facets in it. False where there is none. */
bool layout_guess(const char *text, size_t len, struct layout *l);

/* The places of a facet in a text. */
struct layout_facet {
    const char *normal;    /* the three numbers of the normal and the texts between them */
    const char *vertex[3]; /* the same of each vertex */
    uint8_t vertex_len[3];
    uint8_t normal_len;
    const char *end; /* after the facet */
};

/* Finds a facet of this layout at `p`, by its texts alone: what stands in the place of a vertex or
 * the normal is any text up to a newline. False where there is none whole before `end`. */
bool layout_find(const struct layout *l, const char *p, const char *end, struct layout_facet *f);

/* Reads three numbers with texts a and b between them, all of p[0, len), in a format whose flag for
 * blanks is `blank`. */
bool layout_numbers(const struct layout *l, unsigned a, bool blank, const char *p, size_t len,
                    float v[3]);

#endif
