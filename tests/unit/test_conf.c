/* Where the configuration comes from, what holds without one, units. */
#include "unit/conf_test.h"

static const char one[] = "{\"sources\": [{\"name\": \"one\", \"type\": \"manifest\", "
                          "\"url\": \"http://localhost/l\"}]}";

static void the_default_is_the_public_list(void **state)
{
    struct home *h = *state;
    assert_int_equal(home_load(h, NULL, NULL), 0);
    const struct conf *c = h->conf;
    assert_int_equal(c->source_count, 1);
    assert_string_equal(c->sources[0].name, "medshapenet");
    assert_string_equal(c->sources[0].type, "manifest");
    assert_string_equal(c->sources[0].url,
                        "https://medshapenet.ikim.nrw/uploads/MedShapeNetDataset.txt");
    assert_null(c->sources[0].dataset);
    assert_null(c->file);
    assert_null(c->catalog);
    assert_null(c->kernel_options);
    assert_int_equal(c->cache_size, 20ULL << 30);
    assert_int_equal(c->cache_min_free, 2ULL << 30);
    assert_true(c->cache_packed);
    assert_int_equal(c->refresh_s, 7 * 86400);
    assert_int_equal(c->uid, -1);
    assert_int_equal(c->gid, -1);
    assert_int_equal(c->umask, 0);
    assert_false(c->by_source_option || c->offline || c->xattr || c->desktop);
}

static void the_default_network(void **state)
{
    struct home *h = *state;
    assert_int_equal(home_load(h, NULL, NULL), 0);
    const struct conf_network *n = &h->conf->network;
    assert_null(n->proxy);
    assert_null(n->ca_file);
    assert_null(n->netrc);
    assert_int_equal(n->connections, 16);
    assert_int_equal(n->timeout_ms, 30000);
    assert_int_equal(n->listing_timeout_ms, 600000);
    assert_int_equal(n->retry_for_ms, 60000);
    assert_int_equal(n->requests_per_minute, 0);
    assert_int_equal(n->mirror_count, 0);
}

static void the_file_is_looked_for_in_order(void **state)
{
    struct home *h = *state;
    static const char other[] = "{\"sources\": [{\"name\": \"%s\", \"type\": \"manifest\", "
                                "\"url\": \"http://localhost/l\"}]}";
    static const char *const names[] = {"medshapefs/config.json", "env.json", "arg.json",
                                        "option.json"};
    static const char *const ids[] = {"xdg", "env", "arg", "option"};
    for (size_t i = 0; i < 4; i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), other, ids[i]);
        home_write(h, names[i], text);
    }
    assert_int_equal(home_load(h, NULL, NULL), 0);
    assert_string_equal(h->conf->sources[0].name, "xdg");
    assert_int_equal(setenv("MEDSHAPEFS_CONFIG", "env.json", 1), 0);
    assert_int_equal(home_load(h, NULL, "ro"), 0);
    assert_string_equal(h->conf->sources[0].name, "env");
    assert_int_equal(home_load(h, "arg.json", NULL), 0);
    assert_string_equal(h->conf->sources[0].name, "arg");
    assert_int_equal(home_load(h, "arg.json", "ro,config=option.json,offline"), 0);
    assert_string_equal(h->conf->sources[0].name, "option");
    assert_string_equal(h->conf->file, "option.json");
    assert_true(h->conf->offline);
}

static void a_file_that_was_named_has_to_be_there(void **state)
{
    struct home *h = *state;
    assert_int_equal(home_load(h, "gone.json", NULL), -ENOENT);
    assert_string_equal(h->e.text, "gone.json: there is no such file");
    assert_int_equal(home_load(h, NULL, "config=gone.json"), -ENOENT);
    assert_int_equal(setenv("MEDSHAPEFS_CONFIG", "/dev/null/gone.json", 1), 0);
    assert_int_equal(home_load(h, NULL, NULL), -ENOENT);
    home_write(h, "c.json", one);
    assert_int_equal(home_load(h, "c.json", NULL), 0);
    assert_int_equal(home_load(h, ".", NULL), -EISDIR);
}

static void a_broken_file_is_not_skipped(void **state)
{
    struct home *h = *state;
    home_write(h, "medshapefs/config.json", "{");
    assert_int_equal(home_load(h, NULL, NULL), -EBADMSG);
    assert_int_equal(home_load(h, NULL, "source=http://localhost/list.txt"), -EBADMSG);
}

static void the_cache_folder(void **state)
{
    struct home *h = *state;
    char want[128];
    (void)snprintf(want, sizeof(want), "%s/medshapefs", h->dir);
    assert_int_equal(home_load(h, NULL, NULL), 0);
    assert_string_equal(h->conf->cache_dir, want);

    assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0);
    (void)snprintf(want, sizeof(want), "%s/.cache/medshapefs", h->dir);
    assert_int_equal(home_load(h, NULL, NULL), 0);
    assert_string_equal(h->conf->cache_dir, want);

    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    assert_int_equal(home_load(h, NULL, NULL), 0);
    assert_string_equal(h->conf->cache_dir, geteuid() == 0 ? "/var/cache/medshapefs" : want);

    (void)snprintf(want, sizeof(want), "%s/here", h->dir);
    assert_int_equal(home_load(h, NULL, "cache=here"), 0);
    assert_string_equal(h->conf->cache_dir, want);
    assert_int_equal(home_load(h, NULL, "cache=/there"), 0);
    assert_string_equal(h->conf->cache_dir, "/there");
}

static void paths_in_a_file_are_beside_it(void **state)
{
    struct home *h = *state;
    char want[128];
    home_write(
        h, "sub/c.json",
        "{\"catalog\": \"more.json\", \"cache\": {\"dir\": \"c\"}, \"network\": {\"ca_file\": "
        "\"/etc/ca\"}, \"sources\": [{\"name\": \"l\", \"type\": \"manifest\", \"url\": "
        "\"list.txt\"}]}");
    assert_int_equal(home_load(h, "sub/c.json", NULL), 0);
    (void)snprintf(want, sizeof(want), "%s/sub/more.json", h->dir);
    assert_string_equal(h->conf->catalog, want);
    (void)snprintf(want, sizeof(want), "%s/sub/c", h->dir);
    assert_string_equal(h->conf->cache_dir, want);
    (void)snprintf(want, sizeof(want), "file://%s/sub/list.txt", h->dir);
    assert_string_equal(h->conf->sources[0].url, want);
    assert_string_equal(h->conf->network.ca_file, "/etc/ca");
}

struct unit_case {
    const char *text;
    uint64_t value; /* UINT64_MAX: refused */
};

static void check(int (*parse)(const char *, uint64_t *), const struct unit_case *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t got = 77;
        int rc = parse(c[i].text, &got);
        if (rc != (c[i].value == UINT64_MAX ? -EINVAL : 0) || (rc == 0 && got != c[i].value))
            fail_msg("%s: %d, %llu", c[i].text, rc, (unsigned long long)got);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const struct unit_case cases[] = {
        {"20G", 20ULL << 30},
        {"512M", 512ULL << 20},
        {"1T", 1ULL << 40},
        {"4096", 4096},
        {"0", 0},
        {"3k", 3072},
        {"8191P", 8191ULL << 50},
        {"8192P", UINT64_MAX},
        {"99999999999999999999", UINT64_MAX},
        {"", UINT64_MAX},
        {"G", UINT64_MAX},
        {"-1", UINT64_MAX},
        {"+1", UINT64_MAX},
        {" 1", UINT64_MAX},
        {"1 G", UINT64_MAX},
        {"1.5G", UINT64_MAX},
        {"1GB", UINT64_MAX},
        {"0x10", UINT64_MAX},
    };
    check(conf_parse_size, cases, sizeof(cases) / sizeof(cases[0]));
}

static void durations(void **state)
{
    (void)state;
    static const struct unit_case cases[] = {
        {"30s", 30000},
        {"10m", 600000},
        {"1h", 3600000},
        {"7d", 604800000},
        {"250ms", 250},
        {"60", 60000},
        {"0", 0},
        {"106751991167d", 106751991167ULL * 86400000},
        {"106751991168d", UINT64_MAX},
        {"9223372036854775d", UINT64_MAX},
        {"", UINT64_MAX},
        {"s", UINT64_MAX},
        {"1 s", UINT64_MAX},
        {"1w", UINT64_MAX},
        {"-1s", UINT64_MAX},
        {"never", UINT64_MAX},
    };
    check(conf_parse_duration, cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        home_test(the_default_is_the_public_list),
        home_test(the_default_network),
        home_test(the_file_is_looked_for_in_order),
        home_test(a_file_that_was_named_has_to_be_there),
        home_test(a_broken_file_is_not_skipped),
        home_test(the_cache_folder),
        home_test(paths_in_a_file_are_beside_it),
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
