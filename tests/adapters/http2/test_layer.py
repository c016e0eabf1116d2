"""The HTTP/2 lane event by event: requests, bodies, windows, refusals, time, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from proxyguard.adapters.mitmproxy.http2.layer import MAX_REFUSED
from proxyguard.adapters.mitmproxy.messages import Arrived
from proxyguard.core.address import Network
from proxyguard.core.request import Request
from proxyguard.core.settings import Bounds, Buffering, Trust
from proxyguard.guard.interfaces import Ticket
from proxyguard.http.http1.chunked import ChunkedDecoder
from proxyguard.http.http2 import frames
from proxyguard.http.http2.budget import WORK_PER_REQUEST, WORK_PER_TURN
from proxyguard.http.http2.errors import ErrorCode
from proxyguard.http.http2.frames import frame
from proxyguard.http.http2.hpack import FieldEncoder
from proxyguard.http.http2.intake import GOAWAY_PING
from tests.adapters.fakes import DECISIONS, HeaderChecker
from tests.adapters.http2.rig import GET, HEARD, HELLO, WARNING, Fields, Http2Rig, ping, post, wish

FORWARDED = b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nX-Real-IP: 192.0.2.7\r\n"
UPSTREAM_GET = b"GET /x HTTP/1.1\r\nHost: a.example\r\n" + FORWARDED + b"\r\n"
LOOP = asyncio.new_event_loop()
OK = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


TRUST = Trust(proxies=(Network.parse("192.0.2.0/24"),))


def block(fields: Fields) -> bytes:
    """A field block for a connection without a table."""
    encoder = FieldEncoder()
    encoder.set_limit(0)
    return encoder.encode(fields)


def headers(number: int, fields: Fields = GET, *, end: bool = True) -> bytes:
    return frames.headers(number, block(fields), end=end)


# -- plain exchanges -----------------------------------------------------------------------------------------------------


def test_a_request_goes_upstream_as_http1_and_its_answer_comes_back() -> None:
    rig = Http2Rig()
    answer = rig.ask([*GET, (b"accept", b"*/*"), (b"cookie", b"a=1"), (b"cookie", b"b=2")])
    assert rig.upstream.got == (
        b"GET /x HTTP/1.1\r\nHost: a.example\r\naccept: */*\r\ncookie: a=1; b=2\r\n" + FORWARDED + b"\r\n"
    )
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: S\r\nDate: D\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\nhi")
    assert answer.fields == [(b":status", b"200"), (b"server", b"S"), (b"date", b"D"), (b"content-length", b"2")]
    assert (answer.body, answer.ended, answer.reset) == (b"hi", True, None)
    assert isinstance(rig.checker, HeaderChecker)
    (request,) = rig.requests
    assert (request.http_version, request.host, request.headers[0]) == (b"2", b"a.example", (b"host", b"a.example"))
    assert rig.served == [(200, "")]


def test_the_same_whatever_way_the_bytes_are_cut() -> None:
    client = Http2Rig().h2
    client.request([*GET, (b"x", b"1")])
    number = client.request(post(), end=False)
    client.connection.send_data(number, b"hello", pad_length=3)
    client.connection.send_data(number, b" there", end_stream=True)
    said = client.connection.data_to_send()
    got = []
    for step in (len(said), 1, 2, 13):
        rig = Http2Rig()
        rig.sent = b""
        for place in range(0, len(said), step):
            rig.feed(said[place : place + step])
        first, second = rig.upstreams
        head, _, body = second.got.partition(b"\r\n\r\n")
        chunks, parts = ChunkedDecoder(100, 100), list[bytes]()
        chunks.decode(body, 0, parts)
        got.append((first.got, head, b"".join(parts), chunks.done))
    assert got == [got[0]] * 4
    assert got[0][2:] == (b"hello there", True)


def test_streams_go_on_side_by_side_and_end_in_any_order() -> None:
    rig = Http2Rig()
    answers = [rig.ask() for _ in range(3)]
    assert [upstream.got for upstream in rig.upstreams] == [UPSTREAM_GET] * 3
    for place in (2, 0, 1):
        rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % place, rig.upstreams[place])
    assert [answer.body for answer in answers] == [b"0", b"1", b"2"]
    assert len(rig.idle) == 3


@pytest.mark.parametrize(
    ("fields", "response", "status", "length"),
    [
        ([(b":method", b"HEAD"), *GET[1:]], b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, b"99"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, b"99"),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"0"),
    ],
)
def test_a_response_without_a_body_is_one_frame(fields: Fields, response: bytes, status: int, length: bytes | None) -> None:
    rig = Http2Rig()
    rig.ask(fields)
    rig.sent = b""
    rig.respond(response)
    assert rig.sent.count(b"\x00\x00\x00\x01") == 1
    assert (rig.sent[3], rig.sent[4]) == (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM)
    rig.talk()
    answer = rig.h2.answers[1]
    assert (answer.status, dict(answer.fields).get(b"content-length"), answer.ended) == (status, length, True)


def test_a_small_answer_is_one_write_of_two_frames() -> None:
    rig = Http2Rig()
    rig.ask()
    writes: list[bytes] = []
    rig.sent = b""
    rig.respond(OK)
    writes.append(rig.sent)
    assert rig.sent.endswith(frames.data_header(1, 2, end=True) + b"hi")


def test_answers_that_come_in_one_turn_of_the_loop_are_one_write() -> None:
    rig = Http2Rig(gathers=True)
    answers = [rig.ask() for _ in range(3)]
    rig.sent = b""
    for upstream in rig.upstreams:
        rig.respond_on(upstream, OK)
        assert rig.sent == b""
    rig.end_turn()
    rig.talk()
    assert [answer.body for answer in answers] == [b"hi"] * 3
    alone = rig.ask()
    rig.respond_on(rig.upstreams[-1], OK)
    assert not rig.turn_awaited
    rig.talk()
    assert alone.body == b"hi"


def test_a_large_body_does_not_wait_for_the_end_of_the_turn() -> None:
    rig = Http2Rig(gathers=True)
    rig.ask()
    rig.ask()
    rig.sent = b""
    rig.respond_on(rig.upstreams[0], b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + b"z" * 40_000)
    assert len(rig.sent) > 40_000
    rig.respond_on(rig.upstreams[1], OK)
    rig.end_turn()
    assert rig.sent.endswith(b"hi")


def test_interim_responses_and_trailers_pass() -> None:
    rig = Http2Rig()
    answer = rig.ask([*post(), (b"expect", b"100-continue"), (b"te", b"trailers")], b"")
    rig.reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
    rig.reply(CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\n\r\n")
    assert answer.interim == [{b":status": b"100"}, {b":status": b"103", b"link": b"</a.css>"}]
    assert (answer.status, answer.body, answer.trailers, answer.ended) == (200, b"hi", [(b"x-sum", b"1")], True)


def test_trailers_of_a_request_pass() -> None:
    rig = Http2Rig()
    number = rig.h2.request(post(), end=False)
    rig.h2.connection.send_data(number, b"hi")
    rig.h2.connection.send_headers(number, [(b"x-sum", b"1"), (b"authorization", b"secret")], end_stream=True)
    rig.talk()
    assert rig.upstream.got.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n")


def test_an_event_stream_passes_event_by_event() -> None:
    rig = Http2Rig()
    answer = rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    assert (answer.status, answer.ended) == (200, False)
    for number in range(3):
        rig.reply(b"data: %d\n\n" % number)
        assert answer.body.endswith(b"data: %d\n\n" % number)
    rig.upstream_closes()
    rig.talk()
    assert (answer.ended, answer.reset) == (True, None)


def test_an_upload_waits_until_there_is_an_upstream_for_it() -> None:
    rig = Http2Rig(connects=False)
    number = rig.h2.request(post((b"content-length", b"6")), end=False)
    rig.h2.connection.send_data(number, b"abc")
    rig.talk()
    rig.h2.connection.send_data(number, b"def", end_stream=True)
    rig.talk()
    rig.connect()
    assert rig.upstream.got.endswith(b"Content-Length: 6\r\n\r\nabcdef")
    rig.reply(OK)
    assert rig.h2.answers[number].body == b"hi"


# -- decisions -----------------------------------------------------------------------------------------------------------


def test_a_rejected_stream_leaves_the_others_alone() -> None:
    rig = Http2Rig()
    passed, rejected, limited = rig.ask(), rig.ask(wish(b"reject")), rig.ask(wish(b"limit"))
    rig.reply(OK)
    assert (passed.status, rejected.status, limited.status) == (200, 403, 429)
    assert dict(limited.fields)[b"retry-after"] == b"12"
    assert rejected.ended
    assert rig.h2.goaway is None


def test_a_rejected_upload_is_answered_before_its_body_and_told_to_stop() -> None:
    rig = Http2Rig()
    number = rig.h2.request([*post(), (b"x-do", b"reject")], end=False)
    rig.talk()
    answer = rig.h2.answers[number]
    assert (answer.status, answer.ended, answer.reset) == (403, True, None)
    rig.raw(frame(frames.DATA, 0, number, b"z" * 1000))
    rig.pass_time(2.5)
    rig.talk()
    assert answer.reset == int(ErrorCode.NO_ERROR)
    rig.raw(frame(frames.DATA, 0, number, b"z" * 1000))  # was on its way already
    assert rig.ask().status == 0
    rig.reply(OK)
    assert rig.h2.answers[number + 2].status == 200


def test_a_drop_resets_the_stream_only() -> None:
    rig = Http2Rig()
    other, dropped = rig.ask(), rig.ask(wish(b"drop"))
    assert (dropped.fields, dropped.reset) == ([], int(ErrorCode.CANCEL))
    rig.reply(OK)
    assert other.status == 200
    assert rig.served == [(0, ""), (200, "")]


def test_a_delayed_request_goes_on_when_its_time_has_come() -> None:
    rig = Http2Rig()
    answer = rig.ask(wish(b"delay"))
    assert rig.upstreams == []
    rig.pass_time(0.06)
    rig.reply(OK)
    assert answer.status == 200


@pytest.mark.parametrize("way", ["too much", "too little", "trailers"])
def test_a_body_that_is_wrong_resets_a_held_stream(way: str) -> None:
    rig = Http2Rig()
    held = rig.h2.answers[rig.h2.request(post((b"x-do", b"tarpit"), (b"content-length", b"3")), end=False)]
    rig.talk()
    rig.holding.held[0].write(b"<!d")
    rig.talk()
    if way == "trailers":
        rig.h2.connection.send_headers(1, [(b"x-sum", b"1")], end_stream=True)
    else:
        rig.h2.connection.send_data(1, b"12" if way == "too little" else b"1234", end_stream=True)
    rig.talk()
    assert (held.status, held.body, held.reset) == (200, b"<!d", 1)
    assert rig.http2.streams.connection.tarpits == 0


def test_a_tarpit_holds_its_stream_only_and_ends_with_it() -> None:
    rig = Http2Rig()
    held = rig.ask(wish(b"tarpit"))
    assert (held.status, dict(held.fields)[b"content-type"]) == (200, b"text/html; charset=utf-8")
    reference = dict(held.fields)[b"x-proxyguard-reference"]
    assert b"<code>%b</code>" % reference in rig.holding.openings[0]
    transport = rig.holding.held[0]
    transport.write(b"<!d")
    rig.talk()
    assert (held.body, held.ended, transport.is_closing()) == (b"<!d", False, False)
    other = rig.ask()
    rig.reply(OK)
    assert other.status == 200
    rig.h2.connection.reset_stream(1)
    rig.talk()
    assert transport.is_closing()
    assert rig.http2.streams.connection.tarpits == 0
    assert rig.holding.gone_count == 1


@pytest.mark.parametrize("way", ["close", "abort", "drain", "vanish"])
def test_a_tarpit_is_over_when_its_time_or_the_connection_is(way: str) -> None:
    rig = Http2Rig(Bounds(buffer_bytes=1))
    held = rig.ask(wish(b"tarpit"))
    transport = rig.holding.held[0]
    transport.write(b"z")
    match way:
        case "close":
            transport.close()
        case "abort":
            transport.abort()
        case "drain":
            transport.close()
            rig.drain()
        case _:
            rig.vanish()
    if way != "vanish":
        rig.talk()
        assert (held.body, held.ended, held.reset) == (b"z", way != "abort", int(ErrorCode.CANCEL) if way == "abort" else None)
    assert rig.holding.gone_count == 1
    assert (transport.is_closing(), rig.http2.streams.connection.tarpits) == (True, 0)


def test_one_connection_may_not_hold_more_than_a_few_tarpits() -> None:
    rig = Http2Rig()
    answers = [rig.ask(wish(b"tarpit")) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 4 + [403] * 2
    assert rig.events.bounds == {"tarpit": 2}
    rig.dripper.room = False
    rig.h2.connection.reset_stream(1)
    assert rig.ask(wish(b"tarpit")).status == 403
    assert rig.ask([(b":method", b"HEAD"), *wish(b"tarpit")[1:]]).status == 403


def test_a_check_that_breaks_its_promise_costs_its_stream_only() -> None:
    rig = Http2Rig()
    other, broken = rig.ask(), rig.ask(wish(b"crash"))
    rig.reply(OK)
    assert (other.status, broken.status) == (200, 500)
    assert [where for where, _ in rig.events.errors] == ["http2"]


class SlowChecker(HeaderChecker):
    """Every check is awaited; `decide` says what comes of it."""

    def check(self, request: Request) -> Ticket:
        self.requests.append(request)
        return asyncio.Future(loop=LOOP)  # type: ignore[return-value]  # an awaitable, as of a remote store


def test_decisions_that_come_late_find_their_stream_or_none() -> None:
    rig = Http2Rig(checker=SlowChecker())
    first, second = rig.ask(), rig.ask()
    rig.h2.connection.reset_stream(3)
    rig.talk()
    for waiting, request in zip(tuple(rig.tickets), tuple(rig.requests), strict=True):
        rig.decide(waiting.exchange, Ticket(request, DECISIONS[b"reject"], "0" * 16, 0.0))
    rig.talk()
    assert (first.status, second.status, rig.upstreams) == (403, 0, [])
    assert rig.served == [(403, ""), (499, "client-gone")]


# -- requests that are refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "reason", "bound"),
    [
        ([*GET, (b"connection", b"close")], 400, "connection-field", None),
        ([*GET, (b"host", b"b.example")], 400, "host-mismatch", None),
        ([*GET[:2], (b":authority", b"b.test"), GET[3]], 421, "host-unknown", None),
        ([*GET[:3], (b":path", b"/a/../b")], 400, "target-dots", None),
        ([*GET[:3], (b":path", b"/" + b"z" * 9000)], 414, "target-size", "target_bytes"),
        ([*GET, (b"x", b"z" * 9000)], 431, "field-size", "field_bytes"),
        ([*GET, *[(b"x", b"1")] * 100], 431, "field-count", "header_count"),
        ([*GET, *[(b"x", b"z" * 8000)] * 5], 431, "head-size", "head_bytes"),
        ([(b":method", b"CONNECT"), (b":authority", b"a.example")], 405, "method-refused", None),
        ([(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]], 400, "pseudo-field", None),
        (post((b"content-length", b"11")), 413, "body-size", "body_bytes"),
    ],
)
def test_a_malformed_request_is_answered_and_the_connection_goes_on(
    fields: Fields, status: int, reason: str, bound: str | None
) -> None:
    rig = Http2Rig(Bounds(body_bytes=10))
    answer = rig.ask(fields, b"" if fields[0][1] == b"POST" else None)
    assert (answer.status, answer.ended) == (status, True)
    assert (dict(rig.events.bad), dict(rig.events.bounds)) == ({reason: 1}, {bound: 1} if bound else {})
    assert isinstance(rig.checker, HeaderChecker)
    [refusal] = rig.checker.refusals
    assert (refusal.status, refusal.fault, refusal.http_version, refusal.method) == (status, reason, b"2", fields[0][1])
    assert dict(answer.fields)[b"x-proxyguard-reference"] == refusal.reference.encode()
    rig.ask()
    rig.reply(OK)
    assert rig.h2.answers[3].status == 200
    assert rig.h2.goaway is None


@pytest.mark.parametrize(
    ("declared", "sent", "end", "status"),
    [(5, b"123456", False, 400), (5, b"1234", True, 400), (5, b"", True, 400), (None, b"z" * 11, False, 413)],
)
def test_a_body_that_is_not_what_was_announced_is_refused(declared: int | None, sent: bytes, end: bool, status: int) -> None:
    rig = Http2Rig(Bounds(body_bytes=10))
    number = rig.h2.request(post(*([(b"content-length", b"%d" % declared)] if declared else [])), end=False)
    rig.talk()
    rig.raw(frame(frames.DATA, int(end), number, sent))
    rig.talk()
    answer = rig.h2.answers[number]
    assert (answer.status, answer.ended) == (status, True)
    assert rig.upstream.cut
    assert sent[:5] == b"" or sent not in rig.upstream.got


def test_a_body_cut_short_by_trailers_is_refused() -> None:
    rig = Http2Rig()
    number = rig.h2.request(post((b"content-length", b"5")), end=False)
    rig.talk()
    rig.raw(headers(number, [(b"x", b"1")]))
    rig.talk()
    assert rig.h2.answers[number].status == 400


def test_a_body_that_turns_bad_after_the_answer_has_begun_cuts_the_answer() -> None:
    rig = Http2Rig()
    number = rig.h2.request(post((b"content-length", b"5")), end=False)
    rig.talk()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    rig.raw(frame(frames.DATA, 0, number, b"123456"))
    rig.talk()
    answer = rig.h2.answers[number]
    assert (answer.status, answer.body, answer.reset) == (200, b"half", int(ErrorCode.INTERNAL_ERROR))


# -- upstreams that fail -------------------------------------------------------------------------------------------------


def test_no_upstream_is_a_503_and_a_bad_one_a_502() -> None:
    rig = Http2Rig(connects=False)
    answer = rig.ask()
    rig.refuse_to_connect()
    rig.talk()
    assert (answer.status, dict(answer.fields)[b"retry-after"]) == (503, b"5")
    answer = rig.ask()
    rig.connect()
    rig.reply(b"junk\r\n\r\n")
    assert answer.status == 502
    answer = rig.ask()
    rig.connect()
    rig.reply(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    assert answer.status == 502
    assert rig.served == [(503, "upstream-connect"), (502, "upstream-response"), (502, "upstream-response")]


def test_a_response_that_is_cut_short_is_reset_not_ended() -> None:
    rig = Http2Rig()
    answer = rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    rig.upstream_closes()
    rig.talk()
    assert (answer.body, answer.ended, answer.reset) == (b"half", False, int(ErrorCode.INTERNAL_ERROR))


def test_a_stale_upstream_connection_is_replaced_without_a_word() -> None:
    rig = Http2Rig()
    rig.ask()
    rig.reply(OK)
    answer = rig.ask()
    rig.upstream_closes()
    assert len(rig.upstreams) == 2
    assert rig.upstream.got == UPSTREAM_GET
    rig.reply(OK)
    assert (answer.status, answer.body) == (200, b"hi")


# -- windows -------------------------------------------------------------------------------------------------------------


def test_an_answer_waits_for_the_client_and_so_does_its_upstream() -> None:
    rig = Http2Rig(opens_windows=False)
    slow, quick = rig.ask(), rig.ask()
    first, second = rig.upstreams
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"z" * 70_000, first)
    assert len(slow.body) == 65_535
    assert (rig.is_held(first), rig.is_held(second)) == (True, False)
    rig.h2.connection.increment_flow_control_window(10_000)  # the connection's
    rig.talk()
    assert len(slow.body) == 65_535
    rig.reply(OK, second)
    assert quick.body == b"hi"
    rig.h2.connection.increment_flow_control_window(1000, 1)
    rig.talk()
    assert (len(slow.body), rig.is_held(first)) == (66_535, True)
    rig.h2.connection.increment_flow_control_window(50_000, 1)
    rig.talk()
    assert (len(slow.body), rig.is_held(first)) == (70_000, False)
    rig.h2.connection.increment_flow_control_window(50_000)
    rig.reply(b"z" * 30_000, first)
    assert (len(slow.body), slow.ended, rig.http2.streams.sender.queued) == (100_000, True, 0)


def test_streams_take_turns_when_the_connection_is_short_of_room() -> None:
    rig = Http2Rig(opens_windows=False)
    answers = [rig.ask() for _ in range(4)]
    rig.h2.connection.update_settings({4: 1_000_000})
    rig.talk()
    rig.stall()
    for upstream in rig.upstreams:
        rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + b"z" * 40_000, upstream)
    assert [len(answer.body) for answer in answers] == [40_000, 25_535, 0, 0]
    rig.unstall()
    rig.h2.connection.increment_flow_control_window(60_000)
    rig.talk()
    assert [len(answer.body) for answer in answers] == [40_000, 40_000, 29_151, 16_384]


def test_a_client_that_changes_its_window_changes_those_of_open_streams() -> None:
    rig = Http2Rig(opens_windows=False)
    rig.h2.connection.update_settings({4: 10})
    answer = rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + b"z" * 30)
    assert len(answer.body) == 10
    rig.h2.connection.update_settings({4: 0})
    rig.talk()
    rig.h2.connection.increment_flow_control_window(15, 1)  # minus ten is five
    rig.talk()
    assert len(answer.body) == 15
    rig.h2.connection.update_settings({4: 15})
    rig.talk()
    assert (len(answer.body), answer.ended) == (30, True)


def test_all_streams_together_hold_no_more_than_the_connections_bound() -> None:
    bounds = Bounds(buffer_bytes=1000)
    rig = Http2Rig(bounds, opens_windows=False)
    rig.h2.connection.update_settings({4: 0})
    for _ in range(10):
        rig.ask()
    for number, upstream in enumerate(rig.upstreams):
        if not rig.is_held(upstream):
            rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"z" * 900, upstream)
            assert rig.is_held(upstream), number
    assert rig.http2.streams.sender.queued == 2 * 900
    assert all(rig.is_held(upstream) for upstream in rig.upstreams)
    rig.ask()
    assert rig.is_held(rig.upstream)
    rig.h2.connection.update_settings({4: 900})
    rig.talk()
    assert rig.http2.streams.sender.queued == 0
    assert not any(rig.is_held(upstream) for upstream in rig.upstreams)


def test_an_upload_is_acknowledged_only_when_it_went_on() -> None:
    rig = Http2Rig()
    number = rig.h2.request(post(), end=False)
    rig.talk()
    window = rig.h2.connection.local_flow_control_window(number)
    assert window == 262_144
    rig.pace(rig.upstream, blocked=True)
    for _ in range(10):
        rig.h2.connection.send_data(number, b"z" * 16_384)
    rig.talk()
    assert rig.h2.connection.local_flow_control_window(number) == window - 163_840
    rig.pace(rig.upstream, blocked=False)
    assert rig.h2.connection.local_flow_control_window(number) == window
    other = rig.h2.request(post(), end=False)
    rig.talk()
    assert rig.h2.connection.local_flow_control_window(other) == window


def test_a_client_that_ignores_windows_is_stopped() -> None:
    full = [frame(frames.DATA, 0, 1, b"z" * 16_384)] * 4
    rig = Http2Rig(Bounds(buffer_bytes=65_536), connects=False)
    rig.raw(HELLO, headers(1, post(), end=False), *full)
    assert rig.end == ""
    rig.raw(frame(frames.DATA, 0, 1, b"z"))
    assert rig.sent.count(frames.rst_stream(1, ErrorCode.FLOW_CONTROL_ERROR)) == 1
    rig.raw(*full * 5)
    assert rig.end == ""  # what was on its way when the stream was reset costs it nothing more
    for number in (3, 5):
        rig.raw(headers(number, post(), end=False), *[frame(frames.DATA, 0, number, b"z" * 16_384)] * 4)
    assert rig.end == ""
    rig.raw(headers(7, post(), end=False), frame(frames.DATA, 0, 7, b"z"))
    assert rig.sent[-4:] == ErrorCode.FLOW_CONTROL_ERROR.to_bytes(4)
    assert rig.events.bad["http2-flow-control"] == 1


def test_a_client_that_takes_nothing_is_not_read_from_for_long() -> None:
    rig = Http2Rig()
    rig.sent = b""
    rig.stall()
    rig.raw(HELLO)
    for number in range(1, 2000, 2):
        if rig.reading_held:
            break
        rig.raw(headers(number, wish(b"reject")))
    assert rig.reading_held
    assert 64 * 1024 < len(rig.sent) < 65 * 1024
    rig.unstall()
    assert not rig.reading_held


def test_holds_are_told_anew_when_the_client_takes_bytes_again() -> None:
    rig = Http2Rig(opens_windows=False)
    rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"z" * 70_000)
    rig.stall()
    rig.holds.clear()  # as the driver does
    rig.link.stalled = True
    rig.unstall()
    assert rig.is_held(rig.upstream)


# -- clients that leave --------------------------------------------------------------------------------------------------


def test_a_stream_that_the_client_resets_frees_its_upstream_at_once() -> None:
    rig = Http2Rig()
    rig.ask()
    rig.h2.connection.reset_stream(1)
    rig.talk()
    assert (rig.upstream.cut, rig.upstream.leased) == (True, False)
    assert rig.served == [(499, "client-gone")]
    assert rig.http2.streams.open == {}


def test_a_connection_that_is_lost_frees_every_upstream() -> None:
    rig = Http2Rig()
    for _ in range(5):
        rig.ask()
    rig.vanish()
    assert [upstream.leased for upstream in rig.upstreams] == [False] * 5
    assert rig.served == [(499, "client-gone")] * 5
    assert [rig.http2.streams.of_server(upstream.server) for upstream in rig.upstreams] == [None] * 5


def test_a_client_that_says_goodbye_gets_its_answers_first() -> None:
    rig = Http2Rig()
    answer = rig.ask()
    rig.raw(frames.goaway(0, ErrorCode.NO_ERROR))
    assert rig.end == ""
    rig.reply(OK)
    assert (answer.body, rig.end) == (b"hi", "close")


# -- the end -------------------------------------------------------------------------------------------------------------


def test_draining_finishes_what_runs_and_begins_nothing() -> None:
    rig = Http2Rig()
    answer = rig.ask()
    rig.drain()
    rig.sent, said = b"", rig.sent
    assert said == WARNING + ping(GOAWAY_PING)
    rig.raw(HEARD)
    rig.sent, said = b"", rig.sent
    assert said == frames.goaway(1, ErrorCode.NO_ERROR)
    rig.raw(headers(3))
    rig.raw(frame(frames.DATA, 1, 5, b"of a stream that is not there for us"))
    assert len(rig.upstreams) == 1
    rig.reply(OK)
    assert (answer.ended, rig.end) == (True, "close")


def test_a_request_that_crosses_our_goodbye_is_still_taken() -> None:
    rig = Http2Rig()
    first = rig.ask()
    rig.drain()
    second = rig.h2.request(GET)  # before the client has heard it
    rig.talk()
    assert (rig.h2.warned, rig.h2.last_taken, len(rig.upstreams)) == (True, second, 2)
    for upstream in rig.upstreams:
        assert rig.end == ""
        rig.dispatch(Arrived(upstream.server, OK))
    assert (rig.sent.count(b"hi"), rig.end, first.reset) == (2, "close", None)


def test_draining_an_idle_connection_closes_it_once_the_client_has_heard() -> None:
    rig = Http2Rig()
    rig.ask()
    rig.reply(OK)
    rig.drain()
    assert rig.end == ""
    rig.talk()
    assert (rig.h2.goaway, rig.h2.last_taken, rig.end) == (0, 1, "close")


@pytest.mark.parametrize("leaves_open", [True, False])
def test_a_client_that_does_not_answer_a_goodbye_is_not_waited_for(leaves_open: bool) -> None:
    rig = Http2Rig()
    rig.ask()
    if not leaves_open:
        rig.reply(OK)
    rig.drain()
    rig.drain()
    assert rig.sent == WARNING + ping(GOAWAY_PING)
    rig.raw(frame(frames.PING, frames.ACK, 0, b"not it!!"))
    rig.pass_time(0.9)
    assert (rig.end, rig.sent.count(frames.goaway(1, ErrorCode.NO_ERROR))) == ("", 0)
    rig.pass_time(0.2)
    assert (rig.sent.count(frames.goaway(1, ErrorCode.NO_ERROR)), rig.end) == (1, "" if leaves_open else "close")
    if leaves_open:
        rig.respond(OK)
    assert (rig.end, dict(rig.events.bounds)) == ("close", {})


def test_a_client_that_connects_while_we_drain_hears_so_at_once() -> None:
    rig = Http2Rig(draining=True)
    answer = rig.ask()
    assert (rig.h2.warned, rig.h2.goaway, rig.end) == (True, 0, "")
    rig.respond(OK)
    assert (answer.status, rig.sent.count(b"hi"), rig.end) == (0, 1, "close")


def test_an_answer_to_a_goodbye_that_was_never_said_means_nothing() -> None:
    rig = Http2Rig()
    rig.raw(HELLO, HEARD, headers(1))
    assert (len(rig.upstreams), rig.end) == (1, "")


def test_after_the_last_request_of_a_connection_it_is_closed() -> None:
    rig = Http2Rig(Bounds(requests_per_connection=2))
    rig.raw(HELLO, headers(1), headers(3))
    assert rig.sent.endswith(WARNING + ping(GOAWAY_PING))
    rig.raw(headers(5), HEARD, headers(7))
    assert rig.sent.endswith(frames.goaway(5, ErrorCode.NO_ERROR))
    assert len(rig.upstreams) == 3
    for upstream in rig.upstreams:
        assert rig.end == ""
        rig.dispatch(Arrived(upstream.server, OK))
    assert (rig.sent.count(b"hi"), rig.end) == (3, "close")


# -- time ----------------------------------------------------------------------------------------------------------------


def silent(rig: Http2Rig) -> None:
    """Nothing at all."""


def half_preface(rig: Http2Rig) -> None:
    rig.raw(HELLO[:10])


def greets(rig: Http2Rig) -> None:
    rig.talk()


def half_frame(rig: Http2Rig) -> None:
    rig.talk()
    rig.raw(headers(1)[:-1])


def half_block(rig: Http2Rig) -> None:
    rig.talk()
    rig.raw(frame(frames.HEADERS, 1, 1, block(GET)[:3]))


def asked_once(rig: Http2Rig) -> None:
    rig.ask()
    rig.reply(OK)


@pytest.mark.parametrize(
    ("begin", "seconds", "bound"),
    [
        (silent, 2.0, "head_seconds"),
        (half_preface, 2.0, "head_seconds"),
        (greets, 2.0, "head_seconds"),
        (half_frame, 2.0, "head_seconds"),
        (half_block, 2.0, "head_seconds"),
        (asked_once, 10.0, "idle_seconds"),
    ],
)
def test_a_connection_that_asks_for_nothing_is_closed(begin: Callable[[Http2Rig], None], seconds: float, bound: str) -> None:
    rig = Http2Rig(Bounds(head_seconds=2.0, idle_seconds=10.0))
    begin(rig)
    rig.pass_time(seconds - 0.1)
    assert rig.end == ""
    if begin is asked_once:
        rig.raw(ping())  # is no request
    rig.pass_time(0.2)
    assert dict(rig.events.bounds) == {bound: 1}
    if begin in (greets, asked_once):
        assert rig.end == ""
        rig.raw(HEARD)
    assert rig.end == "close"


def test_idle_time_begins_when_the_last_stream_ends_however_it_ends() -> None:
    rig = Http2Rig(Bounds(head_seconds=2.0, idle_seconds=10.0), connects=False)
    rig.ask()
    rig.pass_time(5.0)
    rig.h2.connection.reset_stream(1)
    rig.talk()
    rig.pass_time(9.9)
    assert rig.end == ""
    rig.raw(headers(3) + frames.rst_stream(3, ErrorCode.CANCEL))
    rig.pass_time(9.9)
    assert rig.end == ""
    rig.pass_time(0.2)
    assert (rig.h2.warned, rig.sent) == (False, WARNING + ping(GOAWAY_PING))


def test_slow_uploads_and_slow_upstreams_are_given_up() -> None:
    rig = Http2Rig(Bounds(body_gap_seconds=3.0, upstream_first_byte_seconds=5.0, upstream_gap_seconds=7.0))
    upload = rig.h2.request(post(), end=False)
    rig.talk()
    silent_upstream, slow_upstream = rig.ask(), rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    rig.pass_time(3.1)
    rig.talk()
    assert rig.h2.answers[upload].status == 408
    rig.pass_time(2.0)
    rig.talk()
    assert silent_upstream.status == 504
    assert (slow_upstream.status, slow_upstream.reset) == (200, None)
    rig.pass_time(2.0)
    rig.talk()
    assert slow_upstream.body == b"half"
    assert slow_upstream.reset == ErrorCode.INTERNAL_ERROR
    assert dict(rig.events.bounds) == {"body_gap_seconds": 1, "upstream_first_byte_seconds": 1, "upstream_gap_seconds": 1}
    assert rig.end == ""


def test_a_stream_whose_client_takes_nothing_is_reset_after_a_while() -> None:
    rig = Http2Rig(Bounds(send_gap_seconds=6.0, upstream_gap_seconds=2.0, response_rate=0), opens_windows=False)
    rig.h2.connection.update_settings({4: 10})
    answer = rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"z" * 50)
    rig.pass_time(5.0)  # the upstream is held meanwhile, so its time does not run
    rig.h2.connection.increment_flow_control_window(1, 1)
    rig.talk()
    rig.pass_time(5.9)
    assert len(answer.body) == 11
    rig.pass_time(0.2)
    rig.talk()
    assert (answer.reset, dict(rig.events.bounds)) == (int(ErrorCode.CANCEL), {"send_gap_seconds": 1})
    assert (rig.upstream.cut, rig.http2.streams.sender.queued) == (True, 0)


# -- rules of the protocol -----------------------------------------------------------------------------------------------

PROTOCOL_FAULTS = [
    ("no-settings-first", [frames.PREFACE, headers(1)], ErrorCode.PROTOCOL_ERROR),
    ("ack-first", [frames.PREFACE, frames.SETTINGS_ACK], ErrorCode.PROTOCOL_ERROR),
    ("http1", [b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"], ErrorCode.PROTOCOL_ERROR),
    ("even-stream", [HELLO, headers(2)], ErrorCode.PROTOCOL_ERROR),
    ("push-promise", [HELLO, frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2")], ErrorCode.PROTOCOL_ERROR),
    ("data-on-idle", [HELLO, frame(frames.DATA, 0, 1, b"x" * 40)], ErrorCode.PROTOCOL_ERROR),
    ("window-on-idle", [HELLO, frames.window_update(1, 1)], ErrorCode.PROTOCOL_ERROR),
    ("reset-on-idle", [HELLO, frames.rst_stream(1, ErrorCode.CANCEL)], ErrorCode.PROTOCOL_ERROR),
    ("continuation-alone", [HELLO, frame(frames.CONTINUATION, 4, 1, b"")], ErrorCode.PROTOCOL_ERROR),
    ("block-interrupted", [HELLO, frame(frames.HEADERS, 0, 1, b""), ping()], ErrorCode.PROTOCOL_ERROR),
    ("block-interrupted-by-unknown", [HELLO, frame(frames.HEADERS, 0, 1, b""), frame(0xEE, 0, 0, b"")], ErrorCode.PROTOCOL_ERROR),
    (
        "continuation-of-another",
        [HELLO, frame(frames.HEADERS, 0, 1, b""), frame(frames.CONTINUATION, 4, 3, b"")],
        ErrorCode.PROTOCOL_ERROR,
    ),
    ("bad-block", [HELLO, frame(frames.HEADERS, 5, 1, b"\x80")], ErrorCode.COMPRESSION_ERROR),
    ("window-of-nothing", [HELLO, frames.window_update(0, 0)], ErrorCode.PROTOCOL_ERROR),
    ("window-too-large", [HELLO, frames.window_update(0, 0x7FFFFFFF)], ErrorCode.FLOW_CONTROL_ERROR),
    ("settings-window", [HELLO, frames.settings([(4, 1 << 31)])], ErrorCode.FLOW_CONTROL_ERROR),
    ("closed-stream-data", [HELLO, headers(3), headers(1)], ErrorCode.STREAM_CLOSED),
    ("frame-size", [HELLO, b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"], ErrorCode.FRAME_SIZE_ERROR),
    (
        "settings-window-overflows-stream",
        [HELLO, headers(1, end=False), frames.window_update(1, 0x7FFF0000), frames.settings([(4, 0x7FFFFFFF)])],
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "code"), [case[1:] for case in PROTOCOL_FAULTS], ids=[case[0] for case in PROTOCOL_FAULTS])
def test_who_breaks_the_protocol_loses_the_connection(parts: list[bytes], code: ErrorCode) -> None:
    rig = Http2Rig()
    rig.raw(*parts)
    assert rig.end == "close"
    assert rig.sent[-4:] == code.to_bytes(4)
    assert rig.sent[-17:-8] == b"\x00\x00\x08\x07\x00\x00\x00\x00\x00"
    assert sum(rig.events.bad.values()) == 1
    assert not any(upstream.leased for upstream in rig.upstreams)
    rig.raw(HELLO)
    assert rig.sent[-4:] == code.to_bytes(4)


STREAM_FAULTS = [
    ("data-after-end", [headers(1), frame(frames.DATA, 0, 1, b"x" * 40)], ErrorCode.STREAM_CLOSED),
    ("headers-after-end", [headers(1), headers(1)], ErrorCode.STREAM_CLOSED),
    ("headers-in-the-middle", [headers(1, end=False), headers(1, [(b"x", b"1")], end=False)], ErrorCode.PROTOCOL_ERROR),
    ("window-of-nothing", [headers(1), frames.window_update(1, 0)], ErrorCode.PROTOCOL_ERROR),
    ("window-too-large", [headers(1), frames.window_update(1, 0x7FFFFFFF)], ErrorCode.FLOW_CONTROL_ERROR),
]


@pytest.mark.parametrize(("parts", "code"), [case[1:] for case in STREAM_FAULTS], ids=[case[0] for case in STREAM_FAULTS])
def test_who_breaks_the_rules_of_a_stream_loses_the_stream(parts: list[bytes], code: ErrorCode) -> None:
    rig = Http2Rig()
    rig.raw(HELLO, *parts)
    assert rig.end == ""
    assert rig.sent.endswith(frames.rst_stream(1, code))
    assert not any(upstream.leased for upstream in rig.upstreams)
    rig.raw(frame(frames.DATA, 0, 1, b"late" * 10), headers(1, [(b"x", b"late")]), frames.window_update(1, 5))
    assert rig.end == ""
    rig.raw(headers(3))
    rig.respond(OK)
    assert rig.sent.endswith(b"hi")


def test_what_may_come_late_on_a_closed_stream_is_let_pass() -> None:
    rig = Http2Rig()
    rig.raw(HELLO, headers(1))
    rig.respond(OK)
    rig.raw(frames.window_update(1, 10), frames.rst_stream(1, ErrorCode.CANCEL), frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\0"))
    assert rig.end == ""
    rig.raw(frame(frames.DATA, 0, 1, b"never promised" * 3))
    assert rig.sent[-4:] == ErrorCode.STREAM_CLOSED.to_bytes(4)


def test_pings_are_answered_priorities_and_extensions_ignored() -> None:
    rig = Http2Rig()
    rig.sent = b""
    rig.raw(HELLO, frame(frames.PRIORITY, 0, 9, b"\0\0\0\0\0"), frame(0x10, 0, 0, b"\0\0\0\1u=1"), frame(0xEE, 0, 0, b"?"))
    assert rig.sent == frames.SETTINGS_ACK
    rig.raw(ping(b"87654321"))
    assert rig.sent == frames.SETTINGS_ACK + frames.ping_ack(b"87654321")


# -- floods --------------------------------------------------------------------------------------------------------------


def is_calmed(rig: Http2Rig, bound: str) -> bool:
    """Whether the connection was ended for this bound, with nothing left on lease."""
    calm = rig.sent[-4:] == ErrorCode.ENHANCE_YOUR_CALM.to_bytes(4) or rig.end == "abort"
    return calm and bool(rig.end) and rig.events.bounds[bound] == 1 and not any(up.leased for up in rig.upstreams)


FLOODS = [
    ("ping", ping()),
    ("ping-ack", frame(frames.PING, frames.ACK, 0, b"12345678")),
    ("settings", frames.settings([(4, 70_000)])),
    ("empty-settings", frames.settings([])),
    ("settings-ack", frames.SETTINGS_ACK),
    ("window-update", frames.window_update(0, 1)),
    ("window-update-of-a-stream", frames.window_update(1, 1)),
    ("priority", frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\0")),
    ("empty-data", frame(frames.DATA, 0, 1, b"")),
    ("padding-only", frame(frames.DATA, frames.PADDED, 1, b"\x05\0\0\0\0\0")),
    ("tiny-data", frame(frames.DATA, 0, 1, b"z")),
    ("extension", frame(0xEE, 0, 0, b"")),
]


@pytest.mark.parametrize("flood", [case[1] for case in FLOODS], ids=[case[0] for case in FLOODS])
def test_frames_that_carry_nothing_are_bounded(flood: bytes) -> None:
    rig = Http2Rig()
    rig.raw(HELLO, headers(1, post(), end=False))
    for _ in range(30):
        rig.raw(flood * 100)
        if rig.end:
            break
    assert is_calmed(rig, "http2_frames")


def test_frames_that_carry_nothing_are_let_pass_at_a_human_pace() -> None:
    rig = Http2Rig()
    rig.raw(HELLO)
    for _ in range(200):
        rig.raw(ping() * 90)
        rig.now += 1.0
    assert rig.end == ""


def test_continuations_without_end_are_bounded() -> None:
    for piece in (b"", b"\x84" * 16_000):
        rig = Http2Rig()
        rig.raw(HELLO, frame(frames.HEADERS, 1, 1, b""))
        for _ in range(3000):
            rig.raw(frame(frames.CONTINUATION, 0, 1, piece))
            if rig.end:
                break
        assert is_calmed(rig, "head_bytes" if piece else "http2_frames")


def test_a_header_bomb_ends_the_connection() -> None:
    rig = Http2Rig()
    big = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000
    rig.raw(HELLO, frame(frames.HEADERS, 5, 1, FieldEncoder().encode(GET) + big + b"\xbe" * 10_000))
    assert is_calmed(rig, "head_bytes")


@pytest.mark.parametrize(
    "attack",
    [[frames.rst_stream(0, ErrorCode.CANCEL)], [frames.window_update(0, 0)], [b"", b"the request again"]],
    ids=["rapid-reset", "made-you-reset", "made-you-reset-by-headers"],
)
def test_streams_that_are_taken_back_are_bounded(attack: list[bytes]) -> None:
    rig = Http2Rig(Bounds(http2_resets=50, http2_streams=10))
    rig.raw(HELLO)
    count = 0
    for number in range(1, 2000, 2):
        rig.raw(headers(number))
        if len(attack) == 2:
            rig.raw(headers(number))
        else:
            rig.raw(attack[0][:5] + number.to_bytes(4) + attack[0][9:])
        count += 1
        if rig.end:
            break
    assert is_calmed(rig, "http2_resets")
    assert count == 51
    assert len(rig.upstreams) == 51
    assert all(upstream.cut for upstream in rig.upstreams)


def test_streams_taken_back_now_and_then_are_no_attack() -> None:
    rig = Http2Rig(Bounds(http2_resets=50))
    for _ in range(200):
        rig.ask()
        rig.h2.connection.reset_stream(rig.h2._next - 2)
        rig.talk()
        rig.now += 0.7
    assert rig.end == ""


def test_more_streams_at_once_than_allowed_are_refused_and_counted() -> None:
    rig = Http2Rig(Bounds(http2_streams=3, http2_resets=5))
    rig.raw(HELLO, *[headers(number) for number in range(1, 11, 2)])
    assert rig.sent.count(frames.rst_stream(7, ErrorCode.REFUSED_STREAM)) == 1
    assert rig.sent.count(frames.rst_stream(9, ErrorCode.REFUSED_STREAM)) == 1
    assert (len(rig.upstreams), rig.end) == (3, "")
    rig.raw(*[headers(number) for number in range(11, 30, 2)])
    assert is_calmed(rig, "http2_resets")


def test_malformed_requests_over_and_over_are_bounded() -> None:
    rig = Http2Rig(Bounds(http2_resets=50))
    rig.raw(HELLO)
    for number in range(1, 200, 2):
        rig.raw(headers(number, [*GET, (b"connection", b"close")]))
    assert is_calmed(rig, "http2_resets")


def test_who_is_dropped_over_and_over_loses_the_connection() -> None:
    rig = Http2Rig(Bounds(http2_resets=50))
    rig.raw(HELLO)
    for number in range(1, 200, 2):
        rig.raw(headers(number, wish(b"drop")))
    assert is_calmed(rig, "http2_resets")
    assert rig.served == [(0, "")] * 51


def test_a_trusted_proxy_may_reset_more_as_many_people_share_it() -> None:
    rig = Http2Rig(Bounds(http2_resets=5), trust=TRUST)
    rig.raw(HELLO)
    for number in range(1, 201, 2):
        rig.raw(headers(number), frames.rst_stream(number, ErrorCode.CANCEL))
    assert rig.end == ""
    rig.raw(headers(201), frames.rst_stream(201, ErrorCode.CANCEL))
    assert is_calmed(rig, "http2_resets")


@pytest.mark.parametrize("fields", [wish(b"drop"), [*GET, (b"connection", b"close")]], ids=["dropped", "malformed"])
def test_what_one_client_asks_for_cuts_nobody_else_off_whose_proxy_is_trusted(fields: Fields) -> None:
    rig = Http2Rig(Bounds(http2_resets=5), trust=TRUST)
    rig.raw(HELLO, headers(1))
    for number in range(3, 803, 2):
        rig.raw(headers(number, fields))
    assert (rig.end, len(rig.upstreams), rig.upstreams[0].cut) == ("", 1, False)


def test_a_body_in_tiny_pieces_cuts_nobody_else_off_whose_proxy_is_trusted() -> None:
    piece = frame(frames.DATA, 0, 1, b"z")
    for trust, end in ((None, "close"), (TRUST, "")):
        rig = Http2Rig(trust=trust)
        rig.raw(HELLO, headers(1, post(), end=False), headers(3))
        for _ in range(30):
            rig.raw(*[piece] * 100)
        assert rig.end == end


def test_who_takes_no_responses_holds_up_nobody_elses_whose_proxy_is_trusted() -> None:
    rig = Http2Rig(trust=TRUST, opens_windows=False, buffering=Buffering())
    rig.h2.connection.increment_flow_control_window(1 << 24)
    for _ in range(20):
        rig.ask()
        rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"z" * 130_000)
    other = rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert (other.body, other.ended) == (b"hi", True)


def test_uploads_that_stand_still_hold_up_nobody_elses_whose_proxy_is_trusted() -> None:
    rig = Http2Rig(trust=TRUST)
    for _ in range(5):
        number = rig.h2.request(post(), end=False)
        rig.talk()
        rig.pace(rig.upstream, blocked=True)
        for _ in range(16):
            rig.h2.connection.send_data(number, b"z" * 16_384)
        rig.talk()
    other = rig.h2.request(post(), end=False)
    rig.talk()
    assert rig.h2.connection.local_flow_control_window(other) == 262_144


def test_windows_opened_a_byte_at_a_time_are_bounded() -> None:
    rig = Http2Rig(opens_windows=False)
    rig.h2.connection.update_settings({4: 0})
    rig.ask()
    rig.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"z" * 50_000)
    for _ in range(3000):
        rig.raw(frames.window_update(1, 1))
        if rig.end:
            break
    assert is_calmed(rig, "http2_frames")
    assert len(rig.upstreams) == 1


def test_a_flood_from_a_client_that_takes_nothing_ends_abruptly() -> None:
    rig = Http2Rig()
    rig.raw(HELLO)
    rig.stall()
    for _ in range(30):
        rig.raw(ping() * 100)
        if rig.end:
            break
    assert rig.end == "abort"


def test_whoever_asks_for_more_than_there_is_room_for_must_come_again() -> None:
    rig = Http2Rig(Bounds(requests_per_network=2))
    rig.ask()
    refused = [rig.ask() for _ in range(MAX_REFUSED - 1)]
    assert ({answer.status for answer in refused}, rig.h2.goaway) == ({429}, None)
    last = rig.ask()
    assert (last.status, rig.h2.goaway, rig.h2.last_taken) == (429, 0, 1 + 2 * MAX_REFUSED)
    rig.raw(headers(3 + 2 * MAX_REFUSED))
    assert (rig.events.bounds["requests_per_network"], rig.end) == (MAX_REFUSED, "")
    rig.respond_on(rig.upstream, OK)  # h2 takes nothing after a GOAWAY
    assert (rig.sent.count(b"hi"), rig.end) == (1, "close")


def test_of_many_requests_without_room_in_one_read_few_more_are_looked_at() -> None:
    rig = Http2Rig(Bounds(requests_per_network=2))
    rig.ask()
    rig.raw(*(headers(number) for number in range(3, 403, 2)))
    refused = rig.events.bounds["requests_per_network"]
    assert MAX_REFUSED <= refused < MAX_REFUSED + WORK_PER_TURN // WORK_PER_REQUEST
    assert rig.sent.count(frames.goaway(1 + 2 * refused, ErrorCode.NO_ERROR)) == 1
