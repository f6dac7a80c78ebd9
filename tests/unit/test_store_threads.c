#include "store_test.h"

#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, FILES = 3, PIECES = 70, STEPS = 600 };

#define OBJECT ((uint64_t)PIECES * STORE_PIECE - 999)

struct shared {
    struct store *s;
    struct store_file *file[FILES];
    unsigned ids; /* of the churning threads */
    atomic_uint wrong, refused, present;
};

struct worker {
    struct shared *shared;
    pthread_t thread;
    uint64_t seed;
};

static unsigned dice(struct worker *w, unsigned sides)
{
    w->seed = w->seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(w->seed >> 33) % sides;
}

static void one_step(struct worker *w, struct store_file *f, unsigned n)
{
    struct shared *sh = w->shared;
    uint32_t piece = dice(w, store_pieces(f));
    int err = 0;
    switch (store_state(f, piece)) {
    case STORE_ABSENT:
        err = write_piece(f, n, OBJECT, piece);
        break;
    case STORE_UNPROVED:
        err = store_prove(f, piece);
        if (err == -EBADMSG) /* the row of a file that was deleted */
            err = write_piece(f, n, OBJECT, piece);
        break;
    case STORE_PRESENT:
        (void)atomic_fetch_add(&sh->present, 1);
        break;
    case STORE_PACKED: /* nobody packs here */
        err = -EINVAL;
        break;
    }
    if (err != 0 || store_state(f, piece) != STORE_PRESENT || !piece_right(f, n, OBJECT, piece))
        (void)atomic_fetch_add(&sh->wrong, 1);
    if (dice(w, 16) == 0)
        store_touch(f);
}

static void *work_on_same(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < STEPS / 3; i++) {
        unsigned n = dice(w, FILES);
        one_step(w, w->shared->file[n], n);
        struct store_stats st;
        if (i % 64 == 0)
            store_stats(w->shared->s, &st);
    }
    return NULL;
}

static void *work_and_churn(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < STEPS / 10; i++) {
        unsigned n = dice(w, w->shared->ids);
        struct hash_id id = nth_id(n);
        struct store_file *f = NULL;
        if (store_get(w->shared->s, &id, OBJECT, "tag", &f) != 0) {
            (void)atomic_fetch_add(&w->shared->refused, 1);
            continue;
        }
        for (unsigned k = 0; k < 10; k++)
            one_step(w, f, n);
        store_put(&f);
    }
    return NULL;
}

static void run(struct shared *sh, void *(*work)(void *))
{
    struct worker worker[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){.shared = sh, .seed = i + 1};
        assert_int_equal(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(worker[i].thread, NULL), 0);
    assert_int_equal(atomic_load(&sh->wrong), 0);
    assert_int_equal(atomic_load(&sh->refused), 0);
}

static void open_all(struct shared *sh, struct store *s)
{
    sh->s = s;
    for (unsigned n = 0; n < FILES; n++)
        sh->file[n] = get(s, n, OBJECT);
}

static void put_all(struct shared *sh)
{
    for (unsigned n = 0; n < FILES; n++)
        store_put(&sh->file[n]);
}

/* Pieces of the same files at once, cold, then unproved after a restart. */
static void test_same_files(void **state)
{
    struct fixture *fx = *state;
    struct shared sh = {0};
    open_all(&sh, fx->s);
    run(&sh, work_on_same);
    uint64_t held = 0;
    for (unsigned n = 0; n < FILES; n++)
        for (uint32_t i = 0; i < PIECES; i++)
            held += store_state(sh.file[n], i) == STORE_PRESENT ? piece_len(OBJECT, i) : 0;
    put_all(&sh);
    assert_int_equal(stats_of(fx->s).bytes, held);
    reopen(fx, 1024 * MIB);
    open_all(&sh, fx->s);
    run(&sh, work_on_same);
    put_all(&sh);
    assert_int_equal(stats_of(fx->s).damaged, 0);
    assert_true(atomic_load(&sh.present) > 0);
}

/* Objects come and go below a limit that holds but a third of them; at the end the sums are those
 * of the rows. */
static void test_churn(void **state)
{
    struct fixture *fx = *state;
    reopen(fx, 25 * MIB);
    struct shared sh = {.s = fx->s, .ids = 24};
    run(&sh, work_and_churn);
    struct store_stats st = stats_of(fx->s);
    assert_true(st.evicted > 0);
    assert_true(st.bytes <= 25 * MIB);
    reopen(fx, 25 * MIB);
    struct store_stats again = stats_of(fx->s);
    assert_int_equal(again.bytes, st.bytes);
    assert_int_equal(again.objects, st.objects);
}

/* The folder is deleted over and over below threads at work. */
static void *delete_folder(void *arg)
{
    struct fixture *fx = arg;
    for (int i = 0; i < 20; i++) {
        struct store_stats st;
        store_flush(fx->s);
        store_stats(fx->s, &st);
        (void)fsio_remove_tree(fx->dir);
    }
    return NULL;
}

static void test_churn_without_ground(void **state)
{
    struct fixture *fx = *state;
    struct shared sh = {.s = fx->s, .ids = 6};
    pthread_t deleter;
    assert_int_equal(pthread_create(&deleter, NULL, delete_folder, fx), 0);
    struct worker worker[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){.shared = &sh, .seed = i + 1};
        assert_int_equal(pthread_create(&worker[i].thread, NULL, work_and_churn, &worker[i]), 0);
    }
    assert_int_equal(pthread_join(deleter, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(worker[i].thread, NULL), 0);
    assert_int_equal(atomic_load(&sh.wrong), 0);
    assert_false(store_sick(fx->s));
    for (unsigned n = 0; n < sh.ids; n++)
        fill(fx->s, n, OBJECT);
    reopen(fx, 1024 * MIB);
    store_flush(fx->s);
    for (unsigned n = 0; n < sh.ids; n++)
        assert_true(pieces_held(fx->s, n, OBJECT) >= 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_store, remove_store)
    const struct CMUnitTest tests[] = {
        CASE(test_same_files),
        CASE(test_churn),
        CASE(test_churn_without_ground),
    };
    log_setup(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
