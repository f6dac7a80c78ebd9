#include "cli/progress_i.h"

#include "base/clock.h"

#include <sys/ioctl.h>
#include <unistd.h>

enum { FIRST_MS = 1000, EACH_MS = 10000, REDRAW_MS = 100 };

void progress_begin(struct progress *p)
{
    p->out = stderr;
    p->terminal = isatty(STDERR_FILENO) == 1;
    p->drawn = false;
    p->next = p->terminal ? 0 : clock_ms() + FIRST_MS;
}

static int columns(void)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

void progress_show(struct progress *p, const char *text)
{
    int64_t now = clock_ms();
    if (now < p->next)
        return;
    p->next = now + (p->terminal ? REDRAW_MS : EACH_MS);
    if (p->terminal)
        (void)fprintf(p->out, "\r\033[K%.*s", columns() - 1, text);
    else
        (void)fprintf(p->out, "medshapefs: %s\n", text);
    (void)fflush(p->out);
    p->drawn = p->terminal;
}

void progress_wipe(struct progress *p)
{
    if (p->drawn)
        (void)fputs("\r\033[K", p->out);
    p->drawn = false;
}
