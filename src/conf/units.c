#include "conf/conf.h"

#include "base/str.h"

#include <errno.h>
#include <string.h>

/* Digits, then a unit of the table; without one the first of the table counts. */
struct unit {
    const char *name;
    uint64_t factor;
};

static int parse(const char *text, const struct unit *units, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t n;
    if (str_u64(text, digits, &n) != 0)
        return -EINVAL;
    const char *name = text + digits;
    const struct unit *u = units;
    while (u->name != NULL && !str_ieq(u->name, name))
        u++;
    if (u->name == NULL || n > INT64_MAX / u->factor)
        return -EINVAL;
    *out = n * u->factor;
    return 0;
}

int conf_parse_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},           {"K", 1ULL << 10}, {"M", 1ULL << 20}, {"G", 1ULL << 30},
        {"T", 1ULL << 40}, {"P", 1ULL << 50}, {NULL, 0},
    };
    return parse(text, units, bytes);
}

int conf_parse_duration(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {
        {"", 1000},     {"ms", 1},       {"s", 1000}, {"m", 60000},
        {"h", 3600000}, {"d", 86400000}, {NULL, 0},
    };
    return parse(text, units, ms);
}
