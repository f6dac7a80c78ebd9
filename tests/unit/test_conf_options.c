/* Mount options, and what -o source= is. */
#include "unit/conf_test.h"

static void our_own_options(void **state)
{
    struct home *h = *state;
    assert_int_equal(home_load(h, NULL,
                               "cache_size=3M,offline,xattr,desktop,uid=1000,gid=4294967294,"
                               "umask=027,,"),
                     0);
    assert_int_equal(h->conf->cache_size, 3 << 20);
    assert_true(h->conf->offline && h->conf->xattr && h->conf->desktop);
    assert_int_equal(h->conf->uid, 1000);
    assert_int_equal(h->conf->gid, 4294967294);
    assert_int_equal(h->conf->umask, 027);
    assert_null(h->conf->kernel_options);
}

static void an_option_wins_over_the_file_and_the_last_one_over_the_first(void **state)
{
    struct home *h = *state;
    home_write(h, "c.json", "{\"cache\": {\"size\": \"9G\", \"dir\": \"/a\"}}");
    assert_int_equal(home_load(h, "c.json", "cache_size=1G,cache=/b,cache_size=2G"), 0);
    assert_int_equal(h->conf->cache_size, 2ULL << 30);
    assert_string_equal(h->conf->cache_dir, "/b");
}

static void wrong_options(void **state)
{
    struct home *h = *state;
    static const char *const cases[][2] = {
        {"frob", "frob: no such mount option ('medshapefs mount --help' lists them)"},
        {"ro,fro=1", "fro: no such mount option ('medshapefs mount --help' lists them)"},
        {"rooo", "rooo: no such mount option ('medshapefs mount --help' lists them)"},
        {"connections=3",
         "connections: no such mount option ('medshapefs mount --help' lists them)"},
        {"cache_size=big", "cache_size=big: must be a size such as \"20G\""},
        {"cache_size", "cache_size: needs a value (cache_size=...)"},
        {"cache=", "cache=: must be a path"},
        {"offline=1", "offline=1: must be given without a value"},
        {"uid=root", "uid=root: must be a number"},
        {"uid=-1", "uid=-1: must be a number"},
        {"uid=4294967295", "uid=4294967295: must be from 0 to 4294967294"},
        {"umask=088", "umask=088: must be an octal number such as 022"},
        {"umask=1000", "umask=1000: must be from 0 to 777"},
        {"source=", "source=: must be a path or a URL"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(home_load(h, NULL, cases[i][0]), -EINVAL);
        assert_string_equal(h->e.text, cases[i][1]);
    }
}

static void what_fstab_has_is_taken(void **state)
{
    struct home *h = *state;
    assert_int_equal(
        home_load(h, NULL,
                  "rw,ro,nosuid,nodev,defaults,noauto,nofail,_netdev,user,user=me,users,"
                  "x-systemd.automount,x-systemd.idle-timeout=1m,X-mount.mkdir,"
                  "comment=a b,default_permissions,noatime,relatime"),
        0);
    assert_null(h->conf->kernel_options);
    assert_int_equal(home_load(h, NULL, "ro,allow_other,noexec,exec,context=a\\,b:c\\d,_netdev"),
                     0);
    assert_string_equal(h->conf->kernel_options, "allow_other,noexec,exec,context=a\\,b:c\\\\d");
}

static void every_option_is_in_the_help(void **state)
{
    (void)state;
    struct buf out CLEANUP_BUF = BUF_INIT;
    conf_options_help(&out);
    static const char *const names[] = {"config=FILE",  "source=PATH_OR_URL",
                                        "cache=DIR",    "cache_size=SIZE",
                                        "offline ",     "xattr ",
                                        "desktop ",     "uid=N",
                                        "gid=N",        "umask=OCTAL",
                                        "allow_other ", "noexec "};
    const char *text = buf_cstr(&out);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strstr(text, names[i]) == NULL)
            fail_msg("%s", names[i]);
    for (const char *p = text; *p != '\0'; p += strcspn(p, "\n") + 1)
        assert_in_range(strcspn(p, "\n"), 1, 100);
}

static void a_local_list(void **state)
{
    struct home *h = *state;
    char want[200];
    home_write(h, "My list,(1).txt", "\xEF\xBB\xBF# comment\r\n\n  HTTPS://localhost/a.stl\n");
    assert_int_equal(home_load(h, NULL, "offline,source=My list\\,(1).txt,cache=/c,ro"), 0);
    (void)snprintf(want, sizeof(want), "file://%s/My list,(1).txt", h->dir);
    assert_int_equal(h->conf->source_count, 1);
    assert_string_equal(h->conf->sources[0].url, want);
    assert_string_equal(h->conf->sources[0].name, "Mylist1.txt");
    assert_string_equal(h->conf->sources[0].type, "manifest");
    assert_true(h->conf->by_source_option);
    assert_int_equal(strncmp(h->conf->cache_dir, "/c/Mylist1.txt-", 15), 0);
    assert_int_equal(strlen(h->conf->cache_dir), 15 + 8);

    char *first = strdup(h->conf->cache_dir);
    assert_non_null(first);
    (void)snprintf(want, sizeof(want), "cache=/c,source=file://%s/My%%20list\\,(1).txt", h->dir);
    assert_int_equal(home_load(h, NULL, want), 0);
    assert_string_not_equal(h->conf->cache_dir, first);
    (void)snprintf(want, sizeof(want), "cache=/c,source=%s/./My list\\,(1).txt", h->dir);
    assert_int_equal(home_load(h, NULL, want), 0);
    assert_string_equal(h->conf->cache_dir, first);
    free(first);
}

static void a_list_far_away(void **state)
{
    struct home *h = *state;
    static const struct {
        const char *url, *name;
    } cases[] = {
        {"http://localhost:8/lists/All.txt?x=/y#z", "All.txt"},
        {"https://h/s/TOKEN/download?path=%2F&files=l.txt", "download"},
        {"http://h", "source"},
        {"http://h/", "source"},
        {"http://h/a/..hidden/", "hidden"},
        {"http://h/%C3%A9", "C3A9"},
        {"http://h/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char option[200];
        (void)snprintf(option, sizeof(option), "source=%s", cases[i].url);
        assert_int_equal(home_load(h, NULL, option), 0);
        assert_string_equal(h->conf->sources[0].name, cases[i].name);
        assert_string_equal(h->conf->sources[0].url, cases[i].url);
    }
}

static void source_replaces_the_sources_and_keeps_the_rest(void **state)
{
    struct home *h = *state;
    home_write(
        h, "c.json",
        "{\"sources\": [{\"name\": \"a\", \"type\": \"manifest\", \"url\": \"/l\"}, {\"name\": "
        "\"b\", \"type\": \"manifest\", \"url\": \"/m\"}], \"cache\": {\"dir\": \"/c\"}, "
        "\"network\": {\"connections\": 2}}");
    assert_int_equal(home_load(h, "c.json", "source=http://h/x,source=http://h/y"), 0);
    assert_int_equal(h->conf->source_count, 1);
    assert_string_equal(h->conf->sources[0].name, "y");
    assert_int_equal(h->conf->network.connections, 2);
    assert_int_equal(strncmp(h->conf->cache_dir, "/c/y-", 5), 0);
}

static void refuses(struct home *h, const char *source, int code, const char *part)
{
    char option[300];
    (void)snprintf(option, sizeof(option), "source=%s", source);
    assert_int_equal(home_load(h, NULL, option), code);
    assert_int_equal(strncmp(h->e.text, "source=", 7), 0);
    if (strstr(h->e.text, part) == NULL)
        fail_msg("%s: %s", source, h->e.text);
}

static void is_of_type(struct home *h, const char *source, const char *type)
{
    char option[300];
    (void)snprintf(option, sizeof(option), "source=%s", source);
    assert_int_equal(home_load(h, NULL, option), 0);
    assert_string_equal(h->conf->sources[0].type, type);
}

static void packs_are_told_by_name_or_first_bytes(void **state)
{
    struct home *h = *state;
    home_write(h, "x.shapepack", "");
    home_write(h, "renamed", "\x93SHP\r\n\x1a\n");
    home_write(h, "list", "http://h/a.stl\n");
    home_write(h, "packs/0001.shapepack", "");
    is_of_type(h, "x.shapepack", "pack");
    is_of_type(h, "renamed", "pack");
    is_of_type(h, "list", "manifest");
    is_of_type(h, "packs", "pack");
    is_of_type(h, "http://h/X.SHAPEPACK?v=1", "pack");
    is_of_type(h, "http://h/x.shapepack/content", "pack");
    is_of_type(h, "http://h/packs/", "pack");
    is_of_type(h, "http://h/packs/index.json", "pack");
    is_of_type(h, "http://h/list.txt", "manifest");
    refuses(h, "missing.shapepack", -ENOENT, "No such file");
}

static void what_this_version_lacks(void **state)
{
    struct home *h = *state;
    home_write(h, "folder/x", "");
    refuses(h, "folder", -EINVAL, "a folder without packs is not in this version");
    refuses(h, "https://cloud.example.org/s/TOKEN", -EINVAL, "a share is not in this version");
    refuses(h, "https://h/owncloud/index.php/s/T/?x#y", -EINVAL, "a share is not in this version");
    refuses(h, "s3://bucket/prefix", -EINVAL, "s3:// is not in this version");
}

static void what_is_no_list(void **state)
{
    struct home *h = *state;
    home_write(h, "a.stl", "solid x\n");
    home_write(h, "empty", "");
    home_write(h, "comments", "# http://h/a.stl\n");
    refuses(h, "a.stl", -EINVAL, "no list of links");
    refuses(h, "empty", -EINVAL, "no list of links");
    refuses(h, "comments", -EINVAL, "no list of links");
    refuses(h, "gone.txt", -ENOENT, "gone.txt: No such file");
    refuses(h, "/dev/zero", -EINVAL, "not a regular file");
    refuses(h, "file://host/list", -EINVAL, "three slashes");
    refuses(h, "http://h/a b", -EINVAL, "%20");
    refuses(h, "http:///x", -EINVAL, "must have a host");
    refuses(h, "http://u@h/x", -EINVAL, "a login");
}

static void urls_of_paths(void **state)
{
    struct home *h = *state;
    char want[128], *url = NULL;
    struct err e = {0};
    assert_int_equal(conf_source_url("not/there://x", &url, &e), 0);
    (void)snprintf(want, sizeof(want), "file://%s/not/there://x", h->dir);
    assert_string_equal(url, want);
    free(url);
    assert_int_equal(conf_source_url("https://h/x", &url, &e), 0);
    assert_string_equal(url, "https://h/x");
    free(url);
    assert_int_equal(conf_source_url("", &url, &e), -EINVAL);
    assert_null(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        home_test(our_own_options),
        home_test(an_option_wins_over_the_file_and_the_last_one_over_the_first),
        home_test(wrong_options),
        home_test(what_fstab_has_is_taken),
        cmocka_unit_test(every_option_is_in_the_help),
        home_test(a_local_list),
        home_test(a_list_far_away),
        home_test(source_replaces_the_sources_and_keeps_the_rest),
        home_test(packs_are_told_by_name_or_first_bytes),
        home_test(what_this_version_lacks),
        home_test(what_is_no_list),
        home_test(urls_of_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
