"""What is written to upstreams and clients."""

from __future__ import annotations

from typing import Any

import pytest

from proxyguard.http.http1 import serialise
from proxyguard.http.http1.heads import BodyKind, RequestHead, ResponseHead
from proxyguard.http.http1.response_parser import MAX_HEADS
from proxyguard.http.http1.serialise import body_to_client, chunk, last_chunk, own_head, request_head, response_head
from tests.http.http1.reading import read_requests, read_responses


def _request(raw: bytes) -> RequestHead:
    head = read_requests([raw])[0][0][0]
    assert isinstance(head, RequestHead)
    return head


def _response(raw: bytes, method: bytes = b"GET", *, upgrade: bool = False) -> ResponseHead:
    head = read_responses([raw], method, upgrade=upgrade)[0][0][0]
    assert isinstance(head, ResponseHead)
    return head


def test_additions_follow_the_clients_fields_and_drops_go_in_every_spelling() -> None:
    head = _request(
        b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nHost: a.example\r\nX_Forwarded_For: 192.0.2.2\r\n"
        b"x-forwarded_for: 192.0.2.3\r\nAccept: */*\r\n\r\n"
    )
    written = request_head(head, add=((b"X-Forwarded-For", b"198.51.100.1"),), drop=frozenset({b"x-forwarded-for"}))
    assert written == b"GET / HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"


def test_an_authority_of_our_own_replaces_the_host() -> None:
    head = _request(b"GET / HTTP/1.0\r\n\r\n")
    assert request_head(head, authority=b"origin.example") == b"GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n"


def test_expect_goes_only_where_it_was_meant_and_not_dropped() -> None:
    head = _request(b"PUT / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na")
    assert b"Expect: 100-continue\r\n" in request_head(head)
    assert b"Expect" not in request_head(head, drop=frozenset({b"expect"}))


def test_a_head_that_is_remembered_is_written_as_one_that_is_not() -> None:
    raws = [
        b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\nConnection: Vary\r\nVary: a\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 404 \r\nServer: old\r\nETag: 1\r\n\r\n",
    ]
    ways: list[dict[str, Any]] = [
        {}, {"keep_alive": False}, {"version": b"1.0"}, {"add": ((b"X-A", b"1"),)}, {"drop": frozenset({b"date"})}, {},
    ]  # fmt: skip
    for raw in raws:
        head = _response(raw)
        assert _response(raw) is head
        other = head.with_headers(head.headers)
        assert id(head) in serialise._written
        assert id(other) not in serialise._written
        for way in (*ways, *ways):
            assert response_head(head, **way) == response_head(other, **way)
            for added in (((b"Set-Cookie", b"a=b"), (b"Cache-Control", b"private")), ((b"Vary", b"b"),), ()):
                dressed = head.with_added(added)
                assert dressed == head.with_headers(head.headers + added)
                assert response_head(dressed, **way) == response_head(head.with_headers(head.headers + added), **way)


def test_no_head_with_a_cookie_is_remembered_nor_are_many() -> None:
    _response(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    for number in range(2 * MAX_HEADS):
        head = _response(b"HTTP/1.1 200 OK\r\nAge: %d\r\nContent-Length: 0\r\n\r\n" % number)
        assert b"Age: %d\r\n" % number in response_head(head)
        assert len(serialise._written) <= MAX_HEADS
    assert not any(b"a=b" in kept.text for kept in serialise._written.values())


PASSED = [
    # what is kept, Connection, the fields that go upstream
    (None, b"", b"X-Real-IP X-Trace X-Scheme"),
    (None, b"X-Trace", b"X-Real-IP X-Scheme"),
    (frozenset(), b"", b"X-Trace"),
    (frozenset(), b"X-Trace", b""),
    (frozenset({b"x-scheme"}), b"", b"X-Trace X-Scheme"),
    (frozenset({b"x-scheme"}), b"X-Scheme, X-Trace", b"X-Scheme"),
    (frozenset({b"x-dropped"}), b"", b"X-Dropped X-Trace"),
]


@pytest.mark.parametrize(("keep", "nominated", "passed"), PASSED)
def test_each_way_of_dropping_is_asked_whatever_passed_another_way_before(
    keep: frozenset[bytes] | None, nominated: bytes, passed: bytes
) -> None:
    fields = b"X-Dropped: 1\r\nX-Real-IP: 1\r\nX-Trace: 1\r\nX-Scheme: 1\r\n"
    connection = b"Connection: " + nominated + b"\r\n" if nominated else b""
    head = _request(b"GET / HTTP/1.1\r\nHost: a.example\r\n" + fields + connection + b"\r\n")
    for _ in range(2):  # the second time from memory
        written = request_head(head, drop=frozenset({b"x-dropped"}), keep=keep)
        assert b" ".join(line.partition(b":")[0] for line in written.split(b"\r\n")[2:-2]) == passed


def test_names_that_a_client_makes_up_fill_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    filters: dict[tuple[frozenset[bytes], frozenset[bytes]], serialise._FieldFilter] = {}
    monkeypatch.setattr(serialise, "_filters", filters)
    drop, keep = frozenset({b"x-dropped"}), frozenset[bytes]()
    for number in range(serialise.MAX_REMEMBERED + 5):
        head = _request(b"GET / HTTP/1.1\r\nHost: a\r\nX-%d: 1\r\nX-Real-IP: 1\r\n%b: 1\r\n\r\n" % (number, b"x" * 65))
        assert request_head(head, drop=drop, keep=keep).split(b"\r\n")[2:-2] == [b"X-%d: 1" % number, b"x" * 65 + b": 1"]
    (known,) = (each.known for each in filters.values())
    assert 0 < len(known) <= serialise.MAX_REMEMBERED
    assert b"x" * 65 not in known


RESPONSES: list[tuple[str, bytes, bytes, bytes, bool, bytes]] = [
    # name, response, client's version, method, keep alive, written
    (
        "length",
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 003\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nabc",
        b"1.1", b"GET", True,
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\n",
    ),
    (
        "length, then close",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"1.1", b"GET", False,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
    ),
    (
        "the upstream's close is not the client's",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\nabc",
        b"1.1", b"GET", True,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    ),
    (
        "chunks",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\n\r\n",
        b"1.1", b"GET", True,
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        "chunks to HTTP/1.0",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"1.0", b"GET", True,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ),
    (
        "until the close becomes chunks",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
        b"1.1", b"GET", True,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        "until the close to HTTP/1.0",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
        b"1.0", b"GET", True,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ),
    (
        "length to HTTP/1.0",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"1.0", b"GET", True,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
    ),
    (
        "HEAD keeps the length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        b"1.1", b"HEAD", True,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    ),
    (
        "HEAD of chunks",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1.1", b"HEAD", True,
        b"HTTP/1.1 200 OK\r\n\r\n",
    ),
    (
        "304 keeps the length",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 3\r\n\r\n",
        b"1.1", b"GET", True,
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 3\r\n\r\n",
    ),
    (
        "204 has no length",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"1.1", b"GET", True,
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ),
    (
        "103",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"1.1", b"GET", False,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ),
    (
        "reason of the upstream",
        b"HTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n",
        b"1.1", b"GET", True,
        b"HTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "version", "method", "keep_alive", "written"), [row[1:] for row in RESPONSES], ids=[row[0] for row in RESPONSES]
)
def test_a_response_head(raw: bytes, version: bytes, method: bytes, keep_alive: bool, written: bytes) -> None:
    assert response_head(_response(raw, method), version=version, keep_alive=keep_alive) == written


def test_a_switch_names_the_protocol_again() -> None:
    raw = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
    assert response_head(_response(raw, upgrade=True)) == (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


def test_response_fields_can_be_dropped_and_added() -> None:
    head = _response(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n")
    assert response_head(head, drop=frozenset({b"server"}), add=((b"Via", b"1.1 x"),)) == (
        b"HTTP/1.1 200 OK\r\nVia: 1.1 x\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("raw", "version", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b"1.0", BodyKind.LENGTH),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"1.1", BodyKind.NONE),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"1.1", BodyKind.CHUNKED),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"1.0", BodyKind.UNTIL_CLOSE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1.1", BodyKind.CHUNKED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1.0", BodyKind.UNTIL_CLOSE),
    ],
)
def test_how_a_body_goes_to_a_client(raw: bytes, version: bytes, kind: BodyKind) -> None:
    assert body_to_client(_response(raw), version) is kind


@pytest.mark.parametrize(
    ("status", "version", "keep_alive", "written"),
    [
        (403, b"1.1", True, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        (403, b"1.1", False, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        (403, b"1.0", True, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"),
        (799, b"1.1", True, b"HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_a_head_of_our_own(status: int, version: bytes, keep_alive: bool, written: bytes) -> None:
    assert own_head(status, ((b"Content-Length", b"0"),), version=version, keep_alive=keep_alive) == written


def test_chunks() -> None:
    assert chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert chunk(b"") == b""
    assert last_chunk() == b"0\r\n\r\n"
    assert last_chunk(((b"X", b"1"), (b"Y", b""))) == b"0\r\nX: 1\r\nY: \r\n\r\n"
