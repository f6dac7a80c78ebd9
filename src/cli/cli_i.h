/* What the commands share: their type, exit statuses, messages, the opened collection. */
#ifndef CLI_CLI_I_H
#define CLI_CLI_I_H

#include "cli/options_i.h"

#include "base/err.h"
#include "medshapefs.h"

enum cli_status { CLI_DONE, CLI_FAILED, CLI_USAGE, CLI_PARTLY, CLI_NOT_FOUND };

/* One command of the table in cli.c. */
struct cli_command {
    const char *name;
    const char *usage;   /* its operands and own options */
    const char *summary; /* one line */
    const char *more;    /* further lines of its --help, or "" */
    unsigned options;    /* set of enum option */
    int min, max;        /* how many operands; max -1: any number */
    int (*run)(
        struct args *a); /* returns an enum cli_status; has said why when it is not CLI_DONE */
};

/* Prints the line "medshapefs: TEXT" on stderr for an error that a lower layer filled, or "WHAT:
 * REASON" where it left the text empty. Returns CLI_FAILED. */
int cli_fail(const struct err *e, int rc, const char *what);

/* The collection as commands look at it: names and texts, beside a daemon. */
struct cli_view {
    struct conf *conf;
    struct medshapefs *shapes;
};

/* Reads the configuration that the arguments name. CLI_DONE and *out (conf_free()), or another
 * status, told already. */
int cli_conf(struct args *a, struct conf **out);

/* The same, and opens the collection for looking. CLI_DONE or another status, told already. End it
 * with cli_close(). */
int cli_open(struct args *a, struct cli_view *v);

/* Ends a view, opened or not. */
void cli_close(struct cli_view *v);

/* Writes a text to stdout, whole; a failure is found by cli_run() at the end. Returns CLI_DONE, or
 * CLI_FAILED (told) where the buffer ran out of memory. */
int cli_print(struct buf *text);

/* The absolute name of a folder, links resolved; one whose daemon is gone (ENOTCONN) is named too,
 * by its parent. 0 and *out (the caller frees), or -errno. */
int cli_absolute(const char *path, char **out);

/* The commands. Each returns an enum cli_status and has told why when that is not CLI_DONE. */
int cmd_mount(struct args *a);
/* `mount.medshapefs SOURCE MOUNTPOINT`: SOURCE is "medshapefs", "none", or what source= means. */
int cmd_mount_helper(struct args *a);
/* `unmount MOUNTPOINT`. */
int cmd_unmount(struct args *a);
/* `refresh [--force]`. */
int cmd_refresh(struct args *a);
/* `datasets`. */
int cmd_datasets(struct args *a);
/* `info DATASET`. */
int cmd_info(struct args *a);
/* `cite [DATASET...]`. */
int cmd_cite(struct args *a);
/* `search QUERY`. */
int cmd_search(struct args *a);
/* `cache info`. */
int cmd_cache(struct args *a);
/* `export --packed [DATASET|QUERY|FOLDER] DIR`. */
int cmd_export(struct args *a);
/* `pack PATH...`. */
int cmd_pack(struct args *a);
/* `unpack FILE [PATH...]`. */
int cmd_unpack(struct args *a);
/* `status [MOUNTPOINT]`. */
int cmd_status(struct args *a);

#endif
