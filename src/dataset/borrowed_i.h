/* The datasets that packs tell of, until a registry is made of them. One thread. */
#ifndef DATASET_BORROWED_I_H
#define DATASET_BORROWED_I_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

struct borrowed;

/* None yet; NULL when out of memory. */
struct borrowed *borrowed_new(void);

/* Frees it and empties *b; NULL inside is fine. */
void borrowed_free(struct borrowed **b);

/* Notes a dataset: its id and its entry, or NULL where only the id is known. The first entry of an
 * id counts. One that cannot be taken is left out, and `why` (one line) says so once. 0 or -ENOMEM.
 */
int borrowed_add(struct borrowed *b, const char *id, size_t id_len, const char *json,
                 size_t json_len, struct err *why);

/* Appends all, as registry_load_more() takes them. */
void borrowed_text(const struct borrowed *b, struct buf *out);

#endif
