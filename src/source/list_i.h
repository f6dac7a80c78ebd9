/* Lines of a list, from chunks of it: pure, bounded memory. */
#ifndef SOURCE_LIST_I_H
#define SOURCE_LIST_I_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line that is handed on; bytes at the start of a list that list_refusal() judges. */
enum { LIST_LINE_MAX = 16384, LIST_HEAD = 4096 };

/* A line with something on it: neither blank nor a comment. `text` has no white space at its ends
 * and is valid during the call; a line that is too long or has control characters comes with `why`
 * and without text. 0, or -errno to stop. */
typedef int list_line_fn(void *arg, uint64_t number, const char *text, size_t len, const char *why);

struct list {
    list_line_fn *line;
    void *arg;
    uint64_t number;  /* lines ended so far */
    struct buf carry; /* start of a line whose end has not come */
    bool too_long;    /* of the line in `carry`, which is dropped */
};

/* Begins a list. */
void list_begin(struct list *l, list_line_fn *line, void *arg);

/* Takes the next bytes. 0, what `line` returned, or -ENOMEM. */
int list_feed(struct list *l, const char *data, size_t len);

/* Ends the list: its last line needs no newline. Returns as list_feed(); frees the memory in any
 * case. */
int list_end(struct list *l);

/* Why these first bytes (at most LIST_HEAD are looked at) are no list of links, as a static text
 * ("an HTML page"), or NULL. */
const char *list_refusal(const char *head, size_t len);

#endif
