#include "blob/siblings_i.h"

#include "blob/blob_i.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

enum {
    RECENT = 1 << 20, /* bytes brought after which what was before counts half */
    BUCKET = 4,
    PLAN_MS = 50, /* longest wait for another thread's plan: local work */
    WORTH = 8,    /* a jumping reader is to have read one of so many bytes that were brought */
};

void siblings_windows_init(struct siblings_windows *w)
{
    lock_init(&w->lock, LOCK_RANK_LEAF);
    lock_cond_init(&w->planned);
}

void siblings_windows_end(struct siblings_windows *w)
{
    (void)pthread_cond_destroy(&w->planned);
    lock_destroy(&w->lock);
}

static uint64_t name_of(const struct hash_id *content)
{
    uint64_t name;
    memcpy(&name, content->byte, sizeof(name));
    return name;
}

/* The slot of a name, or where `name` is not there a free one of its bucket, or any. */
static uint64_t *mark_of(struct siblings_windows *w, uint64_t name)
{
    uint64_t *bucket = &w->mark[name % (SIBLINGS_MARKS / BUCKET) * BUCKET];
    uint64_t *spare = &bucket[(name >> 32) % BUCKET];
    for (uint64_t *m = bucket; m < bucket + BUCKET; m++) {
        if (*m == name)
            return m;
        if (*m == 0)
            spare = m;
    }
    return spare;
}

void siblings_window_mark(struct siblings_windows *w, const struct hash_id *content)
{
    uint64_t name = name_of(content);
    lock_take(&w->lock);
    *mark_of(w, name) = name;
    lock_drop(&w->lock);
}

static bool is_of(const struct siblings_run *r, const struct siblings_spot *at)
{
    return r->stamp != 0 && r->folder == at->folder && r->pack == at->pack;
}

/* The run that a read goes on with; NULL: it jumps. *latest is the folder's that was used last. */
static struct siblings_run *find(struct siblings_windows *w, const struct siblings_spot *at,
                                 struct siblings_run **latest)
{
    struct siblings_run *found = NULL;
    *latest = NULL;
    for (struct siblings_run *r = w->run; r < w->run + SIBLINGS_RUNS; r++) {
        if (!is_of(r, at))
            continue;
        if (*latest == NULL || r->stamp > (*latest)->stamp)
            *latest = r;
        if (at->first >= r->first && at->first <= r->end + r->window + SIBLINGS_GAP &&
            (found == NULL || r->stamp > found->stamp))
            found = r;
    }
    return found;
}

/* A slot for a new run: the oldest of the folder's, where it has many, or of all. */
static struct siblings_run *slot(struct siblings_windows *w, const struct siblings_spot *at)
{
    struct siblings_run *oldest = NULL, *own = NULL;
    unsigned count = 0;
    for (struct siblings_run *r = w->run; r < w->run + SIBLINGS_RUNS; r++) {
        bool mine = is_of(r, at);
        count += mine ? 1 : 0;
        if (r->busy)
            continue;
        if (oldest == NULL || r->stamp < oldest->stamp)
            oldest = r;
        if (mine && (own == NULL || r->stamp < own->stamp))
            own = r;
    }
    return count >= SIBLINGS_RUNS_FOLDER ? own : oldest;
}

static uint32_t twice(uint32_t window, uint32_t most)
{
    return window > most / 2 ? most : window * 2;
}

/* A run where a read has jumped to; what was learnt of the folder goes on. NULL: there is no slot.
 */
static struct siblings_run *jump(struct siblings_windows *w, const struct siblings_spot *at,
                                 const struct siblings_run *before)
{
    const struct siblings_run was = before != NULL ? *before : (struct siblings_run){0};
    struct siblings_run *r = slot(w, at);
    if (r == NULL)
        return NULL;
    bool worth = was.brought > 0 && was.used >= was.brought / WORTH;
    *r = (struct siblings_run){.folder = at->folder,
                               .pack = at->pack,
                               .first = at->first,
                               .end = at->end,
                               .edge = UINT64_MAX,
                               .window = worth ? twice(was.window, SIBLINGS_JUMP_MAX)
                                               : SIBLINGS_WINDOW_MIN,
                               .brought = was.brought,
                               .used = was.used};
    return r;
}

static void begin(struct siblings_windows *w, struct siblings_run *r, bool ahead,
                  struct siblings_ask *ask)
{
    r->stamp = ++w->clock;
    r->busy = true;
    *ask = (struct siblings_ask){
        .run = r, .window = r->window, .ahead = ahead, .after = r->last, .from = r->end};
}

/* Waits while a run is planned; false where it was not. With the lock held. */
static bool wait_planned(struct siblings_windows *w, const struct siblings_run *r)
{
    int64_t until = clock_ms() + PLAN_MS, left = PLAN_MS;
    bool waited = r->busy;
    while (r->busy && left > 0) {
        (void)lock_cond_wait(&w->planned, &w->lock, left);
        left = until - clock_ms();
    }
    return waited;
}

int siblings_window_miss(struct siblings_windows *w, const struct siblings_spot *at,
                         struct siblings_ask *ask)
{
    struct siblings_run *latest;
    lock_take(&w->lock);
    struct siblings_run *r = find(w, at, &latest);
    bool waited = r != NULL && wait_planned(w, r);
    if (r == NULL)
        r = jump(w, at, latest);
    else if (!waited)
        r->window = r->hit ? twice(r->window, BLOB_REQUEST) : SIBLINGS_WINDOW_MIN;
    if (r != NULL && !waited)
        begin(w, r, false, ask);
    lock_drop(&w->lock);
    return waited ? -EAGAIN : r != NULL ? 1 : 0;
}

uint64_t siblings_window_read(struct siblings_windows *w, const struct siblings_spot *at,
                              struct siblings_ask *ask, bool *more)
{
    uint64_t name = name_of(at->content), bytes = 0;
    struct siblings_run *latest;
    *more = false;
    lock_take(&w->lock);
    uint64_t *mark = mark_of(w, name);
    struct siblings_run *here = find(w, at, &latest);
    struct siblings_run *r = here != NULL ? here : latest;
    if (*mark == name) {
        *mark = 0;
        bytes = at->end - at->first;
    }
    if (bytes > 0 && r != NULL) {
        r->used += bytes;
        r->hit = true;
        r->stamp = ++w->clock;
        *more = r == here && at->first >= r->edge && !r->busy;
    }
    if (*more) {
        r->window = twice(r->window, BLOB_REQUEST);
        begin(w, r, true, ask);
    }
    lock_drop(&w->lock);
    return bytes;
}

void siblings_window_set(struct siblings_windows *w, const struct siblings_ask *ask, uint64_t first,
                         uint64_t end, uint64_t last)
{
    struct siblings_run *r = ask->run;
    lock_take(&w->lock);
    r->busy = false;
    (void)pthread_cond_broadcast(&w->planned);
    r->edge = UINT64_MAX;
    if (first < end) {
        r->hit = false;
        r->brought += end - first;
        if (r->brought > RECENT) {
            r->brought /= 2;
            r->used /= 2;
        }
        r->first = first < r->first ? first : r->first;
        r->edge = end > r->end ? first + (end - first) / 2 : UINT64_MAX;
        r->last = end > r->end ? last : r->last;
        r->end = end > r->end ? end : r->end;
    }
    lock_drop(&w->lock);
}
