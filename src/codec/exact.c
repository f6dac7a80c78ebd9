/* The exact decimal digits of a double, by plain arithmetic on long numbers: what is left where the
 * powers of ten of 128 bits are not enough. */
#include "codec/number_i.h"

enum {
    LIMBS = 84, /* of 32 bits: 64 bits times 5^1075 */
    FIVES = 13, /* 5^13 is the largest power in a limb */
};

#define FIVE13 UINT32_C(1220703125)
#define TEN9   UINT32_C(1000000000)

static int times(uint32_t *big, int n, uint32_t by)
{
    uint64_t carry = 0;
    for (int i = 0; i < n; i++) {
        carry += (uint64_t)big[i] * by;
        big[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        big[n++] = (uint32_t)carry;
    return n;
}

static int times_power(uint32_t *big, int n, int e)
{
    for (; e >= 31; e -= 31)
        n = times(big, n, UINT32_C(1) << 31);
    n = times(big, n, UINT32_C(1) << (e > 0 ? e : 0));
    for (e = -e; e >= FIVES; e -= FIVES)
        n = times(big, n, FIVE13);
    for (; e > 0; e--)
        n = times(big, n, 5);
    return n;
}

static uint32_t over_ten9(uint32_t *big, int n)
{
    uint64_t rest = 0;
    for (int i = n; i-- > 0;) {
        rest = rest << 32 | big[i];
        big[i] = (uint32_t)(rest / TEN9);
        rest %= TEN9;
    }
    return (uint32_t)rest;
}

/* The decimal digits of `big`, from the end of `digits` on; returns where the first is. */
static int to_digits(uint32_t *big, int n, uint8_t digits[NUMBER_EXACT_DIGITS])
{
    int at = NUMBER_EXACT_DIGITS;
    while (n > 0) {
        uint32_t nine = over_ten9(big, n);
        for (int i = 0; i < 9; i++, nine /= 10)
            digits[--at] = (uint8_t)(nine % 10);
        while (n > 0 && big[n - 1] == 0)
            n--;
    }
    while (digits[at] == 0)
        at++;
    return at;
}

int number_exact(uint64_t m, int e, uint8_t digits[NUMBER_EXACT_DIGITS], int *point)
{
    uint32_t big[LIMBS];
    int even = __builtin_ctzll(m);
    if (e < 0) {
        int by = even < -e ? even : -e;
        m >>= by;
        e += by;
    }
    big[0] = (uint32_t)m;
    big[1] = (uint32_t)(m >> 32);
    int n = times_power(big, big[1] != 0 ? 2 : 1, e);
    int first = to_digits(big, n, digits), count = NUMBER_EXACT_DIGITS - first;
    *point = count + (e < 0 ? e : 0);
    while (digits[first + count - 1] == 0)
        count--;
    memmove(digits, digits + first, (size_t)count);
    return count;
}
