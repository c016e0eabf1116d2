"""The bits of Bloom filters (Bloom 1970): whether those of a number are set, and setting them.

Two independent numbers make all places (Kirsch and Mitzenmacher 2006): `first`, and one each `step`, which is odd, on. Both are
smaller than the filter, which has `mask` + 1 bits, a power of two: sums of 64 bits take ten times as long.
"""

from __future__ import annotations

from typing import Any

from proxyguard.core.number64 import Number64


def places(number: Number64, mask: int) -> tuple[int, int]:
    """The first place of a number in a filter, and the step to the next. Nobody outside may know of what it is the hash."""
    return number.low & mask, number.high & mask | 1


def has(bits: bytearray, first: int, step: int, mask: int, probes: int) -> bool:
    """Whether all places are set. Of a number that was not put in, one or two are looked at."""
    place, left = first, probes
    while left:  # compiled, `range` makes an object for each
        if not bits[place >> 3] >> (place & 7) & 1:
            return False
        place = (place + step) & mask
        left -= 1
    return True


def put(bits: bytearray, first: int, step: int, mask: int, probes: int) -> bool:
    """Set all places. Returns whether one was not set before."""
    place, left, is_new = first, probes, False
    while left:
        at: Any = place >> 3  # compiled, an object, made once for both uses
        byte: int = bits[at]
        bit = 1 << (place & 7)
        if not byte & bit:
            bits[at] = byte | bit
            is_new = True
        place = (place + step) & mask
        left -= 1
    return is_new
