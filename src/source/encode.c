/* Places as bytes, and what is made of them without taking them apart first. */
#include "source/pack_key_i.h"
#include "source/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, VERSION_PACK = 2, TEXTS = 5 };

static const char *text(const char *s)
{
    return s != NULL ? s : "";
}

void source_place_encode(const struct source_place *place, struct buf *out)
{
    const char *const field[TEXTS] = {place->link, place->folder, place->dav, place->user,
                                      place->source};
    buf_le(out, place->pack ? VERSION_PACK : VERSION, 1);
    for (size_t i = 0; i < TEXTS; i++)
        buf_lstr(out, text(field[i]), strlen(text(field[i])));
    if (!place->pack)
        return;
    buf_le(out, place->pack_size, 8);
    buf_le(out, (uint64_t)place->pack_mtime, 8);
    buf_lstr(out, text(place->pack_etag), strlen(text(place->pack_etag)));
}

static int take_text(struct view *v, char **out)
{
    const char *s;
    size_t len;
    view_str(v, &s, &len);
    if (v->err != 0 || memchr(s, '\0', len) != NULL)
        return -EBADMSG;
    *out = strndup(s, len);
    return *out == NULL ? -ENOMEM : 0;
}

int source_place_decode(const void *data, size_t len, struct source_place *out)
{
    *out = (struct source_place){0};
    char **field[TEXTS] = {&out->link, &out->folder, &out->dav, &out->user, &out->source};
    struct view v = view_of(data, len);
    uint64_t version = view_le(&v, 1);
    int r = version == VERSION || version == VERSION_PACK ? 0 : -EBADMSG;
    for (size_t i = 0; r == 0 && i < TEXTS; i++)
        r = take_text(&v, field[i]);
    if (r == 0 && version == VERSION_PACK) {
        out->pack = true;
        out->pack_size = view_le(&v, 8);
        out->pack_mtime = (int64_t)view_le(&v, 8);
        r = take_text(&v, &out->pack_etag);
    }
    if (r == 0 && v.p != v.end)
        r = -EBADMSG;
    if (r != 0)
        source_place_free(out);
    return r;
}

int source_place_copy(const struct source_place *place, struct source_place *out)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    *out = (struct source_place){0};
    source_place_encode(place, &bytes);
    return bytes.err != 0 ? bytes.err : source_place_decode(bytes.data, bytes.len, out);
}

void source_place_free(struct source_place *place)
{
    free(place->link);
    free(place->folder);
    free(place->dav);
    free(place->user);
    free(place->source);
    free(place->pack_etag);
    *place = (struct source_place){0};
}

/* The link and the source's name; false where the bytes are damaged. */
static bool look(const void *place, size_t len, bool *pack, struct pack_slice *link,
                 struct pack_slice *source)
{
    struct view v = view_of(place, len);
    struct pack_slice field[TEXTS];
    *pack = view_le(&v, 1) == VERSION_PACK;
    for (size_t i = 0; i < TEXTS; i++)
        view_str(&v, &field[i].s, &field[i].len);
    *link = field[0];
    *source = field[TEXTS - 1];
    return v.err == 0;
}

bool source_is_pack(const void *place, size_t place_len)
{
    return place_len > 0 && *(const unsigned char *)place == VERSION_PACK;
}

void source_encoded_url(const void *place, size_t place_len, const char *key, size_t key_len,
                        struct buf *out)
{
    struct pack_slice link, source;
    bool pack;
    if (look(place, place_len, &pack, &link, &source))
        pack_key_url(pack, link.s, link.len, key, key_len, out);
}

bool source_identity(const void *place, size_t place_len, const char *key, size_t key_len,
                     const char *part[2], size_t len[2])
{
    struct pack_slice link, source;
    bool pack;
    if (!look(place, place_len, &pack, &link, &source))
        return false;
    part[0] = pack ? source.s : link.s;
    len[0] = pack ? source.len : link.len;
    part[1] = key;
    len[1] = pack ? pack_key_path(key, key_len) : key_len;
    return true;
}
