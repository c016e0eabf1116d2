"""Harvests below every limit: few pages an address, or an account, for days."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import desktop_browser
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.scraping import NOTHING_LEFT, WorkQueue, got, harvest, take_one
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

ADDRESSES: Final = 200
ACCOUNTS: Final = 50
ACCOUNT_DOLLARS: Final = 0.25
"""For a fresh account with a confirmed mail address."""

ACCOUNT_PAGES_A_DAY: Final = 500
"""Just below the limit that the model case set for new accounts at its highest."""


def _harvest(span: Presence, draw: Draw) -> Iterator[Arrival]:
    queue = WorkQueue(shuffled=False)
    for index in range(span.count(ADDRESSES)):
        random = draw.stream(index)
        software = desktop_browser(random)
        visitor = Visitor(residential(random, software.speaks, index), software, sends_referer=False)
        every = random.uniform(120.0, 300.0)
        pages = int((span.end - span.begin) / every) + 1
        yield Arrival(span.begin, harvest(visitor, random, queue, every, pages))


def _accounts(span: Presence, draw: Draw) -> Iterator[Arrival]:
    queue = WorkQueue()
    for index in range(ACCOUNTS):
        yield Arrival(span.begin, _account(draw.stream(index), queue, index, span))


def _account(random: Random, queue: WorkQueue, index: int, span: Presence) -> Session:
    software = desktop_browser(random)
    visitor = Visitor(residential(random, software.speaks, index), software)
    visitor.cookies[b"session"] = b"new-9%d" % index
    visitor.bake()
    yield visitor.fetch(0.0, b"/", dollars=ACCOUNT_DOLLARS)
    gap = 86_400.0 / ACCOUNT_PAGES_A_DAY
    for _ in range(int((span.end - span.begin) / gap)):
        answer = yield from take_one(visitor, queue, gap * (0.5 + random.random()), b"/profiles/%d")
        if answer is NOTHING_LEFT:
            return
        if not got(answer):
            yield from visitor.get(60.0, b"/")


QUIET_HARVEST: Final = Cohort(
    name="quiet-harvest", kind=CohortKind.ADVERSARY, arrivals=_harvest,
    about="200 home addresses, a page every 2-5 minutes each, numbers in sequence, with cookies",
    source="lab on aggregate limits, adversary d",
)  # fmt: skip
FAKE_ACCOUNTS: Final = Cohort(
    name="fake-accounts", kind=CohortKind.ADVERSARY, arrivals=_accounts,
    about="50 bought accounts, each just below 500 pages a day",
    source="the model case's limit for new accounts; lab on aggregate limits, adversary e",
)  # fmt: skip
