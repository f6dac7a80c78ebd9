#include "conf/conf_i.h"

#include "base/obj.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

static const struct conf_setting settings[] = {
#define SETTING(key, option, kind, field, low, high, fallback, help)                               \
    {key, option, kind, offsetof(struct conf, field), low, high, fallback, help},
#include "conf/options.def"
};

/* What a kind looks like in the file and in messages. */
static const struct kind {
    enum json_type type;
    bool null; /* null is good too */
    const char *looks;
} kinds[] = {
    [CONF_TEXT] = {JSON_STRING, false, "a text"},
    [CONF_PATH] = {JSON_STRING, false, "a path"},
    [CONF_PATH_OR_NULL] = {JSON_STRING, true, "a path, or null"},
    [CONF_PROXY] = {JSON_STRING, true, "a URL such as \"http://proxy:3128\", \"\" or null"},
    [CONF_SOURCE] = {JSON_STRING, false, "a path or a URL"},
    [CONF_FLAG] = {JSON_BOOL, false, "given without a value"},
    [CONF_BOOL] = {JSON_BOOL, false, "true or false"},
    [CONF_COUNT] = {JSON_NUMBER, false, "a whole number"},
    [CONF_COUNT_OR_NULL] = {JSON_NUMBER, true, "a whole number, or null"},
    [CONF_OCTAL] = {JSON_STRING, false, "an octal number such as 022"},
    [CONF_ID] = {JSON_NUMBER, false, "a number"},
    [CONF_SIZE] = {JSON_STRING, false, "a size such as \"20G\""},
    [CONF_MS] = {JSON_STRING, false, "a time such as \"30s\""},
    [CONF_AGE] = {JSON_STRING, false, "a time such as \"7d\", or \"never\""},
};

const struct conf_setting *conf_setting_find(const char *option, const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct conf_setting *s = &settings[i];
        if (option != NULL && s->option != NULL && strcmp(s->option, option) == 0)
            return s;
        if (key != NULL && s->key != NULL && strcmp(s->key, key) == 0)
            return s;
    }
    return NULL;
}

bool conf_setting_section(const char *section)
{
    size_t len = strlen(section);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (settings[i].key != NULL && strncmp(settings[i].key, section, len) == 0 &&
            settings[i].key[len] == '.')
            return true;
    return false;
}

static void *field(struct conf *c, const struct conf_setting *s)
{
    return (char *)c + s->offset;
}

static int must_be(const struct conf_setting *s, struct buf *why)
{
    buf_fmt(why, "must be %s", kinds[s->kind].looks);
    return why->err != 0 ? why->err : -EINVAL;
}

static int parse_octal(const char *text, uint64_t *n)
{
    size_t len = strspn(text, "01234567");
    if (len == 0 || len > 9 || text[len] != '\0')
        return -EINVAL;
    *n = strtoull(text, NULL, 8);
    return 0;
}

static int parse_number(enum conf_kind kind, const char *text, uint64_t *n)
{
    int rc;
    switch (kind) {
    case CONF_SIZE:
        return conf_parse_size(text, n);
    case CONF_OCTAL:
        return parse_octal(text, n);
    case CONF_MS:
        return conf_parse_duration(text, n);
    case CONF_AGE:
        rc = conf_parse_duration(text, n);
        *n = rc == 0 ? *n / 1000 : 0;
        return rc;
    default:
        return str_u64(text, strlen(text), n);
    }
}

static void store_number(struct conf *c, const struct conf_setting *s, uint64_t n)
{
    if (s->kind == CONF_SIZE || s->kind == CONF_AGE)
        *(uint64_t *)field(c, s) = n;
    else if (s->kind == CONF_ID)
        *(int64_t *)field(c, s) = (int64_t)n;
    else
        *(unsigned *)field(c, s) = (unsigned)n;
}

static int set_number(struct conf *c, const struct conf_setting *s, const char *text,
                      struct buf *why)
{
    uint64_t n = 0, low = 0, high = 0;
    bool zero = s->kind == CONF_COUNT_OR_NULL ? text == NULL
                                              : s->kind == CONF_AGE && strcmp(text, "never") == 0;
    if (zero) {
        store_number(c, s, 0);
        return 0;
    }
    if (parse_number(s->kind, text, &n) != 0)
        return must_be(s, why);
    (void)parse_number(s->kind, s->low, &low);
    (void)parse_number(s->kind, s->high, &high);
    if (n < low || n > high) {
        buf_fmt(why, "must be from %s to %s", s->low, s->high);
        return why->err != 0 ? why->err : -EINVAL;
    }
    store_number(c, s, n);
    return 0;
}

static int set_text(struct conf *c, const struct conf_setting *s, const char *text)
{
    char **at = field(c, s);
    char *copy = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copy == NULL)
        return -ENOMEM;
    free(*at);
    *at = copy;
    return 0;
}

static int set_path(struct conf *c, const struct conf_setting *s, const char *text,
                    const char *folder)
{
    char *path CLEANUP_FREE = text != NULL ? conf_absolute(folder, text) : NULL;
    return text != NULL && path == NULL ? -ENOMEM : set_text(c, s, path);
}

static int set_proxy(struct conf *c, const struct conf_setting *s, const char *text,
                     struct buf *why)
{
    static const char *const schemes[] = {"http://",    "https://",  "socks4://",
                                          "socks4a://", "socks5://", "socks5h://"};
    bool good = text == NULL || text[0] == '\0';
    for (size_t i = 0; !good && i < ARRAY_LEN(schemes); i++)
        good = strncmp(text, schemes[i], strlen(schemes[i])) == 0;
    const char *fault = good && text != NULL && text[0] != '\0' ? conf_url_fault(text) : NULL;
    if (fault != NULL) {
        buf_str(why, fault);
        return why->err != 0 ? why->err : -EINVAL;
    }
    return good ? set_text(c, s, text) : must_be(s, why);
}

static int set_source(struct conf *c, const char *text)
{
    conf_sources_clear(c);
    struct conf_source *src = conf_source_add(c);
    if (src == NULL)
        return -ENOMEM;
    c->by_source_option = true;
    src->url = strdup(text);
    return src->url != NULL ? 0 : -ENOMEM;
}

static int set_flag(struct conf *c, const struct conf_setting *s, const char *text, struct buf *why)
{
    bool on = text == NULL || strcmp(text, "true") == 0;
    bool good =
        s->kind == CONF_FLAG ? text == NULL : text != NULL && (on || strcmp(text, "false") == 0);
    if (good)
        *(bool *)field(c, s) = on;
    return good ? 0 : must_be(s, why);
}

int conf_setting_set(struct conf *c, const struct conf_setting *s, const char *text,
                     const char *folder, struct buf *why)
{
    bool empty = text == NULL ? s->kind != CONF_FLAG && !kinds[s->kind].null
                              : text[0] == '\0' && s->kind != CONF_PROXY;
    if (empty)
        return must_be(s, why);
    switch (s->kind) {
    case CONF_FLAG:
    case CONF_BOOL:
        return set_flag(c, s, text, why);
    case CONF_TEXT:
        return set_text(c, s, text);
    case CONF_PATH:
    case CONF_PATH_OR_NULL:
        return set_path(c, s, text, folder);
    case CONF_PROXY:
        return set_proxy(c, s, text, why);
    case CONF_SOURCE:
        return set_source(c, text);
    default:
        return set_number(c, s, text, why);
    }
}

int conf_setting_json(struct conf *c, const struct conf_setting *s, const struct json *v,
                      const char *folder, struct buf *why)
{
    const struct kind *k = &kinds[s->kind];
    uint64_t n = 0;
    char digits[24];
    if (json_type(v) == JSON_NULL && k->null)
        return conf_setting_set(c, s, NULL, folder, why);
    if (json_type(v) != k->type || (k->type == JSON_NUMBER && !json_u64(v, &n)))
        return must_be(s, why);
    if (k->type == JSON_BOOL)
        return conf_setting_set(c, s, json_bool(v, false) ? "true" : "false", folder, why);
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    const char *text = k->type == JSON_NUMBER ? digits : json_string(v, "");
    return conf_setting_set(c, s, text, folder, why);
}

int conf_settings_default(struct conf *c)
{
    struct buf why CLEANUP_BUF = BUF_INIT;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(settings) && rc == 0; i++) {
        if (settings[i].kind == CONF_ID)
            *(int64_t *)field(c, &settings[i]) = -1;
        if (settings[i].fallback != NULL)
            rc = conf_setting_set(c, &settings[i], settings[i].fallback, NULL, &why);
    }
    return rc;
}

/* "=VALUE|help" of one row. */
static void help_line(struct buf *out, const char *option, const char *help)
{
    size_t value = strcspn(help, "|");
    size_t name = strcspn(option, "=");
    char left[64];
    (void)snprintf(left, sizeof(left), "%.*s%.*s", (int)name, option, (int)value, help);
    buf_fmt(out, "  %-22s %s\n", left, help + value + 1);
}

void conf_options_help(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (settings[i].help != NULL)
            help_line(out, settings[i].option, settings[i].help);
    static const struct {
        const char *option, *help;
    } rows[] = {
#define KERNEL(option, pass, help) {option, help},
#include "conf/options.def"
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].help != NULL)
            help_line(out, rows[i].option, rows[i].help);
    buf_str(out, "  Others of mount(8) and fstab (ro, noauto, nofail, _netdev, user, x-systemd.*)\n"
                 "  are taken; the mount is always ro,nosuid,nodev,default_permissions.\n");
}
