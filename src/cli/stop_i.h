/* Ctrl-C of a command that has to tidy up: it ends at its next step, and a second one at once. */
#ifndef CLI_STOP_I_H
#define CLI_STOP_I_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP are noted. Call before threads start. */
void stop_begin(void);

/* True once one of them came. Any thread. */
bool stop_asked(void);

#endif
