#include "cli/refresh_text_i.h"

#include "cli/text_i.h"

#include <inttypes.h>

static void count(struct buf *out, uint64_t n, const char *what)
{
    if (n > 0)
        buf_fmt(out, "; %" PRIu64 " %s", n, what);
}

void refresh_text(struct buf *out, const struct medshapefs_refreshed *r)
{
    buf_fmt(out, "%" PRIu64 " shapes, %" PRIu64 " files", r->shapes, r->files);
    if (r->unchanged)
        buf_str(out, "; nothing changed at the sources");
    if (r->without_sizes)
        buf_str(out, "; sizes: not told by the source, asked for file by file");
    else
        count(out, r->unknown_sizes, "sizes not known yet");
    count(out, r->malformed, "lines left out");
    count(out, r->duplicates, "lines double");
    count(out, r->failed_sources, r->failed_sources == 1 ? "source failed" : "sources failed");
    buf_str(out, "\n");
}

void refresh_json(struct buf *out, const struct medshapefs_refreshed *r)
{
    buf_str(out, "{");
    text_number(out, "shapes", r->shapes);
    text_number(out, "files", r->files);
    text_number(out, "lines", r->lines);
    text_number(out, "malformed", r->malformed);
    text_number(out, "duplicates", r->duplicates);
    text_number(out, "unknown_sizes", r->unknown_sizes);
    text_truth(out, "without_sizes", r->without_sizes);
    text_truth(out, "unchanged", r->unchanged);
    text_number(out, "remarks", r->remarks);
    text_number(out, "failed_sources", r->failed_sources);
    buf_str(out, "}\n");
}
