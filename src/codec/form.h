/* The outer form of a packed mesh block: layout, runs of facets, literals, entries. docs/blocks.md,
 * "Blocks", specifies it. Pure; the reader takes hostile input. */
#ifndef CODEC_FORM_H
#define CODEC_FORM_H

#include "codec/layout.h"
#include "codec/mesh.h"

#include <stddef.h>
#include <stdint.h>

enum {
    FORM_RUNS = 2048, /* of one block, at most */
    FORM_STEP = 208,  /* facets between two entries */
    FORM_ENTRIES = MESH_FACETS_MAX / FORM_STEP,
};

/* A literal and the run of facets after it. The last one has no facets. */
struct form_run {
    uint32_t facets;
    uint32_t literal; /* bytes of it, those of the known text too */
    uint8_t known;    /* number of the known text that it begins with */
};

struct form {
    struct layout layout;
    uint32_t text; /* bytes of the block's text */
    uint32_t facets;
    uint32_t runs;                /* without the last, which has no facets */
    uint32_t literal;             /* bytes of all literals */
    uint32_t own;                 /* of these, those that are no known text */
    uint32_t entries;             /* (facets - 1) / FORM_STEP; see form_entry() */
    uint32_t entry[FORM_ENTRIES]; /* entry[i]: bytes of the facets before (i + 1) FORM_STEP */
    struct form_run run[FORM_RUNS + 1];
};

enum { FORM_LITERALS_PACKED = 1, FORM_NORMALS = 2, FORM_ATTRIBUTES = 4 };

/* The text of number k, and its length; NULL where there is none of that number. */
const char *form_known(unsigned k, size_t *len);

/* The number of the longest known text with which s[0, len) begins. */
uint8_t form_find_known(const char *s, size_t len);

/* Bytes that form_put_head() and form_put_entries() need at most. */
size_t form_head_max(const struct form *f);

/* Writes what stands before the own bytes; returns its length. */
size_t form_put_head(const struct form *f, unsigned flags, unsigned char *out);

/* Reads it; sets all but entry[]. Checks that the text is as long as the facets and literals need
 * at least. 0 or -EBADMSG. */
int form_get_head(struct view *in, size_t text_len, struct form *f, unsigned *flags);

/* Writes the entries; returns their length. */
size_t form_put_entries(const struct form *f, unsigned char *out);

/* Reads them, or works them out (binary). 0 or -EBADMSG. */
int form_get_entries(struct view *in, struct form *f);

/* A varint: at most 5 bytes are written; returns how many. */
size_t form_put_varint(uint32_t v, unsigned char *out);

/* Reads a varint; sets the view's error where there is none. */
uint32_t form_get_varint(struct view *in);

#endif
