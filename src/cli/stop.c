#include "cli/stop_i.h"

#include "base/obj.h"

#include <signal.h>

static volatile sig_atomic_t asked;

static void note(int sig)
{
    asked = sig;
}

void stop_begin(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = note, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    struct sigaction before;
    (void)sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &act, NULL);
}

bool stop_asked(void)
{
    return asked != 0;
}
