/* `medshapefs refresh` as a process of its own, whose memory goes with it. */
#ifndef CLI_REFRESH_COMMAND_I_H
#define CLI_REFRESH_COMMAND_I_H

#include "cli/cli_i.h"

/* The command that refreshes the collection at hand: it works in any folder and for as long as the
 * program stays in place. */
struct refresh_command {
    char *program;
    char *config;
    struct buf options;
    const char *argv[8];
};

/* Fills a zeroed one for the collection that these arguments mean. 0 or -errno; end it with
 * refresh_command_free() in any case. */
int refresh_command_make(struct refresh_command *c, struct args *a, const struct conf *conf);

/* Frees what refresh_command_make() made. */
void refresh_command_free(struct refresh_command *c);

/* Where there is no catalogue yet, refreshes and waits for the end, with this process's stderr.
 * CLI_DONE, or another enum cli_status, told already. */
int refresh_command_first(const struct refresh_command *c, const struct conf *conf);

#endif
