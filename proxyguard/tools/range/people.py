"""How people read: pages with their assets, waits between them, a sign-up now and then; and what they do when refused."""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import Destination
from proxyguard.tools.range.draw import gap, page_target
from proxyguard.tools.range.values import Fetch, Received, Session
from proxyguard.tools.range.visitor import Visitor

PATIENCE_SECONDS: Final = 120.0
"""A person who is told to come back later than that goes away."""

ASSET_KINDS: Final = (
    (b"/assets/%d.css", Destination.STYLE), (b"/assets/%d.js", Destination.SCRIPT), (b"/assets/%d.png", Destination.IMAGE),
    (b"/assets/%d.webp", Destination.IMAGE),
)  # fmt: skip

type Reading = Generator[Fetch, Received, bool]


def is_refusal(answer: Received) -> bool:
    """Whether a person would call it one: forbidden, too many, unavailable, or no answer at all."""
    return answer.status in {0, 403, 429, 503}


def read_page(visitor: Visitor, random: Random, wait: float, target: bytes) -> Reading:
    """Open a page; once more after a wait that was asked for. False: refused, and the person goes away."""
    answer = yield from visitor.get(wait, target)
    if is_refusal(answer):
        again = answer.retry_after_seconds or 5.0 + random.random() * 10
        if again > PATIENCE_SECONDS:
            return False
        answer = yield from visitor.get(again, target)
    return not is_refusal(answer)


def load_assets(visitor: Visitor, random: Random, count: int, within: float = 2.0) -> Session:
    """Load so many assets of a page, spread over the first seconds."""
    step = within / max(count, 1)
    base = random.randrange(40)
    for at in range(count):
        pattern, destination = ASSET_KINDS[min(at // 3, 3)]
        yield visitor.fetch(step * random.random() * 2, pattern % (base + at), destination)


def visit(
    visitor: Visitor,
    random: Random,
    pages: int,
    *,
    first: bytes | None = None,
    median_gap: float = 20.0,
    assets: tuple[int, int] = (8, 40),
) -> Session:
    """A visit of so many pages; all assets with the first one, a few pictures with the others."""
    target = first if first is not None else page_target(random)
    for number in range(pages):
        went_on = yield from read_page(visitor, random, gap(random, median_gap) if number else 0.0, target)
        if not went_on:
            return
        if assets[1]:
            yield from load_assets(visitor, random, random.randint(*assets) if not number else random.randrange(4))
        target = page_target(random)


def sign_up(visitor: Visitor, random: Random, wait: float) -> Reading:
    """Fill in the form: read it, type names that are asked for while they are typed, send it; again if the name is taken."""
    went_on = yield from read_page(visitor, random, wait, b"/signup")
    if not went_on:
        return False
    for _ in range(3):
        name = b"n%d" % random.randrange(10**9)
        for length in (4, 6):
            yield from visitor.get(1.5 + random.random(), b"/api/check-username?name=" + name[:length], Destination.FETCH)
        answer = yield from visitor.get(8.0 + random.random() * 20, b"/signup", method=b"POST", body=b"name=" + name)
        if is_refusal(answer):
            return False
        if answer.status != 409:
            return True
    return True


def log_in(visitor: Visitor, random: Random, wait: float) -> Reading:
    """Log in; a password in ten is mistyped once."""
    went_on = yield from read_page(visitor, random, wait, b"/login")
    if not went_on:
        return False
    name = b"name=u%d" % random.randrange(10**6)
    if random.random() < 0.1:
        yield from visitor.get(6.0 + random.random() * 6, b"/login", method=b"POST", body=name)
    answer = yield from visitor.get(6.0 + random.random() * 6, b"/login", method=b"POST", body=name)
    return not is_refusal(answer)
