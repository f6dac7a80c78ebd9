#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (e == NULL || e->code != 0)
        return code;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    e->code = code;
    for (char *p = e->text; *p != '\0'; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    return code;
}

void err_prefix(struct err *e, const char *prefix)
{
    if (e == NULL || e->code == 0)
        return;
    char old[sizeof(e->text)];
    memcpy(old, e->text, sizeof(old));
    (void)snprintf(e->text, sizeof(e->text), "%s: %.*s", prefix, 300, old);
}

const char *err_text(int code)
{
    const char *text = strerrordesc_np(code < 0 ? -code : code);
    return text != NULL ? text : "unknown error";
}
