/* Rows of the cache's index: any bytes are refused or come out again as they went in. */
#include "blob/store_i.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_same(const struct buf *again, const uint8_t *data, size_t len)
{
    if (again->err == 0 && (again->len != len || memcmp(again->data, data, len) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP_BUF struct buf again = BUF_INIT;
    struct store_row row;
    struct store_block block;
    if (store_row_decode(data, len, &row) == 0) {
        store_row_encode(&row, &again);
        check_same(&again, data, len);
    }
    buf_clear(&again);
    if (store_block_decode(data, len, &block) == 0) {
        store_block_encode(&block, &again);
        check_same(&again, data, len);
    }
    return 0;
}
