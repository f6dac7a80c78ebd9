#include "source/manifest_i.h"
#include "source/pack_i.h"

#include <string.h>

const struct source_ops *source_find(const char *type)
{
    static const struct source_ops *const all[] = {&manifest_ops, &pack_ops};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(all[i]->type, type) == 0)
            return all[i];
    return NULL;
}
