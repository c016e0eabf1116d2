"""The front on real sockets: what only transports can show."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from proxyguard.adapters.mitmproxy.driver import ClientConnection
from proxyguard.adapters.mitmproxy.front import Front
from proxyguard.adapters.mitmproxy.http1.layer import Http1Layer
from proxyguard.adapters.mitmproxy.listener import ListenFault
from proxyguard.adapters.mitmproxy.services import ClientState
from proxyguard.core.address import Address, Network
from proxyguard.core.decision import PASS_BY_DEFAULT
from proxyguard.core.request import Request
from proxyguard.core.settings import Bounds, Buffering, Listen, Settings, Site, Trust, Upstream
from proxyguard.core.tarpit_budget import TarpitBudget
from proxyguard.guard.interfaces import Ticket
from tests.adapters.fakes import HeaderChecker, NotedEvents
from tests.adapters.front_rig import LOOPBACK, FrontRig, echo_length, fronted, hello, rest, run, until
from tests.ports import free_port

GET = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"
LAST = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nhi"


def wish(what: bytes) -> bytes:
    return b"GET /x HTTP/1.1\r\nHost: a.example\r\nX-Do: %b\r\n\r\n" % what


def test_requests_of_many_clients_share_upstream_connections() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            for _ in range(5):
                assert await rig.ask(GET * 3, count=3 * len(OK)) == OK * 3
            assert rig.upstream.connections == 1
            assert rig.front.stats()["upstream_idle"] == 1

    run(scenario())


def test_the_same_on_the_standard_loop() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            assert await rig.ask(GET * 2, count=2 * len(OK)) == OK * 2

    asyncio.run(scenario())


def test_a_large_upload_passes_with_bounded_buffers() -> None:
    async def scenario() -> None:
        async with fronted(echo_length) as rig:
            reader, writer = await rig.connect()
            size = 30_000_000
            writer.write(b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(30):
                writer.write(b"z" * 1_000_000)
                await writer.drain()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(8) == b"30000000"
            writer.close()

    run(scenario())


def test_a_client_that_does_not_read_stops_the_upstream_not_our_memory() -> None:
    written = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        while True:
            writer.write(b"z" * 65536)
            await writer.drain()
            written += 65536

    async def scenario() -> None:
        bounds = Bounds(buffer_bytes=128 * 1024, send_gap_seconds=0.4)
        async with fronted(endless, bounds=bounds, buffering=Buffering(response_bytes=0)) as rig:
            reader, writer = await rig.connect()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.1)
            held = next(iter(rig.front._runtime.connections))  # type: ignore[union-attr]  # it was started
            assert isinstance(held, ClientConnection)
            assert held.transport.get_write_buffer_size() <= 128 * 1024
            await until(lambda: rig.events.bounds["send_gap_seconds"] == 1)
            await until(lambda: rig.front.stats()["connections"] == 0)
            assert rig.served == [(200, "client-gone")]
            writer.close()

    run(scenario())


def test_an_upstream_that_does_not_read_stops_the_client() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # no public way to be this deaf
        await asyncio.sleep(30)

    async def scenario() -> None:
        async with fronted(deaf, bounds=Bounds(buffer_bytes=128 * 1024, body_gap_seconds=0.5)) as rig:
            reader, writer = await rig.connect()
            writer.write(b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000000\r\n\r\n")

            async def flood() -> None:
                while True:
                    writer.write(b"z" * 65536)
                    await writer.drain()

            flooding = asyncio.create_task(flood())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 504 Gateway Timeout")
            flooding.cancel()
            writer.close()
            assert rig.events.bounds["upstream_first_byte_seconds"] == 1

    run(scenario())


def test_a_rejection_reaches_a_client_that_is_still_sending() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            reader, writer = await rig.connect()
            writer.write(b"POST /x HTTP/1.1\r\nHost: a.example\r\nX-Do: reject\r\nContent-Length: 1000000\r\n\r\n")
            writer.write(b"z" * 100_000)
            answer = await rest(reader)
            assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
            assert answer.endswith(b"\n")
            writer.close()
            assert rig.upstream.connections == 0

    run(scenario())


def test_drop_and_ban_at_accept_say_nothing() -> None:
    async def scenario() -> None:
        banned = Address.parse("127.9.9.9")
        async with fronted(front={"refuse_at_accept": lambda address: address == banned}) as rig:
            assert await rig.ask(wish(b"drop")) == b""
            reader, writer = await rig.connect("127.9.9.9")
            writer.write(GET)
            assert await rest(reader) == b""
            assert await rig.ask(LAST) == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            assert len(rig.checker.requests) == 2  # type: ignore[attr-defined]  # the fake remembers

    run(scenario())


# -- tarpits -------------------------------------------------------------------------------------------------------------


def test_a_tarpit_drips_and_forgets_the_client_as_soon_as_it_leaves() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            reader, writer = await rig.connect()
            writer.write(wish(b"tarpit"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert await reader.readexactly(15) == b"<!doctype html>"
            assert (rig.front.stats()["tarpits"], rig.events.tarpits) == (1, 1)
            assert len(rig.front._runtime.connections) == 0  # type: ignore[union-attr]  # it was started
            gc.collect()
            assert [one for one in gc.get_objects() if isinstance(one, ClientConnection)] == []
            writer.close()
            await until(lambda: rig.front.stats()["tarpits"] == 0)
            assert (rig.front.stats()["connections"], rig.events.tarpits) == (0, 0)

    run(scenario())


@pytest.mark.parametrize("budget", [TarpitBudget(connections=2), TarpitBudget(per_network=2)], ids=["connections", "per-network"])
def test_beyond_its_budget_a_tarpit_rejects(budget: TarpitBudget) -> None:
    async def scenario() -> None:
        async with fronted(tarpit=budget) as rig:
            held = [await rig.connect() for _ in range(3)]
            for reader, writer in held:
                writer.write(wish(b"tarpit"))
                await reader.readuntil(b"\r\n")
            assert (rig.front.stats()["tarpits"], rig.events.bounds) == (2, {"tarpit": 1})
            for _, writer in held:
                writer.close()

    run(scenario())


@pytest.mark.parametrize("budget", [TarpitBudget(hold_seconds=0.2), TarpitBudget(bytes_per_connection=6)])
def test_a_tarpit_ends_by_time_and_by_bytes(budget: TarpitBudget) -> None:
    async def scenario() -> None:
        async with fronted(tarpit=budget) as rig:
            answer = await rig.ask(wish(b"tarpit"))
            head, _, body = answer.partition(b"\r\n\r\n")
            reference = head.lower().partition(b"x-proxyguard-reference: ")[2].partition(b"\r\n")[0]
            assert b"<code>%b</code></p><ul>\n" % reference in body
            assert len(body.partition(b"<ul>\n")[2]) <= 12

    run(scenario())


# -- upstreams -----------------------------------------------------------------------------------------------------------


def test_an_upstream_that_is_down_is_a_503_and_up_again_at_once() -> None:
    async def scenario() -> None:
        port = free_port()
        async with fronted(upstreams=(Upstream("http", LOOPBACK, port),)) as rig:
            answer = await rig.ask(LAST)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert str(port).encode() not in answer
            await rig.upstream.stop()
            await rig.upstream.start(port)
            assert (await rig.ask(LAST)).startswith(b"HTTP/1.1 200 OK\r\n")
            assert rig.served == [(503, "upstream-connect"), (200, "")]

    run(scenario())


def test_requests_go_round_and_past_an_upstream_that_is_down() -> None:
    async def scenario() -> None:
        async with fronted() as one, fronted() as two:
            down = free_port()
            ports = (one.upstream.port, down, two.upstream.port)
            async with fronted(upstreams=tuple(Upstream("http", LOOPBACK, port) for port in ports)) as rig:
                for _ in range(12):
                    assert (await rig.ask(LAST)).startswith(b"HTTP/1.1 200 OK\r\n")
                assert one.upstream.connections >= 1
                assert two.upstream.connections >= 1
                assert rig.front.stats()["upstreams_out"] == 1
                await rig.upstream.stop()
                await rig.upstream.start(down)
                await until(lambda: rig.front.stats()["upstreams_out"] == 0)

    run(scenario())


@pytest.mark.parametrize(("allowed", "kept"), [(1, 0), (2, 1)])
def test_a_probe_leaves_no_connection_behind_where_the_site_has_as_many_as_it_may(allowed: int, kept: int) -> None:
    """Each may hold one of few workers of the site."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await go_on.wait()
        writer.write(OK)

    async def scenario() -> None:
        async with fronted(slow) as up, fronted() as down:
            port = down.upstream.port
            await down.upstream.stop()
            behind = tuple(Upstream("http", LOOPBACK, each) for each in (up.upstream.port, port))
            async with fronted(upstreams=behind, site={"upstream_connections": allowed}) as rig:
                asking = asyncio.create_task(rig.ask(LAST))
                await begun.wait()
                await until(lambda: rig.front.stats()["upstreams_out"] == 1)
                await down.upstream.start(port)
                await until(lambda: rig.front.stats()["upstreams_out"] == 0)
                assert rig.front.stats()["upstream_idle"] == kept
                go_on.set()
                assert (await asking).startswith(b"HTTP/1.1 200 OK\r\n")

    run(scenario())


def test_a_kept_connection_that_the_upstream_closed_is_not_used_again() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)

    async def scenario() -> None:
        async with fronted(once) as rig:
            for _ in range(3):
                assert await rig.ask(GET, count=len(OK)) == OK
                await until(lambda: rig.front.stats()["upstream_connections"] == 0)
            assert rig.upstream.connections == 3

    run(scenario())


def test_an_upstream_that_closes_on_a_repeated_request_is_tried_anew() -> None:
    async def closes_on_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")

    async def scenario() -> None:
        async with fronted(closes_on_the_second) as rig:
            assert await rig.ask(GET * 3, count=3 * len(OK)) == OK * 3
            assert rig.upstream.connections == 3

    run(scenario())


def test_event_streams_pass_as_they_come() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            writer.write(b"data: %d\n\n" % number)
            await writer.drain()
            await asyncio.sleep(0.03)

    async def scenario() -> None:
        async with fronted(stream) as rig:
            reader, writer = await rig.connect()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            for number in range(3):
                assert await reader.readuntil(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
            assert await reader.readexactly(5) == b"0\r\n\r\n"
            writer.close()

    run(scenario())


def test_an_upgraded_connection_is_relayed_until_one_side_ends_it() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        while data := await reader.read(100):
            writer.write(data)

    async def scenario() -> None:
        async with fronted(echo) as rig:
            reader, writer = await rig.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert await reader.readexactly(5) == b"hello"
            writer.write(b"\x00raw")
            assert await reader.readexactly(4) == b"\x00raw"
            writer.write_eof()
            assert await rest(reader) == b""
            writer.close()

    run(scenario())


# -- bounds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "sent", "answer", "counted"),
    [
        (Bounds(head_seconds=0.1), b"", b"", "head_seconds"),
        (Bounds(head_seconds=0.1), b"GET / HT", b"HTTP/1.1 408 Request Timeout", "head_seconds"),
        (Bounds(idle_seconds=0.1), GET, b"HTTP/1.1 200 OK", "idle_seconds"),
        (
            Bounds(body_gap_seconds=0.1),
            b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\n\r\nz",
            b"HTTP/1.1 408 Request Timeout",
            "body_gap_seconds",
        ),
        (
            Bounds(target_bytes=100),
            b"GET /" + b"z" * 200 + b" HTTP/1.1\r\nHost: a.example\r\n\r\n",
            b"HTTP/1.1 414 URI Too Long",
            "target_bytes",
        ),
        (
            Bounds(head_bytes=1000),
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX: " + b"z" * 1000,
            b"HTTP/1.1 431 Request Header Fields Too Large",
            "head_bytes",
        ),
        (
            Bounds(field_bytes=100),
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX: " + b"z" * 100 + b"\r\n\r\n",
            b"HTTP/1.1 431 Request Header Fields Too Large",
            "field_bytes",
        ),
        (
            Bounds(header_count=3),
            b"GET / HTTP/1.1\r\nHost: a.example\r\nX: 1\r\nX: 1\r\nX: 1\r\n\r\n",
            b"HTTP/1.1 431 Request Header Fields Too Large",
            "header_count",
        ),
        (
            Bounds(body_bytes=10),
            b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 11\r\n\r\n",
            b"HTTP/1.1 413 Request Entity Too Large",
            "body_bytes",
        ),
    ],
    ids=["silent", "slow-head", "idle", "slow-body", "target", "head", "field", "count", "body"],
)
def test_every_bound_is_a_clear_answer_or_a_close(bounds: Bounds, sent: bytes, answer: bytes, counted: str) -> None:
    async def scenario() -> None:
        async with fronted(echo_length if sent.startswith(b"POST") else hello, bounds=bounds) as rig:
            got = await rig.ask(sent)
            assert got.partition(b"\r\n")[0].replace(b"Content Too Large", b"Request Entity Too Large") == answer
            assert rig.events.bounds == {counted: 1}

    run(scenario())


def test_an_upstream_that_never_answers_is_a_504() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await rest(reader)

    async def scenario() -> None:
        async with fronted(silent, bounds=Bounds(upstream_first_byte_seconds=0.1)) as rig:
            assert (await rig.ask(LAST)).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")

    run(scenario())


@pytest.mark.parametrize("counted", ["connections", "connections_per_network"])
def test_connections_beyond_the_bound_are_refused(counted: str) -> None:
    async def scenario() -> None:
        async with fronted(bounds=Bounds(**{counted: 3})) as rig:
            held = [await rig.connect() for _ in range(3)]
            await until(lambda: rig.front.stats()["connections"] == 3)
            assert await rig.ask(GET) == b""
            assert rig.events.bounds == {counted: 1}
            held[0][1].close()
            await until(lambda: rig.front.stats()["connections"] == 2)
            assert await rig.ask(GET, count=len(OK)) == OK
            for _, writer in held:
                writer.close()

    run(scenario())


# -- who the client is ---------------------------------------------------------------------------------------------------


def test_forged_addresses_do_not_reach_the_upstream() -> None:
    async def show(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))

    async def scenario() -> None:
        async with fronted(show) as rig:
            got = await rig.ask(LAST[:-2] + b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX_Real_IP: 1.2.3.4\r\n\r\n")
            assert b"1.2.3.4" not in got
            assert b"X-Forwarded-For: 127.0.0.1\r\n" in got

    run(scenario())


def test_a_proxy_header_from_a_trusted_peer_names_the_client() -> None:
    async def scenario() -> None:
        trust = Trust(proxies=(Network.parse("127.0.0.0/24"),), proxy_protocol=True)
        async with fronted(trust=trust) as rig:
            assert isinstance(rig.checker, HeaderChecker)
            got = await rig.ask(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n" + LAST)
            assert got.startswith(b"HTTP/1.1 200 OK\r\n")
            assert [(request.client.text, request.client.port) for request in rig.checker.requests] == [("203.0.113.9", 4711)]
            assert await rig.ask(LAST) == b""
            reader, writer = await rig.connect("127.1.0.1")
            writer.write(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n" + LAST)
            assert (await rest(reader)).startswith(b"HTTP/1.1 400 Bad Request\r\n")
            writer.close()

    run(scenario())


# -- start and end -------------------------------------------------------------------------------------------------------


def test_a_taken_address_is_said_plainly() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            settings = Settings(listen=(Listen(LOOPBACK, rig.port),), sites=(Site(),))
            with pytest.raises(ListenFault, match=f"listen: cannot bind 127.0.0.1:{rig.port}: Address already in use"):
                await Front(settings, HeaderChecker(), NotedEvents()).start()

    run(scenario())


def test_draining_lets_a_request_finish_and_nothing_new_begin() -> None:
    release = asyncio.Event()

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(OK)

    async def scenario() -> None:
        async with fronted(waits) as rig:
            busy_reader, busy = await rig.connect()
            idle_reader, idle = await rig.connect()
            tarpit_reader, tarpit = await rig.connect()
            busy.write(GET)
            tarpit.write(wish(b"tarpit"))
            await tarpit_reader.readuntil(b"\r\n\r\n")
            await until(lambda: rig.upstream.connections == 1)
            draining = asyncio.create_task(rig.front.drain(5.0))
            await rest(tarpit_reader)
            assert await rest(idle_reader) == b""
            with pytest.raises(ConnectionRefusedError):
                await rig.connect()
            assert not draining.done()
            release.set()
            assert await rest(busy_reader) == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            await draining
            assert asyncio.all_tasks() - {asyncio.current_task()} == set()
            for writer in (busy, idle, tarpit):
                writer.close()

    run(scenario())


def test_a_drain_holds_nobody_in_a_tarpit() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            reader, writer = await rig.connect()
            writer.write(wish(b"tarpit")[:20])
            await until(lambda: rig.front.stats()["connections"] == 1)
            await asyncio.sleep(0.02)
            draining = asyncio.create_task(rig.front.drain(20.0))
            await asyncio.sleep(0)
            writer.write(wish(b"tarpit")[20:])
            assert (await rest(reader)).startswith(b"HTTP/1.1 403 ")
            await draining
            writer.close()

    run(scenario())


def test_draining_ends_at_its_deadline() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await rest(reader)

    async def scenario() -> None:
        async with fronted(silent) as rig:
            reader, writer = await rig.connect()
            writer.write(GET)
            await until(lambda: rig.upstream.connections == 1)
            await rig.front.drain(0.05)
            assert await rest(reader) == b""
            writer.close()
            assert rig.served == [(499, "client-gone")]

    run(scenario())


class LaterChecker(HeaderChecker):
    """Answers checks in a later turn of the loop, as one with a remote store does."""

    def check(self, request: Request) -> Awaitable[Ticket]:  # type: ignore[override]  # one of the two kinds of answer
        return self._later(request)

    async def _later(self, request: Request) -> Ticket:
        self.requests.append(request)
        await asyncio.sleep(0)
        return Ticket(request, PASS_BY_DEFAULT, "0", 0.0)


def test_checks_may_take_their_time() -> None:
    async def scenario() -> None:
        async with fronted(checker=LaterChecker()) as rig:
            assert await rig.ask(GET * 3, count=3 * len(OK)) == OK * 3

    run(scenario())


def test_a_client_that_resets_in_the_middle_leaves_nothing_behind() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        await rest(reader)

    async def scenario() -> None:
        async with fronted(slow) as rig:
            reader, writer = await rig.connect()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await until(lambda: rig.front.stats()["connections"] == 0)
            await until(lambda: rig.front.stats()["upstream_connections"] == 0)
            assert rig.served == [(200, "client-gone")]

    run(scenario())


def test_what_a_client_held_is_freed_as_it_leaves_without_the_collector() -> None:
    """Otherwise a crowd that leaves stays in memory until the collector comes by, which an idle process does not hasten."""

    async def scenario() -> None:
        async with fronted() as rig:
            gc.collect()
            gc.disable()
            try:
                for _ in range(3):
                    _, writer = await rig.connect()
                    writer.write(GET)
                    await until(lambda: len(rig.served) > 0)
                    writer.close()
                    await until(lambda: rig.front.stats()["connections"] == 0)
                    rig.served.clear()
                await asyncio.sleep(0)
                assert [one for one in gc.get_objects() if isinstance(one, (ClientConnection, Http1Layer, ClientState))] == []
            finally:
                gc.enable()

    run(scenario())


def test_a_body_until_the_close_that_is_cut_ends_in_an_error_for_an_old_client() -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

    async def stays(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await breaks_off(reader, writer)
        await rest(reader)

    async def scenario(upstream: Callable[..., Awaitable[None]]) -> None:
        async with fronted(upstream) as rig:
            reader, writer = await rig.connect()
            writer.write(b"GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
            if upstream is stays:
                assert (await reader.readuntil(b"abc")).endswith(b"\r\n\r\nabc")
                await rig.front.drain(0.0)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    run(scenario(breaks_off))
    run(scenario(stays))


def test_many_clients_at_once_are_all_served() -> None:
    async def scenario() -> None:
        async with fronted() as rig:

            async def one(rig: FrontRig) -> bytes:
                return await rig.ask(GET, count=len(OK))

            answers = await asyncio.gather(*(one(rig) for _ in range(200)))
            assert answers == [OK] * 200

    run(scenario())


def test_a_body_until_the_close_is_not_whole_where_the_upstream_resets() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await asyncio.sleep(0.02)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def scenario() -> None:
        async with fronted(resets) as rig:
            assert (await rig.ask(LAST)).endswith(b"\r\n\r\n3\r\nabc\r\n")
            assert rig.served == [(200, "upstream-response")]

    run(scenario())


def test_an_upgraded_upstream_that_does_not_read_is_cut_in_time() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # no public way to be this deaf
        await asyncio.sleep(30)

    async def scenario() -> None:
        async with fronted(deaf, bounds=Bounds(upstream_first_byte_seconds=0.3)) as rig:
            reader, writer = await rig.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")

            async def flood() -> None:
                while True:
                    writer.write(b"z" * 65536)
                    await writer.drain()

            flooding = asyncio.create_task(flood())
            assert await rest(reader) == b""
            flooding.cancel()
            writer.close()
            assert rig.events.bounds == {"upstream_first_byte_seconds": 1}
            assert rig.served == [(101, "")]

    run(scenario())
