"""Those who claim to be somebody else: a search engine, six crawlers in a second, another address."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.adversaries.ai_crawlers import AGENTS as AI_AGENTS
from proxyguard.tools.range.browsers import SYSTEMS, chrome, program
from proxyguard.tools.range.cohorts.search_crawlers import ENGINES
from proxyguard.tools.range.networks import hosting_line
from proxyguard.tools.range.scraping import WorkQueue, take_one
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

PAGES: Final = 1_500
CLAIM_SECONDS: Final = 180.0
CLAIMS: Final = (
    b"X-Forwarded-For", b"Forwarded", b"X-Real-IP", b"True-Client-IP", b"CF-Connecting-IP", b"X-Client-IP", b"X-Forwarded",
    b"X-Cluster-Client-IP",
)  # fmt: skip


def _engines(span: Presence, draw: Draw) -> Iterator[Arrival]:
    queue = WorkQueue()
    for index, agent in enumerate(ENGINES):
        yield Arrival(span.begin, _engine(draw.stream(index), queue, agent, index, span.count(PAGES)))


def _engine(random: Random, queue: WorkQueue, agent: bytes, index: int, pages: int) -> Session:
    fields = ((b"User-Agent", agent), (b"Accept", b"text/html,application/xhtml+xml"), (b"Accept-Encoding", b"gzip, deflate"))
    visitor = Visitor(hosting_line(index, "python", 5), program(agent, "python", *fields), keeps_cookies=False)
    for _ in range(pages):
        yield from take_one(visitor, queue, 0.3 + random.random() * 0.4, b"/profiles/%d")


def _six_names(span: Presence, draw: Draw) -> Iterator[Arrival]:
    yield Arrival(span.begin + 1.0, _names(draw.stream(), span.count(PAGES) // 10))


def _names(random: Random, rounds: int) -> Session:
    queue = WorkQueue()
    names = (*AI_AGENTS[:3], *ENGINES[1:4])
    source = hosting_line(400, "python", 5)
    for _ in range(rounds):
        for at in range(13):
            agent = names[at % len(names)]
            visitor = Visitor(source, program(agent, "python", (b"User-Agent", agent), (b"Accept", b"*/*")), keeps_cookies=False)
            yield from take_one(visitor, queue, 0.07 if at else 20.0 + random.random() * 20, b"/posts/%d")


def _addresses(span: Presence, draw: Draw) -> Iterator[Arrival]:
    """From one address that floods, each request with another claimed one: an allowed office, loopback, at random."""
    yield Arrival(span.begin + 2.0, _claims(draw.stream(), span.count(PAGES), span.begin + CLAIM_SECONDS))


def _claims(random: Random, requests: int, until: float) -> Session:
    source = hosting_line(500, "python", 5)
    visitor = Visitor(source, chrome(143, *SYSTEMS[0][:2]), keeps_cookies=False, follows=False, patience=10.0)
    for number in range(requests):
        claimed = random.choice((b"127.10.0.1", b"127.0.0.1", b"10.0.0.1", b"192.0.2.%d" % random.randrange(256)))
        name = CLAIMS[number % len(CLAIMS)]
        value = b'for="%s"' % claimed if name == b"Forwarded" else claimed
        answer = yield visitor.fetch(0.1, b"/signup", method=b"POST", body=b"name=x%d" % number, extra=((name, value),))
        if answer.at >= until:
            return


FORGED_ENGINES: Final = Cohort(
    name="forged-engines", kind=CohortKind.ADVERSARY, arrivals=_engines,
    about="The user agents of four search engines from rented machines", source="the commonest forgery in published logs",
)  # fmt: skip
SIX_NAMES: Final = Cohort(
    name="six-names", kind=CohortKind.ADVERSARY, arrivals=_six_names,
    about="One address, 13 requests in a second under six crawlers' names", source="a small site's report of 2026",
)  # fmt: skip
FORGED_ADDRESSES: Final = Cohort(
    name="forged-addresses", kind=CohortKind.ADVERSARY, arrivals=_addresses,
    about="A sign-up flood whose requests each claim another address in a forwarding field",
    source="the fields that servers read a client's address from",
)  # fmt: skip
