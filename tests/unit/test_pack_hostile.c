/* Packs as an enemy or a bad disk would have them: nothing wrong is ever served, and each is told
 * in one line. */
#include "pack_case.h"

/* A small pack with all kinds of rows and blocks, in memory. */
static void make_pack(void **state, struct buf *out)
{
    const char *path = path_in(state, 0, "small.shapepack");
    struct pack_writer *w = open_writer(path, false);
    struct pack_item folder = {.path = slice("void"), .type = PACK_FOLDER};
    char letters[300], stl[600];
    fill_letters(letters, sizeof(letters), 1);
    int len = snprintf(stl, sizeof(stl),
                       "solid x\n facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n   vertex 1 0 "
                       "0\n   vertex 0 1 0\n  endloop\n endfacet\nendsolid x\n");
    add(w, "letters", letters, sizeof(letters));
    add(w, "a.stl", stl, (size_t)len);
    add(w, "nothing", "", 0);
    assert_int_equal(pack_writer_add(w, &folder, NULL, NULL, NULL), 0);
    assert_int_equal(pack_writer_dataset(w, "d", "{\"name\":\"D\"}", NULL), 0);
    end_writer(w);
    buf_clear(out);
    assert_int_equal(fsio_read_file(path, 1 << 20, out), 0);
}

/* What a pack gave: whether an error was told, and a hash of all that was served as good. */
struct seen {
    bool told;
    unsigned rows;
    uint64_t hash[8]; /* of row i: path, times, sums and bytes */
};

static uint64_t hash_row(const struct pack_row *row, const struct buf *text)
{
    uint64_t h = hash64(row->path.s, row->path.len, row->size);
    h = hash64(row->sha256, row->type == PACK_FILE ? PACK_SHA256 : 0, h + (uint64_t)row->mtime);
    h = hash64(row->dataset.s, row->dataset.len, h + row->mtime_ns);
    h = hash64(row->url.s, row->url.len, h + row->has_facts + row->facts.facets);
    return hash64(text->data, text->len, h);
}

static void told(struct seen *s, const struct err *e)
{
    s->told = true;
    assert_true(e->code != 0 && e->text[0] != '\0' && strchr(e->text, '\n') == NULL);
}

static void look_at_datasets(struct pack *p, struct seen *s)
{
    struct pack_slice id, json;
    struct err e = {0};
    for (int r, n = 0; (r = pack_next_dataset(p, &id, &json, &e)) != 0 && n < 100; n++) {
        if (r < 0)
            told(s, &e);
        else
            assert_true(id.len == 1 && json.len == 12 &&
                        memcmp(json.s, "{\"name\":\"D\"}", 12) == 0);
        e = (struct err){0};
    }
}

static struct seen look(struct buf *bytes, struct codec *c)
{
    struct seen s = {.rows = 0};
    struct pack_io io = memory_io(bytes);
    struct pack *p = NULL;
    struct pack_row row;
    struct err e = {0};
    struct buf text = BUF_INIT;
    if (pack_open(&io, &p, &e) != 0)
        told(&s, &e);
    for (int r, n = 0; p != NULL && (r = pack_next(p, &row, &e)) != 0; n++) {
        assert_true(n < 1000); /* it comes to an end, whatever it is */
        if (r < 0)
            told(&s, &e);
        e = (struct err){0};
        if (r < 0)
            continue;
        if (read_row(&io, c, &row, &text) != 0)
            s.told = true;
        else if (s.rows < 8)
            s.hash[s.rows++] = hash_row(&row, &text);
    }
    if (p != NULL)
        look_at_datasets(p, &s);
    buf_free(&text);
    pack_close(&p);
    return s;
}

/* All that was served is what the good pack has, in its order. */
static void check_subset(const struct seen *got, const struct seen *good)
{
    unsigned k = 0;
    for (unsigned i = 0; i < got->rows; i++) {
        while (k < good->rows && good->hash[k] != got->hash[i])
            k++;
        assert_true(k < good->rows);
    }
}

static void each_bit_flipped(void **state)
{
    struct buf bytes = BUF_INIT;
    struct codec *c = codec_new(0);
    make_pack(state, &bytes);
    const struct seen good = look(&bytes, c);
    assert_false(good.told);
    assert_int_equal(good.rows, 4);
    for (size_t i = 0; i < bytes.len * 8; i++) {
        bytes.data[i / 8] = (char)(bytes.data[i / 8] ^ 1 << i % 8);
        struct seen got = look(&bytes, c);
        if (!got.told)
            print_error("bit %zu was not found\n", i);
        assert_true(got.told);
        check_subset(&got, &good);
        bytes.data[i / 8] = (char)(bytes.data[i / 8] ^ 1 << i % 8);
    }
    codec_free(&c);
    buf_free(&bytes);
}

static void truncated_at_each_length(void **state)
{
    struct buf bytes = BUF_INIT;
    struct codec *c = codec_new(0);
    make_pack(state, &bytes);
    size_t len = bytes.len;
    for (bytes.len = 0; bytes.len < len; bytes.len++) {
        struct seen got = look(&bytes, c);
        assert_true(got.told && got.rows == 0);
    }
    codec_free(&c);
    buf_free(&bytes);
}

/* Bytes put in or left out anywhere. */
static void shifted(void **state)
{
    struct buf bytes = BUF_INIT;
    struct codec *c = codec_new(0);
    make_pack(state, &bytes);
    const struct seen good = look(&bytes, c);
    for (size_t i = 0; i < bytes.len; i++) {
        struct buf other = BUF_INIT;
        buf_add(&other, bytes.data, i);
        buf_add(&other, bytes.data + i + 1, bytes.len - i - 1);
        struct seen got = look(&other, c);
        assert_true(got.told);
        check_subset(&got, &good);
        buf_clear(&other);
        buf_add(&other, bytes.data, i);
        buf_add(&other, "x", 1);
        buf_add(&other, bytes.data + i, bytes.len - i);
        got = look(&other, c);
        assert_true(got.told);
        buf_free(&other);
    }
    codec_free(&c);
    buf_free(&bytes);
}

/* ---- packs with right checksums and wrong contents ---- */

struct forged {
    struct buf bytes;
    struct pack_trailer trailer;
};

/* A pack of a few bytes of blocks and these records, all checksums right. */
static void forge(void **state, struct forged *f, const struct pack_row *row, size_t rows)
{
    const char *path = path_in(state, 0, "forged.shapepack");
    unsigned char head[PACK_HEAD + 100] = {0}, trailer[PACK_TRAILER];
    FILE *file = fopen(path, "w+e");
    assert_non_null(file);
    pack_head_write(head);
    assert_int_equal(fwrite(head, 1, sizeof(head), file), sizeof(head));
    assert_int_equal(fflush(file), 0);
    struct pack_pages *pages = pack_pages_new(fileno(file), sizeof(head));
    f->trailer = (struct pack_trailer){.files = rows};
    for (size_t i = 0; i < rows; i++) {
        struct buf b = BUF_INIT;
        pack_row_encode(&row[i], &b);
        f->trailer.text += row[i].size;
        assert_int_equal(pack_pages_add(pages, PACK_PAGE_ROWS, b.data, b.len), 0);
        buf_free(&b);
    }
    assert_int_equal(pack_pages_end(pages, &f->trailer), 0);
    pack_pages_free(&pages);
    (void)fclose(file);
    buf_clear(&f->bytes);
    assert_int_equal(fsio_read_file(path, 1 << 20, &f->bytes), 0);
    pack_trailer_write(&f->trailer, trailer);
    buf_add(&f->bytes, trailer, sizeof(trailer));
}

static void replace_trailer(struct forged *f, const struct pack_trailer *t)
{
    unsigned char trailer[PACK_TRAILER];
    pack_trailer_write(t, trailer);
    memcpy(f->bytes.data + f->bytes.len - PACK_TRAILER, trailer, PACK_TRAILER);
}

/* The first error that reading the rows tells; "" where there is none. */
static const char *first_error(struct buf *bytes, unsigned *rows)
{
    static struct err e;
    struct pack_io io = memory_io(bytes);
    struct pack *p = NULL;
    struct pack_row row;
    e = (struct err){0};
    *rows = 0;
    if (pack_open(&io, &p, &e) == 0)
        for (int r, n = 0; (r = pack_next(p, &row, &e)) != 0 && n < 1000; n++)
            *rows += r > 0;
    pack_close(&p);
    return e.text;
}

static struct pack_row plain(const char *path)
{
    return (struct pack_row){.path = slice(path)};
}

static void wrong_paths(void **state)
{
    static const struct {
        const char *path[2], *says;
        unsigned rows;
    } c[] = {
        {{"a", "b"}, "", 2},
        {{"same", "same"}, "damaged: it has two files of one name: same", 1},
        {{"b", "a"}, "damaged: its catalogue is not in order: a", 1},
        {{"a", "a/b"}, "damaged: it has a file below a file: a/b", 1},
        {{"ok", "/etc/passwd"}, "absolute or climbs", 1},
        {{"ok", "../x"}, "absolute or climbs", 1},
        {{"ok", "x/../../y"}, "absolute or climbs", 1},
        {{"ok", "x/"}, "absolute or climbs", 1},
        {{"ok", "x/./y"}, "absolute or climbs", 1},
        {{"ok", ""}, "absolute or climbs", 1},
        {{"ok", "z\nline\x1b[31m"}, "", 2},
    };
    struct forged f = {BUF_INIT, {0}};
    unsigned rows;
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        const struct pack_row row[] = {plain(c[i].path[0]), plain(c[i].path[1])};
        forge(state, &f, row, 2);
        const char *says = first_error(&f.bytes, &rows);
        assert_true(c[i].says[0] == '\0' ? says[0] == '\0' : strstr(says, c[i].says) != NULL);
        assert_int_equal(rows, c[i].rows);
    }
    buf_free(&f.bytes);
}

static void lies_of_the_trailer(void **state)
{
    const struct pack_row row[] = {plain("a"), plain("b")};
    struct forged f = {BUF_INIT, {0}};
    unsigned rows;
    forge(state, &f, row, 2);
    assert_string_equal(first_error(&f.bytes, &rows), "");
    static const uint64_t files[] = {0, 1, 3, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        struct pack_trailer t = f.trailer;
        t.files = files[i];
        replace_trailer(&f, &t);
        assert_non_null(strstr(first_error(&f.bytes, &rows), "damaged"));
        assert_true(rows <= 2);
    }
    struct pack_trailer t = f.trailer;
    t.text = UINT64_MAX;
    replace_trailer(&f, &t);
    assert_non_null(strstr(first_error(&f.bytes, &rows), "where its end says"));
    t = f.trailer;
    t.catalogue_sum++;
    replace_trailer(&f, &t);
    assert_non_null(strstr(first_error(&f.bytes, &rows), "checksum"));
    t = f.trailer;
    t.catalogue++;
    t.catalogue_len--;
    replace_trailer(&f, &t);
    assert_non_null(strstr(first_error(&f.bytes, &rows), "damaged"));
    buf_free(&f.bytes);
}

/* A page that unpacks to more than it says, or than any page may. */
static void page_bombs(void **state)
{
    const struct pack_row row[] = {plain("a")};
    struct forged f = {BUF_INIT, {0}};
    static const uint64_t raw[] = {0, 1, PACK_PAGE_MAX, PACK_PAGE_MAX + 1, UINT32_MAX};
    unsigned rows;
    for (size_t i = 0; i < 5; i++) {
        forge(state, &f, row, 1);
        struct pack_trailer t = f.trailer;
        unsigned char *head = (unsigned char *)f.bytes.data + t.catalogue;
        for (int k = 0; k < 4; k++)
            head[5 + k] = (unsigned char)(raw[i] >> (8 * k));
        t.catalogue_sum = hash64(head, PACK_PAGE_HEAD, 0);
        replace_trailer(&f, &t);
        assert_non_null(strstr(first_error(&f.bytes, &rows), "damaged"));
        assert_int_equal(rows, 0);
    }
    buf_free(&f.bytes);
}

/* Blocks whose row is right and whose bytes are not: each is refused, none is written beyond. */
static void blocks_that_lie(void **state)
{
    struct buf bytes = BUF_INIT;
    struct codec *c = codec_new(0);
    struct buf scratch = BUF_INIT;
    unsigned char out[64];
    (void)state;
    buf_add(&bytes, "\0\1hello", 7);
    struct pack_io io = memory_io(&bytes);
    struct pack_block b = {0, 7, 5, hash64(bytes.data, 7, 0), hash64("hello", 5, 0)};
    assert_int_equal(pack_read_block(&io, c, &b, &scratch, out), 0);
    assert_memory_equal(out, "hello", 5);
    b.text = 6;
    assert_int_equal(pack_read_block(&io, c, &b, &scratch, out), -EBADMSG);
    b.text = 5;
    b.text_sum ^= 1;
    assert_int_equal(pack_read_block(&io, c, &b, &scratch, out), -EBADMSG);
    b.text_sum ^= 1;
    b.packed_sum ^= 1;
    assert_int_equal(pack_read_block(&io, c, &b, &scratch, out), -EBADMSG);
    b.packed_sum ^= 1;
    b.offset = 1;
    assert_int_equal(pack_read_block(&io, c, &b, &scratch, out), -EIO);
    b.offset = 0;
    b.text = (uint64_t)CODEC_BLOCK_MAX + 1; /* as a codec of whole files would */
    assert_int_equal(pack_read_block(&io, c, &b, &scratch, out), -ENOTSUP);
    b.text = 5;
    bytes.data[0] = 16;
    b.packed_sum = hash64(bytes.data, 7, 0);
    assert_int_equal(pack_read_block(&io, c, &b, &scratch, out), -ENOTSUP);
    buf_free(&bytes);
    buf_free(&scratch);
    codec_free(&c);
}

/* What is read fails now and then: the error comes through, nothing else happens. */
static int read_failing(void *arg, uint64_t off, size_t len, void *out)
{
    struct {
        struct buf *bytes;
        unsigned left;
    } *f = arg;
    return f->left-- == 0 ? -EIO : read_memory(f->bytes, off, len, out);
}

static void reads_that_fail(void **state)
{
    const char *path = path_in(state, 0, "rows.shapepack");
    struct pack_writer *w = open_writer(path, false);
    for (unsigned i = 0; i < 6000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", i);
        add(w, name, name, strlen(name));
    }
    end_writer(w);
    struct buf bytes = BUF_INIT;
    assert_int_equal(fsio_read_file(path, 16 << 20, &bytes), 0);
    for (unsigned good = 0; good < 3; good++) {
        struct {
            struct buf *bytes;
            unsigned left;
        } f = {&bytes, good};
        struct pack_io io = {read_failing, &f, bytes.len};
        struct pack *p = NULL;
        struct pack_row row;
        struct err e = {0};
        int r = pack_open(&io, &p, &e);
        while (r >= 0 && (r = pack_next(p, &row, &e)) == 1)
            ;
        assert_int_equal(r, -EIO);
        assert_non_null(strstr(e.text, "Input/output error"));
        pack_close(&p);
    }
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bit_flipped),
        cmocka_unit_test(truncated_at_each_length),
        cmocka_unit_test(shifted),
        cmocka_unit_test(wrong_paths),
        cmocka_unit_test(lies_of_the_trailer),
        cmocka_unit_test(page_bombs),
        cmocka_unit_test(blocks_that_lie),
        cmocka_unit_test(reads_that_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
