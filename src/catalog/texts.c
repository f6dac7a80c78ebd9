#include "catalog/texts.h"

#include "base/json.h"
#include "base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXTS_WIDTH = 78 };

/* Appends a paragraph, its lines filled to TEXTS_WIDTH; each line after the first begins with
 * `indent` blanks. */
static void add_paragraph(struct buf *out, const char *text, size_t indent)
{
    size_t column = indent;
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, " \n");
        if (column > indent && column + 1 + n > TEXTS_WIDTH) {
            buf_fmt(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            buf_str(out, " ");
            column++;
        }
        buf_add(out, p, n);
        column += n;
        p += n + strspn(p + n, " \n");
    }
    buf_str(out, "\n");
}

/* "Label:   text", nothing where there is no text. */
static void add_fact(struct buf *out, const char *label, const char *text)
{
    if (text == NULL)
        return;
    buf_fmt(out, "%-12s", label);
    add_paragraph(out, text, 12);
}

void texts_readme(struct buf *out, const char *const *sources, size_t source_count, uint64_t shapes,
                  uint64_t datasets, int64_t refreshed)
{
    char when[32];
    str_iso_time(refreshed, when);
    buf_str(out, "MedShapeNet\n===========\n\n"
                 "A read-only view of MedShapeNet, a collection of 3D shapes of human anatomy and\n"
                 "of surgical instruments. A file is fetched when it is read, and kept in a local\n"
                 "cache.\n\n");
    buf_fmt(out, "Shapes:     %" PRIu64 "\nDatasets:   %" PRIu64 "\nListed:     %s\n", shapes,
            datasets, when);
    for (size_t i = 0; i < source_count; i++)
        buf_fmt(out, "%-12s%s\n", i == 0 ? "Sources:" : "", sources[i]);
    buf_str(out,
            "\nWhat is where\n-------------\n\n"
            "datasets/<dataset>/   the files of one source dataset under their own names, with\n"
            "                      LICENSE.txt, CITATION.bib, dataset.json and index.csv\n"
            "anatomy/<class>/      every shape of one anatomical class, across datasets; left\n"
            "                      and right are told apart by the side in index.csv\n"
            "licenses/<licence>/   the datasets by licence\n"
            "search/<query>/       made when you look into it: all shapes that match, e.g.\n"
            "                      search/liver, search/rib_1+side:left,\n"
            "                      search/dataset:HCP+anatomy:skull, search/lung+-side:right\n"
            "index.csv             one row a shape: path, dataset, anatomy, subject, side,\n"
            "                      licence, bytes, mtime, url; an empty field is not known\n"
            "CITATION.bib          BibTeX of MedShapeNet and of each dataset\n\n"
            "A subject's number says something only within its dataset: two datasets may use\n"
            "the same number for different people.\n\n"
            "Licences\n--------\n\n"
            "There is no licence of the collection as a whole: each dataset has its own, in its\n"
            "LICENSE.txt and in the column \"licence\" of index.csv. It is an SPDX id where the\n"
            "source names one, LicenseRef- and the source's words where it states other terms,\n"
            "and \"unstated\" where it states none, which is no permission. Where it is not\n"
            "certain which dataset a shape is from, LICENSE.txt and dataset.json say so first.\n"
            "None of this is legal advice.\n\n"
            "How to cite\n-----------\n\n"
            "Cite MedShapeNet and each dataset that you use (CITATION.bib has the BibTeX):\n\n"
            "  Li J., Zhou Z., Yang J. et al.: MedShapeNet - a large-scale dataset of 3D medical\n"
            "  shapes for computer vision. Biomedical Engineering / Biomedizinische Technik,\n"
            "  published online 2024-12-30. https://doi.org/10.1515/bmt-2024-0396\n"
            "  Preprint: arXiv:2308.16139, https://doi.org/10.48550/arXiv.2308.16139\n\n"
            "Where to complain\n-----------------\n\n"
            "About a shape that is wrong or broken, or should not be here: to the project,\n"
            "https://medshapenet.ikim.nrw; about the data of one dataset, to its own homepage,\n"
            "which dataset.json names. Errors while reading are listed, with their reasons, in\n"
            ".medshapefs/errors.json.\n");
}

/* The key of the entry that begins at `s` ("@article{key,"), with its brace and comma; 0 where
 * there is none. */
static size_t entry_key(const char *s, size_t len, const char **key)
{
    const char *brace = memchr(s, '{', len);
    const char *comma = brace != NULL ? memchr(brace, ',', len - (size_t)(brace - s)) : NULL;
    *key = brace;
    return s[0] == '@' && comma != NULL ? (size_t)(comma - brace) + 1 : 0;
}

/* Appends BibTeX entry by entry, without those whose key `out` has already: BibTeX refuses a key
 * that is there twice. */
static void add_entries(struct buf *out, size_t start, const char *bibtex)
{
    while (*bibtex != '\0') {
        const char *next = strstr(bibtex, "\n@"), *key;
        size_t len = next != NULL ? (size_t)(next - bibtex) + 1 : strlen(bibtex);
        size_t n = entry_key(bibtex, len, &key);
        if (out->err == 0 && n > 0 && memmem(out->data + start, out->len - start, key, n) != NULL)
            buf_fmt(out, "%% %.*s is above.\n", (int)(n - 2), key + 1);
        else
            buf_add(out, bibtex, len);
        bibtex += len;
    }
    if (out->len > 0 && out->data[out->len - 1] != '\n')
        buf_str(out, "\n");
}

static void add_dataset_bibtex(struct buf *out, size_t start, const struct dataset *d)
{
    buf_fmt(out, "%% %s", d->id);
    if (d->title != NULL && strcmp(d->title, d->id) != 0)
        buf_fmt(out, " (%s)", d->title);
    buf_str(out, d->bibtex != NULL ? "\n" : ": the source gives no citation.\n");
    if (d->bibtex != NULL)
        add_entries(out, start, d->bibtex);
    else if (d->homepage != NULL)
        buf_fmt(out, "%% %s\n", d->homepage);
}

void texts_citation_all(struct buf *out, const struct dataset *const *datasets, size_t count)
{
    size_t start = out->len;
    buf_str(out, "% MedShapeNet; please cite it together with each dataset that you use.\n");
    buf_str(out, registry_medshapenet_bibtex());
    for (size_t i = 0; i < count; i++) {
        buf_str(out, "\n");
        add_dataset_bibtex(out, start, datasets[i]);
    }
}

void texts_citation(struct buf *out, const struct dataset *d)
{
    add_dataset_bibtex(out, out->len, d);
}

void texts_licence(struct buf *out, const struct dataset *d)
{
    if (d->doubt != NULL) {
        buf_str(out, "PLEASE NOTE\n");
        add_paragraph(out, d->doubt, 0);
        buf_str(out, "\n");
    }
    add_fact(out, "Dataset:", d->title != NULL ? d->title : d->id);
    add_fact(out, "Licence:", d->licence != NULL ? d->licence : "not stated by the source");
    add_fact(out, "As stated:", d->licence_text);
    add_fact(out, "Terms:", d->licence_url);
    add_fact(out, "Note:", d->licence_note);
    add_fact(out, "Homepage:", d->homepage);
    buf_str(out, "\n");
    if (d->licence == NULL)
        add_paragraph(
            out,
            "A licence that is not stated is no permission: ask the authors of the dataset "
            "before you use or pass on its shapes.",
            0);
    add_paragraph(out,
                  "This is what is known of the source's own statement; it is no legal advice, and "
                  "the source may have changed it since. MedShapeNet has no licence for the "
                  "collection as a whole.",
                  0);
}

static void json_text(struct buf *out, const char *key, const char *value)
{
    buf_fmt(out, "  \"%s\": ", key);
    if (value != NULL)
        json_quote(out, value, strlen(value));
    else
        buf_str(out, "null");
    buf_str(out, ",\n");
}

static void json_list(struct buf *out, const char *key, const char *const *list, size_t count)
{
    buf_fmt(out, "  \"%s\": [", key);
    for (size_t i = 0; i < count; i++) {
        buf_str(out, i > 0 ? ", " : "");
        json_quote(out, list[i], strlen(list[i]));
    }
    buf_str(out, "]");
}

static void json_counts(struct buf *out, const struct texts_counts *c)
{
    buf_fmt(out, "  \"counts\": {\"shapes\": %" PRIu64 ", \"files\": %" PRIu64 ", \"types\": {",
            c->shapes, c->files);
    for (size_t i = 0; i < c->type_count; i++) {
        buf_str(out, i > 0 ? ", " : "");
        json_quote(out, c->types[i].type, strlen(c->types[i].type));
        buf_fmt(out, ": %" PRIu64, c->types[i].files);
    }
    buf_fmt(out, "}},\n  \"bytes\": %" PRIu64 ",\n  \"files_of_unknown_size\": %" PRIu64 ",\n",
            c->bytes, c->unknown_sizes);
}

void texts_dataset_json(struct buf *out, const struct dataset *d, const struct texts_counts *counts,
                        const char *const *sources, size_t source_count)
{
    size_t keywords = 0;
    while (d->keywords != NULL && d->keywords[keywords] != NULL)
        keywords++;
    buf_str(out, "{\n");
    json_text(out, "doubt", d->doubt);
    json_text(out, "id", d->id);
    json_text(out, "title", d->title);
    json_text(out, "description", d->description);
    json_text(out, "licence", d->licence);
    json_text(out, "licence_text", d->licence_text);
    json_text(out, "licence_url", d->licence_url);
    json_text(out, "licence_note", d->licence_note);
    json_text(out, "homepage", d->homepage);
    json_text(out, "doi", d->doi);
    json_text(out, "citation", d->bibtex);
    json_list(out, "keywords", d->keywords, keywords);
    buf_str(out, ",\n");
    json_counts(out, counts);
    json_list(out, "sources", sources, source_count);
    buf_str(out, "\n}\n");
}

const char *texts_index_header(void)
{
    return "path,dataset,anatomy,subject,side,licence,bytes,mtime,url\r\n";
}

/* Appends a field; what is not UTF-8 or a control character is percent-encoded, as in names. */
static void add_field(struct buf *out, const char *text, size_t len)
{
    bool quote = false, encode = false, plain = true;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        quote |= c == '"' || c == ',';
        encode |= c < 0x20 || c == 0x7F;
        plain &= c < 0x80;
    }
    if (encode || (!plain && !str_is_utf8(text, len))) {
        buf_str(out, "\"");
        str_percent_encode(out, text, len, " !#$&'()*+,/:;<=>?@[\\]^`{|}");
        buf_str(out, "\"");
        return;
    }
    buf_str(out, quote ? "\"" : "");
    for (const char *end = text + len; text < end;) {
        const char *mark = quote ? memchr(text, '"', (size_t)(end - text)) : NULL;
        size_t n = mark != NULL ? (size_t)(mark - text) + 1 : (size_t)(end - text);
        buf_add(out, text, n);
        buf_str(out, mark != NULL ? "\"" : "");
        text += n;
    }
    buf_str(out, quote ? "\"" : "");
}

static void add_text_field(struct buf *out, const char *text)
{
    add_field(out, text, strlen(text));
    buf_add(out, ",", 1);
}

void texts_index_row(struct buf *out, const struct texts_row *row)
{
    char number[32] = "", when[32] = "";
    add_text_field(out, row->path);
    add_text_field(out, row->dataset);
    add_text_field(out, row->anatomy);
    add_field(out, row->subject, row->subject_len);
    buf_add(out, ",", 1);
    add_text_field(out, side_text(row->side));
    add_text_field(out, row->licence);
    if (row->bytes != UINT64_MAX)
        (void)snprintf(number, sizeof(number), "%" PRIu64, row->bytes);
    add_text_field(out, number);
    if (row->mtime != -1)
        str_iso_time(row->mtime, when);
    add_text_field(out, when);
    add_field(out, row->url, strlen(row->url));
    buf_add(out, "\r\n", 2);
}
