/* An external sort: rows of bytes, in memcmp order, in bounded memory; what does not fit goes to
 * unnamed temporary files. Rows that compare equal keep the order in which they were added. One
 * thread. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>

struct sort;

/* A sorter that holds at most `memory` bytes of rows and keeps its runs in folder `dir`. NULL when
 * out of memory. */
struct sort *sort_create(const char *dir, size_t memory);

/* Adds a row: a key by which it is ordered and a value (either may have any bytes). 0 or -errno;
 * -EMSGSIZE for a row that is larger than a quarter of the memory. */
int sort_add(struct sort *s, const void *key, size_t klen, const void *val, size_t vlen);

/* Ends adding and goes to the first row; may be called again to read all rows once more. 0 or
 * -errno. */
int sort_rewind(struct sort *s);

/* The next row in order: returns 1 and the row (valid until the next call), 0 at the end, or
 * -errno. */
int sort_next(struct sort *s, const void **key, size_t *klen, const void **val, size_t *vlen);

/* Frees it and its temporary files, and empties *s. NULL inside is fine. */
void sort_destroy(struct sort **s);

#endif
