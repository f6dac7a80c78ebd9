/* A growing byte buffer with a sticky error. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* not NUL-terminated unless buf_cstr() was called */
    size_t len;
    size_t cap;
    int err; /* 0 or -ENOMEM; once set, each call does nothing */
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0, 0                                                                              \
    }
#define CLEANUP_BUF __attribute__((cleanup(buf_free)))

/* Frees the memory and makes the buffer empty, ready for use. */
void buf_free(struct buf *b);

/* Empties the buffer, keeps its memory. */
void buf_clear(struct buf *b);

/* Makes room for `more` further bytes; returns 0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t more);

/* Appends `len` bytes. */
void buf_add(struct buf *b, const void *data, size_t len);

/* Appends a C string. */
void buf_str(struct buf *b, const char *s);

/* Appends formatted text of any length. */
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends an integer, little-endian, of 1, 2, 4 or 8 bytes. */
void buf_le(struct buf *b, uint64_t value, unsigned bytes);

/* NUL-terminates without counting the NUL and returns the text; "" after an error. Valid until the
 * next call. */
const char *buf_cstr(struct buf *b);

/* Hands the NUL-terminated text to the caller, who frees it; NULL after an error. The buffer is
 * empty then. */
char *buf_take(struct buf *b);

/* A reader over bytes that somebody else owns; `err` is -EBADMSG once a read ran over the end. */
struct view {
    const unsigned char *p;
    const unsigned char *end;
    int err;
};

/* A view of `len` bytes at `data`. */
struct view view_of(const void *data, size_t len);

/* Reads a little-endian integer of 1, 2, 4 or 8 bytes; 0 when the bytes ran out. */
uint64_t view_le(struct view *v, unsigned bytes);

/* Takes `len` bytes; NULL when they ran out. The bytes stay the owner's. */
const void *view_take(struct view *v, size_t len);

/* Takes a string written by a 2-byte length and its bytes; *s is not NUL-terminated ("" and 0 on
 * error). */
void view_str(struct view *v, const char **s, size_t *len);

/* Appends a string as view_str() reads it; longer than 65,535 bytes is cut. */
void buf_lstr(struct buf *b, const char *s, size_t len);

#endif
