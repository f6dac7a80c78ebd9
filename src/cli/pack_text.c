#include "cli/pack_text_i.h"

#include "cli/text_i.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHA256 = 32 };

static void files(struct buf *out, uint64_t count)
{
    buf_fmt(out, "%" PRIu64 " file%s", count, count == 1 ? "" : "s");
}

static void further(struct buf *out, uint64_t count, const char *what)
{
    if (count > 0)
        buf_fmt(out, "; %" PRIu64 " %s", count, what);
}

static double ratio(const struct medshapefs_packed *p)
{
    return p->packed > 0 ? (double)p->text / (double)p->packed : 0;
}

void pack_text(struct buf *out, const char *file, const struct medshapefs_packed *p)
{
    text_plain(out, file);
    buf_str(out, ": ");
    files(out, p->files);
    buf_fmt(out, ", %" PRIu64 " bytes, packed in %" PRIu64, p->text, p->packed);
    if (p->text > p->packed)
        buf_fmt(out, " (%.1f times smaller)", ratio(p));
    further(out, p->folders, p->folders == 1 ? "empty folder" : "empty folders");
    further(out, p->skipped, "left out");
    further(out, p->failed, "could not be read");
    buf_str(out, "\n");
}

void pack_json(struct buf *out, const char *file, const struct medshapefs_packed *p)
{
    buf_str(out, "{");
    text_member(out, "pack", file);
    text_number(out, "files", p->files);
    text_number(out, "folders", p->folders);
    text_number(out, "bytes", p->text);
    text_number(out, "packed", p->packed);
    text_key(out, "ratio");
    buf_fmt(out, "%.3f", ratio(p));
    text_number(out, "skipped", p->skipped);
    text_number(out, "failed", p->failed);
    buf_str(out, "}\n");
}

void unpack_text(struct buf *out, const struct medshapefs_unpacked *u, bool verify)
{
    files(out, u->files);
    buf_fmt(out, ", %" PRIu64 " bytes%s", u->text, verify ? ", as their SHA-256 say" : "");
    further(out, u->folders, u->folders == 1 ? "empty folder" : "empty folders");
    further(out, u->there, u->there == 1 ? "was there already" : "were there already");
    further(out, u->failed, verify ? "damaged" : "did not come out");
    further(out, u->missing, "not in the pack");
    buf_str(out, "\n");
}

void unpack_json(struct buf *out, const struct medshapefs_unpacked *u)
{
    buf_str(out, "{");
    text_number(out, "files", u->files);
    text_number(out, "folders", u->folders);
    text_number(out, "bytes", u->text);
    text_number(out, "there", u->there);
    text_number(out, "failed", u->failed);
    text_number(out, "missing", u->missing);
    buf_str(out, "}\n");
}

void unpack_list_head(struct buf *out)
{
    buf_fmt(out, "%14s  %12s  %-20s  %-16s  %s\n", "BYTES", "PACKED", "MTIME", "DATASET", "PATH");
}

void unpack_list_text(struct buf *out, const struct medshapefs_packed_file *f)
{
    char time[32];
    size_t start, width = 16;
    str_iso_time(f->mtime, time);
    buf_fmt(out, "%14" PRIu64 "  %12" PRIu64 "  %-20s  ", f->bytes, f->packed, time);
    start = out->len;
    text_plain(out, f->dataset[0] != '\0' ? f->dataset : "-");
    size_t used = out->len - start;
    buf_fmt(out, "%*s  ", used < width ? (int)(width - used) : 0, "");
    text_plain(out, f->path);
    buf_str(out, f->folder ? "/\n" : "\n");
}

/* JSON has no text for bytes that are no UTF-8: their path is there in hexadecimal digits too. */
static void path(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    text_member(out, "path", text);
    if (str_is_utf8(text, len))
        return;
    text_key(out, "path_hex");
    buf_str(out, "\"");
    for (size_t i = 0; i < len; i++)
        buf_fmt(out, "%02x", (unsigned char)text[i]);
    buf_str(out, "\"");
}

static void known(struct buf *out, const char *name, const char *text)
{
    text_member(out, name, text[0] != '\0' ? text : NULL);
}

static void sum(struct buf *out, const unsigned char *sha256)
{
    char hex[2 * SHA256 + 1];
    for (size_t i = 0; i < SHA256; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
    text_member(out, "sha256", hex);
}

static void point(struct buf *out, const char *name, const float p[3])
{
    text_key(out, name);
    buf_fmt(out, "[%.9g, %.9g, %.9g]", (double)p[0], (double)p[1], (double)p[2]);
}

static void shape(struct buf *out, const struct medshapefs_packed_file *f)
{
    text_member(out, "health", f->health);
    text_truth(out, "binary", f->binary);
    text_truth(out, "closed", f->closed);
    text_number(out, "facets", f->facets);
    if (f->vertices == UINT64_MAX)
        text_member(out, "vertices", NULL);
    else
        text_number(out, "vertices", f->vertices);
    point(out, "min", f->min);
    point(out, "max", f->max);
    text_key(out, "surface");
    buf_fmt(out, "%.17g", f->surface);
    text_key(out, "volume");
    buf_fmt(out, "%.17g", f->volume);
}

void unpack_list_json(struct buf *out, const struct medshapefs_packed_file *f)
{
    char time[32];
    str_iso_time(f->mtime, time);
    buf_str(out, "{");
    path(out, f->path);
    text_member(out, "type", f->folder ? "folder" : "file");
    text_number(out, "bytes", f->bytes);
    text_number(out, "packed", f->packed);
    known(out, "mtime", time);
    text_number(out, "mtime_ns", f->mtime_ns);
    if (f->folder)
        text_member(out, "sha256", NULL);
    else
        sum(out, f->sha256);
    known(out, "url", f->url);
    known(out, "etag", f->etag);
    known(out, "dataset", f->dataset);
    known(out, "licence", f->licence);
    if (f->shape)
        shape(out, f);
    else
        text_member(out, "health", NULL);
    buf_str(out, "}");
}
