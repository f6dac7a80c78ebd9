/* codec_files [--json] [--small] FILE...: packs each file block by block in memory, unpacks it,
 * compares, and tells bytes and the least CPU time of one thread that either way took in some
 * turns. Encoding includes the proof. */
#include "codec/block.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS = 3 }; /* at least, as the first one pays for the memory */

static const double measured = 0.2; /* seconds for each way, at least */

struct file {
    const char *path;
    unsigned char *text, *out, *back;
    size_t len, blocks, mesh;
    size_t *packed; /* of each block, in `out` one after another */
    double encode, decode;
};

static double cpu(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t block_len(const struct file *f, size_t i)
{
    size_t left = f->len - i * CODEC_BLOCK_MAX;
    return left < CODEC_BLOCK_MAX ? left : CODEC_BLOCK_MAX;
}

static int load(struct file *f)
{
    FILE *in = fopen(f->path, "rb");
    long end = -1;
    if (in != NULL && fseek(in, 0, SEEK_END) == 0)
        end = ftell(in);
    if (end > 0) {
        rewind(in);
        f->len = (size_t)end;
        f->blocks = (f->len + CODEC_BLOCK_MAX - 1) / CODEC_BLOCK_MAX;
        f->text = malloc(f->len);
        f->back = malloc(CODEC_BLOCK_MAX);
        f->out = malloc(f->blocks * codec_bound(CODEC_BLOCK_MAX));
        f->packed = calloc(f->blocks, sizeof(*f->packed));
    }
    bool ok = f->text != NULL && f->back != NULL && f->out != NULL && f->packed != NULL &&
              fread(f->text, 1, f->len, in) == f->len;
    if (in != NULL)
        (void)fclose(in);
    return ok ? 0 : -1;
}

static void unload(struct file *f)
{
    free(f->text);
    free(f->back);
    free(f->out);
    free(f->packed);
}

static void pack(struct codec *c, struct file *f, enum codec_effort effort)
{
    unsigned char *out = f->out;
    f->mesh = 0;
    for (size_t i = 0; i < f->blocks; i++) {
        size_t at = i * CODEC_BLOCK_MAX;
        f->packed[i] = codec_encode(c, f->text + at, block_len(f, i), at, effort, out, NULL);
        f->mesh += *out == CODEC_MESH;
        out += f->packed[i];
    }
}

/* Into one block's memory again and again, as a reader does. */
static int unpack(struct codec *c, struct file *f, bool compare)
{
    const unsigned char *in = f->out;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->blocks; i++) {
        size_t len = block_len(f, i);
        rc = codec_decode(c, in, f->packed[i], f->back, len);
        if (rc == 0 && compare && memcmp(f->back, f->text + i * CODEC_BLOCK_MAX, len) != 0)
            rc = -1;
        in += f->packed[i];
    }
    return rc;
}

static int measure(struct codec *c, struct file *f, enum codec_effort effort)
{
    int rc = 0, turn = 0;
    f->encode = f->decode = 1e9;
    for (double begin = cpu(), at = begin; turn < TURNS || at - begin < measured; turn++) {
        pack(c, f, effort);
        double now = cpu();
        f->encode = now - at < f->encode ? now - at : f->encode;
        at = now;
    }
    turn = 0;
    for (double begin = cpu(), at = begin; turn < TURNS || at - begin < measured; turn++) {
        rc = unpack(c, f, false);
        double now = cpu();
        f->decode = now - at < f->decode ? now - at : f->decode;
        at = now;
    }
    return rc != 0 ? rc : unpack(c, f, true);
}

static void tell(const struct file *f, bool json, bool first)
{
    size_t packed = 0;
    for (size_t i = 0; i < f->blocks; i++)
        packed += f->packed[i];
    double len = (double)f->len;
    if (json)
        printf("%s\n {\"path\": \"%s\", \"text\": %zu, \"packed\": %zu, \"blocks\": %zu, "
               "\"mesh\": %zu, \"encode\": %.9f, \"decode\": %.9f}",
               first ? "" : ",", f->path, f->len, packed, f->blocks, f->mesh, f->encode, f->decode);
    else
        printf("%7.1f x %9zu bytes %6.0f MB/s %6.2f GB/s  %s\n", len / (double)packed, packed,
               len / f->encode / 1e6, len / f->decode / 1e9, f->path);
}

int main(int argc, char **argv)
{
    bool json = false, failed = false;
    enum codec_effort effort = CODEC_FAST;
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        json = json || strcmp(argv[i], "--json") == 0;
        effort = strcmp(argv[i], "--small") == 0 ? CODEC_SMALL : effort;
    }
    struct codec *c = codec_new(1);
    if (c == NULL || i == argc) {
        (void)fprintf(stderr, "usage: codec_files [--json] [--small] FILE...\n");
        return 2;
    }
    if (json)
        printf("{\"files\": [");
    for (int first = i; i < argc && !failed; i++) {
        struct file f = {.path = argv[i]};
        failed = load(&f) != 0 || measure(c, &f, effort) != 0;
        if (failed)
            (void)fprintf(stderr,
                          "codec_files: %s: cannot be read, or did not come back the same\n",
                          argv[i]);
        else
            tell(&f, json, i == first);
        unload(&f);
    }
    if (json)
        printf("]}\n");
    codec_free(&c);
    return failed ? 1 : 0;
}
