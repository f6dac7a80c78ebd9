#include "source/join_i.h"

#include "base/hash.h"
#include "source/share_i.h"
#include "source/webdav_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PLACE_LEN = 4, LINE_LEN = 8, SEEN_MAX = 262144 };

/* Hashes of the URLs of one name in one place: more than one is rare, more than SEEN_MAX are not
 * told apart. */
struct seen {
    uint64_t *slot; /* 0 is free */
    size_t slots, count;
    uint64_t seed;
};

/* A row of a sort. */
struct row {
    const unsigned char *key;
    const char *val;
    size_t key_len, val_len;
};

struct joining {
    const struct join *j;
    struct row item, answer;
    bool has_answer; /* there is a row in `answer` */
    uint32_t place;  /* of the last item */
    uint32_t number; /* the sink's for it */
    struct buf last; /* key of the last item */
    uint64_t first;  /* hash of the first URL of that key */
    uint64_t same;   /* items of that key so far */
    struct seen seen;
};

static uint32_t row_place(const struct row *r)
{
    return (uint32_t)r->key[0] << 24 | (uint32_t)r->key[1] << 16 | (uint32_t)r->key[2] << 8 |
           r->key[3];
}

static int row_next(struct sort *s, struct row *r)
{
    const void *key, *val;
    int got = sort_next(s, &key, &r->key_len, &val, &r->val_len);
    r->key = key;
    r->val = val;
    return got;
}

static int compare_keys(const struct row *a, const struct row *b)
{
    size_t least = a->key_len < b->key_len ? a->key_len : b->key_len;
    int c = memcmp(a->key, b->key, least);
    return c != 0 ? c : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static uint64_t answer_number(const struct row *r)
{
    struct view v = view_of(r->val, r->val_len);
    return view_le(&v, 4);
}

/* A row of an answer that was cut short does not count. */
static bool answer_counts(const struct joining *s)
{
    const struct places *t = s->j->places;
    uint32_t folder = t->place[row_place(&s->answer)].folder;
    return answer_number(&s->answer) == t->folder[folder].answer;
}

/* Goes to the first answer that counts and is not before the item. 1 where it is the item's, 0, or
 * -errno. */
static int find_answer(struct joining *s)
{
    while (s->has_answer) {
        int c = compare_keys(&s->answer, &s->item);
        if (c >= 0 && answer_counts(s))
            return c == 0;
        int got = row_next(s->j->answers, &s->answer);
        if (got < 0)
            return got;
        s->has_answer = got > 0;
    }
    return 0;
}

static int seen_grow(struct seen *n)
{
    size_t slots = n->slots == 0 ? 64 : n->slots * 2;
    uint64_t *slot = calloc(slots, sizeof(slot[0]));
    if (slot == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n->slots; i++) {
        size_t at = (size_t)n->slot[i] & (slots - 1);
        while (n->slot[i] != 0 && slot[at] != 0)
            at = (at + 1) & (slots - 1);
        if (n->slot[i] != 0)
            slot[at] = n->slot[i];
    }
    free(n->slot);
    n->slot = slot;
    n->slots = slots;
    return 0;
}

/* 1: new; 0: seen before; -ENOMEM. */
static int seen_add(struct seen *n, uint64_t hash)
{
    if (n->count == SEEN_MAX)
        return 1;
    if (n->count >= n->slots / 2 && seen_grow(n) != 0)
        return -ENOMEM;
    size_t at = (size_t)hash & (n->slots - 1);
    while (n->slot[at] != 0 && n->slot[at] != hash)
        at = (at + 1) & (n->slots - 1);
    if (n->slot[at] == hash)
        return 0;
    n->slot[at] = hash;
    n->count++;
    return 1;
}

static void seen_clear(struct seen *n)
{
    free(n->slot);
    n->slot = NULL;
    n->slots = n->count = 0;
}

/* Whether the item's URL was there before: 1 new, 0 a duplicate, or -errno. */
static int is_new(struct joining *s, const struct source_item *item)
{
    uint64_t hash = hash64(item->key, item->key_len, s->seen.seed) | 1;
    struct row last = {.key = (const unsigned char *)s->last.data, .key_len = s->last.len};
    if (s->same > 0 && compare_keys(&last, &s->item) == 0) {
        int r = s->same++ == 1 ? seen_add(&s->seen, s->first) : 1;
        return r < 0 ? r : seen_add(&s->seen, hash);
    }
    buf_clear(&s->last);
    buf_add(&s->last, s->item.key, s->item.key_len);
    if (s->same > 1)
        seen_clear(&s->seen);
    s->first = hash;
    s->same = 1;
    return s->last.err != 0 ? s->last.err : 1;
}

static void fill_item(const struct row *r, struct source_item *item)
{
    struct view v = view_of(r->val, r->val_len);
    *item = (struct source_item){.name = (const char *)r->key + PLACE_LEN,
                                 .name_len = r->key_len - PLACE_LEN,
                                 .line = view_le(&v, LINE_LEN),
                                 .size = SOURCE_UNKNOWN,
                                 .mtime = -1,
                                 .etag = ""};
    item->key = r->val_len > LINE_LEN ? r->val + LINE_LEN : item->name;
    item->key_len = r->val_len > LINE_LEN ? r->val_len - LINE_LEN : item->name_len;
}

static void fill_answer(const struct row *r, struct source_item *item, char *etag, size_t cap)
{
    struct view v = view_of(r->val + PLACE_LEN, r->val_len - PLACE_LEN);
    size_t len = r->val_len - SHARE_VALUE_HEAD;
    item->size = view_le(&v, 8);
    item->mtime = (int64_t)view_le(&v, 8);
    len = len < cap ? len : 0;
    memcpy(etag, r->val + SHARE_VALUE_HEAD, len);
    etag[len] = '\0';
    item->etag = etag;
}

static int emit_place(struct joining *s, uint32_t place)
{
    const struct places *t = s->j->places;
    uint32_t at = t->place[place].folder;
    const struct folder_row *f = at == PLACES_NONE ? NULL : &t->folder[at];
    CLEANUP_BUF struct buf link = BUF_INIT, folder = BUF_INIT, dav = BUF_INIT, user = BUF_INIT;
    size_t len = 0;
    const char *path = f == NULL ? "" : places_folder(t, at, &len);
    buf_add(&folder, path, len);
    buf_str(&link, places_link(t, place));
    if (f != NULL && f->answer != 0) {
        share_url(t, at, f->root, &dav);
        buf_str(&user, share_user(t, at, f->root));
    }
    s->j->listing->without_sizes |= dav.len == 0;
    (void)buf_cstr(&link);
    (void)buf_cstr(&folder);
    (void)buf_cstr(&dav);
    (void)buf_cstr(&user);
    if (link.err != 0 || folder.err != 0 || dav.err != 0 || user.err != 0)
        return -ENOMEM;
    const struct source_place out = {.link = link.data,
                                     .folder = folder.data,
                                     .dav = dav.data,
                                     .user = user.data,
                                     .source = s->j->src->name};
    s->place = place;
    return s->j->sink->place(s->j->sink->arg, &out, &s->number);
}

static int emit_item(struct joining *s, struct source_item *item)
{
    struct source_listing *l = s->j->listing;
    char etag[WEBDAV_ETAG_MAX];
    int r = is_new(s, item);
    if (r <= 0) {
        l->duplicates += r == 0 ? 1 : 0;
        return r;
    }
    r = row_place(&s->item) == s->place ? 0 : emit_place(s, row_place(&s->item));
    int found = r == 0 ? find_answer(s) : r;
    if (found < 0)
        return found;
    if (found > 0)
        fill_answer(&s->answer, item, etag, sizeof(etag));
    item->place = s->number;
    l->items++;
    l->sized += item->size != SOURCE_UNKNOWN ? 1 : 0;
    return s->j->sink->item(s->j->sink->arg, item);
}

static int begin(struct joining *s)
{
    int r = sort_rewind(s->j->items);
    if (r == 0)
        r = sort_rewind(s->j->answers);
    int got = r == 0 ? row_next(s->j->answers, &s->answer) : r;
    s->has_answer = got > 0;
    return got < 0 ? got : 0;
}

int join_emit(const struct join *j)
{
    struct joining s = {.j = j, .place = PLACES_NONE, .last = BUF_INIT};
    (void)getrandom(&s.seen.seed, sizeof(s.seen.seed), GRND_NONBLOCK);
    int r = begin(&s);
    while (r == 0) {
        struct source_item item;
        int got = row_next(j->items, &s.item);
        if (got <= 0) {
            r = got;
            break;
        }
        fill_item(&s.item, &item);
        r = emit_item(&s, &item);
    }
    buf_free(&s.last);
    seen_clear(&s.seen);
    return r;
}
