/* The generated files of the tree: pure text from facts. */
#ifndef CATALOG_TEXTS_H
#define CATALOG_TEXTS_H

#include "base/buf.h"
#include "catalog/registry.h"

#include <stdint.h>

/* What a refresh counted of a dataset. */
struct texts_counts {
    uint64_t shapes;        /* *.stl */
    uint64_t files;         /* all */
    uint64_t bytes;         /* of those whose size is known */
    uint64_t unknown_sizes; /* files whose size is not known yet */
    struct {
        char type[16]; /* suffix in lower case without '.', "" for none */
        uint64_t files;
    } types[16];
    size_t type_count;
};

/* One shape for index.csv; "" and UINT64_MAX (bytes), -1 (mtime) are unknown: empty fields. */
struct texts_row {
    const char *path;
    const char *dataset, *anatomy;
    const char *subject;
    size_t subject_len;
    enum side side;
    const char *licence;
    uint64_t bytes;
    int64_t mtime;
    const char *url;
};

/* README.txt of the root: what this is, how to cite, where to complain. `sources` are the names and
 * URLs of the sources. */
void texts_readme(struct buf *out, const char *const *sources, size_t source_count, uint64_t shapes,
                  uint64_t datasets, int64_t refreshed);

/* CITATION.bib of the root: MedShapeNet itself and each dataset given. */
void texts_citation_all(struct buf *out, const struct dataset *const *datasets, size_t count);

/* CITATION.bib of a dataset; a comment that says so where the source gives none. */
void texts_citation(struct buf *out, const struct dataset *d);

/* LICENSE.txt: the doubt first where there is one, then the terms, or "not stated by the source".
 */
void texts_licence(struct buf *out, const struct dataset *d);

/* dataset.json: id, title, description, licence, homepage, doi, counts, bytes, sources; the doubt
 * first. */
void texts_dataset_json(struct buf *out, const struct dataset *d, const struct texts_counts *counts,
                        const char *const *sources, size_t source_count);

/* The header line of index.csv, CR LF at its end as RFC 4180 has it. Static. */
const char *texts_index_header(void);

/* Appends one line of index.csv (RFC 4180: quoted where needed, CR LF). */
void texts_index_row(struct buf *out, const struct texts_row *row);

#endif
