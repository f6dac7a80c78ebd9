/* One coder for all tests of a program: each test finds one that was used, or saw damage, before.
 */
#ifndef TESTS_UNIT_CODER_CASE_H
#define TESTS_UNIT_CODER_CASE_H

#include "codec/block.h"

static struct codec *coder;

static int setup(void **state)
{
    (void)state;
    coder = codec_new(1);
    return coder == NULL;
}

static int teardown(void **state)
{
    (void)state;
    codec_free(&coder);
    return coder != NULL;
}

#endif
