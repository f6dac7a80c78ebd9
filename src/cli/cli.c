#include "cli/cli.h"
#include "cli/cli_i.h"

#include "base/log.h"
#include "base/obj.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

static const struct cli_command commands[] = {
    {"mount", "[-f] [-o OPT,...] MOUNTPOINT", "show the collection as a drive",
     "It returns once the mount answers. Where there is no catalogue yet, a refresh comes first.\n",
     OPTIONS_CONF | OPTION_FOREGROUND, 1, 1, cmd_mount},
    {"unmount", "MOUNTPOINT", "take the drive away", "", OPTION_HELP, 1, 1, cmd_unmount},
    {"refresh", "[--force] [--json]", "rebuild the catalogue from the sources",
     "A mounted collection shows the new catalogue by itself.\n",
     OPTIONS_CONF | OPTION_FORCE | OPTION_JSON, 0, 0, cmd_refresh},
    {"datasets", "[--json]", "list the datasets: shapes, bytes, cached, licence",
     "A '?' stands for files whose size is not known yet.\n", OPTIONS_CONF | OPTION_JSON, 0, 0,
     cmd_datasets},
    {"info", "DATASET [--json]", "say what is known of a dataset",
     "Case and punctuation of DATASET are left out of account.\n", OPTIONS_CONF | OPTION_JSON, 1, 1,
     cmd_info},
    {"cite", "[DATASET...] [--json]", "print BibTeX entries",
     "Without a DATASET: MedShapeNet itself and every dataset.\n", OPTIONS_CONF | OPTION_JSON, 0,
     -1, cmd_cite},
    {"search", "QUERY [--urls|--paths|--count] [--json]", "find shapes",
     "All terms must match: a bare term anywhere in file name, dataset or anatomy;\n"
     "dataset:X anatomy:X licence:X side:left|right|none subject:X ext:stl restrict;\n"
     "a term with '-' in front excludes: medshapefs search 'liver -dataset:autopet'\n",
     OPTIONS_CONF | OPTION_JSON | OPTION_URLS | OPTION_PATHS | OPTION_COUNT, 1, -1, cmd_search},
    {"export", "--packed [DATASET|QUERY|FOLDER] DIR", "copy shapes into a folder of packs",
     "With one operand everything; a FOLDER has a '/' in it, or is '.'. Run it again to add what "
     "is\n"
     "new; it may be killed at any time. The folder works on any web server: it is a mirror,\n"
     "mounted by -o source=URL.\n",
     OPTIONS_CONF | OPTION_PACKED | OPTION_SMALL | OPTION_PACK_SIZE | OPTION_JSON, 1, 2,
     cmd_export},
    {"pack", "[-f] [-o FILE.shapepack] [--small] [--json] PATH...",
     "make one file of files and folders, far smaller",
     "Every path, byte and time comes back by 'medshapefs unpack'. A '/' or './' at the start of "
     "a\n"
     "PATH is dropped; folders are walked, links not followed.\n",
     OPTION_HELP | OPTION_OUTPUT | OPTION_REPLACE | OPTION_SMALL | OPTION_JSON, 1, -1, cmd_pack},
    {"unpack", "[-f] [-l|--verify] [--json] FILE.shapepack [-C DIR] [PATH...]",
     "take files out of a pack, list or check them",
     "Each PATH is a file of the pack, or a folder with all below; none is everything. A file "
     "that\n"
     "is there already as the pack has it is left; so a killed unpack goes on when run again.\n",
     OPTION_HELP | OPTION_REPLACE | OPTION_LIST | OPTION_VERIFY | OPTION_FOLDER | OPTION_JSON, 1,
     -1, cmd_unpack},
    {"cache", "info [--json]", "say what the cache holds and what it takes",
     "Most shapes are kept packed: what they hold is many times what they take.\n",
     OPTIONS_CONF | OPTION_JSON, 1, 1, cmd_cache},
    {"status", "[MOUNTPOINT] [--json]", "say what the mounts are doing",
     "Without a MOUNTPOINT: every mount of medshapefs that this user may look into.\n",
     OPTION_HELP | OPTION_JSON, 0, 1, cmd_status},
};

/* Commands of the program that come with later versions: refused by name. */
static const char *const later[] = {"prefetch",   "check",  "doctor", "mask",
                                    "thumbnails", "report", "catalog"};

static const struct cli_command helper = {
    "mount.medshapefs",
    "SOURCE MOUNTPOINT [-sfnv] [-o OPT,...]",
    "the same as mount(8) calls it",
    "SOURCE is 'medshapefs' or 'none' for the configured sources, else what -o source= takes.\n",
    OPTION_HELP | OPTION_MOUNT | OPTION_FAKE | OPTION_IGNORED,
    2,
    2,
    cmd_mount_helper};

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (strcmp(later[i], name) == 0) {
            log_error("%s: not in this version (see 'medshapefs --help')", name);
            return CLI_USAGE;
        }
    log_error("%s: no such command (see 'medshapefs --help')", name);
    return CLI_USAGE;
}

static int help_all(void)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    buf_str(&out,
            "usage: medshapefs COMMAND [OPTION...] [OPERAND...]\n\n"
            "MedShapeNet as a drive: names at once, bytes when they are read.\n\ncommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        buf_fmt(&out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    buf_str(&out, "\noptions of the commands that read the configuration:\n");
    options_describe(&out, OPTION_CONFIG | OPTION_MOUNT);
    buf_str(&out, "\n'medshapefs COMMAND --help' says more; so does 'man medshapefs'.\n");
    return cli_print(&out);
}

static int help_command(const struct cli_command *c)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    buf_fmt(&out, "usage: %s%s %s\n\n%s: %s.\n%s\noptions:\n", c == &helper ? "" : "medshapefs ",
            c->name, c->usage, c->name, c->summary, c->more);
    options_describe(&out, c->options);
    if ((c->options & (OPTION_FOREGROUND | OPTION_FAKE)) != 0) {
        buf_str(&out, "\nmount options (-o):\n");
        conf_options_help(&out);
    }
    return cli_print(&out);
}

static int run_parsed(const struct cli_command *c, struct args *a)
{
    if ((a->given & OPTION_HELP) != 0)
        return help_command(c);
    const char *prefix = c == &helper ? "" : "medshapefs ";
    if (a->operands < c->min) {
        log_error("%s: an operand is missing (usage: %s%s %s)", c->name, prefix, c->name, c->usage);
        return CLI_USAGE;
    }
    if (c->max >= 0 && a->operands > c->max) {
        log_error("%s: %s: one operand too many (usage: %s%s %s)", c->name, a->operand[c->max],
                  prefix, c->name, c->usage);
        return CLI_USAGE;
    }
    return c->run(a);
}

static int run_command(const struct cli_command *c, int argc, char **argv)
{
    struct args a;
    struct err e = {0};
    int status = CLI_USAGE;
    if (args_parse(&a, c->options, argc, argv, &e) == 0)
        status = run_parsed(c, &a);
    else
        log_error("%s: %s", c->name, e.text);
    args_free(&a);
    return status;
}

/* No command: --help, --version, or a mistake. */
static int run_none(int argc, char **argv)
{
    struct args a;
    struct err e = {0};
    int status = CLI_USAGE;
    if (args_parse(&a, OPTIONS_CONF | OPTION_VERSION, argc, argv, &e) != 0)
        log_error("%s (see 'medshapefs --help')", e.text);
    else if ((a.given & OPTION_HELP) != 0)
        status = help_all();
    else if ((a.given & OPTION_VERSION) != 0)
        status = puts("medshapefs " MEDSHAPEFS_VERSION) < 0 ? CLI_FAILED : CLI_DONE;
    else
        log_error("a command is missing (see 'medshapefs --help')");
    args_free(&a);
    return status;
}

static int run_help(int argc, char **argv)
{
    if (argc == 0)
        return help_all();
    const struct cli_command *c = find_command(argv[0]);
    return c != NULL ? help_command(c) : unknown_command(argv[0]);
}

/* Takes the command out of the arguments, so that options may stand on both of its sides. */
static int dispatch(int argc, char **argv)
{
    int at = options_first_operand(argc, argv);
    if (at == argc || strcmp(argv[at], "--") == 0)
        return run_none(argc, argv);
    const char *name = argv[at];
    for (int i = at; i + 1 < argc; i++)
        argv[i] = argv[i + 1];
    if (strcmp(name, "help") == 0)
        return run_help(argc - 1, argv);
    const struct cli_command *c = find_command(name);
    return c != NULL ? run_command(c, argc - 1, argv) : unknown_command(name);
}

/* A reader of the output that has gone away (`| head`) is no failure. */
static int finish_output(int status)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    int code = errno;
    struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (poll(&fd, 1, 0) == 1 && (fd.revents & (POLLERR | POLLHUP)) != 0)
        return status;
    log_error("standard output: cannot be written: %s", err_text(code));
    return status == CLI_DONE ? CLI_FAILED : status;
}

int cli_run(int argc, char **argv)
{
    const char *called = argc > 0 ? argv[0] : "medshapefs";
    const char *slash = strrchr(called, '/');
    const char *name = slash != NULL ? slash + 1 : called;
    int count = argc > 0 ? argc - 1 : 0;
    (void)signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_LEVEL_WARN, false);
    int status = strcmp(name, helper.name) == 0 ? run_command(&helper, count, argv + 1)
                                                : dispatch(count, argv + 1);
    return finish_output(status);
}
