/* A reader of STL, text or binary, for all who want facets: bytes come in pieces of any size, each
 * facet goes to a callback. Memory is bounded whatever comes. Pure.
 *
 * Text: words between blanks, tabs and newlines of any kind, in any case; several solids; the names
 * of solids run to the end of their line, or to the words "facet normal" on it. Numbers as C writes
 * them, of any length up to STL_WORD, with nan and inf. Binary: what is no text in its first
 * STL_HEAD bytes, however it begins. */
#ifndef CODEC_STL_H
#define CODEC_STL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STL_HEAD = 512,         /* bytes that tell text from binary */
    STL_WORD = 512,         /* longest word of the text */
    STL_BINARY_HEADER = 84, /* bytes before the first facet of a binary file */
    STL_BINARY_FACET = 50,
};

enum stl_health {
    STL_OK,
    STL_TRUNCATED, /* ends within a facet or without endsolid; fewer facets than a header says */
    STL_EMPTY,     /* no facet */
    STL_MALFORMED, /* anything that is no STL */
};

struct stl_facet {
    float normal[3];
    float vertex[3][3];
    uint16_t attribute; /* of a binary file */
};

enum stl_kind { STL_UNDECIDED, STL_TEXT, STL_BINARY };

/* The caller owns it; nothing in it needs freeing. */
struct stl_reader {
    void (*facet)(void *arg, const struct stl_facet *f);
    void *arg;
    uint64_t facets;  /* seen so far, those of stl_run() too */
    uint8_t kind;     /* enum stl_kind */
    uint8_t at;       /* where in the grammar */
    bool malformed;   /* nothing is read any more */
    bool not_finite;  /* a vertex was nan or infinite */
    bool normal_next; /* in a name, after the word "facet" */
    uint32_t held;    /* bytes in `hold` */
    uint32_t count;   /* that a binary header declares */
    struct stl_facet now;
    unsigned char hold[STL_HEAD]; /* the head, a word or a record of which the rest is to come */
};

/* Begins a file. `facet` may be NULL for one who wants counts and health only. */
void stl_begin(struct stl_reader *r, void (*facet)(void *arg, const struct stl_facet *f),
               void *arg);

/* Takes the next bytes. */
void stl_feed(struct stl_reader *r, const void *bytes, size_t len);

/* Passes over `facets` whole facets that somebody else has read; `apart`: their text begins with a
 * blank. True where a run of whole facets of this kind may stand here; else the file is malformed
 * from here on. */
bool stl_run(struct stl_reader *r, enum stl_kind kind, uint64_t facets, bool apart);

/* Ends the file and tells its health. */
enum stl_health stl_end(struct stl_reader *r);

/* True where a file that begins with these bytes is text: no control characters among the first
 * STL_HEAD bytes. */
bool stl_is_text(const void *bytes, size_t len);

/* Reads one number of a text with nan and inf; true where it is all of p[0, len). */
bool stl_number(const char *p, size_t len, float *v);

#endif
