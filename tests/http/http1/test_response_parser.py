"""The response parser: framing by every rule of RFC 9112 section 6.3, in every cut, and what spoils a connection."""

from __future__ import annotations

import pytest

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import RESPONSE_FAULTS, BadResponse
from proxyguard.http.http1.heads import END, Body, BodyKind, ResponseHead
from proxyguard.http.http1.response_parser import MAX_INTERIM, ResponseParser
from tests.http.http1.reading import read_responses, single_bytes

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"

LENGTH, CHUNKED, NONE = BodyKind.LENGTH, BodyKind.CHUNKED, BodyKind.NONE

# name, method, raw, (status, body kind, body), reusable afterwards
GOOD: list[tuple[str, bytes, bytes, tuple[int, BodyKind, bytes], bool]] = [
    ("length", b"GET", OK + b"Content-Length: 3\r\n\r\nabc", (200, LENGTH, b"abc"), True),
    ("length 0", b"GET", EMPTY, (200, LENGTH, b""), True),
    ("the same length twice", b"GET", OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", (200, LENGTH, b"abc"), True),
    ("chunked", b"GET", CHUNKS + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", (200, CHUNKED, b"abc"), True),
    ("padded chunk size", b"GET", CHUNKS + b"3  \r\nabc\r\n0  \r\n\r\n", (200, CHUNKED, b"abc"), True),
    ("HEAD with a length", b"HEAD", OK + b"Content-Length: 3\r\n\r\n", (200, NONE, b""), True),
    ("HEAD with chunks", b"HEAD", CHUNKS, (200, NONE, b""), True),
    ("HEAD without a length", b"HEAD", OK + b"X: 1\r\n\r\n", (200, NONE, b""), True),
    ("204", b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", (204, NONE, b""), True),
    ("204 that names a length", b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", (204, NONE, b""), True),
    ("304 with a length", b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", (304, NONE, b""), True),
    ("close", b"GET", OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n", (200, LENGTH, b""), False),
    ("HTTP/1.0", b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", (200, LENGTH, b""), False),
    ("HTTP/1.0 stays", b"GET", b"HTTP/1.0 200\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", (200, LENGTH, b""), True),
    ("no reason", b"GET", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", (200, LENGTH, b""), True),
    ("no space for a reason", b"GET", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (200, LENGTH, b""), True),
    ("odd reason", b"GET", b"HTTP/1.1 200 \xc3\x84h:\tOK\r\nContent-Length: 0\r\n\r\n", (200, LENGTH, b""), True),
    ("status of no known class", b"GET", b"HTTP/1.1 799 ?\r\nContent-Length: 0\r\n\r\n", (799, LENGTH, b""), True),
    ("many fields", b"GET", OK + b"Set-Cookie: a=b\r\n" * 500 + b"Content-Length: 0\r\n\r\n", (200, LENGTH, b""), True),
]  # fmt: skip

BAD: list[tuple[str, bytes, str]] = [
    ("not HTTP", b"hello\r\n\r\n", "status-line"),
    ("ICY", b"ICY 200 OK\r\n\r\n", "status-line"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\n\r\n", "version"),
    ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n", "status-line"),
    ("status 099", b"HTTP/1.1 099 OK\r\n\r\n", "status-line"),
    ("NUL in the reason", b"HTTP/1.1 200 O\0K\r\n\r\n", "status-line"),
    ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "bare-lf"),
    ("bare LF after a field", OK + b"X: 1\nContent-Length: 0\r\n\r\n", "bare-lf"),
    ("bare CR", OK + b"X: a\rb\r\n\r\n", "bare-cr"),
    ("fold", OK + b"X: 1\r\n 2\r\n\r\n", "obs-fold"),
    ("space before the colon", OK + b"X : 1\r\n\r\n", "space-before-colon"),
    ("no colon", OK + b"X\r\n\r\n", "field-name"),
    ("NUL in a value", OK + b"X: \0\r\n\r\n", "field-value"),
    ("signed length", OK + b"Content-Length: +3\r\n\r\nabc", "content-length"),
    ("list of lengths", OK + b"Content-Length: 3, 3\r\n\r\nabc", "content-length"),
    ("two lengths", OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "content-length-repeated"),
    ("length and chunks", OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "length-and-encoding"),
    ("gzip, chunked", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "transfer-encoding"),
    ("chunked twice", OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer-encoding"),
    ("chunked in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer-encoding-http10"),
    ("chunk size that is none", CHUNKS + b"xyz\r\n", "chunk"),
    ("chunk size of 2^64 - 1", CHUNKS + b"FFFFFFFFFFFFFFFF\r\n", "chunk-size"),
    ("extensions for nothing", CHUNKS + (b"1;" + b"a" * 200 + b"\r\na\r\n") * 100, "chunk-overhead"),
    ("trailers too long", CHUNKS + b"0\r\n" + b"X: 1\r\n" * 20_000, "trailer-size"),
    ("head too long", OK + b"X: 1\r\n" * 20_000, "head-size"),
    ("upgrade nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "unasked-upgrade"),
    ("interim responses without end", b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MAX_INTERIM + 1), "interim-count"),
    ("Connection that is no list", OK + b"Connection: a b\r\n\r\n", "connection"),
]  # fmt: skip


def _pieces(raw: bytes) -> list[list[bytes]]:
    places = range(1, len(raw)) if len(raw) < 500 else range(1, len(raw), 499)
    return [[raw], single_bytes(raw), *([raw[:place], raw[place:]] for place in places)]


@pytest.mark.parametrize(("method", "raw", "expected", "reusable"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_a_good_response_in_every_cut(method: bytes, raw: bytes, expected: tuple[int, BodyKind, bytes], reusable: bool) -> None:
    for pieces in _pieces(raw):
        found, fault, parser = read_responses(pieces, method)
        assert fault is None
        ((head, body, trailers),) = found
        assert isinstance(head, ResponseHead)
        assert (head.status, head.body, body, trailers) == (*expected, ())
        assert parser.reusable is reusable


@pytest.mark.parametrize(("raw", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_response_in_every_cut(raw: bytes, reason: str) -> None:
    for pieces in _pieces(raw):
        _, fault, parser = read_responses(pieces)
        assert fault == reason
        assert not parser.reusable
        with pytest.raises(BadResponse, match="unasked"):
            parser.feed(b"HTTP/1.1 200 OK\r\n\r\n")


def test_every_reason_is_in_a_table() -> None:
    reached = {reason for _, _, reason in BAD} | {"cut-head", "cut-body", "no-response", "unasked"}
    assert reached | {"reset"} == RESPONSE_FAULTS  # RST_STREAM, which only HTTP/2 has


def test_interim_responses_are_counted_for_each_request_anew() -> None:
    parser = ResponseParser(Bounds())
    for _ in range(2):
        parser.begin(b"GET")
        events = parser.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n" * MAX_INTERIM + EMPTY)
        assert len(events) == MAX_INTERIM + 2


def test_interim_responses_precede_the_final_one() -> None:
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + EMPTY
    for pieces in _pieces(raw):
        found, fault, parser = read_responses(pieces)
        assert fault is None
        assert [(head.status, trailers) for head, _, trailers in found if isinstance(head, ResponseHead)] == [
            (100, None), (103, None), (200, ()),
        ]  # fmt: skip
        assert parser.reusable


def test_trailers_come_without_the_fields_that_may_not_be_there() -> None:
    raw = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nContent-Length: 1\r\n\r\n"
    for pieces in _pieces(raw):
        ((_, body, trailers),), fault, _ = read_responses(pieces)
        assert (body, trailers, fault) == (b"a", ((b"X-Sum", b"1"),), None)


@pytest.mark.parametrize("raw", [OK + b"\r\n" + b"abc" * 3, b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nabcabcabc"])
def test_a_body_without_framing_runs_until_the_close(raw: bytes) -> None:
    for pieces in _pieces(raw):
        ((head, body, trailers),), fault, parser = read_responses(pieces, closed=True)
        assert isinstance(head, ResponseHead)
        assert (head.body, head.keep_alive, body, trailers, fault) == (BodyKind.UNTIL_CLOSE, False, b"abc" * 3, (), None)
        assert not parser.reusable


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no-response"),
        (b"H", "cut-head"),
        (OK + b"Content-Length: 3\r\n", "cut-head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "cut-head"),
        (OK + b"Content-Length: 3\r\n\r\nab", "cut-body"),
        (CHUNKS + b"2\r\nab\r\n", "cut-body"),
        (CHUNKS + b"0\r\n", "cut-body"),
    ],
)
def test_a_close_that_cuts_a_response_is_a_fault(raw: bytes, reason: str) -> None:
    for pieces in _pieces(raw):
        assert read_responses(pieces, closed=True)[1] == reason


def test_a_close_between_responses_is_none() -> None:
    _, fault, parser = read_responses([EMPTY], closed=True)
    assert fault is None
    assert not parser.reusable


def test_whether_a_response_has_begun_tells_if_a_request_may_be_sent_again() -> None:
    parser = ResponseParser(Bounds())
    parser.begin(b"GET")
    seen = [parser.begun]
    for piece in (b"", b"H", EMPTY[1:]):
        parser.feed(piece)
        seen.append(parser.begun)
    assert seen == [False, False, True, True]
    parser.begin(b"GET")
    assert not parser.begun


def test_responses_follow_each_other_on_one_connection() -> None:
    parser = ResponseParser(Bounds())
    for body in (b"abc", b"de"):
        parser.begin(b"GET")
        events = parser.feed(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert events[1:] == [Body(body), END]


def test_bytes_after_a_response_in_one_feed_spare_it_and_spoil_the_connection() -> None:
    found, fault, parser = read_responses([EMPTY + EMPTY])
    assert (len(found), fault, parser.reusable) == (1, None, False)


def test_bytes_that_nobody_asked_for_are_a_fault() -> None:
    parser = ResponseParser(Bounds())
    with pytest.raises(BadResponse, match="unasked"):
        parser.feed(b"H")
    assert not parser.reusable


def test_beginning_before_the_last_response_is_whole_is_a_mistake_of_the_caller() -> None:
    parser = ResponseParser(Bounds())
    parser.begin(b"GET")
    with pytest.raises(RuntimeError, match="not reusable"):
        parser.begin(b"GET")


def test_an_upgrade_that_was_offered_ends_the_reading() -> None:
    raw = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"
    for pieces in _pieces(raw):
        ((head, _, trailers),), fault, parser = read_responses(pieces, upgrade=True)
        assert isinstance(head, ResponseHead)
        assert (head.status, trailers, fault, parser.reusable) == (101, None, None, False)
        assert parser.rest() == b"\x81\x05hello"
        assert parser.eof() == []


def test_an_upgrade_that_is_declined_is_an_ordinary_response() -> None:
    ((head, body, _),), fault, parser = read_responses([OK + b"Content-Length: 2\r\n\r\nno"], upgrade=True)
    assert isinstance(head, ResponseHead)
    assert (head.status, body, fault, parser.reusable) == (200, b"no", None, True)


def test_what_a_peer_sends_after_an_upgrade_is_bounded_until_it_is_taken() -> None:
    raw = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert read_responses([raw, b"a" * 11], upgrade=True, bounds=Bounds(buffer_bytes=10))[1] == "unasked"


def test_an_endless_head_holds_no_more_than_its_bound() -> None:
    parser = ResponseParser(Bounds(response_head_bytes=100))
    parser.begin(b"GET")
    parser.feed(b"a" * 99)
    assert len(parser._held) == 99
    with pytest.raises(BadResponse, match="head-size"):
        parser.feed(b"a" * 1_000_000)
    assert len(parser._held) == 0
