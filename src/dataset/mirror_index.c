#include "dataset/mirror_i.h"

#include "base/fsio.h"
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_MAX = 16 << 20 };

static const char index_name[] = "index.json", format[] = "medshapefs packs";

int mirror_index_write(const struct mirror *m, struct err *e)
{
    struct buf text = BUF_INIT;
    char *path = NULL;
    const char *between = "";
    buf_fmt(&text, "{\n  \"format\": \"%s\",\n  \"version\": 1,\n  \"packs\": [", format);
    for (unsigned i = 0; i < m->packs; i++) {
        const struct mirror_pack *p = &m->pack[i];
        if (!p->published)
            continue;
        buf_fmt(&text,
                "%s\n    {\"name\": \"%s\", \"bytes\": %" PRIu64 ", \"files\": %" PRIu64
                ", \"text\": %" PRIu64 ", \"catalogue_sum\": \"%016" PRIx64 "\"}",
                between, p->name, p->bytes, p->files, p->text, p->sum);
        between = ",";
    }
    buf_str(&text, between[0] != '\0' ? "\n  ]\n}\n" : "]\n}\n");
    int r = text.err != 0 ? text.err : mirror_path(m, index_name, &path);
    if (r == 0)
        r = fsio_write_file(path, text.data, text.len);
    if (r != 0)
        r = err_set(e, r, "%s/%s: %s", m->dir, index_name, err_text(r));
    free(path);
    buf_free(&text);
    return r;
}

/* Only the very pack that it tells of. */
static void take_pack(struct mirror *m, const struct json *v)
{
    uint64_t bytes;
    const char *name = json_string(json_get(v, "name"), "");
    uint64_t sum = strtoull(json_string(json_get(v, "catalogue_sum"), "0"), NULL, 16);
    if (!json_u64(json_get(v, "bytes"), &bytes))
        return;
    for (unsigned i = 0; i < m->packs; i++) {
        struct mirror_pack *p = &m->pack[i];
        if (p->there && strcmp(p->name, name) == 0 && p->bytes == bytes && p->sum == sum)
            p->published = true;
    }
}

int mirror_index_read(struct mirror *m, struct err *e)
{
    struct buf text = BUF_INIT;
    char *path = NULL;
    int r = mirror_path(m, index_name, &path);
    if (r == 0)
        r = fsio_read_file(path, INDEX_MAX, &text);
    struct json *root = r == 0 ? json_parse(buf_cstr(&text), text.len, NULL) : NULL;
    if (root != NULL && strcmp(json_string(json_get(root, "format"), ""), format) == 0)
        for (const struct json *v = json_first(json_get(root, "packs")); v != NULL;
             v = json_next(v))
            take_pack(m, v);
    else if (root != NULL || r == -EFBIG)
        r = err_set(e, -EEXIST, "%s: it is not of an export (export to another folder)", path);
    json_free(root);
    buf_free(&text);
    free(path);
    return r == -EEXIST || r == -ENOMEM ? r : 0;
}
