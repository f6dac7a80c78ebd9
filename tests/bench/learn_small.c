/* Learns the start tables of the small mesh coder: learn_small TABLES.c TABLES.txt MESH.stl...
 * (binary STL, made by small_meshes.py). The tables are a part of the format: to change them is to
 * change the version of the mesh codec. */
#include <stdint.h>

static double (*tally)[2]; /* how often each probability's bit was 0 and 1 in a mesh */
#define SMALL_TALLY(i, bit) (tally[i][bit] += 1)

#include "codec/small.c"

#include "soup.h"

#include <math.h>
#include <stdio.h>

/* A sparse context keeps near one half. */
enum { DOUBT = 1 };

static bool learn(struct mesh_coder *c, const char *path, double (*sum)[2])
{
    struct mesh m;
    if (!soup_read(path, &m))
        return false;
    memset(tally, 0, SMALL_PROBABILITIES * sizeof(*tally));
    size_t cap = mesh_bound(m.facets, m.vertices);
    unsigned char *out = malloc(cap);
    if (out != NULL)
        (void)mesh_encode(c, &m, MESH_FAST, out, cap);
    /* Small meshes need the tables most. */
    double weight = 30 / sqrt(1 + (double)m.facets);
    for (unsigned i = 0; i < SMALL_PROBABILITIES; i++)
        for (unsigned bit = 0; bit < 2; bit++)
            sum[i][bit] += weight * tally[i][bit];
    free(out);
    soup_free(&m);
    return true;
}

static unsigned start(const double seen[2])
{
    double p = 256 * (seen[0] + DOUBT) / (seen[0] + seen[1] + 2 * DOUBT);
    return p < 2 ? 2 : p > 254 ? 254 : (unsigned)lrint(p);
}

static bool write_tables(const char *c_path, const char *text_path, double (*sum)[2])
{
    FILE *c = fopen(c_path, "w"), *text = fopen(text_path, "w");
    if (c == NULL || text == NULL)
        return false;
    fputs("/* Made by tests/bench/learn_small.c. */\n#include \"codec/small_i.h\"\n\n"
          "/* clang-format off */\nconst uint8_t small_table[SMALL_PROBABILITIES] = {\n",
          c);
    for (unsigned i = 0; i < SMALL_PROBABILITIES; i++) {
        fprintf(c, "%u,%s", start(sum[i]), i % 24 == 23 ? "\n" : "");
        fprintf(text, "%u%c", start(sum[i]), i % 32 == 31 ? '\n' : ' ');
    }
    fputs("};\n", c);
    return fclose(c) == 0 && fclose(text) == 0;
}

int main(int argc, char **argv)
{
    double(*sum)[2] = calloc(SMALL_PROBABILITIES, sizeof(*sum));
    tally = calloc(SMALL_PROBABILITIES, sizeof(*tally));
    struct mesh_coder *c = mesh_coder_new(MESH_SMALL_FACETS, 1);
    bool fine = argc > 3 && sum != NULL && tally != NULL && c != NULL;
    for (int i = 3; i < argc && fine; i++)
        fine = learn(c, argv[i], sum);
    fine = fine && write_tables(argv[1], argv[2], sum);
    if (!fine)
        fputs("learn_small: cannot read or write\n", stderr);
    mesh_coder_free(&c);
    free(tally);
    free(sum);
    return !fine;
}
