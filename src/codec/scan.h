/* A block's text to runs of facets and their mesh, by a known layout. Pure; memory is taken once.
 */
#ifndef CODEC_SCAN_H
#define CODEC_SCAN_H

#include "codec/form.h"
#include "codec/mesh.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCAN_EXCEPTIONS = 1024 };

/* What a scan finds; its arrays live until the next scan. */
struct scan {
    struct form form;                   /* layout: set by the caller; all else by the scan */
    uint32_t literal_at[FORM_RUNS + 1]; /* where in the text each run's literal begins */
    struct mesh mesh;
    float *normal;       /* 3 a facet, as the text has them; where the layout's are float */
    uint16_t *attribute; /* of a binary block */
    bool attributes;     /* one of them is not 0 */
    /* Where facets begin that must stay literal, in ascending order; set by the caller. */
    uint32_t exceptions;
    uint32_t exception[SCAN_EXCEPTIONS];
};

struct scanner;

/* Memory for blocks of CODEC_BLOCK_MAX bytes; NULL when out of memory. */
struct scanner *scanner_new(void);
/* Frees it; NULL is fine. */
void scanner_free(struct scanner *s);
/* What its last scan found. */
struct scan *scanner_scan(struct scanner *s);

/* Scans a text in the layout that the scan has. False where too much of it is no facet of that
 * layout. */
bool scanner_text(struct scanner *s, const char *text, size_t len);

/* Scans a block of a binary file in which it stands at `offset`. False where it has no whole
 * facet. */
bool scanner_binary(struct scanner *s, const unsigned char *bytes, size_t len, uint64_t offset);

#endif
