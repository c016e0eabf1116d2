"""The bits of Bloom filters, beside a set of places."""

from __future__ import annotations

from random import Random

from proxyguard.limits.bloom import has, put

MASK = 255
PROBES = 5


def test_what_was_put_is_there_and_whether_it_was_before_is_said() -> None:
    random, bits, places = Random(1), bytearray((MASK + 1) // 8), set[int]()
    for _ in range(100):
        first, step = random.randrange(MASK + 1), random.randrange(MASK + 1) | 1
        own = {(first + at * step) & MASK for at in range(PROBES)}
        assert has(bits, first, step, MASK, PROBES) == (own <= places)
        assert put(bits, first, step, MASK, PROBES) == (not own <= places)
        places |= own
        assert {place for place in range(MASK + 1) if bits[place >> 3] >> (place & 7) & 1} == places
