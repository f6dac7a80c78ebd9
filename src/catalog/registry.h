/* The source datasets: what is known of each, and the rules that sort file names into them. Built
 * in, extendable. */
#ifndef CATALOG_REGISTRY_H
#define CATALOG_REGISTRY_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum side { SIDE_NONE, SIDE_LEFT, SIDE_RIGHT };

/* A source dataset. Texts are NULL where the source states nothing. */
struct dataset {
    const char *id; /* folder name: "ASOCA", "3D-COSI" */
    const char *title, *description;
    const char *licence;      /* SPDX id, or LicenseRef-...; NULL: not stated */
    const char *licence_text; /* the terms in the source's own words */
    const char *licence_url, *licence_note;
    const char *homepage, *doi, *bibtex;
    const char *const *keywords; /* ended by NULL */
    const char *doubt; /* why it is not certain that its shapes are of this dataset; NULL where the
                          rule is of high confidence */
    bool borrowed;     /* only a pack tells of it: shown where it has files */
};

struct registry;

/* Loads the built-in datasets and then those of the JSON file `extra` (NULL: none; at most 16 MiB),
 * which add or replace by id, rules and all. Its form is that of data/datasets.json, which explains
 * itself under "about"; only "id" of a dataset and "pattern" of a rule must be there; a rule
 * without "order" has 0 and is tried before the built-in ones (10 and up), of equal ones those of
 * `extra` come first. 0 or -errno with `e` (file, line, key). The caller frees with
 * registry_free(). */
int registry_load(const char *extra, struct registry **out, struct err *e);

/* The same with the datasets that packs tell of: a JSON text as that file's, without rules. They
 * only add, and never take the place of one that is there. `records` may be freed after. */
int registry_load_more(const char *extra, const char *records, struct registry **out,
                       struct err *e);

/* Whether a JSON text, which anybody may have written, is one entry that registry_load_more()
 * takes, with exactly that id. 0 or -EINVAL with `e`. Pure. */
int registry_record_check(const char *json, size_t len, const char *id, size_t id_len,
                          struct err *e);

/* Frees it and all that it gave; NULL is fine. */
void registry_free(struct registry *r);

/* Number of datasets, the pseudo dataset "unsorted" (always the last one, no licence) included. */
size_t registry_count(const struct registry *r);

/* Dataset number `i`, in order of id as bytes ("unsorted" last). */
const struct dataset *registry_at(const struct registry *r, size_t i);

/* Number of the dataset with exactly that id, or SIZE_MAX. */
size_t registry_find(const struct registry *r, const char *id);

/* "unstated", or dataset's licence: the name of its folder under licenses/. */
const char *registry_licence(const struct dataset *d);

/* Appends a dataset as an entry of such a file, in one line and without rules: what a pack keeps of
 * it. */
void registry_entry_json(const struct dataset *d, struct buf *out);

/* What a file name says. */
struct shape_name {
    size_t dataset;      /* number; registry_count()-1: unsorted */
    const char *anatomy; /* class, e.g. "lung_lower_lobe"; "" where the name tells none; the
                            registry's text or `scratch` */
    enum side side;
    const char *subject; /* slice of the name */
    size_t subject_len;
    char scratch[256]; /* holds a class that no table has */
};

/* Sorts a file name (decoded, any bytes) by the rules, first match wins; forced dataset number
 * where the configuration names one, else SIZE_MAX. Where it is forced, its own rules are tried
 * first, and the others still tell class and subject. Never fails: what no rule knows is unsorted
 * (or the forced one's), without class and subject. Thread-safe. */
void registry_classify(const struct registry *r, const char *name, size_t len, size_t forced,
                       struct shape_name *out);

/* Class and side of a source's spelling, e.g. "costa1left" -> "rib_1", left. True where the table
 * has it (case and everything but letters and digits ignored); else a class is made of it in
 * `scratch` (at least 256 bytes): its words in lower case with '_' between them, side words taken
 * off, so that only [a-z0-9_] is left, or "". Thread-safe. */
bool registry_anatomy(const struct registry *r, const char *spelling, size_t len,
                      const char **anatomy, enum side *side, char *scratch);

/* BibTeX of MedShapeNet itself. Static. */
const char *registry_medshapenet_bibtex(void);

/* "left", "right" or "". Static. */
const char *side_text(enum side side);

#endif
