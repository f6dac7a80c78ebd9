/* The probabilities of the small coder: where each context's are, and what they start from. */
#ifndef CODEC_SMALL_I_H
#define CODEC_SMALL_I_H

#include <stdint.h>

/* Trees of 32 probabilities for tokens of the 1st, 2nd and 3rd corner; one of 64 for the length of
 * numbers; one of 64 a class for the length of residuals, and 4 a length for their next two bits.
 */
enum {
    SMALL_A = 0,
    SMALL_B = SMALL_A + 64 * 32,
    SMALL_C = SMALL_B + 32 * 32,
    SMALL_NUMBER = SMALL_C + 96 * 32,
    SMALL_LENGTH = SMALL_NUMBER + 64,
    SMALL_MANTISSA = SMALL_LENGTH + 4 * 64,
    SMALL_PROBABILITIES = SMALL_MANTISSA + 64 * 4,
};

/* 256 times the probability of a 0, 1 to 255. Made by tests/bench/learn_small.c. */
extern const uint8_t small_table[SMALL_PROBABILITIES];

#endif
