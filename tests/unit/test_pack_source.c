/* Source "pack" over local packs: what it lists, keeps and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "pack_case.h"
#include "source/source.h"

#include <sys/stat.h>

/* A listing's surroundings and what it gave. */
struct world {
    char *dir;
    char state[PATH_MAX], temp[PATH_MAX], url[PATH_MAX];
    struct conf conf;
    struct conf_source src;
    struct source_listing l;
    struct err e;
    struct buf out, remarks, datasets;
};

static int take_place(void *arg, const struct source_place *p, uint32_t *number)
{
    struct world *w = arg;
    static const char scheme[] = "file://";
    *number = 7;
    assert_true(p->pack);
    assert_string_equal(p->source, "lab");
    assert_int_equal(strncmp(p->link, scheme, strlen(scheme)), 0);
    buf_fmt(&w->out, "place %s\n", strrchr(p->link, '/') + 1);
    return 0;
}

static int take_item(void *arg, const struct source_item *i)
{
    struct world *w = arg;
    const struct source_packed *p = i->packed;
    assert_non_null(p);
    assert_int_equal(i->place, 7);
    assert_int_equal(strncmp(i->etag, "\"sha256-", 8), 0);
    assert_int_equal(strlen(i->etag), 73);
    buf_fmt(&w->out, "%.*s %.*s %llu", (int)p->path_len, p->path, (int)i->name_len, i->name,
            (unsigned long long)i->size);
    buf_fmt(&w->out, " [%.*s] [%.*s] [%s]\n", (int)p->dataset_len, p->dataset, (int)p->url_len,
            p->url, p->fallback);
    return 0;
}

static int take_dataset(void *arg, const char *id, size_t id_len, const char *json, size_t json_len)
{
    struct world *w = arg;
    buf_fmt(&w->datasets, "%.*s %.*s\n", (int)id_len, id, (int)(json == NULL ? 0 : json_len),
            json == NULL ? "" : json);
    return 0;
}

static void take_remark(void *arg, const char *line)
{
    struct world *w = arg;
    buf_fmt(&w->remarks, "%s\n", line);
}

static int setup(void **state)
{
    static char name[] = "lab", type[] = "pack";
    struct world *w = calloc(1, sizeof(*w));
    void *dir = NULL;
    if (w == NULL || make_folder(&dir) != 0)
        return -1;
    w->dir = dir;
    (void)snprintf(w->state, sizeof(w->state), "%s/state", w->dir);
    (void)snprintf(w->temp, sizeof(w->temp), "%s/temp", w->dir);
    (void)mkdir(w->state, 0700);
    (void)mkdir(w->temp, 0700);
    w->src = (struct conf_source){name, type, w->url, NULL};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *dir = w->dir;
    buf_free(&w->out);
    buf_free(&w->remarks);
    buf_free(&w->datasets);
    free(w);
    return drop_folder(&dir);
}

static const char *path_of(struct world *w, int which, const char *name)
{
    void *dir = w->dir;
    return path_in(&dir, which, name);
}

/* Prepares and lists; `kept`: from what was kept. */
static int run(struct world *w, const char *name, bool kept)
{
    const struct source_sink sink = {take_place, take_item, take_dataset, take_remark, NULL, w};
    const struct source_ops *ops = source_find("pack");
    int n = snprintf(w->url, sizeof(w->url), "file://%s", path_of(w, 0, name));
    assert_true(n > 0 && (size_t)n < sizeof(w->url));
    buf_clear(&w->out);
    buf_clear(&w->remarks);
    buf_clear(&w->datasets);
    w->e = (struct err){0};
    w->l = (struct source_listing){
        .conf = &w->conf, .state_dir = w->state, .temp_dir = w->temp, .kept = kept};
    int r = ops->prepare(&w->src, &w->l, &sink, &w->e);
    if (r == 0)
        r = ops->list(&w->src, &w->l, &sink, &w->e);
    assert_true(r == 0 ? w->e.code == 0 : w->e.text[0] != '\0');
    return r;
}

static void keep(struct world *w)
{
    source_find("pack")->keep(&w->src, &w->l);
}

static void lists(struct world *w, const char *name, const char *want)
{
    int r = run(w, name, false);
    if (r != 0)
        print_error("%s\n", w->e.text);
    assert_int_equal(r, 0);
    assert_string_equal(buf_cstr(&w->out), want);
}

static void refuses(struct world *w, const char *name, const char *part)
{
    assert_true(run(w, name, false) < 0);
    assert_int_equal(w->out.len, 0);
    if (strstr(w->e.text, part) == NULL)
        fail_msg("%s", w->e.text);
}

static void add_named(struct pack_writer *w, const char *path, const char *s, const char *dataset,
                      const char *url)
{
    struct text t = {.s = s, .len = strlen(s)};
    struct err e = {0};
    struct pack_item item = {
        .path = slice(path), .mtime = 5, .dataset = slice(dataset), .url = slice(url)};
    assert_int_equal(pack_writer_add(w, &item, read_text, &t, &e), 0);
}

static void test_one_pack(void **state)
{
    struct world *s = *state;
    struct pack_writer *w = open_writer(path_of(s, 0, "My shapes.shapepack"), false);
    add_named(w, "datasets/ASOCA/sub/a.stl", "abc", "ASOCA", "http://h/a.stl");
    add_named(w, "b.stl", "", "", "");
    add_named(w, "x/c.stl", "0123456789", "Own", "ftp://h/no");
    struct err e = {0};
    assert_int_equal(pack_writer_dataset(w, "ASOCA", "{\"id\": \"ASOCA\"}", &e), 0);
    end_writer(w);
    lists(s, "My shapes.shapepack",
          "place My%20shapes.shapepack\n"
          "b.stl b.stl 0 [] [] [My_shapes]\n"
          "datasets/ASOCA/sub/a.stl a.stl 3 [ASOCA] [http://h/a.stl] [My_shapes]\n"
          "x/c.stl c.stl 10 [Own] [] [My_shapes]\n");
    assert_int_equal(s->l.lines, 3);
    assert_int_equal(s->l.items, 3);
    assert_int_equal(s->l.sized, 3);
    assert_false(s->l.unchanged);
    const char *told = buf_cstr(&s->datasets);
    assert_int_equal(strncmp(told, "ASOCA {\"id\": \"ASOCA\"}\n", 22), 0);
    assert_non_null(strstr(told, "My_shapes {\"id\": \"My_shapes\""));
    assert_non_null(strstr(told, "\nOwn \n"));
}

static void test_a_folder_the_later_pack_counts(void **state)
{
    struct world *s = *state;
    (void)mkdir(path_of(s, 0, "mirror"), 0700);
    struct pack_writer *w = open_writer(path_of(s, 0, "mirror/0001.shapepack"), false);
    add_named(w, "a/1.stl", "old", "", "");
    add_named(w, "a/2.stl", "two", "", "");
    end_writer(w);
    w = open_writer(path_of(s, 0, "mirror/0002.shapepack"), false);
    add_named(w, "a/1.stl", "newer", "", "");
    add_named(w, "a.stl", "x", "", "");
    end_writer(w);
    assert_int_equal(fsio_write_file(path_of(s, 0, "mirror/notes.txt"), "x", 1), 0);
    static const char want[] = "place 0001.shapepack\nplace 0002.shapepack\n"
                               "a.stl a.stl 1 [] [] [lab]\n"
                               "a/1.stl 1.stl 5 [] [] [lab]\n"
                               "a/2.stl 2.stl 3 [] [] [lab]\n";
    lists(s, "mirror", want);
    assert_int_equal(s->l.duplicates, 1);
    lists(s, "mirror/", want);
    assert_int_equal(fsio_write_file(path_of(s, 0, "mirror/index.json"), "not read", 8), 0);
    lists(s, "mirror/index.json", want);
}

static void test_what_is_kept(void **state)
{
    struct world *s = *state;
    struct pack_writer *w = open_writer(path_of(s, 0, "p.shapepack"), false);
    add_named(w, "a.stl", "abc", "", "");
    end_writer(w);
    static const char want[] = "place p.shapepack\na.stl a.stl 3 [] [] [p]\n";
    lists(s, "p.shapepack", want);
    assert_int_equal(run(s, "p.shapepack", true), -ENOENT);
    lists(s, "p.shapepack", want);
    keep(s);
    lists(s, "p.shapepack", want);
    assert_true(s->l.unchanged);
    keep(s);
    w = open_writer(path_of(s, 0, "p.shapepack"), true);
    add_named(w, "b.stl", "b", "", "");
    end_writer(w);
    lists(s, "p.shapepack",
          "place p.shapepack\na.stl a.stl 3 [] [] [p]\nb.stl b.stl 1 [] [] [p]\n");
    assert_false(s->l.unchanged);
    assert_int_equal(unlink(path_of(s, 0, "p.shapepack")), 0);
    refuses(s, "p.shapepack", "No such file");
    assert_int_equal(run(s, "p.shapepack", true), 0);
    assert_string_equal(buf_cstr(&s->out), want);
    assert_true(s->datasets.len > 0);
    assert_int_equal(run(s, "other.shapepack", true), -ENOENT);
}

/* What is kept of a pack's catalogue and damaged, or gone, is got again. */
static void test_a_damaged_kept_catalogue(void **state)
{
    struct world *s = *state;
    char command[3 * PATH_MAX];
    struct pack_writer *w = open_writer(path_of(s, 0, "p.shapepack"), false);
    add_named(w, "a.stl", "abc", "", "");
    end_writer(w);
    lists(s, "p.shapepack", "place p.shapepack\na.stl a.stl 3 [] [] [p]\n");
    keep(s);
    (void)snprintf(command, sizeof(command), "truncate -s 10 '%s'/lab.pack-*", s->state);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a path of our own
    lists(s, "p.shapepack", "place p.shapepack\na.stl a.stl 3 [] [] [p]\n");
    keep(s);
    (void)snprintf(command, sizeof(command), "rm '%s'/lab.pack-*", s->state);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a path of our own
    lists(s, "p.shapepack", "place p.shapepack\na.stl a.stl 3 [] [] [p]\n");
}

static void test_no_packs(void **state)
{
    struct world *s = *state;
    char many[300] = "this is no pack";
    (void)mkdir(path_of(s, 0, "empty"), 0700);
    refuses(s, "empty", "no .shapepack is in this folder");
    refuses(s, "none.shapepack", "No such file");
    assert_int_equal(fsio_write_file(path_of(s, 0, "short"), "x", 1), 0);
    refuses(s, "short", "not a pack");
    assert_int_equal(fsio_write_file(path_of(s, 0, "long"), many, sizeof(many)), 0);
    refuses(s, "long", "not a pack");
    assert_non_null(strstr(s->e.text, "long"));
}

static void test_damaged_packs(void **state)
{
    struct world *s = *state;
    struct buf bytes = BUF_INIT;
    struct pack_writer *w = open_writer(path_of(s, 0, "good"), false);
    add_named(w, "a.stl", "abc", "", "");
    end_writer(w);
    assert_int_equal(fsio_read_file(path_of(s, 0, "good"), 1 << 20, &bytes), 0);
    assert_int_equal(fsio_write_file(path_of(s, 0, "cut"), bytes.data, bytes.len - 1), 0);
    refuses(s, "cut", "cut short");
    bytes.data[bytes.len - PACK_TRAILER - 5] ^= 1;
    assert_int_equal(fsio_write_file(path_of(s, 0, "flipped"), bytes.data, bytes.len), 0);
    refuses(s, "flipped", "does not match its checksum");
    bytes.data[bytes.len - PACK_TRAILER - 5] ^= 1;
    bytes.data[8] = 9;
    assert_int_equal(fsio_write_file(path_of(s, 0, "later"), bytes.data, bytes.len), 0);
    refuses(s, "later", "version 9");
    buf_free(&bytes);
}

/* Many rows: the catalogue is longer than the tail. */
static void test_a_long_catalogue(void **state)
{
    struct world *s = *state;
    struct pack_writer *w = open_writer(path_of(s, 0, "p.shapepack"), false);
    for (int i = 0; i < 3000; i++) {
        char name[32], text[32];
        (void)snprintf(name, sizeof(name), "%04d/%d.stl", i, i);
        (void)snprintf(text, sizeof(text), "text %d", i);
        add_named(w, name, text, "", "");
    }
    end_writer(w);
    assert_int_equal(run(s, "p.shapepack", false), 0);
    assert_int_equal(s->l.items, 3000);
    assert_non_null(strstr(buf_cstr(&s->out), "2999/2999.stl 2999.stl 9 "));
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_one_pack),         world_test(test_a_folder_the_later_pack_counts),
        world_test(test_what_is_kept),     world_test(test_a_damaged_kept_catalogue),
        world_test(test_no_packs),         world_test(test_damaged_packs),
        world_test(test_a_long_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
