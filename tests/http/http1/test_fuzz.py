"""Whatever bytes come, in whatever pieces: messages or one fault, the same for every cut, and nothing kept beyond the bounds."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import REQUEST_FAULTS, RESPONSE_FAULTS, BadRequest, BadResponse
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http1.request_parser import RequestParser
from proxyguard.http.http1.response_parser import ResponseParser
from proxyguard.http.http1.serialise import chunk, last_chunk, request_head
from tests.examples import examples
from tests.http.http1.odd_requests import ODD_REQUESTS
from tests.http.http1.reading import Message, read_requests, read_responses, single_bytes

SMALL = Bounds(
    head_bytes=300, response_head_bytes=300, field_bytes=80, header_count=6, target_bytes=60, body_bytes=100, buffer_bytes=200
)  # fmt: skip

PARTS = [
    b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI", b" ", b"  ", b"/", b"*", b"//", b"/..", b"%2e", b"%",
    b"?", b"#", b"\\", b"http://a.example", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"\r\n", b"\r\n\r\n", b"\n",
    b"\r", b"\t", b"\0", b"\xff", b":", b": ", b"Host: a.example\r\n", b"Host: b.example\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content_Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n",
    b"Upgrade: h2c\r\n", b"TE: trailers\r\n", b"Expect: 100-continue\r\n", b"X: 1\r\n", b"X : 1\r\n", b" folded\r\n",
    b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a.example\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n", b"abcde", b"abcde\r\n",
    b"0\r\n", b"0\r\n\r\n", b"5;x=y\r\n", b"ffffffffffffffff\r\n", b"+5\r\n", b"5 \r\n", b"a" * 90, b"X: 1\r\n" * 8,
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 \r\n", b"HTTP/1.0 200\r\n",
    b"HTTP/1.1 101 S\r\n", b"HTTP/1.1 304 N\r\n",
]  # fmt: skip

streams = st.lists(st.sampled_from(PARTS) | st.binary(max_size=6), max_size=20).map(b"".join)
cuts = st.lists(st.integers(0, 400), max_size=6)


def _cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in pairwise(edges)]


def _complete(found: list[Message]) -> list[Message]:
    return [message for message in found if message[2] is not None]


def _heads(found: list[Message]) -> list[Any]:
    return [head for head, _, _ in found]


@pytest.mark.slow
@given(streams, cuts)
@settings(max_examples=examples(350), deadline=None)
@example(b"GET / HTTP/1.1\r\nHost: a.example\r\n" + b"X: 1\n" + b"a" * 400, [])
@example(b"\r\n\r\nGET", [1, 2, 3])
def test_requests_do_not_depend_on_the_cut(stream: bytes, places: list[int]) -> None:
    whole, fault = read_requests([stream], SMALL)
    assert fault is None or REQUEST_FAULTS[fault[1]] == fault[0]
    for pieces in (_cut(stream, places), single_bytes(stream)):
        found, again = read_requests(pieces, SMALL)
        assert (_complete(found), _heads(found), again) == (_complete(whole), _heads(whole), fault)


@pytest.mark.slow
@given(streams, cuts, st.sampled_from([b"GET", b"HEAD"]), st.sampled_from(["", "upgrade", "closed", "upgrade closed"]))
@settings(max_examples=examples(350), deadline=None)
def test_responses_do_not_depend_on_the_cut(stream: bytes, places: list[int], method: bytes, how: str) -> None:
    upgrade, closed = "upgrade" in how, "closed" in how
    whole, fault, _ = read_responses([stream], method, bounds=SMALL, upgrade=upgrade, closed=closed)
    assert fault is None or fault in RESPONSE_FAULTS
    first = _complete(whole)[:1]
    for pieces in (_cut(stream, places), single_bytes(stream)):
        found, again, _ = read_responses(pieces, method, bounds=SMALL, upgrade=upgrade, closed=closed)
        assert _complete(found)[:1] == first
        assert _heads(found) == _heads(whole)
        assert again == fault or (first and again == "unasked")  # more after a whole response: noticed now or later


@pytest.mark.slow
@given(st.lists(streams, max_size=8))
@settings(max_examples=examples(300), deadline=None)
def test_what_a_request_parser_keeps_is_bounded(pieces: list[bytes]) -> None:
    parser = RequestParser(SMALL)
    for piece in pieces:
        with suppress(BadRequest):
            parser.feed(piece)
        chunks = parser._chunks
        assert len(parser._held) <= max(SMALL.head_bytes, SMALL.buffer_bytes)
        assert chunks is None or len(chunks._held) <= 256


@pytest.mark.slow
@given(st.lists(streams, max_size=8))
@settings(max_examples=examples(300), deadline=None)
def test_what_a_response_parser_keeps_is_bounded(pieces: list[bytes]) -> None:
    parser = ResponseParser(SMALL)
    parser.begin(b"GET")
    for piece in pieces:
        with suppress(BadResponse):
            parser.feed(piece)
        chunks = parser._chunks
        assert len(parser._held) <= SMALL.head_bytes
        assert chunks is None or len(chunks._held) <= SMALL.head_bytes


def _read_by_h11(wire: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]:
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    peer.receive_data(wire)
    head = peer.next_event()
    assert isinstance(head, h11.Request)
    body, event = b"", peer.next_event()
    while isinstance(event, h11.Data):
        body += event.data
        event = peer.next_event()
    assert isinstance(event, h11.EndOfMessage)
    assert peer.trailing_data[0] == b""
    return bytes(head.method), bytes(head.target), list(head.headers), body


@pytest.mark.thorough
@pytest.mark.slow
@given(
    st.integers(0, len(ODD_REQUESTS) - 1),
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from(PARTS), st.booleans()), max_size=3),
)
@settings(max_examples=examples(800), deadline=None)
def test_every_mutation_that_is_accepted_is_read_the_same_by_h11(row: int, edits: list[tuple[int, bytes, bool]]) -> None:
    """Table requests with bits put in or written over: what a smuggler tries."""
    stream = bytearray(ODD_REQUESTS[row][1][:2000])
    for place, part, over in edits:
        place %= len(stream) + 1  # noqa: PLW2901 - where the edit lands
        stream[place : place + (len(part) if over else 0)] = part
    for head, body, trailers in _complete(read_requests([bytes(stream)])[0]):
        assert isinstance(head, RequestHead)
        wire = request_head(head, authority=head.authority or b"a.example")
        wire += chunk(body) + last_chunk(trailers or ()) if b"\r\nTransfer-Encoding: chunked\r\n" in wire else body
        method, target, fields, seen = _read_by_h11(wire)
        assert (method, target, seen) == (head.method, head.target, body)
        assert [value for name, value in fields if name == b"host"] == [head.authority or b"a.example"]
        kept = [(name, value) for name, value in fields if name.startswith(b"x")]
        sent = [(name.lower(), value) for name, value in head.headers if name[:1] in b"xX"]
        assert [field for field in sent if field[0] not in head.nominated] == kept
