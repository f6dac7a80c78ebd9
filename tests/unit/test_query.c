#include "catalog/query.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct query_row left_lung = {
    .name = "s0011_lung_lower_lobe_left.nii.g_1.stl",
    .name_len = 38,
    .dataset = "TotalSegmentator",
    .anatomy = "lung_lower_lobe",
    .licence = "CC-BY-4.0",
    .subject = "s0011",
    .subject_len = 5,
    .side = SIDE_LEFT,
};
static const struct query_row skull = {
    .name = "Skull_7.STL",
    .name_len = 11,
    .dataset = "MUG500+",
    .anatomy = "skull",
    .licence = "unstated",
    .subject = "7",
    .subject_len = 1,
};
static const struct query_row notes = {.name = "notes.nii.gz",
                                       .name_len = 12,
                                       .dataset = "unsorted",
                                       .anatomy = "",
                                       .licence = "unstated"};

static bool match(const char *text, const struct query_row *row)
{
    struct query *q = NULL;
    struct err e = {0};
    if (query_parse(text, strlen(text), &q, &e) != 0)
        fail_msg("%s: %s", text, e.text);
    bool matches = query_match(q, row);
    query_free(q);
    return matches;
}

/* Which of the three rows a query matches, as "LSN". */
static void assert_matches(const char *text, const char *want)
{
    char got[4] = "", *p = got;
    if (match(text, &left_lung))
        *p++ = 'L';
    if (match(text, &skull))
        *p++ = 'S';
    if (match(text, &notes))
        *p++ = 'N';
    if (strcmp(got, want) != 0)
        fail_msg("'%s' matches '%s', not '%s'", text, got, want);
}

static void test_bare_terms(void **state)
{
    (void)state;
    assert_matches("lung", "L");
    assert_matches("LUNG", "L");
    assert_matches("skull", "S");
    assert_matches("g_1", "L");
    assert_matches("mug500", "S");
    assert_matches("segmentator", "L");
    assert_matches("stl", "LS");
    assert_matches("https", "");
    assert_matches("unstated", "");
    assert_matches("CC-BY", "");
    assert_matches("n", "LN");
    assert_matches("lung_lower_lobe", "L");
    assert_matches("s0011_lung_lower_lobe_left.nii.g_1.stl", "L");
    assert_matches("s0011_lung_lower_lobe_left.nii.g_1.stlx", "");
}

static void test_all_must_match(void **state)
{
    (void)state;
    assert_matches("lung lower", "L");
    assert_matches("lung+lower", "L");
    assert_matches("+lung++lower+", "L");
    assert_matches(" lung \t lower\n", "L");
    assert_matches("lung skull", "");
    assert_matches("stl skull", "S");
}

static void test_exclusion(void **state)
{
    (void)state;
    assert_matches("-lung", "SN");
    assert_matches("stl -lung", "S");
    assert_matches("stl+-lung", "S");
    assert_matches("-dataset:mug500", "LN");
    assert_matches("-side:left -ext:stl", "N");
    assert_matches("--x", "LSN");
    assert_matches("lung-x", "");
    assert_matches("CC-BY", "");
}

static void test_loose_fields(void **state)
{
    (void)state;
    assert_matches("dataset:mug500", "S");
    assert_matches("dataset:MUG500+", "S");
    assert_matches("DATASET:M-u-G_500", "S");
    assert_matches("dataset:mug50", "");
    assert_matches("dataset:mug5000", "");
    assert_matches("anatomy:LungLowerLobe", "L");
    assert_matches("anatomy:lung_lower_lobe", "L");
    assert_matches("anatomy:lung", "");
    assert_matches("licence:ccby4.0", "L");
    assert_matches("licence:CC-BY-4.0", "L");
    assert_matches("licence:unstated", "SN");
    assert_matches("licence:cc", "");
}

static void test_exact_fields(void **state)
{
    (void)state;
    assert_matches("side:left", "L");
    assert_matches("side:LEFT", "L");
    assert_matches("side:right", "");
    assert_matches("side:none", "SN");
    assert_matches("subject:s0011", "L");
    assert_matches("subject:S0011", "L");
    assert_matches("subject:s001", "");
    assert_matches("subject:7", "S");
    assert_matches("ext:stl", "LS");
    assert_matches("ext:.stl", "LS");
    assert_matches("ext:tl", "");
    assert_matches("ext:gz", "N");
    assert_matches("ext:nii.gz", "N");
    assert_matches("ext:notes.nii.gz", "");
    assert_matches("side:left anatomy:lunglowerlobe dataset:totalsegmentator ext:stl lobe", "L");
}

static void assert_refused(const char *text, size_t len, const char *why)
{
    struct query *q = NULL;
    struct err e = {0};
    assert_int_equal(query_parse(text, len, &q, &e), -EINVAL);
    assert_null(q);
    if (strstr(e.text, why) == NULL)
        fail_msg("'%s': %s", text, e.text);
    assert_int_equal(query_parse(text, len, &q, NULL), -EINVAL);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "no term"},
        {" ", "no term"},
        {"++ +", "no term"},
        {".git", "begins with '.'"},
        {".", "begins with '.'"},
        {".lung liver", "begins with '.'"},
        {"size:3",
         "unknown field 'size:' (known: dataset:, anatomy:, licence:, side:, subject:, ext:)"},
        {"lung :x", "unknown field ':'"},
        {"licenses:mit", "unknown field 'licenses:'"},
        {"side:up", "side: is left, right or none"},
        {"side:", "without a value"},
        {"dataset:", "without a value"},
        {"lung subject:", "without a value"},
        {"ext: stl", "without a value"},
        {"-", "without a value"},
        {"lung -", "without a value"},
        {"-anatomy:", "without a value"},
        {"anatomy:---", "without a letter or digit"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].why);
}

static void test_any_bytes(void **state)
{
    (void)state;
    static const char all[] = "\xff\xfe\x80 \x01\x7f a\0b";
    struct query *q = NULL;
    assert_int_equal(query_parse(all, sizeof(all) - 1, &q, NULL), 0);
    assert_false(query_match(q, &left_lung));
    query_free(q);
    static char name[255];
    memset(name, ':', sizeof(name));
    assert_refused(name, sizeof(name), "unknown field ':'");
    memset(name, 'x', sizeof(name));
    name[200] = ':';
    assert_refused(name, sizeof(name), "unknown field 'xxxx");
    for (size_t i = 0; i < sizeof(name); i++)
        name[i] = i % 2 == 0 ? 'l' : '+';
    assert_int_equal(query_parse(name, sizeof(name), &q, NULL), 0);
    assert_true(query_match(q, &left_lung));
    query_free(q);
    query_free(NULL);
}

/* The text need not live on, nor end in a NUL. */
static void test_slice(void **state)
{
    (void)state;
    char text[] = {'l', 'u', 'n', 'g', '!'};
    struct query *q = NULL;
    assert_int_equal(query_parse(text, 4, &q, NULL), 0);
    memset(text, 'x', sizeof(text));
    assert_true(query_match(q, &left_lung));
    query_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bare_terms),   cmocka_unit_test(test_all_must_match),
        cmocka_unit_test(test_exclusion),    cmocka_unit_test(test_loose_fields),
        cmocka_unit_test(test_exact_fields), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_any_bytes),    cmocka_unit_test(test_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
