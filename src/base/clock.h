/* Time: a monotonic clock for waits, a wall clock for what users see. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_ms(void);

/* Seconds since 1970. */
int64_t clock_wall(void);

/* The absolute CLOCK_MONOTONIC time that is `ms` from now, for lock_cond_wait_until(). */
struct timespec clock_after(int64_t ms);

#endif
