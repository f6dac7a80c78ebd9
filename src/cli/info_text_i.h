/* A dataset's dataset.json as text for people. Pure. */
#ifndef CLI_INFO_TEXT_I_H
#define CLI_INFO_TEXT_I_H

#include "base/buf.h"
#include "base/json.h"

/* Appends what people want to know of the object `dataset` (catalog/texts.h writes it); "not
 * stated" stands for null. Its licence and citation are files of their own and are left out but for
 * the licence's id. */
void info_text(struct buf *out, const struct json *dataset);

#endif
