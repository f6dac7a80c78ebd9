#include "catalog/registry.h"

#include "base/json.h"

#include <string.h>

static void member(struct buf *out, const char *name, const char *value)
{
    buf_fmt(out, "%s\"%s\": ", out->len > 1 ? ", " : "", name);
    if (value == NULL)
        buf_str(out, "null");
    else
        json_quote(out, value, strlen(value));
}

void registry_entry_json(const struct dataset *d, struct buf *out)
{
    struct buf text = BUF_INIT;
    buf_str(&text, "{");
    member(&text, "id", d->id);
    member(&text, "title", d->title);
    member(&text, "description", d->description);
    member(&text, "doubt", d->doubt);
    member(&text, "licence", d->licence);
    member(&text, "licence_text", d->licence_text);
    member(&text, "licence_url", d->licence_url);
    member(&text, "licence_note", d->licence_note);
    member(&text, "homepage", d->homepage);
    member(&text, "doi", d->doi);
    member(&text, "bibtex", d->bibtex);
    buf_str(&text, ", \"keywords\": [");
    for (size_t i = 0; d->keywords != NULL && d->keywords[i] != NULL; i++) {
        buf_str(&text, i > 0 ? ", " : "");
        json_quote(&text, d->keywords[i], strlen(d->keywords[i]));
    }
    buf_str(&text, "]}");
    buf_add(out, text.data, text.len);
    out->err = out->err != 0 ? out->err : text.err;
    buf_free(&text);
}
