#include "dataset/dataset_i.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static uint64_t ino_of(const char *query, uint64_t seed)
{
    return SEARCH_BIT | (hash64(query, strlen(query), seed) & (SEARCH_BIT - 1) & ~0xFFULL);
}

/* The slot of a query, of the one used least recently where it has none; its inode is set.
 * search_lock is held. */
static struct search *slot_for(struct medshapefs *m, const char *query)
{
    struct search *oldest = &m->search[0];
    uint64_t seed = 0, ino = ino_of(query, seed);
    for (size_t i = 0; i < SEARCH_MAX; i++) {
        struct search *s = &m->search[i];
        if (s->ino != 0 && strcmp(s->query, query) == 0)
            return s;
        if (s->used < oldest->used)
            oldest = s;
    }
    for (size_t i = 0; i < SEARCH_MAX; i++)
        if (m->search[i].ino == ino) {
            ino = ino_of(query, ++seed); /* two names never share an inode */
            i = SIZE_MAX;
        }
    char *copy = strdup(query);
    if (copy == NULL)
        return NULL;
    free(oldest->query);
    *oldest = (struct search){.ino = ino, .query = copy};
    return oldest;
}

uint64_t search_lookup(struct medshapefs *m, const char *query)
{
    struct query *parsed;
    if (query_parse(query, strlen(query), &parsed, NULL) != 0)
        return 0;
    query_free(parsed);
    lock_take(&m->search_lock);
    if (m->search == NULL)
        m->search = calloc(SEARCH_MAX, sizeof(m->search[0]));
    struct search *s = m->search != NULL ? slot_for(m, query) : NULL;
    uint64_t ino = 0;
    if (s != NULL) {
        s->used = ++m->search_clock;
        ino = s->ino;
    }
    lock_drop(&m->search_lock);
    return ino;
}

static struct search *find(struct medshapefs *m, uint64_t ino)
{
    for (size_t i = 0; m->search != NULL && i < SEARCH_MAX; i++)
        if (m->search[i].ino == ino)
            return &m->search[i];
    return NULL;
}

char *search_query(struct medshapefs *m, uint64_t ino)
{
    lock_take(&m->search_lock);
    struct search *s = find(m, ino);
    char *query = NULL;
    if (s != NULL) {
        s->used = ++m->search_clock;
        query = strdup(s->query);
    }
    lock_drop(&m->search_lock);
    return query;
}

/* The clock of the oldest of the last SEARCH_LISTED that were read. search_lock is held. */
static uint64_t listed_since(const struct medshapefs *m)
{
    uint64_t last[SEARCH_LISTED] = {0};
    for (size_t i = 0; i < SEARCH_MAX; i++) {
        uint64_t least = 0;
        for (size_t k = 1; k < SEARCH_LISTED; k++)
            if (last[k] < last[least])
                least = k;
        if (m->search[i].ino != 0 && m->search[i].read > last[least])
            last[least] = m->search[i].read;
    }
    uint64_t since = UINT64_MAX;
    for (size_t k = 0; k < SEARCH_LISTED; k++)
        if (last[k] < since)
            since = last[k];
    return since > 0 ? since : 1;
}

static void note_change(struct medshapefs *m, int64_t after)
{
    int64_t now = clock_wall();
    int64_t least = (after > m->search_changed ? after : m->search_changed) + 1;
    m->search_changed = now > least ? now : least;
}

void search_was_read(struct medshapefs *m, uint64_t ino, int64_t refreshed)
{
    lock_take(&m->search_lock);
    struct search *s = find(m, ino);
    if (s != NULL) {
        if (s->read == 0 || s->read < listed_since(m))
            note_change(m, refreshed);
        s->read = ++m->search_clock;
    }
    lock_drop(&m->search_lock);
}

int64_t search_changed(struct medshapefs *m)
{
    lock_take(&m->search_lock);
    int64_t at = m->search_changed;
    lock_drop(&m->search_lock);
    return at;
}

/* The listed search with the lowest inode above `after`: its inode and a copy of its query. */
static uint64_t next_listed(struct medshapefs *m, uint64_t after, uint64_t since, char **query)
{
    const struct search *best = NULL;
    for (size_t i = 0; i < SEARCH_MAX; i++) {
        const struct search *s = &m->search[i];
        if (s->ino > after && s->read >= since && (best == NULL || s->ino < best->ino))
            best = s;
    }
    *query = best != NULL ? strdup(best->query) : NULL;
    return *query != NULL ? best->ino : 0;
}

void search_list(struct medshapefs *m, uint64_t after,
                 bool (*row)(void *arg, uint64_t ino, const char *query), void *arg)
{
    char *query;
    uint64_t ino;
    do {
        query = NULL;
        ino = 0;
        lock_take(&m->search_lock);
        if (m->search != NULL)
            ino = next_listed(m, after, listed_since(m), &query);
        lock_drop(&m->search_lock);
        if (ino != 0 && !row(arg, ino, query))
            ino = 0;
        after = ino;
        free(query);
    } while (ino != 0);
}

size_t search_inodes(struct medshapefs *m, uint64_t *out, size_t max)
{
    size_t count = 0;
    lock_take(&m->search_lock);
    for (size_t i = 0; m->search != NULL && i < SEARCH_MAX && count < max; i++)
        if (m->search[i].ino != 0)
            out[count++] = m->search[i].ino;
    lock_drop(&m->search_lock);
    return count;
}

void search_free(struct medshapefs *m)
{
    for (size_t i = 0; m->search != NULL && i < SEARCH_MAX; i++)
        free(m->search[i].query);
    free(m->search);
    m->search = NULL;
}
