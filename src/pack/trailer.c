#include "pack/pack_i.h"

#include "base/hash.h"

#include <errno.h>
#include <string.h>

const unsigned char pack_magic[8] = {0x93, 'S', 'H', 'P', '\r', '\n', 0x1a, '\n'};

static const char end_magic[8] = {'S', 'H', 'P', 'K', 'E', 'N', 'D', '\n'};

static void put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

void pack_head_write(unsigned char out[PACK_HEAD])
{
    memset(out, 0, PACK_HEAD);
    memcpy(out, pack_magic, sizeof(pack_magic));
    put(out + 8, PACK_VERSION, 2);
}

static int check_version(uint64_t version, struct err *e)
{
    if (version == PACK_VERSION)
        return 0;
    return err_set(e, -ENOTSUP,
                   "a pack of version %u: this program reads version %d (use a newer medshapefs)",
                   (unsigned)version, PACK_VERSION);
}

int pack_head_check(const unsigned char head[PACK_HEAD], struct err *e)
{
    struct view v = view_of(head + 8, 8);
    if (memcmp(head, pack_magic, sizeof(pack_magic)) != 0)
        return err_set(e, -EBADMSG, "not a pack: it does not begin like one");
    int r = check_version(view_le(&v, 2), e);
    if (r == 0 && (view_le(&v, 2) != 0 || view_le(&v, 4) != 0))
        r = err_set(e, -EBADMSG, "damaged: its first bytes are not those of a pack");
    return r;
}

void pack_trailer_write(const struct pack_trailer *t, unsigned char out[PACK_TRAILER])
{
    const uint64_t field[] = {PACK_VERSION, t->catalogue, t->catalogue_len,
                              t->files,     t->text,      t->catalogue_sum};
    memcpy(out, end_magic, sizeof(end_magic));
    for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++)
        put(out + 8 + 8 * i, field[i], 8);
    put(out + 56, hash64(out, 56, 0), 8);
}

int pack_trailer_read(const void *bytes, uint64_t size, struct pack_trailer *t, struct err *e)
{
    struct view v = view_of(bytes, PACK_TRAILER);
    if (memcmp(view_take(&v, 8), end_magic, sizeof(end_magic)) != 0)
        return err_set(e, -EBADMSG,
                       "not a whole pack: its end is missing (it was cut short, or is no pack)");
    uint64_t version = view_le(&v, 8);
    t->catalogue = view_le(&v, 8);
    t->catalogue_len = view_le(&v, 8);
    t->files = view_le(&v, 8);
    t->text = view_le(&v, 8);
    t->catalogue_sum = view_le(&v, 8);
    if (view_le(&v, 8) != hash64(bytes, 56, 0))
        return err_set(e, -EBADMSG, "damaged: the trailer's checksum does not match");
    int r = check_version(version, e);
    if (r != 0)
        return r;
    bool fits = size >= PACK_HEAD + PACK_TRAILER && t->catalogue >= PACK_HEAD &&
                t->catalogue_len <= size - PACK_HEAD - PACK_TRAILER &&
                t->catalogue == size - PACK_TRAILER - t->catalogue_len;
    if (!fits)
        return err_set(e, -EBADMSG,
                       "damaged: the catalogue does not lie where the trailer says (it was cut "
                       "short or joined to something)");
    return 0;
}
