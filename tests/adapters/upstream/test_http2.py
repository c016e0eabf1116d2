"""HTTP/2 to the upstream, over real sockets: what goes out and comes back, and what an upstream may do to all of its requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes

from proxyguard.adapters.mitmproxy.http2.layer import Http2Layer
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamConnection
from proxyguard.adapters.mitmproxy.upstream.multiplexed import RESETS, MultiplexedConnection
from proxyguard.adapters.mitmproxy.upstream.stream import TRIES, TRIES_OF_LEAVERS
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.settings import Bounds, HealthCheck, Upstream, UpstreamHttp, UpstreamReuse, UpstreamTls
from tests.adapters.certificates import write_certificate
from tests.adapters.fakes import HeaderChecker
from tests.adapters.front_rig import LOOPBACK, FrontRig, ScriptedUpstream, fronted, hello, run, until
from tests.adapters.http2.rig import post
from tests.adapters.http2.test_front import HOST, connected
from tests.adapters.upstream.http2_peer import Asked, Http2Upstream, Peer, serve

GET = b"GET %b HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%b\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
OK = [(b":status", b"200")]
GRPC = [(b"te", b"trailers"), (b"content-type", b"application/grpc")]


@asynccontextmanager
async def behind(upstream: Http2Upstream, **settings: Any) -> AsyncIterator[FrontRig]:
    """A front before an HTTP/2 server."""
    site = {"upstream_http": UpstreamHttp.HTTP2, **settings.pop("site", {})}
    async with fronted(upstream, site=site, **settings) as rig:
        yield rig


def get(path: bytes = b"/x", more: bytes = b"") -> bytes:
    return GET % (path, more)


async def ask_all(rig: FrontRig, *requests: bytes) -> list[bytes]:
    return await asyncio.gather(*(rig.ask(request) for request in requests))


# -- what goes out and comes back ----------------------------------------------------------------------------------------------


def test_a_request_goes_out_as_it_was_inspected() -> None:
    async def scenario() -> None:
        upstream = Http2Upstream(serve)
        async with behind(upstream) as rig:
            more = b"X-Mine: A b\r\nTE: trailers\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nCookie: a=1\r\nProxy: x\r\n"
            request = b"GET /a%20b?c=d HTTP/1.1\r\nHost: A.example:81\r\n" + more + b"\r\n"
            assert (await rig.ask(request, count=17)) == b"HTTP/1.1 200 OK\r\n"
            fields = upstream.asked[0].fields
            assert fields[:4] == [
                (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.example:81"), (b":path", b"/a%20b?c=d"),
            ]  # fmt: skip
            names = [name for name, _ in fields]
            assert len(set(names)) == len(names)
            assert {(b"x-mine", b"A b"), (b"te", b"trailers"), (b"cookie", b"a=1")} <= set(fields)
            assert not {b"host", b"connection", b"keep-alive", b"proxy", b"x-hop", b"transfer-encoding"} & set(names)
            assert dict(fields)[b"x-forwarded-for"] == b"127.0.0.1"

    run(scenario())


def test_bodies_and_trailers_pass_both_ways() -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        await asked.whole.wait()
        peer.respond(asked.number, [*OK, (b"trailer", b"x-sum")], b"abc", [(b"x-sum", b"3"), (b"set-cookie", b"no=1")])

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream) as rig:
            request = b"POST /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            answer = await rig.ask(request + b"3\r\nxyz\r\n2\r\n!!\r\n0\r\nX-End: 1\r\nHost: b\r\n\r\n")
            assert upstream.asked[0].body == b"xyz!!"
            assert upstream.asked[0].trailers == [(b"x-end", b"1")]
            assert b"content-length" not in dict(upstream.asked[0].fields)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"Transfer-Encoding: chunked" in head
            assert body == b"3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n"

    run(scenario())


@pytest.mark.parametrize(
    ("method", "fields", "body", "expected"),
    [
        (b"GET", [*OK, (b"content-length", b"2")], b"hi", b"Content-Length: 2\r\nConnection: close\r\n\r\nhi"),
        (b"GET", OK, b"hi", b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        (b"GET", OK, b"", b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"),
        (b"HEAD", [*OK, (b"content-length", b"5")], b"", b"Content-Length: 5\r\nConnection: close\r\n\r\n"),
        (b"GET", [(b":status", b"204")], b"", b"Connection: close\r\n\r\n"),
        (b"GET", [(b":status", b"304"), (b"etag", b"1")], b"", b"Connection: close\r\n\r\n"),
    ],
)
def test_an_answer_is_framed_for_http1(method: bytes, fields: list[tuple[bytes, bytes]], body: bytes, expected: bytes) -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        peer.respond(asked.number, [*fields, (b"date", b"now")], body)

    async def scenario() -> None:
        async with behind(Http2Upstream(script)) as rig:
            answer = await rig.ask(get().replace(b"GET", method))
            assert answer.endswith(expected), answer
            assert answer.count(b"date: now") == 1

    run(scenario())


def test_interim_answers_pass() -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        peer.h2.send_headers(asked.number, [(b":status", b"103"), (b"link", b"</a>")])
        peer.ok(asked)

    async def scenario() -> None:
        async with behind(Http2Upstream(script)) as rig:
            answer = await rig.ask(get())
            assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n")

    run(scenario())


def test_an_offer_to_upgrade_is_left_out() -> None:
    async def scenario() -> None:
        upstream = Http2Upstream(serve)
        async with behind(upstream) as rig:
            request = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            assert (await rig.ask(request, count=17)) == b"HTTP/1.1 200 OK\r\n"
            assert not {b"upgrade", b"connection"} & set(dict(upstream.asked[0].fields))

    run(scenario())


# -- many on one connection ------------------------------------------------------------------------------------------------------


def test_many_requests_share_a_connection_and_each_gets_its_own_answer() -> None:
    async def script(peer: Peer) -> None:
        waiting: list[Asked] = []
        while (asked := await peer.request()) is not None:
            waiting.append(asked)
            if len(waiting) == 60:
                for one in reversed(waiting):  # in another order than they came
                    peer.ok(one, b"for " + one.path)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream) as rig:
            answers = await ask_all(rig, *(get(b"/%d" % number) for number in range(60)))
            assert [answer.rpartition(b"\r\n\r\n")[2] for answer in answers] == [b"for /%d" % number for number in range(60)]
            assert len(upstream.peers) == 1

    run(scenario())


def test_no_more_streams_are_opened_than_the_upstream_allows() -> None:
    most = 0

    async def script(peer: Peer) -> None:
        nonlocal most
        waiting: list[Asked] = []
        while (asked := await peer.request()) is not None:
            waiting.append(asked)
            most = max(most, len(waiting))
            if len(waiting) == 3:
                while waiting:
                    peer.ok(waiting.pop())

    async def scenario() -> None:
        upstream = Http2Upstream(script, MAX_CONCURRENT_STREAMS=3)
        async with behind(upstream) as rig:
            answers = await ask_all(rig, *(get() for _ in range(9)))
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
            assert most == 3
            assert len(upstream.peers) <= 3

    run(scenario())


@pytest.mark.skipif(BUILD_KIND == "compiled", reason="compiled objects let no method be replaced")
def test_whom_a_connection_was_opened_for_gets_its_only_stream() -> None:
    """Others that came in that moment took it, and then it was closed under them as one that takes no requests."""

    async def scenario() -> None:
        upstream = Http2Upstream(serve, MAX_CONCURRENT_STREAMS=1)
        async with behind(upstream) as rig:
            assert rig.front._runtime is not None
            [target] = rig.front._runtime.pool._groups[0].targets
            make, taken = target.make_connection, list[object]()

            def quick() -> UpstreamConnection:
                connection = make()
                assert isinstance(connection, MultiplexedConnection)
                connection.ready.add_done_callback(lambda _: taken.append(target.take_idle(is_repeatable=True)))
                return connection

            target.make_connection = quick  # type: ignore[method-assign]
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 200")
            assert taken == [None]

    run(scenario())


def test_requests_wait_for_a_slot_of_the_site() -> None:
    async def scenario() -> None:
        upstream = Http2Upstream(serve)
        async with behind(upstream, site={"upstream_connections": 1}) as rig:
            answers = await ask_all(rig, *(get() for _ in range(5)))
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
            assert len(upstream.peers) == 1

    run(scenario())


def test_without_reuse_each_request_has_its_connection() -> None:
    async def scenario() -> None:
        upstream = Http2Upstream(serve)
        async with behind(upstream, site={"upstream_reuse": UpstreamReuse.NEVER}) as rig:
            for _ in range(3):
                await rig.ask(get())
            assert len(upstream.peers) == 3
            await until(lambda: rig.front.stats()["upstream_connections"] == 0)

    run(scenario())


def test_a_client_that_leaves_resets_its_stream_alone() -> None:
    async def script(peer: Peer) -> None:
        left = await peer.request()
        stays = await peer.request()
        assert left is not None
        assert stays is not None
        await left.whole.wait()
        await until(lambda: left.reset is not None)
        peer.ok(stays)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream, bounds=Bounds(half_close_seconds=0.001)) as rig:
            _, leaving = await rig.connect()
            leaving.write(get(b"/left"))
            await until(lambda: len(upstream.asked) == 1)
            stays = asyncio.create_task(rig.ask(get(b"/stays")))
            await until(lambda: len(upstream.asked) == 2)
            leaving.transport.abort()
            assert (await stays).startswith(b"HTTP/1.1 200")
            assert upstream.asked[0].reset == ErrorCodes.CANCEL
            assert len(upstream.peers) == 1

    run(scenario())


def test_after_many_resets_a_new_connection_is_used() -> None:
    async def script(peer: Peer) -> None:
        while (asked := await peer.request()) is not None:
            if asked.path == b"/ok":
                peer.ok(asked)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream, bounds=Bounds(half_close_seconds=0.001)) as rig:
            clients = [await rig.connect() for _ in range(RESETS)]
            for _, writer in clients:
                writer.write(get())
            await until(lambda: len(upstream.asked) == RESETS)
            for _, writer in clients:
                writer.transport.abort()
            await until(lambda: all(asked.reset is not None for asked in upstream.asked))
            assert len(upstream.peers) == 1
            assert (await rig.ask(get(b"/ok"))).startswith(b"HTTP/1.1 200")
            assert len(upstream.peers) == 2

    run(scenario())


def test_a_client_that_reads_nothing_holds_up_nobody_else() -> None:
    sent = 0
    fillers: list[asyncio.Task[None]] = []

    async def script(peer: Peer) -> None:
        nonlocal sent
        while (asked := await peer.request()) is not None:
            if asked.path != b"/long":
                peer.ok(asked)
                continue
            peer.h2.send_headers(asked.number, [*OK, (b"content-type", b"text/event-stream")])
            fillers.append(asyncio.create_task(fill(peer, asked)))

    async def fill(peer: Peer, asked: Asked) -> None:
        nonlocal sent
        while asked.reset is None:
            room = min(peer.h2.local_flow_control_window(asked.number), 16_384)
            if room:
                peer.h2.send_data(asked.number, b"x" * room)
                peer.flush()
                sent += room
            await asyncio.sleep(0)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream, bounds=Bounds(buffer_bytes=65_536)) as rig:
            reader, writer = await rig.connect()
            writer.transport.get_extra_info("socket").setsockopt(1, 8, 4096)  # SO_RCVBUF
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # the stream's own limit lets more through
            writer.write(get(b"/long"))
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
            assert 65_536 < sent < 16_000_000
            answers = await ask_all(rig, *(get() for _ in range(20)))
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
            assert len(upstream.peers) == 1
            writer.transport.abort()
            await until(lambda: upstream.asked[0].reset is not None)

    run(scenario())


def test_an_upload_waits_for_the_upstreams_window() -> None:
    goes_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.opens_windows = False
        asked = await peer.request()
        assert asked is not None
        other = await peer.request()
        assert other is not None
        peer.ok(other)
        await goes_on.wait()
        peer.h2.increment_flow_control_window(3_000_000)
        peer.h2.increment_flow_control_window(3_000_000, asked.number)
        peer.flush()
        await asked.whole.wait()
        peer.ok(asked)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream) as rig:
            reader, writer = await rig.connect()
            writer.write(POST % (2_000_000, b"y" * 100_000))
            await until(lambda: bool(upstream.asked) and len(upstream.asked[0].body) == 65_535)
            writer.write(b"y" * 1_900_000)
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 200")
            assert len(upstream.asked[0].body) == 65_535
            goes_on.set()
            assert (await reader.readexactly(12)) == b"HTTP/1.1 200"
            assert upstream.asked[0].body == b"y" * 2_000_000
            writer.close()

    run(scenario())


# -- what the upstream may do to its requests ------------------------------------------------------------------------------------


def test_requests_that_a_goaway_leaves_out_are_sent_elsewhere() -> None:
    async def script(peer: Peer) -> None:
        if upstream.peers.index(peer):
            await serve(peer)
            return
        taken = await peer.request()
        assert taken is not None
        for _ in range(2):
            assert await peer.request() is not None
        peer.leave(taken.number)
        await until(lambda: len(upstream.peers) == 2)
        peer.ok(taken, b"from the first")

    upstream = Http2Upstream(script)

    async def scenario() -> None:
        async with behind(upstream) as rig:
            first = asyncio.create_task(rig.ask(get()))
            await until(lambda: len(upstream.asked) == 1)
            others = await ask_all(rig, POST % (40_000, b"z" * 40_000), get())
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in others)
            assert (await first).endswith(b"from the first")
            assert sorted(len(asked.body) for asked in upstream.peers[1].asked.values()) == [0, 40_000]
            assert upstream.peers[0].gone.is_set()

    run(scenario())


@pytest.mark.parametrize(("leavers", "status"), [(TRIES_OF_LEAVERS - 1, b"200"), (TRIES_OF_LEAVERS, b"502")])
def test_a_request_that_many_connections_leave_out_is_answered_all_the_same(leavers: int, status: bytes) -> None:
    async def script(peer: Peer) -> None:
        if len(upstream.peers) > leavers:
            await serve(peer)
        elif await peer.request() is not None:
            peer.leave(0)

    upstream = Http2Upstream(script)

    async def scenario() -> None:
        async with behind(upstream) as rig:
            assert (await rig.ask(POST % (1, b"z"))).startswith(b"HTTP/1.1 " + status)
            assert len(upstream.peers) == TRIES_OF_LEAVERS

    run(scenario())


@pytest.mark.parametrize("size", [10, 200_000])
def test_what_is_refused_is_tried_a_few_times(size: int) -> None:
    async def script(peer: Peer) -> None:
        while (asked := await peer.request()) is not None:
            await asked.whole.wait()
            peer.reset(asked.number, ErrorCodes.REFUSED_STREAM)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream) as rig:
            answer = await rig.ask(POST % (size, b"z" * size))
            assert answer.startswith(b"HTTP/1.1 502")
            assert len(upstream.asked) == (TRIES if size < 1000 else 1)  # more than is kept cannot be sent again
            assert all(asked.body == b"z" * size for asked in upstream.asked)

    run(scenario())


def test_what_the_upstream_may_have_seen_is_not_sent_again() -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        await asked.whole.wait()
        peer.reset(asked.number, ErrorCodes.INTERNAL_ERROR)

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream) as rig:
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 502")
            assert len(upstream.asked) == 1

    run(scenario())


def test_a_connection_that_dies_under_an_idempotent_request_is_replaced_once() -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        peer.ok(asked)
        if await peer.request() is not None:
            peer.close()

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream) as rig:
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 200")
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 200")
            assert (await rig.ask(POST % (1, b"z"))).startswith(b"HTTP/1.1 502")
            assert len(upstream.peers) == 2

    run(scenario())


def test_a_request_that_ends_its_connection_ends_one_more_and_no_others() -> None:
    """Whatever of the upstream it ends, each address has one, and other requests move the turn on."""
    ended: list[Peer] = []

    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            while (asked := await peer.request()) is not None:
                if asked.path == b"/end":
                    ended.append(peer)
                    await rig.ask(get())
                    peer.close()
                else:
                    peer.ok(asked)

        servers = [ScriptedUpstream(Http2Upstream(script)) for _ in range(4)]
        for server in servers:
            await server.start()
        async with fronted(upstreams=tuple(Upstream("h2c", LOOPBACK, server.port) for server in servers)) as rig:
            for _ in servers:
                assert (await rig.ask(get())).startswith(b"HTTP/1.1 200")
            assert (await rig.ask(get(b"/end"))).startswith(b"HTTP/1.1 502")
            assert len(ended) == 2
        for server in servers:
            await server.stop()

    run(scenario())


def test_a_response_that_is_cut_is_not_passed_off_as_whole() -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        peer.h2.send_headers(asked.number, OK)
        peer.h2.send_data(asked.number, b"half")
        peer.flush()
        await asyncio.sleep(0.02)
        peer.close()

    async def scenario() -> None:
        async with behind(Http2Upstream(script)) as rig:
            answer = await rig.ask(get())
            assert answer.endswith(b"4\r\nhalf\r\n")
            assert rig.served == [(200, "upstream-response")]

    run(scenario())


def test_a_head_larger_than_the_upstream_takes_is_answered_431_and_not_sent() -> None:
    async def scenario() -> None:
        upstream = Http2Upstream(serve, MAX_HEADER_LIST_SIZE=2000)
        async with behind(upstream) as rig:
            assert (await rig.ask(get(more=b"X-Large: %b\r\n" % (b"a" * 2000)))).startswith(b"HTTP/1.1 431 ")
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 200")
            assert len(upstream.peers) == 1
            assert len(upstream.asked) == 1

    run(scenario())


def test_heads_are_bounded_as_settings_say_now() -> None:
    async def scenario() -> None:
        upstream = Http2Upstream(serve)
        async with behind(upstream) as rig:
            bounds = Bounds(head_bytes=200_000, field_bytes=60_000, target_bytes=60_000, header_count=300)
            rig.front.configure(replace(rig.front._settings, bounds=bounds))
            more = b"X-Large: %b\r\n" % (b"a" * 20_000) + b"".join(b"X-%d: 1\r\n" % each for each in range(200))
            assert (await rig.ask(get(b"/" + b"y" * 20_000, more))).startswith(b"HTTP/1.1 200 ")

    run(scenario())


def test_an_early_answer_ends_the_request() -> None:
    async def script(peer: Peer) -> None:
        while (asked := await peer.request()) is not None:
            peer.respond(asked.number, [(b":status", b"413"), (b"content-length", b"0")])

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with behind(upstream) as rig:
            assert (await rig.ask(POST % (1_000_000, b"y" * 300_000))).startswith(b"HTTP/1.1 413")
            await until(lambda: upstream.asked[0].reset is not None)
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 413")
            assert len(upstream.peers) == 1

    run(scenario())


def test_health_checks_speak_http2_too() -> None:
    answer = b"503"

    async def script(peer: Peer) -> None:
        while (asked := await peer.request()) is not None:
            peer.respond(asked.number, [(b":status", answer if asked.path == b"/healthz" else b"200")])

    async def scenario() -> None:
        nonlocal answer
        upstream = Http2Upstream(script)
        check = HealthCheck(path="/healthz", interval_seconds=0.02, timeout_seconds=2, down_after=2, up_after=2)
        async with behind(upstream, site={"health": check}) as rig:
            await until(lambda: [each["state"] for each in rig.front.upstreams()] == ["ill"])
            answer = b"204"
            await until(lambda: [each["state"] for each in rig.front.upstreams()] == ["up"])
            assert (await rig.ask(get())).startswith(b"HTTP/1.1 200")
            assert len(upstream.peers) == 1

    run(scenario())


# -- who is no HTTP/2 server -----------------------------------------------------------------------------------------------------


def test_a_server_that_speaks_http1_is_told_apart() -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async def scenario() -> None:
        async with fronted(old, site={"upstream_http": UpstreamHttp.HTTP2}) as rig:
            answer = await rig.ask(get())
            assert answer.startswith(b"HTTP/1.1 503")
            assert rig.served == [(503, "upstream-http2")]
            assert [where for where, _ in rig.events.errors] == ["upstream-http2"]
            assert "is h2c:// or upstream_http: 2 right?" in str(rig.events.errors.pop()[1])

    run(scenario())


def test_a_server_that_says_nothing_is_a_connect_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> None:
        async with fronted(
            silent, site={"upstream_http": UpstreamHttp.HTTP2}, bounds=Bounds(upstream_connect_seconds=0.1)
        ) as rig:
            await rig.ask(get())
            assert rig.served == [(503, "upstream-connect-timeout")]

    run(scenario())


def test_over_tls_it_is_agreed_by_alpn(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", HOST, LOOPBACK)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    async def scenario() -> None:
        upstream = Http2Upstream(serve)
        for protocols, handler, status in ((["h2"], upstream, b"200"), (["http/1.1"], hello, b"503"), ([], hello, b"503")):
            if protocols:
                context.set_alpn_protocols(protocols)
            else:
                bare = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                bare.load_cert_chain(certificate.chain, certificate.key)
            server = await asyncio.start_server(handler, LOOPBACK, 0, ssl=context if protocols else bare)
            port = server.sockets[0].getsockname()[1]
            site = {"upstream_tls": UpstreamTls(ca=certificate.chain, name=HOST)}
            async with behind(upstream, site=site, upstreams=(Upstream("https", LOOPBACK, port),)) as rig:
                assert (await rig.ask(get())).startswith(b"HTTP/1.1 " + status)
                assert {where for where, _ in rig.events.errors} == (set() if status == b"200" else {"upstream-http2"})
                rig.events.errors.clear()
            server.close()
        assert dict(upstream.asked[0].fields)[b":scheme"] == b"https"

    run(scenario())


# -- HTTP/2 on both sides --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def http2_on_both_sides(folder: Path, upstream: Http2Upstream, **settings: Any) -> AsyncIterator[Any]:
    certificate = write_certificate(folder, "a", HOST, LOOPBACK)
    async with (
        behind(upstream, site={"certificate": certificate}, front={"http2_layer": Http2Layer}, **settings) as rig,
        connected(rig, certificate) as connection,
    ):
        yield rig, connection


def test_grpc_messages_pass_one_by_one_before_the_request_is_whole(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        peer.h2.send_headers(asked.number, [*OK, (b"content-type", b"application/grpc")])
        for count in range(1, 4):
            while len(asked.body) < 6 * count:  # noqa: ASYNC110 - what is waited for lies in the kernel
                await asyncio.sleep(0.002)
            peer.h2.send_data(asked.number, asked.body[-6:])
            peer.flush()
        await asked.whole.wait()
        peer.h2.send_headers(asked.number, [(b"grpc-status", b"0"), (b"x-bin", b"AAE")], end_stream=True)
        peer.flush()

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with http2_on_both_sides(tmp_path, upstream) as (_, connection):
            h2 = connection.client
            number = h2.request(post(*GRPC), end=False)
            for count in range(3):
                h2.connection.send_data(number, b"\0\0\0\0\1%d" % count)
                connection.flush()
                while len(h2.answers[number].body) < 6 * (count + 1):
                    assert await connection.read_once()
            h2.connection.end_stream(number)
            connection.flush()
            await connection.ended(number)
            answer = h2.answers[number]
            assert answer.body == b"\0\0\0\0\0010\0\0\0\0\0011\0\0\0\0\0012"
            assert answer.trailers == [(b"grpc-status", b"0"), (b"x-bin", b"AAE")]
            assert (b"te", b"trailers") in upstream.asked[0].fields

    run(scenario())


def test_an_answer_of_trailers_only_is_one_frame(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        peer.respond(asked.number, [*OK, (b"content-type", b"application/grpc"), (b"grpc-status", b"12"), (b"date", b"now")])

    async def scenario() -> None:
        async with http2_on_both_sides(tmp_path, Http2Upstream(script)) as (_, connection):
            number = connection.client.request(post(*GRPC), end=True)
            connection.flush()
            await connection.ended(number)
            answer = connection.client.answers[number]
            assert answer.fields == [
                (b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"12"), (b"date", b"now"),
            ]  # fmt: skip
            assert (answer.body, answer.trailers, answer.reset) == (b"", [], None)

    run(scenario())


@pytest.mark.parametrize(
    ("code", "passed"),
    [
        (ErrorCodes.CANCEL, ErrorCodes.CANCEL),
        (ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.ENHANCE_YOUR_CALM),
        (ErrorCodes.REFUSED_STREAM, ErrorCodes.INTERNAL_ERROR),  # it was looked at: an answer has begun
        (ErrorCodes.NO_ERROR, ErrorCodes.INTERNAL_ERROR),
    ],
)
def test_a_reset_in_the_middle_is_passed_on(tmp_path: Path, code: ErrorCodes, passed: ErrorCodes) -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.request()
        assert asked is not None
        peer.h2.send_headers(asked.number, OK)
        peer.h2.send_data(asked.number, b"half")
        peer.reset(asked.number, code)

    async def scenario() -> None:
        async with http2_on_both_sides(tmp_path, Http2Upstream(script)) as (rig, connection):
            number = connection.client.request(post(*GRPC), end=True)
            connection.flush()
            await connection.ended(number)
            answer = connection.client.answers[number]
            assert (answer.status, answer.body, answer.reset) == (200, b"half", passed)
            assert rig.served == [(200, "upstream-reset")]

    run(scenario())


def test_a_request_that_is_taken_back_is_taken_back_from_the_upstream(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            pass

    async def scenario() -> None:
        upstream = Http2Upstream(script)
        async with http2_on_both_sides(tmp_path, upstream) as (rig, connection):
            number = connection.client.request(post(*GRPC), end=False)
            connection.flush()
            await until(lambda: len(upstream.asked) == 1)
            connection.client.connection.reset_stream(number, ErrorCodes.CANCEL)
            connection.flush()
            await until(lambda: upstream.asked[0].reset == ErrorCodes.CANCEL)
            assert isinstance(rig.checker, HeaderChecker)
            assert not upstream.peers[0].gone.is_set()

    run(scenario())
