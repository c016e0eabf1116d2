"""One address, and one network, with the copied fields of a browser; and the same that throw their cookies away."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import SYSTEMS, ClientSoftware, chrome
from proxyguard.tools.range.networks import hosting_line
from proxyguard.tools.range.scraping import NOTHING_LEFT, WorkQueue, got, take_one
from proxyguard.tools.range.values import Arrival, Arrivals, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

ADDRESSES: Final = 32
MINT_EVERY: Final = 8
"""Pages after which a minting client begins with a new cookie jar."""

GAP_SECONDS: Final = 1.0
BACK_OFF_SECONDS: Final = 2.0


def _software() -> ClientSoftware:
    return chrome(143, *SYSTEMS[0][:2])


def _arrivals_of(addresses: int, *, mints: bool) -> Arrivals:
    def arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
        queue = WorkQueue()
        for index in range(addresses):
            yield Arrival(span.begin, _session(draw.stream(index), queue, index, span, mints=mints))

    return arrivals


def _session(random: Random, queue: WorkQueue, index: int, span: Presence, *, mints: bool) -> Session:
    """A page a second until everything is got or the scenario ends; after a refusal it waits two seconds more."""
    visitor = Visitor(hosting_line(index, "python", 13), _software(), sends_referer=False)
    wait = random.random()
    for number in range(int((span.end - span.begin) / GAP_SECONDS) + 1):
        if mints and number % MINT_EVERY == 0:
            visitor.forget()
        answer = yield from take_one(visitor, queue, wait, b"/profiles/%d")
        if answer is NOTHING_LEFT:
            return
        wait = GAP_SECONDS * (0.5 + random.random()) + (0.0 if got(answer) else BACK_OFF_SECONDS)


SINGLE_ADDRESS: Final = Cohort(
    name="single-address", kind=CohortKind.ADVERSARY, arrivals=_arrivals_of(1, mints=False),
    about="One address with a Chrome's fields, a page a second", source="lab on aggregate limits, adversary g",
)  # fmt: skip
SINGLE_ADDRESS_MINTING: Final = Cohort(
    name="single-address-minting", kind=CohortKind.ADVERSARY, arrivals=_arrivals_of(1, mints=True),
    about="The same with a new cookie jar every eight pages", source="lab on aggregate limits, adversary g+",
)  # fmt: skip
ONE_NETWORK: Final = Cohort(
    name="one-network", kind=CohortKind.ADVERSARY, arrivals=_arrivals_of(ADDRESSES, mints=False),
    about="32 addresses of one /24 with a Chrome's fields, a page a second each", source="lab on aggregate limits, adversary f",
)  # fmt: skip
ONE_NETWORK_MINTING: Final = Cohort(
    name="one-network-minting", kind=CohortKind.ADVERSARY, arrivals=_arrivals_of(ADDRESSES, mints=True),
    about="The same with a new cookie jar every eight pages", source="lab on aggregate limits, adversary f+",
)  # fmt: skip
