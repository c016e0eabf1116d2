"""An address whose health checks fail gets no requests until they are good again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxyguard.core.settings import HealthCheck, Site, Upstream
from proxyguard.settings.file import read_settings
from tests.adapters.front_rig import LOOPBACK, ScriptedUpstream, fronted, run, until

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
CHECK = HealthCheck(path="/healthz?x=1", interval_seconds=0.02, timeout_seconds=1.5, down_after=2, up_after=3)


class Sick:
    """A server that answers checks as told, and counts them and the requests of clients."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> None:
        self.answer = answer
        self.checks: list[bytes] = []
        self.requests = 0
        self.server = ScriptedUpstream(self.serve)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /healthz?x=1 "):
            self.checks.append(head)
            writer.write(self.answer)
            if not self.answer:
                await reader.read()
        else:
            self.requests += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 500 No\r\n\r\n",
    ],
)
def test_an_ill_address_is_left_out_and_comes_back(answer: bytes) -> None:
    async def scenario() -> None:
        well, ill = Sick(), Sick()
        await well.server.start()
        await ill.server.start()
        behind = tuple(Upstream("http", LOOPBACK, each.server.port) for each in (well, ill))
        async with fronted(upstreams=behind, site={"health": CHECK, "hosts": ("a.example",)}) as rig:
            for _ in range(4):
                await rig.ask(GET)
            assert (well.requests, ill.requests) == (2, 2)
            ill.answer = answer
            await until(lambda: rig.front.stats()["upstreams_out"] == 1)
            assert [each["state"] for each in rig.front.upstreams()] == ["up", "ill"]
            for _ in range(4):
                await rig.ask(GET)
            assert (well.requests, ill.requests) == (6, 2)
            ill.answer = well.answer
            await until(lambda: rig.front.stats()["upstreams_out"] == 0)
            for _ in range(4):
                await rig.ask(GET)
            assert ill.requests == 4
            assert ill.checks[0] == (
                b"GET /healthz?x=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: proxyguard-health-check\r\nAccept: */*\r\n"
                b"Connection: close\r\n\r\n"
            )
        await well.server.stop()
        await ill.server.stop()

    run(scenario())


def test_a_single_failure_changes_nothing_and_all_ill_are_all_tried() -> None:
    async def scenario() -> None:
        one = Sick(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        await one.server.start()
        async with fronted(upstreams=(Upstream("http", LOOPBACK, one.server.port),), site={"health": CHECK}) as rig:
            await until(lambda: len(one.checks) == 1)
            assert rig.front.stats()["upstreams_out"] == 0
            await until(lambda: rig.front.stats()["upstreams_out"] == 1)
            assert (await rig.ask(GET)).endswith(b"hi")
        await one.server.stop()

    run(scenario())


def test_one_site_may_be_ill_where_another_is_well() -> None:
    """Both are on the same servers, and each asks for itself."""

    class Shared(Sick):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            is_ill = head.startswith(b"GET /healthz") and b"\r\nHost: b.example\r\n" in head
            self.checks.append(head)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi" % (500 if is_ill else 200))

    async def scenario() -> None:
        one = Shared()
        await one.server.start()
        behind = (Upstream("http", LOOPBACK, one.server.port),)
        names = ("a.example", "b.example")
        sites = tuple(Site(hosts=(name,), upstreams=behind, health=CHECK) for name in names)
        async with fronted(sites=sites) as rig:
            for _ in range(3):
                seen = len(one.checks)
                await until(lambda: len(one.checks) > seen + 8)  # noqa: B023 - awaited in the same round
                assert [each["state"] for each in rig.front.upstreams()] == ["up", "ill"]
        await one.server.stop()

    run(scenario())


def test_the_operator_says_which_statuses_are_well() -> None:
    async def scenario() -> None:
        one = Sick(b"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n")
        await one.server.start()
        check = HealthCheck(path="/healthz?x=1", interval_seconds=0.02, timeout_seconds=5.0, statuses=(401,), down_after=1)
        async with fronted(upstreams=(Upstream("http", LOOPBACK, one.server.port),), site={"health": check}) as rig:
            await until(lambda: len(one.checks) > 3)
            assert rig.front.stats()["upstreams_out"] == 0
        await one.server.stop()

    run(scenario())


@pytest.mark.parametrize(
    "faulty", ["{interval: 5s}", "{path: healthz}", "{path: '/ x'}", "{path: /, status: 99}", "{path: /, down_after: 0}"]
)
def test_faulty_checks_are_refused(faulty: str, tmp_path: Path) -> None:
    path = tmp_path / "proxyguard.yaml"
    path.write_text(f"upstream: http://a\nhealth: {faulty}\n")
    assert isinstance(read_settings(path, {}), tuple)
