/* What a pack keeps of a dataset is an entry that a registry takes again, word for word. */
#include "base/buf.h"
#include "catalog/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL)
        assert_string_equal(a, b);
}

static void every_entry_is_taken_again(void **state)
{
    struct registry *r;
    struct err e = {0};
    (void)state;
    assert_int_equal(registry_load(NULL, &r, &e), 0);
    assert_true(registry_count(r) > 10);
    for (size_t i = 0; i + 1 < registry_count(r); i++) { /* the last one is "unsorted" */
        const struct dataset *d = registry_at(r, i);
        struct buf json = BUF_INIT;
        registry_entry_json(d, &json);
        assert_int_equal(json.err, 0);
        assert_null(memchr(json.data, '\n', json.len));
        if (registry_record_check(json.data, json.len, d->id, strlen(d->id), &e) != 0)
            fail_msg("%s: %s", d->id, e.text);
        buf_free(&json);
    }
    registry_free(r);
}

static void texts_come_back(void **state)
{
    static const char *const keywords[] = {"a \"b\"", "c\\", NULL};
    const struct dataset d = {.id = "New-1",
                              .title = "Title, \"quoted\"",
                              .licence = "LicenseRef-My-Terms",
                              .licence_text = "line\nline\t\xc3\xa9",
                              .bibtex = "@misc{x,\n  title={Y}}",
                              .keywords = keywords};
    struct buf json = BUF_INIT, file = BUF_INIT;
    struct registry *r;
    struct err e = {0};
    (void)state;
    registry_entry_json(&d, &json);
    buf_fmt(&file, "{\"datasets\": [%s]}", buf_cstr(&json));
    if (registry_load_more(NULL, buf_cstr(&file), &r, &e) != 0)
        fail_msg("%s", e.text);
    size_t at = registry_find(r, d.id);
    assert_int_not_equal(at, SIZE_MAX);
    const struct dataset *back = registry_at(r, at);
    same_text(back->title, d.title);
    same_text(back->description, NULL);
    same_text(back->licence, d.licence);
    same_text(back->licence_text, d.licence_text);
    same_text(back->bibtex, d.bibtex);
    same_text(back->keywords[0], keywords[0]);
    same_text(back->keywords[1], keywords[1]);
    same_text(back->keywords[2], NULL);
    registry_free(r);
    buf_free(&file);
    buf_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_taken_again),
        cmocka_unit_test(texts_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
