#include "dataset/dataset_i.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Padded with newlines to whole steps, the size hardly ever changes while somebody reads. */
enum { STATE_STEP = 64 << 10, STATE_FRESH_MS = 1000 };

static const struct {
    uint64_t id;
    const char *name;
} files[STATE_FILES] = {
    {NODE_STATUS, "status.json"}, {NODE_METRICS, "metrics"}, {NODE_ERRORS, "errors.json"}};

uint64_t state_file_at(size_t i, const char **name)
{
    if (i >= STATE_FILES)
        return 0;
    *name = files[i].name;
    return files[i].id;
}

static bool fresh(struct medshapefs *m, const struct state_file *f)
{
    lock_take(&m->state_lock);
    bool is = f->made != 0 && clock_ms() - f->made < STATE_FRESH_MS;
    lock_drop(&m->state_lock);
    return is;
}

static void make(struct medshapefs *m, uint64_t id, struct state_file *f)
{
    struct buf text = BUF_INIT;
    status_write(m, id, &text);
    size_t pad = (STATE_STEP - text.len % STATE_STEP) % STATE_STEP;
    if (buf_reserve(&text, pad + 1) == 0) {
        memset(text.data + text.len, '\n', pad);
        text.len += pad;
    }
    struct state_text made = {.len = text.len, .mtime = clock_wall()};
    made.text = buf_take(&text);
    if (made.text == NULL)
        return;
    lock_take(&m->state_lock);
    made.edition = f->kept[f->newest].edition % 255 + 1;
    f->newest = (f->newest + 1) % STATE_KEPT;
    char *old = f->kept[f->newest].text;
    f->kept[f->newest] = made;
    f->made = clock_ms();
    lock_drop(&m->state_lock);
    free(old);
}

/* The text of an inode, or NULL. state_lock is held. */
static const struct state_text *text_of(const struct medshapefs *m, uint64_t ino)
{
    const struct state_file *f = &m->state[tree_id(ino) - NODE_STATUS];
    unsigned edition = ino & 0xFF;
    for (size_t i = 0; edition != 0 && i < STATE_KEPT; i++)
        if (f->kept[i].edition == edition)
            return &f->kept[i];
    return edition == 0 && f->kept[f->newest].edition != 0 ? &f->kept[f->newest] : NULL;
}

bool state_attr(struct medshapefs *m, uint64_t ino, struct medshapefs_attr *out)
{
    uint64_t id = tree_id(ino);
    struct state_file *f = &m->state[id - NODE_STATUS];
    if (ino == tree_ino(id) && !fresh(m, f))
        make(m, id, f);
    lock_take(&m->state_lock);
    const struct state_text *t = text_of(m, ino);
    if (t != NULL)
        *out = (struct medshapefs_attr){.ino = tree_ino(id),
                                        .mode = S_IFREG | 0444,
                                        .nlink = 1,
                                        .size = t->len,
                                        .mtime = t->mtime,
                                        .known = true,
                                        .fleeting = true,
                                        .edition = tree_ino(id) + t->edition};
    lock_drop(&m->state_lock);
    return t != NULL;
}

void state_read(struct medshapefs *m, uint64_t ino, uint64_t off, size_t len,
                void (*done)(void *arg, struct medshapefs_data data), void *arg)
{
    char *copy = malloc(len);
    size_t n = 0;
    lock_take(&m->state_lock);
    const struct state_text *t = text_of(m, ino);
    int err = t == NULL ? -ESTALE : copy == NULL ? -ENOMEM : 0;
    if (err == 0 && off < t->len) {
        n = t->len - (size_t)off < len ? t->len - (size_t)off : len;
        memcpy(copy, t->text + off, n);
    }
    lock_drop(&m->state_lock);
    struct iovec span = {copy, n};
    done(arg, (struct medshapefs_data){err, &span, 1});
    free(copy);
}

void state_failure(struct medshapefs *m, const struct failure *f)
{
    lock_take(&m->state_lock);
    if (m->failures == NULL)
        m->failures = calloc(ERRORS_KEPT, sizeof(m->failures[0]));
    if (m->failures != NULL) {
        m->failures[m->failure_next] = *f;
        m->failure_next = (m->failure_next + 1) % ERRORS_KEPT;
        m->failure_count += m->failure_count < ERRORS_KEPT;
    }
    lock_drop(&m->state_lock);
}

void state_free(struct medshapefs *m)
{
    for (size_t i = 0; i < STATE_FILES; i++)
        for (size_t k = 0; k < STATE_KEPT; k++)
            free(m->state[i].kept[k].text);
    free(m->failures);
}
