/* Private to the registry: its files of datasets, its rules, its table of anatomical spellings. */
#ifndef CATALOG_REGISTRY_I_H
#define CATALOG_REGISTRY_I_H

#include "base/json.h"
#include "catalog/registry.h"

enum { ANATOMY_MAX = 256 }; /* bytes of a class with its NUL */

/* Made from data/ by the build. */
extern const unsigned char registry_datasets_json[], registry_anatomy_tsv[];
extern const size_t registry_datasets_json_len, registry_anatomy_tsv_len;

/* One file of datasets, parsed. */
struct registry_file {
    const char *name; /* for messages; the caller's */
    const char *text;
    size_t len;
    struct json *root; /* owns the texts of its datasets */
};

/* A dataset and where in which file it stands. */
struct registry_entry {
    struct dataset d; /* keywords are the entry's own, the texts the file's */
    const struct registry_file *file;
    size_t index;             /* in the file's "datasets" */
    const struct json *rules; /* NULL for none */
};

/* A rule as a file has it. The texts are the file's. */
struct registry_rule {
    size_t dataset; /* number */
    uint64_t order;
    const char *pattern;
    const char *anatomy, *prefix; /* NULL where there is none */
};

/* What a rule found in a name; slices of the name, NULL where its pattern has no such group. */
struct registry_match {
    const struct registry_rule *rule;
    const char *subject, *spelling;
    size_t subject_len, spelling_len;
};

/* Parses f->text into f->root and its datasets. 0 and *entries, freed with registry_entries_free(),
 * or -errno with `e`: file, line, key. */
int registry_file_read(struct registry_file *f, struct registry_entry **entries, size_t *count,
                       struct err *e);

/* Frees what registry_file_read() gave; NULL is fine. */
void registry_entries_free(struct registry_entry *entries, size_t count);

struct classifier;

/* Adds all rules of an entry to a classifier, as of dataset `number`. 0 or -errno with `e`. */
int registry_file_rules(const struct registry_entry *entry, size_t number, struct classifier *c,
                        struct err *e);

/* The line (1-based) of what a path like "datasets[3].rules[0].pattern" names in a JSON text that
 * cJSON accepts; where there is no such thing, of what holds it. Pure. */
unsigned registry_where(const char *text, size_t len, const char *path);

/* An empty set of rules, freed with classifier_free(); NULL when out of memory. */
struct classifier *classifier_new(void);

/* Frees it; NULL is fine. */
void classifier_free(struct classifier *c);

/* Compiles a rule and adds it. 0 or -errno with a reason in `e` (-EINVAL: the pattern). */
int classifier_add(struct classifier *c, const struct registry_rule *rule, struct err *e);

/* Puts the rules in order; those of equal order stay as they were added. To be called before
 * classifier_match(). */
void classifier_sort(struct classifier *c);

/* The first rule that matches, of dataset `dataset` only where that is not SIZE_MAX. A pattern that
 * needs too many steps does not match. False where none does. Thread-safe. */
bool classifier_match(const struct classifier *c, const char *name, size_t len, size_t dataset,
                      struct registry_match *out);

struct anatomy;

/* Reads the table of spellings. 0 and *out, freed with anatomy_free(), -ENOMEM, or -EBADMSG for a
 * line that is none. */
int anatomy_load(const char *text, size_t len, struct anatomy **out);

/* Frees it; NULL is fine. */
void anatomy_free(struct anatomy *a);

/* Class and side of a spelling; false where the table has it not. Thread-safe. */
bool anatomy_find(const struct anatomy *a, const char *spelling, size_t len, const char **name,
                  enum side *side);

/* Makes a class of a spelling that the table has not: `prefix`, then the words in lower case with
 * '_' between them, side words taken off; "" where nothing is left. Only a-z, 0-9, '_' come out,
 * cut at ANATOMY_MAX. Pure. */
void anatomy_guess(const char *spelling, size_t len, const char *prefix, char out[ANATOMY_MAX],
                   enum side *side);

#endif
