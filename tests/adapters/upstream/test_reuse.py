"""Which upstream connections carry another request: none on which the upstream may have lost count of where a message ends."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from proxyguard.adapters.mitmproxy.upstream.connection import CALM_CLOSES
from proxyguard.core.settings import Upstream, UpstreamReuse
from tests.adapters.front_rig import LOOPBACK, FrontRig, fronted, run
from tests.adapters.http1.rig import LaneRig
from tests.end_to_end.raw_upstream import Received, raw_upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
BODY = b"Content-Length: 2\r\n\r\nab"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
REQUESTS = [
    # the method, the rest of the head with the body, the answer, whether the connection is kept
    (b"GET", b"\r\n", OK, True),
    (b"GET", b"Content-Length: 0\r\n\r\n", OK, True),
    (b"DELETE", b"\r\n", OK, True),
    (b"OPTIONS", b"\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", True),
    (b"POST", BODY, OK, True),
    (b"PUT", BODY, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", True),
    (b"PATCH", CHUNKED, OK, True),
    (b"POST", b"Content-Length: 0\r\n\r\n", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", True),
    (b"GET", b"\r\n", b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", True),
    (b"GET", b"\r\n", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n', True),
    # a body where the server may expect none
    (b"GET", BODY, OK, False),
    (b"GET", CHUNKED, OK, False),
    (b"DELETE", BODY, OK, False),
    (b"OPTIONS", BODY, OK, False),
    (b"HEAD", BODY, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", False),
    (b"PROPFIND", BODY, OK, False),
    (b"QUERY", BODY, OK, False),
    (b"GETX", BODY, OK, False),
    # a body that the server may have refused without reading it
    (b"POST", BODY, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", False),
    (b"POST", BODY, b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: /x/\r\n\r\n", False),
    (b"PUT", CHUNKED, b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", False),
    # a body where the answer may have none
    (b"HEAD", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", False),
    (b"HEAD", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n", False),
    (b"GET", b"\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", False),
    (b"GET", b"\r\n", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", False),
    (b"GET", b"\r\n", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    (b"GET", UPGRADE, OK, False),
    # what the upstream says of the connection
    (b"GET", b"\r\n", b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nhi", False),
    (b"GET", b"\r\n", b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=1\r\nContent-Length: 2\r\n\r\nhi", False),
    (b"GET", b"\r\n", b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 2\r\n\r\nhi", True),
    (b"GET", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", False),
    (b"GET", b"\r\n", OK + b"HTTP/1.1 200 OK\r\n", False),
]  # fmt: skip


@pytest.mark.parametrize(("method", "rest", "answer", "is_kept"), REQUESTS)
def test_a_connection_is_kept_only_when_both_sides_agree_where_the_messages_end(
    method: bytes, rest: bytes, answer: bytes, is_kept: bool
) -> None:
    rig = LaneRig()
    rig.feed(b"%b /x HTTP/1.1\r\nHost: a.example\r\n%b" % (method, rest))
    rig.respond(answer)
    assert (bool(rig.idle), rig.upstreams[0].cut) == (is_kept, not is_kept)


def test_an_answer_before_the_whole_body_ends_the_connection_although_the_rest_follows() -> None:
    rig = LaneRig()
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nab")
    rig.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    rig.feed(b"cd")
    rig.respond(b"hi")
    assert rig.upstreams[0].got.endswith(b"\r\n\r\nabcd")
    assert rig.upstreams[0].cut


async def leaves_bodies_unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A hand-written server whose GET handler knows nothing of bodies."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"you asked for " + head.split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def answers_head_with_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A handler that ignores the method and sends the body 20 ms after the head, with a whole response in it."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split(b" ")[1]
        body = b"for " + target
        if target == b"/evil":
            body = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoisoned!"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        if head.startswith(b"HEAD"):
            await asyncio.sleep(0.02)
        writer.write(body)


SMUGGLED = b"GET /blocked HTTP/1.1\r\nHost: x\r\nX-Swallow: "


async def attack(rig: FrontRig, request: bytes, pause: float) -> bytes:
    """The attacker's request on one connection, then a victim's on another; the body of the victim's answer."""
    await rig.ask(request)
    await asyncio.sleep(pause)
    answer = await rig.ask(b"GET /victim HTTP/1.1\r\nHost: x\r\nCookie: secret\r\nConnection: close\r\n\r\n")
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"REPORT"])
def test_a_body_that_the_upstream_leaves_unread_reaches_no_other_client(method: bytes) -> None:
    request = b"%b /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (method, len(SMUGGLED))

    async def scenario() -> Counter[bytes]:
        async with fronted(leaves_bodies_unread) as rig:
            return Counter([await attack(rig, request + SMUGGLED, 0) for _ in range(10)])

    assert run(scenario()) == {b"you asked for /victim": 10}


def test_a_body_after_head_reaches_no_other_client() -> None:
    async def scenario() -> Counter[bytes]:
        async with fronted(answers_head_with_a_body) as rig:
            request = b"HEAD /evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            return Counter(
                [await attack(rig, request, pause) for pause in (0, 0.005, 0.01, 0.019, 0.021, 0.04) for _ in range(5)]
            )

    assert run(scenario()) == {b"for /victim": 30}


@pytest.mark.parametrize(("reuse", "connections"), [(UpstreamReuse.NEVER, 3), (UpstreamReuse.SAFE, 2), (UpstreamReuse.ALWAYS, 1)])
def test_the_operator_chooses_what_is_reused(reuse: UpstreamReuse, connections: int) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(OK.removesuffix(b"hi") if head.startswith(b"HEAD") else OK)

    async def counted() -> int:
        async with fronted(answers, site={"upstream_reuse": reuse}) as rig:
            for method in (b"HEAD", b"GET", b"GET"):
                await rig.ask(method + b" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return rig.upstream.connections

    assert run(counted()) == connections


def test_bytes_that_nobody_asked_for_are_seen_before_the_next_request() -> None:
    """Also when they came in the very turn in which the connection is wanted again."""

    def talks_on(connection: socket.socket, _: Received) -> None:
        connection.sendall(OK)
        time.sleep(0.02)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoisoned!")

    async def scenario(port: int) -> None:
        async with fronted(upstreams=(Upstream("http", LOOPBACK, port),)) as rig:
            reader, writer = await rig.connect()
            for _ in range(5):
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await reader.readuntil(b"\r\n\r\nhi")).count(b"HTTP/1.1") == 1
                assert rig.front.stats()["upstream_idle"] == 1
                time.sleep(0.05)  # noqa: ASYNC251 - the loop must not see what the upstream sends meanwhile
            writer.close()

    with raw_upstream(talks_on) as upstream:
        run(scenario(upstream.port))
        assert upstream.connections == 5


def test_connections_that_are_not_kept_hold_few_local_ports() -> None:
    """Clients choose how many there are: with FIN each would keep its port for a minute, and 28,000 are all."""
    count = 200

    def waiting(port: int) -> int:
        ends = [line.split()[2:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(other.endswith(f":{port:04X}") and state == "06" for other, state in ends)

    async def scenario() -> None:
        async with fronted(answers_head_at_once) as rig:
            began = time.monotonic()
            reader, writer = await rig.connect()
            for _ in range(count):
                writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
            writer.close()
            assert rig.upstream.connections == count
            assert await asyncio.to_thread(waiting, rig.upstream.port) <= CALM_CLOSES * (1 + time.monotonic() - began)

    run(scenario())


async def answers_head_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
