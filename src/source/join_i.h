/* Emits a listing: the rows of the list, in order, with what the shares' answers say of them. */
#ifndef SOURCE_JOIN_I_H
#define SOURCE_JOIN_I_H

#include "base/sort.h"
#include "source/places_i.h"
#include "source/source.h"

/* What is joined. A row of `items` has share_row_key() as its key; its value is the line (8 bytes)
 * and the object's key, which is left out where it equals the name. `answers` as share.h describes
 * them. */
struct join {
    const struct conf_source *src;
    struct source_listing *listing; /* items, duplicates, sized and without_sizes are counted */
    const struct source_sink *sink;
    const struct places *places;
    struct sort *items, *answers;
};

/* Emits all. 0, what the sink returned, or -errno. */
int join_emit(const struct join *j);

#endif
