/* STL of any kind, mutated: it packs and comes back byte for byte; the reader says the same of it
 * in pieces of any size; and its facts are the same whether its facets were read by the codec or
 * not.
 */
#include "codec/block.h"
#include "codec/stl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parts {
    struct codec *coder;
    struct facts_part *part;
    struct facts_sum *sum;
    unsigned char *packed;
    char *back;
};

enum { SIZE_MAX_HERE = 256 << 10 };

static void check(int fine)
{
    if (!fine)
        abort();
}

static int prepare(struct parts *p)
{
    if (p->coder != NULL)
        return 1;
    p->coder = codec_new(1);
    p->part = facts_part_new();
    p->sum = facts_new();
    p->packed = malloc(codec_bound(SIZE_MAX_HERE));
    p->back = malloc(SIZE_MAX_HERE);
    return p->coder != NULL && p->part != NULL && p->sum != NULL && p->packed != NULL &&
           p->back != NULL;
}

/* Packs data[from, to) as a block of its own. */
static void through(struct parts *p, const uint8_t *data, size_t from, size_t to)
{
    size_t len = to - from;
    if (len == 0)
        return;
    size_t n = codec_encode(p->coder, data + from, len, from, CODEC_FAST, p->packed, p->part);
    check(n <= codec_bound(len));
    check(codec_decode(p->coder, p->packed, n, p->back, len) == 0);
    check(memcmp(p->back, data + from, len) == 0);
    facts_add(p->sum, p->part);
}

static void facts_in_two(struct parts *p, const uint8_t *data, size_t size, size_t cut,
                         struct facts *f)
{
    facts_reset(p->sum);
    through(p, data, 0, cut);
    through(p, data, cut, size);
    facts_end(p->sum, "x.stl", f);
}

static void read_in(const uint8_t *data, size_t size, size_t step, struct stl_reader *r,
                    enum stl_health *health)
{
    stl_begin(r, NULL, NULL);
    for (size_t at = 0; at < size; at += step)
        stl_feed(r, data + at, step < size - at ? step : size - at);
    *health = stl_end(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parts p;
    struct facts one, two;
    struct stl_reader a, b;
    enum stl_health is, was;
    if (size > SIZE_MAX_HERE || !prepare(&p))
        return 0;
    read_in(data, size, size + 1, &a, &is);
    read_in(data, size, 3, &b, &was);
    check(is == was && a.facets == b.facets && a.kind == b.kind);
    facts_in_two(&p, data, size, size, &one);
    check(one.health == FACTS_OK + is && one.facets == a.facets);
    facts_in_two(&p, data, size, size / 2 > STL_HEAD ? size / 2 : 0, &two);
    if (a.kind == STL_BINARY && is != STL_OK) /* text with a stray byte may be read as either */
        return 0;
    check(one.health == two.health && one.facets == two.facets);
    if (one.health == FACTS_OK)
        check(one.vertices == two.vertices && one.closed == two.closed);
    return 0;
}
