/* Further datasets from a file of the user's. */
#include "catalog/registry.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int load_text(const char *text, size_t len, struct registry **r, struct err *e)
{
    char path[] = "/tmp/test_registry.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
    *e = (struct err){0};
    *r = NULL;
    int rc = registry_load(path, r, e);
    unlink(path);
    return rc;
}

static struct registry *load(const char *text)
{
    struct registry *r;
    struct err e;
    if (load_text(text, strlen(text), &r, &e) != 0)
        fail_msg("%s", e.text);
    return r;
}

static void assert_class(const struct registry *r, const char *name, const char *dataset,
                         const char *anatomy)
{
    struct shape_name got;
    registry_classify(r, name, strlen(name), SIZE_MAX, &got);
    assert_string_equal(registry_at(r, got.dataset)->id, dataset);
    assert_string_equal(got.anatomy, anatomy);
}

static void test_add(void **state)
{
    (void)state;
    struct registry *r =
        load("{\"about\": 1, \"datasets\": [\n"
             " {\"id\": \"lab\", \"title\": \"Our lab\", \"licence\": \"LicenseRef-ours\",\n"
             "  \"keywords\": [\"CT\", \"bone\"], \"rules\": [\n"
             "   {\"pattern\": \"^lab(?<subject>[0-9]+)-(?<class>.+)\\\\.ply$\"},\n"
             "   {\"pattern\": \"^face_1\\\\.stl$\", \"class\": \"nose\"},\n"
             "   {\"pattern\": \"^face_\", \"class\": \"ear\", \"order\": 1000}]}]}");
    assert_int_equal(registry_count(r), 37);
    const struct dataset *d = registry_at(r, registry_find(r, "lab"));
    assert_string_equal(d->title, "Our lab");
    assert_string_equal(registry_licence(d), "LicenseRef-ours");
    assert_string_equal(d->keywords[1], "bone");
    assert_null(d->keywords[2]);
    assert_null(d->doi);
    assert_class(r, "lab12-Right Thigh_Bone.ply", "lab", "thigh_bone");
    assert_class(r, "lab12-clavicula_left.ply", "lab", "clavicle");
    assert_class(r, "face_1.stl", "lab", "nose");
    assert_class(r, "face_2.stl", "FacialModels", "face");
    assert_class(r, "face_x.stl", "lab", "ear");
    assert_string_equal(registry_at(r, 36)->id, "unsorted");
    registry_free(r);
}

static void test_replace(void **state)
{
    (void)state;
    struct registry *r = load("{\"datasets\": [{\"id\": \"HCP\", \"title\": \"mine\"}]}");
    assert_int_equal(registry_count(r), 36);
    const struct dataset *d = registry_at(r, registry_find(r, "HCP"));
    assert_string_equal(d->title, "mine");
    assert_null(d->licence);
    assert_null(d->keywords[0]);
    assert_class(r, "100206_brain.stl", "unsorted", "");
    registry_free(r);
    r = load("{\"datasets\": []}");
    assert_int_equal(registry_count(r), 36);
    registry_free(r);
}

#define ONE(members)  "{\"datasets\": [\n{\"id\": \"a\",\n" members "}]}"
#define RULE(members) ONE("\"rules\": [\n{" members "}]")

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where, *why;
    } cases[] = {
        {"", ":1: ", "not valid JSON"},
        {"{\n\"datasets\": [\n,]}", ":3: ", "not valid JSON"},
        {"{\"datasets\": []} x", ":1: ", "not valid JSON"},
        {"[]", ":1: the file: ", "an object"},
        {"{}", ":1: datasets: ", "a list"},
        {"{\"datasets\": {}}", ":1: datasets: ", "a list"},
        {"{\"datasets\": [],\n\"sets\": []}", ":2: sets: ", "unknown key"},
        {"{\"datasets\": [\n7]}", ":2: datasets[0]: ", "an object"},
        {"{\"datasets\": [\n{\"title\": \"x\"}]}", ":2: datasets[0].id: ", "names a folder"},
        {"{\"datasets\": [{\"id\": \"a\"},\n{\"id\": \"a\"}]}",
         ":2: datasets[1]: ", "each id once"},
        {"{\"datasets\": [{\"id\": \"../x\"}]}", ":1: datasets[0].id: ", "names a folder"},
        {"{\"datasets\": [{\"id\": \".x\"}]}", ":1: datasets[0].id: ", "names a folder"},
        {"{\"datasets\": [{\"id\": \"a b\"}]}", ":1: datasets[0].id: ", "names a folder"},
        {"{\"datasets\": [{\"id\": \"unsorted\"}]}", ":1: datasets[0].id: ", "taken"},
        {"{\"datasets\": [{\"id\": 7}]}", ":1: datasets[0].id: ", "a text or null"},
        {ONE("\"licence\": \"CC BY 4.0\""), ":3: datasets[0].licence: ", "SPDX"},
        {ONE("\"licence\": \"a/../b\""), ":3: datasets[0].licence: ", "SPDX"},
        {ONE("\"licence\": \"unstated\""), ":3: datasets[0].licence: ", "write null"},
        {ONE("\"colour\": 1"), ":3: datasets[0].colour: ", "unknown key"},
        {ONE("\"a\\nb\xff\": 1"), ":2: datasets[0].a?b?: ", "unknown key"},
        {ONE("\"title\": \"\""), ":3: datasets[0].title: ", "empty"},
        {ONE("\"title\": \"a\\nb\""), ":3: datasets[0].title: ", "line end"},
        {ONE("\"bibtex\": \"a\\u0007b\""), ":3: datasets[0].bibtex: ", "control"},
        {ONE("\"title\": \"a\xff\""), ":3: datasets[0].title: ", "UTF-8"},
        {ONE("\"keywords\": \"CT\""), ":3: datasets[0].keywords: ", "a list"},
        {ONE("\"keywords\": [\"CT\",\n7]"), ":4: datasets[0].keywords[1]: ", "a text"},
        {ONE("\"keywords\": [], \"keywords\": []"), ":3: datasets[0].keywords: ", "twice"},
        {ONE("\"id\": \"b\""), ":2: datasets[0].id: ", "twice"},
        {ONE("\"rules\": [], \"rules\": []"), ":3: datasets[0].rules: ", "twice"},
        {RULE("\"pattern\": \"a\", \"pattern\": \"b\""),
         ":4: datasets[0].rules[0].pattern: ", "twice"},
        {ONE("\"rules\": {}"), ":3: datasets[0].rules: ", "a list"},
        {RULE("\"order\": 1"), ":4: datasets[0].rules[0].pattern: ", "needs one"},
        {RULE("\"order\": -1"), ":4: datasets[0].rules[0].order: ", "whole number"},
        {RULE("\"order\": \"1\""), ":4: datasets[0].rules[0].order: ", "whole number"},
        {RULE("\"pattern\": \"^(x\""), ":4: datasets[0].rules[0].pattern: ", "parenthesis"},
        {RULE("\"pattern\": \"(*UTF)x\""), ":4: datasets[0].rules[0].pattern: ", "UTF"},
        {RULE("\"pattern\": \"x\",\n\"class\": \"Liver/x\""),
         ":5: datasets[0].rules[0].class: ", "small letters"},
        {RULE("\"pattern\": \"x\",\n\"class_prefix\": \"..\""),
         ":5: datasets[0].rules[0].class_prefix: ", "small letters"},
        {RULE("\"pattern\": \"x\",\n\"confidence\": \"sure\""),
         ":5: datasets[0].rules[0].confidence: ", "is wanted"},
        {RULE("\"pattern\": \"x\",\n\"confidence\": \"low\""),
         ":5: datasets[0].rules[0].confidence: ", "doubt"},
        {RULE("\"regex\": \"x\""), ":4: datasets[0].rules[0].regex: ", "unknown key"},
        {ONE("\"rules\": [\n{\"pattern\": \"x\"},\n7]"), ":5: datasets[0].rules[1]: ", "an object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct registry *r;
        struct err e;
        assert_int_equal(load_text(cases[i].text, strlen(cases[i].text), &r, &e), -EINVAL);
        assert_null(r);
        if (strstr(e.text, cases[i].where) == NULL || strstr(e.text, cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, e.text);
        assert_memory_equal(e.text, "/tmp/test_registry.", 19);
    }
}

static void test_missing_file(void **state)
{
    (void)state;
    struct registry *r = NULL;
    struct err e = {0};
    assert_int_equal(registry_load("/nonexistent/more.json", &r, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/more.json: "));
    assert_int_equal(registry_load("/nonexistent/more.json", &r, NULL), -ENOENT);
    assert_null(r);
}

static void test_too_much(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct registry *r;
    struct err e;
    buf_str(&text, "{\"datasets\": [{\"id\": \"a\", \"rules\": [");
    for (int i = 0; i < 2000; i++)
        buf_fmt(&text, "%s{\"pattern\": \"^x%d$\"}", i > 0 ? "," : "", i);
    buf_str(&text, "]}]}");
    assert_int_equal(load_text(text.data, text.len, &r, &e), -E2BIG);
    assert_non_null(strstr(e.text, "too many rules"));
    buf_clear(&text);
    buf_str(&text, "{\"datasets\": [");
    for (int i = 0; i < 70000; i++)
        buf_fmt(&text, "%s{\"id\": \"d%d\"}", i > 0 ? "," : "", i);
    buf_str(&text, "]}");
    assert_int_equal(load_text(text.data, text.len, &r, &e), -EINVAL);
    buf_clear(&text);
    buf_str(&text, "{\"datasets\": [{\"id\": \"a\", \"rules\": [{\"pattern\": \"");
    for (int i = 0; i < 3000; i++)
        buf_str(&text, "x");
    buf_str(&text, "\"}]}]}");
    assert_int_equal(load_text(text.data, text.len, &r, &e), -EINVAL);
    assert_non_null(strstr(e.text, "too long"));
    buf_free(&text);
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Patterns that take for ever without a limit; the names that they hit stay sorted by the next
 * rule. */
static void test_bombs(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "^(a+)+$",
        "^(a|aa)+$",
        "^(.*)*(.*)*(.*)*x$",
        "(?=(a+))*b(a|b|ab)*c",
        "^(?:(a?){30}){30}$x",
        "^(?<subject>(?:a*)*)*b(?R)?$",
        "^a*a*a*a*a*a*a*a*a*a*[bc]",
        "a.*a.*a.*a.*a.*a.*a.*[bc]",
        "^.*?.*?.*?.*?.*?.*?.*?[bc]",
        "^(?:[a-z]{0,200}){0,200}[0-9]",
        "(*NO_JIT)^(a+)+$",
        "(*LIMIT_MATCH=4000000000)^(a+)+$",
    };
    char name[201];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '!';
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char text[400];
        (void)snprintf(text, sizeof(text),
                       "{\"datasets\": [{\"id\": \"bomb\", \"rules\": [{\"pattern\": \"%s\"}]},"
                       "{\"id\": \"next\", \"rules\": [{\"pattern\": \"^aaaa\", \"order\": 1}]}]}",
                       patterns[i]);
        struct registry *r = load(text);
        double begin = cpu_now();
        for (int k = 0; k < 1000; k++) {
            struct shape_name got;
            registry_classify(r, name, sizeof(name), SIZE_MAX, &got);
            assert_string_equal(registry_at(r, got.dataset)->id, "next");
        }
        double took = cpu_now() - begin;
        print_message("%s: %.1f us a name\n", patterns[i], took * 1e3);
        assert_true(took < 5.0);
        registry_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),      cmocka_unit_test(test_replace),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_too_much), cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
