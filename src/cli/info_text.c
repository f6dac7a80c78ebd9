#include "cli/info_text_i.h"

#include "cli/text_i.h"

#include <inttypes.h>
#include <string.h>

static void label(struct buf *out, const char *name)
{
    buf_fmt(out, "%-10s", name);
}

static void paragraph(struct buf *out, const struct json *text)
{
    if (json_type(text) != JSON_STRING)
        return;
    text_plain(out, json_string(text, ""));
    buf_str(out, "\n");
}

static void fact(struct buf *out, const struct json *dataset, const char *name)
{
    label(out, name);
    text_plain(out, json_string(json_get(dataset, name), "not stated"));
    buf_str(out, "\n");
}

static uint64_t number(const struct json *object, const char *name)
{
    uint64_t value = 0;
    (void)json_u64(json_get(object, name), &value);
    return value;
}

static void heading(struct buf *out, const struct json *dataset)
{
    const char *id = json_string(json_get(dataset, "id"), "?");
    const char *title = json_string(json_get(dataset, "title"), id);
    text_plain(out, id);
    if (strcmp(id, title) != 0) {
        buf_str(out, ": ");
        text_plain(out, title);
    }
    buf_str(out, "\n");
}

/* "12 shapes, 14 files (stl 12, json 2), 1.2G+?" */
static void content(struct buf *out, const struct json *dataset)
{
    const struct json *counts = json_get(dataset, "counts");
    const char *before = " (";
    label(out, "content");
    buf_fmt(out, "%" PRIu64 " shapes, %" PRIu64 " files", number(counts, "shapes"),
            number(counts, "files"));
    for (const struct json *t = json_first(json_get(counts, "types")); t != NULL;
         t = json_next(t)) {
        buf_str(out, before);
        text_plain(out, json_name(t)[0] != '\0' ? json_name(t) : "other");
        buf_fmt(out, " %" PRIu64, number(json_get(counts, "types"), json_name(t)));
        before = ", ";
    }
    buf_str(out, before[0] == ',' ? "), " : ", ");
    text_bytes_partly(out, number(dataset, "bytes"), number(dataset, "files_of_unknown_size"),
                      number(counts, "files"));
    buf_str(out, "\n");
}

static void list(struct buf *out, const struct json *dataset, const char *name)
{
    const struct json *first = json_first(json_get(dataset, name));
    if (first == NULL)
        return;
    label(out, name);
    for (const struct json *item = first; item != NULL; item = json_next(item)) {
        buf_str(out, item != first ? ", " : "");
        text_plain(out, json_string(item, "?"));
    }
    buf_str(out, "\n");
}

void info_text(struct buf *out, const struct json *dataset)
{
    heading(out, dataset);
    paragraph(out, json_get(dataset, "description"));
    paragraph(out, json_get(dataset, "doubt"));
    buf_str(out, "\n");
    content(out, dataset);
    fact(out, dataset, "licence");
    fact(out, dataset, "homepage");
    fact(out, dataset, "doi");
    list(out, dataset, "keywords");
    list(out, dataset, "sources");
}
