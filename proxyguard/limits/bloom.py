"""The bits of Bloom filters (Bloom 1970): where a number has its own, whether they are set, and setting them.

Two independent numbers make all places (Kirsch and Mitzenmacher 2006). Both are smaller than the filter: sums of 64 bits take ten
times as long.
"""

from __future__ import annotations


def places_of(first: int, step: int, mask: int, probes: int) -> tuple[int, ...]:
    """The places of a number in a filter of `mask` + 1 bits, a power of two; `step` is odd."""
    return tuple([(first + at * step) & mask for at in range(probes)])


def has(bits: bytearray, places: tuple[int, ...]) -> bool:
    """Whether all places are set."""
    for place in places:  # noqa: SIM110 - half the cost of all() with a generator
        if not bits[place >> 3] >> (place & 7) & 1:
            return False
    return True


def put(bits: bytearray, places: tuple[int, ...]) -> None:
    """Set all places."""
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
