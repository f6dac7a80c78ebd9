/* Packs are written and read back: files of any kind and number, appends, copies, failures. */
#include "pack_case.h"

#include <sys/stat.h>

enum { BIG = 2 * CODEC_BLOCK_MAX + 12345 };

/* ---- round trips ---- */

struct sample {
    const char *path, *s;
    size_t len;
};

static void check_row(const struct pack_io *io, struct codec *c, const struct pack_row *row,
                      const struct sample *want)
{
    struct buf text = BUF_INIT;
    unsigned char sum[PACK_SHA256];
    assert_int_equal(row->path.len, strlen(want->path));
    assert_memory_equal(row->path.s, want->path, row->path.len);
    assert_int_equal(row->size, want->len);
    assert_int_equal(row->mtime, 1700000000 + (int64_t)(want->len % 1000));
    assert_int_equal(row->blocks, (want->len + CODEC_BLOCK_MAX - 1) / CODEC_BLOCK_MAX);
    assert_int_equal(read_row(io, c, row, &text), 0);
    assert_int_equal(text.len, want->len);
    if (want->len > 0)
        assert_memory_equal(text.data, want->s, want->len);
    sha256_of(want->s, want->len, sum);
    assert_memory_equal(sum, row->sha256, sizeof(sum));
    buf_free(&text);
}

/* The pack has these files, in this order. */
static void check_pack(const char *path, const struct sample *want, size_t count)
{
    struct pack_io io;
    struct pack *p = NULL;
    struct pack_row row;
    struct err e = {0};
    struct codec *c = codec_new(0);
    uint64_t text = 0;
    assert_int_equal(pack_file_open(path, &io, &e), 0);
    assert_int_equal(pack_open(&io, &p, &e), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(pack_next(p, &row, &e), 1);
            check_row(&io, c, &row, &want[i]);
            text += row.size;
        }
        assert_int_equal(pack_next(p, &row, &e), 0);
        assert_int_equal(pack_next(p, &row, &e), 0);
        pack_rewind(p);
    }
    assert_int_equal(pack_trailer(p)->files, count);
    assert_int_equal(pack_trailer(p)->text * 2, text);
    pack_close(&p);
    pack_file_close(&io);
    pack_file_close(&io);
    codec_free(&c);
}

static void sizes_and_names(void **state)
{
    char *big = malloc(BIG);
    fill_letters(big, BIG, 1);
    /* In the order of the catalogue: what is in a folder follows its name. */
    const struct sample want[] = {
        {"\001control\nname", big, 7},
        {"Leber/2.stl", big, 1},
        {"Leber/3.stl", big, 0},
        {"a/b", big, CODEC_BLOCK_MAX},
        {"a/b c", big, CODEC_BLOCK_MAX + 1},
        {"a!", big, CODEC_BLOCK_MAX - 1},
        {"a-file", big, BIG},
        {"b.bin", big + 99, 2 * CODEC_BLOCK_MAX},
        {"...", big, 0},
        {"\xC3\xA4\xFF", big, 300},
    };
    const size_t order[] = {9, 4, 0, 2, 8, 6, 1, 3, 7, 5};
    const struct sample sorted[] = {want[0], want[8], want[1], want[2], want[3],
                                    want[4], want[5], want[6], want[7], want[9]};
    const char *path = path_in(state, 0, "sizes.shapepack");
    struct pack_writer *w = open_writer(path, false);
    for (size_t i = 0; i < 10; i++)
        add(w, want[order[i]].path, want[order[i]].s, want[order[i]].len);
    assert_true(pack_writer_size(w) >= PACK_HEAD);
    end_writer(w);
    check_pack(path, sorted, 10);
    assert_int_not_equal(access(path_in(state, 1, "sizes.shapepack.partial"), F_OK), 0);
    free(big);
}

static void an_empty_pack(void **state)
{
    const char *path = path_in(state, 0, "empty.shapepack");
    end_writer(open_writer(path, false));
    check_pack(path, NULL, 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, PACK_HEAD + PACK_TRAILER);
}

/* Enough rows for many pages and for a sort that spills. */
static void many_small_files(void **state)
{
    enum { FILES = 60000 };
    const char *path = path_in(state, 0, "many.shapepack");
    struct pack_writer *w = open_writer(path, false);
    char name[64], text[200];
    for (unsigned i = 0; i < FILES; i++) {
        unsigned n = i * 7919 % FILES;
        (void)snprintf(name, sizeof(name), "dataset%u/shape%05u.txt", n / 1000, n);
        fill_letters(text, sizeof(text), n);
        struct text t = {.s = text, .len = 50 + n % 150};
        struct pack_item item = {.path = slice(name), .mtime = n, .url = slice(name)};
        assert_int_equal(pack_writer_add(w, &item, read_text, &t, NULL), 0);
    }
    end_writer(w);
    struct pack_io io;
    struct pack *p = NULL;
    struct pack_row row;
    struct err e = {0};
    struct codec *c = codec_new(0);
    struct buf got = BUF_INIT;
    unsigned count = 0;
    assert_int_equal(pack_file_open(path, &io, &e), 0);
    assert_int_equal(pack_open(&io, &p, &e), 0);
    assert_true(pack_trailer(p)->catalogue_len > 3 * PACK_TAIL);
    while (pack_next(p, &row, &e) == 1) {
        unsigned n = (unsigned)row.mtime;
        fill_letters(text, sizeof(text), n);
        assert_int_equal(row.size, 50 + n % 150);
        assert_memory_equal(row.url.s, row.path.s, row.path.len);
        assert_int_equal(read_row(&io, c, &row, &got), 0);
        assert_memory_equal(got.data, text, got.len);
        count++;
    }
    assert_int_equal(e.code, 0);
    assert_int_equal(count, FILES);
    buf_free(&got);
    codec_free(&c);
    pack_close(&p);
    pack_file_close(&io);
}

/* Small and large files by turns: what is packed while what is read, and where blocks lie. */
static void mixed_sizes(void **state)
{
    enum { FILES = 90 };
    static const size_t size[] = {
        0,    1,      100,    3000, CODEC_BLOCK_MAX - 1, 70000, CODEC_BLOCK_MAX,
        5000, 200000, 900000, 64,   CODEC_BLOCK_MAX + 1, 17};
    char *letters = malloc(CODEC_BLOCK_MAX + FILES * 1000),
         (*name)[8] = malloc(FILES * sizeof(*name));
    struct sample *want = calloc(FILES, sizeof(*want));
    const char *path = path_in(state, 0, "mixed.shapepack");
    struct pack_writer *w = open_writer(path, false);
    for (size_t i = 0; i < CODEC_BLOCK_MAX + FILES * 1000; i++)
        letters[i] = (char)('a' + (i / 50 * 31 + i / 4099) % 23);
    for (size_t i = 0; i < FILES; i++) {
        (void)snprintf(name[i], sizeof(name[i]), "%05zu", i);
        want[i] =
            (struct sample){name[i], letters + i * 990, size[i % (sizeof(size) / sizeof(size[0]))]};
        add(w, want[i].path, want[i].s, want[i].len);
    }
    end_writer(w);
    check_pack(path, want, FILES);
    free(want);
    free(name);
    free(letters);
}

static const char cube_facet[] =
    " facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n   vertex 1 0 "
    "0\n   vertex 0 1 0\n  endloop\n endfacet\n";

/* All that a row can carry comes back. */
static void every_field(void **state)
{
    const char *path = path_in(state, 0, "fields.shapepack");
    struct pack_writer *w = open_writer(path, false);
    struct err e = {0};
    char stl[1000];
    int len = snprintf(stl, sizeof(stl), "solid x\n%s%sendsolid x\n", cube_facet, cube_facet);
    struct text t = {.s = stl, .len = (size_t)len};
    struct pack_item item = {.path = slice("x.STL"),
                             .mtime = -5,
                             .mtime_ns = 999999999,
                             .url = slice("https://example.org/x?y=z"),
                             .dataset = slice("autopet"),
                             .etag = slice("\"abc\"")};
    assert_int_equal(pack_writer_add(w, &item, read_text, &t, &e), 0);
    struct pack_item folder = {.path = slice("void/deep"), .type = PACK_FOLDER, .mtime = 7};
    assert_int_equal(pack_writer_add(w, &folder, NULL, NULL, &e), 0);
    struct text none = {.s = ""};
    struct pack_item empty = {.path = slice("none.stl")};
    assert_int_equal(pack_writer_add(w, &empty, read_text, &none, &e), 0);
    assert_int_equal(pack_writer_dataset(w, "zeta", "{\"a\":1}", &e), 0);
    assert_int_equal(pack_writer_dataset(w, "alpha", "{\"old\":1}", &e), 0);
    assert_int_equal(pack_writer_dataset(w, "alpha", "{\"new\":1}", &e), 0);
    end_writer(w);

    struct pack_io io;
    struct pack *p = NULL;
    struct pack_row row;
    struct pack_slice id, json;
    assert_int_equal(pack_file_open(path, &io, &e), 0);
    assert_int_equal(pack_open(&io, &p, &e), 0);
    assert_int_equal(pack_next(p, &row, &e), 1);
    assert_int_equal(row.size, 0);
    assert_true(row.has_facts);
    assert_int_equal(pack_next_dataset(p, &id, &json, &e), 1);
    assert_memory_equal(id.s, "alpha", id.len);
    assert_memory_equal(json.s, "{\"new\":1}", json.len);
    assert_int_equal(pack_next(p, &row, &e), 1);
    assert_int_equal(row.type, PACK_FOLDER);
    assert_int_equal(row.mtime, 7);
    assert_int_equal(pack_next(p, &row, &e), 1);
    assert_int_equal(row.mtime, -5);
    assert_int_equal(row.mtime_ns, 999999999);
    assert_int_equal(row.url.len, item.url.len);
    assert_memory_equal(row.url.s, item.url.s, item.url.len);
    assert_memory_equal(row.dataset.s, "autopet", 7);
    assert_memory_equal(row.etag.s, "\"abc\"", 5);
    assert_true(row.has_facts);
    assert_int_equal(row.facts.health, FACTS_OK);
    assert_int_equal(row.facts.facets, 2);
    assert_int_equal(row.facts.vertices, 3);
    assert_true(row.facts.max[0] == 1 && row.facts.min[2] == 0);
    assert_true(row.facts.surface == 1);
    assert_int_equal(pack_next_dataset(p, &id, &json, &e), 1);
    assert_memory_equal(id.s, "zeta", id.len);
    assert_int_equal(pack_next_dataset(p, &id, &json, &e), 0);
    assert_int_equal(pack_next(p, &row, &e), 0);
    pack_close(&p);
    pack_file_close(&io);
}

/* The facts of a shape of many blocks are those of the whole, also beside others. */
static void facts_of_many_blocks(void **state)
{
    enum { FACETS = 40000 };
    const char *path = path_in(state, 0, "facts.shapepack");
    struct buf stl = BUF_INIT;
    struct err e = {0};
    buf_str(&stl, "solid x\n");
    for (int i = 0; i < FACETS; i++)
        buf_fmt(&stl,
                " facet normal 0 0 1\n  outer loop\n   vertex %d 0 0\n   vertex %d 0 0\n"
                "   vertex %d 1 0\n  endloop\n endfacet\n",
                i, i + 1, i);
    buf_str(&stl, "endsolid x\n");
    assert_true(stl.len > CODEC_BLOCK_MAX);
    struct pack_writer *w = open_writer(path, false);
    add(w, "1.stl", stl.data, stl.len);
    add(w, "2.stl", stl.data, stl.len - 100);
    add(w, "3.txt", stl.data, stl.len);
    end_writer(w);
    struct pack_io io;
    struct pack *p = NULL;
    struct pack_row row;
    assert_int_equal(pack_file_open(path, &io, &e), 0);
    assert_int_equal(pack_open(&io, &p, &e), 0);
    assert_int_equal(pack_next(p, &row, &e), 1);
    assert_int_equal(row.facts.facets, FACETS);
    assert_int_equal(row.facts.health, FACTS_OK);
    assert_int_equal(row.facts.vertices, 2 * FACETS + 1);
    assert_int_equal(pack_next(p, &row, &e), 1);
    assert_int_equal(row.facts.facets, FACETS - 1);
    assert_int_equal(row.facts.health, FACTS_TRUNCATED);
    assert_int_equal(pack_next(p, &row, &e), 1);
    assert_false(row.has_facts);
    pack_close(&p);
    pack_file_close(&io);
    buf_free(&stl);
}

/* ---- failures ---- */

static int open_code(const char *path, bool replace)
{
    struct pack_writer_options o = {.path = path, .replace = replace, .threads = 1};
    struct pack_writer *w = NULL;
    struct err e = {0};
    int r = pack_writer_open(&o, &w, &e);
    assert_true((r == 0) == (w != NULL) && (r == 0) == (e.text[0] == '\0'));
    pack_writer_abort(&w);
    return r;
}

static void keeps_what_is_there(void **state)
{
    const char *path = path_in(state, 0, "there.shapepack");
    struct pack_writer *w = open_writer(path, false);
    add(w, "a", "text", 4);
    assert_int_equal(open_code(path, true), -EBUSY);
    end_writer(w);
    assert_int_equal(open_code(path, false), -EEXIST);
    assert_int_equal(open_code(path, true), 0);
    const struct sample want[] = {{"a", "text", 4}};
    check_pack(path, want, 1);
    assert_int_equal(symlink("there.shapepack", path_in(state, 0, "link.shapepack.partial")), 0);
    assert_int_equal(open_code(path_in(state, 0, "link.shapepack"), true), -ELOOP);
    assert_int_equal(open_code(path_in(state, 0, "no/folder.shapepack"), true), -ENOENT);
    check_pack(path_in(state, 0, "there.shapepack"), want, 1);
}

static void refuses_bad_paths(void **state)
{
    static const char *const bad[] = {"",   "/",   "/a",     "a/",   "a//b", ".",
                                      "..", "./a", "a/../b", "a/..", "a/.",  "../a"};
    char longest[PACK_PATH_MAX + 2];
    struct pack_writer *w = open_writer(path_in(state, 0, "bad.shapepack"), false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        assert_int_equal(add_text(w, bad[i], "x", 1, &e), -EINVAL);
        assert_true(e.text[0] != '\0');
    }
    struct text t = {.s = "x", .len = 1};
    struct pack_item nul = {.path = {"a\0b", 3}};
    assert_int_equal(pack_writer_add(w, &nul, read_text, &t, NULL), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[PACK_PATH_MAX + 1] = '\0';
    assert_int_equal(add_text(w, longest, "x", 1, NULL), -EINVAL);
    longest[PACK_PATH_MAX] = '\0';
    add(w, longest, "x", 1);
    end_writer(w);
    const struct sample want[] = {{longest, "x", 1}};
    check_pack(path_in(state, 0, "bad.shapepack"), want, 1);
}

/* Of a file that cannot be read to its end nothing is left, and the rest is fine. */
static void a_file_that_fails(void **state)
{
    char *big = malloc(BIG);
    fill_letters(big, BIG, 3);
    const char *path = path_in(state, 0, "fails.shapepack");
    struct pack_writer *w = open_writer(path, false);
    add(w, "1", big, 1000);
    uint64_t before = 0;
    for (int i = 0; i < 3; i++) {
        struct text t = {.s = big, .len = i == 0 ? 0 : i == 1 ? 10 : BIG, .fail = -EIO};
        struct pack_item item = {.path = slice("2")};
        struct err e = {0};
        assert_int_equal(pack_writer_add(w, &item, read_text, &t, &e), -EIO);
        assert_string_equal(e.text, "2: Input/output error");
        assert_true(i == 0 || pack_writer_size(w) == before);
        before = pack_writer_size(w);
    }
    add(w, "3", big, 2000);
    end_writer(w);
    const struct sample want[] = {{"1", big, 1000}, {"3", big, 2000}};
    check_pack(path, want, 2);
    free(big);
}

static int end_code(struct pack_writer *w, char *text)
{
    struct err e = {0};
    int r = pack_writer_end(&w, &e);
    assert_null(w);
    (void)snprintf(text, sizeof(e.text), "%s", e.text);
    return r;
}

static void two_of_one_name(void **state)
{
    char text[480];
    const char *path = path_in(state, 0, "twice.shapepack");
    struct pack_writer *w = open_writer(path, false);
    add(w, "sub/name.stl", "1", 1);
    add(w, "zzz", "1", 1);
    add(w, "sub/name.stl", "22", 2);
    assert_int_equal(end_code(w, text), -EEXIST);
    assert_non_null(strstr(text, "sub/name.stl"));
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_not_equal(access(path_in(state, 1, "twice.shapepack.partial"), F_OK), 0);
    w = open_writer(path, false);
    add(w, "a", "1", 1);
    add(w, "a-", "1", 1);
    add(w, "a/b", "1", 1);
    assert_int_equal(end_code(w, text), -ENOTDIR);
    assert_non_null(strstr(text, "a/b"));
}

static void aborts(void **state)
{
    const char *path = path_in(state, 0, "abort.shapepack");
    struct pack_writer *w = open_writer(path, false);
    add(w, "a", "1", 1);
    pack_writer_abort(&w);
    assert_null(w);
    pack_writer_abort(&w);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_not_equal(access(path_in(state, 1, "abort.shapepack.partial"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_names),
        cmocka_unit_test(an_empty_pack),
        cmocka_unit_test(mixed_sizes),
        cmocka_unit_test(many_small_files),
        cmocka_unit_test(every_field),
        cmocka_unit_test(facts_of_many_blocks),
        cmocka_unit_test(keeps_what_is_there),
        cmocka_unit_test(refuses_bad_paths),
        cmocka_unit_test(a_file_that_fails),
        cmocka_unit_test(two_of_one_name),
        cmocka_unit_test(aborts),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
