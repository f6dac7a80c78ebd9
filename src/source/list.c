#include "source/list_i.h"

#include <string.h>

void list_begin(struct list *l, list_line_fn *line, void *arg)
{
    *l = (struct list){.line = line, .arg = arg, .carry = BUF_INIT};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool has_control(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7F)
            return true;
    return false;
}

/* Steps over a byte order mark. */
static void skip_mark(const char **s, size_t *len)
{
    if (*len >= 3 && memcmp(*s, "\xEF\xBB\xBF", 3) == 0) {
        *s += 3;
        *len -= 3;
    }
}

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && is_blank(**s)) {
        (*s)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*s)[*len - 1]))
        (*len)--;
}

static int take_line(struct list *l, const char *s, size_t len, bool too_long)
{
    if (len > LIST_LINE_MAX + 1) {
        len = LIST_LINE_MAX + 1;
        too_long = true;
    }
    if (++l->number == 1)
        skip_mark(&s, &len);
    trim(&s, &len);
    if ((len == 0 && !too_long) || (len > 0 && s[0] == '#'))
        return 0;
    if (too_long || len > LIST_LINE_MAX)
        return l->line(l->arg, l->number, "", 0, "longer than 16 KiB");
    if (has_control(s, len))
        return l->line(l->arg, l->number, "", 0, "control characters");
    return l->line(l->arg, l->number, s, len, NULL);
}

/* Keeps the start of a line for the next chunk; of one that is too long only so much that a comment
 * can be told. */
static int carry(struct list *l, const char *s, size_t len)
{
    size_t room = LIST_LINE_MAX + 1 - l->carry.len;
    if (len > room) {
        l->too_long = true;
        len = room;
    }
    buf_add(&l->carry, s, len);
    return l->carry.err;
}

static int end_carried(struct list *l)
{
    int r = take_line(l, l->carry.len == 0 ? "" : l->carry.data, l->carry.len, l->too_long);
    buf_clear(&l->carry);
    l->too_long = false;
    return r;
}

int list_feed(struct list *l, const char *data, size_t len)
{
    int r = 0;
    while (r == 0 && len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t n = end == NULL ? len : (size_t)(end - data);
        if (end == NULL)
            return carry(l, data, n);
        if (l->carry.len == 0) {
            r = take_line(l, data, n, false);
        } else {
            r = carry(l, data, n);
            if (r == 0)
                r = end_carried(l);
        }
        data += n + 1;
        len -= n + 1;
    }
    return r;
}

int list_end(struct list *l)
{
    int r = l->carry.len > 0 ? end_carried(l) : 0;
    buf_free(&l->carry);
    return r;
}

static bool begins(const char *s, size_t len, const char *magic)
{
    size_t n = strlen(magic);
    return len >= n && memcmp(s, magic, n) == 0;
}

const char *list_refusal(const char *head, size_t len)
{
    if (len > LIST_HEAD)
        len = LIST_HEAD;
    if (memchr(head, '\0', len) != NULL || begins(head, len, "\x1F\x8B") ||
        begins(head, len, "PK\x03\x04"))
        return "binary data";
    skip_mark(&head, &len);
    while (len > 0 && (is_blank(*head) || *head == '\n')) {
        head++;
        len--;
    }
    if (!begins(head, len, "<"))
        return NULL;
    return begins(head, len, "<?xml") ? "an XML document" : "an HTML page";
}
