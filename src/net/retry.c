#include "net/retry.h"

#include "base/hash.h"

#include <errno.h>

enum { DELAY_FIRST_MS = 250, DELAY_LAST_MS = 10000 };

/* True for answers of a server that is busy or sick: the same question may be answered later. */
static bool status_passes(int status)
{
    switch (status) {
    case 408:
    case 423:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
    case 507:
        return true;
    default:
        return false;
    }
}

int retry_errno(int err, int status)
{
    if (err != 0)
        return err;
    if ((status >= 200 && status < 300) || status == 304)
        return 0;
    if (status == 404 || status == 410)
        return -ENOENT;
    if (status == 401 || status == 403 || status == 407 || status == 451)
        return -EACCES;
    return status_passes(status) ? -EAGAIN : -EIO;
}

static bool network_error(int err)
{
    switch (-err) {
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPROTO:
        return true;
    default:
        return false;
    }
}

bool retry_worth(int err, int status)
{
    return err != 0 ? network_error(err) : status_passes(status);
}

unsigned retry_delay_ms(unsigned attempt, const struct http_resp *resp, uint64_t seed)
{
    unsigned base = DELAY_FIRST_MS;
    for (unsigned i = 1; i < attempt && base < DELAY_LAST_MS; i++)
        base *= 2;
    base = base < DELAY_LAST_MS ? base : DELAY_LAST_MS;
    uint64_t spread = hash64(&attempt, sizeof(attempt), seed) % (2 * (base / 4) + 1);
    unsigned delay = base - base / 4 + (unsigned)spread;
    return resp != NULL && resp->retry_after_ms > delay ? resp->retry_after_ms : delay;
}

int retry_final(int err, int status)
{
    return status == 0 && network_error(err) && err != -EPROTO ? -ETIMEDOUT : -EIO;
}
