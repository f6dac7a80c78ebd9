/* What the encoder of blocks puts into a facts_part, in order of the text. */
#ifndef CODEC_FACTS_I_H
#define CODEC_FACTS_I_H

#include "codec/facts.h"
#include "codec/mesh.h"
#include "codec/stl.h"

/* Empties the part, for another block. NULL is fine, here and below. */
void facts_part_clear(struct facts_part *p);

/* Adds bytes that are to be read as they are. */
void facts_part_text(struct facts_part *p, const void *bytes, size_t len);

/* Adds a run of whole facets, which are the next ones of facts_part_mesh(); `apart`: their text
 * begins with a blank. */
void facts_part_run(struct facts_part *p, enum stl_kind kind, uint32_t facets, bool apart);

/* Adds what the mesh of all runs of the block tells. */
void facts_part_mesh(struct facts_part *p, const struct mesh *m);

#endif
