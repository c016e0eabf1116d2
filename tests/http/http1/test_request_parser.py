"""The request parser: the table of odd requests in every cut, streams of several messages, and the bounds."""

from __future__ import annotations

import pytest

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import REQUEST_FAULTS, BadRequest
from proxyguard.http.http1.heads import END, Body, BodyKind, End, RequestHead
from proxyguard.http.http1.request_parser import RequestParser
from tests.http.http1.odd_requests import (
    FIELD_BYTES,
    HEAD_BYTES,
    HEADER_COUNT,
    ODD_REQUESTS,
    TARGET_BYTES,
    Expectation,
    Forwarded,
    Pending,
    Refused,
)
from tests.http.http1.reading import outcome, read_requests, single_bytes, wire

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"PUT /c HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"

odd = pytest.mark.parametrize(("raw", "expected"), [row[1:] for row in ODD_REQUESTS], ids=[row[0] for row in ODD_REQUESTS])


def _head(raw: bytes) -> RequestHead:
    (message,), fault = read_requests([raw])
    assert fault is None
    assert isinstance(message[0], RequestHead)
    return message[0]


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len(ODD_REQUESTS) >= 300
    assert len({name for name, _, _ in ODD_REQUESTS}) == len(ODD_REQUESTS)


def test_the_table_is_made_for_the_default_bounds() -> None:
    bounds = Bounds()
    assert (bounds.head_bytes, bounds.field_bytes, bounds.target_bytes, bounds.header_count) == (
        HEAD_BYTES, FIELD_BYTES, TARGET_BYTES, HEADER_COUNT,
    )  # fmt: skip


def test_every_reason_is_reached_by_the_table_or_by_a_bound_that_is_off_by_default() -> None:
    reached = {expected.reason for _, _, expected in ODD_REQUESTS if isinstance(expected, Refused)}
    assert set(REQUEST_FAULTS) - reached == {"body-size", "upgrade-backlog"}


def test_statuses_in_the_table_are_those_of_their_reasons() -> None:
    for name, _, expected in ODD_REQUESTS:
        if isinstance(expected, Refused):
            assert REQUEST_FAULTS[expected.reason] == expected.status, name


@odd
def test_an_odd_request_whole(raw: bytes, expected: Expectation) -> None:
    assert outcome([raw]) == expected


@odd
def test_an_odd_request_byte_by_byte(raw: bytes, expected: Expectation) -> None:
    assert outcome(single_bytes(raw)) == expected


@odd
def test_an_odd_request_cut_in_two_anywhere(raw: bytes, expected: Expectation) -> None:
    places = range(1, len(raw)) if len(raw) < 500 else [*range(1, 200), *range(200, len(raw), 1999)]
    for place in places:
        assert outcome([raw[:place], raw[place:]]) == expected, place


@odd
def test_an_odd_request_after_a_good_one_spares_the_good_one(raw: bytes, expected: Expectation) -> None:
    found, fault = read_requests([GET + raw])
    assert found[0] == (_head(GET), b"", ())
    assert fault == (tuple(expected) if isinstance(expected, Refused) else None)


@odd
def test_a_good_request_after_an_odd_one_is_read_only_when_the_odd_one_is_whole(raw: bytes, expected: Expectation) -> None:
    parser = RequestParser(Bounds())
    try:
        events = parser.feed(raw + GET)
    except BadRequest as fault:
        events = list(fault.events)
    heads = [event for event in events if isinstance(event, RequestHead)]
    match expected:
        case Forwarded():
            if heads[0].upgrade is None:
                assert [head.target for head in heads[1:]] == [b"/"]
            else:
                assert heads[1:] == []
                assert parser.take_rest() == GET
        case Refused():
            assert len(heads) <= 1
        case Pending():  # what follows is taken for the missing part
            assert parser.idle is (raw.endswith(b"abc") and b"Content-Length" in raw)


@odd
def test_what_is_forwarded_reads_the_same_again(raw: bytes, expected: Expectation) -> None:
    if isinstance(expected, Forwarded) and b"Host: \r\n" not in expected.head:
        assert outcome([wire(expected)]) == expected


def test_a_browser_request_becomes_one_head_and_one_end() -> None:
    raw = b"GET /a?b HTTP/1.1\r\nHost: A.example:8080\r\nUser-Agent: x\r\nCookie: a=b\r\n\r\n"
    assert RequestParser(Bounds()).feed(raw) == [
        RequestHead(
            method=b"GET",
            target=b"/a?b",
            authority=b"a.example:8080",
            host=b"a.example",
            headers=((b"Host", b"A.example:8080"), (b"User-Agent", b"x"), (b"Cookie", b"a=b")),
            version=b"1.1",
            body=BodyKind.NONE,
            content_length=None,
            keep_alive=True,
            expect_continue=False,
            upgrade=None,
            nominated=(),
            te_trailers=False,
        ),
        END,
    ]


@pytest.mark.parametrize(
    ("line", "version", "keeps"),
    [
        (b"X: 1", b"1.1", True),
        (b"Connection: close", b"1.1", False),
        (b"Connection: Keep-Alive, CLOSE", b"1.1", False),
        (b"Connection: keep-alive\r\nConnection: close", b"1.1", False),
        (b"X: 1", b"1.0", False),
        (b"Connection: Keep-Alive", b"1.0", True),
        (b"Connection: keep-alive, close", b"1.0", False),
    ],
)
def test_who_keeps_the_connection(line: bytes, version: bytes, keeps: bool) -> None:
    assert _head(b"GET / HTTP/" + version + b"\r\nHost: a.example\r\n" + line + b"\r\n\r\n").keep_alive is keeps


def test_pipelined_requests_come_in_order_whatever_the_cut() -> None:
    stream = GET + POST + b"\r\n" + CHUNKED + GET
    whole, fault = read_requests([stream])
    assert fault is None
    assert [(head.target, body) for head, body, _ in whole if isinstance(head, RequestHead)] == [
        (b"/", b""), (b"/b", b"abc"), (b"/c", b"def"), (b"/", b""),
    ]  # fmt: skip
    for place in range(1, len(stream)):
        assert read_requests([stream[:place], stream[place:]]) == (whole, None), place
    assert read_requests(single_bytes(stream)) == (whole, None)


def test_chunks_of_one_feed_come_as_one_body_event() -> None:
    events = RequestParser(Bounds()).feed(CHUNKED)
    assert events[1:] == [Body(b"def"), END]


def test_trailers_come_with_the_end() -> None:
    events = RequestParser(Bounds()).feed(CHUNKED.replace(b"0\r\n\r\n", b"0\r\nX-Sum: 1\r\n\r\n"))
    assert events[-1] == End(((b"X-Sum", b"1"),))


def test_the_bound_of_a_chunked_body_is_counted_for_each_request_anew() -> None:
    parser = RequestParser(Bounds(body_bytes=3))
    for _ in range(3):
        assert parser.feed(CHUNKED)[1:] == [Body(b"def"), END]


def test_each_request_may_have_an_empty_line_before_it() -> None:
    parser = RequestParser(Bounds())
    for _ in range(3):
        assert parser.feed(b"\r\n" + GET) == [_head(GET), END]


def test_idle_tells_whether_a_request_has_begun() -> None:
    parser = RequestParser(Bounds())
    seen = []
    for piece in (b"", b"\r\n", b"G", GET[1:], POST[:-1], POST[-1:], b"\r"):
        parser.feed(piece)
        seen.append(parser.idle)
    assert seen == [True, True, False, True, False, True, False]


def test_nothing_is_read_after_a_fault() -> None:
    parser = RequestParser(Bounds())
    for raw in (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", GET):
        with pytest.raises(BadRequest) as caught:
            parser.feed(raw)
        assert (caught.value.reason, caught.value.events) == ("host", ())


def test_an_upgrade_offer_stops_the_reading_until_it_is_taken_or_not() -> None:
    offer = b"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    parser = RequestParser(Bounds())
    head, end = parser.feed(offer + GET[:5])
    assert isinstance(head, RequestHead)
    assert (head.upgrade, end) == (b"websocket", END)
    assert parser.feed(GET[5:]) == []
    assert not parser.idle
    assert parser.resume() == [_head(GET), END]
    parser.feed(offer + b"\x81\x05")
    assert parser.take_rest() == b"\x81\x05"


def test_bytes_after_an_upgrade_offer_are_bounded() -> None:
    parser = RequestParser(Bounds(buffer_bytes=10))
    offer = b"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    parser.feed(offer + b"0123456789")
    with pytest.raises(BadRequest, match="upgrade-backlog"):
        parser.feed(b"a")


@pytest.mark.parametrize(
    ("bounds", "raw", "expected"),
    [
        (Bounds(body_bytes=3), POST, None),
        (Bounds(body_bytes=2), POST, (413, "body-size")),
        (Bounds(body_bytes=3), CHUNKED, None),
        (Bounds(body_bytes=2), CHUNKED, (413, "body-size")),
        (Bounds(head_bytes=len(GET)), GET, None),
        (Bounds(head_bytes=len(GET) - 1), GET, (431, "head-size")),
        (Bounds(target_bytes=1), GET, None),
        (Bounds(target_bytes=1), POST, (414, "target-size")),
        (Bounds(header_count=1), GET, None),
        (Bounds(header_count=1), POST, (431, "field-count")),
        (Bounds(field_bytes=15), GET, None),
        (Bounds(field_bytes=14), GET, (431, "field-size")),
        (Bounds(head_bytes=10), GET, (414, "target-size")),
    ],
)
def test_bounds_hold_to_the_byte(bounds: Bounds, raw: bytes, expected: tuple[int, str] | None) -> None:
    assert read_requests([raw], bounds)[1] == expected
    assert read_requests(single_bytes(raw), bounds)[1] == expected


def test_a_declared_body_that_is_too_large_is_refused_before_its_first_byte() -> None:
    found, fault = read_requests([b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\n"], Bounds(body_bytes=2))
    assert (found, fault) == ([], (413, "body-size"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"4\r\nabcd\r\nx\r\n", (400, "chunk")),
        (b"5\r\nabcde\r\nx\r\n", (413, "body-size")),
        (b"3\r\nabcd\r\nx\r\n", (400, "chunk")),
        (b"2\r\nab\r\n3\r\ncdeX\r\n", (413, "body-size")),
        (b"2\r\nab\r\n2\r\ncdX\r\n", (400, "chunk")),
        (b"4\r\nabcd\r\n1\n", (400, "bare-lf")),
        (b"4\r\nabcd\r\n0\r\nX: 1\n\n", (400, "bare-lf")),
        (b"5\r\nabcde\r\n0\r\nX: 1\n\n", (413, "body-size")),
        (b"4\r\nabcd\r\n20000000000001\r\n", (400, "chunk-size")),
        (b"5;%b\r\nabcde" % (b"x" * 300), (400, "chunk")),
    ],
)
def test_of_two_faults_of_a_body_the_one_that_comes_first_counts_in_every_cut(body: bytes, expected: tuple[int, str]) -> None:
    bounds = Bounds(body_bytes=4)
    raw = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    for pieces in ([raw], single_bytes(raw), *([raw[:place], raw[place:]] for place in range(1, len(raw)))):
        found, fault = read_requests(pieces, bounds)
        assert fault == expected, pieces
        assert [(head.target, trailers) for head, _, trailers in found] == [(b"/", None)]  # type: ignore[union-attr]  # requests only
        assert b"abcd".startswith(found[0][1])


def test_an_unfinished_head_holds_no_more_than_its_bound() -> None:
    parser = RequestParser(Bounds())
    parser.feed(b"GET / HTTP/1.1\r\n")
    for _ in range(32):
        parser.feed(b"X: " + b"a" * 997)
    assert len(parser._held) == 16 + 32 * 1000
    with pytest.raises(BadRequest, match="head-size"):
        parser.feed(b"a" * 1_000_000)
    assert len(parser._held) == 0


def test_a_body_is_not_copied_when_a_feed_holds_nothing_else() -> None:
    parser = RequestParser(Bounds())
    parser.feed(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\n")
    piece = b"a" * 50
    (event,) = parser.feed(piece)
    assert isinstance(event, Body)
    assert event.data is piece
