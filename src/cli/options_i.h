/* Options of the command line: one table for all commands, one parser. */
#ifndef CLI_OPTIONS_I_H
#define CLI_OPTIONS_I_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* What can be given; a set of these says what a command takes. */
enum option {
    OPTION_HELP = 1 << 0,
    OPTION_VERSION = 1 << 1,
    OPTION_CONFIG = 1 << 2,
    OPTION_MOUNT = 1 << 3, /* -o */
    OPTION_JSON = 1 << 4,
    OPTION_FORCE = 1 << 5,
    OPTION_FOREGROUND = 1 << 6,
    OPTION_URLS = 1 << 7,
    OPTION_PATHS = 1 << 8,
    OPTION_COUNT = 1 << 9,
    OPTION_FAKE = 1 << 10,    /* -f of mount(8): all but the mount itself */
    OPTION_IGNORED = 1 << 11, /* -s, -n, -v of mount(8) */
    OPTION_PACKED = 1 << 12,
    OPTION_SMALL = 1 << 13,
    OPTION_PACK_SIZE = 1 << 14,
    OPTION_OUTPUT = 1 << 15,  /* -o of pack */
    OPTION_REPLACE = 1 << 16, /* -f of pack and unpack */
    OPTION_LIST = 1 << 17,
    OPTION_VERIFY = 1 << 18,
    OPTION_FOLDER = 1 << 19, /* -C */
};

/* The options of a command that reads the configuration. */
enum { OPTIONS_CONF = OPTION_HELP | OPTION_CONFIG | OPTION_MOUNT };

struct args {
    unsigned given;        /* enum option bits */
    const char *config;    /* of --config, or NULL; belongs to argv */
    const char *pack_size; /* of --pack-size, likewise */
    const char *output;    /* of -o of pack */
    const char *folder;    /* of -C */
    struct buf mount;      /* the texts after -o, joined by commas */
    const char **operand;  /* they belong to argv */
    int operands;
};

/* Sorts `argc` arguments (without program and command) into options and operands, in any order;
 * "--" ends the options. `allowed` is the set that is taken. 0, -ENOMEM, or -EINVAL with `e`
 * ("--frob: no such option"). End it with args_free() in any case. */
int args_parse(struct args *a, unsigned allowed, int argc, char **argv, struct err *e);

/* Frees what args_parse() made. */
void args_free(struct args *a);

/* The texts after -o as conf_load() takes them, or NULL where there was none. Lives until
 * args_free(). */
const char *args_mount(struct args *a);

/* Adds one text to those after -o; its commas are escaped where it is a single value. */
void args_add_mount(struct args *a, const char *text, bool escape);

/* Appends the lines that explain the options in `set`, as --help shows them. */
void options_describe(struct buf *out, unsigned set);

/* The index of the first argument that is not an option (nor the value of one) in argv[0..argc), or
 * argc. */
int options_first_operand(int argc, char **argv);

#endif
