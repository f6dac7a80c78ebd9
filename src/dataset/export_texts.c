#include "dataset/export_i.h"

#include "base/fsio.h"
#include "base/obj.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char readme[] =
    "A mirror of shapes, packed by medshapefs\n"
    "========================================\n"
    "\n"
    "The files NNNN.shapepack hold shapes byte for byte, at a fraction of their size; index.json\n"
    "says which packs there are. This folder is all that is needed: copy it anywhere, or let any\n"
    "web server give it away.\n"
    "\n"
    "Show it as a drive, from here or over the network:\n"
    "\n"
    "    medshapefs mount -o source=/path/of/this/folder MOUNTPOINT\n"
    "    medshapefs mount -o source=https://HOST/OF/THIS/FOLDER/ MOUNTPOINT\n"
    "\n"
    "List, check or unpack one pack:\n"
    "\n"
    "    medshapefs unpack -l 0001.shapepack\n"
    "    medshapefs unpack --verify 0001.shapepack\n"
    "    medshapefs unpack 0001.shapepack -C DIR\n"
    "\n"
    "Run 'medshapefs export --packed' on this folder again to add what is new.\n"
    "\n"
    "The shapes stay under the terms of the datasets that they come from. Where those are known,\n"
    "datasets/NAME/ has LICENSE.txt and CITATION.bib, and so do the packs themselves. Whoever\n"
    "passes the shapes on, or publishes work with them, has to keep to them.\n";

static int failed(struct err *e, int r, const char *dir, const char *name)
{
    return err_set(e, r, "%s/%s: cannot be written: %s", dir, name, err_text(r));
}

int export_readme(const char *dir, struct err *e)
{
    char *path;
    if (asprintf(&path, "%s/README.txt", dir) < 0)
        return err_set(e, -ENOMEM, "out of memory");
    int r = access(path, F_OK) == 0 ? 0 : fsio_write_file(path, readme, strlen(readme));
    free(path);
    return r == 0 ? 0 : failed(e, r, dir, "README.txt");
}

bool export_listed(const struct buf *ids, const char *id)
{
    for (size_t at = 0; at < ids->len; at += strlen(ids->data + at) + 1)
        if (strcmp(ids->data + at, id) == 0)
            return true;
    return false;
}

/* Writes a text that may be there already. */
static int put(const char *folder, const char *name, const struct buf *text, struct err *e)
{
    struct buf old = BUF_INIT;
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return err_set(e, -ENOMEM, "out of memory");
    bool same = fsio_read_file(path, text->len, &old) == 0 && old.len == text->len &&
                memcmp(old.data, text->data, text->len) == 0;
    int r = same ? 0 : fsio_write_file(path, text->data, text->len);
    buf_free(&old);
    free(path);
    return r == 0 ? 0 : failed(e, r, folder, name);
}

static int put_dataset(struct medshapefs *m, const char *dir, const char *id, struct err *e)
{
    static const char *const names[] = {"LICENSE.txt", "CITATION.bib"};
    struct buf text = BUF_INIT;
    char *folder;
    if (asprintf(&folder, "%s/datasets/%s", dir, id) < 0)
        return err_set(e, -ENOMEM, "out of memory");
    int r = fsio_mkdirs(folder, 0755);
    if (r != 0)
        (void)failed(e, r, dir, "datasets");
    for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++) {
        buf_clear(&text);
        r = medshapefs_dataset_file(m, id, names[i], &text, e);
        if (r == 0)
            r = put(folder, names[i], &text, e);
    }
    buf_free(&text);
    free(folder);
    return r;
}

int export_licences(struct medshapefs *m, const char *dir, const struct buf *ids, struct err *e)
{
    struct buf text = BUF_INIT;
    int r = medshapefs_root_file(m, "CITATION.bib", &text);
    if (r == 0)
        r = put(dir, "CITATION.bib", &text, e);
    else
        (void)err_set(e, r, "CITATION.bib: %s", err_text(r));
    for (size_t at = 0; at < ids->len && r == 0; at += strlen(ids->data + at) + 1)
        r = put_dataset(m, dir, ids->data + at, e);
    buf_free(&text);
    return r;
}
