#include "source/places_i.h"

#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SHARE_HEAD = 4 }; /* a folder's name begins with the number of its share */

void places_init(struct places *t)
{
    uint64_t seed = 0;
    (void)getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
    *t = (struct places){.overflow = PLACES_NONE, .last = PLACES_NONE};
    t->links.seed = t->folders.seed = t->shares.seed = seed;
}

static const char *name_at(const struct names *n, uint32_t number, size_t *len)
{
    *len = n->start[number + 1] - n->start[number] - 1;
    return n->bytes.data + n->start[number];
}

static uint32_t *name_slot(const struct names *n, const char *s, size_t len)
{
    size_t at = (size_t)hash64(s, len, n->seed) & (n->slots - 1);
    for (;; at = (at + 1) & (n->slots - 1)) {
        if (n->slot[at] == 0)
            return &n->slot[at];
        size_t have;
        const char *there = name_at(n, n->slot[at] - 1, &have);
        if (have == len && memcmp(there, s, len) == 0)
            return &n->slot[at];
    }
}

static int grow_names(struct names *n)
{
    uint32_t slots = n->slots == 0 ? 64 : n->slots * 2;
    size_t *start = realloc(n->start, (slots / 2 + 1) * sizeof(start[0]));
    if (start == NULL)
        return -ENOMEM;
    if (n->slots == 0)
        start[0] = 0;
    n->start = start;
    uint32_t *slot = calloc(slots, sizeof(slot[0]));
    if (slot == NULL)
        return -ENOMEM;
    free(n->slot);
    n->slot = slot;
    n->slots = slots;
    for (uint32_t i = 0; i < n->count; i++) {
        size_t len;
        const char *s = name_at(n, i, &len);
        *name_slot(n, s, len) = i + 1;
    }
    return 0;
}

/* The number of a string: PLACES_NONE for a new one, or with `add` a new number. 0 or -ENOMEM. */
static int name_find(struct names *n, const char *s, size_t len, bool add, uint32_t *number)
{
    *number = PLACES_NONE;
    if (n->count >= n->slots / 2 && grow_names(n) != 0)
        return -ENOMEM;
    uint32_t *slot = name_slot(n, s, len);
    if (*slot == 0 && !add)
        return 0;
    if (*slot == 0) {
        if (buf_reserve(&n->bytes, len + 1) != 0)
            return -ENOMEM;
        buf_add(&n->bytes, s, len);
        buf_add(&n->bytes, "", 1);
        *slot = ++n->count;
        n->start[n->count] = n->bytes.len;
    }
    *number = *slot - 1;
    return 0;
}

static void names_free(struct names *n)
{
    buf_free(&n->bytes);
    free(n->start);
    free(n->slot);
}

static int make_room(void *rows_pointer, size_t size, uint32_t count, uint32_t *cap)
{
    if (count < *cap)
        return 0;
    uint32_t more = *cap == 0 ? 16 : *cap * 2;
    void *rows;
    memcpy(&rows, rows_pointer, sizeof(rows));
    rows = realloc(rows, more * size);
    if (rows == NULL)
        return -ENOMEM;
    memcpy(rows_pointer, &rows, sizeof(rows));
    *cap = more;
    return 0;
}

static int add_place(struct places *t, uint32_t link, uint32_t folder, uint32_t *number)
{
    if (make_room(&t->place, sizeof(t->place[0]), t->place_count, &t->place_cap) != 0)
        return -ENOMEM;
    t->place[t->place_count] = (struct place_row){link, folder};
    *number = t->place_count++;
    return 0;
}

static int add_link(struct places *t, const struct place_url *u, uint32_t folder, uint32_t *number)
{
    uint32_t link;
    int r = name_find(&t->links, u->link, u->link_len, true, &link);
    if (r == 0)
        r = make_room(&t->link_place, sizeof(t->link_place[0]), link, &t->link_cap);
    if (r == 0)
        r = add_place(t, link, folder, number);
    if (r == 0)
        t->link_place[link] = *number;
    return r;
}

static int find_overflow(struct places *t, uint32_t *number)
{
    int r = 0;
    if (t->overflow == PLACES_NONE)
        r = add_place(t, PLACES_NONE, PLACES_NONE, &t->overflow);
    *number = t->overflow;
    return r;
}

/* Whether another place of that URL may be made. */
static bool is_full(const struct places *t, const struct place_url *u)
{
    size_t bytes = t->links.bytes.len + t->folders.bytes.len + t->shares.bytes.len + u->link_len +
                   u->folder.len + u->base_len + u->token_len;
    return t->place_count >= PLACES_MAX || bytes > PLACES_BYTES;
}

static int find_share(struct places *t, const struct place_url *u, bool add, uint32_t *share)
{
    struct buf key = BUF_INIT;
    uint32_t before = t->shares.count;
    buf_add(&key, u->base, u->base_len);
    buf_add(&key, "", 1);
    buf_add(&key, u->token, u->token_len);
    int r = key.err != 0 ? key.err : name_find(&t->shares, key.data, key.len, add, share);
    buf_free(&key);
    if (r != 0 || t->shares.count == before)
        return r;
    r = make_room(&t->share, sizeof(t->share[0]), before, &t->share_cap);
    if (r == 0)
        t->share[before] = (struct share_row){0};
    return r;
}

static int find_folder(struct places *t, const struct place_url *u, bool add, uint32_t *folder)
{
    uint32_t share, before = t->folders.count;
    int r = find_share(t, u, add, &share);
    *folder = PLACES_NONE;
    if (r != 0 || share == PLACES_NONE)
        return r;
    struct buf key = BUF_INIT;
    buf_le(&key, share, SHARE_HEAD);
    buf_add(&key, u->folder.data, u->folder.len);
    r = key.err != 0 ? key.err : name_find(&t->folders, key.data, key.len, add, folder);
    buf_free(&key);
    if (r != 0 || t->folders.count == before)
        return r;
    r = make_room(&t->folder, sizeof(t->folder[0]), before, &t->folder_cap);
    if (r == 0)
        t->folder[before] =
            (struct folder_row){.share = share, .plain = PLACES_NONE, .whole = PLACES_NONE};
    return r;
}

/* A place of a share whose link is not known. */
static int find_in_folder(struct places *t, const struct place_url *u, bool add, uint32_t *number)
{
    uint32_t at;
    int r = find_folder(t, u, add, &at);
    if (r != 0)
        return r;
    struct folder_row *f = at == PLACES_NONE ? NULL : &t->folder[at];
    bool plain = f != NULL && u->link_len > 0 && f->plain == PLACES_NONE;
    if (f != NULL && !plain && f->whole != PLACES_NONE) {
        *number = f->whole;
        return 0;
    }
    if (!add || f == NULL)
        return find_overflow(t, number);
    if (plain)
        r = add_link(t, u, at, &f->plain);
    else
        r = add_place(t, PLACES_NONE, at, &f->whole);
    *number = plain ? f->plain : f->whole;
    return r;
}

static bool is_last(const struct places *t, const struct place_url *u)
{
    if (t->last == PLACES_NONE || u->link_len == 0 || t->place[t->last].link == PLACES_NONE)
        return false;
    size_t len;
    const char *link = name_at(&t->links, t->place[t->last].link, &len);
    return len == u->link_len && memcmp(link, u->link, len) == 0;
}

int places_find(struct places *t, const struct place_url *u, uint32_t *number)
{
    uint32_t link = PLACES_NONE;
    *number = t->last;
    if (is_last(t, u))
        return 0;
    bool add = !is_full(t, u);
    int r = u->link_len == 0 ? 0 : name_find(&t->links, u->link, u->link_len, false, &link);
    if (r == 0 && link != PLACES_NONE)
        *number = t->link_place[link];
    else if (r == 0 && u->share)
        r = find_in_folder(t, u, add, number);
    else if (r == 0)
        r = add ? add_link(t, u, PLACES_NONE, number) : find_overflow(t, number);
    if (r == 0)
        t->last = *number;
    return r;
}

const char *places_link(const struct places *t, uint32_t number)
{
    size_t len;
    uint32_t link = t->place[number].link;
    return link == PLACES_NONE ? "" : name_at(&t->links, link, &len);
}

const char *places_folder(const struct places *t, uint32_t folder, size_t *len)
{
    const char *s = name_at(&t->folders, folder, len);
    *len -= SHARE_HEAD;
    return s + SHARE_HEAD;
}

void places_share(const struct places *t, uint32_t share, const char **base, const char **token)
{
    size_t len;
    *base = name_at(&t->shares, share, &len);
    *token = *base + strlen(*base) + 1;
}

void places_free(struct places *t)
{
    names_free(&t->links);
    names_free(&t->folders);
    names_free(&t->shares);
    free(t->link_place);
    free(t->place);
    free(t->folder);
    free(t->share);
}
