/* Prints and reads COUNT numbers (10^8 unless told) of all kinds, on as many threads as there are
 * processors, and compares each with printf and strtod and strtof; then measures.
 *
 *     codec_numbers [COUNT [THREADS]] */
#include "../lib/numbers.h"
#include "codec/number.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 768, ROUNDS = 200, TEXT = BATCH * 32 + 64, THREADS_MAX = 256 };

struct job {
    uint64_t state, count, wrong;
    pthread_t thread;
};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int is_wrong(double v, const char *got, unsigned len)
{
    char want[64], *end;
    int n = snprintf(want, sizeof(want), "%.17g", v);
    memset(want + n, ' ', 33);
    double wide = 7, other_wide = strtod(want, &end);
    float narrow = 7, other_narrow = strtof(want, NULL);
    return (unsigned)n != len || memcmp(want, got, len) != 0 ||
           number_parse(want, want + n + 33, &wide) != end ||
           number_parsef(want, want + n + 33, &narrow) != end ||
           memcmp(&wide, &other_wide, sizeof(wide)) != 0 ||
           memcmp(&narrow, &other_narrow, sizeof(narrow)) != 0;
}

static void *compare(void *arg)
{
    struct job *j = arg;
    double v[BATCH];
    char slot[BATCH][NUMBER_SLOT];
    uint8_t len[BATCH];
    for (uint64_t done = 0; done < j->count; done += BATCH) {
        for (int i = 0; i < BATCH; i++)
            v[i] = numbers_value(&j->state);
        number_print17(v, BATCH, slot, len);
        for (int i = 0; i < BATCH; i++)
            if (is_wrong(v[i], slot[i], len[i]) && j->wrong++ < 5)
                printf("wrong: %a, printed as %.*s\n", v[i], (int)len[i], slot[i]);
    }
    return NULL;
}

static uint64_t compare_all(uint64_t count, unsigned threads)
{
    static struct job jobs[THREADS_MAX];
    uint64_t wrong = 0;
    for (unsigned i = 0; i < threads; i++) {
        jobs[i].state = (uint64_t)i << 48;
        jobs[i].count = count / threads;
        if (pthread_create(&jobs[i].thread, NULL, compare, &jobs[i]) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(jobs[i].thread, NULL);
        wrong += jobs[i].wrong;
    }
    return wrong;
}

/* The least of some rounds, in ns a number. */
#define MEASURE(ns, work)                                                                          \
    do {                                                                                           \
        ns = 1e9;                                                                                  \
        for (int round_ = 0; round_ < ROUNDS; round_++) {                                          \
            double begun_ = cpu_seconds();                                                         \
            work;                                                                                  \
            double took_ = (cpu_seconds() - begun_) * 1e9 / BATCH;                                 \
            ns = took_ < ns ? took_ : ns;                                                          \
        }                                                                                          \
    } while (0)

static size_t print_libc(const double *v, char *text)
{
    size_t at = 0;
    for (int i = 0; i < BATCH; i++)
        at += (size_t)snprintf(text + at, 32, "%.17g ", v[i]);
    return at;
}

static double read_libc(const char *text)
{
    double sum = 0;
    char *p = (char *)text;
    for (int i = 0; i < BATCH; i++)
        sum += (double)strtof(p, &p);
    return sum;
}

static double read_single(const char *p, const char *end)
{
    double sum = 0;
    float v = 0;
    for (int i = 0; i < BATCH; i++) {
        p = number_parsef(p, end, &v) + 1;
        sum += (double)v;
    }
    return sum;
}

static double read_wide(const char *p, const char *end)
{
    double sum = 0, v = 0;
    for (int i = 0; i < BATCH; i++) {
        p = number_parse(p, end, &v) + 1;
        sum += v;
    }
    return sum;
}

static void measure(const char *name, const double *v)
{
    static char text[TEXT], slot[BATCH][NUMBER_SLOT];
    uint8_t len[BATCH];
    volatile double sink;
    double print, libc_print, single, wide, libc_read;
    size_t n = print_libc(v, text);
    memset(text + n, ' ', 64);
    MEASURE(print, number_print17(v, BATCH, slot, len));
    MEASURE(libc_print, print_libc(v, text));
    MEASURE(single, sink = read_single(text, text + n + 64));
    MEASURE(wide, sink = read_wide(text, text + n + 64));
    MEASURE(libc_read, sink = read_libc(text));
    (void)sink;
    printf("%-24s print %5.1f ns (snprintf %5.1f)   float32 %5.1f ns, %4.2f GB/s   double %5.1f ns "
           "(strtof %5.1f)\n",
           name, print, libc_print, single, (double)n / BATCH / single, wide, libc_read);
}

static void measure_all(void)
{
    static double v[5][BATCH];
    uint64_t state = 9;
    for (int i = 0; i < BATCH; i++) {
        double unit = (double)(int64_t)numbers_next(&state) / 9223372036854775808.0;
        v[0][i] = (double)(float)(unit * 150 + 100);
        v[1][i] = (double)(float)unit;
        v[2][i] = unit;
        v[3][i] = unit * pow(10, -(double)(numbers_next(&state) % 20));
        v[4][i] = numbers_value(&state);
    }
    measure("coordinates, -50 to 250", v[0]);
    measure("coordinates, -1 to 1", v[1]);
    measure("normals", v[2]);
    measure("down to 1e-20", v[3]);
    measure("all kinds", v[4]);
}

int main(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000000;
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)(cpus > 0 ? cpus : 1);
    threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
    measure_all();
    fflush(stdout);
    uint64_t wrong = compare_all(count, threads);
    printf("%llu numbers: %llu wrong\n", (unsigned long long)count, (unsigned long long)wrong);
    return wrong != 0;
}
