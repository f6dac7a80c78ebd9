/* What to do after a request failed: pure policy. */
#ifndef NET_RETRY_H
#define NET_RETRY_H

#include "net/http.h"

#include <stdbool.h>
#include <stdint.h>

/* The border HTTP -> errno: 0 for 2xx and 304; ENOENT 404/410, EACCES 401/403/407/451, EAGAIN for
 * what is worth another try (408, 423, 425, 429, 500, 502, 503, 504, 507), EIO for the rest;
 * negative. `err` (of done) wins when not 0. */
int retry_errno(int err, int status);

/* True where asking again may help: a network error, or a status as above. */
bool retry_worth(int err, int status);

/* Milliseconds to wait before try number `attempt` (1 is the first repetition): doubling from 250
 * ms to 10 s, spread by `seed` over +-25 %, never less than the server's Retry-After. */
unsigned retry_delay_ms(unsigned attempt, const struct http_resp *resp, uint64_t seed);

/* The errno that a reader gets when the time is up: -ETIMEDOUT when no answer ever came, else -EIO.
 */
int retry_final(int err, int status);

#endif
