#include "cli/options_i.h"

#include "base/obj.h"

#include <errno.h>
#include <string.h>

struct option_row {
    enum option id;
    char letter;       /* 0: none */
    const char *name;  /* NULL: none */
    const char *value; /* what follows it; NULL: nothing */
    const char *help;
};

static const struct option_row rows[] = {
    {OPTION_FOREGROUND, 'f', "foreground", NULL, "stay in front; messages go to stderr"},
    {OPTION_FORCE, 0, "force", NULL, "take a list that lost more than half of its files"},
    {OPTION_PATHS, 0, "paths", NULL, "print paths below the mount point (the default)"},
    {OPTION_URLS, 0, "urls", NULL, "print where the shapes come from"},
    {OPTION_COUNT, 0, "count", NULL, "print the number of matches"},
    {OPTION_OUTPUT, 'o', "output", "FILE", "the pack to make (default: PATH.shapepack)"},
    {OPTION_REPLACE, 'f', "force", NULL, "replace what is there already"},
    {OPTION_LIST, 'l', "list", NULL, "list what is in the pack"},
    {OPTION_VERIFY, 0, "verify", NULL, "unpack all in memory and check each SHA-256"},
    {OPTION_FOLDER, 'C', "directory", "DIR", "unpack to this folder, made where it is missing"},
    {OPTION_PACKED, 0, "packed", NULL, "as packs: a seventieth of the size, byte for byte"},
    {OPTION_SMALL, 0, "small", NULL, "some percent smaller, four times slower"},
    {OPTION_PACK_SIZE, 0, "pack-size", "SIZE", "bytes of a pack at most (the default is 4G)"},
    {OPTION_JSON, 0, "json", NULL, "print JSON"},
    {OPTION_CONFIG, 0, "config", "FILE", "read this configuration file"},
    {OPTION_MOUNT, 'o', NULL, "OPT,...", "mount options, such as source= and cache="},
    {OPTION_HELP, 'h', "help", NULL, "print this help"},
    {OPTION_VERSION, 'V', "version", NULL, "print the version"},
    {OPTION_FAKE, 'f', NULL, NULL, "check, but do not mount"},
    {OPTION_IGNORED, 's', NULL, NULL, "ignored"},
    {OPTION_IGNORED, 'n', NULL, NULL, "ignored"},
    {OPTION_IGNORED, 'v', NULL, NULL, "ignored"},
};

static const struct option_row *by_letter(char letter, unsigned allowed)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].letter == letter && (rows[i].id & allowed) != 0)
            return &rows[i];
    return NULL;
}

static const struct option_row *by_name(const char *name, size_t len, unsigned allowed)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].name != NULL && (rows[i].id & allowed) != 0 && strlen(rows[i].name) == len &&
            memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

void args_add_mount(struct args *a, const char *text, bool escape)
{
    if (a->mount.len > 0)
        buf_str(&a->mount, ",");
    for (const char *p = text; *p != '\0'; p++)
        if (escape && *p == ',')
            buf_str(&a->mount, "\\,");
        else
            buf_add(&a->mount, p, 1);
}

static void take(struct args *a, const struct option_row *row, const char *value)
{
    a->given |= row->id;
    if (row->id == OPTION_CONFIG)
        a->config = value;
    if (row->id == OPTION_PACK_SIZE)
        a->pack_size = value;
    if (row->id == OPTION_OUTPUT)
        a->output = value;
    if (row->id == OPTION_FOLDER)
        a->folder = value;
    if (row->id == OPTION_MOUNT && value != NULL)
        args_add_mount(a, value, false);
}

/* "--name", "--name=value" or "--name" "value"; *i moves past a value. */
static int take_long(struct args *a, unsigned allowed, int argc, char **argv, int *i, struct err *e)
{
    const char *text = argv[*i];
    size_t len = strcspn(text + 2, "=");
    const char *value = text[2 + len] == '=' ? text + 2 + len + 1 : NULL;
    const struct option_row *row = by_name(text + 2, len, allowed);
    if (row == NULL)
        return err_set(e, -EINVAL, "%.*s: no such option", (int)len + 2, text);
    if (row->value == NULL && value != NULL)
        return err_set(e, -EINVAL, "--%s: takes no value", row->name);
    if (row->value != NULL && value == NULL) {
        if (*i + 1 >= argc)
            return err_set(e, -EINVAL, "--%s: %s is missing", row->name, row->value);
        value = argv[++*i];
    }
    take(a, row, value);
    return 0;
}

/* "-f", "-fv", "-oVALUE" or "-o" "VALUE"; *i moves past a value. */
static int take_short(struct args *a, unsigned allowed, int argc, char **argv, int *i,
                      struct err *e)
{
    for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
        const struct option_row *row = by_letter(*p, allowed);
        if (row == NULL)
            return err_set(e, -EINVAL,
                           "%s: no such option (operands that begin with '-' go after '--')",
                           argv[*i]);
        if (row->value == NULL) {
            take(a, row, NULL);
            continue;
        }
        if (p[1] == '\0' && *i + 1 >= argc)
            return err_set(e, -EINVAL, "-%c: %s is missing", row->letter, row->value);
        take(a, row, p[1] != '\0' ? p + 1 : argv[++*i]);
        return 0;
    }
    return 0;
}

int args_parse(struct args *a, unsigned allowed, int argc, char **argv, struct err *e)
{
    memset(a, 0, sizeof(*a));
    a->operand = calloc((size_t)argc + 1, sizeof(*a->operand));
    if (a->operand == NULL)
        return err_set(e, -ENOMEM, "command line: out of memory");
    bool options = true;
    int rc = 0;
    for (int i = 0; i < argc && rc == 0; i++) {
        if (!options || argv[i][0] != '-' || argv[i][1] == '\0')
            a->operand[a->operands++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            options = false;
        else if (argv[i][1] == '-')
            rc = take_long(a, allowed, argc, argv, &i, e);
        else
            rc = take_short(a, allowed, argc, argv, &i, e);
    }
    return rc == 0 ? a->mount.err : rc;
}

void args_free(struct args *a)
{
    buf_free(&a->mount);
    free(a->operand);
    a->operand = NULL;
}

const char *args_mount(struct args *a)
{
    return a->mount.len > 0 ? buf_cstr(&a->mount) : NULL;
}

void options_describe(struct buf *out, unsigned set)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if ((rows[i].id & set) == 0 || rows[i].id == OPTION_IGNORED)
            continue;
        char left[64];
        (void)snprintf(left, sizeof(left), "%c%c%s%s%s%s%s", rows[i].letter != 0 ? '-' : ' ',
                       rows[i].letter != 0 ? rows[i].letter : ' ',
                       rows[i].name == NULL ? "" : (rows[i].letter != 0 ? ", " : "  "),
                       rows[i].name == NULL ? "" : "--", rows[i].name == NULL ? "" : rows[i].name,
                       rows[i].value == NULL ? "" : " ",
                       rows[i].value == NULL ? "" : rows[i].value);
        buf_fmt(out, "  %-20s %s\n", left, rows[i].help);
    }
}

/* True for an option whose value is the next argument. */
static bool takes_next(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].value != NULL &&
            ((text[1] == rows[i].letter && text[2] == '\0') ||
             (text[1] == '-' && rows[i].name != NULL && strcmp(text + 2, rows[i].name) == 0)))
            return true;
    return false;
}

int options_first_operand(int argc, char **argv)
{
    int i = 0;
    while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0' && strcmp(argv[i], "--") != 0)
        i += takes_next(argv[i]) ? 2 : 1;
    return i < argc ? i : argc;
}
