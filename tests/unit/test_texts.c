#include "catalog/texts.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct dataset bare = {.id = "bare"};
static const struct dataset full = {
    .id = "full",
    .title = "A \"full\" one",
    .description = "Two\nlines, \xc3\xa4 and \\ and \t.",
    .licence = "LicenseRef-Ours",
    .licence_text = "Ours",
    .licence_url = "https://terms.example/",
    .licence_note = "a note",
    .homepage = "https://full.example/",
    .doi = "10.1/x",
    .bibtex = "@article{full,\n  title={T}\n}\n\n@misc{second,\n  title={S}\n}",
    .keywords = (const char *const[]){"CT", "bo\"ne", NULL},
    .doubt = "It is not certain at all.",
};
static const struct texts_counts counts = {
    .shapes = 3,
    .files = 5,
    .bytes = 12345678901,
    .unknown_sizes = 1,
    .types = {{"stl", 3}, {"", 2}},
    .type_count = 2,
};

static bool has(struct buf *b, const char *text)
{
    return strstr(buf_cstr(b), text) != NULL;
}

static size_t times(struct buf *b, const char *text)
{
    size_t n = 0;
    for (const char *p = buf_cstr(b); (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

static void assert_row(const struct texts_row *row, const char *want)
{
    struct buf out = BUF_INIT;
    texts_index_row(&out, row);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void test_index_row(void **state)
{
    (void)state;
    assert_string_equal(texts_index_header(),
                        "path,dataset,anatomy,subject,side,licence,bytes,mtime,url\r\n");
    struct texts_row row = {.path = "datasets/HCP/100206_brain.stl",
                            .dataset = "HCP",
                            .anatomy = "brain",
                            .subject = "100206_brain",
                            .subject_len = 6,
                            .side = SIDE_RIGHT,
                            .licence = "MIT",
                            .bytes = 18446744073709551614u,
                            .mtime = 1758276000,
                            .url = "https://h/a?b=1&c=2"};
    assert_row(&row,
               "datasets/HCP/100206_brain.stl,HCP,brain,100206,right,MIT,18446744073709551614,"
               "2025-09-19T10:00:00Z,https://h/a?b=1&c=2\r\n");
    row = (struct texts_row){.path = "p",
                             .dataset = "",
                             .anatomy = "",
                             .subject = "",
                             .licence = "",
                             .bytes = UINT64_MAX,
                             .mtime = -1,
                             .url = ""};
    assert_row(&row, "p,,,,,,,,\r\n");
    row.bytes = 0;
    row.mtime = 0;
    assert_row(&row, "p,,,,,,0,1970-01-01T00:00:00Z,\r\n");
}

static void test_csv_quoting(void **state)
{
    (void)state;
    struct texts_row row = {.path = "a,b",
                            .dataset = "say \"x\"",
                            .anatomy = "\"",
                            .subject = "s",
                            .subject_len = 1,
                            .licence = " l ",
                            .bytes = UINT64_MAX,
                            .mtime = -1,
                            .url = "\xc3\xa4,\"\""};
    assert_row(&row, "\"a,b\",\"say \"\"x\"\"\",\"\"\"\",s,, l ,,,\"\xc3\xa4,\"\"\"\"\"\r\n");
    row = (struct texts_row){.path = "line\r\nend,\"q\"",
                             .dataset = "d",
                             .anatomy = "",
                             .subject = "\xff/\0x",
                             .subject_len = 4,
                             .licence = "",
                             .bytes = UINT64_MAX,
                             .mtime = -1,
                             .url = "\x7f"};
    assert_row(&row, "\"line%0D%0Aend,%22q%22\",d,,\"%FF/%00x\",,,,,\"%7F\"\r\n");
}

static void test_dataset_json(void **state)
{
    (void)state;
    static const char *const sources[] = {"msn1: https://a/\"x\"", "b: file:///c"};
    struct buf out = BUF_INIT;
    texts_dataset_json(&out, &full, &counts, sources, 2);
    struct json *root = json_parse(out.data, out.len, NULL);
    assert_non_null(root);
    assert_string_equal(json_name(json_first(root)), "doubt");
    assert_string_equal(json_string(json_first(root), ""), full.doubt);
    assert_string_equal(json_string(json_get(root, "id"), ""), "full");
    assert_string_equal(json_string(json_get(root, "title"), ""), full.title);
    assert_string_equal(json_string(json_get(root, "description"), ""), full.description);
    assert_string_equal(json_string(json_get(root, "licence"), ""), full.licence);
    assert_string_equal(json_string(json_get(root, "citation"), ""), full.bibtex);
    assert_string_equal(json_string(json_get(root, "doi"), ""), "10.1/x");
    const struct json *list = json_first(json_get(root, "keywords"));
    assert_string_equal(json_string(json_next(list), ""), "bo\"ne");
    assert_string_equal(json_string(json_first(json_get(root, "sources")), ""), sources[0]);
    uint64_t n = 0;
    assert_true(json_u64(json_get(root, "bytes"), &n));
    assert_int_equal(n, 12345678901);
    assert_true(json_u64(json_get(json_get(root, "counts"), "files"), &n));
    assert_int_equal(n, 5);
    assert_true(json_u64(json_get(json_get(json_get(root, "counts"), "types"), ""), &n));
    assert_int_equal(n, 2);
    assert_true(json_u64(json_get(root, "files_of_unknown_size"), &n));
    assert_int_equal(n, 1);
    json_free(root);
    buf_free(&out);
}

static void test_null_fields(void **state)
{
    (void)state;
    static const char *const nulls[] = {"doubt",        "title",       "description",  "licence",
                                        "licence_text", "licence_url", "licence_note", "homepage",
                                        "doi",          "citation"};
    struct texts_counts none = {0};
    struct buf out = BUF_INIT;
    texts_dataset_json(&out, &bare, &none, NULL, 0);
    struct json *root = json_parse(out.data, out.len, NULL);
    assert_non_null(root);
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++) {
        assert_non_null(json_get(root, nulls[i]));
        assert_int_equal(json_type(json_get(root, nulls[i])), JSON_NULL);
    }
    assert_int_equal(json_type(json_get(root, "keywords")), JSON_ARRAY);
    assert_null(json_first(json_get(root, "keywords")));
    json_free(root);
    buf_free(&out);
}

static void test_licence(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    texts_licence(&out, &full);
    assert_memory_equal(out.data, "PLEASE NOTE\nIt is not certain at all.\n\n", 39);
    assert_true(has(&out, "Licence:    LicenseRef-Ours\nAs stated:  Ours\n"));
    assert_true(has(&out, "https://terms.example/\n"));
    assert_false(has(&out, "not stated"));
    buf_clear(&out);
    texts_licence(&out, &bare);
    assert_memory_equal(out.data, "Dataset:    bare\nLicence:    not stated by the source\n", 54);
    assert_false(has(&out, "null"));
    assert_true(has(&out, "no permission"));
    buf_free(&out);
}

static void test_citation(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    texts_citation(&out, &full);
    assert_int_equal(times(&out, "\n@"), 2);
    assert_int_equal(out.data[out.len - 1], '\n');
    buf_clear(&out);
    texts_citation(&out, &bare);
    assert_string_equal(buf_cstr(&out), "% bare: the source gives no citation.\n");
    buf_free(&out);
}

/* BibTeX stops at a key that is there twice. */
static void test_citation_keys_once(void **state)
{
    (void)state;
    struct dataset again = {.id = "again",
                            .bibtex = "@misc{second,\n  title={S}\n}\n@misc{third,\n}\n"};
    const struct dataset *const all[] = {&full, &bare, &again};
    struct buf out = BUF_INIT;
    buf_str(&out, "@misc{third,}\n");
    texts_citation_all(&out, all, 3);
    assert_int_equal(times(&out, "{second,"), 1);
    assert_int_equal(times(&out, "{third,"), 2);
    assert_int_equal(times(&out, "{full,"), 1);
    assert_true(has(&out, "% second is above.\n"));
    assert_true(has(&out, "10.1515/bmt-2024-0396"));
    assert_true(has(&out, "% bare: the source gives no citation.\n"));
    buf_free(&out);
}

static void test_built_in(void **state)
{
    (void)state;
    struct registry *r = NULL;
    const struct dataset *all[36];
    assert_int_equal(registry_load(NULL, &r, NULL), 0);
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < 36; i++) {
        all[i] = registry_at(r, i);
        texts_dataset_json(&out, all[i], &counts, NULL, 0);
        struct json *root = json_parse(out.data, out.len, NULL);
        assert_non_null(root);
        json_free(root);
        buf_clear(&out);
        texts_licence(&out, all[i]);
        assert_true((all[i]->licence == NULL) == has(&out, "not stated by the source"));
        assert_true((all[i]->doubt != NULL) == (strncmp(out.data, "PLEASE NOTE", 11) == 0));
        buf_clear(&out);
    }
    texts_citation_all(&out, all, 36);
    assert_int_equal(times(&out, "{kodym2021skullbreak,"), 1);
    assert_int_equal(times(&out, "{"), times(&out, "}"));
    buf_free(&out);
    registry_free(r);
}

static void test_readme(void **state)
{
    (void)state;
    static const char *const sources[] = {"msn1: https://a/", "msn2: https://b/"};
    struct buf out = BUF_INIT;
    texts_readme(&out, sources, 2, 106101, 35, 1758276000);
    assert_true(has(&out, "Shapes:     106101\nDatasets:   35\nListed:     2025-09-19T10:00:00Z\n"
                          "Sources:    msn1: https://a/\n            msn2: https://b/\n"));
    assert_true(has(&out, "no licence of the collection as a whole"));
    assert_true(has(&out, "10.1515/bmt-2024-0396"));
    assert_true(has(&out, "arXiv:2308.16139"));
    assert_true(has(&out, "https://medshapenet.ikim.nrw"));
    for (const char *p = buf_cstr(&out); p != NULL; p = strchr(p, '\n'))
        assert_true(strcspn(++p, "\n") <= 84);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_row),
        cmocka_unit_test(test_csv_quoting),
        cmocka_unit_test(test_dataset_json),
        cmocka_unit_test(test_null_fields),
        cmocka_unit_test(test_licence),
        cmocka_unit_test(test_citation),
        cmocka_unit_test(test_citation_keys_once),
        cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_readme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
