/* The codec on made-up input, the same on every machine, for tests/portable.
 *
 *     codec_vectors                prints a hash of numbers that were printed and read
 *     codec_vectors --pack FILE    packs made-up STL files into FILE; prints a hash of them
 *     codec_vectors --unpack FILE  prints a hash of the texts that are in FILE */
#include "codec/block.h"
#include "codec/number.h"
#include "numbers.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBERS = 400000, BATCH = 100, TEXT_MAX = 1 << 20, HEAD = 8, SIDE = 24 };

static void die(const char *why)
{
    fprintf(stderr, "codec_vectors: %s\n", why);
    exit(1);
}

/* FNV-1a. */
static void add_bytes(uint64_t *hash, const void *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ ((const unsigned char *)p)[i]) * UINT64_C(0x100000001b3);
}

static void add_word(uint64_t *hash, uint64_t v)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(v >> 8 * i);
    add_bytes(hash, bytes, sizeof(bytes));
}

/* ---- numbers ---- */

static void read_back(uint64_t *hash, const char *text, size_t len)
{
    char roomy[64];
    double v = 0;
    float f = 0;
    uint64_t wide;
    uint32_t narrow;
    memset(roomy, ' ', sizeof(roomy));
    memcpy(roomy, text, len);
    number_parse(roomy, roomy + sizeof(roomy), &v);
    number_parsef(roomy, roomy + sizeof(roomy), &f);
    memcpy(&wide, &v, sizeof(wide));
    memcpy(&narrow, &f, sizeof(narrow));
    add_word(hash, wide);
    add_word(hash, narrow);
}

static void add_formats(uint64_t *hash, double v, uint64_t r)
{
    char out[NUMBER_LONG];
    struct number_format f = {(uint8_t)(r % 4), (uint8_t)((r >> 8) % 18), (r & 4096) != 0,
                              (r & 8192) != 0};
    add_bytes(hash, out, number_print(&f, v, out));
}

static void hash_numbers(void)
{
    uint64_t hash = 1, state = 77;
    double v[BATCH];
    char slot[BATCH][NUMBER_SLOT];
    uint8_t len[BATCH];
    for (int n = 0; n < NUMBERS; n += BATCH) {
        for (int i = 0; i < BATCH; i++)
            v[i] = numbers_value(&state);
        number_print17(v, BATCH, slot, len);
        for (int i = 0; i < BATCH; i++) {
            add_bytes(&hash, slot[i], len[i]);
            read_back(&hash, slot[i], len[i]);
            if (i % 4 == 0)
                add_formats(&hash, v[i], numbers_next(&state));
        }
    }
    printf("numbers %016llx\n", (unsigned long long)hash);
}

/* ---- texts of meshes ---- */

static size_t put_numbers(char *o, const double *v)
{
    char slot[3][NUMBER_SLOT];
    uint8_t len[3];
    size_t n = 0;
    number_print17(v, 3, slot, len);
    for (int i = 0; i < 3; i++) {
        memcpy(o + n, slot[i], len[i]);
        n += len[i];
        o[n++] = i < 2 ? ' ' : '\n';
    }
    return n;
}

static size_t put_text(char *o, const char *text)
{
    size_t n = strlen(text);
    memcpy(o, text, n);
    return n;
}

/* A corner of a bumpy square, of numbers that need no rounding but to float32. */
static void corner(unsigned x, unsigned y, float v[3])
{
    uint64_t state = (uint64_t)x << 32 | y;
    v[0] = (float)x * 1.5f;
    v[1] = (float)y * 1.5f;
    v[2] = (float)(numbers_next(&state) >> 40) * 0x1p-20f + 100;
    v[0] += (float)(numbers_next(&state) >> 40) * 0x1p-25f;
}

static void normal_of(float v[3][3], double n[3])
{
    double a[3], b[3];
    for (int k = 0; k < 3; k++) {
        a[k] = (double)v[2][k] - (double)v[1][k];
        b[k] = (double)v[0][k] - (double)v[1][k];
    }
    n[0] = a[1] * b[2] - a[2] * b[1];
    n[1] = a[2] * b[0] - a[0] * b[2];
    n[2] = a[0] * b[1] - a[1] * b[0];
    double len = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int k = 0; len != 0 && k < 3; k++)
        n[k] /= len;
}

static void facet(unsigned x, unsigned y, unsigned upper, float v[3][3], double normal[3])
{
    corner(x + upper, y, v[0]);
    corner(x + 1, y + upper, v[1]);
    corner(x, y + 1, v[2]);
    normal_of(v, normal);
}

static size_t put_facet(char *o, unsigned x, unsigned y, unsigned upper)
{
    float v[3][3];
    double wide[3];
    facet(x, y, upper, v, wide);
    size_t n = put_text(o, " facet normal ");
    n += put_numbers(o + n, wide);
    n += put_text(o + n, "  outer loop\n");
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            wide[k] = (double)v[i][k];
        n += put_text(o + n, "   vertex ");
        n += put_numbers(o + n, wide);
    }
    return n + put_text(o + n, "  endloop\n endfacet\n");
}

static size_t mesh_text(char *o, unsigned side)
{
    size_t n = put_text(o, "solid Visualization Toolkit generated SLA File\n");
    for (unsigned i = 0; i < 2 * side * side; i++)
        n += put_facet(o + n, i / 2 % side, i / 2 / side, i & 1);
    return n + put_text(o + n, "endsolid\n");
}

static void put_le(unsigned char *p, size_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static size_t put_float(char *o, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_le((unsigned char *)o, bits);
    return 4;
}

static size_t mesh_binary(char *o, unsigned side)
{
    size_t n = 84;
    memset(o, 0, n);
    put_text(o, "Visualization Toolkit generated SLA File");
    put_le((unsigned char *)o + 80, (size_t)2 * side * side);
    for (unsigned i = 0; i < 2 * side * side; i++) {
        float v[3][3];
        double normal[3];
        facet(i / 2 % side, i / 2 / side, i & 1, v, normal);
        for (int k = 0; k < 3; k++)
            n += put_float(o + n, (float)normal[k]);
        for (int k = 0; k < 9; k++)
            n += put_float(o + n, v[k / 3][k % 3]);
        memset(o + n, 0, 2);
        n += 2;
    }
    return n;
}

/* Text `i`; its length, 0 past the last. */
static size_t made_up(unsigned i, char *o)
{
    static const unsigned sides[] = {1, 2, 7, SIDE};
    if (i < 4)
        return mesh_text(o, sides[i]);
    if (i == 4)
        return mesh_binary(o, SIDE);
    if (i > 5)
        return 0;
    uint64_t state = 5;
    for (size_t n = 0; n < 1000; n++)
        o[n] = (char)numbers_next(&state);
    return 1000;
}

/* ---- packed files: length of the text, packed length (4 bytes each, lowest first), packed ---- */

static size_t get_le(const unsigned char *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static void pack(FILE *file, struct codec *c, char *text, unsigned char *packed)
{
    uint64_t hash = 1;
    size_t len;
    for (unsigned i = 0; (len = made_up(i, text)) > 0; i++)
        for (int effort = CODEC_FAST; effort <= CODEC_SMALL; effort++) {
            unsigned char head[HEAD];
            size_t n = codec_encode(c, text, len, 0, (enum codec_effort)effort, packed, NULL);
            put_le(head, len);
            put_le(head + 4, n);
            if (fwrite(head, 1, HEAD, file) != HEAD || fwrite(packed, 1, n, file) != n)
                die("cannot write");
            fprintf(stderr, "text %u: %zu bytes as %zu of codec %s\n", i, len, n,
                    codec_name(packed[0]));
            add_bytes(&hash, text, len);
        }
    printf("texts %016llx\n", (unsigned long long)hash);
}

static void unpack(FILE *file, struct codec *c, char *text, unsigned char *packed)
{
    uint64_t hash = 1;
    unsigned char head[HEAD];
    while (fread(head, 1, HEAD, file) == HEAD) {
        size_t len = get_le(head), n = get_le(head + 4);
        if (len > TEXT_MAX || n > codec_bound(TEXT_MAX) || fread(packed, 1, n, file) != n)
            die("the file is damaged");
        if (codec_decode(c, packed, n, text, len) != 0)
            die("a block cannot be unpacked");
        add_bytes(&hash, text, len);
    }
    printf("texts %016llx\n", (unsigned long long)hash);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        hash_numbers();
        return 0;
    }
    int packing = strcmp(argv[1], "--pack") == 0;
    FILE *file = fopen(argv[2], packing ? "wb" : "rb");
    struct codec *c = codec_new(packing);
    char *text = malloc(TEXT_MAX);
    unsigned char *packed = malloc(codec_bound(TEXT_MAX));
    if (file == NULL || c == NULL || text == NULL || packed == NULL)
        die("no file or no memory");
    (packing ? pack : unpack)(file, c, text, packed);
    if (fclose(file) != 0)
        die("cannot write");
    codec_free(&c);
    free(text);
    free(packed);
    return 0;
}
