/* Objects of packs in the catalogue: which dataset and folder they come to, and what of several
 * sources counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fsio.h"
#include "catalog/ingest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct box {
    char dir[64], path[96];
    struct registry *registry;
    struct ingest *g;
    uint64_t order;
    uint32_t place;
};

static const char records[] =
    "{\"datasets\": [{\"id\": \"Own\", \"licence\": \"CC0-1.0\"}, {\"id\": \"mine\"}, "
    "{\"id\": \"ASOCA\", \"licence\": \"0BSD\"}, {\"id\": \"unused\"}]}";

static int setup(void **state)
{
    struct box *b = calloc(1, sizeof(*b));
    (void)strcpy(b->dir, "/tmp/ingest-XXXXXX");
    if (mkdtemp(b->dir) == NULL || registry_load_more(NULL, records, &b->registry, NULL) != 0)
        return -1;
    (void)snprintf(b->path, sizeof(b->path), "%s/catalog.mdb", b->dir);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    ingest_abort(&b->g);
    registry_free(b->registry);
    int r = fsio_remove_tree(b->dir);
    free(b);
    return r;
}

static void begin(struct box *b, bool sparse, bool by_url)
{
    struct ingest_options o = {.path = b->path,
                               .temp_dir = b->dir,
                               .registry = b->registry,
                               .now = 1000000,
                               .sparse = sparse,
                               .by_url = by_url};
    assert_int_equal(ingest_begin(&o, &b->g, NULL), 0);
    assert_int_equal(ingest_place(b->g, "p", 1, "http://h/", "", &b->place), 0);
}

static void add(struct box *b, const char *name, const struct ingest_packed *packed,
                uint64_t source)
{
    struct ingest_item i = {.place = b->place,
                            .key = slice_of(packed != NULL ? "KEY" : name),
                            .name = slice_of(name),
                            .order = (source << 40) + b->order++,
                            .size = 10 + source,
                            .mtime = 500,
                            .etag = slice_of(""),
                            .forced = SIZE_MAX,
                            .packed = packed};
    assert_int_equal(ingest_item(b->g, &i), 0);
}

static void pack(struct box *b, const char *path, const char *dataset, const char *url,
                 uint64_t source)
{
    const char *slash = strrchr(path, '/');
    struct ingest_packed p = {.path = slice_of(path),
                              .dataset = slice_of(dataset),
                              .url = slice_of(url),
                              .shown = slice_of(url[0] != '\0' ? url : "shown"),
                              .fallback = "mine"};
    add(b, slash != NULL ? slash + 1 : path, &p, source);
}

static struct catalog *finish(struct box *b)
{
    struct catalog_info info;
    struct catalog *c;
    struct err e = {.code = 0};
    assert_int_equal(ingest_finish(&b->g, false, &info, &e), 0);
    assert_int_equal(catalog_open(b->path, &c, &e), 0);
    return c;
}

static bool look(struct catalog *c, const char *path, struct node *n)
{
    struct db_txn t = catalog_begin(c);
    uint64_t id = NODE_ROOT;
    bool found = true;
    while (*path != '\0' && found) {
        size_t len = strcspn(path, "/");
        found = catalog_lookup(&t, id, path, len, &id);
        path += len + (path[len] == '/');
    }
    found = found && catalog_node(&t, id, n);
    db_abort(&t);
    return found;
}

static void has(struct catalog *c, const char *path)
{
    struct node n;
    if (!look(c, path, &n))
        fail_msg("no %s", path);
}

static void lacks(struct catalog *c, const char *path)
{
    struct node n;
    if (look(c, path, &n))
        fail_msg("there is %s", path);
}

static void test_where_they_come_to(void **state)
{
    struct box *b = *state;
    begin(b, false, false);
    pack(b, "datasets/ASOCA/sub/deep/a.stl", "ASOCA", "", 0);
    pack(b, "mnt/msn/datasets/ASOCA/b.stl", "ASOCA", "", 0);
    pack(b, "ASOCA/c.stl", "ASOCA", "", 0);
    pack(b, "else/d.stl", "ASOCA", "", 0);
    pack(b, "Own/e.stl", "Own", "", 0);
    pack(b, "heart/f.stl", "", "", 0);
    pack(b, "g.stl", "", "", 0);
    pack(b, "x/s0001_liver.nii.g_1.stl", "", "", 0);
    pack(b, "datasets/TotalSegmentator/s0002_liver.nii.g_1.stl", "", "", 0);
    pack(b, "y/h.stl", "nobody knows it", "", 0);
    pack(b, "datasets/unsorted/i.stl", "unsorted", "", 0);
    pack(b, "datasets/unsorted/j.stl", "", "", 0);
    pack(b, "unsorted/k.stl", "", "", 0);
    pack(b, "z/\x01\xFF.stl", "", "", 0);
    struct catalog *c = finish(b);
    has(c, "datasets/ASOCA/sub/deep/a.stl");
    has(c, "datasets/ASOCA/b.stl");
    has(c, "datasets/ASOCA/c.stl");
    has(c, "datasets/ASOCA/else/d.stl");
    has(c, "datasets/Own/e.stl");
    has(c, "datasets/mine/heart/f.stl");
    has(c, "datasets/mine/g.stl");
    has(c, "datasets/TotalSegmentator/x/s0001_liver.nii.g_1.stl");
    has(c, "datasets/TotalSegmentator/s0002_liver.nii.g_1.stl");
    has(c, "datasets/mine/y/h.stl");
    has(c, "datasets/unsorted/i.stl");
    has(c, "datasets/unsorted/j.stl");
    has(c, "datasets/mine/unsorted/k.stl");
    has(c, "datasets/mine/z/%01%FF.stl");
    has(c, "licenses/CC0-1.0/Own");
    has(c, "datasets/VerSe/LICENSE.txt");
    lacks(c, "datasets/unused");
    lacks(c, "licenses/0BSD"); /* a pack does not change what is known */
    catalog_close(&c);
}

static void test_generated_texts_do_not_come_twice(void **state)
{
    struct box *b = *state;
    struct node n;
    begin(b, true, false);
    pack(b, "datasets/ASOCA/LICENSE.txt", "ASOCA", "", 0);
    pack(b, "m/datasets/ASOCA/index.csv", "ASOCA", "", 0);
    pack(b, "datasets/ASOCA/dataset.json", "ASOCA", "http://h/d", 0); /* one of the source's own */
    pack(b, "datasets/ASOCA/sub/LICENSE.txt", "ASOCA", "", 0);
    pack(b, "LICENSE.txt", "", "", 0);
    struct catalog *c = finish(b);
    lacks(c, "datasets/ASOCA/LICENSE~2.txt");
    lacks(c, "datasets/ASOCA/index~2.csv");
    has(c, "datasets/ASOCA/dataset~2.json");
    has(c, "datasets/ASOCA/sub/LICENSE.txt");
    assert_true(look(c, "datasets/mine/LICENSE~2.txt", &n));
    assert_int_equal(n.kind, NODE_FILE);
    lacks(c, "datasets/VerSe");
    catalog_close(&c);
}

static void test_of_several_sources_the_pack_counts(void **state)
{
    struct box *b = *state;
    struct node n;
    begin(b, false, true);
    add(b, "a.stl", NULL, 0);
    add(b, "b.stl", NULL, 0);
    add(b, "c.stl", NULL, 1);
    add(b, "b.stl", NULL, 1);
    pack(b, "datasets/unsorted/a.stl", "unsorted", "http://h/a.stl", 2);
    pack(b, "one/d.stl", "", "http://h/d.stl", 2);
    pack(b, "two/d.stl", "", "http://h/d.stl", 2);
    pack(b, "datasets/unsorted/a~2.stl", "unsorted", "http://h/a.stl", 3);
    pack(b, "e.stl", "", "", 2);
    struct catalog *c = finish(b);
    assert_true(look(c, "datasets/unsorted/a.stl", &n));
    assert_int_equal(n.size, 12);
    lacks(c, "datasets/unsorted/a~2.stl");
    assert_true(look(c, "datasets/unsorted/b.stl", &n));
    assert_int_equal(n.size, 10);
    lacks(c, "datasets/unsorted/b~2.stl");
    has(c, "datasets/unsorted/c.stl");
    has(c, "datasets/mine/one/d.stl");
    has(c, "datasets/mine/two/d.stl");
    has(c, "datasets/mine/e.stl");
    assert_int_equal(c->info.files, 6);
    catalog_close(&c);
}

static void test_index_csv_has_the_origin(void **state)
{
    struct box *b = *state;
    char text[512] = "";
    struct node n;
    begin(b, true, false);
    pack(b, "f.stl", "", "http://origin/f.stl", 0);
    struct catalog *c = finish(b);
    assert_true(look(c, "index.csv", &n));
    struct db_txn t = catalog_begin(c);
    (void)catalog_text(&t, &n, 0, text, sizeof(text) - 1);
    db_abort(&t);
    assert_non_null(strstr(text, "datasets/mine/f.stl,mine,,,,unstated,10,"));
    assert_non_null(strstr(text, ",http://origin/f.stl\r\n"));
    catalog_close(&c);
}

/* A key may be longer than any other text of a node: a file of 32,768 blocks. */
static void test_a_long_key(void **state)
{
    struct box *b = *state;
    const size_t len = 900000;
    char *key = malloc(len);
    memset(key, 'k', len);
    begin(b, true, false);
    struct ingest_packed p = {.path = slice_of("f.stl"), .fallback = "mine"};
    struct ingest_item i = {.place = b->place,
                            .key = {key, len},
                            .name = slice_of("f.stl"),
                            .size = 1,
                            .mtime = 500,
                            .etag = slice_of(""),
                            .forced = SIZE_MAX,
                            .packed = &p};
    assert_int_equal(ingest_item(b->g, &i), 0);
    assert_int_equal(ingest_item(b->g, &i), 0); /* its path is taken: it waits in the other sort */
    struct catalog *c = finish(b);
    struct db_txn t = catalog_begin(c);
    struct node n, again;
    uint64_t folder, id;
    assert_true(catalog_lookup(&t, NODE_DATASETS, "mine", 4, &folder));
    assert_true(catalog_lookup(&t, folder, "f.stl", 5, &id) && catalog_node(&t, id, &n));
    assert_true(catalog_lookup(&t, folder, "f~2.stl", 7, &id) && catalog_node(&t, id, &again));
    assert_int_equal(n.key.len, len);
    assert_int_equal(again.key.len, len);
    assert_memory_equal(n.key.s, key, len);
    assert_int_equal(n.size, 1);
    db_abort(&t);
    catalog_close(&c);
    free(key);
}

static void check(const char *json, const char *id, int want)
{
    struct err e = {.code = 0};
    assert_int_equal(registry_record_check(json, strlen(json), id, strlen(id), &e), want);
    assert_int_equal(e.code, want);
}

static void test_records(void **state)
{
    (void)state;
    check("{\"id\": \"A\", \"licence\": \"CC-BY-4.0\"}", "A", 0);
    check("{\"id\": \"A\"}", "B", -22);
    check("{\"id\": \"A\"}, {\"id\": \"B\"}", "A", -22);
    check("{\"id\": \"A\"}], \"about\": [", "A", -22);
    check("{\"id\": \"../A\"}", "../A", -22);
    check("{\"id\": \"A\", \"rules\": [{\"pattern\": \"x\"}]}", "A", -22);
    check("{\"id\": \"A\", \"title\": \"\\u0007\"}", "A", -22);
    check("", "A", -22);
    check("no json", "A", -22);
}

#define box_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        box_test(test_where_they_come_to),
        box_test(test_generated_texts_do_not_come_twice),
        box_test(test_of_several_sources_the_pack_counts),
        box_test(test_index_csv_has_the_origin),
        box_test(test_a_long_key),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
