/* The parts of a pack: numbers, rows, trailers; how it is found from its end; appends and copies.
 */
#include "pack_case.h"

#include <sys/stat.h>

/* ---- parts ---- */

static void varints(void **state)
{
    static const uint64_t value[] = {
        0, 1, 127, 128, 16383, 16384, 1u << 31, UINT64_C(1) << 63, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); i++) {
        struct buf b = BUF_INIT;
        pack_put_varint(&b, value[i]);
        for (size_t len = 0; len <= b.len; len++) {
            struct view v = view_of(b.data, len);
            uint64_t got = pack_get_varint(&v);
            assert_int_equal(v.err, len == b.len ? 0 : -EBADMSG);
            assert_true(got == (len == b.len ? value[i] : 0));
        }
        buf_free(&b);
    }
    static const unsigned char over[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    struct view v = view_of(over, sizeof(over));
    (void)pack_get_varint(&v);
    assert_int_equal(v.err, -EBADMSG);
}

static struct pack_row some_row(struct pack_block block[2])
{
    struct pack_row row = {.path = slice("folder/name.stl"),
                           .size = CODEC_BLOCK_MAX + 7,
                           .mtime = -1234567890123,
                           .mtime_ns = 5,
                           .url = slice("http://h/"),
                           .dataset = slice("d"),
                           .etag = slice("\"e\""),
                           .has_facts = true,
                           .facts = {.health = FACTS_OK,
                                     .binary = true,
                                     .facets = 84000,
                                     .vertices = FACTS_NO_COUNT,
                                     .min = {-1, -2, -3},
                                     .max = {4, 5, 6},
                                     .surface = 7.5,
                                     .volume = -8.25},
                           .block = block,
                           .blocks = 2};
    memset(row.sha256, 0xA5, sizeof(row.sha256));
    block[0] = (struct pack_block){16, 1000, CODEC_BLOCK_MAX, 1, 2};
    block[1] = (struct pack_block){1016, 9, 7, UINT64_MAX, 4};
    return row;
}

static void a_row_comes_back(void **state)
{
    struct pack_block block[2];
    struct pack_row row = some_row(block);
    struct pack_row_memory *m = malloc(sizeof(*m));
    struct buf b = BUF_INIT;
    struct err e = {0};
    (void)state;
    pack_row_encode(&row, &b);
    pack_put_varint(&b, 1000); /* a field of a later version */
    pack_put_varint(&b, 3);
    buf_str(&b, "new");
    assert_int_equal(pack_row_decode(b.data, b.len, 1025, m, &e), 0);
    assert_int_equal(m->row.blocks, 2);
    for (int i = 0; i < 2; i++) {
        const struct pack_block *b1 = &m->row.block[i], *b2 = &block[i];
        assert_true(b1->offset == b2->offset && b1->packed == b2->packed && b1->text == b2->text);
        assert_true(b1->packed_sum == b2->packed_sum && b1->text_sum == b2->text_sum);
    }
    const struct facts *f = &m->row.facts;
    assert_true(f->health == FACTS_OK && f->binary && !f->closed);
    assert_true(f->facets == 84000 && f->vertices == FACTS_NO_COUNT);
    assert_memory_equal(f->min, row.facts.min, sizeof(f->min));
    assert_memory_equal(f->max, row.facts.max, sizeof(f->max));
    assert_true(f->surface == 7.5 && f->volume == -8.25);
    assert_memory_equal(m->row.sha256, row.sha256, sizeof(row.sha256));
    assert_int_equal(m->row.size, row.size);
    assert_true(m->row.mtime == row.mtime && m->row.mtime_ns == 5);
    assert_int_equal(m->row.etag.len, 3);
    assert_int_equal(pack_row_decode(b.data, b.len, 1024, m, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "folder/name.stl"));
    for (size_t len = 0; len + 6 < b.len; len++)
        assert_int_equal(pack_row_decode(b.data, len, 1025, m, NULL), -EBADMSG);
    buf_free(&b);
    free(m);
}

static int decode(const struct pack_row *row)
{
    struct buf b = BUF_INIT;
    struct pack_row_memory *m = malloc(sizeof(*m));
    struct err e = {0};
    pack_row_encode(row, &b);
    int r = pack_row_decode(b.data, b.len, 1025, m, &e);
    assert_true((r == 0) == (e.text[0] == '\0'));
    buf_free(&b);
    free(m);
    return r;
}

/* Rows that lie about lengths: none gets through. */
static void rows_that_lie(void **state)
{
    struct pack_block block[2];
    struct pack_row row = some_row(block), r;
    (void)state;
    assert_int_equal(decode(&row), 0);
    static const uint64_t size[] = {0,
                                    1,
                                    CODEC_BLOCK_MAX,
                                    2 * (uint64_t)CODEC_BLOCK_MAX + 1,
                                    PACK_SIZE_MAX + 1,
                                    UINT64_MAX,
                                    UINT64_MAX - CODEC_BLOCK_MAX};
    for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        r = row;
        r.size = size[i];
        assert_int_equal(decode(&r), -EBADMSG);
    }
    static const uint64_t offset[] = {0, 15, 17, UINT64_MAX, UINT64_MAX - 1000};
    for (size_t i = 0; i < sizeof(offset) / sizeof(offset[0]); i++) {
        row = some_row(block);
        block[0].offset = offset[i];
        assert_int_equal(decode(&row), -EBADMSG);
    }
    static const uint32_t packed[] = {0, 2, 10, UINT32_MAX};
    for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++) {
        row = some_row(block);
        block[1].packed = packed[i];
        assert_int_equal(decode(&row), -EBADMSG);
    }
    row = some_row(block);
    block[0].text = UINT64_MAX;
    assert_int_equal(decode(&row), -EBADMSG);
    block[0].text = 1;
    assert_int_equal(decode(&row), -EBADMSG);
    row = some_row(block);
    row.type = PACK_FOLDER;
    assert_int_equal(decode(&row), -EBADMSG);
    row.type = 2;
    assert_int_equal(decode(&row), -EBADMSG);
    row = some_row(block);
    row.mtime_ns = 1000000000;
    assert_int_equal(decode(&row), -EBADMSG);
    row = some_row(block);
    row.facts.volume = 1e308 * 10;
    assert_int_equal(decode(&row), -EBADMSG);
    row = some_row(block);
    row.path = slice("a/../b");
    assert_int_equal(decode(&row), -EBADMSG);
}

static void fields_twice(void **state)
{
    struct pack_block block[2];
    struct pack_row row = some_row(block);
    struct pack_row_memory *m = malloc(sizeof(*m));
    struct buf b = BUF_INIT;
    (void)state;
    pack_row_encode(&row, &b);
    size_t first = 2 + row.path.len; /* the field of the path */
    buf_add(&b, "\001\001x", 3);
    assert_int_equal(pack_row_decode(b.data, b.len, 1025, m, NULL), -EBADMSG);
    assert_int_equal(pack_row_decode(b.data + first, b.len - first, 1025, m, NULL), 0);
    buf_free(&b);
    free(m);
}

static void order_of_paths(void **state)
{
    static const char *const up[] = {"a", "a/b", "a/b/c", "a/c", "a\001", "a b", "a-", "b", "b0"};
    (void)state;
    for (size_t i = 0; i < 9; i++)
        for (size_t k = 0; k < 9; k++) {
            int r = pack_path_follow(slice(up[i]), PACK_FOLDER, slice(up[k]));
            assert_int_equal(r, i < k ? 0 : i == k ? -EEXIST : -EINVAL);
        }
    assert_int_equal(pack_path_follow(slice("a"), PACK_FILE, slice("a/b/c")), -ENOTDIR);
    assert_int_equal(pack_path_follow(slice("a"), PACK_FILE, slice("ab")), 0);
}

static void trailers(void **state)
{
    unsigned char bytes[PACK_TRAILER];
    const struct pack_trailer t = {100, 50, 3, 4000, 99};
    struct pack_trailer got;
    struct err e = {0};
    (void)state;
    pack_trailer_write(&t, bytes);
    assert_int_equal(pack_trailer_read(bytes, 214, &got, &e), 0);
    assert_memory_equal(&got, &t, sizeof(t));
    for (uint64_t size = 0; size < 300; size++)
        assert_int_equal(pack_trailer_read(bytes, size, &got, NULL), size == 214 ? 0 : -EBADMSG);
    for (int i = 0; i < PACK_TRAILER * 8; i++) {
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_int_equal(pack_trailer_read(bytes, 214, &got, NULL), -EBADMSG);
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    bytes[8] = 2; /* a later version, with a checksum that is right */
    uint64_t sum = hash64(bytes, 56, 0);
    for (int i = 0; i < 8; i++)
        bytes[56 + i] = (unsigned char)(sum >> (8 * i));
    assert_int_equal(pack_trailer_read(bytes, 214, &got, &e), -ENOTSUP);
    assert_non_null(strstr(e.text, "version 2"));
    const struct pack_trailer far = {UINT64_MAX - 50, 200, 3, 4000, 99};
    pack_trailer_write(&far, bytes);
    assert_int_equal(pack_trailer_read(bytes, 213, &got, NULL), -EBADMSG);
}

/* ---- reading from the end ---- */

/* Counts what is read. */
struct counting {
    struct pack_io io;
    unsigned reads;
    uint64_t lowest, before;
    bool descends;
};

static int read_counting(void *arg, uint64_t off, size_t len, void *out)
{
    struct counting *c = arg;
    c->reads++;
    c->descends = c->descends || (c->reads > 2 && off < c->before);
    c->before = off;
    c->lowest = off < c->lowest ? off : c->lowest;
    return c->io.read(c->io.arg, off, len, out);
}

static void write_rows(const char *path, unsigned files)
{
    struct pack_writer *w = open_writer(path, false);
    char name[64];
    for (unsigned i = 0; i < files; i++) {
        (void)snprintf(name, sizeof(name), "%06u", i);
        add(w, name, name, 6);
    }
    end_writer(w);
}

static void found_from_the_end(void **state)
{
    const char *path = path_in(state, 0, "end.shapepack");
    for (unsigned files = 100; files <= 8000; files += 7900) {
        struct counting c = {.lowest = UINT64_MAX};
        struct pack_row row;
        struct pack *p = NULL;
        struct err e = {0};
        unsigned rows = 0;
        write_rows(path, files);
        assert_int_equal(pack_file_open(path, &c.io, &e), 0);
        struct pack_io io = {read_counting, &c, c.io.size};
        assert_int_equal(pack_open(&io, &p, &e), 0);
        assert_int_equal(c.reads, 1);
        while (pack_next(p, &row, &e) == 1)
            rows++;
        assert_int_equal(rows, files);
        if (files == 100)
            assert_int_equal(c.reads, 1);
        else
            assert_int_equal(c.lowest, pack_trailer(p)->catalogue);
        assert_false(c.descends);
        pack_close(&p);
        pack_file_close(&c.io);
    }
}

/* ---- appends ---- */

static unsigned rows_of(const char *path, struct buf *names, uint64_t *sum)
{
    struct pack_io io;
    struct pack *p = NULL;
    struct pack_row row;
    struct err e = {0};
    struct codec *c = codec_new(0);
    struct buf text = BUF_INIT;
    unsigned rows = 0;
    assert_int_equal(pack_file_open(path, &io, &e), 0);
    assert_int_equal(pack_open(&io, &p, &e), 0);
    buf_clear(names);
    for (int r; (r = pack_next(p, &row, &e)) != 0; rows++) {
        assert_int_equal(r, 1);
        assert_int_equal(read_row(&io, c, &row, &text), 0);
        buf_fmt(names, "%.*s=%.*s ", (int)row.path.len, row.path.s, (int)text.len, text.data);
    }
    *sum = pack_trailer(p)->catalogue_sum;
    buf_free(&text);
    codec_free(&c);
    pack_close(&p);
    pack_file_close(&io);
    return rows;
}

static void check_names(const char *path, const char *want)
{
    struct buf names = BUF_INIT;
    uint64_t sum;
    (void)rows_of(path, &names, &sum);
    assert_string_equal(buf_cstr(&names), want);
    buf_free(&names);
}

static void appends(void **state)
{
    const char *path = path_in(state, 0, "append.shapepack");
    struct err e = {0};
    struct pack_item folder = {.path = slice("dir"), .type = PACK_FOLDER};
    struct pack_writer *w = open_writer(path, true); /* begins one */
    add(w, "b", "1", 1);
    assert_int_equal(pack_writer_add(w, &folder, NULL, NULL, &e), 0);
    assert_int_equal(pack_writer_dataset(w, "d", "{}", &e), 0);
    end_writer(w);
    struct buf before = BUF_INIT, after = BUF_INIT;
    assert_int_equal(fsio_read_file(path, 1 << 20, &before), 0);
    w = open_writer(path, true);
    add(w, "dir/x", "2", 1);
    add(w, "a", "3", 1);
    assert_int_equal(pack_writer_add(w, &folder, NULL, NULL, &e), 0);
    end_writer(w);
    assert_int_equal(fsio_read_file(path, 1 << 20, &after), 0);
    assert_memory_equal(before.data, after.data, before.len);
    check_names(path, "a=3 b=1 dir= dir/x=2 ");

    w = open_writer(path, true); /* one that fails leaves all as it was */
    add(w, "b", "4", 1);
    assert_int_equal(pack_writer_end(&w, &e), -EEXIST);
    buf_clear(&before);
    assert_int_equal(fsio_read_file(path, 1 << 20, &before), 0);
    assert_int_equal(before.len, after.len);
    w = open_writer(path, true);
    add(w, "c", "5", 1);
    pack_writer_abort(&w);
    check_names(path, "a=3 b=1 dir= dir/x=2 ");
    buf_free(&before);
    buf_free(&after);
}

/* An append that was killed at any byte leaves the pack as it was, and the next append works. */
static void appends_that_were_cut_short(void **state)
{
    const char *path = path_in(state, 0, "short.shapepack");
    struct buf whole = BUF_INIT, old = BUF_INIT;
    struct pack_writer *w = open_writer(path, true);
    add(w, "old", "1", 1);
    end_writer(w);
    assert_int_equal(fsio_read_file(path, 1 << 20, &old), 0);
    w = open_writer(path, true);
    add(w, "new", "2", 1);
    end_writer(w);
    assert_int_equal(fsio_read_file(path, 1 << 20, &whole), 0);
    for (size_t len = old.len; len < whole.len; len++) {
        assert_int_equal(fsio_write_file(path, whole.data, len), 0);
        check_names(path, "old=1 ");
    }
    w = open_writer(path, true);
    add(w, "third", "3", 1);
    end_writer(w);
    check_names(path, "old=1 third=3 ");
    for (size_t len = 0; len < old.len; len++) {
        struct pack_io io;
        struct err e = {0};
        assert_int_equal(fsio_write_file(path, whole.data, len), 0);
        assert_int_equal(pack_file_open(path, &io, &e), -EBADMSG);
        assert_non_null(strstr(e.text, "short.shapepack: "));
    }
    buf_free(&whole);
    buf_free(&old);
}

/* ---- copies ---- */

static void copies(void **state)
{
    const char *from = path_in(state, 0, "from.shapepack");
    struct pack_writer *w = open_writer(from, false);
    char *big = malloc(CODEC_BLOCK_MAX + 5);
    fill_letters(big, CODEC_BLOCK_MAX + 5, 1);
    add(w, "big", big, CODEC_BLOCK_MAX + 5);
    add(w, "none", big, 0);
    add(w, "small", "text", 4);
    end_writer(w);
    struct pack_io io;
    struct pack *p = NULL;
    struct pack_row row, got;
    struct err e = {0};
    assert_int_equal(pack_file_open(from, &io, &e), 0);
    assert_int_equal(pack_open(&io, &p, &e), 0);
    const char *to = path_in(state, 1, "to.shapepack");
    w = open_writer(to, false);
    add(w, "first", "1", 1);
    while (pack_next(p, &row, &e) == 1)
        assert_int_equal(pack_writer_copy(w, &row, &io, &e), 0);
    add(w, "last", "9", 1);
    pack_rewind(p);
    assert_int_equal(pack_next(p, &row, &e), 1);
    struct pack_block bad[2] = {row.block[0], row.block[1]};
    uint64_t size = pack_writer_size(w);
    bad[1].packed_sum ^= 1;
    row.block = bad;
    row.path = slice("bad");
    assert_int_equal(pack_writer_copy(w, &row, &io, &e), -EBADMSG);
    assert_true(pack_writer_size(w) >= size && pack_writer_size(w) < size + 100);
    bad[1].packed_sum ^= 1;
    bad[1].text++;
    assert_int_equal(pack_writer_copy(w, &row, &io, &e), -EINVAL);
    bad[1].text--;
    bad[0].text = 1 << 30;
    assert_int_equal(pack_writer_copy(w, &row, &io, &e), -ENOTSUP);
    bad[0].text = CODEC_BLOCK_MAX;
    row.path = slice("../bad");
    assert_int_equal(pack_writer_copy(w, &row, &io, &e), -EINVAL);
    end_writer(w);
    pack_close(&p);

    struct pack_io copy;
    struct codec *c = codec_new(0);
    struct buf text = BUF_INIT;
    assert_int_equal(pack_file_open(to, &copy, &e), 0);
    e = (struct err){0};
    assert_int_equal(pack_open(&copy, &p, &e), 0);
    assert_int_equal(pack_next(p, &got, &e), 1);
    assert_int_equal(got.size, CODEC_BLOCK_MAX + 5);
    assert_int_equal(read_row(&copy, c, &got, &text), 0);
    assert_memory_equal(text.data, big, text.len);
    unsigned rows = 1;
    while (pack_next(p, &got, &e) == 1)
        rows++;
    assert_int_equal(e.code, 0);
    assert_int_equal(rows, 5);
    buf_free(&text);
    codec_free(&c);
    pack_close(&p);
    pack_file_close(&copy);
    pack_file_close(&io);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints),
        cmocka_unit_test(a_row_comes_back),
        cmocka_unit_test(rows_that_lie),
        cmocka_unit_test(fields_twice),
        cmocka_unit_test(order_of_paths),
        cmocka_unit_test(trailers),
        cmocka_unit_test(found_from_the_end),
        cmocka_unit_test(appends),
        cmocka_unit_test(appends_that_were_cut_short),
        cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
