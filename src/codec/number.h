/* Numbers as text, exactly: what printf and strtod of a correct C library give, byte for byte and
 * bit for bit, without them. Pure; any thread. No libm, the same bits on every compiler and CPU. */
#ifndef CODEC_NUMBER_H
#define CODEC_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NUMBER_SLOT = 32, /* room of a number printed with %.17g: at most 24 bytes are used, all may be
                         written */
    NUMBER_LONG = 80, /* room of a finite float32, or of a double in exponent form, in any format */
};

/* Prints each of `n` doubles as %.17g into a slot of its own and its length into `len`. NaN and
 * infinities are printed as glibc does ("nan", "-nan", "inf", "-inf"). */
void number_print17(const double *v, size_t n, char (*slot)[NUMBER_SLOT], uint8_t *len);

/* The same of float32 values (converted to double first). */
void number_print17f(const float *v, size_t n, char (*slot)[NUMBER_SLOT], uint8_t *len);

/* How a writer prints numbers. */
enum number_style {
    NUMBER_G,        /* %.{precision}g */
    NUMBER_E,        /* %.{precision}e */
    NUMBER_F,        /* %.{precision}f */
    NUMBER_SHORTEST, /* fewest digits that give the same float32, of those the nearest (Python's
                        repr rules for the place of the exponent: 1e-05, 1e+16; "1.0" for whole
                        numbers) */
};

struct number_format {
    uint8_t style;     /* enum number_style */
    uint8_t precision; /* 0 to 17; not for NUMBER_SHORTEST */
    bool upper;        /* E in place of e */
    bool blank;        /* a blank where there is no minus sign (the flag ' ' of printf) */
};

/* Prints one value as printf would, NaN and infinities too; returns its length, at most
 * NUMBER_LONG, or 0 where that would not do (a double of over 76 digits in style F) or there is no
 * such format. NUMBER_SHORTEST prints (float)v. All of `out` may be written. */
unsigned number_print(const struct number_format *f, double v, char out[NUMBER_LONG]);

/* Reads a decimal number ([+-]digits[.digits][(e|E)[+-]digits], digits on one side of the point at
 * least, of any length) at `p`: *v is the nearest double (ties to even), as strtod gives it, which
 * is an infinity where the number is too large; returns where it ends, or NULL where there is none
 * (*v is untouched then). Neither blanks before it nor hexadecimal, inf or nan are taken. Reads no
 * byte at or after `end`. Time is linear in the length. */
const char *number_parse(const char *p, const char *end, double *v);

/* The same for the float32 that is nearest to the text itself, as strtof gives it. For text that
 * was printed with 9 significant digits or more from a float32 this is that float32. The fast path
 * of the encoder: it takes numbers with a point of up to 19 digits where 32 bytes from `p` on are
 * readable; it does not read past `end` all the same. */
const char *number_parsef(const char *p, const char *end, float *v);

#endif
