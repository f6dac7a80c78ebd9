#include "conf/conf_i.h"

#include "base/obj.h"

#include <errno.h>
#include <string.h>

/* Takes the next option of a list: "\," is a comma, any other backslash is itself. False at the
 * end. */
static bool next_option(const char **at, struct buf *out)
{
    const char *p = *at;
    buf_clear(out);
    if (*p == '\0')
        return false;
    for (; *p != '\0' && *p != ','; p++) {
        if (p[0] == '\\' && p[1] == ',')
            p++;
        buf_add(out, p, 1);
    }
    *at = *p == ',' ? p + 1 : p;
    return true;
}

bool conf_options_value(const char *options, const char *name, struct buf *out)
{
    struct buf option CLEANUP_BUF = BUF_INIT;
    size_t len = strlen(name);
    bool found = false;
    for (const char *p = options; next_option(&p, &option);) {
        const char *text = buf_cstr(&option);
        if (strncmp(text, name, len) != 0 || text[len] != '=')
            continue;
        found = true;
        buf_clear(out);
        buf_str(out, text + len + 1);
    }
    return found;
}

/* The row of an option that is not ours: 1 to pass on, 0 to leave out, -1 where there is none. */
static int kernel_row(const char *option)
{
    static const struct {
        const char *name;
        bool pass;
    } rows[] = {
#define KERNEL(option, pass, help) {option, pass},
#include "conf/options.def"
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].name);
        char last = rows[i].name[len - 1];
        bool prefix = last == '=' || last == '-';
        if (prefix ? strncmp(option, rows[i].name, len) == 0 : strcmp(option, rows[i].name) == 0)
            return rows[i].pass ? 1 : 0;
    }
    return -1;
}

static void pass_on(struct buf *out, const char *option)
{
    if (out->len > 0)
        buf_str(out, ",");
    for (const char *p = option; *p != '\0'; p++) {
        if (*p == ',' || *p == '\\')
            buf_str(out, "\\");
        buf_add(out, p, 1);
    }
}

static int take_ours(struct conf *c, const struct conf_setting *s, const char *value, struct err *e)
{
    struct buf why CLEANUP_BUF = BUF_INIT;
    if (value == NULL && s->kind != CONF_FLAG)
        return err_set(e, -EINVAL, "%s: needs a value (%s=...)", s->option, s->option);
    int rc = conf_setting_set(c, s, value, NULL, &why);
    if (rc != -EINVAL)
        return rc;
    return err_set(e, rc, "%s%s%.200s: %s", s->option, value != NULL ? "=" : "",
                   value != NULL ? value : "", buf_cstr(&why));
}

static int take(struct conf *c, char *option, struct buf *kernel, struct err *e)
{
    int row = kernel_row(option);
    if (row >= 0) {
        if (row > 0)
            pass_on(kernel, option);
        return 0;
    }
    char *equals = strchr(option, '=');
    if (equals != NULL)
        *equals = '\0';
    const struct conf_setting *s = conf_setting_find(option, NULL);
    if (s == NULL)
        return err_set(e, -EINVAL,
                       "%.200s: no such mount option ('medshapefs mount --help' lists them)",
                       option);
    return take_ours(c, s, equals != NULL ? equals + 1 : NULL, e);
}

int conf_options_take(struct conf *c, const char *options, struct err *e)
{
    struct buf option CLEANUP_BUF = BUF_INIT, kernel CLEANUP_BUF = BUF_INIT;
    int rc = 0;
    for (const char *p = options; rc == 0 && next_option(&p, &option);) {
        if (option.len == 0)
            continue;
        (void)buf_cstr(&option);
        rc = option.err != 0 ? option.err : take(c, option.data, &kernel, e);
    }
    if (rc == 0 && kernel.len > 0)
        c->kernel_options = buf_take(&kernel);
    if (rc == 0 && kernel.len > 0 && c->kernel_options == NULL)
        rc = -ENOMEM;
    return rc == -ENOMEM ? err_set(e, rc, "mount options: out of memory") : rc;
}
