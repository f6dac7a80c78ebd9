#include "source/manifest_i.h"

#include "base/fsio.h"
#include "base/obj.h"
#include "net/url.h"
#include "source/join_i.h"
#include "source/list_i.h"
#include "source/origin_i.h"
#include "source/share_i.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
    ITEMS_MEMORY = 16 << 20,
    ANSWERS_MEMORY = 8 << 20,
    CHUNK = 256 * 1024,
    REMARKS = 10,
    NOTE_MAX = 128,
};

/* One run of list(). */
struct manifest {
    const struct conf_source *src;
    struct source_listing *l;
    const struct source_sink *sink;
    struct fetch fetch;
    struct places places;
    struct sort *items, *answers;
    struct place_url url;
    struct buf key, val; /* of a row of items */
    uint64_t valid;
    char first_bad[NOTE_MAX];
};

static void on_malformed(struct manifest *m, uint64_t number, const char *why)
{
    char note[NOTE_MAX];
    char line[2 * NOTE_MAX];
    (void)snprintf(note, sizeof(note), "line %llu: %s", (unsigned long long)number, why);
    if (m->l->malformed++ == 0)
        (void)snprintf(m->first_bad, sizeof(m->first_bad), "%s", note);
    if (m->l->malformed > REMARKS)
        return;
    (void)snprintf(line, sizeof(line), "%s: %s: left out", m->src->name, note);
    m->sink->remark(m->sink->arg, line);
}

static int add_item(struct manifest *m, uint64_t number)
{
    const struct place_url *u = &m->url;
    uint32_t place;
    int r = places_find(&m->places, u, &place);
    if (r != 0)
        return r;
    bool whole = places_link(&m->places, place)[0] == '\0';
    const char *key = whole ? u->key - u->link_len : u->key;
    size_t key_len = whole ? u->link_len + u->key_len : u->key_len;
    buf_clear(&m->key);
    buf_clear(&m->val);
    share_row_key(&m->key, place, u->name.data, u->name.len);
    buf_le(&m->val, number, 8);
    if (key_len != u->name.len || memcmp(key, u->name.data, key_len) != 0)
        buf_add(&m->val, key, key_len);
    if (m->key.err != 0 || m->val.err != 0)
        return -ENOMEM;
    m->valid++;
    return sort_add(m->items, m->key.data, m->key.len, m->val.data, m->val.len);
}

static int on_line(void *arg, uint64_t number, const char *text, size_t len, const char *why)
{
    struct manifest *m = arg;
    m->l->lines++;
    int r = why == NULL ? place_parse(&m->url, text, len, &why) : -EINVAL;
    if (r == 0)
        return add_item(m, number);
    if (r != -EINVAL)
        return r;
    on_malformed(m, number, why);
    return 0;
}

static int refuse(const struct manifest *m, struct err *e, const char *why)
{
    CLEANUP_BUF struct buf url = BUF_INIT;
    url_redact(&url, m->src->url, strlen(m->src->url));
    return err_set(e, -EBADMSG,
                   "list %s: %s (it must have one link a line; check the url of source %s)",
                   buf_cstr(&url), why, m->src->name);
}

/* Feeds the file's lines to on_line(). */
static int read_lines(struct manifest *m, const char *path, struct err *e)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP_BUF struct buf chunk = BUF_INIT;
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", path, err_text(errno));
    if (buf_reserve(&chunk, CHUNK) != 0)
        return -ENOMEM;
    struct list list;
    list_begin(&list, on_line, m);
    int r = 0;
    ssize_t n = read(fd, chunk.data, CHUNK);
    const char *why = n > 0 ? list_refusal(chunk.data, (size_t)n) : NULL;
    if (why != NULL)
        r = refuse(m, e, why);
    while (r == 0 && n > 0) {
        r = list_feed(&list, chunk.data, (size_t)n);
        n = read(fd, chunk.data, CHUNK);
    }
    if (r == 0 && n < 0)
        r = err_set(e, -errno, "%s: %s", path, err_text(errno));
    int ended = list_end(&list);
    return r != 0 ? r : ended;
}

static int check_lines(const struct manifest *m, struct err *e)
{
    char line[2 * NOTE_MAX];
    if (m->valid == 0) {
        (void)snprintf(line, sizeof(line), "no link in it%s%s", m->first_bad[0] != '\0' ? ": " : "",
                       m->first_bad);
        return refuse(m, e, line);
    }
    if (m->l->malformed > REMARKS) {
        (void)snprintf(line, sizeof(line), "%s: %llu lines in all are malformed: left out",
                       m->src->name, (unsigned long long)m->l->malformed);
        m->sink->remark(m->sink->arg, line);
    }
    return 0;
}

static int run(struct manifest *m, struct err *e)
{
    CLEANUP_BUF struct buf path = BUF_INIT;
    int r = origin_get(m->src, m->l, &m->fetch, &path, e);
    if (r == 0)
        r = read_lines(m, buf_cstr(&path), e);
    if (r == 0)
        r = check_lines(m, e);
    if (r != 0)
        return r;
    struct share_work work = {&m->fetch, m->src->name, &m->places, m->answers};
    struct join join = {m->src, m->l, m->sink, &m->places, m->items, m->answers};
    r = share_sizes(&work);
    return r != 0 ? r : join_emit(&join);
}

static int list(const struct conf_source *src, struct source_listing *l,
                const struct source_sink *sink, struct err *e)
{
    struct manifest m = {.src = src,
                         .l = l,
                         .sink = sink,
                         .fetch = {l->http, &l->conf->network, sink},
                         .items = sort_create(l->temp_dir, ITEMS_MEMORY),
                         .answers = sort_create(l->temp_dir, ANSWERS_MEMORY),
                         .url = PLACE_URL_INIT,
                         .key = BUF_INIT,
                         .val = BUF_INIT};
    l->lines = l->items = l->malformed = l->duplicates = l->sized = 0;
    l->unchanged = l->without_sizes = false;
    places_init(&m.places);
    int r = m.items == NULL || m.answers == NULL ? -ENOMEM : run(&m, e);
    if (r != 0)
        (void)err_set(e, r, "source %s: %s", src->name, err_text(r));
    places_free(&m.places);
    sort_destroy(&m.items);
    sort_destroy(&m.answers);
    place_url_free(&m.url);
    buf_free(&m.key);
    buf_free(&m.val);
    return r;
}

static void keep(const struct conf_source *src, const struct source_listing *l)
{
    origin_keep(src, l);
}

const struct source_ops manifest_ops = {"manifest", NULL, list, keep};
