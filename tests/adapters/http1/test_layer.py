"""The HTTP/1 lane event by event: what the client and the upstream get, and when the connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from math import inf

import pytest

from proxyguard.core.decision import PASS_BY_DEFAULT
from proxyguard.core.request import Request
from proxyguard.core.settings import Bounds
from proxyguard.guard.interfaces import Ticket
from tests.adapters.fakes import HeaderChecker
from tests.adapters.http1.rig import LaneRig

GET = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
FORWARDED = b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nX-Real-IP: 192.0.2.7\r\n"


def wish(what: bytes, method: bytes = b"GET", fields: bytes = b"", body: bytes = b"") -> bytes:
    return b"%b /x HTTP/1.1\r\nHost: a.example\r\nX-Do: %b\r\n%b\r\n%b" % (method, what, fields, body)


def served(rig: LaneRig) -> list[tuple[int, str]]:
    assert isinstance(rig.checker, HeaderChecker)
    return rig.checker.served


def test_a_request_is_forwarded_and_its_response_passed_back_each_in_one_piece() -> None:
    rig = LaneRig()
    rig.feed(GET)
    assert rig.upstream.got == b"GET /x HTTP/1.1\r\nHost: a.example\r\n" + FORWARDED + b"\r\n"
    rig.respond(OK)
    assert rig.sent == OK
    assert (rig.end, rig.idle, served(rig)) == ("", [rig.upstream], [(200, "")])


@pytest.mark.parametrize("cut", range(1, len(GET)))
def test_a_request_cut_anywhere_arrives_the_same(cut: int) -> None:
    rig = LaneRig()
    rig.feed(GET[:cut])
    assert rig.upstreams == []
    rig.feed(GET[cut:])
    assert rig.upstream.got == b"GET /x HTTP/1.1\r\nHost: a.example\r\n" + FORWARDED + b"\r\n"


CHUNKED_POST = (
    b"POST /up HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
    b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 9\r\n\r\n"
)
CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Digest: 1\r\n\r\n"


def dechunked(data: bytes) -> tuple[bytes, bytes]:
    """Body and trailer section of a chunked message without extensions."""
    body, rest = b"", data
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            return body, rest
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


@pytest.mark.parametrize("cut", range(1, len(CHUNKED_POST), 3))
@pytest.mark.parametrize("answer_cut", [1, 20, 50, len(CHUNKED_ANSWER) - 3])
def test_chunks_and_trailers_pass_both_ways_however_they_are_cut(cut: int, answer_cut: int) -> None:
    rig = LaneRig()
    rig.feed(CHUNKED_POST[:cut])
    rig.feed(CHUNKED_POST[cut:])
    head, _, rest = rig.upstream.got.partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert dechunked(rest) == (b"hello world", b"X-Sum: 9\r\n\r\n")
    rig.respond(CHUNKED_ANSWER[:answer_cut])
    rig.respond(CHUNKED_ANSWER[answer_cut:])
    head, _, rest = rig.sent.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
    assert dechunked(rest) == (b"abcde", b"X-Digest: 1\r\n\r\n")
    assert rig.idle == [rig.upstream]
    assert not rig.end


def test_a_body_is_passed_on_as_it_comes() -> None:
    rig = LaneRig()
    rig.feed(b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6\r\n\r\nabc")
    assert rig.upstream.got.endswith(b"Content-Length: 6\r\n\r\nabc")
    rig.feed(b"def")
    assert rig.upstream.got.endswith(b"\r\n\r\nabcdef")
    rig.respond(OK)
    assert rig.sent == OK


def test_pipelined_requests_are_answered_in_order_and_no_later_one_is_checked_early() -> None:
    rig = LaneRig()
    rig.feed(GET * 3)
    assert isinstance(rig.checker, HeaderChecker)
    assert (len(rig.checker.requests), rig.reading_held) == (1, True)
    rig.respond(OK)
    assert len(rig.checker.requests) == 2
    rig.respond(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert rig.reading_held is False
    rig.respond(OK)
    assert rig.sent == OK + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" + OK
    assert len(rig.upstreams) == 1
    assert rig.upstream.leases == 3


def test_what_a_client_pipelines_is_held_as_bytes() -> None:
    rig = LaneRig()
    rig.feed(GET * 5000)
    assert isinstance(rig.checker, HeaderChecker)
    assert len(rig.checker.requests) == 1
    assert len(rig.layer._pipeline._backlog) < 250
    for _ in range(5000):
        rig.respond(OK)
    assert rig.sent == OK * 5000


def test_a_rejection_answers_at_once_and_skips_a_short_body() -> None:
    rig = LaneRig()
    rig.feed(wish(b"reject", b"POST", b"Content-Length: 10\r\n"))
    assert rig.sent.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"Connection: close" not in rig.sent
    rig.feed(b"0123456789" + GET)
    assert (rig.upstream.leased, rig.end) == (True, "")
    assert served(rig) == [(403, "")]


def test_a_long_body_that_comes_with_its_head_passes_at_once_on_an_idle_connection() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(OK)
    rig.upstream.got = b""
    body = b"z" * 20_000
    rig.feed(b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 20000\r\n\r\n" + body)
    assert rig.upstream.got.endswith(b"\r\n\r\n" + body)
    assert not rig.reading_held


def test_a_response_with_a_length_after_a_chunked_one_is_not_chunked() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(CHUNKED_ANSWER)
    rig.sent = b""
    rig.feed(GET)
    rig.respond(OK)
    assert rig.sent == OK


def test_skipped_bodies_are_bounded_one_by_one() -> None:
    rig = LaneRig()
    for number in range(1, 4):
        rig.feed(wish(b"reject", b"POST", b"Content-Length: 40000\r\n") + b"z" * 40_000)
        assert (rig.end, len(served(rig))) == ("", number)


@pytest.mark.parametrize(
    "fields",
    [b"Content-Length: 100000000\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\nExpect: 100-continue\r\n"],
)
def test_a_rejection_before_a_long_body_half_closes_and_reads_on_for_a_bounded_while(fields: bytes) -> None:
    rig = LaneRig()
    rig.feed(wish(b"reject", b"POST", fields))
    assert b"\r\nConnection: close\r\n" in rig.sent
    assert (rig.half_closed, rig.end) == (True, "")
    before = rig.sent
    rig.feed(b"z" * 1000)
    assert (rig.sent, rig.end) == (before, "")
    rig.pass_time(2.1)
    assert (rig.sent, rig.end) == (before, "close")


def test_a_client_that_floods_after_its_rejection_is_cut_by_bytes() -> None:
    rig = LaneRig()
    rig.feed(wish(b"reject", b"POST", b"Content-Length: 100000000\r\n"))
    for _ in range(5):
        rig.feed(b"z" * 64 * 1024)
    assert rig.end == "close"


def test_a_limit_says_when_to_come_back() -> None:
    rig = LaneRig()
    rig.feed(wish(b"limit"))
    assert rig.sent.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 12\r\n" in rig.sent


def test_a_rejected_head_request_gets_no_body() -> None:
    rig = LaneRig()
    rig.feed(wish(b"reject", b"HEAD"))
    assert rig.sent.endswith(b"\r\n\r\n")
    assert isinstance(rig.checker, HeaderChecker)
    assert [outcome.bytes_sent for _, outcome in rig.checker.settled] == [0]


def test_a_drop_ends_without_a_byte() -> None:
    rig = LaneRig()
    rig.feed(wish(b"drop"))
    assert (rig.sent, rig.end, served(rig)) == (b"", "abort", [(0, "")])


def test_a_tarpit_hands_the_client_over() -> None:
    rig = LaneRig()
    rig.feed(wish(b"tarpit"))
    assert (rig.end, served(rig)) == ("detain", [(200, "")])
    assert rig.detained is not None
    assert rig.detained.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_tarpit_without_room_rejects() -> None:
    rig = LaneRig()
    rig.dripper.room = False
    rig.feed(wish(b"tarpit"))
    assert rig.sent.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert (rig.events.bounds, rig.end) == ({"tarpit": 1}, "")


def test_a_delay_holds_the_request_back() -> None:
    rig = LaneRig()
    rig.feed(wish(b"delay"))
    assert (rig.upstreams, rig.services.under_way.delayed) == ([], 1)
    rig.pass_time(0.06)
    rig.respond(OK)
    assert (rig.sent, rig.services.under_way.delayed) == (OK, 0)


def test_a_delay_before_the_body_is_whole_costs_nobody_the_connection() -> None:
    rig = LaneRig()
    rig.feed(wish(b"delay", b"POST", b"Content-Length: 3\r\n", b"a"))
    rig.pass_time(0.06)
    rig.feed(b"bc")
    rig.respond(OK)
    assert (rig.sent, rig.end) == (OK, "")


def test_delays_beyond_their_bound_are_refused() -> None:
    rig = LaneRig()
    other = rig.services.under_way
    while other.delay(rig.link.peer):
        pass
    rig.feed(wish(b"delay"))
    assert rig.sent.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 5\r\n" in rig.sent
    assert (rig.upstreams, rig.events.bounds, served(rig), other.total) == ([], {"delay": 1}, [(429, "delay")], 0)


def test_a_client_that_leaves_while_delayed_is_counted_out() -> None:
    rig = LaneRig()
    rig.feed(wish(b"delay"))
    rig.vanish()
    assert (rig.services.under_way.delayed, served(rig)) == (0, [(499, "client-gone")])


# -- responses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'),
    ],
)
def test_responses_without_a_body_end_with_their_head(method: bytes, answer: bytes) -> None:
    rig = LaneRig()
    rig.feed(b"%b /x HTTP/1.1\r\nHost: a.example\r\n\r\n" % method)
    rig.respond(answer)
    assert (rig.sent, rig.end, rig.idle) == (answer, "", [] if method == b"HEAD" else [rig.upstream])


def test_interim_responses_are_passed_on() -> None:
    rig = LaneRig()
    rig.feed(GET)
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n"
    rig.respond(early)
    assert rig.sent == early
    rig.respond(OK)
    assert rig.sent == early + OK


def test_an_old_client_gets_no_interim_response_and_no_chunks() -> None:
    rig = LaneRig()
    rig.feed(b"GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
    rig.respond(b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED_ANSWER)
    assert rig.sent == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"
    assert rig.end == "close"


def test_an_old_client_may_keep_its_connection() -> None:
    rig = LaneRig()
    rig.feed(b"GET /x HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n")
    rig.respond(OK)
    assert rig.sent == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"
    assert rig.end == ""


def test_expect_continue_goes_to_the_upstream_and_its_consent_back() -> None:
    rig = LaneRig()
    rig.feed(b"PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert b"\r\nExpect: 100-continue\r\n" in rig.upstream.got
    rig.respond(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert rig.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    rig.feed(b"abc")
    rig.respond(OK)
    assert rig.sent == b"HTTP/1.1 100 Continue\r\n\r\n" + OK


def test_a_response_until_the_close_becomes_chunked_and_the_client_stays() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(b"HTTP/1.1 200 OK\r\n\r\nabc")
    rig.upstream_closes()
    assert rig.sent == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert rig.end == ""


def test_an_answer_before_the_body_is_whole_ends_the_connection_but_not_at_once() -> None:
    rig = LaneRig()
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\nabc")
    rig.respond(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
    assert rig.sent == b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert (rig.half_closed, rig.upstream.cut, rig.end) == (True, True, "")


def test_an_answer_before_a_short_body_keeps_the_connection() -> None:
    rig = LaneRig()
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nabc")
    rig.respond(OK)
    assert (rig.sent, rig.end) == (OK, "")
    rig.feed(b"defghij" + GET)
    assert len(rig.upstreams) == 2


# -- faults of the upstream ----------------------------------------------------------------------------------------------


def test_a_stale_connection_is_replaced_once_for_an_idempotent_request() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(OK)
    rig.feed(GET)
    rig.upstream_closes()
    assert len(rig.upstreams) == 2
    rig.upstream_closes()
    assert b"HTTP/1.1 502 Bad Gateway\r\n" in rig.sent
    assert served(rig) == [(200, ""), (502, "upstream-closed")]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
        b"PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\na",
    ],
)
def test_what_may_not_be_repeated_is_not(request_bytes: bytes) -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(OK)
    rig.feed(request_bytes)
    rig.upstream_closes()
    assert len(rig.upstreams) == 1
    assert b"HTTP/1.1 502 Bad Gateway\r\n" in rig.sent


def test_no_upstream_is_a_503_of_ours_that_says_nothing_of_the_inside() -> None:
    rig = LaneRig(connects=False)
    rig.feed(GET)
    rig.refuse_to_connect()
    assert rig.sent.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 5\r\n" in rig.sent
    assert b"9000" not in rig.sent
    assert b"Server:" not in rig.sent
    assert (rig.end, served(rig)) == ("", [(503, "upstream-connect")])


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_a_response_that_cannot_be_read_is_a_502(answer: bytes) -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(answer)
    assert rig.sent.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert (rig.upstream.cut, rig.end, served(rig)) == (True, "", [(502, "upstream-response")])


def test_a_response_that_breaks_off_is_broken_off() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    rig.upstream_closes()
    assert rig.sent == b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    assert (rig.end, served(rig)) == ("close", [(200, "upstream-response")])


def test_a_response_until_the_close_that_breaks_off_at_an_old_client_is_reset() -> None:
    rig = LaneRig()
    rig.feed(b"GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
    rig.respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    rig.upstream_closes()
    assert rig.end == "abort"


def test_bytes_after_a_response_cost_the_upstream_its_connection() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.respond(OK + b"HTTP/1.1 200 OK\r\n")
    assert (rig.sent, rig.upstream.cut, rig.idle) == (OK, True, [])


# -- the client's connection ---------------------------------------------------------------------------------------------


def test_a_client_that_half_closes_gets_its_answer() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.half_close()
    assert rig.end == ""
    rig.respond(OK)
    assert (rig.sent, rig.end) == (OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), "close")


def test_a_client_that_half_closes_in_a_body_is_let_go() -> None:
    rig = LaneRig()
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nabc")
    rig.half_close()
    assert (rig.end, rig.upstream.cut, served(rig)) == ("close", True, [(499, "client-gone")])


def test_pipelined_requests_before_a_half_close_are_all_answered() -> None:
    rig = LaneRig()
    rig.feed(GET * 2)
    rig.half_close()
    rig.respond(OK)
    rig.respond(OK)
    assert (rig.sent.count(b"200 OK"), rig.end) == (2, "close")


def test_a_client_that_leaves_ends_the_upstream_request() -> None:
    rig = LaneRig()
    rig.feed(GET)
    rig.vanish()
    assert (rig.upstream.cut, served(rig)) == (True, [(499, "client-gone")])


def test_connection_close_is_honoured() -> None:
    rig = LaneRig()
    rig.feed(b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
    rig.respond(OK)
    assert (rig.sent, rig.end) == (OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), "close")


def test_a_connection_ends_after_its_last_request() -> None:
    rig = LaneRig(Bounds(requests_per_connection=2))
    rig.feed(GET)
    rig.respond(OK)
    rig.feed(GET)
    rig.respond(OK)
    assert rig.sent == OK + OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert rig.end == "close"


def test_draining_closes_idle_connections_and_lets_requests_finish() -> None:
    idle, busy = LaneRig(), LaneRig()
    busy.feed(GET)
    idle.drain()
    busy.drain()
    assert (idle.end, busy.end) == ("close", "")
    busy.respond(OK)
    assert (b"\r\nConnection: close\r\n" in busy.sent, busy.end) == (True, "close")


# -- time ----------------------------------------------------------------------------------------------------------------

BOUNDS = Bounds(
    head_seconds=2.0,
    idle_seconds=10.0,
    body_gap_seconds=3.0,
    upstream_first_byte_seconds=5.0,
    upstream_gap_seconds=7.0,
    upgrade_idle_seconds=20.0,
)


def test_a_silent_connection_is_closed() -> None:
    rig = LaneRig(BOUNDS)
    rig.pass_time(2.1)
    assert (rig.sent, rig.end, rig.events.bounds) == (b"", "close", {"head_seconds": 1})


def test_a_head_that_trickles_is_a_408_however_often_a_byte_comes() -> None:
    rig = LaneRig(BOUNDS)
    for place in range(4):
        rig.feed(GET[place : place + 1])
        rig.pass_time(0.6)
    assert rig.sent.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert (rig.half_closed, rig.events.bounds) == (True, {"head_seconds": 1})


def test_an_idle_connection_is_closed_without_a_word() -> None:
    rig = LaneRig(BOUNDS)
    rig.feed(GET)
    rig.respond(OK)
    rig.pass_time(9.9)
    assert rig.end == ""
    rig.pass_time(0.2)
    assert (rig.sent, rig.end, rig.events.bounds) == (OK, "close", {"idle_seconds": 1})


def test_a_body_that_stops_is_a_408() -> None:
    rig = LaneRig(BOUNDS)
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nabc")
    for _ in range(3):
        rig.pass_time(2.9)
        rig.feed(b"d")
    rig.pass_time(3.1)
    assert rig.sent.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert (rig.upstream.cut, served(rig), rig.events.bounds) == (
        True, [(408, "client-timeout")], {"body_gap_seconds": 1},
    )  # fmt: skip


def test_an_upstream_that_does_not_begin_is_a_504() -> None:
    rig = LaneRig(BOUNDS)
    rig.feed(GET)
    rig.pass_time(5.1)
    assert rig.sent.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    assert (rig.end, rig.upstream.cut, served(rig)) == ("", True, [(504, "upstream-timeout")])


HEAD_OF_4 = b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\n"


def head_seconds(rig: LaneRig) -> float | None:
    [(_, served)] = rig.checker.settled  # type: ignore[attr-defined]
    found: float | None = served.upstream_head_seconds
    return found


def test_a_client_that_is_slow_with_its_body_makes_no_slow_site() -> None:
    rig = LaneRig()
    rig.feed(HEAD_OF_4 + b"12")
    rig.pass_time(9.0)
    rig.feed(b"34")
    rig.pass_time(0.5)
    rig.respond(OK)
    assert head_seconds(rig) == 0.5


def test_a_site_that_answers_before_it_has_the_whole_body_is_not_timed() -> None:
    rig = LaneRig()
    rig.feed(HEAD_OF_4 + b"12")
    rig.pass_time(9.0)
    rig.respond(OK)
    assert head_seconds(rig) is None


def test_a_site_that_never_answers_took_as_long_as_somebody_waited() -> None:
    rig = LaneRig(BOUNDS)
    rig.feed(GET)
    rig.pass_time(5.5)
    assert head_seconds(rig) == 5.5
    left = LaneRig()
    left.feed(GET)
    left.pass_time(7.0)
    left.vanish()
    assert head_seconds(left) == 7.0
    cut = LaneRig()
    cut.feed(GET)
    cut.upstream_closes()
    cut.upstream_closes()
    assert head_seconds(cut) is None


def test_an_upstream_that_stops_in_the_middle_breaks_the_response_off() -> None:
    rig = LaneRig(BOUNDS)
    rig.feed(GET)
    rig.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    rig.pass_time(6.0)
    rig.respond(b"d")
    rig.pass_time(6.0)
    assert rig.end == ""
    rig.pass_time(1.1)
    assert (rig.end, served(rig)) == ("close", [(200, "upstream-timeout")])


def test_nothing_that_waits_is_without_a_deadline() -> None:
    rig = LaneRig(BOUNDS)
    assert rig.link.due < inf
    rig.feed(GET[:5])
    assert rig.link.due < inf
    rig.feed(GET[5:])
    assert rig.link.due < inf
    rig.respond(OK[:20])
    assert rig.link.due < inf
    rig.respond(OK[20:])
    assert rig.link.due < inf


# -- upgrades ------------------------------------------------------------------------------------------------------------

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_an_upgraded_connection_is_relayed_as_it_is() -> None:
    rig = LaneRig(BOUNDS)
    rig.feed(UPGRADE + b"early")
    head, _, rest = rig.upstream.got.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket")
    assert rest == b""
    rig.respond(SWITCHED + b"\x81\x02hi")
    assert rig.sent == SWITCHED + b"\x81\x02hi"
    assert rig.upstream.got.endswith(b"\r\n\r\nearly")
    rig.feed(b"GET / HTTP/1.1\r\n\x00")
    assert rig.upstream.got.endswith(b"earlyGET / HTTP/1.1\r\n\x00")
    rig.pass_time(19.0)
    rig.respond(b"pong")
    rig.pass_time(19.0)
    assert rig.end == ""
    rig.pass_time(1.1)
    assert (rig.end, served(rig), rig.events.bounds) == ("close", [(101, "")], {"upgrade_idle_seconds": 1})


def test_an_upgraded_connection_ends_with_either_side() -> None:
    ends = []
    for leave in (LaneRig.upstream_closes, LaneRig.half_close, LaneRig.vanish):
        rig = LaneRig()
        rig.feed(UPGRADE)
        rig.respond(SWITCHED)
        leave(rig)
        ends.append((rig.end, rig.upstream.leased, served(rig)))
    assert ends == [("close", False, [(101, "")])] * 3


def test_a_refused_upgrade_goes_on_with_http() -> None:
    rig = LaneRig()
    rig.feed(UPGRADE + GET)
    rig.respond(OK)
    assert isinstance(rig.checker, HeaderChecker)
    assert len(rig.checker.requests) == 2
    rig.respond(OK)
    assert (rig.sent, rig.end) == (OK + OK, "")


# -- refusals of form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request", "host-missing"),
        (b"GET / HTTP/1.1\nHost: a.example\n\n", b"400 Bad Request", "bare-lf"),
        (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", b"405 Method Not Allowed", "method-refused"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505 HTTP Version Not Supported", "http2-preface"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n", b"414 URI Too Long", "target-size"),
        (b"GET / HTTP/1.1\r\nHost: nowhere.example\r\n\r\n", b"421 Misdirected Request", "host-unknown"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"400 Bad Request", "request-line"),
    ],
)
def test_what_cannot_be_served_is_said_and_counted(data: bytes, status: bytes, reason: str) -> None:
    rig = LaneRig()
    rig.feed(data)
    assert rig.sent.startswith(b"HTTP/1.1 %b\r\n" % status)
    assert rig.events.bad == {reason: 1}
    assert rig.upstreams == []


def test_a_fault_after_good_requests_is_answered_in_its_turn() -> None:
    rig = LaneRig()
    rig.feed(GET + b"GET / HTTP/9.9\r\n\r\n")
    assert rig.sent == b""
    rig.respond(OK)
    assert rig.sent.startswith(OK)
    assert b"HTTP/1.1 505 " in rig.sent
    assert rig.half_closed


def test_a_fault_in_a_body_ends_the_exchange() -> None:
    rig = LaneRig()
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    rig.feed(b"zz\r\n")
    assert rig.sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert (rig.upstream.cut, rig.half_closed, served(rig)) == (True, True, [(400, "chunk")])


@pytest.mark.parametrize(("data", "status", "fault", "parsed"), [
    (b"GET / HTTP/9.9\r\n\r\n", 505, "version", (b"", b"", b"")),
    (b"GET /x?s3cret HTTP/1.1\r\nHost: other.example\r\n\r\n", 421, "host-unknown", (b"GET", b"other.example", b"/x")),
    (b"GET / HTTP/1.1\r\nHost: a.example\r\nX: " + b"x" * 70_000, 431, "head-size", (b"", b"", b"")),
])  # fmt: skip
def test_a_reference_that_a_client_is_shown_is_recorded(
    data: bytes, status: int, fault: str, parsed: tuple[bytes, bytes, bytes]
) -> None:
    rig = LaneRig()
    rig.feed(data)
    assert isinstance(rig.checker, HeaderChecker)
    [refusal] = rig.checker.refusals
    assert (refusal.status, refusal.fault, refusal.client.text) == (status, fault, "192.0.2.7")
    assert (refusal.method, refusal.host, refusal.path) == parsed
    assert b"X-Proxyguard-Reference: " + refusal.reference.encode() in rig.sent


def test_a_head_that_never_ends_is_recorded() -> None:
    rig = LaneRig()
    rig.feed(b"GET / HT")
    rig.pass_time(100)
    assert isinstance(rig.checker, HeaderChecker)
    assert [(each.status, each.fault) for each in rig.checker.refusals] == [(408, "head-timeout")]


def test_plain_http_where_tls_is_spoken_is_refused() -> None:
    rig = LaneRig(misdirected=True)
    rig.feed(GET)
    assert rig.sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert (rig.upstreams, rig.events.bad) == ([], {"plain-http": 1})


def test_an_old_request_without_host_goes_to_the_default_site_if_there_is_one() -> None:
    rig = LaneRig()
    rig.feed(b"GET / HTTP/1.0\r\n\r\n")
    assert rig.sent.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")


# -- faults of ours ------------------------------------------------------------------------------------------------------


def test_a_checker_that_raises_is_a_500_and_counted() -> None:
    rig = LaneRig()
    rig.feed(wish(b"crash"))
    assert rig.sent.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert ([where for where, _ in rig.events.errors], rig.end) == (["lane"], "close")


class SlowChecker(HeaderChecker):
    """Answers every check later."""

    def check(self, request: Request) -> Awaitable[Ticket]:  # type: ignore[override]  # one of the two kinds of answer
        self.requests.append(request)
        return asyncio.Future(loop=asyncio.new_event_loop())


def test_a_check_that_is_waited_for_holds_the_body_back() -> None:
    checker = SlowChecker()
    rig = LaneRig(checker=checker)
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6\r\n\r\nabc")
    assert (rig.upstreams, rig.reading_held) == ([], True)
    rig.decide(rig.tickets[0].exchange, Ticket(checker.requests[0], PASS_BY_DEFAULT, "0", 0.0))
    assert rig.upstream.got.endswith(b"\r\n\r\nabc")
    assert rig.reading_held is False
    rig.feed(b"def")
    rig.respond(OK)
    assert rig.sent == OK


def test_a_check_that_ends_after_the_client_left_is_settled() -> None:
    checker = SlowChecker()
    rig = LaneRig(checker=checker)
    rig.feed(GET)
    rig.vanish()
    assert checker.settled == []
    rig.decide(rig.tickets[0].exchange, Ticket(checker.requests[0], PASS_BY_DEFAULT, "0", 0.0))
    assert (rig.upstreams, checker.served) == ([], [(499, "client-gone")])
