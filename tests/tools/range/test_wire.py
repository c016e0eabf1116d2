"""Wire mode on real sockets of loopback: the site counts what the virtual site counts, and a front's own answer is a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from random import Random

import pytest

from proxyguard.tools.range.browsers import desktop_browser
from proxyguard.tools.range.firewall import OpenGate
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.scraping import WorkQueue, harvest
from proxyguard.tools.range.site_server import SiteServer
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence
from proxyguard.tools.range.virtual import VirtualRun
from proxyguard.tools.range.visitor import Visitor
from proxyguard.tools.range.wire import WireRun


def _arrivals(span: Presence, draw: Draw, assets: int) -> Iterator[Arrival]:
    for index in range(4):
        random: Random = draw.stream(index)
        software = desktop_browser(random)
        yield Arrival(
            span.begin, harvest(Visitor(residential(random, "", index), software), random, WorkQueue(), 0.01, 5, assets=assets)
        )


def cohorts(assets: int = 0) -> list[tuple[Cohort, Iterator[Arrival]]]:
    """One that takes 4 times 5 pages in a moment; assets take a visitor seconds."""
    quick = Cohort(
        name="quick", kind=CohortKind.ADVERSARY, about="a test", source="a test", arrivals=partial(_arrivals, assets=assets)
    )
    return [(quick, quick.arrivals(Presence(100.0, 200.0), Draw(1, "quick")))]


def test_it_counts_what_the_virtual_clock_counts() -> None:
    async def wired() -> WireRun:
        site = SiteServer()
        run = WireRun(cohorts(assets=2), "127.0.0.1", site.port, 100.0, 30.0)
        await run.run()
        site.stop()
        return run

    run = asyncio.run(wired())
    free = VirtualRun(cohorts(assets=2), OpenGate(), (), 200.0)
    free.run()
    [real], [virtual] = run.tallies, free.tallies
    assert (real.sessions, real.requests, real.items) == (virtual.sessions, virtual.requests, virtual.items) == (4, 28, 5)
    assert real.addresses == virtual.addresses
    assert (real.refused_requests, run.failed) == (0, 0)


def run_against(answer: bytes) -> WireRun:
    """A run against a front that says this to every request, and no more."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with suppress(OSError):
            await writer.drain()
        writer.close()

    async def wired() -> WireRun:
        server = await asyncio.start_server(say, "127.0.0.1", 0)
        run = WireRun(cohorts(), "127.0.0.1", server.sockets[0].getsockname()[1], 100.0, 30.0)
        await run.run()
        server.close()
        return run

    return asyncio.run(wired())


def test_what_the_front_answers_by_itself_is_a_refusal() -> None:
    run = run_against(
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno.\r\n0\r\n\r\n"
    )
    [tally] = run.tallies
    assert (tally.refused_requests, tally.refused_sessions, tally.items) == (20, 4, 0)
    assert tally.rules == {"front": 20}


@pytest.mark.parametrize(
    "nonsense",
    [b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000, b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b""],
    ids=["no-status", "endless-head", "negative-length", "nothing"],
)
def test_a_front_that_answers_nonsense_refuses_and_does_not_end_the_run(nonsense: bytes) -> None:
    run = run_against(nonsense)
    assert (run.tallies[0].requests, run.tallies[0].refused_requests, run.failed) == (20, 20, 0)


def test_where_nobody_listens_nothing_is_decided_and_that_is_counted() -> None:
    run = WireRun(cohorts(), "127.0.0.1", 1, 100.0, 30.0)
    asyncio.run(run.run())
    assert run.failed == 20


def test_it_ends_when_its_time_is_over() -> None:
    run = WireRun(cohorts(), "127.0.0.1", 1, -1_000.0, 0.05)
    asyncio.run(run.run())
    assert run.tallies[0].requests == 0
