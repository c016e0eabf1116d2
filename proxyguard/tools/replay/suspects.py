"""Ranks stopped clients by how much they look like people: a weight from 0 to 100 made of plain signs, never a verdict.

A good imitation has every sign, and a person may have none. The weights give the order in which to look at clients by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import Final, NamedTuple

from proxyguard.tools.replay.clients import ClientRow

LOGGED_IN: Final = 35
VERIFIED: Final = 35
BROWSER: Final = 20
ASSETS: Final = 20
REFERERS: Final = 15
SPREAD: Final = 10
MOSTLY_PASSED: Final = 10

MAX_WEIGHT: Final = 100
MIN_WEIGHT: Final = 30
"""Clients below this are not shown: one sign alone, such as a browser's name, which anybody can send, means nothing."""

MAX_SUSPECTS: Final = 20

MIN_HOURS: Final = 3


class Suspicion(NamedTuple):
    """A client that may be stopped wrongly, with its weight and the signs it is made of."""

    row: ClientRow
    weight: int
    signs: tuple[str, ...]


def suspicion(row: ClientRow) -> Suspicion:
    found = [(points, sign) for points, sign, holds in _signs(row) if holds]
    return Suspicion(row, min(MAX_WEIGHT, sum(points for points, _ in found)), tuple(sign for _, sign in found))


def _signs(row: ClientRow) -> Iterable[tuple[int, str, bool]]:
    touched = row.stopped + row.shadowed
    yield LOGGED_IN, "logged in", row.logged_in > 0
    yield VERIFIED, "verified", row.verified
    yield BROWSER, "looks like a browser", row.browser * 5 >= row.requests * 4
    yield ASSETS, "loads assets", row.assets >= 2 and row.assets * 2 >= row.pages
    yield REFERERS, "follows links", row.referers >= 2 and row.referers * 2 >= row.requests
    yield SPREAD, "comes over hours", row.hours >= MIN_HOURS
    yield MOSTLY_PASSED, "mostly let through", 0 < touched * 5 < row.requests


def top_suspects(rows: Iterable[ClientRow], *, compared: bool) -> list[Suspicion]:
    """The clients that most look as if they were stopped wrongly; `compared`: of those that are newly stopped.

    Clients that only rules in shadow would stop count too.
    """
    hurt = (row for row in rows if (row.newly if compared else row.stopped or row.shadowed))
    weighed = (suspicion(row) for row in hurt)
    return nlargest(MAX_SUSPECTS, (found for found in weighed if found.weight >= MIN_WEIGHT), key=_rank)


def _rank(found: Suspicion) -> tuple[int, int, str]:
    return found.weight, found.row.newly + found.row.stopped + found.row.shadowed, found.row.key
