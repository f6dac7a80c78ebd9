/* Search queries: parse once, match rows. Pure. */
#ifndef CATALOG_QUERY_H
#define CATALOG_QUERY_H

#include "base/err.h"
#include "catalog/registry.h"

#include <stdbool.h>
#include <stddef.h>

struct query;

/* What a query looks at of one shape. */
struct query_row {
    const char *name;
    size_t name_len;
    const char *dataset, *anatomy, *licence; /* id; class or ""; SPDX id or "unstated" */
    const char *subject;
    size_t subject_len;
    enum side side;
};

/* Parses a query (contract: terms separated by blanks or '+', '-' excludes, dataset: anatomy:
 * licence: side: subject: ext:). 0 and *out, freed by query_free(), or -EINVAL with a reason in `e`
 * ("unknown field 'size:' (known: ...)", "side: is left, right or none", an empty value, no term at
 * all, a name that begins with '.'). */
int query_parse(const char *text, size_t len, struct query **out, struct err *e);

/* Frees a query; NULL is fine. */
void query_free(struct query *q);

/* True where each term matches. No allocation. Thread-safe. */
bool query_match(const struct query *q, const struct query_row *row);

#endif
