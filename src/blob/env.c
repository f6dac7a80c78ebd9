#include "blob/blob_i.h"
#include "blob/decoded_i.h"
#include "blob/siblings_i.h"

#include "base/clock.h"
#include "net/retry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 250, POOL_THREADS = 3, LANDED_MS = 300 };

/* Fails those of a blob whose time is up; true while others wait. */
static bool expire(struct blob *b, int64_t now, bool ending)
{
    struct blob_waiter *late = NULL;
    lock_take(&b->lock);
    for (struct blob_waiter **at = &b->waiters; *at != NULL;) {
        struct blob_waiter *w = *at;
        if (!ending && w->deadline > now) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = late;
        late = w;
        w->err = ending ? -ECANCELED : w->err != 0 ? w->err : -ETIMEDOUT;
        blob_note_failed(b, w);
    }
    if (late != NULL)
        blob_drop_idle(b);
    bool more = b->waiters != NULL;
    lock_drop(&b->lock);
    struct http_resp none = {.status = 0, .why = "no answer in time"};
    if (late != NULL && !ending)
        blob_report(b->env, b->id, b->url, b->place.source, late->err, &none);
    blob_answer_all(b, late);
    return more;
}

/* Looks once at each blob that has waiters. Each stays `active` until its turn, so that nobody else
 * links it meanwhile. */
static void tick(struct blob_env *env)
{
    lock_take(&env->lock);
    struct blob *list = env->active;
    bool ending = env->ending;
    env->active = NULL;
    lock_drop(&env->lock);
    while (list != NULL) {
        struct blob *b = list;
        lock_take(&env->lock);
        list = b->active_next;
        b->active = false;
        lock_drop(&env->lock);
        if (expire(b, clock_ms(), ending))
            blob_watch(b);
        blob_put(&b);
    }
}

static void *clock_main(void *arg)
{
    struct blob_env *env = arg;
    for (;;) {
        lock_take(&env->lock);
        while (env->active == NULL && !env->ending && !atomic_load(&env->unpacked))
            (void)lock_cond_wait(&env->wake, &env->lock, -1);
        if (!env->ending)
            (void)lock_cond_wait(&env->wake, &env->lock, TICK_MS);
        bool last = env->over = env->ending && env->active == NULL;
        lock_drop(&env->lock);
        if (last)
            return NULL;
        tick(env);
        atomic_store(&env->unpacked, false); /* first: who adds something says so after it */
        if (decoded_trim(env->decoded))
            atomic_store(&env->unpacked, true);
    }
}

void blob_watch(struct blob *b)
{
    struct blob_env *env = b->env;
    lock_take(&env->lock);
    bool over = env->over;
    if (!over && !b->active) {
        b->active = true;
        b->active_next = env->active;
        if (env->active == NULL)
            (void)pthread_cond_signal(&env->wake);
        env->active = blob_get(b);
    }
    lock_drop(&env->lock);
    if (over)
        (void)expire(b, 0, true);
}

void blob_env_wake(struct blob_env *env)
{
    if (atomic_exchange(&env->unpacked, true))
        return;
    lock_take(&env->lock);
    (void)pthread_cond_signal(&env->wake);
    lock_drop(&env->lock);
}

/* Between two requests of one reader there may be moments without any. */
static bool is_flying(void *arg)
{
    struct blob_env *env = arg;
    return atomic_load(&env->flying) > 0 || clock_ms() - atomic_load(&env->landed) < LANDED_MS;
}

int blob_env_open(const struct blob_env_options *o, struct blob_env **out, struct err *e)
{
    struct blob_env *env = calloc(1, sizeof(*env));
    if (env == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    env->o = *o;
    lock_init(&env->lock, LOCK_RANK_TABLE);
    lock_cond_init(&env->wake);
    env->pool = pool_create(POOL_THREADS);
    env->decoded = decoded_create(env->pool);
    env->siblings = blob_siblings_new();
    if (env->pool == NULL || env->decoded == NULL || env->siblings == NULL ||
        pthread_create(&env->clock, NULL, clock_main, env) != 0) {
        pool_destroy(&env->pool);
        decoded_destroy(&env->decoded);
        blob_siblings_free(&env->siblings);
        free(env);
        return err_set(e, -EAGAIN,
                       "cannot start threads (raise the limit of processes: ulimit -u)");
    }
    if (o->store != NULL && o->conf->cache_packed)
        (void)store_pack_start(o->store, is_flying, env); /* without it all stays as it comes */
    *out = env;
    return 0;
}

void blob_env_close(struct blob_env **envp)
{
    struct blob_env *env = *envp;
    *envp = NULL;
    if (env == NULL)
        return;
    if (env->o.store != NULL)
        store_pack_stop(env->o.store);
    lock_take(&env->lock);
    env->ending = true;
    (void)pthread_cond_signal(&env->wake);
    lock_drop(&env->lock);
    (void)pthread_join(env->clock, NULL);
    pool_destroy(&env->pool);
    decoded_destroy(&env->decoded);
    blob_siblings_free(&env->siblings);
    (void)pthread_cond_destroy(&env->wake);
    lock_destroy(&env->lock);
    free(env);
}

void blob_env_stats(struct blob_env *env, struct blob_stats *out)
{
    *out = (struct blob_stats){.reads = atomic_load(&env->reads),
                               .bytes = atomic_load(&env->bytes),
                               .hits = atomic_load(&env->hits),
                               .waits = atomic_load(&env->waits),
                               .flights = atomic_load(&env->flights),
                               .retries = atomic_load(&env->retries),
                               .direct = atomic_load(&env->direct),
                               .changed = atomic_load(&env->changed),
                               .failed = atomic_load(&env->failed),
                               .learnt = atomic_load(&env->learnt),
                               .readahead = atomic_load(&env->readahead),
                               .sibling_flights = atomic_load(&env->sibling_flights),
                               .sibling_bytes = atomic_load(&env->sibling_bytes),
                               .sibling_used = atomic_load(&env->sibling_used),
                               .decoded = atomic_load(&env->decoded_blocks),
                               .decode_ns = atomic_load(&env->decode_ns)};
}

static uint64_t source_hash(const char *source)
{
    return hash64(source, strlen(source), 0);
}

bool blob_stopped(struct blob_env *env, const char *source)
{
    bool stopped = false;
    lock_take(&env->lock);
    for (unsigned i = 0; i < env->stopped_count; i++)
        stopped = stopped || env->stopped[i] == source_hash(source);
    lock_drop(&env->lock);
    return stopped;
}

static void stop_source(struct blob_env *env, const char *source)
{
    if (blob_stopped(env, source))
        return;
    lock_take(&env->lock);
    if (env->stopped_count < BLOB_STOPPED_MAX)
        env->stopped[env->stopped_count++] = source_hash(source);
    lock_drop(&env->lock);
}

void blob_env_unstop(struct blob_env *env)
{
    lock_take(&env->lock);
    env->stopped_count = 0;
    lock_drop(&env->lock);
}

void blob_report(struct blob_env *env, uint64_t id, const char *url, const char *source, int err,
                 const struct http_resp *resp)
{
    if (resp->status == 401)
        stop_source(env, source);
    struct blob_failure f = {
        .id = id, .url = url, .status = resp->status, .err = err, .why = resp->why};
    atomic_fetch_add(&env->failed, 1);
    env->o.failed(env->o.arg, &f);
}

void blob_report_barred(struct blob_env *env, uint64_t id, const char *url, const char *source,
                        int err)
{
    struct http_resp none = {.status = 0};
    (void)snprintf(none.why, sizeof(none.why), "%s",
                   err == -ENETUNREACH ? "offline, and not in the cache"
                                       : "the source answered 401 before: it is not asked until a "
                                         "refresh or a new mount");
    blob_report(env, id, url, source, err, &none);
}
