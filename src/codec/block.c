#include "codec/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { VERSION = 1 };

struct codec {
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
};

struct codec_open {
    size_t len;
    unsigned char text[];
};

struct codec *codec_new(int encode)
{
    struct codec *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->dctx = ZSTD_createDCtx();
    c->cctx = encode ? ZSTD_createCCtx() : NULL;
    if (c->dctx == NULL || (encode && c->cctx == NULL))
        codec_free(&c);
    return c;
}

void codec_free(struct codec **c)
{
    if (*c != NULL) {
        (void)ZSTD_freeCCtx((*c)->cctx);
        (void)ZSTD_freeDCtx((*c)->dctx);
    }
    free(*c);
    *c = NULL;
}

size_t codec_bound(size_t len)
{
    return CODEC_HEAD + ZSTD_compressBound(len);
}

size_t codec_encode(struct codec *c, const void *text, size_t len, uint64_t offset,
                    enum codec_effort effort, unsigned char *out, struct facts_part *facts)
{
    (void)offset;
    (void)facts;
    size_t n = ZSTD_compressCCtx(c->cctx, out + CODEC_HEAD, ZSTD_compressBound(len), text, len,
                                 effort == CODEC_SMALL ? 19 : 3);
    out[0] = CODEC_ZSTD;
    out[1] = VERSION;
    if (!ZSTD_isError(n) && n < len)
        return CODEC_HEAD + n;
    out[0] = CODEC_RAW;
    memcpy(out + CODEC_HEAD, text, len);
    return CODEC_HEAD + len;
}

int codec_decode(struct codec *c, const void *packed, size_t len, void *out, size_t text_len)
{
    const unsigned char *p = packed;
    if (len < CODEC_HEAD)
        return -EBADMSG;
    if (p[1] != VERSION || p[0] > CODEC_ZSTD)
        return -ENOTSUP;
    if (p[0] == CODEC_RAW) {
        if (len - CODEC_HEAD != text_len)
            return -EBADMSG;
        memcpy(out, p + CODEC_HEAD, text_len);
        return 0;
    }
    size_t n = ZSTD_decompressDCtx(c->dctx, out, text_len, p + CODEC_HEAD, len - CODEC_HEAD);
    return ZSTD_isError(n) || n != text_len ? -EBADMSG : 0;
}

int codec_open(struct codec *c, const void *packed, size_t len, size_t text_len,
               struct codec_open **out)
{
    struct codec_open *o = malloc(sizeof(*o) + text_len);
    if (o == NULL)
        return -ENOMEM;
    o->len = text_len;
    int r = codec_decode(c, packed, len, o->text, text_len);
    if (r != 0)
        codec_close(&o);
    *out = o;
    return r;
}

void codec_close(struct codec_open **o)
{
    free(*o);
    *o = NULL;
}

size_t codec_open_size(const struct codec_open *o)
{
    return sizeof(*o) + o->len;
}

int codec_read(struct codec *c, const struct codec_open *o, size_t off, size_t len, void *out)
{
    (void)c;
    memcpy(out, o->text + off, len);
    return 0;
}

const char *codec_name(unsigned id)
{
    static const char *const name[] = {"raw", "zstd", "mesh"};
    return id < sizeof(name) / sizeof(name[0]) ? name[id] : "unknown";
}
