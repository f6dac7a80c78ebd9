/* The configuration file: what it may say, and that a mistake is named with its line. */
#include "conf/conf_i.h"
#include "unit/conf_test.h"

static const char example[] =
    "{\n"
    "  \"sources\": [\n"
    "    {\"name\": \"msn1\",  \"type\": \"manifest\", \"url\": "
    "\"https://medshapenet.ikim.nrw/l.txt\"},\n"
    "    {\"name\": \"share\", \"type\": \"manifest\", \"url\": \"file:///srv/l\", \"dataset\": "
    "\"ASOCA\"}\n"
    "  ],\n"
    "  \"catalog\": \"/path/to/more-datasets.json\",\n"
    "  \"cache\":   {\"dir\": \"/srv/c\", \"size\": \"1T\", \"min_free\": \"0\", \"packed\": "
    "false},\n"
    "  \"network\": {\"proxy\": \"\", \"connections\": 64, \"timeout\": \"250ms\", "
    "\"listing_timeout\": \"1h\", \"requests_per_minute\": 90, \"retry_for\": \"0s\", "
    "\"ca_file\": \"/etc/ca.pem\", \"mirrors\": {\"https://a/\": [\"https://b/\", "
    "\"http://c/x\"]}},\n"
    "  \"refresh\": \"never\"\n"
    "}\n";

static void everything_can_be_said(void **state)
{
    struct home *h = *state;
    assert_int_equal(home_load_text(h, example), 0);
    const struct conf *c = h->conf;
    assert_int_equal(c->source_count, 2);
    assert_string_equal(c->sources[0].name, "msn1");
    assert_string_equal(c->sources[0].url, "https://medshapenet.ikim.nrw/l.txt");
    assert_string_equal(c->sources[1].dataset, "ASOCA");
    assert_string_equal(c->sources[1].url, "file:///srv/l");
    assert_string_equal(c->catalog, "/path/to/more-datasets.json");
    assert_string_equal(c->cache_dir, "/srv/c");
    assert_int_equal(c->cache_size, 1ULL << 40);
    assert_int_equal(c->cache_min_free, 0);
    assert_false(c->cache_packed);
    assert_int_equal(c->refresh_s, 0);
    assert_string_equal(c->network.proxy, "");
    assert_int_equal(c->network.connections, 64);
    assert_int_equal(c->network.timeout_ms, 250);
    assert_int_equal(c->network.listing_timeout_ms, 3600000);
    assert_int_equal(c->network.requests_per_minute, 90);
    assert_int_equal(c->network.retry_for_ms, 0);
    assert_string_equal(c->network.ca_file, "/etc/ca.pem");
    assert_int_equal(c->network.mirror_count, 1);
    assert_string_equal(c->network.mirrors[0].from, "https://a/");
    assert_int_equal(c->network.mirrors[0].to_count, 2);
    assert_string_equal(c->network.mirrors[0].to[1], "http://c/x");
}

static void null_is_good_where_it_says_something(void **state)
{
    struct home *h = *state;
    assert_int_equal(home_load_text(h, "{\"catalog\": null, \"network\": {\"proxy\": null, "
                                       "\"ca_file\": null, \"requests_per_minute\": null}}"),
                     0);
    assert_null(h->conf->network.proxy);
    assert_null(h->conf->catalog);
    assert_int_equal(h->conf->network.requests_per_minute, 0);
    assert_string_equal(h->conf->sources[0].name, "medshapenet");
    home_refuses(h, "{\"refresh\": null}",
                 "1: refresh: must be a time such as \"7d\", or \"never\"");
    home_refuses(h, "{\"cache\": {\"dir\": null}}", "1: cache.dir: must be a path");
}

static void unknown_keys(void **state)
{
    struct home *h = *state;
    home_refuses(h, "{\n\n \"cash\": 1}", "3: cash: unknown key");
    home_refuses(h, "{\"cache\": {\"size\": \"2G\",\n\"sise\": 1}}", "2: cache.sise: unknown key");
    home_refuses(h, "{\"cache.size\": \"2G\"}", "1: cache.size: unknown key");
    home_refuses(h, "{\"network\": {\"mirror\": {}}}", "1: network.mirror: unknown key");
    home_refuses(h, "{\"\": 1}", "1: unknown key");
    home_refuses(h, "{\"sources\": [{\"name\": \"a\", \"type\": \"manifest\",\n \"URL\": \"/l\"}]}",
                 "2: sources[0].URL: unknown key (a source has: name, type, url, dataset)");
}

static void wrong_types(void **state)
{
    struct home *h = *state;
    home_refuses(h, "[]", "1: must be an object");
    home_refuses(h, "\n\n3", "3: must be an object");
    home_refuses(h, "{\"cache\": \"20G\"}", "1: cache: must be an object");
    home_refuses(h, "{\"cache\": {\"size\":\n20}}",
                 "1: cache.size: must be a size such as \"20G\"");
    home_refuses(h, "{\"cache\": {\"packed\": \"yes\"}}", "1: cache.packed: must be true or false");
    home_refuses(h, "{\"network\": {\"connections\": \"16\"}}",
                 "1: network.connections: must be a whole number");
    home_refuses(h, "{\"network\": {\"connections\": 1.5}}",
                 "1: network.connections: must be a whole number");
    home_refuses(h, "{\"network\": {\"timeout\": 30}}",
                 "1: network.timeout: must be a time such as \"30s\"");
    home_refuses(h, "{\"network\": {\"proxy\": \"proxy:3128\"}}",
                 "1: network.proxy: must be a URL such as \"http://proxy:3128\", \"\" or null");
    home_refuses(h, "{\"sources\": {}}", "1: sources: must be a list of objects");
    home_refuses(h, "{\"sources\": [\n7]}", "2: sources[0]: must be an object");
    home_refuses(h, "{\"sources\": [{\"type\": \"manifest\", \"url\": \"/l\",\n\n\"name\": [1]}]}",
                 "3: sources[0].name: must be a text");
}

static void out_of_range(void **state)
{
    struct home *h = *state;
    home_refuses(h, "{\"network\": {\"connections\": 0}}",
                 "1: network.connections: must be from 1 to 64");
    home_refuses(h, "{\"network\": {\"connections\": 65}}",
                 "1: network.connections: must be from 1 to 64");
    home_refuses(h, "{\"network\": {\"connections\": -1}}",
                 "1: network.connections: must be a whole number");
    home_refuses(h, "{\"network\": {\"retry_for\": \"2d\"}}",
                 "1: network.retry_for: must be from 0s to 1d");
    home_refuses(h, "{\"cache\": {\"size\": \"1K\"}}", "1: cache.size: must be from 1M to 1024P");
    home_refuses(h, "{\"refresh\": \"999999d\"}", "1: refresh: must be from 1s to 3650d");
    home_refuses(h, "{\"sources\": []}", "1: sources: there must be at least one");
}

static void not_json(void **state)
{
    struct home *h = *state;
    assert_int_equal(home_load_text(h, "{\n\"refresh\": \"7d\"\n\"cache\": {}\n}"), -EBADMSG);
    assert_memory_equal(h->e.text, "c.json:3: this is not JSON", 26);
    assert_int_equal(home_load_text(h, ""), -EBADMSG);
    assert_int_equal(home_load_text(h, "{} x"), -EBADMSG);
    assert_int_equal(home_load_text(h, "{\"cache\": {\"dir\": \"x"), -EBADMSG);
}

static void names_that_stand_twice(void **state)
{
    struct home *h = *state;
    home_refuses(h, "{\"refresh\": \"7d\",\n\"refresh\": \"8d\"}", "2: refresh: is there twice");
    home_refuses(h, "{\"cache\": {}, \"cache\":\n{}}", "1: cache: is there twice");
    home_refuses(h,
                 "{\"sources\": [{\"name\": \"a\", \"name\": \"b\", \"type\": \"manifest\", "
                 "\"url\": \"/l\"}]}",
                 "1: sources[0].name: is there twice");
    home_refuses(h,
                 "{\"network\": {\"mirrors\": {\"http://a\": [\"http://b\"], \"http://a\": []}}}",
                 "1: network.mirrors: is there twice");
}

static void other_types_of_source_are_refused_by_name(void **state)
{
    struct home *h = *state;
    home_refuses(h,
                 "{\"sources\": [\n{\"name\": \"a\", \"type\": \"manifest\", \"url\": \"/l\"},\n"
                 "{\"name\": \"msn2\", \"type\": \"s3\", \"endpoint\": \"https://x\", \"bucket\": "
                 "\"*\"}]}",
                 "3: source 'msn2': type 's3' is not in this version (it has: manifest, pack)");
    home_refuses(h, "{\"sources\": [{\"type\": \"\"}]}",
                 "1: source 'sources[0]': type '' is not in this version (it has: manifest, pack)");
    home_refuses(h, "{\"sources\": [{\"name\": \"a\", \"url\": \"/l\"}]}",
                 "1: sources[0]: has no \"type\" (\"manifest\" or \"pack\")");
}

#define SOURCE(members) "{\"sources\": [{\"type\": \"manifest\", " members "}]}"

static void sources_are_checked(void **state)
{
    struct home *h = *state;
    static const char letters[] =
        "1: sources[0].name: must be 1 to 64 of A-Z a-z 0-9 . _ - and not begin with '.'";
    home_refuses(h, SOURCE("\"url\": \"/l\""), "1: sources[0]: has no \"name\"");
    home_refuses(h, SOURCE("\"name\": \"a\""), "1: sources[0]: has no \"url\"");
    home_refuses(h, SOURCE("\"name\": \"\", \"url\": \"/l\""), letters);
    home_refuses(h, SOURCE("\"name\": \"../x\", \"url\": \"/l\""), letters);
    home_refuses(h, SOURCE("\"name\": \".x\", \"url\": \"/l\""), letters);
    home_refuses(h, SOURCE("\"name\": \"a\", \"url\": \"\""),
                 "1: sources[0].url: must be a path or a URL");
    home_refuses(h, SOURCE("\"name\": \"a\", \"url\": \"ftp://h/l\""),
                 "1: sources[0].url: ftp:// is not in this version (it has: http, https, file)");
    home_refuses(h, SOURCE("\"name\": \"a\", \"url\": \"http://u:secret@h/l\""),
                 "1: sources[0].url: has a login in it, which does not belong here (put it into "
                 "~/.netrc)");
    home_refuses(h, SOURCE("\"name\": \"a\", \"url\": \"/l\", \"dataset\": \"a/b\""),
                 "1: sources[0].dataset: must be the name of a dataset (no '/', no leading '.')");
    home_refuses(h,
                 "{\"sources\": [{\"name\": \"a\", \"type\": \"manifest\", \"url\": \"/l\"},\n"
                 "{\"type\": \"manifest\", \"url\": \"/m\",\n\"name\": \"a\"}]}",
                 "3: sources[1].name: another source has this name");
}

static void mirrors_are_checked(void **state)
{
    struct home *h = *state;
    home_refuses(h, "{\"network\": {\"mirrors\": []}}",
                 "1: network.mirrors: must be an object of at most 64 URLs");
    home_refuses(h, "{\"network\": {\"mirrors\": {\"http://a\": \"http://b\"}}}",
                 "1: network.mirrors[\"http://a\"]: must be a list of 1 to 64 URLs");
    home_refuses(h, "{\"network\": {\"mirrors\": {\"http://a\": [\n\"http://b\",\n\"b\"]}}}",
                 "3: network.mirrors[\"http://a\"]: must be an http:// or https:// URL");
    home_refuses(h, "{\"network\": {\"mirrors\": {\"file:///a\": [\"http://b\"]}}}",
                 "1: network.mirrors[\"file:///a\"]: must be an http:// or https:// URL");
}

static void a_secret_is_not_shown(void **state)
{
    struct home *h = *state;
    home_refuses(h, "{\"network\": {\"proxy\": \"http://me:secret@h:1\"}}",
                 "1: network.proxy: has a login in it, which does not belong here (put it into "
                 "~/.netrc)");
}

static void lines_are_found_in_odd_texts(void **state)
{
    (void)state;
    static const char text[] =
        "\xEF\xBB\xBF\n{\"a\\\"{:\": [1,\n true, \"]\\\\\"],\n\n\"b\"\n:\n{\"c\": "
        "null, \"d\":\n-1e3}}";
    static const unsigned want[] = {2, 2, 2, 3, 3, 5, 7, 7};
    unsigned line;
    struct json *root = json_parse(text, sizeof(text) - 1, &line);
    assert_non_null(root);
    const struct json *a = json_first(root), *b = json_next(a);
    const struct json *v[] = {root,
                              a,
                              json_first(a),
                              json_next(json_first(a)),
                              json_next(json_next(json_first(a))),
                              b,
                              json_first(b),
                              json_next(json_first(b))};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(conf_line_of(text, sizeof(text) - 1, root, v[i]), want[i]);
    struct json *other = json_parse("1", 1, &line);
    assert_int_equal(conf_line_of(text, sizeof(text) - 1, root, other), 0);
    json_free(other);
    json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        home_test(everything_can_be_said), home_test(null_is_good_where_it_says_something),
        home_test(unknown_keys),           home_test(wrong_types),
        home_test(out_of_range),           home_test(not_json),
        home_test(names_that_stand_twice), home_test(other_types_of_source_are_refused_by_name),
        home_test(sources_are_checked),    home_test(mirrors_are_checked),
        home_test(a_secret_is_not_shown),  cmocka_unit_test(lines_are_found_in_odd_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
