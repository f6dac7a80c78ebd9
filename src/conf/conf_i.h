/* What the files of conf/ share. */
#ifndef CONF_CONF_I_H
#define CONF_CONF_I_H

#include "base/json.h"
#include "conf/conf.h"

/* How a setting is written, and the type of its field. */
enum conf_kind {
    CONF_TEXT,         /* char *, not empty */
    CONF_PATH,         /* char *, made absolute */
    CONF_PATH_OR_NULL, /* the same; null is "none" in the file */
    CONF_PROXY,  /* char *: http(s):// or socks URL, "" for none, null for the environment's */
    CONF_SOURCE, /* of source=: replaces all sources */
    CONF_FLAG,   /* bool: an option without a value */
    CONF_BOOL,   /* bool: true or false */
    CONF_COUNT,  /* unsigned: a number in the file */
    CONF_COUNT_OR_NULL, /* the same; null is 0 */
    CONF_OCTAL,         /* unsigned */
    CONF_ID,            /* int64_t */
    CONF_SIZE,          /* uint64_t: "20G" */
    CONF_MS,            /* unsigned: "30s" */
    CONF_AGE            /* uint64_t, seconds: "7d" or "never" */
};

/* One row of options.def. */
struct conf_setting {
    const char *key, *option;
    enum conf_kind kind;
    size_t offset; /* of its field in struct conf */
    const char *low, *high, *fallback, *help;
};

/* The row with that option or that key (the other one NULL); NULL where there is none. */
const struct conf_setting *conf_setting_find(const char *option, const char *key);

/* True where a key begins with `section` and a dot. */
bool conf_setting_section(const char *section);

/* Gives every setting its fallback. 0 or -ENOMEM. */
int conf_settings_default(struct conf *c);

/* Sets a setting from its text (NULL: a flag, or null in the file). `folder` is what a relative
 * path is relative to; NULL: the working folder. 0; -EINVAL with `why` ("must be ..."); -ENOMEM. */
int conf_setting_set(struct conf *c, const struct conf_setting *s, const char *text,
                     const char *folder, struct buf *why);

/* The same from a value of the file: the type has to be right too. */
int conf_setting_json(struct conf *c, const struct conf_setting *s, const struct json *v,
                      const char *folder, struct buf *why);

/* The absolute form of a path, which the caller frees; NULL when out of memory or without a working
 * folder. Looks at no file. */
char *conf_absolute(const char *folder, const char *path);

/* Reads the file `path` into `c`: 0; -ENOENT where there is none; -EBADMSG where its content is
 * wrong; or another -errno. `e` is filled whenever it is not 0. */
int conf_file_read(struct conf *c, const char *path, struct err *e);

/* The same for a text; `path` is what messages call it, and relative paths are beside it. */
int conf_file_parse(struct conf *c, const char *path, const char *text, size_t len, struct err *e);

/* The line (from 1) on which the value `v` of a text begins, or the name of the member that it is.
 * `root` is what json_parse() made of that text. 0 where `v` is not below `root`. */
unsigned conf_line_of(const char *text, size_t len, const struct json *root, const struct json *v);

/* Adds an empty source and returns it; NULL when out of memory. */
struct conf_source *conf_source_add(struct conf *c);

/* Frees the sources and makes the list empty. */
void conf_sources_clear(struct conf *c);

/* A source's name: [A-Za-z0-9._-]{1,64}, no leading '.'. */
bool conf_source_name_ok(const char *name);

/* True for http:// or https:// (case ignored) and something after it. */
bool conf_is_http(const char *url);

/* What is wrong with a URL, as "must ..." or "has ..."; NULL where it is fit to be used. */
const char *conf_url_fault(const char *url);

/* Makes of the only source, whose url is what stood after source=, a source that can be used: tells
 * what it is, names it and gives it a folder below cache_dir. 0, -EINVAL, -ENOENT, ... with `e`. */
int conf_source_settle(struct conf *c, struct err *e);

/* Appends the value of the last `name`= in the options; false where it is not there. */
bool conf_options_value(const char *options, const char *name, struct buf *out);

/* Takes the text after -o. 0; -EINVAL with `e`: the user's mistake; -ENOMEM. */
int conf_options_take(struct conf *c, const char *options, struct err *e);

#endif
