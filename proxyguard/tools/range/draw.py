"""Draws that many cohorts share: when sessions begin, how long people wait, which page is read.

Shapes and their sources: pages of a visit ~ lognormal, median 6; gaps ~ lognormal, median 20 s; popularity Zipf-Mandelbrot with
s = 1 (published server logs; see docs/guide/range.md). They are assumptions about people, not a log of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import exp
from random import Random
from typing import Final

from proxyguard.tools.range.values import DAY_SECONDS, HOUR_SECONDS, Arrival, Arrivals, Draw, Presence, Session
from proxyguard.tools.range.weights import cumulated, index_by

AWAKE: Final = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 10, 10, 10, 10, 11, 12, 13, 13, 11, 8, 4)
"""How busy people are by hour of the day: the shape of public web logs, one time zone."""

OFFICE_HOURS: Final = (0, 0, 0, 0, 0, 0, 0, 4, 20, 14, 12, 10, 5, 10, 12, 10, 9, 6, 2, 0, 0, 0, 0, 0)
EVEN: Final = (1,) * 24

ITEMS: Final = 50_000
"""Profiles of the site, and as many posts."""


def arrivals(random: Random, count: int, span: Presence, hours: Sequence[int] = EVEN) -> Iterator[float]:
    """`count` moments of a span in order, spread by hour of the day; an hour is drawn when it comes, so memory stays small."""
    weights = []
    at = span.begin
    while at < span.end:
        until = min(span.end, (at // HOUR_SECONDS + 1) * HOUR_SECONDS)
        weights.append((at, until, hours[int(at % DAY_SECONDS // HOUR_SECONDS)] * (until - at)))
        at = until
    total = sum(weight for _, _, weight in weights)
    if not total:
        weights = [(begin, end, end - begin) for begin, end, _ in weights]
        total = sum(weight for _, _, weight in weights)
    done, reached = 0, 0.0
    for begin, end, weight in weights:
        reached += weight
        here = round(count * reached / total) - done
        done += here
        yield from sorted(random.uniform(begin, end) for _ in range(here))


def spread(count: int, hours: Sequence[int], session: Callable[[Random], Session]) -> Arrivals:
    """The arrivals of a cohort of `count` sessions a day by hour of the day, each with numbers of its own."""

    def made(span: Presence, draw: Draw) -> Iterator[Arrival]:
        for index, at in enumerate(arrivals(draw.stream(), span.count(count), span, hours)):
            yield Arrival(at, session(draw.stream(index)))

    return made


def midnights(span: Presence) -> Iterator[float]:
    """The beginning of each day until a span ends, from the first day of the scenario on."""
    day = 0.0
    while day < span.end:
        yield day
        day += DAY_SECONDS


def lognormal(random: Random, median: float, spread: float, highest: float) -> float:
    """A lognormal draw with this median; `spread` is the standard deviation of its logarithm."""
    return min(median * exp(random.gauss(0.0, spread)), highest)


def pages_of_visit(random: Random, median: float = 6.0, highest: float = 60.0) -> int:
    return max(1, round(lognormal(random, median, 0.9, highest)))


def gap(random: Random, median: float = 20.0) -> float:
    """How long a person reads before the next page, seconds."""
    return max(1.0, lognormal(random, median, 1.0, 900.0))


@cache
def _popularity() -> tuple[float, ...]:
    return cumulated(1.0 / (rank + 5) for rank in range(ITEMS))


def popular_item(random: Random) -> int:
    """The number of a profile or post that somebody reads: one of ten at random, the others by popularity."""
    if random.random() < 0.1:
        return random.randrange(1, ITEMS + 1)
    return spread_number(index_by(random, _popularity()))


def spread_number(rank: int) -> int:
    """The number of the item with this rank of popularity: ranks are scattered over the numbers."""
    return rank * 20_021 % ITEMS + 1  # 20,021 and 50,000 have no common divisor


def page_target(random: Random) -> bytes:
    """A page that a person opens."""
    kind = random.random()
    if kind < 0.45:
        return b"/posts/%d" % popular_item(random)
    if kind < 0.80:
        return b"/profiles/%d" % popular_item(random)
    if kind < 0.90:
        return b"/"
    if kind < 0.96:
        return b"/search?q=%s&page=1" % WORDS[random.randrange(len(WORDS))]
    if kind < 0.98:
        return b"/calendar/2026/%02d" % random.randrange(1, 13)
    return b"/code/blame/%d" % random.randrange(1, 400)


WORDS: Final = (b"garden", b"tram", b"bread", b"river", b"school", b"music", b"harbour", b"winter", b"bicycle", b"library")
