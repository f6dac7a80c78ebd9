/* The engine's queue: limits, order, rest of hosts, cancel, pause, end, idleness. */
#include "lib/http_case.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct conf_network limited(unsigned connections)
{
    struct conf_network net = usual_net();
    net.connections = connections;
    return net;
}

static uint64_t start(const struct world *w, const char *path, struct got *g)
{
    struct http_req req = {.url = world_url(w, path)};
    got_init(g);
    return http_start(w->h, &req, &got_ops, g);
}

static void finish_all(struct got *g, size_t n, int err)
{
    for (size_t i = 0; i < n; i++) {
        got_wait(&g[i], &g[i].dones, 1);
        assert_int_equal(g[i].err, err);
        got_free(&g[i]);
    }
}

static void test_limit(void **state)
{
    struct world *w = *state;
    struct got g[10];
    struct http_stats s;
    world_reopen(w, limited(2));
    for (size_t i = 0; i < 10; i++)
        (void)start(w, "/!delay=20/a", &g[i]);
    http_stats(w->h, &s);
    assert_true(s.running <= 2 && s.running + s.queued <= 10);
    finish_all(g, 10, 0);
    assert_int_equal(faultd_stat(&w->d, "max_in_flight"), 2);
    assert_int_equal(faultd_stat(&w->d, "requests"), 10);
}

/* Asserts that the log's paths come in this order. */
static void assert_order(const struct world *w, const char *const *paths, size_t n)
{
    char text[32768], want[64] = "";
    faultd_control(&w->d, "GET /_log", "", text, sizeof(text));
    const char *at = text;
    for (size_t i = 0; i < n && at != NULL; i++) {
        (void)snprintf(want, sizeof(want), "\"path\": \"%s\"", paths[i]);
        at = strstr(at, want);
    }
    if (at == NULL)
        fail_msg("%s is not in its place: %s", want, text);
}

static void test_background_last(void **state)
{
    struct world *w = *state;
    static const char *const asked[] = {"/bg1", "/bg2", "/fg1", "/fg2", "/bg3", "/fg3"};
    static const char *const served[] = {"/fg1", "/fg2", "/fg3", "/bg1", "/bg2", "/bg3"};
    struct got blocker, g[6];
    world_reopen(w, limited(1));
    uint64_t id = start(w, "/!stall=10/first", &blocker);
    got_wait(&blocker, &blocker.heads, 1);
    for (size_t i = 0; i < 6; i++) {
        struct http_req req = {.url = world_url(w, asked[i]), .background = asked[i][1] == 'b'};
        got_init(&g[i]);
        assert_true(http_start(w->h, &req, &got_ops, &g[i]) != 0);
    }
    http_cancel(w->h, id);
    finish_all(&blocker, 1, -ECANCELED);
    finish_all(g, 6, 0);
    assert_order(w, served, 6);
}

static void test_delay(void **state)
{
    struct world *w = *state;
    static const char *const served[] = {"/now", "/soon", "/later"};
    struct got g[3];
    int64_t begin = clock_ms();
    for (size_t i = 3; i-- > 0;) {
        struct http_req req = {.url = world_url(w, served[i]), .delay_ms = (unsigned)i * 120};
        got_init(&g[i]);
        assert_true(http_start(w->h, &req, &got_ops, &g[i]) != 0);
    }
    got_wait(&g[2], &g[2].dones, 1);
    assert_true(g[1].ended_at - begin >= 120);
    assert_true(g[2].ended_at - begin >= 240);
    finish_all(g, 3, 0);
    assert_order(w, served, 3);
}

static void test_host_rests(void **state)
{
    struct world *w = *state;
    struct faultd other;
    struct got g, quick;
    char url[64];
    faultd_start(&other);
    int64_t begin = clock_ms();
    assert_int_equal(fetch_path(w, "/!status=429,retry=1/a", 0, 0, &g), 0);
    got_free(&g);
    (void)start(w, "/b", &g);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/c", other.port);
    struct http_req req = {.url = url};
    assert_int_equal(fetch(w, &req, &quick), 0);
    got_wait(&g, &g.dones, 1);
    assert_true(quick.ended_at < g.ended_at);
    assert_true(g.ended_at - begin >= 1000);
    assert_int_equal(g.err, 0);
    got_free(&g);
    got_free(&quick);
    faultd_stop(&other);
}

static void test_budget(void **state)
{
    struct world *w = *state;
    struct conf_network net = usual_net();
    struct got g[14];
    net.requests_per_minute = 240; /* twelve at once, then one each 264 ms */
    world_reopen(w, net);
    int64_t begin = clock_ms();
    for (size_t i = 0; i < 14; i++)
        (void)start(w, "/a", &g[i]);
    got_wait(&g[11], &g[11].dones, 1);
    got_wait(&g[13], &g[13].dones, 1);
    assert_true(g[13].ended_at - begin >= 420);
    finish_all(g, 14, 0);
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    struct got g[3];
    world_reopen(w, limited(1));
    uint64_t running = start(w, "/!stall=10/a", &g[0]);
    got_wait(&g[0], &g[0].heads, 1);
    uint64_t queued = start(w, "/b", &g[1]);
    struct http_req req = {.url = world_url(w, "/c"), .delay_ms = 60000};
    got_init(&g[2]);
    uint64_t delayed = http_start(w->h, &req, &got_ops, &g[2]);
    assert_true(running != queued && queued != delayed);
    http_cancel(w->h, 0);
    http_cancel(w->h, 987654);
    http_resume(w->h, running);
    http_cancel(w->h, queued);
    http_cancel(w->h, queued);
    got_wait(&g[1], &g[1].dones, 1);
    assert_int_equal(g[0].dones, 0);
    http_cancel(w->h, delayed);
    http_cancel(w->h, running);
    finish_all(g, 3, -ECANCELED);
    http_cancel(w->h, running);
    struct got after;
    assert_int_equal(fetch_path(w, "/d", 0, 0, &after), 0);
    got_free(&after);
    struct http_stats s;
    http_stats(w->h, &s);
    assert_int_equal(s.running + s.queued, 0);
    assert_int_equal(s.failures, 0);
}

static void test_stop_by_callback(void **state)
{
    struct world *w = *state;
    struct got g;
    got_init(&g);
    g.head_rc = -ESTALE;
    struct http_req req = {.url = world_url(w, "/a")};
    assert_true(http_start(w->h, &req, &got_ops, &g) != 0);
    got_wait(&g, &g.dones, 1);
    assert_int_equal(g.err, -ESTALE);
    assert_int_equal(g.body.len, 0);
    got_free(&g);
}

/* Lets data() take `step` bytes more each time it has paused; the body must come whole and in
 * order. */
static void run_paused(struct world *w, const struct http_req *req, const char *name, size_t size,
                       size_t step)
{
    struct got g;
    got_init(&g);
    g.room = step;
    uint64_t id = http_start(w->h, req, &got_ops, &g);
    for (int pauses = 1; g.room < size; pauses++) {
        got_wait(&g, &g.pauses, pauses);
        pthread_mutex_lock(&g.lock);
        pauses = g.pauses;
        g.room += step;
        pthread_mutex_unlock(&g.lock);
        http_resume(w->h, id);
    }
    got_wait(&g, &g.dones, 1);
    assert_int_equal(g.err, 0);
    assert_int_equal(g.body.len, size);
    assert_true(name == NULL || body_is(&g, name, 0, 0));
    got_free(&g);
}

static void test_pause(void **state)
{
    struct world *w = *state;
    struct http_req req = {.url = world_url(w, "/!size=3000000/big")};
    run_paused(w, &req, "big", 3000000, 200000);
    static char list[300001];
    memset(list, 'a', sizeof(list) - 1);
    faultd_control(&w->d, "POST /_put?path=/list.txt", list, NULL, 0);
    req = (struct http_req){.url = world_url(w, "/!gzipask/list.txt"), .gzip = true};
    run_paused(w, &req, NULL, 300000, 50000);
}

/* A pause is not the server's silence; a cancel ends it, too. */
static void test_long_pause(void **state)
{
    struct world *w = *state;
    struct conf_network net = usual_net();
    struct got g, other;
    net.timeout_ms = 400;
    world_reopen(w, net);
    struct http_req req = {.url = world_url(w, "/!size=100000/p")};
    got_init(&g);
    g.room = 1;
    uint64_t id = http_start(w->h, &req, &got_ops, &g);
    got_wait(&g, &g.pauses, 1);
    for (int i = 0; i < 4; i++) {
        req.url = world_url(w, "/!delay=150/other");
        assert_int_equal(fetch(w, &req, &other), 0);
        got_free(&other);
    }
    assert_int_equal(g.dones, 0);
    http_resume(w->h, id);
    got_wait(&g, &g.pauses, 2);
    http_cancel(w->h, id);
    finish_all(&g, 1, -ECANCELED);
}

static void test_close_in_flight(void **state)
{
    struct world *w = *state;
    struct got g[12];
    world_reopen(w, limited(3));
    for (size_t i = 0; i < 12; i++) {
        struct http_req req = {.url = world_url(w, "/!stall=10/a"), .delay_ms = i < 8 ? 0 : 60000};
        got_init(&g[i]);
        assert_true(http_start(w->h, &req, &got_ops, &g[i]) != 0);
    }
    got_wait(&g[0], &g[0].heads, 1);
    http_close(&w->h);
    assert_null(w->h);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(g[i].dones, 1);
    finish_all(g, 12, -ECANCELED);
    world_open(w);
}

/* The first line of a thread's file in /proc that begins with `key`. */
static bool task_line(const char *task, const char *file, const char *key, char *line, size_t cap)
{
    char path[320];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, file);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f != NULL && !found && fgets(line, (int)cap, f) != NULL)
        found = strncmp(line, key, strlen(key)) == 0;
    if (f != NULL)
        fclose(f);
    return found;
}

/* Context switches of the engine's thread: an idle one has none. */
static long switches(void)
{
    static const char key[] = "voluntary_ctxt_switches:";
    char line[128];
    long sum = -1;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *de = readdir(dir); de != NULL; de = readdir(dir))
        if (task_line(de->d_name, "comm", "http\n", line, sizeof(line)) &&
            task_line(de->d_name, "status", key, line, sizeof(line)))
            sum = strtol(line + strlen(key), NULL, 10);
    closedir(dir);
    assert_true(sum > 0);
    return sum;
}

/* CPU time of the process, in ms. */
static int64_t cpu_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void wait_ms(int64_t ms)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    struct timespec until = clock_after(ms);
    pthread_mutex_lock(&m);
    while (pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &until) == 0)
        continue;
    pthread_mutex_unlock(&m);
}

static void test_idle(void **state)
{
    struct world *w = *state;
    struct got g;
    assert_int_equal(fetch_path(w, "/a", 0, 0, &g), 0); /* leaves a kept connection */
    got_free(&g);
    long before, after = switches();
    do { /* until it has gone to rest */
        before = after;
        wait_ms(30);
        after = switches();
    } while (before != after);
    int64_t cpu = cpu_ms();
    wait_ms(400);
    assert_int_equal(switches() - before, 0);
    assert_true(cpu_ms() - cpu < 100);
    /* Waiting for a silent server is not busy either. */
    uint64_t id = start(w, "/!stall=10/s", &g);
    got_wait(&g, &g.heads, 1);
    wait_ms(100);
    before = switches();
    cpu = cpu_ms();
    wait_ms(300);
    assert_true(switches() - before <= 3);
    assert_true(cpu_ms() - cpu < 100);
    http_cancel(w->h, id);
    finish_all(&g, 1, -ECANCELED);
}

struct chain {
    struct world *w;
    struct got end;
    int left;
};

static void chain_done(void *arg, int err, const struct http_resp *resp)
{
    struct chain *c = arg;
    static const struct http_ops ops = {.done = chain_done};
    struct http_req req = {.url = world_url(c->w, "/!size=10/a")};
    if (err != 0 || c->left-- == 0)
        got_done(&c->end, err, resp);
    else if (http_start(c->w->h, &req, &ops, c) == 0)
        got_done(&c->end, -ENOMEM, resp);
}

static void test_start_in_callback(void **state)
{
    struct chain c = {.w = *state, .left = 20};
    struct http_resp none = {0};
    got_init(&c.end);
    chain_done(&c, 0, &none);
    finish_all(&c.end, 1, 0);
    assert_int_equal(faultd_stat(&c.w->d, "requests"), 20);
}

/* Starts a request and takes it back before the engine has seen it. */
static void regret(void *arg, int err, const struct http_resp *resp)
{
    struct chain *c = arg;
    struct http_req req = {.url = world_url(c->w, "/never")};
    (void)resp;
    assert_int_equal(err, -EPROTONOSUPPORT);
    http_cancel(c->w->h, http_start(c->w->h, &req, &got_ops, &c->end));
}

static void test_cancel_at_once(void **state)
{
    struct chain c = {.w = *state};
    static const struct http_ops ops = {.done = regret};
    struct http_req req = {.url = "gopher://x/"};
    got_init(&c.end);
    assert_true(http_start(c.w->h, &req, &ops, &c) != 0);
    finish_all(&c.end, 1, -ECANCELED);
    assert_int_equal(faultd_stat(&c.w->d, "requests"), 0);
}

static void *hammer(void *arg)
{
    struct world *w = arg;
    struct got g[20];
    for (int round = 0; round < 5; round++) {
        uint64_t id[20];
        for (size_t i = 0; i < 20; i++)
            id[i] = start(w, i % 5 == 0 ? "/!cut=10/h" : "/!size=40000/h", &g[i]);
        for (size_t i = 0; i < 20; i += 3)
            http_cancel(w->h, id[i]);
        for (size_t i = 0; i < 20; i++) {
            http_resume(w->h, id[i]);
            got_wait(&g[i], &g[i].dones, 1);
            assert_true(g[i].err == 0 || (g[i].err == -ECANCELED && i % 3 == 0) ||
                        (g[i].err == -ECONNRESET && i % 5 == 0));
            assert_true(body_is(&g[i], "h", 0, 0));
            got_free(&g[i]);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hammer, *state), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, world_fresh)
    const struct CMUnitTest tests[] = {
        T(test_limit),      T(test_background_last),
        T(test_delay),      T(test_host_rests),
        T(test_budget),     T(test_cancel),
        T(test_pause),      T(test_stop_by_callback),
        T(test_idle),       T(test_start_in_callback),
        T(test_long_pause), T(test_close_in_flight),
        T(test_threads),    T(test_cancel_at_once),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
