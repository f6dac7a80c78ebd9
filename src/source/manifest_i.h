/* Source "manifest": a list of links, one a line. */
#ifndef SOURCE_MANIFEST_I_H
#define SOURCE_MANIFEST_I_H

#include "source/source.h"

/* What source_find("manifest") gives. */
extern const struct source_ops manifest_ops;

#endif
