/* An error that a user reads: a code and one line "WHAT: WHY (what to do)". */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
    int code;       /* 0 or -errno */
    char text[480]; /* no newline, no secret; "" while code is 0 */
};

/* Fills `e` (which may be NULL) and returns `code`, so that a caller writes `return err_set(...)`.
 * The first error wins: a second call keeps the text that is there. Any thread; `e` is the
 * caller's. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text of an error that is set; does nothing otherwise. */
void err_prefix(struct err *e, const char *prefix);

/* A short English text for a negative or positive errno; static, never NULL. Any thread. */
const char *err_text(int code);

#endif
