#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/info_text_i.h"
#include "cli/mount_args_i.h"
#include "cli/options_i.h"
#include "cli/refresh_text_i.h"
#include "cli/status_i.h"
#include "cli/text_i.h"

#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int parse(struct args *a, unsigned allowed, struct err *e, int argc, const char *const *argv)
{
    char *copy[16];
    for (int i = 0; i < argc; i++)
        copy[i] = (char *)argv[i];
    return args_parse(a, allowed, argc, copy, e);
}

#define PARSE(a, allowed, e, ...)                                                                  \
    parse(a, allowed, e, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),            \
          (const char *[]){__VA_ARGS__})

static void options_and_operands_in_any_order(void **state)
{
    (void)state;
    struct args a;
    struct err e = {0};
    assert_int_equal(PARSE(&a, OPTIONS_CONF | OPTION_JSON, &e, "liver", "--json", "-o", "a=1",
                           "left", "-ob=2", "--config", "f"),
                     0);
    assert_int_equal(a.given, OPTION_JSON | OPTION_MOUNT | OPTION_CONFIG);
    assert_int_equal(a.operands, 2);
    assert_string_equal(a.operand[0], "liver");
    assert_string_equal(a.operand[1], "left");
    assert_string_equal(args_mount(&a), "a=1,b=2");
    assert_string_equal(a.config, "f");
    args_free(&a);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    struct args a;
    struct err e = {0};
    assert_int_equal(PARSE(&a, OPTION_JSON, &e, "-", "--", "-left", "--json"), 0);
    assert_int_equal(a.given, 0);
    assert_int_equal(a.operands, 3);
    assert_string_equal(a.operand[0], "-");
    assert_string_equal(a.operand[2], "--json");
    assert_null(args_mount(&a));
    args_free(&a);
}

static void expect_refused(unsigned allowed, const char *one, const char *text)
{
    struct args a;
    struct err e = {0};
    assert_int_equal(PARSE(&a, allowed, &e, one), -EINVAL);
    assert_non_null(strstr(e.text, text));
    args_free(&a);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    expect_refused(OPTION_JSON, "--frob", "--frob: no such option");
    expect_refused(OPTION_JSON, "--jso", "--jso: no such option");
    expect_refused(OPTION_JSON, "--force", "--force: no such option");
    expect_refused(OPTION_JSON, "--json=yes", "takes no value");
    expect_refused(OPTION_JSON, "-left", "-left: no such option");
    expect_refused(OPTION_CONFIG, "--config", "FILE is missing");
    expect_refused(OPTION_MOUNT, "-o", "OPT,... is missing");
    expect_refused(OPTION_JSON, "--=", "no such option");
}

static void letters_can_be_bundled(void **state)
{
    (void)state;
    struct args a;
    struct err e = {0};
    assert_int_equal(PARSE(&a, OPTION_FAKE | OPTION_IGNORED | OPTION_MOUNT, &e, "-sfno", "ro"), 0);
    assert_int_equal(a.given, OPTION_FAKE | OPTION_IGNORED | OPTION_MOUNT);
    args_add_mount(&a, "source=http://h/a,b", true);
    assert_string_equal(args_mount(&a), "ro,source=http://h/a\\,b");
    args_free(&a);
    assert_int_equal(PARSE(&a, OPTION_FOREGROUND, &e, "-f"), 0);
    assert_int_equal(a.given, OPTION_FOREGROUND);
    args_free(&a);
}

static void the_command_is_found_behind_options(void **state)
{
    (void)state;
    char *argv[] = {(char *)"--config", (char *)"mount",  (char *)"-o",
                    (char *)"x",        (char *)"--json", (char *)"search"};
    assert_int_equal(options_first_operand(6, argv), 5);
    assert_int_equal(options_first_operand(5, argv), 5);
    assert_int_equal(options_first_operand(1, argv), 1);
    assert_int_equal(options_first_operand(0, argv), 0);
}

static void expect_refresh_options(const char *options, const char *source, const char *want)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    mount_args_options(&out, options, source, "/here,there");
    assert_string_equal(buf_cstr(&out), want);
}

static void a_refresh_works_from_another_folder(void **state)
{
    (void)state;
    expect_refresh_options(NULL, NULL, "");
    expect_refresh_options("config=x.json,offline", NULL, "offline");
    expect_refresh_options("cache=rel,ro", NULL, "cache=/here\\,there/rel,ro");
    expect_refresh_options("cache=/abs", NULL, "cache=/abs");
    expect_refresh_options("source=a\\,b,ro", "file:///a,b", "source=file:///a\\,b,ro");
    expect_refresh_options(",,ro,", NULL, "ro");
    expect_refresh_options("x=\\", NULL, "x=\\");
}

static void expect_bytes(uint64_t bytes, const char *want)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    text_bytes(&out, bytes);
    assert_string_equal(buf_cstr(&out), want);
}

static void bytes_have_units(void **state)
{
    (void)state;
    expect_bytes(0, "0");
    expect_bytes(1023, "1023");
    expect_bytes(1024, "1.0K");
    expect_bytes(1536, "1.5K");
    expect_bytes(10239, "10K");
    expect_bytes(1024 * 1024 - 1, "1.0M");
    expect_bytes(UINT64_C(20) << 30, "20G");
    expect_bytes(UINT64_MAX, "16E");
}

static void expect_partly(uint64_t bytes, uint64_t unknown, uint64_t files, const char *want)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    text_bytes_partly(&out, bytes, unknown, files);
    assert_string_equal(buf_cstr(&out), want);
}

static void unknown_sizes_show(void **state)
{
    (void)state;
    expect_partly(0, 0, 0, "0");
    expect_partly(2048, 0, 2, "2.0K");
    expect_partly(2048, 1, 3, "2.0K+?");
    expect_partly(0, 3, 3, "?");
    expect_partly(0, 1, 3, "0+?");
}

static void expect_span(uint64_t seconds, const char *want)
{
    struct buf out CLEANUP_BUF = BUF_INIT;
    text_span(&out, seconds);
    assert_string_equal(buf_cstr(&out), want);
}

static void spans_have_two_units(void **state)
{
    (void)state;
    expect_span(0, "0 s");
    expect_span(60, "1 min");
    expect_span(125, "2 min 5 s");
    expect_span(3605, "1 h");
    expect_span(3 * 86400 + 4 * 3600 + 59, "3 d 4 h");
}

static void tables_are_aligned(void **state)
{
    (void)state;
    struct table t = {.columns = 3, .right = 1u << 1};
    struct buf out CLEANUP_BUF = BUF_INIT;
    const char *cells[] = {"ID", "N", "L", "long", "100", "x", "total", "1", ""};
    for (size_t i = 0; i < 9; i++)
        table_cell(&t, cells[i]);
    assert_int_equal(table_write(&t, &out), 0);
    assert_string_equal(buf_cstr(&out), "ID       N  L\nlong   100  x\ntotal    1\n");
}

static void json_members_are_quoted(void **state)
{
    (void)state;
    struct buf out CLEANUP_BUF = BUF_INIT;
    buf_str(&out, "{");
    text_member(&out, "a", "x\"\n\xff");
    text_member(&out, "b", NULL);
    text_number(&out, "n", UINT64_C(9007199254740992));
    text_truth(&out, "t", true);
    buf_str(&out, "}");
    struct json *v = json_parse(buf_cstr(&out), out.len, NULL);
    uint64_t n = 0;
    assert_string_equal(json_string(json_get(v, "a"), ""), "x\"\n\xef\xbf\xbd");
    assert_int_equal(json_type(json_get(v, "b")), JSON_NULL);
    assert_true(json_u64(json_get(v, "n"), &n) && n == UINT64_C(9007199254740992));
    assert_true(json_bool(json_get(v, "t"), false));
    json_free(v);
}

static void refresh_says_what_it_found(void **state)
{
    (void)state;
    struct buf out CLEANUP_BUF = BUF_INIT;
    struct medshapefs_refreshed r = {.shapes = 5, .files = 6, .unknown_sizes = 2, .malformed = 1};
    refresh_text(&out, &r);
    assert_string_equal(buf_cstr(&out),
                        "5 shapes, 6 files; 2 sizes not known yet; 1 lines left out\n");
    buf_clear(&out);
    r.without_sizes = true;
    r.failed_sources = 1;
    refresh_text(&out, &r);
    assert_non_null(strstr(buf_cstr(&out), "not told by the source"));
    assert_non_null(strstr(buf_cstr(&out), "; 1 source failed\n"));
    buf_clear(&out);
    refresh_json(&out, &r);
    struct json *v = json_parse(buf_cstr(&out), out.len, NULL);
    assert_true(json_bool(json_get(v, "without_sizes"), false));
    json_free(v);
}

static char *render(void (*how)(struct buf *, const struct json *), const char *text)
{
    struct buf out = BUF_INIT;
    struct json *v = json_parse(text, strlen(text), NULL);
    assert_non_null(v);
    how(&out, v);
    json_free(v);
    return buf_take(&out);
}

static void a_dataset_is_told(void **state)
{
    (void)state;
    char *text = render(info_text,
                        "{\"doubt\":\"unsure\",\"id\":\"A\",\"title\":\"T\",\"description\":null,"
                        "\"licence\":null,\"doi\":\"10.1/x\\u001b\",\"bytes\":2048,"
                        "\"counts\":{\"shapes\":40,\"files\":42,\"types\":{\"stl\":40,\"\":2}},"
                        "\"files_of_unknown_size\":1,\"sources\":[\"a u\",\"b\"],\"keywords\":[]}");
    assert_string_equal(text,
                        "A: T\nunsure\n\ncontent   40 shapes, 42 files (stl 40, other 2), 2.0K+?\n"
                        "licence   not stated\nhomepage  not stated\ndoi       10.1/x?\n"
                        "sources   a u, b\n");
    free(text);
    text = render(info_text, "[null]");
    assert_non_null(strstr(text, "content   0 shapes, 0 files, 0\n"));
    free(text);
}

static void a_status_is_told(void **state)
{
    (void)state;
    char *text = render(
        status_text,
        "{\"pid\":7,\"mountpoint\":\"/m\",\"uptime_s\":10,\"offline\":true,"
        "\"catalog\":{\"refreshed\":\"R\",\"age_s\":60,\"shapes\":3,\"files\":3,\"bytes\":0,"
        "\"unknown_sizes\":3,\"without_sizes\":true},"
        "\"reads\":{\"count\":4,\"bytes\":20480,\"hits\":3},"
        "\"errors\":[{\"time\":\"6\",\"path\":\"z\\u001b\",\"status\":404,\"reason\":\"gone\"},"
        "{\"time\":\"5\"},{\"time\":\"4\"},{\"time\":\"3\"},{\"time\":\"2\",\"path\":\"b\"},"
        "{\"time\":\"1\",\"path\":\"old\",\"reason\":\"r\"}]}");
    assert_non_null(strstr(text, "/m: answers (pid 7, up 10 s, offline)\n"));
    assert_non_null(strstr(text, "sizes      not told by the source"));
    assert_non_null(strstr(text, "4, 20K (2.0K/s), from the cache 75.0 %"));
    assert_non_null(strstr(text, "error      6 z?: gone (HTTP 404)\n"));
    assert_null(strstr(text, "old: r"));
    assert_non_null(strstr(text, "older ones are in"));
    assert_null(strstr(text, "network"));
    free(text);
    text = render(status_text, "[1, \"pid\"]");
    assert_non_null(strstr(text, "?: answers (pid 0"));
    free(text);
}

static void status_is_read_with_a_deadline(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_cli.XXXXXX";
    char path[128];
    struct buf out CLEANUP_BUF = BUF_INIT;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(status_read(folder, 5000, &out), -ENOENT);
    (void)snprintf(path, sizeof(path), "%s/.medshapefs", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/.medshapefs/status.json", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fprintf(f, "{\"pad\":\"%*s\"}\n\n", 200000, "");
    assert_int_equal(fclose(f), 0);
    assert_int_equal(status_read(folder, 5000, &out), 0);
    assert_int_equal(out.len, 200000 + strlen("{\"pad\":\"\"}"));
    assert_int_equal(unlink(path), 0);
    /* A fifo that nobody writes stands for a daemon that does not answer. */
    assert_int_equal(mkfifo(path, 0600), 0);
    buf_clear(&out);
    assert_int_equal(status_read(folder, 50, &out), -ETIMEDOUT);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/.medshapefs", folder);
    (void)rmdir(path);
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_in_any_order),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(letters_can_be_bundled),
        cmocka_unit_test(the_command_is_found_behind_options),
        cmocka_unit_test(a_refresh_works_from_another_folder),
        cmocka_unit_test(bytes_have_units),
        cmocka_unit_test(unknown_sizes_show),
        cmocka_unit_test(spans_have_two_units),
        cmocka_unit_test(tables_are_aligned),
        cmocka_unit_test(json_members_are_quoted),
        cmocka_unit_test(refresh_says_what_it_found),
        cmocka_unit_test(a_dataset_is_told),
        cmocka_unit_test(a_status_is_told),
        cmocka_unit_test(status_is_read_with_a_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
