#!/usr/bin/env python3
"""Makes src/codec/powers.c, the powers of ten that printing and reading of numbers multiply by, and proves what print.c
takes for granted.

    make-powers.py > src/codec/powers.c
    make-powers.py --check FILE     the file is what this makes, and the proofs hold
"""
import sys
from fractions import Fraction

FIRST, LAST = -342, 340
NEAR, FAR = -36, 47  # the binary exponents of usual numbers: 10^(16 - e) of these has 64 bits and zeros
HEAD = """/* Powers of ten, rounded down to 128 bits: made and checked by tests/unit/make-powers.py. */
#include "codec/number_i.h"

/* clang-format off */
const struct number_power number_powers[NUMBER_POWER_LAST - NUMBER_POWER_FIRST + 1] = {
%s};

const struct number_binade number_binades[NUMBER_BINADE_LAST - NUMBER_BINADE_FIRST + 1] = {
%s};
"""


def power(k):
    """10^k as (a, e): 10^k / 2^e is in [a, a + 1), and a has 128 bits."""
    if k >= 0:
        e = (10 ** k).bit_length() - 128
        return (10 ** k >> e if e > 0 else 10 ** k << -e), e
    e = -(10 ** -k).bit_length() - 127
    a = (1 << -e) // 10 ** -k
    return (a, e) if a < 1 << 128 else (a >> 1, e + 1)


def tens_of(x):
    """floor(log10(2^x))"""
    tens = len(str(1 << x)) - 1 if x >= 0 else -len(str((1 << -x) - 1))
    assert Fraction(10) ** tens <= Fraction(2) ** x < Fraction(10) ** (tens + 1)
    return tens


def binade(x):
    """What number_i.h says of [2^x, 2^(x+1))."""
    tens = tens_of(x)
    first = Fraction(10) ** (tens + 1) / Fraction(2) ** (x - 63)
    first = first if first < 1 << 64 else (1 << 64) - 1
    shifts = [62 - x - (power(16 - e)[1] + 127) for e in (tens, tens + 1)]
    return "{0x%016x, %d, {%d, %d}}" % (-(-first // 1), tens, *shifts)


def rows(words):
    return "".join("    %s,\n" % ", ".join(words[i:i + 2]) for i in range(0, len(words), 2))


def make():
    powers = rows(["{0x%016x, 0x%016x}" % divmod(power(k)[0], 1 << 64) for k in range(FIRST, LAST + 1)])
    return HEAD % (powers, rows([binade(x) for x in range(NEAR, FAR + 1)]))


def least(a, n, low, high):
    """The least x >= 0 with low <= a * x mod n <= high, or None; 0 <= low <= high < n."""
    if low == 0:
        return 0
    a %= n
    if a == 0:
        return None
    if (low + a - 1) // a * a <= high:
        return (low + a - 1) // a
    # No multiple of a before the first wrap is inside: look for the wrap, in the ring of a.
    y = least(n % a, a, -high % a, -low % a)
    return None if y is None else (low + n * y + a - 1) // a


def first_in(a, n, begin, low, high):
    """The least x >= begin with low <= a * x mod n <= high, or None."""
    shift = a * begin % n
    low, high = (low - shift) % n, (high - shift) % n
    x = 0 if low > high else least(a, n, low, high)
    return None if x is None else begin + x


def prove_no_doubt(x, shift):
    """No double m * 2^(x - 52), m of 53 bits less `shift`, leaves print.c in doubt: with a power of ten that is not exact
    the product's fraction is never so little below a half that the rest of the power could matter, nor an exact half."""
    binary = x - shift
    begin, end = 1 << 52 - shift, 1 << 53 - shift
    tens = tens_of(binary)
    assert tens == binary * 315653 >> 20
    for e10 in (tens, tens + 1):
        k = 16 - e10
        assert FIRST <= k <= LAST
        if 0 <= k <= 55:
            continue
        a, e = power(k)
        # v * 10^k = m * 2^(x - 52) * a * 2^e; the printed number is m * a >> bits.
        bits = -(x - 52 + e)
        unit = end  # the product's error is below m
        half, whole = 1 << bits - 1, 1 << bits
        m = first_in(a % whole, whole, begin, half - unit, half)
        while m is not None and m < end:
            value = Fraction(m) * Fraction(2) ** (x - 52)
            assert not Fraction(10) ** e10 <= value < Fraction(10) ** (e10 + 1), (m, x, k)
            m = first_in(a % whole, whole, m + 1, half - unit, half)


def prove():
    for x in range(NEAR, FAR + 1):
        for e in (tens_of(x), tens_of(x) + 1):
            assert power(16 - e)[0] % (1 << 64) == 0, x
    for j in range(FIRST, LAST + 1):
        a, e = power(j)
        assert e + 127 == j * 1741647 >> 19, j
        # v >= 10^j exactly if its 53 bits, moved up, are at least the upper word.
        assert a % (1 << 64) == 0 or (a >> 64) % 2048 != 0, j
        assert (a % (1 << 64) == 0) == (0 <= j <= 27)
    for x in range(-1022, 1024):
        prove_no_doubt(x, 0)
    for shift in range(1, 53):
        prove_no_doubt(-1022, shift)


def main():
    if len(sys.argv) == 1:
        sys.stdout.write(make())
        return
    with open(sys.argv[2]) as file:
        if file.read() != make():
            sys.exit("make-powers.py: %s is not what this makes" % sys.argv[2])
    prove()
    print("the table and its proofs hold")


main()
