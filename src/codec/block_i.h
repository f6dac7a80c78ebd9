/* What the parts of the coder of blocks share: an open block, a printer of its text. */
#ifndef CODEC_BLOCK_I_H
#define CODEC_BLOCK_I_H

#include "codec/block.h"
#include "codec/form.h"
#include "codec/layout.h"
#include "codec/mesh.h"
#include "codec/normals.h"

#include <zstd.h>

enum { BLOCK_VERSION = 1 };

/* A run of facets of an open block, with the literal before it. */
struct open_run {
    uint32_t first, facets;
    uint32_t literal, literal_len; /* in open->literals */
};

/* A block in memory. A mesh block has its arrays behind the struct; one of another codec has its
 * text as one literal and no facet. */
struct codec_open {
    size_t size; /* of the whole allocation */
    uint32_t text;
    uint32_t mean; /* bytes of a facet on the average, 1 and more */
    struct layout layout;
    struct mesh mesh;
    uint32_t runs, entries;
    const struct open_run *run; /* runs + 1, the last without facets */
    const uint32_t *entry;      /* where in the text facet (i + 1) FORM_STEP begins */
    const float *normal;        /* 3 a facet; NULL where they follow as doubles */
    const uint16_t *attribute;  /* NULL: all are 0 */
    const char *literals;
};

struct printer;

/* Scratch memory for printing; NULL when out of memory. */
struct printer *printer_new(void);
/* Frees it; NULL is fine. */
void printer_free(struct printer *p);

/* Prints text[off, off + len) of an open block. 0, or -EBADMSG where it does not print as long as
 * its entries and `text` say. */
int printer_range(struct printer *p, const struct codec_open *o, size_t off, size_t len, char *out);

/* Prints all facets, without the literals, into out[0, cap). Returns the length, or 0 where it does
 * not fit or cannot be printed. */
size_t printer_facets(struct printer *p, const struct codec_open *o, char *out, size_t cap);

/* Scratch memory for unpacking; NULL when out of memory. */
struct opener *opener_new(int encode);
/* Frees it; NULL is fine. */
void opener_free(struct opener *p);

/* Reads the outer form of a mesh block (`in` begins after the two bytes of codec and version) of
 * `text_len` bytes, at most CODEC_BLOCK_MAX. 0 or -EBADMSG. */
int opener_begin(struct opener *p, const void *in, size_t len, size_t text_len);

/* Memory that opener_fill() may need for any block. */
#define OPENER_MAX                                                                                 \
    (sizeof(struct codec_open) + 64 + (FORM_RUNS + 1) * sizeof(struct open_run) +                  \
     FORM_ENTRIES * sizeof(uint32_t) + CODEC_BLOCK_MAX + (size_t)MESH_FACETS_MAX * 62)

/* Fills the open block that was begun in memory that is aligned as malloc's is; o->size tells how
 * much of it is in use. 0 or -EBADMSG. */
int opener_fill(struct opener *p, struct codec_open *o);

/* Copies an open block to `to`, which has from->size bytes. */
void opener_copy(const struct codec_open *from, struct codec_open *to);

/* The coder of meshes and the context of zstd in it, for others while no call runs. */
struct mesh_coder *opener_mesh(struct opener *p);
/* As above. */
ZSTD_DCtx *opener_zstd(struct opener *p);

struct encoder;

/* Memory for packing; NULL when out of memory. */
struct encoder *encoder_new(void);
/* Frees it; NULL is fine. */
void encoder_free(struct encoder *e);

/* The parts of a coder that prove what the encoder makes. */
struct prover {
    struct opener *opener;
    struct printer *printer;
    struct codec_open *arena; /* OPENER_MAX bytes */
};

/* Packs a block as a mesh, and proves it; tells its facts. Returns the length and points *packed at
 * the bytes (from the codec's id on), which live until the next call; 0 where it is no mesh. */
size_t encoder_mesh(struct encoder *e, struct prover *p, const void *text, size_t len,
                    uint64_t offset, enum codec_effort effort, struct facts_part *facts,
                    const unsigned char **packed);

/* Packs by zstd into `out`; returns the length, 0 where that is no less than `len`. */
size_t encoder_zstd(struct encoder *e, const void *text, size_t len, enum codec_effort effort,
                    void *out);

#endif
