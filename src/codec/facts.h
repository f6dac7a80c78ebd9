/* What reading a shape tells for nothing: counts, box, surface, volume, whether it is closed, and
 * its health. Added up block by block in file order, in bounded memory. Pure. */
#ifndef CODEC_FACTS_H
#define CODEC_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum facts_health {
    FACTS_UNKNOWN, /* no STL */
    FACTS_OK,
    FACTS_TRUNCATED, /* ends within a facet or without endsolid; fewer facets than a binary header
                        says */
    FACTS_EMPTY,     /* no facet */
    FACTS_MALFORMED, /* anything that is no STL inside one */
};

/* The facts of a whole file. */
struct facts {
    uint8_t health; /* enum facts_health */
    bool binary;
    bool closed; /* each edge is used as often in one direction as in the other */
    uint64_t facets;
    uint64_t vertices; /* distinct ones; FACTS_NO_COUNT where there are too many to count */
    float min[3], max[3];
    double surface; /* in the file's unit, squared */
    double volume;  /* signed sum over the facets; of meaning where closed */
};

#define FACTS_NO_COUNT UINT64_MAX

/* What one block adds. The encoder fills it; facts_add() takes it. Memory as its implementation
 * needs; see facts.c. */
struct facts_part;

/* A part for one block at a time, to be used again; NULL when out of memory. */
struct facts_part *facts_part_new(void);
/* Frees it and empties *p; NULL inside is fine. */
void facts_part_free(struct facts_part **p);

/* A file's facts while its blocks come. */
struct facts_sum;

/* Begins a file; NULL when out of memory. */
struct facts_sum *facts_new(void);
/* Frees it and empties *s; NULL inside is fine. */
void facts_free(struct facts_sum **s);
/* Makes it ready for another file. */
void facts_reset(struct facts_sum *s);

/* Adds a file's next block: `part` as codec_encode() filled it for that block. */
void facts_add(struct facts_sum *s, const struct facts_part *part);

/* The facts once the file's last block was added; `name` tells an STL by its suffix (.stl in any
 * case): other files have health unknown and no numbers. */
void facts_end(struct facts_sum *s, const char *name, struct facts *out);

/* "unknown", "ok", "truncated", "empty", "malformed". */
const char *facts_health_name(unsigned health);

#endif
