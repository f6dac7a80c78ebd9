#include "catalog/record.h"

#include <errno.h>
#include <string.h>

enum { FLAG_KEY_IS_NAME = 1, FLAG_HAS_REMOTE = 2, FLAG_LONG_KEY = 4 };

struct slice slice_of(const char *s)
{
    return (struct slice){s, strlen(s)};
}

static void add_slice(struct buf *out, struct slice s)
{
    buf_lstr(out, s.s, s.len);
}

static struct slice take_slice(struct view *v)
{
    struct slice s;
    view_str(v, &s.s, &s.len);
    return s;
}

static bool same(struct slice a, struct slice b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static void encode_file(const struct node *n, struct buf *out)
{
    unsigned flags = 0;
    if (n->key.len > 0 && same(n->key, n->name))
        flags |= FLAG_KEY_IS_NAME;
    if (n->remote.len > 0)
        flags |= FLAG_HAS_REMOTE;
    if (n->key.len > UINT16_MAX)
        flags |= FLAG_LONG_KEY;
    buf_le(out, flags, 1);
    buf_le(out, n->anatomy, 2);
    buf_le(out, (uint64_t)n->side, 1);
    buf_le(out, n->place, 4);
    add_slice(out, n->subject);
    add_slice(out, n->etag);
    if ((flags & FLAG_LONG_KEY) != 0) {
        buf_le(out, n->key.len, 4);
        buf_add(out, n->key.s, n->key.len);
    } else if ((flags & FLAG_KEY_IS_NAME) == 0) {
        add_slice(out, n->key);
    }
    if ((flags & FLAG_HAS_REMOTE) != 0)
        add_slice(out, n->remote);
}

void node_encode(const struct node *n, struct buf *out)
{
    buf_le(out, (uint64_t)n->kind, 1);
    buf_le(out, n->parent, 8);
    buf_le(out, n->dataset, 2);
    buf_le(out, n->size, 8);
    buf_le(out, (uint64_t)n->mtime, 8);
    add_slice(out, n->name);
    if (n->kind == NODE_FILE)
        encode_file(n, out);
    else if (n->kind == NODE_SYMLINK)
        add_slice(out, n->target);
    for (int i = 0; n->kind == NODE_TEXT && i < 2; i++) {
        buf_le(out, n->extent[i].off, 8);
        buf_le(out, n->extent[i].len, 8);
    }
}

static struct slice take_key(struct view *v, unsigned flags)
{
    if ((flags & FLAG_LONG_KEY) == 0)
        return take_slice(v);
    size_t len = (size_t)view_le(v, 4);
    const char *s = view_take(v, len);
    return s != NULL ? (struct slice){s, len} : slice_of("");
}

static void decode_file(struct view *v, struct node *n)
{
    unsigned flags = (unsigned)view_le(v, 1);
    n->anatomy = (uint16_t)view_le(v, 2);
    n->side = (enum side)view_le(v, 1);
    n->place = (uint32_t)view_le(v, 4);
    n->subject = take_slice(v);
    n->etag = take_slice(v);
    n->key = (flags & FLAG_KEY_IS_NAME) != 0 ? n->name : take_key(v, flags);
    if ((flags & FLAG_HAS_REMOTE) != 0)
        n->remote = take_slice(v);
    if (n->side > SIDE_RIGHT)
        v->err = -EBADMSG;
}

int node_decode(const void *data, size_t len, struct node *out)
{
    struct view v = view_of(data, len);
    *out = (struct node){.anatomy = CATALOG_NONE};
    uint64_t kind = view_le(&v, 1);
    out->kind = (enum node_kind)kind;
    out->parent = view_le(&v, 8);
    out->dataset = (uint16_t)view_le(&v, 2);
    out->size = view_le(&v, 8);
    out->mtime = (int64_t)view_le(&v, 8);
    out->name = take_slice(&v);
    if (kind == NODE_FILE)
        decode_file(&v, out);
    else if (kind == NODE_SYMLINK)
        out->target = take_slice(&v);
    for (int i = 0; kind == NODE_TEXT && i < 2; i++) {
        out->extent[i].off = view_le(&v, 8);
        out->extent[i].len = view_le(&v, 8);
    }
    return v.err != 0 || kind > NODE_SYMLINK ? -EBADMSG : 0;
}
