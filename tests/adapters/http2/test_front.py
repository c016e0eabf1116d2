"""HTTP/2 through the front on real sockets: TLS with ALPN, real clients, and what only transports can show."""

from __future__ import annotations

import asyncio
import gc
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxyguard.adapters.mitmproxy.driver import ClientConnection
from proxyguard.adapters.mitmproxy.exchange import Exchange
from proxyguard.adapters.mitmproxy.http2.layer import Http2Layer
from proxyguard.adapters.mitmproxy.http2.stream import Http2Stream
from proxyguard.adapters.mitmproxy.http2.streams import Http2Streams
from proxyguard.adapters.mitmproxy.services import ClientState
from proxyguard.adapters.mitmproxy.tls.layer import TlsLayer
from proxyguard.core.settings import Bounds, Buffering, Certificate
from proxyguard.core.tarpit_budget import TarpitBudget
from proxyguard.http.http2 import frames
from proxyguard.http.http2.intake import Intake
from proxyguard.http.http2.sending import Sender
from tests.adapters.certificates import write_certificate
from tests.adapters.front_rig import LOOPBACK, FrontRig, Handler, echo_length, fronted, hello, rest, run, until
from tests.adapters.http2.rig import GET, HELLO, Http2Client, post, wish
from tests.adapters.tls.test_certificates import client_context

HOST = "a.example"


@asynccontextmanager
async def http2_fronted(folder: Path, handler: Handler = hello, **settings: Any) -> AsyncIterator[tuple[FrontRig, Certificate]]:
    """A front that offers HTTP/2 over TLS."""
    certificate = write_certificate(folder, "a", HOST, LOOPBACK)
    front = {"http2_layer": Http2Layer}
    async with fronted(handler, site={"certificate": certificate}, front=front, **settings) as rig:
        yield rig, certificate


class Connection:
    """An HTTP/2 client on a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: Http2Client) -> None:
        self.reader = reader
        self.writer = writer
        self.client = client
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.client.connection.data_to_send())

    async def read_once(self, size: int = 1 << 16) -> bool:
        """Take in what came; False at the end."""
        data = await self.reader.read(size)
        self.client.receive(data)
        self.flush()
        return bool(data)

    async def ended(self, *numbers: int) -> None:
        """Wait until streams have ended or were reset."""
        answers = [self.client.answers[number] for number in numbers]
        while not all(answer.ended or answer.reset is not None for answer in answers):
            assert await self.read_once()


@asynccontextmanager
async def connected(rig: FrontRig, certificate: Certificate, *, opens_windows: bool = True) -> AsyncIterator[Connection]:
    context = client_context(certificate, protocols=("h2",))
    reader, writer = await asyncio.open_connection(LOOPBACK, rig.port, ssl=context, server_hostname=HOST)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    yield Connection(reader, writer, Http2Client(opens_windows=opens_windows))
    writer.close()


async def command(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    return said.decode()


def curl(rig: FrontRig, certificate: Certificate, *options: str) -> Any:
    return command(
        "curl", "-sS", "--http2", "--cacert", str(certificate.chain), "--resolve", f"{HOST}:{rig.port}:{LOOPBACK}",
        "-w", "%{http_version} %{http_code}", *options, f"https://{HOST}:{rig.port}/x",
    )  # fmt: skip


# -- which protocol ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enabled", "offered", "chosen"),
    [
        (True, ("h2", "http/1.1"), "h2"),
        (True, ("http/1.1", "h2"), "h2"),
        (True, ("http/1.1",), "http/1.1"),
        (False, ("h2", "http/1.1"), "http/1.1"),
        (False, ("h2",), None),
    ],
)
def test_the_protocol_is_chosen_by_what_both_speak(
    tmp_path: Path, enabled: bool, offered: tuple[str, ...], chosen: str | None
) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path, http2=enabled) as (rig, certificate):
            context = client_context(certificate, protocols=offered)
            _, writer = await asyncio.open_connection(LOOPBACK, rig.port, ssl=context, server_hostname=HOST)
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
            writer.close()

    run(scenario())


def test_http2_in_clear_text_is_refused() -> None:
    async def scenario() -> None:
        async with fronted(front={"http2_layer": Http2Layer}) as rig:
            assert (await rig.ask(HELLO)).startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
            upgrade = (
                b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
                b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
            )
            assert (await rig.ask(upgrade)).startswith(b"HTTP/1.1 200 OK\r\n")
            said = await command("curl", "-sS", "--http2-prior-knowledge", f"http://{LOOPBACK}:{rig.port}/")
            assert said.startswith("curl: ")

    run(scenario())


def test_protocols_that_were_not_agreed_on_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path) as (rig, certificate):
            for protocol, said in (("h2", b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"), ("http/1.1", HELLO)):
                context = client_context(certificate, protocols=(protocol,))
                reader, writer = await asyncio.open_connection(LOOPBACK, rig.port, ssl=context, server_hostname=HOST)
                writer.write(said)
                answer = await rest(reader)
                assert answer.startswith(b"HTTP/1.1 505 ") if protocol == "http/1.1" else b"\x07\x00\x00\x00\x00\x00" in answer
                writer.close()

    run(scenario())


# -- real clients --------------------------------------------------------------------------------------------------------


def test_curl_speaks_http2(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path) as (rig, certificate):
            assert await curl(rig, certificate) == "hi2 200"
            assert (await curl(rig, certificate, "-H", "X-Do: reject")).endswith("2 403")
            assert "stream 1 was not closed cleanly: CANCEL" in await curl(rig, certificate, "-H", "X-Do: drop")
            assert await curl(rig, certificate, "--http1.1") == "hi1.1 200"

    run(scenario())


def test_curl_uploads_over_http2(tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"z" * 20_000_000)

    async def scenario() -> None:
        async with http2_fronted(tmp_path, echo_length) as (rig, certificate):
            assert await curl(rig, certificate, "-T", str(upload)) == "200000002 200"

    run(scenario())


def test_httpx_asks_many_things_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path) as (rig, certificate):
            context = ssl.create_default_context(cafile=str(certificate.chain))
            async with httpx.AsyncClient(http2=True, http1=False, verify=context) as client:
                url = f"https://{LOOPBACK}:{rig.port}/"
                answers = await asyncio.gather(
                    *[
                        client.get(url, headers={"Host": HOST, "X-Do": "reject" if number % 5 == 0 else "pass"})
                        for number in range(80)
                    ]
                )
            assert {answer.http_version for answer in answers} == {"HTTP/2"}
            assert [answer.status_code for answer in answers] == [403 if number % 5 == 0 else 200 for number in range(80)]
            assert rig.events.connections <= 1

    run(scenario())


def test_h2load_gets_every_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path) as (rig, _):
            said = await command("h2load", "-n2000", "-c4", "-m20", f"https://{LOOPBACK}:{rig.port}/")
            assert "Application protocol: h2" in said
            assert re.search(r"status codes: 2000 2xx", said), said

    run(scenario())


# -- transports ----------------------------------------------------------------------------------------------------------


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]  # Linux always has it


def test_a_large_download_through_a_slow_reader_holds_little(tmp_path: Path) -> None:
    size = 100_000_000

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            writer.write(b"z" * 100_000)
            await writer.drain()

    async def scenario() -> None:
        async with http2_fronted(tmp_path, large) as (rig, certificate), connected(rig, certificate) as connection:
            number = connection.client.request(GET)
            answer = connection.client.answers[number]
            connection.flush()
            peak = before = resident_bytes()
            received = 0
            while received < size:
                await asyncio.sleep(0.0005)
                assert await connection.read_once()
                received += len(answer.body)
                answer.body = b""
                peak = max(peak, resident_bytes())
            assert received == size
            assert peak - before < 20_000_000
            await connection.ended(number)

    run(scenario())


@pytest.mark.parametrize("buffering", [Buffering(response_bytes=0), Buffering(file_bytes=256 * 1024)], ids=["streamed", "held"])
def test_streams_whose_client_reads_none_of_them_hold_little_and_are_given_up(tmp_path: Path, buffering: Buffering) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"z" * 100_000)
            await writer.drain()

    async def scenario() -> None:
        bounds = Bounds(send_gap_seconds=0.3)
        async with (
            http2_fronted(tmp_path, endless, bounds=bounds, buffering=buffering) as (rig, certificate),
            connected(rig, certificate, opens_windows=False) as connection,
        ):
            numbers = [connection.client.request(GET) for _ in range(50)]
            connection.flush()
            await until(lambda: rig.upstream.connections == 50)
            runtime = rig.front._runtime
            assert runtime is not None
            (link,) = [one._link for one in runtime.connections if isinstance(one, ClientConnection)]
            assert isinstance(link.layer, Http2Layer)
            await connection.ended(*numbers[:1])
            assert link.layer.streams.sender.queued <= bounds.buffer_bytes + 64 * 1024
            await connection.ended(*numbers)
            assert rig.events.bounds["send_gap_seconds"] == 50
            await until(lambda: rig.front.stats()["upstream_connections"] == 0)
            assert (rig.front.stats()["buffered_bytes"], rig.front.stats()["spooled_bytes"]) == (0, 0)

    run(scenario())


def test_an_upload_waits_for_a_slow_upstream_while_other_streams_go_on(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nhi")
            return
        await go_on.wait()
        left = 8_000_000
        while left:
            left -= len(await reader.read(left))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    async def scenario() -> None:
        async with http2_fronted(tmp_path, slow) as (rig, certificate), connected(rig, certificate) as connection:
            client = connection.client
            number = client.request(post((b"content-length", b"8000000")), end=False)
            sent = 0
            other: int | None = None
            while sent < 8_000_000:
                room = min(client.connection.local_flow_control_window(number), 16_384, 8_000_000 - sent)
                if room:
                    sent += room
                    client.connection.send_data(number, b"z" * room, end_stream=sent == 8_000_000)
                    connection.flush()
                    continue
                if other is None and rig.upstream.connections:
                    other = client.request(GET)
                    connection.flush()
                    await connection.ended(other)
                    assert client.answers[other].body == b"hi"
                    if client.connection.local_flow_control_window(number):
                        other = None
                        continue
                    go_on.set()
                await connection.read_once()
            await connection.ended(number)
            assert client.answers[number].body == b"done"

    run(scenario())


def test_tarpits_on_streams_drip_count_and_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        budget = TarpitBudget(hold_seconds=0.4)
        async with http2_fronted(tmp_path, tarpit=budget) as (rig, certificate), connected(rig, certificate) as connection:
            client = connection.client
            held = [client.request(wish(b"tarpit")) for _ in range(5)]
            connection.flush()
            while not all(client.answers[number].fields for number in held):
                await connection.read_once()
            assert [client.answers[number].status for number in held] == [200] * 4 + [403]
            assert (rig.front.stats()["tarpits"], rig.events.tarpits) == (4, 4)
            client.connection.reset_stream(held[0])
            passed = client.request(GET)
            connection.flush()
            await connection.ended(passed)
            assert rig.front.stats()["tarpits"] == 3
            await connection.ended(*held[1:])
            assert client.answers[held[1]].body.startswith(b"<!d")
            assert rig.front.stats()["tarpits"] == 0

    run(scenario())


def test_tarpits_end_with_their_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path) as (rig, certificate), connected(rig, certificate) as connection:
            number = connection.client.request(wish(b"tarpit"))
            connection.flush()
            while len(connection.client.answers[number].body) < 3:
                await connection.read_once()
            connection.writer.transport.abort()
            await until(lambda: rig.front.stats()["tarpits"] == 0 and rig.front.stats()["connections"] == 0)

    run(scenario())


def test_a_client_that_resets_a_stream_frees_its_upstream(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await rest(reader)
        gone.set()

    async def scenario() -> None:
        async with http2_fronted(tmp_path, silent) as (rig, certificate), connected(rig, certificate) as connection:
            number = connection.client.request(GET)
            connection.flush()
            await until(lambda: rig.upstream.connections == 1)
            connection.client.connection.reset_stream(number)
            connection.flush()
            await gone.wait()
            assert rig.served == [(499, "client-gone")]

    run(scenario())


def test_rapid_resets_end_the_connection_and_leave_nothing_behind(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await rest(reader)

    async def scenario() -> None:
        async with http2_fronted(tmp_path, silent, bounds=Bounds(http2_resets=100)) as (rig, certificate):
            async with connected(rig, certificate) as connection:
                client = connection.client
                for _ in range(1000):
                    client.connection.reset_stream(client.request(GET))
                connection.flush()
                with suppress(ConnectionResetError):
                    while client.goaway is None and await connection.read_once():
                        pass
            await until(lambda: rig.front.stats()["connections"] == 0)
            assert rig.events.bounds["http2_resets"] == 1
            assert len(rig.served) == 101
            assert rig.upstream.connections <= 101

    run(scenario())


def test_what_a_client_held_is_freed_as_it_leaves_without_the_collector(tmp_path: Path) -> None:
    held = (ClientConnection, Exchange, Http2Layer, Http2Stream, Http2Streams, Intake, ClientState, Sender, TlsLayer)

    async def scenario() -> None:
        async with http2_fronted(tmp_path, bounds=Bounds(http2_resets=50)) as (rig, certificate):
            gc.collect()
            gc.disable()
            try:
                for taken_back in (0, 10, 60):
                    async with connected(rig, certificate) as connection:
                        client = connection.client
                        for _ in range(taken_back):
                            client.connection.reset_stream(client.request(GET))
                        numbers = [client.request(GET) for _ in range(20)]
                        connection.flush()
                        if taken_back < 50:
                            await connection.ended(*numbers)
                        else:
                            with suppress(ConnectionResetError):
                                while await connection.read_once():
                                    pass
                    await until(lambda: rig.front.stats()["connections"] == 0)
                await asyncio.sleep(0)
                assert [type(one) for one in gc.get_objects() if isinstance(one, held)] == []
            finally:
                gc.enable()

    run(scenario())


def test_a_flood_that_takes_no_answers_ends_the_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path, bounds=Bounds(send_gap_seconds=0.3)) as (rig, certificate):
            async with connected(rig, certificate) as connection:
                connection.writer.write(frames.frame(frames.PING, 0, 0, b"12345678") * 5000)
                await until(lambda: rig.front.stats()["connections"] == 0)
            assert rig.events.bounds["http2_frames"] == 1

    run(scenario())


def test_draining_lets_streams_finish(tmp_path: Path) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        await writer.drain()

    async def scenario() -> None:
        async with http2_fronted(tmp_path, late) as (rig, _):
            said = command("curl", "-sS", "--http2", "-k", f"https://{LOOPBACK}:{rig.port}/", "-H", f"Host: {HOST}")
            asking = asyncio.create_task(said)
            await until(lambda: rig.upstream.connections == 1)
            await rig.front.drain(5.0)
            assert await asking == "late"
            assert rig.served == [(200, "")]

    run(scenario())


def test_an_idle_connection_gets_a_goodbye(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path, bounds=Bounds(idle_seconds=0.2)) as (rig, certificate):
            async with connected(rig, certificate) as connection:
                number = connection.client.request(GET)
                connection.flush()
                await connection.ended(number)
                while await connection.read_once():
                    pass
                assert connection.client.goaway == 0
            assert rig.events.bounds == {"idle_seconds": 1}

    run(scenario())
