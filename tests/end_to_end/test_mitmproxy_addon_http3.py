"""HTTP/3 through the addon to a site that speaks HTTPS over TCP: forwarded, refused with a body, held, dropped."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent, StreamReset

from tests.end_to_end.mitmdump import Mitmproxy, mitmproxy
from tests.end_to_end.processes import make_certificate
from tests.end_to_end.test_mitmproxy_addon import RULES

type Answer = tuple[bytes, bytes]
"""Status (empty: the stream was reset) and body."""


class Site(BaseHTTPRequestHandler):
    """Answers with what it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        text = f"{self.requestline} from {self.headers['x-real-ip']} with {body!r}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - as above

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Http3Client(QuicConnectionProtocol):
    """Asks one thing after the other."""

    answers: dict[int, list[bytes]]

    def open(self) -> None:
        self.http = H3Connection(self._quic)
        self.answers = {}
        self.ends: dict[int, asyncio.Event] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        if not hasattr(self, "http"):
            self.open()
        if isinstance(event, StreamReset):
            self.ends[event.stream_id].set()
        for each in self.http.handle_event(event):
            if isinstance(each, HeadersReceived):
                self.answers[each.stream_id][0] = dict(each.headers)[b":status"]
            elif isinstance(each, DataReceived):
                self.answers[each.stream_id][1] += each.data
            if isinstance(each, HeadersReceived | DataReceived) and each.stream_ended:
                self.ends[each.stream_id].set()

    async def ask(self, method: bytes, path: bytes, body: bytes, *fields: tuple[bytes, bytes]) -> Answer:
        stream = self._quic.get_next_available_stream_id()
        self.answers[stream], self.ends[stream] = [b"", b""], asyncio.Event()
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path), *fields]
        self.http.send_headers(stream, head, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.ends[stream].wait(), 20)
        status, text = self.answers[stream]
        return status, text


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Mitmproxy]:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "addon.yaml").write_text(RULES)
    chain, key = make_certificate(tmp_path)
    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    options = ("--set", f"proxyguard_rules={rules}", "--set", f"ssl_verify_upstream_trusted_ca={chain}")
    try:
        with mitmproxy(tmp_path, f"https://localhost:{site.server_port}", *options) as running:
            running.wait_for(lambda: "proxyguard: rules in" in running.said(), "the addon is loaded")
            yield running
    finally:
        site.shutdown()
        site.server_close()


def test_http3_is_guarded(guard: Mitmproxy) -> None:
    async def scenario() -> list[Answer]:
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name="localhost"
        )
        async with connect("127.0.0.1", guard.port, configuration=configuration, create_protocol=Http3Client) as client:
            assert isinstance(client, Http3Client)
            return [
                await client.ask(b"GET", b"/ok?a=%41", b"", (b"x-real-ip", b"9.9.9.9")),
                await client.ask(b"POST", b"/ok", b"hello", (b"content-length", b"5")),
                await client.ask(b"GET", b"/ok", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
                await client.ask(b"POST", b"/ok", b"hello"),
                await client.ask(b"POST", b"/refused", b"x" * 100_000),
                await client.ask(b"GET", b"/a/../b", b""),
                await client.ask(b"GET", b"/slow", b""),
                await client.ask(b"GET", b"/gone", b""),
            ]

    answers = asyncio.run(scenario())
    assert [status for status, _ in answers] == [b"200", b"200", b"200", b"411", b"403", b"400", b"200", b""]
    assert [text for _, text in answers[:3]] == [
        b"GET /ok?a=%41 HTTP/1.1 from 127.0.0.1 with b''",
        b"POST /ok HTTP/1.1 from 127.0.0.1 with b'hello'",
        b"GET /ok HTTP/1.1 from 127.0.0.1 with b''",
    ]
