"""Odd requests through the real front to an upstream that reads with llhttp: it parses what was inspected, or gets nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import httptools
import pytest

from proxyguard.core.settings import Bounds, Buffering
from tests.adapters.front_rig import FrontRig, fronted, rest, run
from tests.http.http1.odd_requests import ODD_REQUESTS, Expectation, Forwarded, Pending, Refused

OURS: Final = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip"}
"""What the front adds to every request; what clients say by these names is dropped (see tests of trust)."""

Seen = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]


class Reading:
    """One request as llhttp understands it."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.in_body = False
        self.whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_body:
            self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_body = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.whole = True

    def seen(self) -> Seen:
        fields = [field for field in self.fields if field[0] not in OURS]
        return self.parser.get_method(), self.url, sorted(fields), self.body


def expected(request: Forwarded, port: int) -> Seen:
    """What the upstream is to read. It is named itself to a client that names no host (HTTP/1.0)."""
    line, *lines = request.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, _ = line.split(b" ")
    fields = [(name.lower(), value) for name, _, value in (field.partition(b": ") for field in lines)]
    named = [(name, value or b"127.0.0.1:%d" % port if name == b"host" else value) for name, value in fields]
    return method, target, sorted(field for field in named if field[0] not in OURS), request.body


class Recorder:
    """Answers each request once it is whole, and keeps what it read."""

    def __init__(self) -> None:
        self.whole: list[Seen] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading = Reading()
        while data := await reader.read(1 << 16):
            try:
                reading.parser.feed_data(data)
            except httptools.HttpParserUpgrade:
                reading.whole = True
            if reading.whole:
                self.whole.append(reading.seen())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                reading = Reading()


async def differs(rig: FrontRig, recorder: Recorder, raw: bytes, expectation: Expectation) -> str:
    """How what happened to one request differs from what was expected of it; nothing if it does not."""
    recorder.whole.clear()
    reader, writer = await rig.connect()
    writer.write(raw)
    writer.write_eof()
    answer = await rest(reader)
    writer.close()
    status = answer[9:12]
    match expectation:
        case Forwarded():
            wanted = expected(expectation, rig.upstream.port)
            if recorder.whole[:1] != [wanted]:
                return f"{recorder.whole[:1]} instead of {wanted}, answered {status!r}"
        case Refused():
            if status != b"%d" % expectation.status or recorder.whole:
                return f"answered {status!r} instead of {expectation.status}, upstream read {recorder.whole}"
        case Pending():
            if recorder.whole or status not in (b"", b"408"):
                return f"answered {status!r}, upstream read {recorder.whole}"
    return ""


@pytest.mark.parametrize("buffering", [Buffering(), Buffering(request_bytes=0, response_bytes=0)], ids=["held", "streamed"])
def test_what_was_inspected_is_what_the_upstream_parses(buffering: Buffering) -> None:
    differences: dict[str, str] = {}
    kinds: Counter[str] = Counter()

    async def scenario() -> None:
        recorder = Recorder()
        async with fronted(recorder.serve, bounds=Bounds(head_seconds=5.0), buffering=buffering) as rig:
            for name, raw, expectation in ODD_REQUESTS:
                if buffering.request_bytes and name == "Expect: 100-continue":
                    continue  # given by us, and not asked of the upstream again
                kinds[type(expectation).__name__] += 1
                difference = await differs(rig, recorder, raw, expectation)
                if difference:
                    differences[name] = difference

    run(scenario())
    assert differences == {}
    assert sum(kinds.values()) >= 150
    assert min(kinds.values()) >= 5
