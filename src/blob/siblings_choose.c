#include "blob/siblings_i.h"

#include "blob/blob_i.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Neighbours that are being looked at; `s` holds all that may come, later the choice. */
struct choice {
    struct blob *blob;
    struct siblings *s;
    uint64_t bytes, most; /* packed bytes that were found, and how many are enough */
};

static bool is_small(const struct blob *b, const struct blob_object *o)
{
    const struct blob_extents *e = o->extents;
    return e != NULL && e->count == 1 && o->id != b->id &&
           strlen(o->tag) < sizeof(((struct sibling *)0)->tag) &&
           blob_extents_right(e, o->version.size) && strcmp(o->place->link, b->place.link) == 0;
}

static bool add(void *arg, const struct blob_object *o)
{
    struct choice *c = arg;
    struct siblings *s = c->s;
    struct sibling *x = &s->at[s->count];
    if (!is_small(c->blob, o) || blob_content_id(o, &x->content) != 0)
        return true;
    x->id = o->id;
    x->size = o->version.size;
    x->extent = o->extents->at[0];
    (void)snprintf(x->tag, sizeof(x->tag), "%s", o->tag);
    c->bytes += x->extent.packed;
    return ++s->count < SIBLINGS_MAX && c->bytes < c->most;
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct sibling *)a)->extent.offset;
    uint64_t y = ((const struct sibling *)b)->extent.offset;
    return x < y ? -1 : x > y;
}

static void look(struct choice *c, uint64_t id, bool before)
{
    const struct blob_env_options *o = &c->blob->env->o;
    c->s->count = 0;
    c->bytes = 0;
    o->neighbours(o->arg, id, before, add, c);
    qsort(c->s->at, c->s->count, sizeof(c->s->at[0]), by_offset);
}

static uint64_t end_of(const struct sibling *x)
{
    return x->extent.offset + x->extent.packed;
}

static bool is_lacking(const struct blob_env *env, const struct sibling *x)
{
    return store_held(env->o.store, &x->content) < x->size &&
           !siblings_coming(env->siblings, &x->content);
}

/* Keeps what is lacking of those behind `from`, without a large gap, as far as the window goes; the
 * first one may be anywhere where `from` is only where to look. */
static void choose_after(struct choice *c, uint64_t from, bool anywhere, uint64_t window)
{
    struct siblings *s = c->s;
    uint32_t count = 0;
    uint64_t base = from, end = from;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct sibling *x = &s->at[i];
        if (x->extent.offset < end)
            continue;
        bool begins = anywhere && count == 0;
        if (!begins && (end_of(x) - base > window || x->extent.offset - end > SIBLINGS_GAP))
            break;
        if (!is_lacking(c->blob->env, x))
            continue;
        base = begins ? x->extent.offset : base;
        end = end_of(x);
        s->at[count++] = *x;
    }
    s->count = count;
}

/* The same for those before `to`. */
static void choose_before(struct choice *c, uint64_t to, uint64_t window)
{
    struct siblings *s = c->s;
    uint32_t at = s->count;
    uint64_t first = to;
    for (uint32_t i = s->count; i-- > 0;) {
        const struct sibling *x = &s->at[i];
        if (end_of(x) > first)
            continue;
        if (to - x->extent.offset > window || first - end_of(x) > SIBLINGS_GAP)
            break;
        if (!is_lacking(c->blob->env, x))
            continue;
        first = x->extent.offset;
        s->at[--at] = *x;
    }
    s->count -= at;
    memmove(s->at, s->at + at, s->count * sizeof(s->at[0]));
}

static void choose(struct choice *c, const struct siblings_ask *ask)
{
    const struct blob *b = c->blob;
    const struct blob_extent *own = &b->extents[0];
    uint64_t window =
        ask->window < BLOB_REQUEST - own->packed ? ask->window : BLOB_REQUEST - own->packed;
    c->most = window + (ask->ahead ? 0 : SIBLINGS_GAP);
    look(c, ask->ahead ? ask->after : b->id, false);
    choose_after(c, ask->ahead ? ask->from : own->offset + own->packed, ask->ahead, window);
    if (c->s->count > 0 || ask->ahead)
        return;
    c->most = UINT64_MAX;
    look(c, b->id, true);
    choose_before(c, own->offset, window < SIBLINGS_JUMP_MAX ? window : SIBLINGS_JUMP_MAX);
}

/* Tells what the choice is to those who ask next. */
static void settle(struct choice *c, const struct siblings_ask *ask)
{
    struct siblings *s = c->s;
    const struct blob_extent *own = &c->blob->extents[0];
    const struct sibling *last = s->count > 0 ? &s->at[s->count - 1] : NULL;
    struct siblings_windows *w = &c->blob->env->siblings->windows;
    if (last == NULL) {
        siblings_window_set(w, ask, 0, 0, 0);
        return;
    }
    s->first = s->at[0].extent.offset;
    s->end = end_of(last);
    s->extra = s->end - s->first;
    if (!ask->ahead && s->first >= own->offset + own->packed)
        s->extra += s->first - own->offset - own->packed;
    else if (!ask->ahead)
        s->extra += own->offset - s->end;
    siblings_register(s);
    siblings_window_set(w, ask, s->first, s->end, last->id);
}

struct siblings *siblings_choose(struct blob *b, const struct siblings_ask *ask)
{
    struct siblings *s = calloc(1, sizeof(*s) + SIBLINGS_MAX * sizeof(s->at[0]));
    struct choice c = {.blob = b, .s = s};
    if (s == NULL) {
        siblings_window_set(&b->env->siblings->windows, ask, 0, 0, 0);
        return NULL;
    }
    s->env = b->env;
    choose(&c, ask);
    settle(&c, ask);
    if (s->count > 0)
        return s;
    free(s);
    return NULL;
}
