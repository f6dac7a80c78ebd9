#include "source/pack_i.h"

#include "base/json.h"
#include "base/obj.h"
#include "base/sort.h"
#include "source/pack_key_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MEMORY = 16 << 20, REMARKS = 10, ETAG_LEN = 9 + 2 * PACK_SHA256 + 1 };

static struct packing begin(const struct conf_source *src, struct source_listing *l,
                            const struct source_sink *sink, struct err *e)
{
    const struct conf_network *net = l->conf != NULL ? &l->conf->network : NULL;
    return (struct packing){src, l, sink, {l->http, net, sink}, e};
}

static int end(struct packing *p, int r)
{
    return r == 0 ? 0 : err_set(p->e, r, "source %s: %s", p->src->name, err_text(r));
}

/* ---- prepare ---- */

static int tell(struct packing *p, const char *id, size_t id_len, const char *json, size_t json_len)
{
    if (p->sink->dataset == NULL)
        return 0;
    return p->sink->dataset(p->sink->arg, id, id_len, json, json_len);
}

static int tell_records(struct packing *p, const struct pack_known *k, struct pack *pack)
{
    struct pack_slice id, json;
    struct err e = {0};
    int r;
    while ((r = pack_next_dataset(pack, &id, &json, &e)) > 0) {
        r = tell(p, id.s, id.len, json.s, json.len);
        if (r != 0)
            return r;
    }
    return r < 0 ? pack_refuse(p, k->link, r, e.text) : 0;
}

/* The dataset of files of which nobody knows the dataset. */
static int tell_own(struct packing *p, const struct pack_known *k, const char *id)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    buf_str(&json, "{\"id\": ");
    json_quote(&json, id, strlen(id));
    buf_str(&json, ", \"title\": ");
    json_quote(&json, k->name, strlen(k->name));
    buf_str(&json,
            ", \"description\": \"Files of a pack that does not tell which dataset they are of.\", "
            "\"licence_note\": \"Which dataset these files come from is not known, so their terms "
            "are not known either.\"}");
    return json.err != 0 ? json.err : tell(p, id, strlen(id), json.data, json.len);
}

/* Reads all rows, to prove them. */
static int prove(struct packing *p, const struct packs *all, const struct pack_known *k, bool fresh)
{
    struct pack_rows rows;
    struct pack_row row;
    char own[65];
    pack_dataset(p->src, all, k, own);
    int r = pack_rows_open(p, k, fresh, &rows);
    if (r != 0)
        return r;
    r = tell_records(p, k, rows.pack);
    if (r == 0)
        r = tell_own(p, k, own);
    while (r == 0 && (r = pack_rows_next(p, k, &rows, &row)) > 0)
        r = row.dataset.len > 0 ? tell(p, row.dataset.s, row.dataset.len, NULL, 0) : 0;
    pack_rows_close(&rows);
    return r;
}

static const struct pack_known *find(const struct packs *all, const char *link)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->at[i].link, link) == 0)
            return &all->at[i];
    return NULL;
}

/* Gets a pack's catalogue and proves it. What was kept and turns out to be damaged is got anew. */
static int fetch_one(struct packing *p, const struct packs *all, struct pack_known *k,
                     const struct pack_known *before)
{
    struct err e = {0}, *own = p->e;
    int r = pack_fetch(p, k, before);
    if (r != 0)
        return r;
    p->e = &e;
    r = prove(p, all, k, true);
    p->e = own;
    if (r != -EBADMSG || before == NULL)
        return r == 0 ? 0 : err_set(own, r, "%s", e.code != 0 ? e.text : err_text(r));
    r = pack_fetch(p, k, NULL);
    return r == 0 ? prove(p, all, k, true) : r;
}

static int fetch_all(struct packing *p, struct packs *packs)
{
    struct packs kept = {.count = 0};
    bool unchanged = true;
    (void)pack_note_read(p, false, &kept);
    int r = pack_index(p, packs);
    for (size_t i = 0; i < packs->count && r == 0; i++) {
        struct pack_known *k = &packs->at[i];
        const struct pack_known *before = find(&kept, k->link);
        uint64_t sum = before != NULL ? before->sum : 0;
        r = fetch_one(p, packs, k, before);
        unchanged = unchanged && before != NULL && k->sum == sum;
    }
    p->l->unchanged = r == 0 && unchanged && kept.count == packs->count;
    packs_free(&kept);
    return r == 0 ? pack_note_write(p, packs) : r;
}

static int prepare(const struct conf_source *src, struct source_listing *l,
                   const struct source_sink *sink, struct err *e)
{
    struct packing p = begin(src, l, sink, e);
    struct packs packs = {.count = 0};
    int r;
    if (l->kept) {
        r = pack_note_read(&p, false, &packs);
    } else {
        pack_note_clear(&p);
        r = fetch_all(&p, &packs);
    }
    for (size_t i = 0; i < packs.count && r == 0 && l->kept; i++)
        r = prove(&p, &packs, &packs.at[i], false);
    packs_free(&packs);
    return end(&p, r);
}

/* ---- list ---- */

/* One run of list(). */
struct listing {
    struct packing p;
    struct packs packs;
    struct sort *rows; /* path, 0, the later pack first -> see add_row() */
    struct buf key, val;
    uint32_t *place; /* the sink's number for each pack */
    uint64_t odd;    /* rows whose blocks cannot be read */
};

static void left_out(struct listing *s, const struct pack_known *k, const struct pack_row *row)
{
    char line[400];
    if (s->odd++ >= REMARKS)
        return;
    (void)snprintf(line, sizeof(line),
                   "%s: %.100s: %.*s: packed in a way that this version does "
                   "not read: left out",
                   s->p.src->name, k->name, (int)(row->path.len < 200 ? row->path.len : 200),
                   row->path.s);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = '?';
    s->p.sink->remark(s->p.sink->arg, line);
}

static int add_row(struct listing *s, size_t number, const struct pack_row *row)
{
    struct pack_slice url = pack_key_origin(row);
    buf_clear(&s->key);
    buf_clear(&s->val);
    buf_add(&s->key, row->path.s, row->path.len);
    buf_le(&s->key, 0, 1);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_le(&s->key, (PACKS_MAX - number) >> shift & 255, 1);
    buf_le(&s->val, number, 4);
    buf_le(&s->val, row->size, 8);
    buf_le(&s->val, (uint64_t)(row->mtime < 0 ? -1 : row->mtime), 8);
    buf_add(&s->val, row->sha256, PACK_SHA256);
    buf_lstr(&s->val, row->dataset.s, row->dataset.len);
    buf_lstr(&s->val, url.s, url.len);
    pack_key_encode(row, &s->val);
    if (s->key.err != 0 || s->val.err != 0)
        return -ENOMEM;
    return sort_add(s->rows, s->key.data, s->key.len, s->val.data, s->val.len);
}

static int add_pack(struct listing *s, size_t number)
{
    const struct pack_known *k = &s->packs.at[number];
    struct pack_rows rows;
    struct pack_row row;
    int r = pack_rows_open(&s->p, k, !s->p.l->kept, &rows);
    if (r != 0)
        return r;
    while ((r = pack_rows_next(&s->p, k, &rows, &row)) > 0) {
        if (row.type != PACK_FILE)
            continue;
        s->p.l->lines++;
        bool fits = pack_key_fits(&row);
        if (!fits) {
            left_out(s, k, &row);
            s->p.l->malformed++;
        }
        r = fits ? add_row(s, number, &row) : 0;
        if (r != 0)
            break;
    }
    pack_rows_close(&rows);
    return r;
}

static int emit_places(struct listing *s)
{
    char none[1] = "";
    for (size_t i = 0; i < s->packs.count; i++) {
        struct pack_known *k = &s->packs.at[i];
        const struct source_place place = {.link = k->link,
                                           .folder = none,
                                           .dav = none,
                                           .user = none,
                                           .source = s->p.src->name,
                                           .pack = true,
                                           .pack_size = k->size,
                                           .pack_mtime = k->mtime,
                                           .pack_etag = k->etag};
        int r = s->p.sink->place(s->p.sink->arg, &place, &s->place[i]);
        if (r != 0)
            return r;
    }
    return 0;
}

static void write_etag(const unsigned char *sha256, char out[ETAG_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (const char *c = "\"sha256-"; *c != '\0'; c++)
        out[n++] = *c;
    for (size_t i = 0; sha256 != NULL && i < PACK_SHA256; i++) {
        out[n++] = hex[sha256[i] >> 4];
        out[n++] = hex[sha256[i] & 15];
    }
    out[n++] = '"';
    out[n] = '\0';
}

static int emit_row(struct listing *s, struct pack_slice path, struct view v)
{
    struct source_packed packed = {.path = path.s, .path_len = path.len};
    struct source_item item = {.packed = &packed, .line = s->p.l->items};
    char etag[ETAG_LEN + 1], own[65];
    uint64_t number = view_le(&v, 4);
    item.size = view_le(&v, 8);
    item.mtime = (int64_t)view_le(&v, 8);
    write_etag(view_take(&v, PACK_SHA256), etag);
    view_str(&v, &packed.dataset, &packed.dataset_len);
    view_str(&v, &packed.url, &packed.url_len);
    if (v.err != 0 || number >= s->packs.count)
        return -EBADMSG;
    pack_dataset(s->p.src, &s->packs, &s->packs.at[number], own);
    const char *slash = memrchr(path.s, '/', path.len);
    item.place = s->place[number];
    item.key = (const char *)v.p;
    item.key_len = (size_t)(v.end - v.p);
    item.name = slash != NULL ? slash + 1 : path.s;
    item.name_len = (size_t)(path.s + path.len - item.name);
    item.etag = etag;
    packed.fallback = own;
    buf_clear(&s->val);
    const char *link = s->packs.at[number].link;
    pack_key_url(true, link, strlen(link), item.key, item.key_len, &s->val);
    packed.shown = s->val.data;
    packed.shown_len = s->val.len;
    s->p.l->items++;
    s->p.l->sized++;
    return s->p.sink->item(s->p.sink->arg, &item);
}

/* Emits the rows in order of path; of one path that of the latest pack. */
static int emit_rows(struct listing *s)
{
    const void *key, *val;
    size_t klen, vlen;
    int r = sort_rewind(s->rows), got = 0;
    buf_clear(&s->key);
    while (r == 0 && (got = sort_next(s->rows, &key, &klen, &val, &vlen)) > 0) {
        size_t len = klen - 5; /* without the NUL and the pack's number */
        bool again = s->p.l->items > 0 && s->key.len == len && memcmp(s->key.data, key, len) == 0;
        s->p.l->duplicates += again;
        if (again)
            continue;
        buf_clear(&s->key);
        buf_add(&s->key, key, len);
        r = s->key.err != 0 ? s->key.err
                            : emit_row(s, (struct pack_slice){key, len}, view_of(val, vlen));
    }
    return r != 0 ? r : got;
}

static int run(struct listing *s)
{
    struct source_listing *l = s->p.l;
    int r = pack_note_read(&s->p, !l->kept, &s->packs);
    s->place = calloc(s->packs.count + 1, sizeof(s->place[0]));
    s->rows = sort_create(l->temp_dir, ROWS_MEMORY);
    if (r == 0 && (s->place == NULL || s->rows == NULL))
        r = -ENOMEM;
    for (size_t i = 0; i < s->packs.count && r == 0; i++)
        r = add_pack(s, i);
    if (r == 0)
        r = emit_places(s);
    return r != 0 ? r : emit_rows(s);
}

static int list(const struct conf_source *src, struct source_listing *l,
                const struct source_sink *sink, struct err *e)
{
    struct listing s = {.p = begin(src, l, sink, e), .key = BUF_INIT, .val = BUF_INIT};
    l->lines = l->items = l->malformed = l->duplicates = l->sized = 0;
    l->without_sizes = false;
    int r = run(&s);
    sort_destroy(&s.rows);
    packs_free(&s.packs);
    free(s.place);
    buf_free(&s.key);
    buf_free(&s.val);
    return end(&s.p, r);
}

const struct source_ops pack_ops = {"pack", prepare, list, pack_note_keep};
