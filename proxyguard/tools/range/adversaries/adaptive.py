"""An attacker who learns: refused, it changes one thing, the cheapest that it has not tried yet, and goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from proxyguard.tools.range.browsers import PYTHON_REQUESTS, SYSTEMS, ClientSoftware, chrome, desktop_browser, program
from proxyguard.tools.range.networks import RangeSource, hosting_line, residential
from proxyguard.tools.range.people import load_assets
from proxyguard.tools.range.scraping import NOTHING_LEFT, WorkQueue, got, take_one
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor


class EvasiveChange(NamedTuple):
    """One thing that can be changed, to which level, and what it adds to the price of 1,000 items, in dollars."""

    part: str
    level: int
    dollars: float
    about: str


CHANGES: Final = (
    EvasiveChange("fields", 1, 0.0, "the user agent of a browser"),
    EvasiveChange("order", 1, 0.0, "numbers shuffled"),
    EvasiveChange("fields", 2, 0.0, "every header field of a browser"),
    EvasiveChange("pace", 1, 0.0, "a page a second for each worker"),
    EvasiveChange("fields", 3, 0.0, "a browser's TLS"),
    EvasiveChange("pool", 1, 0.02, "16 rented addresses"),
    EvasiveChange("pace", 2, 0.02, "a page in ten seconds for each worker"),
    EvasiveChange("keeps", 1, 0.05, "cookies kept, redirects followed, assets fetched"),
    EvasiveChange("pool", 2, 0.12, "home addresses, another one every ten pages"),
    EvasiveChange("pool", 3, 0.13, "home addresses, another one every other page"),
    EvasiveChange("software", 1, 0.60, "a real browser without a person: 30 browser minutes for 1,000 pages"),
    EvasiveChange("account", 1, 5.00, "bought accounts, one for 50 pages"),
)
"""The cost table, cheapest first. Traffic is paid besides, by the gigabyte. Prices: list prices of 2026, in round figures."""

WORKERS: Final = 16
REFUSALS: Final = 10
WINDOW: Final = 40
"""So many refusals among the last answers make it change something."""

GAPS: Final = (0.1, 1.0, 10.0)
MAX_PAGES: Final = 20_000


@dataclass(slots=True)
class ScrapingOperation:
    """What all workers of the attacker know."""

    queue: WorkQueue
    levels: dict[str, int] = field(default_factory=dict)
    tried: int = 0
    refused: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def level(self, part: str) -> int:
        return self.levels.get(part, 0)

    def learn(self, *, success: bool) -> None:
        """Note an answer; after too many refusals take the next change of the table."""
        self.refused.append(not success)
        if sum(self.refused) >= REFUSALS and self.tried < len(CHANGES):
            change = CHANGES[self.tried]
            self.tried += 1
            self.levels[change.part] = change.level
            self.refused.clear()
            if change.part == "order":
                self.queue.shuffle()

    @property
    def dollars(self) -> float:
        """What a page costs besides traffic, as things are now."""
        return sum(change.dollars for change in CHANGES if self.level(change.part) == change.level) / 1000


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    operation = ScrapingOperation(WorkQueue(shuffled=False))
    for index in range(WORKERS):
        yield Arrival(span.begin + index * 0.01, _worker(draw.stream(index), operation, index, span))


def _worker(random: Random, operation: ScrapingOperation, index: int, span: Presence) -> Session:
    visitor = _disguised(random, operation, index)
    worn = dict(operation.levels)
    pages = 0
    for _ in range(span.count(MAX_PAGES)):
        per_address = (0, 0, 10, 2)[operation.level("pool")]
        if operation.levels != worn or (per_address and pages >= per_address):
            visitor, worn, pages = _disguised(random, operation, index), dict(operation.levels), 0
        gap = GAPS[operation.level("pace")] * (0.5 + random.random())
        answer = yield from take_one(visitor, operation.queue, gap, b"/profiles/%d", operation.dollars)
        if answer is NOTHING_LEFT:
            return
        operation.learn(success=got(answer))
        if operation.level("keeps") and not pages:
            yield from load_assets(visitor, random, 10)
        pages += 1


def _disguised(random: Random, operation: ScrapingOperation, index: int) -> Visitor:
    fields = operation.level("fields")
    software = _software(random, fields)
    speaks = software.speaks if fields >= 3 or operation.level("software") else "python"
    keeps = operation.level("keeps") > 0
    return Visitor(_source(random, operation, index, speaks), software, follows=keeps, keeps_cookies=keeps, sends_referer=keeps)


def _software(random: Random, level: int) -> ClientSoftware:
    if level == 0:
        return PYTHON_REQUESTS
    copied = chrome(143, *SYSTEMS[0][:2])
    if level == 1:
        return program(copied.agent, "python", (b"User-Agent", copied.agent), *PYTHON_REQUESTS.fields[1:])
    return copied if level == 2 else desktop_browser(random)


def _source(random: Random, operation: ScrapingOperation, index: int, speaks: str) -> RangeSource:
    pool = operation.level("pool")
    if pool >= 2:
        return residential(random, speaks, random.randrange(256))
    return hosting_line(index if pool else 0, speaks, 6)


ADAPTIVE: Final = Cohort(
    name="adaptive", kind=CohortKind.ADVERSARY, arrivals=_arrivals,
    about="16 workers that change one thing, the cheapest, whenever ten of the last forty answers were refusals",
    source="a CDN's and a map service's accounts of how operators react; prices in the table CHANGES",
)  # fmt: skip
