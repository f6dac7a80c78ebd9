/* Inside a pack: the bytes of trailers, pages and rows, and the two sides of the catalogue. */
#ifndef PACK_PACK_I_H
#define PACK_PACK_I_H

#include "base/sort.h"
#include "pack/pack.h"

enum {
    PACK_VERSION = 1,
    PACK_PAGE_HEAD = 17, /* kind, stored length, raw length, sum of the stored bytes */
    PACK_PAGE_AIM = 256 << 10,
    PACK_ROW_MAX = PACK_PAGE_MAX - 16,
};

enum pack_page { PACK_PAGE_ROWS = 1, PACK_PAGE_DATASETS = 2 };

extern const unsigned char pack_magic[8];

/* Writes the head of a pack. */
void pack_head_write(unsigned char out[PACK_HEAD]);

/* Writes a trailer. */
void pack_trailer_write(const struct pack_trailer *t, unsigned char out[PACK_TRAILER]);

/* 0, or -EBADMSG/-ENOTSUP with `e` for the first bytes of what is no pack. */
int pack_head_check(const unsigned char head[PACK_HEAD], struct err *e);

/* Appends an integer of up to 64 bits, 7 bits a byte, the lowest first. */
void pack_put_varint(struct buf *out, uint64_t value);

/* Reads it; 0 with v->err where it is cut short or longer than 64 bits. */
uint64_t pack_get_varint(struct view *v);

/* Appends a row's fields; `blocks` may lie anywhere, one behind the other. */
void pack_row_encode(const struct pack_row *row, struct buf *out);

/* A row with the memory of its blocks. */
struct pack_row_memory {
    struct pack_row row;
    struct pack_block block[PACK_BLOCKS_MAX];
};

/* Reads a row's fields; its blocks have to end at or before `limit`. 0, or -EBADMSG with `e`, which
 * names the path where it is known. The slices point into `bytes`. */
int pack_row_decode(const void *bytes, size_t len, uint64_t limit, struct pack_row_memory *m,
                    struct err *e);

/* Appends the key by which rows are in order: the path with NUL in place of '/', so that what is in
 * a folder comes right after its name. */
void pack_path_key(struct pack_slice path, struct buf *out);

/* True for a path that may be in a pack. */
bool pack_path_ok(struct pack_slice path);

/* How the path `next` may follow `before` (both in order of their keys): 0, -EEXIST the same path
 * once more, -ENOTDIR `before` is a file and a folder of `next`, -EINVAL not in order. */
int pack_path_follow(struct pack_slice before, uint8_t before_type, struct pack_slice next);

/* The bytes of the row that pack_next() gave last: fields that this version does not know are in
 * them too. */
struct pack_slice pack_row_bytes(const struct pack *p);

/* Writes the pages of a catalogue. */
struct pack_pages;

/* Begins at `offset` of file `fd`; NULL when out of memory. */
struct pack_pages *pack_pages_new(int fd, uint64_t offset);
/* Adds one row, or one dataset record, in order; all dataset records come first. 0 or -errno. */
int pack_pages_add(struct pack_pages *p, enum pack_page kind, const void *bytes, size_t len);
/* Writes what is left and tells place and sum of the catalogue. 0 or -errno. */
int pack_pages_end(struct pack_pages *p, struct pack_trailer *t);
/* Frees it and empties *p; NULL inside is fine. */
void pack_pages_free(struct pack_pages **p);

/* Appends a dataset record. */
void pack_dataset_encode(struct pack_slice id, struct pack_slice json, struct buf *out);
/* Reads one; its texts point into `bytes`. 0 or -EBADMSG. */
int pack_dataset_decode(const void *bytes, size_t len, struct pack_slice *id,
                        struct pack_slice *json);

#endif
