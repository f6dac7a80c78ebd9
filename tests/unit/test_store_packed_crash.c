#include "packed_case.h"

#include "base/log.h"

#include <signal.h>
#include <sys/wait.h>

enum { OBJECTS = 24, ROUNDS = 16 };

#define OBJECT ((uint64_t)STORE_BLOCK + 3 * STORE_PIECE + 5)
#define SMALL  ((uint64_t)3 * STORE_PIECE + 5)

static uint64_t size_of(unsigned n)
{
    return n % 4 == 0 ? OBJECT : SMALL;
}

/* Writes what is absent, and the packed blocks' packed form where they come so, while another
 * thread packs; for ever; says 'x' for each piece and 'p' for each block that was packed. */
static void pack_for_ever(const char *dir, int said, unsigned round)
{
    struct store *s = open_store(dir, 16 * MIB, 0);
    if (store_pack_start(s, never_busy, NULL) != 0)
        _exit(1);
    uint64_t told = 0;
    for (unsigned i = round;; i++) {
        struct store_stats st;
        store_stats(s, &st);
        for (; told < st.packed_blocks; told++)
            if (write(said, "p", 1) != 1)
                _exit(5);
        unsigned n = i * 7 % OBJECTS;
        uint64_t size = size_of(n);
        struct hash_id id = nth_id(n);
        struct store_file *f = NULL;
        if (store_get(s, &id, size, "tag", &f) != 0)
            _exit(2);
        if (text_given(f, n, size) < 0)
            _exit(3);
        for (uint32_t p = 0; p < store_pieces(f); p++)
            if (store_state(f, p) == STORE_ABSENT &&
                (write_text(f, n, size, p) != 0 || write(said, "x", 1) != 1))
                _exit(4);
        struct store_packed info = {.turn = 0};
        struct buf packed = BUF_INIT;
        if (i % 5 == 0 && store_read_packed(f, 0, &packed, &info) == 0)
            store_drop_packed(f, 0, &info, false); /* it is to be written again */
        if (i % 10 == 0 && packed.len > 0)
            (void)store_write_packed(f, 0, packed.data, packed.len, info.packed_sum, info.text_sum);
        buf_free(&packed);
        store_put(&f);
    }
}

static void kill_after(int heard, pid_t child, unsigned pieces, unsigned blocks)
{
    char x;
    int status = 0;
    for (unsigned i = 0, k = 0; i < pieces || k < blocks;) {
        if (read(heard, &x, 1) != 1)
            break;
        i += x == 'x';
        k += x == 'p';
    }
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        fail_msg("the writer ended with %d", WEXITSTATUS(status));
}

/* After kill -9 at any moment each row is right: all that is held is given, and nothing of it was
 * damaged. */
static void test_kill_in_packing(void **state)
{
    struct fixture *fx = *state;
    uint64_t packed = 0, raw = 0;
    const unsigned rounds = getenv("MSFS_SMALL") != NULL ? ROUNDS / 4 : ROUNDS;
    for (unsigned round = 0; round < rounds; round++) {
        int said[2];
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            pack_for_ever(fx->dir, said[1], round);
        (void)close(said[1]);
        kill_after(said[0], child, 30 + round * 17 % 150, round % 5);
        (void)close(said[0]);

        fx->s = open_store(fx->dir, 16 * MIB, 0);
        uint64_t given = 0;
        for (unsigned n = 0; n < OBJECTS; n++) {
            int64_t here = text_held(fx->s, n, size_of(n));
            assert_true(here >= 0);
            given += (uint64_t)here;
        }
        struct store_stats st = stats_of(fx->s);
        assert_int_equal(st.damaged, 0);
        assert_int_equal(st.text, given);
        packed += st.packed_text;
        raw += st.text - st.packed_text;
        store_close(&fx->s);
    }
    assert_true(packed > 0);
    assert_true(raw > 0);
}

/* Once the leavings are looked at, no file takes much more than what is held of it. */
static bool is_tidy(void *arg)
{
    struct fixture *fx = arg;
    uint64_t use = 0;
    struct store_stats st = stats_of(fx->s);
    for (unsigned n = 0; n < OBJECTS; n++)
        use += disk_use(fx->dir, n);
    return use <= st.bytes + OBJECTS * (uint64_t)(100 << 10);
}

static void test_leavings(void **state)
{
    struct fixture *fx = *state;
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        pack_for_ever(fx->dir, said[1], 0);
    (void)close(said[1]);
    kill_after(said[0], child, 150, 4);
    (void)close(said[0]);
    fx->s = open_store(fx->dir, 1024 * MIB, 0);
    assert_int_equal(store_pack_start(fx->s, never_busy, NULL), 0);
    for (unsigned n = 0; n < OBJECTS; n++)
        assert_true(text_held(fx->s, n, size_of(n)) >= 0);
    assert_true(eventually(is_tidy, fx));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_store)
    const struct CMUnitTest tests[] = {CASE(test_kill_in_packing), CASE(test_leavings)};
    log_setup(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
