#include "codec/block.h"

#include "codec/block_i.h"
#include "codec/facts_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct codec {
    struct prover parts;
    struct encoder *encoder; /* NULL in a coder for opening only */
};

struct codec *codec_new(int encode)
{
    struct codec *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->parts.opener = opener_new(encode);
    c->parts.printer = printer_new();
    c->parts.arena = malloc(OPENER_MAX);
    c->encoder = encode ? encoder_new() : NULL;
    if (c->parts.opener == NULL || c->parts.printer == NULL || c->parts.arena == NULL ||
        (encode && c->encoder == NULL))
        codec_free(&c);
    return c;
}

void codec_free(struct codec **c)
{
    if (*c != NULL) {
        opener_free((*c)->parts.opener);
        printer_free((*c)->parts.printer);
        free((*c)->parts.arena);
        encoder_free((*c)->encoder);
    }
    free(*c);
    *c = NULL;
}

size_t codec_bound(size_t len)
{
    return CODEC_HEAD + ZSTD_compressBound(len);
}

static size_t put_zstd(struct codec *c, const void *text, size_t len, enum codec_effort effort,
                       unsigned char *out)
{
    size_t n = encoder_zstd(c->encoder, text, len, effort, out + CODEC_HEAD);
    out[0] = n > 0 ? CODEC_ZSTD : CODEC_RAW;
    out[1] = BLOCK_VERSION;
    if (n == 0) {
        n = len;
        memcpy(out + CODEC_HEAD, text, len);
    }
    return CODEC_HEAD + n;
}

size_t codec_encode(struct codec *c, const void *text, size_t len, uint64_t offset,
                    enum codec_effort effort, unsigned char *out, struct facts_part *facts)
{
    enum { GOOD = 6 }; /* what a mesh packs by where zstd need not be tried */
    const unsigned char *packed;
    size_t n = encoder_mesh(c->encoder, &c->parts, text, len, offset, effort, facts, &packed);
    if (n == 0) {
        facts_part_clear(facts);
        facts_part_text(facts, text, len);
        return put_zstd(c, text, len, effort, out);
    }
    if (n > len / GOOD) {
        size_t other = put_zstd(c, text, len, effort, out);
        if (other <= n)
            return other;
    }
    memcpy(out, packed, n);
    return n;
}

static int check_head(const unsigned char *p, size_t len, size_t text_len)
{
    if (len < CODEC_HEAD || text_len == 0 || text_len > CODEC_BLOCK_MAX)
        return -EBADMSG;
    return p[1] != BLOCK_VERSION || p[0] > CODEC_MESH ? -ENOTSUP : 0;
}

/* Unpacks what is no mesh. */
static int get_text(struct codec *c, const unsigned char *p, size_t len, char *out, size_t text_len)
{
    const unsigned char *body = p + CODEC_HEAD;
    size_t n = len - CODEC_HEAD;
    if (p[0] == CODEC_RAW) {
        if (n != text_len)
            return -EBADMSG;
        memcpy(out, body, n);
        return 0;
    }
    n = ZSTD_decompressDCtx(opener_zstd(c->parts.opener), out, text_len, body, n);
    return ZSTD_isError(n) || n != text_len ? -EBADMSG : 0;
}

/* Fills the arena from a mesh block. */
static int open_mesh(struct codec *c, const unsigned char *p, size_t len, size_t text_len)
{
    int r = opener_begin(c->parts.opener, p + CODEC_HEAD, len - CODEC_HEAD, text_len);
    return r != 0 ? r : opener_fill(c->parts.opener, c->parts.arena);
}

int codec_decode(struct codec *c, const void *packed, size_t len, void *out, size_t text_len)
{
    const unsigned char *p = packed;
    int r = check_head(p, len, text_len);
    if (r != 0)
        return r;
    if (p[0] != CODEC_MESH)
        return get_text(c, p, len, out, text_len);
    r = open_mesh(c, p, len, text_len);
    return r != 0 ? r : printer_range(c->parts.printer, c->parts.arena, 0, text_len, out);
}

/* An open block that holds its text as one literal. */
static struct codec_open *new_text(size_t text_len)
{
    size_t size = sizeof(struct codec_open) + sizeof(struct open_run) + text_len;
    struct codec_open *o = malloc(size);
    if (o == NULL)
        return NULL;
    struct open_run *run = (struct open_run *)(void *)(o + 1);
    *run = (struct open_run){.literal_len = (uint32_t)text_len};
    *o = (struct codec_open){.size = size, .text = (uint32_t)text_len, .mean = 1, .run = run};
    o->literals = (char *)(run + 1);
    return o;
}

int codec_open(struct codec *c, const void *packed, size_t len, size_t text_len,
               struct codec_open **out)
{
    const unsigned char *p = packed;
    struct codec_open *o = NULL;
    int r = check_head(p, len, text_len);
    *out = NULL;
    if (r == 0 && p[0] == CODEC_MESH)
        r = open_mesh(c, p, len, text_len);
    if (r != 0)
        return r;
    if (p[0] == CODEC_MESH) {
        o = malloc(c->parts.arena->size);
        if (o == NULL)
            return -ENOMEM;
        opener_copy(c->parts.arena, o);
    } else {
        o = new_text(text_len);
        if (o == NULL)
            return -ENOMEM;
        r = get_text(c, p, len, (char *)(o + 1) + sizeof(struct open_run), text_len);
    }
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
    return o->size;
}

int codec_read(struct codec *c, const struct codec_open *o, size_t off, size_t len, void *out)
{
    return len == 0 ? 0 : printer_range(c->parts.printer, o, off, len, out);
}

const char *codec_name(unsigned id)
{
    static const char *const name[] = {"raw", "zstd", "mesh"};
    return id < sizeof(name) / sizeof(name[0]) ? name[id] : "unknown";
}
