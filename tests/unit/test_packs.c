/* The names of packed things, and files that come out of a pack: to their name when they are whole,
 * with and without files that have no name. */
#include "cli/options_i.h"
#include "cli/pack_text_i.h"
#include "dataset/packs_i.h"

#include "pack_case.h"

#include <fcntl.h>
#include <sys/stat.h>

/* ---- names ---- */

static void check_name(const char *path, int rc, const char *name)
{
    struct buf out = BUF_INIT;
    assert_int_equal(packs_name(path, &out), rc);
    if (rc == 0)
        assert_string_equal(buf_cstr(&out), name);
    buf_free(&out);
}

static void names(void **state)
{
    (void)state;
    check_name("a", 0, "a");
    check_name("a/b", 0, "a/b");
    check_name("/a//b/", 0, "a/b");
    check_name("././a/./b/.", 0, "a/b");
    check_name(".", 0, "");
    check_name("///", 0, "");
    check_name("", 0, "");
    check_name("...", 0, "...");
    check_name("a/..b", 0, "a/..b");
    check_name("..", -EINVAL, NULL);
    check_name("a/../b", -EINVAL, NULL);
    check_name("a/..", -EINVAL, NULL);
}

static void below(void **state)
{
    (void)state;
    assert_true(packs_below("", "a", 1));
    assert_true(packs_below("a", "a", 1));
    assert_true(packs_below("a", "a/b", 3));
    assert_false(packs_below("a", "ab", 2));
    assert_false(packs_below("a/b", "a", 1));
    assert_false(packs_below("a/b", "a/c", 3));
}

static void order(void **state)
{
    static const char *const sorted[] = {"",   "a",    "a/\x01", "a/b", "a/b/c",
                                         "a!", "a.st", "ab",     "b",   "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++)
        for (size_t k = 0; k < sizeof(sorted) / sizeof(sorted[0]); k++) {
            int c = packs_compare(sorted[i], sorted[k]);
            assert_true(i < k ? c < 0 : i > k ? c > 0 : c == 0);
        }
}

/* ---- places and files ---- */

static int open_root(void **state)
{
    int root = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(root >= 0);
    return root;
}

static void put(void **state, const char *name, const char *text)
{
    assert_int_equal(fsio_write_file(path_in(state, 0, name), text, strlen(text)), 0);
}

static void has(void **state, const char *name, const char *text)
{
    struct buf out = BUF_INIT;
    assert_int_equal(fsio_read_file(path_in(state, 0, name), 1 << 20, &out), 0);
    assert_string_equal(buf_cstr(&out), text);
    buf_free(&out);
}

static void check_place(int root, const char *path, int err)
{
    struct unpack_place *p = unpack_place_open(root, path, strlen(path));
    assert_non_null(p);
    if (err == -ENOTDIR && p->err == -ELOOP)
        err = -ELOOP;
    assert_int_equal(p->err, err);
    assert_string_equal(p->path, path);
    assert_int_equal(p->fd >= 0, err == 0);
    unpack_place_drop(&p);
    assert_null(p);
}

static void places(void **state)
{
    int root = open_root(state);
    check_place(root, "", 0);
    check_place(root, "a/b/c", 0);
    check_place(root, "a/b/c", 0);
    put(state, "file", "x");
    check_place(root, "file", -ENOTDIR);
    check_place(root, "file/x", -ENOTDIR);
    assert_int_equal(symlink("a", path_in(state, 0, "link")), 0);
    check_place(root, "link", -ENOTDIR);
    check_place(root, "link/b", -ENOTDIR);
    check_place(root, "a/link", 0);
    (void)close(root);
}

static struct unpack_file *file_of(int root, const char *path, bool unnamed, bool replace)
{
    struct pack_row row = {.path = slice(path), .type = PACK_FILE, .mtime = 77, .mtime_ns = 5};
    struct unpack_place *p = unpack_place_open(root, "", 0);
    assert_non_null(p);
    struct unpack_file *f = unpack_file_new(NULL, &row, p);
    assert_non_null(f);
    unpack_place_drop(&p);
    f->unnamed = unnamed;
    f->replace = replace;
    assert_int_equal(unpack_file_begin(f), 0);
    assert_int_equal(write(f->fd, "new", 3), 3);
    return f;
}

static size_t entries(void **state)
{
    char command[PATH_MAX + 32];
    size_t n = 0;
    (void)snprintf(command, sizeof(command), "ls -A '%s'", (const char *)*state);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    for (int c; (c = fgetc(list)) != EOF;)
        n += c == '\n' ? 1 : 0;
    (void)pclose(list);
    return n;
}

static void check_file(void **state, bool unnamed)
{
    int root = open_root(state);
    struct stat st;
    size_t before = entries(state);
    struct unpack_file *f = file_of(root, "new", unnamed, false);
    assert_int_equal(unpack_file_publish(f), 0);
    unpack_file_free(&f);
    assert_null(f);
    has(state, "new", "new");
    assert_int_equal(stat(path_in(state, 0, "new"), &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 77);
    assert_int_equal(st.st_mtim.tv_nsec, 5);

    put(state, "old", "old");
    f = file_of(root, "old", unnamed, false);
    assert_int_equal(unpack_file_publish(f), -EEXIST);
    unpack_file_free(&f);
    has(state, "old", "old");
    f = file_of(root, "old", unnamed, true);
    assert_int_equal(unpack_file_publish(f), 0);
    unpack_file_free(&f);
    has(state, "old", "new");

    f = file_of(root, "given-up", unnamed, true);
    unpack_file_free(&f);
    f = file_of(root, "twice", unnamed, true);
    struct unpack_file *again = file_of(root, "twice", unnamed, true);
    assert_int_equal(unpack_file_publish(again), 0);
    unpack_file_free(&again);
    unpack_file_free(&f);
    has(state, "twice", "new");
    assert_int_equal(entries(state), before + 3);
    assert_int_equal(fsio_remove_tree(path_in(state, 0, "new")), 0);
    (void)unlink(path_in(state, 0, "old"));
    (void)unlink(path_in(state, 0, "twice"));
    (void)close(root);
}

static void files_without_a_name(void **state)
{
    check_file(state, true);
}

static void files_with_a_name_for_the_while(void **state)
{
    check_file(state, false);
}

/* ---- the commands' texts and options ---- */

static void check_text(struct buf *out, const char *text)
{
    assert_string_equal(buf_cstr(out), text);
    buf_free(out);
}

static void texts(void **state)
{
    struct buf out = BUF_INIT;
    (void)state;
    struct medshapefs_packed p = {.files = 1, .text = 10, .packed = 200};
    pack_text(&out, "a\nb", &p);
    check_text(&out, "a?b: 1 file, 10 bytes, packed in 200\n");
    p = (struct medshapefs_packed){2, 1, 7000, 100, 3, 4};
    pack_text(&out, "x", &p);
    check_text(&out, "x: 2 files, 7000 bytes, packed in 100 (70.0 times smaller); 1 empty folder; "
                     "3 left out; 4 could not be read\n");
    struct medshapefs_unpacked u = {.files = 2, .folders = 2, .text = 9, .there = 1, .failed = 1};
    unpack_text(&out, &u, false);
    check_text(&out,
               "2 files, 9 bytes; 2 empty folders; 1 was there already; 1 did not come out\n");
    unpack_text(&out, &u, true);
    check_text(&out,
               "2 files, 9 bytes, as their SHA-256 say; 2 empty folders; 1 was there already; "
               "1 damaged\n");
}

static void options(void **state)
{
    char *argv[] = {(char *)"-C", (char *)"dir", (char *)"--directory=x", (char *)"unpack"};
    char *line[] = {(char *)"-fo", (char *)"out", (char *)"a", (char *)"--", (char *)"-b"};
    struct args a;
    (void)state;
    assert_int_equal(options_first_operand(4, argv), 3);
    assert_int_equal(args_parse(&a, OPTION_OUTPUT | OPTION_REPLACE, 5, line, NULL), 0);
    assert_int_equal(a.given, OPTION_OUTPUT | OPTION_REPLACE);
    assert_string_equal(a.output, "out");
    assert_null(args_mount(&a));
    assert_int_equal(a.operands, 2);
    assert_string_equal(a.operand[1], "-b");
    args_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(below),
        cmocka_unit_test(order),
        cmocka_unit_test(places),
        cmocka_unit_test(files_without_a_name),
        cmocka_unit_test(files_with_a_name_for_the_while),
        cmocka_unit_test(texts),
        cmocka_unit_test(options),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
