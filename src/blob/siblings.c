#include "blob/siblings_i.h"

#include "blob/blob_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 3 }; /* of others, that a reader waits for at most */

/* Has what comes next asked for; a job of the pool. */
struct ahead {
    struct pool_job job; /* first */
    struct blob *blob;   /* a reference */
    struct siblings_ask ask;
};

struct blob_siblings *blob_siblings_new(void)
{
    struct blob_siblings *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    lock_init(&s->lock, LOCK_RANK_LEAF);
    siblings_windows_init(&s->windows);
    return s;
}

void blob_siblings_free(struct blob_siblings **sp)
{
    struct blob_siblings *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    siblings_windows_end(&s->windows);
    lock_destroy(&s->lock);
    free(s);
}

bool siblings_fit(const struct blob *b)
{
    return b->extents != NULL && b->file != NULL && b->version.size <= STORE_BLOCK &&
           b->env->o.neighbours != NULL;
}

static struct siblings_spot spot_of(const struct blob *b)
{
    const struct blob_extent *x = &b->extents[0];
    return (struct siblings_spot){.folder = b->folder,
                                  .pack = hash64(b->place.link, strlen(b->place.link), 0),
                                  .first = x->offset,
                                  .end = x->offset + x->packed,
                                  .content = &b->content};
}

/* Starts a flight that brings only siblings. */
static void fly(struct blob *b, struct siblings *s)
{
    lock_take(&b->lock);
    b->along = s;
    if (!atomic_load(&b->spent))
        (void)blob_flight_start(b, 0, 0);
    s = b->along;
    b->along = NULL;
    lock_drop(&b->lock);
    if (s != NULL)
        blob_siblings_end(s);
}

static void ahead_run(struct pool_job *job)
{
    struct ahead *a = (struct ahead *)(void *)job;
    struct siblings *s = siblings_choose(a->blob, &a->ask);
    if (s != NULL)
        fly(a->blob, s);
    blob_put(&a->blob);
    free(a);
}

void blob_siblings_read(struct blob *b)
{
    struct blob_env *env = b->env;
    struct siblings_ask ask;
    bool more;
    if (!siblings_fit(b) || atomic_exchange(&b->noted, true))
        return;
    const struct siblings_spot at = spot_of(b);
    uint64_t bytes = siblings_window_read(&env->siblings->windows, &at, &ask, &more);
    (void)atomic_fetch_add(&env->sibling_used, bytes);
    if (!more)
        return;
    struct ahead *a = blob_barred(b) == 0 && !store_sick(env->o.store) ? malloc(sizeof(*a)) : NULL;
    if (a == NULL) {
        siblings_window_set(&env->siblings->windows, &ask, 0, 0, 0);
        return;
    }
    *a = (struct ahead){.job = {.run = ahead_run}, .blob = blob_get(b), .ask = ask};
    pool_run(env->pool, &a->job);
}

struct siblings *blob_siblings_for(struct blob *b)
{
    struct siblings_ask ask;
    if (!siblings_fit(b))
        return NULL;
    lock_take(&b->lock);
    bool flying = b->fleet != NULL;
    lock_drop(&b->lock);
    const struct siblings_spot at = spot_of(b);
    int r = flying ? 0 : -EAGAIN;
    for (int i = 0; i < PLANS && r == -EAGAIN; i++)
        r = siblings_coming(b->env->siblings, &b->content)
                ? 0
                : siblings_window_miss(&b->env->siblings->windows, &at, &ask);
    return r > 0 ? siblings_choose(b, &ask) : NULL;
}

/* With the lock held. */
static struct sibling *find(struct blob_siblings *all, const struct hash_id *content)
{
    for (struct siblings *s = all->list; s != NULL; s = s->next)
        for (uint32_t i = s->stored; i < s->count; i++)
            if (!s->at[i].over && memcmp(&s->at[i].content, content, sizeof(*content)) == 0)
                return &s->at[i];
    return NULL;
}

bool siblings_coming(struct blob_siblings *s, const struct hash_id *content)
{
    lock_take(&s->lock);
    bool found = find(s, content) != NULL;
    lock_drop(&s->lock);
    return found;
}

bool siblings_await(struct blob *b)
{
    struct blob_siblings *all = b->env->siblings;
    if (!siblings_fit(b))
        return false;
    lock_take(&all->lock);
    struct sibling *x = find(all, &b->content);
    if (x != NULL && x->waiting == NULL)
        x->waiting = blob_get(b);
    bool waits = x != NULL && x->waiting == b;
    lock_drop(&all->lock);
    return waits;
}

void siblings_register(struct siblings *s)
{
    struct blob_siblings *all = s->env->siblings;
    for (uint32_t i = 0; i < s->count; i++)
        siblings_window_mark(&all->windows, &s->at[i].content);
    lock_take(&all->lock);
    s->next = all->list;
    all->list = s;
    lock_drop(&all->lock);
}

static void store(const struct siblings *s, struct sibling *x)
{
    struct store_file *file = NULL;
    const struct blob_extent *e = &x->extent;
    struct store *store = s->env->o.store;
    if (!store_sick(store) && store_get(store, &x->content, x->size, x->tag, &file) == 0)
        (void)store_write_packed(file, 0, x->data, e->packed, e->packed_sum, e->text_sum);
    store_put(&file);
    free(x->data);
    x->data = NULL;
}

/* The next one that came; NULL: there is none, and this job ends. */
static struct sibling *next_arrived(struct siblings *s)
{
    struct blob_siblings *all = s->env->siblings;
    lock_take(&all->lock);
    s->storing = s->stored < s->arrived;
    struct sibling *x = s->storing ? &s->at[s->stored] : NULL;
    lock_drop(&all->lock);
    return x;
}

static void store_run(struct pool_job *job)
{
    struct siblings *s = (struct siblings *)(void *)((char *)job - offsetof(struct siblings, job));
    struct blob_siblings *all = s->env->siblings;
    struct blob_flight *f = s->flight;
    for (struct sibling *x; (x = next_arrived(s)) != NULL;) {
        store(s, x);
        lock_take(&all->lock);
        struct blob *b = x->waiting;
        x->waiting = NULL;
        x->over = true;
        s->stored++;
        lock_drop(&all->lock);
        if (b != NULL)
            blob_arrived(b);
        blob_put(&b);
    }
    blob_flight_unref(f);
}

/* The one that is coming is whole: it is to be stored. */
static void arrive(struct siblings *s)
{
    struct blob_siblings *all = s->env->siblings;
    s->filled = 0;
    s->coming++;
    lock_take(&all->lock);
    s->arrived = s->coming;
    bool start = !s->storing;
    s->storing = true;
    lock_drop(&all->lock);
    if (!start)
        return;
    s->job.run = store_run;
    blob_flight_ref(s->flight);
    pool_run(s->env->pool, &s->job);
}

int siblings_feed(struct siblings *s, uint64_t pos, const unsigned char *data, size_t len)
{
    while (len > 0 && s->coming < s->count) {
        struct sibling *x = &s->at[s->coming];
        const struct blob_extent *e = &x->extent;
        uint64_t at = e->offset + s->filled;
        if (at >= pos + len)
            return 0;
        size_t skip = at > pos ? (size_t)(at - pos) : 0;
        size_t left = e->packed - s->filled;
        size_t n = len - skip < left ? len - skip : left;
        if (x->data == NULL && (x->data = malloc(e->packed)) == NULL)
            return -ENOMEM;
        memcpy(x->data + s->filled, data + skip, n);
        s->filled += n;
        if (n == left)
            arrive(s);
        pos += skip + n;
        data += skip + n;
        len -= skip + n;
    }
    return 0;
}

/* Somebody who waits still for one of them. */
static struct blob *take_waiting(struct siblings *s)
{
    struct blob_siblings *all = s->env->siblings;
    struct blob *b = NULL;
    lock_take(&all->lock);
    for (uint32_t i = s->stored; i < s->count && b == NULL; i++) {
        s->at[i].over = true;
        b = s->at[i].waiting;
        s->at[i].waiting = NULL;
    }
    if (b == NULL) {
        struct siblings **at = &all->list;
        while (*at != s)
            at = &(*at)->next;
        *at = s->next;
    }
    lock_drop(&all->lock);
    return b;
}

void blob_siblings_end(struct siblings *s)
{
    for (struct blob *b; (b = take_waiting(s)) != NULL; blob_put(&b))
        blob_arrived(b);
    for (uint32_t i = 0; i < s->count; i++)
        free(s->at[i].data);
    free(s);
}
