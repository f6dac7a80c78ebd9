#include "dataset/borrowed_i.h"

#include "catalog/registry.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_LEN = 64, IDS_MAX = 900, TEXT_MAX = 16 << 20 };

struct one {
    char id[ID_LEN + 1];
    bool has_entry;
};

struct borrowed {
    struct one *all;
    size_t count, last; /* the one that was found last */
    struct buf text;    /* entries, with commas between */
    bool told;          /* that there are too many */
};

struct borrowed *borrowed_new(void)
{
    return calloc(1, sizeof(struct borrowed));
}

void borrowed_free(struct borrowed **bp)
{
    struct borrowed *b = *bp;
    *bp = NULL;
    if (b == NULL)
        return;
    free(b->all);
    buf_free(&b->text);
    free(b);
}

static bool is(const struct one *one, const char *id, size_t len)
{
    return strlen(one->id) == len && memcmp(one->id, id, len) == 0;
}

/* The place of that id, a new one where it is not known; NULL: there are too many. */
static struct one *find(struct borrowed *b, const char *id, size_t len)
{
    if (b->last < b->count && is(&b->all[b->last], id, len))
        return &b->all[b->last];
    for (size_t i = 0; i < b->count; i++)
        if (is(&b->all[i], id, len))
            return &b->all[b->last = i];
    struct one *grown =
        b->count < IDS_MAX ? reallocarray(b->all, b->count + 1, sizeof(grown[0])) : NULL;
    if (grown == NULL)
        return NULL;
    b->all = grown;
    struct one *one = &grown[b->last = b->count++];
    memset(one, 0, sizeof(*one));
    memcpy(one->id, id, len);
    return one;
}

static void add_entry(struct buf *out, const char *json, size_t len)
{
    buf_str(out, out->len > 0 ? ",\n" : "");
    buf_add(out, json, len);
}

int borrowed_add(struct borrowed *b, const char *id, size_t id_len, const char *json,
                 size_t json_len, struct err *why)
{
    char bare[ID_LEN + 16];
    if (id_len == 8 && memcmp(id, "unsorted", 8) == 0)
        return 0;
    (void)snprintf(bare, sizeof(bare), "{\"id\": \"%.*s\"}",
                   (int)(id_len <= ID_LEN ? id_len : ID_LEN), id);
    if (id_len > ID_LEN || registry_record_check(bare, strlen(bare), id, id_len, NULL) != 0) {
        if (json != NULL)
            (void)err_set(why, -EINVAL,
                          "a pack tells of a dataset whose id is none: left out (its files are "
                          "sorted by their names)");
        return 0;
    }
    struct one *one = find(b, id, id_len);
    bool full = one == NULL || b->text.len + json_len > TEXT_MAX;
    if (full && !b->told)
        (void)err_set(why, -E2BIG, "the packs tell of too many datasets: the others are left out");
    b->told |= full;
    if (full || json == NULL || one->has_entry)
        return 0;
    struct err e = {.code = 0};
    one->has_entry = true;
    if (registry_record_check(json, json_len, id, id_len, &e) == 0)
        add_entry(&b->text, json, json_len);
    else
        one->has_entry = false;
    if (e.code != 0)
        (void)err_set(why, e.code, "dataset %s of a pack: %.300s: left out", one->id, e.text);
    return b->text.err;
}

void borrowed_text(const struct borrowed *b, struct buf *out)
{
    struct buf list = BUF_INIT;
    buf_add(&list, b->text.data, b->text.len);
    for (size_t i = 0; i < b->count; i++) {
        char bare[ID_LEN + 16];
        int n = snprintf(bare, sizeof(bare), "{\"id\": \"%s\"}", b->all[i].id);
        if (!b->all[i].has_entry)
            add_entry(&list, bare, (size_t)n);
    }
    buf_str(out, "{\"datasets\": [");
    buf_add(out, list.data, list.len);
    buf_str(out, "]}");
    if (list.err != 0)
        out->err = list.err;
    buf_free(&list);
}
