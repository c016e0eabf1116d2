"""Programs with keys that use the API and honour 429."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.draw import EVEN, arrivals
from proxyguard.tools.range.networks import hosting
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 80
LIBRARIES: Final = (
    (b"python-requests/2.32.5", "python"), (b"okhttp/5.1.0", "okhttp"), (b"Go-http-client/1.1", "go"), (b"axios/1.12.2", "node"),
    (b"CommonsApp/4.2 (iPhone; iOS 18.6)", "safari"),
)  # fmt: skip


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index, at in enumerate(arrivals(draw.stream(), span.count(SESSIONS), span, EVEN)):
        yield Arrival(at, _session(draw.stream(index), index))


def _session(random: Random, index: int) -> Session:
    agent, speaks = random.choice(LIBRARIES)
    key = ((b"Authorization", b"Bearer key-%d" % index),)
    software = program(agent, speaks, (b"User-Agent", agent), (b"Accept", b"application/json"), (b"Accept-Encoding", b"gzip"))
    visitor = Visitor(hosting(random, speaks), software, keeps_cookies=False, extra=key)
    for number in range(random.randint(20, 120)):
        answer = yield from visitor.get(0.5 + random.random() * 10 if number else 0.0, b"/api/posts?page=%d" % (number + 1))
        if answer.status == 429:
            yield from visitor.get(max(answer.retry_after_seconds, 1.0), b"/api/posts?page=%d" % (number + 1))
        elif number % 10 == 9:
            yield from visitor.get(1.0, b"/api/posts", method=b"POST", body=b"text=hello")


API_CLIENTS: Final = Cohort(
    name="api-clients", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="API clients with keys, 6-20 requests a minute, that wait when told so",
    source="pace of published API clients; library user agents are right at an API",
)  # fmt: skip
