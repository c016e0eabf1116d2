"""What scrapers share: a queue of what they still want, and the loops that take from it."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import Destination
from proxyguard.tools.range.draw import ITEMS
from proxyguard.tools.range.people import load_assets
from proxyguard.tools.range.values import Received, Session
from proxyguard.tools.range.visitor import Getting, Visitor

STEP: Final = 7_919
"""Shuffled order of the numbers: a prime that does not divide their count."""

MAX_GIVEN_BACK: Final = 50_000

NOTHING_LEFT: Final = Received(-1)
"""Stands for an empty queue; no answer is equal to it, whatever status rules refuse with."""


class WorkQueue:
    """The numbers of the items that an operation has not got yet; all its sessions take from it. What was refused goes back."""

    __slots__ = ("_back", "_next", "_shuffled")

    def __init__(self, *, shuffled: bool = True) -> None:
        self._next = 0
        self._shuffled = shuffled
        self._back: deque[int] = deque(maxlen=MAX_GIVEN_BACK)

    def take(self) -> int | None:
        """The next number; None when everything has been got."""
        if self._back:
            return self._back.popleft()
        if self._next >= ITEMS:
            return None
        self._next += 1
        return self._next * STEP % ITEMS + 1 if self._shuffled else self._next

    def shuffle(self) -> None:
        """Take numbers in a shuffled order from here on; some may come again."""
        self._shuffled = True

    def give_back(self, number: int) -> None:
        self._back.append(number)


def got(answer: Received) -> bool:
    """Whether a scraper has what it wanted: a page with data. Who answered it cannot see, but what is in it."""
    return answer.status == 200 and answer.items > 0


def take_one(visitor: Visitor, queue: WorkQueue, wait: float, pattern: bytes, dollars: float = 0.0) -> Getting:
    """Fetch the next item of the queue; NOTHING_LEFT when there is none."""
    number = queue.take()
    if number is None:
        return NOTHING_LEFT
    answer = yield from visitor.get(wait, pattern % number, dollars=dollars)
    if not got(answer):
        queue.give_back(number)
    return answer


def harvest(
    visitor: Visitor, random: Random, queue: WorkQueue, gap_seconds: float, pages: int, *, pattern: bytes = b"/profiles/%d",
    assets: int = 0, dollars: float = 0.0,
) -> Session:  # fmt: skip
    """Take so many pages at a pace that varies by half, without regard to what is answered."""
    for number in range(pages):
        if visitor.left <= 0:
            return
        wait = gap_seconds * (0.5 + random.random()) if number else 0.0
        answer = yield from take_one(visitor, queue, wait, pattern, dollars if not number else 0.0)
        if answer is NOTHING_LEFT:
            return
        if assets and not number:
            yield from load_assets(visitor, random, assets)


def check_names(visitor: Visitor, random: Random, gap_seconds: float, questions: int, prefix: bytes, until: float) -> Session:
    """Ask for so many names whether they have an account, by sending the sign-up form with each; not after `until`."""
    for number in range(questions):
        body = b"name=%s%d" % (prefix, number)
        wait = gap_seconds * (0.5 + random.random()) if number else random.random() * gap_seconds
        answer = yield visitor.fetch(wait, b"/signup", Destination.DOCUMENT, method=b"POST", body=body)
        if answer.at >= until:
            return
