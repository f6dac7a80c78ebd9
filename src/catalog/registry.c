#include "catalog/registry_i.h"

#include "base/fsio.h"
#include "base/obj.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    REGISTRY_MAX_FILE = 16 << 20,
    REGISTRY_FILES = 3, /* built in, extra, told by packs */
};

struct registry {
    struct registry_file files[REGISTRY_FILES];
    struct buf extra, records; /* texts of the second and third */
    struct registry_entry *entries;
    size_t count;
    struct classifier *rules;
    struct anatomy *anatomy;
};

static const char *const no_keywords[] = {NULL};

static const struct dataset unsorted = {
    .id = "unsorted",
    .title = "Unsorted",
    .description = "Files whose source dataset cannot be told from their names.",
    .licence_note =
        "Which dataset these files come from is not known, so their terms are not known either.",
    .keywords = no_keywords,
};

/* Adds the entries of one file; one with the id of an earlier one takes its place, or with `borrow`
 * is left out. Takes over what they own. */
static int merge(struct registry *r, struct registry_entry *more, size_t count, bool borrow)
{
    struct registry_entry *all = reallocarray(r->entries, r->count + count + 1, sizeof(all[0]));
    if (all == NULL) {
        registry_entries_free(more, count);
        return -ENOMEM;
    }
    r->entries = all;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < r->count && strcmp(all[k].d.id, more[i].d.id) != 0)
            k++;
        bool known = k < r->count;
        if (known)
            free((void *)(uintptr_t)(borrow ? more[i] : all[k]).d.keywords);
        if (known && borrow)
            continue;
        r->count += !known;
        all[k] = more[i];
        all[k].d.borrowed = borrow;
    }
    free(more);
    return 0;
}

static int read_file(struct registry *r, struct registry_file *f, struct err *e)
{
    struct registry_entry *entries;
    size_t count;
    int rc = registry_file_read(f, &entries, &count, e);
    if (rc != 0) {
        registry_entries_free(entries, count);
        return rc;
    }
    rc = merge(r, entries, count, f == &r->files[REGISTRY_FILES - 1]);
    return rc != 0 ? err_set(e, rc, "out of memory") : 0;
}

static int read_extra(struct registry *r, const char *path, struct err *e)
{
    struct registry_file *f = &r->files[1];
    int rc = fsio_read_file(path, REGISTRY_MAX_FILE, &r->extra);
    if (rc != 0)
        return err_set(e, rc,
                       "%.200s: %s (this is the file that \"catalog\" of the configuration names)",
                       path, err_text(rc));
    *f = (struct registry_file){.name = path, .text = buf_cstr(&r->extra), .len = r->extra.len};
    return read_file(r, f, e);
}

static int compare_entries(const void *a, const void *b)
{
    const struct registry_entry *x = a, *y = b;
    return strcmp(x->d.id, y->d.id);
}

/* Rules of the extra file come first, so that they win where the order is equal. */
static int add_rules(struct registry *r, struct err *e)
{
    for (size_t k = REGISTRY_FILES; k-- > 0;)
        for (size_t i = 0; i < r->count; i++) {
            if (r->entries[i].file != &r->files[k])
                continue;
            int rc = registry_file_rules(&r->entries[i], i, r->rules, e);
            if (rc != 0)
                return rc;
        }
    classifier_sort(r->rules);
    return 0;
}

static int read_records(struct registry *r, const char *records, struct err *e)
{
    struct registry_file *f = &r->files[REGISTRY_FILES - 1];
    buf_str(&r->records, records);
    if (r->records.err != 0)
        return err_set(e, -ENOMEM, "out of memory");
    *f = (struct registry_file){
        .name = "datasets of packs", .text = buf_cstr(&r->records), .len = r->records.len};
    return read_file(r, f, e);
}

static int load(struct registry *r, const char *extra, const char *records, struct err *e)
{
    r->files[0] = (struct registry_file){.name = "built-in datasets",
                                         .text = (const char *)registry_datasets_json,
                                         .len = registry_datasets_json_len};
    r->rules = classifier_new();
    if (r->rules == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    int rc =
        anatomy_load((const char *)registry_anatomy_tsv, registry_anatomy_tsv_len, &r->anatomy);
    if (rc != 0)
        return err_set(e, rc, "built-in anatomy: %s", err_text(rc));
    rc = read_file(r, &r->files[0], e);
    if (rc == 0 && extra != NULL)
        rc = read_extra(r, extra, e);
    if (rc == 0 && records != NULL)
        rc = read_records(r, records, e);
    if (rc != 0)
        return rc;
    qsort(r->entries, r->count, sizeof(r->entries[0]), compare_entries);
    return add_rules(r, e);
}

int registry_load(const char *extra, struct registry **out, struct err *e)
{
    return registry_load_more(extra, NULL, out, e);
}

int registry_load_more(const char *extra, const char *records, struct registry **out, struct err *e)
{
    struct registry *r = calloc(1, sizeof(*r));
    int rc = r != NULL ? load(r, extra, records, e) : err_set(e, -ENOMEM, "out of memory");
    if (rc != 0) {
        registry_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void registry_free(struct registry *r)
{
    if (r == NULL)
        return;
    registry_entries_free(r->entries, r->count);
    classifier_free(r->rules);
    anatomy_free(r->anatomy);
    for (size_t i = 0; i < REGISTRY_FILES; i++)
        json_free(r->files[i].root);
    buf_free(&r->extra);
    buf_free(&r->records);
    free(r);
}

size_t registry_count(const struct registry *r)
{
    return r->count + 1;
}

const struct dataset *registry_at(const struct registry *r, size_t i)
{
    return i < r->count ? &r->entries[i].d : &unsorted;
}

size_t registry_find(const struct registry *r, const char *id)
{
    for (size_t i = 0; i <= r->count; i++)
        if (strcmp(registry_at(r, i)->id, id) == 0)
            return i;
    return SIZE_MAX;
}

const char *registry_licence(const struct dataset *d)
{
    return d->licence != NULL ? d->licence : "unstated";
}

void registry_classify(const struct registry *r, const char *name, size_t len, size_t forced,
                       struct shape_name *out)
{
    struct registry_match m;
    out->dataset = forced < r->count ? forced : r->count;
    out->anatomy = "";
    out->side = SIDE_NONE;
    out->subject = name;
    out->subject_len = 0;
    bool found = forced < r->count && classifier_match(r->rules, name, len, forced, &m);
    if (!found && !classifier_match(r->rules, name, len, SIZE_MAX, &m))
        return;
    if (forced == SIZE_MAX)
        out->dataset = m.rule->dataset;
    if (m.subject != NULL) {
        out->subject = m.subject;
        out->subject_len = m.subject_len;
    }
    if (m.rule->anatomy != NULL) {
        out->anatomy = m.rule->anatomy;
    } else if (m.spelling != NULL &&
               !anatomy_find(r->anatomy, m.spelling, m.spelling_len, &out->anatomy, &out->side)) {
        anatomy_guess(m.spelling, m.spelling_len, m.rule->prefix != NULL ? m.rule->prefix : "",
                      out->scratch, &out->side);
        out->anatomy = out->scratch;
    }
}

bool registry_anatomy(const struct registry *r, const char *spelling, size_t len,
                      const char **anatomy, enum side *side, char *scratch)
{
    if (anatomy_find(r->anatomy, spelling, len, anatomy, side))
        return true;
    anatomy_guess(spelling, len, "", scratch, side);
    *anatomy = scratch;
    return false;
}

const char *registry_medshapenet_bibtex(void)
{
    return "@article{li2024medshapenet,\n"
           "  title={{MedShapeNet} -- a large-scale dataset of {3D} medical shapes for computer "
           "vision},\n"
           "  author={Li, Jianning and Zhou, Zongwei and Yang, Jiancheng and others},\n"
           "  journal={Biomedical Engineering / Biomedizinische Technik},\n"
           "  year={2024},\n"
           "  note={Published online 2024-12-30},\n"
           "  doi={10.1515/bmt-2024-0396}\n"
           "}\n"
           "\n"
           "@article{li2023medshapenet,\n"
           "  title={{MedShapeNet} -- A Large-Scale Dataset of {3D} Medical Shapes for Computer "
           "Vision},\n"
           "  author={Li, Jianning and Zhou, Zongwei and Yang, Jiancheng and others},\n"
           "  journal={arXiv preprint arXiv:2308.16139},\n"
           "  year={2023},\n"
           "  doi={10.48550/arXiv.2308.16139}\n"
           "}\n";
}

const char *side_text(enum side side)
{
    return side == SIDE_LEFT ? "left" : side == SIDE_RIGHT ? "right" : "";
}
