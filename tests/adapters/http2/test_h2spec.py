"""The cases of h2spec 2.6.0 (github.com/summerwind/h2spec), by their numbers there, as bytes that a client sends.

h2spec itself is a Go program; what it sends and accepts is written anew here, and one case about the table is added. A case is
passed when what it names comes about:

- `answer`: the request is served, on stream 1 unless said otherwise; `ok`: nothing happens, and a PING is still answered.
- `goaway CODE`: the connection ends with this code; `close`: it ends.
- `reset CODE`: stream 1 is reset, the connection goes on. `refused`: one stream more than allowed is.
- `N bytes` of the answer fit the windows.
- `400`: a malformed request is answered, as RFC 9113 section 8.1.1 allows, and the connection goes on.

Where h2spec accepts several outcomes, the one that is ours is named. RFC 9113 took priorities away
(h2spec's 5.3.1 among them): they are ignored.
"""

from __future__ import annotations

import pytest

from proxyguard.http.http2 import frames
from proxyguard.http.http2.errors import ErrorCode
from proxyguard.http.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from proxyguard.http.http2.hpack import FieldEncoder
from tests.adapters.http2.rig import GET, HELLO, Fields, Http2Rig, ping, post

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

ANSWERED = None
"""In the place of what the client sends: the upstream answers."""


def block(fields: Fields = GET) -> bytes:
    encoder = FieldEncoder()
    encoder.set_limit(0)
    return encoder.encode(fields)


def headers(stream: int = 1, fields: Fields = GET, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return frame(HEADERS, flags, stream, block(fields))


def field(more: bytes) -> bytes:
    """A request with one more field, encoded already."""
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block() + more)


def data(stream: int = 1, payload: bytes = b"test", flags: int = END_STREAM) -> bytes:
    return frame(DATA, flags, stream, payload)


def setting(number: int, value: int) -> bytes:
    return frames.settings(((number, value),))


def without(name: bytes) -> Fields:
    return [field for field in GET if field[0] != name]


def upload(*more: tuple[bytes, bytes]) -> bytes:
    return headers(1, post(*more), END_HEADERS)


GET_BLOCK = block()
HALF = len(GET_BLOCK) // 2
OPEN = upload()
UNENDED = frame(HEADERS, END_STREAM, 1, GET_BLOCK[:HALF])
REST = frame(CONTINUATION, END_HEADERS, 1, GET_BLOCK[HALF:])
IN_THREE: list[bytes | None] = [
    UNENDED,
    frame(CONTINUATION, 0, 1, GET_BLOCK[HALF:-2]),
    frame(CONTINUATION, END_HEADERS, 1, GET_BLOCK[-2:]),
]
RESET = frame(RST_STREAM, 0, 1, bytes((0, 0, 0, 8)))
PRIORITY_FIELDS = bytes((0, 0, 0, 0, 15))
WIDEST = frames.window_update(0, (1 << 31) - 1)
LONG = b"z" * 16_384
STATUS_200 = b"\x88"
"""In the static table."""
BIG: Fields = [*GET, (b"a", b"x" * 17_000)]
NAMED = b"\x82\x87\x41\x09a.example\x44\x02/x"
"""`GET` with literals that are kept, their names from the static table."""

CASES: list[tuple[str, list[bytes | None], str]] = [
    # generic
    ("generic/1/1", [], "ok"),
    ("generic/2/1", [frame(PRIORITY, 0, 1, PRIORITY_FIELDS), headers(1)], "answer"),
    ("generic/2/2", [headers(1), frames.window_update(1, 1)], "answer"),
    ("generic/2/3", [headers(1), frame(PRIORITY, 0, 1, PRIORITY_FIELDS)], "answer"),
    ("generic/2/4", [headers(1), RESET], "ok"),
    ("generic/2/5", [headers(1), RESET, frame(PRIORITY, 0, 1, PRIORITY_FIELDS)], "ok"),
    ("generic/3.1/1", [OPEN, data()], "answer"),
    ("generic/3.1/2", [OPEN, data(flags=0), data()], "answer"),
    ("generic/3.1/3", [OPEN, data(payload=b"\x06test" + b"\0" * 6, flags=PADDED | END_STREAM)], "answer"),
    ("generic/3.2/1", [headers()], "answer"),
    ("generic/3.2/2", [frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\x06" + GET_BLOCK + b"\0" * 6)], "answer"),
    ("generic/3.2/3", [frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, PRIORITY_FIELDS + GET_BLOCK)], "answer"),
    ("generic/3.3/1", [frame(PRIORITY, 0, 1, bytes((0, 0, 0, 0, 0))), headers()], "answer"),
    ("generic/3.3/2", [frame(PRIORITY, 0, 1, bytes((0, 0, 0, 0, 255))), headers()], "answer"),
    ("generic/3.3/3", [frame(PRIORITY, 0, 1, bytes((0, 0, 0, 3, 15))), headers()], "answer"),
    ("generic/3.3/4", [frame(PRIORITY, 0, 1, bytes((128, 0, 0, 3, 15))), headers()], "answer"),
    ("generic/3.3/5", [frame(PRIORITY, 0, 5, PRIORITY_FIELDS), headers()], "answer"),
    ("generic/3.4/1", [OPEN, RESET], "ok"),
    ("generic/3.5/1", [setting(frames.MAX_CONCURRENT_STREAMS, 100)], "ok"),
    ("generic/3.7/1", [ping()], "ok"),
    ("generic/3.8/1", [frames.goaway(0, ErrorCode.NO_ERROR)], "close"),
    ("generic/3.9/1", [frames.window_update(0, 1)], "ok"),
    ("generic/3.9/2", [headers(), frames.window_update(1, 1)], "answer"),
    ("generic/3.10/1", [UNENDED, REST], "answer"),
    ("generic/3.10/2", IN_THREE, "answer"),
    ("generic/4/1", [headers()], "answer"),
    ("generic/4/2", [headers(1, [(b":method", b"HEAD"), *GET[1:]])], "answer"),
    ("generic/4/3", [OPEN, data()], "answer"),
    ("generic/4/4", [OPEN, data(flags=0), headers(1, [(b"x-test", b"ok")])], "answer"),
    ("generic/5/1", [field(b"\xba")], "answer"),
    ("generic/5/2", [field(b"\x7a\x06h2spec")], "answer"),
    ("generic/5/3", [field(b"\x7a\x84\x9c\x48\xac\xa4")], "answer"),
    ("generic/5/4", [field(b"\x40\x06x-test\x06h2spec")], "answer"),
    ("generic/5/5", [field(b"\x40\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4")], "answer"),
    ("generic/5/6", [field(b"\x0f\x2b\x06h2spec")], "answer"),
    ("generic/5/7", [field(b"\x0f\x2b\x84\x9c\x48\xac\xa4")], "answer"),
    ("generic/5/8", [field(b"\x00\x06x-test\x06h2spec")], "answer"),
    ("generic/5/9", [field(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4")], "answer"),
    ("generic/5/10", [field(b"\x1f\x2b\x06h2spec")], "answer"),
    ("generic/5/11", [field(b"\x1f\x2b\x84\x9c\x48\xac\xa4")], "answer"),
    ("generic/5/12", [field(b"\x10\x06x-test\x06h2spec")], "answer"),
    ("generic/5/13", [field(b"\x10\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4")], "answer"),
    ("generic/5/14", [frame(HEADERS, 5, 1, b"\x20" + GET_BLOCK)], "answer"),
    ("generic/5/15", [frame(HEADERS, 5, 1, b"\x20\x3f\xe1\x1f" + GET_BLOCK)], "answer"),
    ("table", [frame(HEADERS, 5, 1, NAMED), frame(HEADERS, 5, 3, b"\x82\x87\xbf\xbe")], "answer"),
    # hpack
    ("hpack/2.3.3/1", [field(b"\xc6")], "goaway COMPRESSION_ERROR"),
    ("hpack/2.3.3/2", [field(b"\x7f\x07\x04test")], "goaway COMPRESSION_ERROR"),
    ("hpack/4.2/1", [field(b"\x20")], "goaway COMPRESSION_ERROR"),
    ("hpack/5.2/1", [field(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")], "goaway COMPRESSION_ERROR"),
    ("hpack/5.2/2", [field(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")], "goaway COMPRESSION_ERROR"),
    ("hpack/5.2/3", [field(b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")], "goaway COMPRESSION_ERROR"),
    ("hpack/6.1/1", [field(b"\x80")], "goaway COMPRESSION_ERROR"),
    ("hpack/6.3/1", [frame(HEADERS, 5, 1, b"\x3f\xe2\x1f" + GET_BLOCK)], "goaway COMPRESSION_ERROR"),
    # http2
    ("http2/3.5/1", [headers()], "answer"),
    ("http2/3.5/2", [b"INVALID CONNECTION PREFACE\r\n\r\n"], "goaway PROTOCOL_ERROR"),
    ("http2/4.1/1", [frame(0x16, 0, 0, bytes(8)), ping()], "ok"),
    ("http2/4.1/2", [frame(PING, 0x16, 0, b"12345678")], "ok"),
    ("http2/4.1/3", [frame(PING, 0, 0x8000_0000, b"12345678")], "ok"),
    ("http2/4.2/1", [OPEN, data(payload=LONG)], "answer"),
    ("http2/4.2/2", [OPEN, data(payload=LONG + b"z")], "goaway FRAME_SIZE_ERROR"),
    ("http2/4.2/3", [headers(1, BIG)], "goaway FRAME_SIZE_ERROR"),
    ("http2/4.3/1", [frame(HEADERS, 5, 1, b"\x14\x00\x04")], "goaway COMPRESSION_ERROR"),
    ("http2/4.3/2", [UNENDED, frame(PRIORITY, 0, 1, PRIORITY_FIELDS), REST], "goaway PROTOCOL_ERROR"),
    ("http2/4.3/3", [UNENDED, headers(3), REST], "goaway PROTOCOL_ERROR"),
    ("http2/5.1/1", [data()], "goaway PROTOCOL_ERROR"),
    ("http2/5.1/2", [RESET], "goaway PROTOCOL_ERROR"),
    ("http2/5.1/3", [frames.window_update(1, 100)], "goaway PROTOCOL_ERROR"),
    ("http2/5.1/4", [REST], "goaway PROTOCOL_ERROR"),
    ("http2/5.1/5", [headers(), data()], "reset STREAM_CLOSED"),
    ("http2/5.1/6", [headers(), headers()], "reset STREAM_CLOSED"),
    ("http2/5.1/7", [headers(), REST], "goaway PROTOCOL_ERROR"),
    ("http2/5.1/8", [OPEN, RESET, data()], "goaway STREAM_CLOSED"),
    ("http2/5.1/9", [OPEN, RESET, headers()], "goaway STREAM_CLOSED"),
    ("http2/5.1/10", [OPEN, RESET, REST], "goaway PROTOCOL_ERROR"),
    ("http2/5.1/11", [headers(), ANSWERED, data()], "goaway STREAM_CLOSED"),
    ("http2/5.1/12", [headers(), ANSWERED, headers()], "goaway STREAM_CLOSED"),
    ("http2/5.1/13", [headers(), ANSWERED, REST], "goaway PROTOCOL_ERROR"),
    ("http2/5.1.1/1", [headers(2)], "goaway PROTOCOL_ERROR"),
    ("http2/5.1.1/2", [headers(5), headers(3)], "goaway STREAM_CLOSED"),
    ("http2/5.1.2/1", [*(headers(number) for number in range(3, 207, 2))], "refused"),
    ("http2/5.3.1/1", [frame(HEADERS, 5 | HAS_PRIORITY, 1, bytes((0, 0, 0, 1, 15)) + GET_BLOCK)], "answer"),
    ("http2/5.3.1/2", [headers(), frame(PRIORITY, 0, 1, bytes((0, 0, 0, 1, 15)))], "answer"),
    ("http2/5.4.1/1", [frame(PING, 0, 3, b"12345678")], "goaway PROTOCOL_ERROR"),
    ("http2/5.4.1/2", [frame(PING, 0, 3, b"12345678")], "goaway PROTOCOL_ERROR"),
    ("http2/5.5/1", [frame(0x16, 0, 0, bytes(8))], "ok"),
    ("http2/5.5/2", [UNENDED, frame(0x16, 0, 1, bytes(8)), REST], "goaway PROTOCOL_ERROR"),
    ("http2/6.1/1", [data(0)], "goaway PROTOCOL_ERROR"),
    ("http2/6.1/2", [headers(), data()], "reset STREAM_CLOSED"),
    ("http2/6.1/3", [OPEN, data(payload=b"\x06test", flags=PADDED | END_STREAM)], "goaway PROTOCOL_ERROR"),
    ("http2/6.2/1", [UNENDED, frame(PRIORITY, 0, 1, PRIORITY_FIELDS)], "goaway PROTOCOL_ERROR"),
    ("http2/6.2/2", [UNENDED, headers(3)], "goaway PROTOCOL_ERROR"),
    ("http2/6.2/3", [headers(0)], "goaway PROTOCOL_ERROR"),
    ("http2/6.2/4", [frame(HEADERS, 5 | PADDED, 1, bytes((len(GET_BLOCK) + 1,)) + GET_BLOCK)], "goaway PROTOCOL_ERROR"),
    ("http2/6.3/1", [frame(PRIORITY, 0, 0, PRIORITY_FIELDS)], "goaway PROTOCOL_ERROR"),
    ("http2/6.3/2", [headers(), frame(PRIORITY, 0, 1, bytes(4))], "goaway FRAME_SIZE_ERROR"),
    ("http2/6.4/1", [frame(RST_STREAM, 0, 0, bytes(4))], "goaway PROTOCOL_ERROR"),
    ("http2/6.4/2", [RESET], "goaway PROTOCOL_ERROR"),
    ("http2/6.4/3", [headers(), frame(RST_STREAM, 0, 1, bytes(3))], "goaway FRAME_SIZE_ERROR"),
    ("http2/6.5/1", [frame(SETTINGS, ACK, 0, b"\0")], "goaway FRAME_SIZE_ERROR"),
    ("http2/6.5/2", [frame(SETTINGS, 0, 1, bytes((0, 3, 0, 0, 0, 100)))], "goaway PROTOCOL_ERROR"),
    ("http2/6.5/3", [frame(SETTINGS, 0, 0, bytes(3))], "goaway FRAME_SIZE_ERROR"),
    ("http2/6.5.2/1", [setting(frames.ENABLE_PUSH, 2)], "goaway PROTOCOL_ERROR"),
    ("http2/6.5.2/2", [setting(frames.INITIAL_WINDOW_SIZE, 1 << 31)], "goaway FLOW_CONTROL_ERROR"),
    ("http2/6.5.2/3", [setting(frames.MAX_FRAME_SIZE, 16_383)], "goaway PROTOCOL_ERROR"),
    ("http2/6.5.2/4", [setting(frames.MAX_FRAME_SIZE, 1 << 24)], "goaway PROTOCOL_ERROR"),
    ("http2/6.5.2/5", [setting(0xFF, 1)], "ok"),
    ("http2/6.5.3/1", [frames.settings(((4, 100), (4, 1))), headers()], "1 bytes"),
    ("http2/6.5.3/2", [setting(frames.MAX_CONCURRENT_STREAMS, 100)], "ok"),
    ("http2/6.7/1", [ping()], "ok"),
    ("http2/6.7/2", [frame(PING, ACK, 0, b"invalid!"), ping()], "ok"),
    ("http2/6.7/3", [frame(PING, 0, 3, b"12345678")], "goaway PROTOCOL_ERROR"),
    ("http2/6.7/4", [frame(PING, 0, 0, b"1234567")], "goaway FRAME_SIZE_ERROR"),
    ("http2/6.8/1", [frame(GOAWAY, 0, 1, bytes(8))], "goaway PROTOCOL_ERROR"),
    ("http2/6.9/1", [frames.window_update(0, 0)], "goaway PROTOCOL_ERROR"),
    ("http2/6.9/2", [OPEN, frames.window_update(1, 0)], "reset PROTOCOL_ERROR"),
    ("http2/6.9/3", [frame(WINDOW_UPDATE, 0, 0, bytes(3))], "goaway FRAME_SIZE_ERROR"),
    ("http2/6.9.1/1", [setting(frames.INITIAL_WINDOW_SIZE, 1), headers()], "1 bytes"),
    ("http2/6.9.1/2", [WIDEST, WIDEST], "goaway FLOW_CONTROL_ERROR"),
    ("http2/6.9.1/3", [OPEN, *[frames.window_update(1, (1 << 31) - 1)] * 2], "reset FLOW_CONTROL_ERROR"),
    ("http2/6.9.2/1", [setting(4, 0), headers(), setting(4, 1)], "1 bytes"),
    ("http2/6.9.2/2", [setting(4, 3), headers(), ANSWERED, setting(4, 2), frames.window_update(1, 2)], "4 bytes"),
    ("http2/6.9.2/3", [setting(4, 1 << 31)], "goaway FLOW_CONTROL_ERROR"),
    ("http2/6.10/1", IN_THREE, "answer"),
    ("http2/6.10/2", [UNENDED, frame(CONTINUATION, 0, 1, GET_BLOCK[HALF:]), data()], "goaway PROTOCOL_ERROR"),
    ("http2/6.10/3", [UNENDED, frame(CONTINUATION, END_HEADERS, 0, GET_BLOCK[HALF:])], "goaway PROTOCOL_ERROR"),
    ("http2/6.10/4", [headers(), REST], "goaway PROTOCOL_ERROR"),
    ("http2/6.10/5", [UNENDED, REST, REST], "goaway PROTOCOL_ERROR"),
    ("http2/6.10/6", [OPEN, data(flags=0), REST], "goaway PROTOCOL_ERROR"),
    ("http2/7/1", [frame(GOAWAY, 0, 0, bytes(4) + b"\0\0\0\xff")], "close"),
    ("http2/7/2", [OPEN, frame(RST_STREAM, 0, 1, b"\0\0\0\xff")], "ok"),
    ("http2/8.1/1", [OPEN, data(flags=0), headers(1, [(b"x-test", b"ok")], END_HEADERS)], "reset PROTOCOL_ERROR"),
    ("http2/8.1.2/1", [headers(1, [*GET, (b"X-TEST", b"ok")])], "400"),
    ("http2/8.1.2.1/1", [headers(1, [*GET, (b":test", b"ok")])], "400"),
    ("http2/8.1.2.1/2", [headers(1, [*GET, (b":status", b"200")])], "400"),
    ("http2/8.1.2.1/3", [OPEN, data(flags=0), headers(1, [(b":method", b"POST")])], "400"),
    ("http2/8.1.2.1/4", [headers(1, [(b"x-test", b"ok"), *GET])], "400"),
    ("http2/8.1.2.2/1", [headers(1, [*GET, (b"connection", b"keep-alive")])], "400"),
    ("http2/8.1.2.2/2", [headers(1, [*GET, (b"te", b"trailers, deflate")])], "400"),
    ("http2/8.1.2.3/1", [headers(1, [*without(b":path"), (b":path", b"")])], "400"),
    ("http2/8.1.2.3/2", [headers(1, without(b":method"))], "400"),
    ("http2/8.1.2.3/3", [headers(1, without(b":scheme"))], "400"),
    ("http2/8.1.2.3/4", [headers(1, without(b":path"))], "400"),
    ("http2/8.1.2.3/5", [headers(1, [GET[0], *GET])], "400"),
    ("http2/8.1.2.3/6", [headers(1, [GET[1], *GET])], "400"),
    ("http2/8.1.2.3/7", [headers(1, [GET[3], *GET])], "400"),
    ("http2/8.1.2.6/1", [upload((b"content-length", b"1")), data()], "400"),
    ("http2/8.1.2.6/2", [upload((b"content-length", b"1")), data(flags=0), data()], "400"),
    ("http2/8.2/1", [frame(PUSH_PROMISE, END_HEADERS, 1, bytes((0, 0, 0, 2)) + GET_BLOCK)], "goaway PROTOCOL_ERROR"),
]  # fmt: skip


def said_by(sent: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each frame."""
    found, start = [], 0
    while start < len(sent):
        size = int.from_bytes(sent[start : start + 3])
        stream = int.from_bytes(sent[start + 5 : start + 9])
        found.append((sent[start + 3], sent[start + 4], stream, sent[start + 9 : start + 9 + size]))
        start += 9 + size
    return found


def outcome(parts: list[bytes | None], name: str) -> str:
    rig = Http2Rig()
    rig.sent = b""
    if name != "http2/3.5/2":
        rig.raw(HELLO)
    for part in (*parts, ANSWERED):
        if rig.end:
            break
        if part is not None:
            rig.raw(part)
            continue
        for upstream in rig.upstreams:
            if upstream.leased and not rig.end:
                rig.respond_on(upstream, OK)
    said = said_by(rig.sent)
    if rig.end:
        codes = [int.from_bytes(payload[4:8]) for kind, _, _, payload in said if kind == GOAWAY]
        return f"goaway {ErrorCode(codes[-1]).name}" if codes and codes[-1] else "close"
    resets = {stream: ErrorCode(int.from_bytes(payload)) for kind, _, stream, payload in said if kind == RST_STREAM}
    if ErrorCode.REFUSED_STREAM in resets.values():
        return "refused"
    if 1 in resets:
        return f"reset {resets[1].name}"
    statuses = [payload[:1] for kind, _, stream, payload in said if kind == HEADERS and stream == 1]
    if statuses:
        size = sum(len(payload) for kind, _, stream, payload in said if kind == DATA and stream == 1)
        return "400" if statuses[0] != STATUS_200 else "answer" if size in (0, 5) else f"{size} bytes"
    rig.sent = b""
    rig.raw(ping(b"is it up"))
    return "ok" if (PING, ACK, 0, b"is it up") in said_by(rig.sent) else "silent"


@pytest.mark.parametrize(("name", "parts", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_case(name: str, parts: list[bytes | None], expected: str) -> None:
    assert outcome(parts, name) == expected


def test_every_case_is_there_once() -> None:
    assert len({case[0] for case in CASES}) == len(CASES) == 148
