#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fsio.h"
#include "catalog/ingest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A folder of its own, and the catalogue that is made in it. */
struct box {
    char dir[64], path[96];
    struct registry *registry;
    struct facts *facts;
};

static int setup(void **state)
{
    struct box *b = calloc(1, sizeof(*b));
    (void)strcpy(b->dir, "/tmp/ingest-XXXXXX");
    if (mkdtemp(b->dir) == NULL || registry_load(NULL, &b->registry, NULL) != 0)
        return -1;
    (void)snprintf(b->path, sizeof(b->path), "%s/catalog.mdb", b->dir);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    facts_close(&b->facts);
    registry_free(b->registry);
    int r = fsio_remove_tree(b->dir);
    free(b);
    return r;
}

static struct ingest *begin(struct box *b, struct catalog *old)
{
    static const char *const sources[] = {"test: http://h/list"};
    struct ingest_options o = {.path = b->path,
                               .temp_dir = b->dir,
                               .registry = b->registry,
                               .old = old,
                               .facts = b->facts,
                               .sources = sources,
                               .source_count = 1,
                               .now = 1000000};
    struct ingest *g;
    struct err e = {.code = 0};
    assert_int_equal(ingest_begin(&o, &g, &e), 0);
    return g;
}

static void add_sized(struct ingest *g, uint32_t place, const char *name, uint64_t order,
                      uint64_t size)
{
    struct ingest_item i = {.place = place,
                            .key = slice_of(name),
                            .name = slice_of(name),
                            .order = order,
                            .size = size,
                            .mtime = 500,
                            .etag = slice_of(""),
                            .forced = SIZE_MAX};
    assert_int_equal(ingest_item(g, &i), 0);
}

static void add(struct ingest *g, uint32_t place, const char *name, uint64_t order)
{
    add_sized(g, place, name, order, 10 + order);
}

static struct catalog *finish(struct box *b, struct ingest *g)
{
    struct catalog_info info;
    struct catalog *c;
    struct err e = {.code = 0};
    assert_int_equal(ingest_finish(&g, false, &info, &e), 0);
    assert_null(g);
    assert_int_equal(catalog_open(b->path, &c, &e), 0);
    return c;
}

/* The id at a path below the root, or UINT64_MAX. */
static uint64_t at(struct catalog *c, const char *path)
{
    struct db_txn t = catalog_begin(c);
    uint64_t id = NODE_ROOT;
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        if (!catalog_lookup(&t, id, path, n, &id)) {
            id = UINT64_MAX;
            break;
        }
        path += n + (path[n] == '/');
    }
    db_abort(&t);
    return id;
}

static char *text(struct catalog *c, const char *path)
{
    struct db_txn t = catalog_begin(c);
    struct node n;
    uint64_t id = at(c, path);
    assert_true(catalog_node(&t, id, &n));
    assert_int_equal(n.kind, NODE_TEXT);
    char *out = calloc(1, (size_t)n.size + 1);
    assert_int_equal(catalog_text(&t, &n, 0, out, (size_t)n.size), n.size);
    db_abort(&t);
    return out;
}

static void ids_stay(void **state)
{
    struct box *b = *state;
    uint32_t place;
    struct ingest *g = begin(b, NULL);
    assert_int_equal(ingest_place(g, "p", 1, "http://h/", "", &place), 0);
    add(g, place, "s0001_liver.nii.g_1.stl", 1);
    add(g, place, "s0002_liver.nii.g_1.stl", 2);
    struct catalog *one = finish(b, g);
    uint64_t first = at(one, "datasets/TotalSegmentator/s0001_liver.nii.g_1.stl");
    uint64_t second = at(one, "datasets/TotalSegmentator/s0002_liver.nii.g_1.stl");
    uint64_t folder = at(one, "anatomy/liver");
    assert_true(first >= NODE_FIRST && second != first && folder != UINT64_MAX);
    g = begin(b, one);
    assert_int_equal(ingest_place(g, "p", 1, "http://h/", "", &place), 0);
    add(g, place, "s0000_liver.nii.g_1.stl", 1);
    add(g, place, "s0002_liver.nii.g_1.stl", 2);
    struct catalog *two = finish(b, g);
    assert_int_equal(at(two, "datasets/TotalSegmentator/s0002_liver.nii.g_1.stl"), second);
    assert_int_equal(at(two, "datasets/TotalSegmentator/s0001_liver.nii.g_1.stl"), UINT64_MAX);
    assert_int_equal(at(two, "anatomy/liver"), folder);
    uint64_t fresh = at(two, "datasets/TotalSegmentator/s0000_liver.nii.g_1.stl");
    assert_true(fresh >= one->info.next_id); /* an id is never given twice */
    /* The old catalogue, still open, is as it was. */
    assert_int_equal(at(one, "datasets/TotalSegmentator/s0001_liver.nii.g_1.stl"), first);
    catalog_close(&one);
    catalog_close(&two);
}

static void equal_names_both_stay_reachable(void **state)
{
    struct box *b = *state;
    uint32_t p1, p2;
    struct ingest *g = begin(b, NULL);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "", &p1), 0);
    add(g, p1, "a.stl", 5);
    add(g, p1, "a~2.stl", 6);
    assert_int_equal(ingest_place(g, "2", 1, "http://b/", "", &p2), 0);
    add(g, p2, "a.stl", 9);
    add(g, p2, "index.csv", 10);
    add(g, p2, "A.stl", 11);
    struct catalog *c = finish(b, g);
    assert_true(at(c, "datasets/unsorted/a.stl") != UINT64_MAX);
    assert_true(at(c, "datasets/unsorted/a~3.stl") != UINT64_MAX); /* ~2 is a name of the list */
    assert_true(at(c, "datasets/unsorted/index~2.csv") != UINT64_MAX);
    assert_true(at(c, "datasets/unsorted/A.stl") != UINT64_MAX);
    struct db_txn t = catalog_begin(c);
    struct node n;
    assert_true(catalog_node(&t, at(c, "datasets/unsorted/a.stl"), &n));
    assert_int_equal(n.place, p1); /* who came first in the list keeps the name */
    assert_true(catalog_node(&t, at(c, "datasets/unsorted/a~3.stl"), &n));
    assert_int_equal(n.remote.len, strlen("a.stl"));
    db_abort(&t);
    catalog_close(&c);
}

static void a_file_where_a_folder_is_wanted(void **state)
{
    struct box *b = *state;
    uint32_t p;
    struct ingest *g = begin(b, NULL);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "", &p), 0);
    add(g, p, "x.y", 1);
    assert_int_equal(ingest_place(g, "2", 1, "http://a/x.y/", "x.y/z", &p), 0);
    add(g, p, "b.stl", 2);
    struct catalog *c = finish(b, g);
    assert_true(at(c, "datasets/unsorted/x.y") != UINT64_MAX);
    assert_true(at(c, "datasets/unsorted/x~2.y/z/b.stl") != UINT64_MAX);
    catalog_close(&c);
}

static void folders_cannot_leave(void **state)
{
    struct box *b = *state;
    uint32_t p;
    struct ingest *g = begin(b, NULL);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "../../x//./y", &p), 0);
    add(g, p, "b.stl", 2);
    struct catalog *c = finish(b, g);
    assert_true(at(c, "datasets/unsorted/%2E%2E/%2E%2E/x/%2E/y/b.stl") != UINT64_MAX);
    catalog_close(&c);
}

static void index_lists_paths_in_order(void **state)
{
    struct box *b = *state;
    uint32_t p;
    struct ingest *g = begin(b, NULL);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "", &p), 0);
    add(g, p, "face_2.stl", 1);
    add(g, p, "s0001_liver.nii.g_1.stl", 2);
    add_sized(g, p, "face_1.stl", 3, CATALOG_UNKNOWN);
    assert_int_equal(ingest_place(g, "2", 1, "http://b/", "", &p), 0);
    add(g, p, "face_1.stl", 4);
    struct catalog *c = finish(b, g);
    char *all = text(c, "index.csv"), *faces = text(c, "datasets/FacialModels/index.csv");
    const char *order[] = {"path,dataset,", "\ndatasets/FacialModels/face_1.stl,FacialModels,face,",
                           "\ndatasets/FacialModels/face_1~2.stl,",
                           "\ndatasets/FacialModels/face_2.stl,",
                           "\ndatasets/TotalSegmentator/s0001_liver"};
    const char *from = all;
    for (size_t i = 0; i < 5; i++) {
        const char *found = strstr(from, order[i]);
        assert_non_null(found);
        from = found + 1;
    }
    assert_null(strstr(faces, "TotalSegmentator"));
    assert_non_null(strstr(faces, "face_2.stl"));
    free(all);
    free(faces);
    all = text(c, "datasets/ASOCA/index.csv"); /* nothing but the header */
    assert_null(strstr(all, "datasets/"));
    free(all);
    catalog_close(&c);
}

static void learnt_sizes_are_taken_over(void **state)
{
    struct box *b = *state;
    uint32_t p;
    char path[128];
    struct err e = {.code = 0};
    struct ingest *g = begin(b, NULL);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "", &p), 0);
    add_sized(g, p, "face_1.stl", 1, CATALOG_UNKNOWN);
    struct catalog *c = finish(b, g);
    assert_int_equal(c->info.unknown_sizes, 1);
    uint64_t id = at(c, "datasets/FacialModels/face_1.stl");
    (void)snprintf(path, sizeof(path), "%s/facts.mdb", b->dir);
    assert_int_equal(facts_open(path, false, &b->facts, &e), 0);
    struct fact f = {.url = catalog_url_hash(slice_of("http://a/"), slice_of("face_1.stl")),
                     .size = 4242,
                     .mtime = 7};
    assert_int_equal(facts_put(b->facts, id, &f), 0);
    g = begin(b, c);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "", &p), 0);
    add_sized(g, p, "face_1.stl", 1, CATALOG_UNKNOWN);
    struct catalog *two = finish(b, g);
    struct db_txn t = catalog_begin(two);
    struct node n;
    assert_true(catalog_node(&t, id, &n));
    assert_int_equal(n.size, 4242);
    db_abort(&t);
    catalog_close(&two);
    /* Another URL under the same path: the fact is not about it. */
    g = begin(b, c);
    assert_int_equal(ingest_place(g, "1", 1, "http://elsewhere/", "", &p), 0);
    add_sized(g, p, "face_1.stl", 1, CATALOG_UNKNOWN);
    two = finish(b, g);
    assert_int_equal(two->info.unknown_sizes, 1);
    catalog_close(&two);
    catalog_close(&c);
}

static void an_abort_leaves_the_old_one(void **state)
{
    struct box *b = *state;
    uint32_t p;
    struct ingest *g = begin(b, NULL);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "", &p), 0);
    add(g, p, "face_1.stl", 1);
    struct catalog *c = finish(b, g);
    g = begin(b, c);
    assert_int_equal(ingest_place(g, "1", 1, "http://a/", "", &p), 0);
    add(g, p, "face_2.stl", 1);
    ingest_abort(&g);
    catalog_close(&c);
    struct err e = {.code = 0};
    assert_int_equal(catalog_open(b->path, &c, &e), 0);
    assert_true(at(c, "datasets/FacialModels/face_1.stl") != UINT64_MAX);
    assert_true(at(c, "datasets/FacialModels/face_2.stl") == UINT64_MAX);
    catalog_close(&c);
}

static int count_child(void *arg, uint64_t id)
{
    (void)id;
    ++*(unsigned *)arg;
    return 0;
}

static void all_datasets_have_their_folder(void **state)
{
    struct box *b = *state;
    struct catalog *c = finish(b, begin(b, NULL));
    struct db_txn t = catalog_begin(c);
    unsigned datasets = 0;
    assert_int_equal(catalog_children(&t, NODE_DATASETS, 0, count_child, &datasets), 0);
    assert_int_equal(datasets, 35);
    db_abort(&t);
    assert_true(at(c, "datasets/ASOCA/LICENSE.txt") != UINT64_MAX);
    assert_true(at(c, "licenses/unstated/ASOCA") != UINT64_MAX);
    assert_true(at(c, "licenses/CC-BY-4.0/VerSe") != UINT64_MAX);
    assert_true(at(c, "datasets/unsorted") == UINT64_MAX);
    catalog_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_names_both_stay_reachable, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_where_a_folder_is_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_cannot_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(index_lists_paths_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(learnt_sizes_are_taken_over, setup, teardown),
        cmocka_unit_test_setup_teardown(an_abort_leaves_the_old_one, setup, teardown),
        cmocka_unit_test_setup_teardown(all_datasets_have_their_folder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
