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
    size_t len = text.len;
    char *made = buf_take(&text);
    if (made == NULL)
        return;
    lock_take(&m->state_lock);
    char *old = f->text;
    f->text = made;
    f->len = len;
    f->made = clock_ms();
    f->mtime = clock_wall();
    lock_drop(&m->state_lock);
    free(old);
}

void state_attr(struct medshapefs *m, uint64_t id, struct medshapefs_attr *out)
{
    struct state_file *f = &m->state[id - NODE_STATUS];
    if (!fresh(m, f))
        make(m, id, f);
    lock_take(&m->state_lock);
    *out = (struct medshapefs_attr){.ino = tree_ino(id),
                                    .mode = S_IFREG | 0444,
                                    .nlink = 1,
                                    .size = f->len,
                                    .mtime = f->mtime,
                                    .known = true,
                                    .fleeting = true};
    lock_drop(&m->state_lock);
}

void state_read(struct medshapefs *m, uint64_t id, uint64_t off, size_t len,
                void (*done)(void *arg, struct medshapefs_data data), void *arg)
{
    const struct state_file *f = &m->state[id - NODE_STATUS];
    char *copy = malloc(len);
    size_t n = 0;
    lock_take(&m->state_lock);
    if (copy != NULL && off < f->len) {
        n = f->len - (size_t)off < len ? f->len - (size_t)off : len;
        memcpy(copy, f->text + off, n);
    }
    lock_drop(&m->state_lock);
    struct iovec span = {copy, n};
    done(arg, (struct medshapefs_data){copy == NULL ? -ENOMEM : 0, &span, 1});
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
        free(m->state[i].text);
    free(m->failures);
}
