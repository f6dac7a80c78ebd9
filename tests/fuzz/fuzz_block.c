/* Packed blocks: three bytes of text length, then the block. Whatever they say, unpacking writes
 * within the text's length and takes bounded memory, and all ways of reading agree. */
#include "codec/block.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int fine)
{
    if (!fine)
        abort();
}

static void *room(size_t len)
{
    void *p = malloc(len);
    if (p == NULL)
        exit(1);
    return p;
}

static void check_open(struct codec *c, struct codec_open *o, size_t text_len, const char *whole)
{
    static const size_t parts[] = {0, 1, 2, 5, 7};
    check(codec_open_size(o) <= 12u << 20);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t off = text_len * parts[i] / 8, len = (text_len - off) * (parts[i] + 1) / 8;
        char *part = room(len > 0 ? len : 1);
        int r = codec_read(c, o, off, len, part);
        /* A range of a hostile block may be anything; of one that is whole, it is the same. */
        if (whole != NULL)
            check(r == 0 && memcmp(part, whole + off, len) == 0);
        free(part);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec *coder;
    struct codec_open *o;
    if (coder == NULL)
        coder = codec_new(0);
    if (coder == NULL || size < 3)
        return 0;
    size_t text_len = data[0] | (size_t)data[1] << 8 | (size_t)(data[2] & 0x3F) << 16;
    char *whole = room(text_len > 0 ? text_len : 1);
    int r = codec_decode(coder, data + 3, size - 3, whole, text_len);
    int s = codec_open(coder, data + 3, size - 3, text_len, &o);
    if (s == 0) {
        check_open(coder, o, text_len, r == 0 ? whole : NULL);
        codec_close(&o);
    } else {
        check(r == s && o == NULL);
    }
    free(whole);
    return 0;
}
