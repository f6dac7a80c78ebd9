/* The command line: one table of commands. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* Runs the command that `argv` names and returns the exit status: 0 done, 1 failed, 2 wrong usage,
 * 3 partly done, 4 not found. Called as mount.medshapefs (or by `mount -t`) it is `mount SOURCE
 * MOUNTPOINT -o ...`. */
int cli_run(int argc, char **argv);

#endif
