/* Runs a fuzz target without a fuzzer: on nothing and on each file of the folder given, as it is
 * and with bytes changed, left out and put in, always the same way. With -fsanitize=fuzzer the
 * targets need no main.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20, VARIANTS = 300 };

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One change: overwrite, insert or drop a byte; `data` has room for one more. */
static size_t change(uint8_t *data, size_t size, uint64_t *state)
{
    static const char telling[] = "\"\\{}[],:=/%\n\r\x01\x7F\xFF<>&;-0919";
    size_t at = size > 0 ? next(state) % size : 0;
    uint8_t byte =
        (uint8_t)(next(state) % 4 == 0 ? next(state)
                                       : (uint8_t)telling[next(state) % sizeof(telling)]);
    switch (next(state) % 3) {
    case 0:
        memmove(data + at + 1, data + at, size - at);
        data[at] = byte;
        return size + 1;
    case 1:
        if (size == 0)
            return 0;
        memmove(data + at, data + at + 1, size - at - 1);
        return size - 1;
    default:
        if (size > 0)
            data[at] = byte;
        return size;
    }
}

/* The input and the changes of it, each one upon the last. */
static void run(uint8_t *data, size_t size)
{
    uint64_t state = 0x9E3779B97F4A7C15U;
    for (int i = 0; i <= VARIANTS; i++) {
        /* A block of its own size, so that a sanitizer sees a read behind its end. */
        uint8_t *exact = malloc(size > 0 ? size : 1);
        if (exact == NULL)
            exit(1);
        memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
        free(exact);
        size = change(data, size, &state);
    }
}

static int replay(const char *folder, const char *name, uint8_t *data)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, INPUT_MAX, f);
    (void)fclose(f);
    run(data, size);
    return 1;
}

int main(int argc, char **argv)
{
    int files = 1;
    uint8_t *data = calloc(1, INPUT_MAX + VARIANTS + 1);
    if (data == NULL)
        return 1;
    run(data, 0);
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    if (argc == 2 && d == NULL) {
        perror(argv[1]);
        return 1;
    }
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d))
        if (e->d_name[0] != '.')
            files += replay(argv[1], e->d_name, data);
    if (d != NULL)
        (void)closedir(d);
    free(data);
    printf("%d inputs, %d changes of each\n", files, VARIANTS);
    return 0;
}
