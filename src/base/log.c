#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>

static atomic_int max_level = LOG_LEVEL_INFO;
static atomic_bool use_syslog;

void log_setup(enum log_level max, bool to_syslog)
{
    atomic_store(&max_level, (int)max);
    if (to_syslog)
        openlog("medshapefs", LOG_PID, LOG_DAEMON);
    atomic_store(&use_syslog, to_syslog);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    if ((int)level > atomic_load(&max_level))
        return;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    if (atomic_load(&use_syslog))
        syslog(priority[level], "%s", text);
    else
        (void)fprintf(stderr, "medshapefs: %s\n", text);
}
