/* Output: human units, aligned tables, members of JSON objects. Pure. */
#ifndef CLI_TEXT_I_H
#define CLI_TEXT_I_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends bytes for people: "0", "512", "1.5K", "20G", "1.9T" (powers of 1024, rounded to nearest).
 */
void text_bytes(struct buf *out, uint64_t bytes);

/* Appends the bytes of which `unknown` files have no known size yet: "1.9T", "1.9T+?", or "?" where
 * none is known. */
void text_bytes_partly(struct buf *out, uint64_t bytes, uint64_t unknown, uint64_t files);

/* Appends a span of time in its two largest units: "45 s", "2 min 5 s", "3 d 4 h". */
void text_span(struct buf *out, uint64_t seconds);

/* Appends `part` of `whole` in per cent: "97.3 %"; "-" where the whole is 0. */
void text_percent(struct buf *out, uint64_t part, uint64_t whole);

/* Appends a text that came from outside, as a terminal may have it: control characters become '?'.
 */
void text_plain(struct buf *out, const char *text);

/* Appends `, "name": ` (without the comma after '{' or '['). */
void text_key(struct buf *out, const char *name);

/* Appends a member with a text; NULL becomes null. */
void text_member(struct buf *out, const char *name, const char *value);

/* Appends a member with a number. */
void text_number(struct buf *out, const char *name, uint64_t value);

/* Appends a member with a truth value. */
void text_truth(struct buf *out, const char *name, bool value);

/* A table that is aligned once all of its cells are there. */
struct table {
    size_t columns;
    unsigned right;   /* bit i: column i is right-aligned */
    struct buf cells; /* each ended by NUL, row after row */
};

/* Adds the next cell. */
void table_cell(struct table *t, const char *text);

/* Appends the rows, two blanks between columns, none at the ends of lines; frees the cells. 0 or
 * -ENOMEM (of `out` too). */
int table_write(struct table *t, struct buf *out);

#endif
