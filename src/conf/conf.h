/* The configuration: file, environment and mount options, checked once, then read-only. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One source as the configuration names it. */
struct conf_source {
    char
        *name; /* unique; names files below cache.dir, so [A-Za-z0-9._-]{1,64} and no leading '.' */
    char *type;    /* "manifest" or "pack" */
    char *url;     /* http(s)://, file:// or, from source=, made of a path */
    char *dataset; /* NULL, or the dataset that all of its files belong to */
};

struct conf_mirror {
    char *from; /* URL prefix */
    char **to;  /* prefixes that may replace it, in order */
    size_t to_count;
};

struct conf_network {
    char *proxy; /* NULL: the environment decides; "": none */
    char *ca_file;
    char *netrc; /* NULL: $NETRC, else ~/.netrc */
    unsigned connections;
    unsigned timeout_ms;
    unsigned listing_timeout_ms;
    unsigned retry_for_ms;
    unsigned requests_per_minute; /* 0: no budget */
    struct conf_mirror *mirrors;
    size_t mirror_count;
};

struct conf {
    struct conf_source *sources;
    size_t source_count;
    char *catalog;   /* path of further datasets, or NULL */
    char *cache_dir; /* absolute; with source= already the folder of that source */
    uint64_t cache_size;
    uint64_t cache_min_free;
    bool cache_packed; /* what can be packed is kept packed */
    struct conf_network network;
    uint64_t refresh_s;    /* age in seconds at which a catalogue is refreshed; 0: never */
    bool by_source_option; /* mounted by source= */
    bool offline;
    bool xattr;
    bool desktop;
    int64_t uid, gid; /* -1: the mounting user's */
    unsigned umask;
    char
        *kernel_options; /* what is left for the kernel and fusermount3, comma-separated, or NULL */
    char *file;          /* the file that was read, or NULL for the built-in default */
};

/* Reads the configuration. `options` is the text after -o of mount (comma-separated, "\," is a
 * comma inside a value) or NULL; `config` is the path of --config or NULL (an option config= wins).
 * First found of these, $MEDSHAPEFS_CONFIG, $XDG_CONFIG_HOME/medshapefs/config.json,
 * /etc/medshapefs/config.json, else the built-in default. Returns 0 and *out, which the caller
 * frees with conf_free(), or -errno with `e` filled. -EINVAL: an option is wrong (wrong usage);
 * -EBADMSG: the file is; an unknown key, a wrong type or a value out of range names file, line and
 * key. Others: a file cannot be read. Reads files and the environment; call it before threads
 * start. */
int conf_load(const char *config, const char *options, struct conf **out, struct err *e);

/* Frees a configuration; NULL is fine. */
void conf_free(struct conf *c);

/* Appends the lines that explain the mount options, as --help shows them. */
void conf_options_help(struct buf *out);

/* The URL that -o source= or a configured "url" means: http(s):// and file:// stay, a path becomes
 * file://ABSOLUTE. Returns 0 and a text that the caller frees, or -errno with `e` filled ("must be
 * ...": what is wrong, without the text itself). */
int conf_source_url(const char *text, char **url, struct err *e);

/* Parses "20G", "512M", "1T", "4096" into bytes (powers of 1024). 0 or -EINVAL. */
int conf_parse_size(const char *text, uint64_t *bytes);

/* Parses "30s", "10m", "1h", "7d", "250ms" or plain seconds into milliseconds. 0 or -EINVAL. */
int conf_parse_duration(const char *text, uint64_t *ms);

#endif
