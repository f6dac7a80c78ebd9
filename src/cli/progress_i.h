/* What is waited for, on stderr: one line drawn again and again on a terminal, else a line now and
 * then. */
#ifndef CLI_PROGRESS_I_H
#define CLI_PROGRESS_I_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *out;
    bool terminal;
    bool drawn;   /* a line stands there without its newline */
    int64_t next; /* clock_ms() before which nothing is written */
};

/* Prepares it for stderr. */
void progress_begin(struct progress *p);

/* Shows a text. Not on a terminal: the first one after a second of waiting, then one each 10 s. */
void progress_show(struct progress *p, const char *text);

/* Wipes the line, so that something else can be printed. */
void progress_wipe(struct progress *p);

#endif
