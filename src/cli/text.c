#include "cli/text_i.h"

#include "base/json.h"
#include "base/obj.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void text_bytes(struct buf *out, uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    if (bytes < 1024) {
        buf_fmt(out, "%" PRIu64, bytes);
        return;
    }
    size_t unit = 0;
    double value = (double)bytes / 1024;
    while (value >= 1023.5 && unit + 1 < sizeof(units) - 1) {
        value /= 1024;
        unit++;
    }
    buf_fmt(out, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

void text_bytes_partly(struct buf *out, uint64_t bytes, uint64_t unknown, uint64_t files)
{
    if (unknown > 0 && unknown >= files && bytes == 0) {
        buf_str(out, "?");
        return;
    }
    text_bytes(out, bytes);
    if (unknown > 0)
        buf_str(out, "+?");
}

void text_span(struct buf *out, uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(units) && seconds < units[i].seconds)
        i++;
    buf_fmt(out, "%" PRIu64 " %s", seconds / units[i].seconds, units[i].name);
    uint64_t rest =
        i + 1 < ARRAY_LEN(units) ? seconds % units[i].seconds / units[i + 1].seconds : 0;
    if (rest > 0)
        buf_fmt(out, " %" PRIu64 " %s", rest, units[i + 1].name);
}

void text_percent(struct buf *out, uint64_t part, uint64_t whole)
{
    if (whole == 0)
        buf_str(out, "-");
    else
        buf_fmt(out, "%.1f %%", 100.0 * (double)part / (double)whole);
}

void text_plain(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        buf_add(out, (unsigned char)*p < ' ' || *p == 0x7f ? "?" : p, 1);
}

void text_key(struct buf *out, const char *name)
{
    if (out->len > 0 && out->data[out->len - 1] != '{' && out->data[out->len - 1] != '[')
        buf_str(out, ", ");
    json_quote(out, name, strlen(name));
    buf_str(out, ": ");
}

void text_member(struct buf *out, const char *name, const char *value)
{
    text_key(out, name);
    if (value == NULL)
        buf_str(out, "null");
    else
        json_quote(out, value, strlen(value));
}

void text_number(struct buf *out, const char *name, uint64_t value)
{
    text_key(out, name);
    buf_fmt(out, "%" PRIu64, value);
}

void text_truth(struct buf *out, const char *name, bool value)
{
    text_key(out, name);
    buf_str(out, value ? "true" : "false");
}

void table_cell(struct table *t, const char *text)
{
    buf_add(&t->cells, text, strlen(text) + 1);
}

static const char *after(const char *cell)
{
    return cell + strlen(cell) + 1;
}

static void write_cell(struct buf *out, const char *cell, size_t width, bool right, bool last)
{
    size_t pad = width - strlen(cell);
    if (right)
        buf_fmt(out, "%*s", (int)pad, "");
    buf_str(out, cell);
    if (!right && !last)
        buf_fmt(out, "%*s", (int)pad, "");
    if (!last) {
        buf_str(out, "  ");
        return;
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->len--;
    buf_str(out, "\n");
}

int table_write(struct table *t, struct buf *out)
{
    size_t *width = calloc(t->columns, sizeof(*width));
    const char *end = t->cells.data + t->cells.len;
    size_t i = 0;
    if (width == NULL || t->cells.err != 0) {
        buf_free(&t->cells);
        free(width);
        return -ENOMEM;
    }
    for (const char *cell = t->cells.data; cell < end; cell = after(cell), i++)
        if (strlen(cell) > width[i % t->columns])
            width[i % t->columns] = strlen(cell);
    i = 0;
    for (const char *cell = t->cells.data; cell < end; cell = after(cell), i++) {
        size_t column = i % t->columns;
        write_cell(out, cell, width[column], (t->right >> column & 1) != 0,
                   column + 1 == t->columns);
    }
    buf_free(&t->cells);
    free(width);
    return out->err;
}
