#include "catalog/registry_i.h"

#include "base/obj.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_DATASETS = 1000, FILE_MAX_KEYWORDS = 64, FILE_MAX_ID = 64, FILE_MAX_LICENCE = 100 };

/* What is being read, for messages. */
struct scope {
    const struct registry_file *file;
    char path[160];
    struct err *e;
};

/* The scope of something inside of `s`; keys of the file may have any bytes, a message is one line
 * of text. */
static struct scope scope_in(const struct scope *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static struct scope scope_in(const struct scope *s, const char *fmt, ...)
{
    struct scope in = *s;
    size_t n = strlen(in.path);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(in.path + n, sizeof(in.path) - n, fmt, args);
    va_end(args);
    for (char *p = in.path + n; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7F)
            *p = '?';
    return in;
}

/* Puts file, line and key before the reason that is in s->e. */
static void blame(const struct scope *s)
{
    char prefix[400];
    unsigned line = registry_where(s->file->text, s->file->len, s->path);
    (void)snprintf(prefix, sizeof(prefix), "%.200s:%u: %s", s->file->name, line,
                   s->path[0] != '\0' ? s->path : "the file");
    err_prefix(s->e, prefix);
}

static int bad(const struct scope *s, const char *why)
{
    int r = err_set(s->e, -EINVAL, "%s", why);
    blame(s);
    return r;
}

/* Texts may have line ends and tabs where `lines` is set, no other control characters. */
static int check_text(const struct scope *s, const char *text, bool lines)
{
    if (text[0] == '\0')
        return bad(s, "it is empty (write null where nothing is stated)");
    if (!str_is_utf8(text, strlen(text)))
        return bad(s, "it is not UTF-8");
    for (const char *p = text; *p != '\0'; p++)
        if (*p == 0x7F || ((unsigned char)*p < 0x20 && !(lines && (*p == '\n' || *p == '\t'))))
            return bad(s, lines ? "it has a control character"
                                : "it has a line end or control character");
    return 0;
}

/* A text or null into *out, which is NULL before. */
static int read_text(const struct scope *s, const struct json *v, bool lines, const char **out)
{
    if (json_type(v) == JSON_NULL)
        return 0;
    if (*out != NULL)
        return bad(s, "it is there twice");
    if (json_type(v) != JSON_STRING)
        return bad(s, "a text or null is wanted");
    *out = json_string(v, "");
    return check_text(s, *out, lines);
}

static bool is_made_of(const char *text, const char *more, size_t max)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = 0;
    for (; text[n] != '\0'; n++)
        if (strchr(plain, text[n]) == NULL && (n == 0 || strchr(more, text[n]) == NULL))
            return false;
    return n > 0 && n <= max;
}

static int check_id(const struct scope *s, const char *id)
{
    if (!is_made_of(id, "._+-", FILE_MAX_ID))
        return bad(
            s, "it names a folder, so it is 1 to 64 letters, digits, '.', '_', '+' and '-', and "
               "begins with a letter or digit");
    return strcmp(id, "unsorted") == 0 ? bad(s, "this name is taken (choose another)") : 0;
}

static int check_licence(const struct scope *s, const char *licence)
{
    if (licence == NULL)
        return 0;
    if (!is_made_of(licence, ".+-", FILE_MAX_LICENCE))
        return bad(s,
                   "an SPDX id is wanted, e.g. CC-BY-4.0 (other terms: LicenseRef- and their name "
                   "with '-' for blanks)");
    return str_ieq(licence, "unstated") ? bad(s, "write null where no licence is stated") : 0;
}

static int read_keywords(const struct scope *s, const struct json *v, struct dataset *d)
{
    size_t count = 0;
    if (json_type(v) != JSON_ARRAY)
        return bad(s, "a list of texts is wanted");
    for (const struct json *k = json_first(v); k != NULL; k = json_next(k))
        count++;
    if (count > FILE_MAX_KEYWORDS)
        return bad(s, "too many keywords (at most 64)");
    if (d->keywords != NULL)
        return bad(s, "it is there twice");
    const char **list = calloc(count + 1, sizeof(list[0]));
    if (list == NULL)
        return err_set(s->e, -ENOMEM, "out of memory");
    d->keywords = list;
    for (const struct json *k = json_first(v); k != NULL; k = json_next(k)) {
        struct scope in = scope_in(s, "[%td]", list - (const char **)(uintptr_t)d->keywords);
        int r = json_type(k) == JSON_NULL ? bad(&in, "a text is wanted")
                                          : read_text(&in, k, false, list);
        if (r != 0)
            return r;
        list++;
    }
    return 0;
}

/* The texts of a dataset: where they go, and whether they may have several lines. */
static const struct {
    const char *key;
    size_t offset;
    bool lines;
} texts[] = {
    {"id", offsetof(struct dataset, id), false},
    {"title", offsetof(struct dataset, title), false},
    {"description", offsetof(struct dataset, description), true},
    {"doubt", offsetof(struct dataset, doubt), true},
    {"licence", offsetof(struct dataset, licence), false},
    {"licence_text", offsetof(struct dataset, licence_text), true},
    {"licence_url", offsetof(struct dataset, licence_url), false},
    {"licence_note", offsetof(struct dataset, licence_note), true},
    {"homepage", offsetof(struct dataset, homepage), false},
    {"doi", offsetof(struct dataset, doi), false},
    {"bibtex", offsetof(struct dataset, bibtex), true},
};

static int read_member(const struct scope *s, const struct json *v, struct registry_entry *entry)
{
    const char *key = json_name(v);
    struct scope in = scope_in(s, ".%.40s", key);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcmp(key, texts[i].key) == 0)
            return read_text(&in, v, texts[i].lines,
                             (const char **)(void *)((char *)&entry->d + texts[i].offset));
    if (strcmp(key, "keywords") == 0)
        return read_keywords(&in, v, &entry->d);
    if (strcmp(key, "rules") != 0)
        return bad(&in, "unknown key");
    if (entry->rules != NULL)
        return bad(&in, "it is there twice");
    entry->rules = v;
    return json_type(v) == JSON_ARRAY ? 0 : bad(&in, "a list of rules is wanted");
}

static int read_dataset(const struct scope *s, const struct json *v, struct registry_entry *entry)
{
    if (json_type(v) != JSON_OBJECT)
        return bad(s, "an object is wanted");
    for (const struct json *m = json_first(v); m != NULL; m = json_next(m)) {
        int r = read_member(s, m, entry);
        if (r != 0)
            return r;
    }
    struct scope id = scope_in(s, ".id"), licence = scope_in(s, ".licence");
    int r = check_id(&id, entry->d.id != NULL ? entry->d.id : "");
    if (r == 0)
        r = check_licence(&licence, entry->d.licence);
    static const char *const none[] = {NULL};
    if (r == 0 && entry->d.keywords == NULL)
        entry->d.keywords = calloc(1, sizeof(none));
    return r != 0 || entry->d.keywords != NULL ? r : err_set(s->e, -ENOMEM, "out of memory");
}

static bool has_earlier(const struct json *list, const struct json *v, const char *id)
{
    const struct json *o = json_first(list);
    while (o != v && strcmp(json_string(json_get(o, "id"), ""), id) != 0)
        o = json_next(o);
    return o != v;
}

static int read_list(const struct scope *s, const struct json *list, struct registry_entry *entries,
                     size_t *count)
{
    for (const struct json *v = json_first(list); v != NULL; v = json_next(v)) {
        struct registry_entry *entry = &entries[*count];
        struct scope in = scope_in(s, "[%zu]", *count);
        entry->file = s->file;
        entry->index = (*count)++;
        int r = read_dataset(&in, v, entry);
        if (r == 0 && has_earlier(list, v, json_string(json_get(v, "id"), "")))
            r = bad(&in, "an id that another one in this file has (each id once)");
        if (r != 0)
            return r;
    }
    return 0;
}

static int check_root(const struct scope *s, const struct json *root)
{
    if (json_type(root) != JSON_OBJECT)
        return bad(s, "an object with \"datasets\" is wanted");
    for (const struct json *v = json_first(root); v != NULL; v = json_next(v)) {
        struct scope in = scope_in(s, "%.40s", json_name(v));
        if (strcmp(json_name(v), "about") != 0 && strcmp(json_name(v), "datasets") != 0)
            return bad(&in, "unknown key");
    }
    return 0;
}

int registry_file_read(struct registry_file *f, struct registry_entry **entries, size_t *count,
                       struct err *e)
{
    struct scope top = {.file = f, .e = e};
    unsigned line = 1;
    *entries = NULL;
    *count = 0;
    f->root = json_parse(f->text, f->len, &line);
    if (f->root == NULL)
        return err_set(e, -EINVAL, "%.200s:%u: not valid JSON (look for a missing comma or quote)",
                       f->name, line);
    int r = check_root(&top, f->root);
    if (r != 0)
        return r;
    struct scope s = scope_in(&top, "datasets");
    const struct json *list = json_get(f->root, "datasets");
    size_t n = 0;
    for (const struct json *v = json_first(list); v != NULL; v = json_next(v))
        n++;
    if (json_type(list) != JSON_ARRAY || n > FILE_MAX_DATASETS)
        return bad(&s, "a list of at most 1000 datasets is wanted");
    *entries = calloc(n + 1, sizeof(**entries));
    return *entries != NULL ? read_list(&s, list, *entries, count)
                            : err_set(e, -ENOMEM, "out of memory");
}

void registry_entries_free(struct registry_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)entries[i].d.keywords);
    free(entries);
}

int registry_record_check(const char *json, size_t len, const char *id, size_t id_len,
                          struct err *e)
{
    struct buf text = BUF_INIT;
    struct registry_entry *entries = NULL;
    size_t count = 0;
    struct json *alone = json_parse(json, len, NULL);
    bool object = json_type(alone) == JSON_OBJECT;
    json_free(alone);
    if (!object)
        return err_set(e, -EINVAL, "not a JSON object");
    buf_str(&text, "{\"datasets\": [");
    buf_add(&text, json, len);
    buf_str(&text, "]}");
    struct registry_file f = {.name = "a pack", .text = buf_cstr(&text), .len = text.len};
    int r = registry_file_read(&f, &entries, &count, e);
    if (r == 0 && (entries == NULL || count != 1 || entries[0].d.id == NULL ||
                   strlen(entries[0].d.id) != id_len || memcmp(entries[0].d.id, id, id_len) != 0))
        r = err_set(e, -EINVAL, "not the entry of one dataset under its own id");
    if (r == 0 && entries != NULL && entries[0].rules != NULL)
        r = err_set(e, -EINVAL, "rules do not belong into a pack");
    registry_entries_free(entries, count);
    json_free(f.root);
    buf_free(&text);
    return r;
}

/* A class or the beginning of one: what may be the name of a folder below anatomy/. */
static int read_class(const struct scope *s, const struct json *v, const char **out)
{
    int r = read_text(s, v, false, out);
    if (r != 0 || *out == NULL)
        return r;
    bool fits = strlen(*out) <= 100 &&
                strspn(*out, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(*out);
    return fits ? 0 : bad(s, "1 to 100 small letters, digits and '_' are wanted");
}

static int read_confidence(const struct scope *s, const struct json *v, bool doubted)
{
    static const char *const known[] = {"high", "medium-high", "medium", "low-medium", "low"};
    const char *text = json_string(v, "");
    size_t i = 0;
    while (i < ARRAY_LEN(known) && strcmp(known[i], text) != 0)
        i++;
    if (i == ARRAY_LEN(known))
        return bad(s, "high, medium-high, medium, low-medium or low is wanted");
    return i == 0 || doubted
               ? 0
               : bad(s, "it is not high, so the dataset needs a \"doubt\" that says why");
}

static int read_rule_member(const struct scope *s, const struct json *v, bool doubted,
                            struct registry_rule *rule)
{
    const char *key = json_name(v), *ignored = NULL;
    struct scope in = scope_in(s, ".%.40s", key);
    if (strcmp(key, "pattern") == 0)
        return read_text(&in, v, true, &rule->pattern);
    if (strcmp(key, "class") == 0)
        return read_class(&in, v, &rule->anatomy);
    if (strcmp(key, "class_prefix") == 0)
        return read_class(&in, v, &rule->prefix);
    if (strcmp(key, "confidence") == 0)
        return read_confidence(&in, v, doubted);
    if (strcmp(key, "evidence") == 0)
        return read_text(&in, v, true, &ignored);
    if (strcmp(key, "order") != 0)
        return bad(&in, "unknown key");
    return json_u64(v, &rule->order) ? 0 : bad(&in, "a whole number, not negative, is wanted");
}

static int add_rule(const struct scope *s, const struct json *v, struct registry_rule *rule,
                    bool doubted, struct classifier *c)
{
    struct scope pattern = scope_in(s, ".pattern");
    if (json_type(v) != JSON_OBJECT)
        return bad(s, "an object is wanted");
    for (const struct json *m = json_first(v); m != NULL; m = json_next(m)) {
        int r = read_rule_member(s, m, doubted, rule);
        if (r != 0)
            return r;
    }
    if (rule->pattern == NULL)
        return bad(&pattern, "each rule needs one");
    int r = classifier_add(c, rule, s->e);
    if (r != 0)
        blame(&pattern);
    return r;
}

int registry_file_rules(const struct registry_entry *entry, size_t number, struct classifier *c,
                        struct err *e)
{
    struct scope top = {.file = entry->file, .e = e};
    size_t k = 0;
    for (const struct json *v = json_first(entry->rules); v != NULL; v = json_next(v)) {
        struct scope s = scope_in(&top, "datasets[%zu].rules[%zu]", entry->index, k++);
        struct registry_rule rule = {.dataset = number};
        int r = add_rule(&s, v, &rule, entry->d.doubt != NULL, c);
        if (r != 0)
            return r;
    }
    return 0;
}
