"""Slow clients on both protocols: what is held, when the upstream is asked for and let go, and who is cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxyguard.core.settings import Bounds, BufferBudget, Buffering
from tests.adapters.http1.rig import LaneRig
from tests.adapters.http2.rig import Http2Rig, post

HELD = Buffering()
KIB = 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def head(length: int, *more: bytes) -> bytes:
    fields = b"".join(field + b"\r\n" for field in more)
    return b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n%b\r\n" % (length, fields)


# -- request bodies ------------------------------------------------------------------------------------------------------


def test_a_small_body_is_held_until_it_is_whole() -> None:
    rig = LaneRig(buffering=HELD)
    rig.feed(head(5) + b"ab")
    rig.feed(b"cd")
    assert (rig.upstreams, rig.services.buffers.memory.used) == ([], 4)
    rig.feed(b"e")
    assert rig.upstream.got.endswith(b"\r\n\r\nabcde")
    assert rig.services.buffers.memory.used == 0
    rig.respond(OK)
    assert rig.sent == OK


def test_a_body_that_comes_with_its_head_asks_at_once() -> None:
    rig = LaneRig(buffering=HELD)
    rig.feed(head(3) + b"abc")
    assert rig.upstream.got.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("cut", [1, 2, 7, 1000])
def test_a_chunked_body_is_held_and_passed_on_as_one_chunk(cut: int) -> None:
    rig = LaneRig(buffering=HELD)
    body = b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n"
    rig.feed(b"POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n")
    for start in range(0, len(body), cut):
        assert not rig.upstreams
        rig.feed(body[start : start + cut])
    assert rig.upstream.got.endswith(b"\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 9\r\n\r\n")


def test_a_longer_body_goes_on_once_enough_of_it_came() -> None:
    rig = LaneRig(buffering=HELD)
    rig.feed(head(200 * KIB) + b"z" * 60 * KIB)
    assert not rig.upstreams
    rig.feed(b"z" * 4 * KIB)
    assert rig.upstream.got.count(b"z") == 64 * KIB
    rig.feed(b"z" * 136 * KIB)
    assert rig.upstream.got.count(b"z") == 200 * KIB
    assert rig.services.buffers.memory.used == 0


def test_of_a_slow_client_more_is_held() -> None:
    rig = LaneRig(Bounds(body_gap_seconds=30.0), buffering=HELD)
    rig.feed(head(200 * KIB))
    for _ in range(199):
        rig.pass_time(1.0)
        rig.feed(b"z" * KIB)
    assert (rig.upstreams, rig.sent) == ([], b"")
    rig.feed(b"z" * KIB)
    assert rig.upstream.got.count(b"z") == 200 * KIB


def test_a_client_that_drips_its_body_is_cut_and_never_held_an_upstream() -> None:
    rig = LaneRig(Bounds(body_gap_seconds=10.0), buffering=HELD)
    rig.feed(head(1000) + b"a")
    for _ in range(12):
        rig.pass_time(1.0)
        if not rig.sent:
            rig.feed(b"a")
    assert rig.sent.startswith(b"HTTP/1.1 408 ")
    assert (rig.upstreams, rig.events.bounds) == ([], {"request_rate": 1})
    assert rig.services.buffers.memory.used == 0


def test_an_upload_that_begins_fast_and_then_drips_is_cut() -> None:
    rig = LaneRig(Bounds(body_gap_seconds=10.0), buffering=HELD)
    rig.feed(head(10_000_000) + b"a" * 64 * KIB)
    for _ in range(12):
        rig.pass_time(1.0)
        if not rig.sent:
            rig.feed(b"a" * KIB)
    assert rig.sent.startswith(b"HTTP/1.1 408 ")
    assert (rig.upstream.cut, rig.events.bounds) == (True, {"upload_rate": 1})


def test_the_time_that_the_site_takes_is_not_the_clients() -> None:
    rig = LaneRig(Bounds(body_gap_seconds=10.0), buffering=HELD)
    rig.feed(head(10_000_000) + b"a" * 64 * KIB)
    connection = rig.upstream.server.connection
    connection.is_blocked = True
    rig.pass_time(9.0)
    connection.is_blocked, connection.resumed = False, rig.now
    rig.pass_time(2.0)
    rig.feed(b"a")
    rig.pass_time(8.0)
    rig.feed(b"a")
    assert rig.sent == b""
    rig.pass_time(5.0)
    assert rig.sent.startswith(b"HTTP/1.1 408 ")


def test_excepted_paths_are_passed_on_as_they_come_however_slowly() -> None:
    rig = LaneRig(Bounds(body_gap_seconds=10.0), buffering=Buffering(excepted=("/x", "/up/*")))
    rig.feed(head(1000) + b"a")
    assert rig.upstream.got.endswith(b"\r\n\r\na")
    for _ in range(30):
        rig.pass_time(5.0)
        rig.feed(b"a")
    assert rig.sent == b""


@pytest.mark.parametrize(
    ("path", "is_excepted"), [(b"/x", True), (b"/x/", False), (b"/up/a", True), (b"/up", False), (b"/", False)]
)
def test_excepted_paths(path: bytes, *, is_excepted: bool) -> None:
    assert Buffering(excepted=("/x", "/up/*")).excepts(path) is is_excepted


def test_one_network_has_its_share_of_memory_and_no_more() -> None:
    rig = LaneRig(buffering=HELD, budget=BufferBudget(memory_per_network_bytes=1000))
    rig.feed(head(2000) + b"a" * 900)
    rig.feed(b"a" * 101)
    assert rig.sent.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After" in rig.sent
    assert (rig.upstreams, rig.events.bounds, rig.services.buffers.memory.used) == ([], {"buffering_memory": 1}, 0)


@pytest.mark.parametrize("leave", [LaneRig.vanish, LaneRig.half_close])
def test_a_client_that_leaves_in_its_body_leaves_nothing_behind(leave: Callable[[LaneRig], None]) -> None:
    rig = LaneRig(buffering=HELD)
    rig.feed(head(5) + b"ab")
    leave(rig)
    assert (rig.upstreams, rig.services.buffers.memory.used) == ([], 0)


def test_what_is_expected_is_given_at_once_and_not_asked_again() -> None:
    rig = LaneRig(buffering=HELD)
    rig.feed(head(3, b"Expect: 100-continue"))
    assert (rig.sent, rig.upstreams) == (b"HTTP/1.1 100 Continue\r\n\r\n", [])
    rig.feed(b"abc")
    assert b"Expect" not in rig.upstream.got
    rig.respond(OK)
    assert rig.sent == b"HTTP/1.1 100 Continue\r\n\r\n" + OK


def test_a_refused_body_is_not_asked_for() -> None:
    rig = LaneRig(buffering=HELD)
    rig.feed(head(3, b"Expect: 100-continue", b"X-Do: reject"))
    assert rig.sent.startswith(b"HTTP/1.1 403 ")


def test_an_upstream_that_does_not_consent_is_consented_for() -> None:
    rig = LaneRig()
    rig.feed(head(3, b"Expect: 100-continue"))
    assert b"Expect: 100-continue" in rig.upstream.got
    rig.pass_time(0.3)
    assert rig.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    rig.respond(b"HTTP/1.1 100 Continue\r\n\r\n")
    rig.feed(b"abc")
    rig.respond(OK)
    assert rig.sent == b"HTTP/1.1 100 Continue\r\n\r\n" + OK


def test_over_http2_a_body_is_held_and_its_window_given_back() -> None:
    rig = Http2Rig(buffering=Buffering(request_bytes=4 << 20))
    numbers = [rig.h2.request(post(), end=False) for _ in range(12)]
    for _ in range(4):
        for number in numbers:  # 12 x 240 KB: more than the connection's window
            for _ in range(4):
                rig.h2.connection.send_data(number, b"z" * 15_000)
            rig.talk()
    assert rig.upstreams == []
    assert rig.services.buffers.memory.used == 12 * 240_000
    for number in numbers:
        rig.h2.connection.end_stream(number)
    rig.talk()
    assert [upstream.got.count(b"z") for upstream in rig.upstreams] == [240_000] * 12
    assert rig.services.buffers.memory.used == 0


# -- responses -----------------------------------------------------------------------------------------------------------

LARGE = 500_000


def large(size: int = LARGE, *fields: bytes) -> bytes:
    more = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n" % (size, more) + bytes(range(250)) * (size // 250)


def get(rig: LaneRig) -> None:
    rig.feed(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")


def test_a_slow_reader_frees_the_upstream_as_soon_as_the_response_is_whole() -> None:
    rig = LaneRig(buffering=HELD)
    get(rig)
    answer = large()
    rig.respond(answer[:1000])
    rig.stall()
    for start in range(1000, len(answer), 60_000):
        assert rig.upstream.leased
        rig.respond(answer[start : start + 60_000])
    assert (rig.upstream.leased, rig.upstream.cut, rig.is_held(rig.upstream)) == (False, False, False)
    assert rig.sent == answer[:1000]
    assert rig.services.buffers.disk.used > 0
    rig.feed(b"GET /y HTTP/1.1\r\nHost: a.example\r\n\r\n")  # waits for its turn
    rig.unstall()
    rig.end_turns()
    assert rig.sent == answer
    assert (rig.services.buffers.disk.used, rig.services.buffers.memory.used) == (0, 0)
    rig.respond(OK)
    assert rig.sent == answer + OK


def test_what_the_client_can_take_is_not_delayed() -> None:
    rig = LaneRig(buffering=HELD)
    get(rig)
    answer = large()
    for start in range(0, len(answer), 50_000):
        rig.respond(answer[start : start + 50_000])
        assert rig.sent == answer[: start + 50_000]
    assert rig.turns == 0


def test_beyond_its_bounds_the_upstream_waits() -> None:
    rig = LaneRig(buffering=Buffering(response_bytes=10_000, file_bytes=0))
    get(rig)
    answer = large()
    rig.respond(answer[:1000])
    rig.stall()
    sent = 1000
    while not rig.is_held(rig.upstream):
        rig.respond(answer[sent : sent + 10_000])
        sent += 10_000
    assert sent < 100_000
    rig.unstall()
    rig.end_turns()
    assert (rig.sent, rig.is_held(rig.upstream)) == (answer[:sent], False)
    rig.respond(answer[sent:])
    rig.end_turns()
    assert rig.sent == answer


@pytest.mark.parametrize("field", [b"Content-Type: text/event-stream; charset=utf-8", b"X-Accel-Buffering: no"])
def test_event_streams_and_what_the_site_says_are_not_held(field: bytes) -> None:
    rig = LaneRig(buffering=HELD)
    get(rig)
    answer = large(LARGE, field)
    rig.respond(answer[:1000])
    rig.stall()
    rig.respond(answer[1000:2000])
    assert rig.is_held(rig.upstream)
    assert rig.services.buffers.memory.used == 0


def test_a_reader_that_leaves_frees_what_was_held_for_it() -> None:
    rig = LaneRig(buffering=HELD)
    get(rig)
    rig.respond(large()[:1000])
    rig.stall()
    rig.respond(large()[1000:])
    rig.vanish()
    assert (rig.services.buffers.disk.used, rig.services.buffers.memory.used) == (0, 0)


def test_over_http2_one_slow_stream_frees_its_upstream_too() -> None:
    rig = Http2Rig(buffering=HELD, opens_windows=False)
    slow = rig.ask()
    answer = large()
    for start in range(0, len(answer), 60_000):
        rig.reply(answer[start : start + 60_000])
    assert (rig.upstream.leased, rig.upstream.cut) == (False, False)
    assert len(slow.body) == 65_535
    other = rig.ask()
    rig.h2.connection.increment_flow_control_window(1000)
    rig.reply(OK)
    assert other.body == b"hi"
    rig.h2.connection.increment_flow_control_window(10_000_000)
    rig.h2.connection.increment_flow_control_window(10_000_000, 1)
    rig.talk()
    rig.end_turns()
    rig.talk()
    assert (slow.body, slow.ended) == (answer[-LARGE:], True)
    assert (rig.services.buffers.disk.used, rig.services.buffers.memory.used) == (0, 0)


def test_a_stream_that_drips_its_windows_open_is_cut() -> None:
    rig = Http2Rig(Bounds(send_gap_seconds=6.0), buffering=HELD, opens_windows=False)
    slow = rig.ask()
    rig.reply(large())
    for _ in range(8):
        rig.pass_time(2.0)
        if slow.reset is None:
            rig.h2.connection.increment_flow_control_window(1)
            rig.h2.connection.increment_flow_control_window(1, 1)
        rig.talk()
    assert rig.events.bounds == {"response_rate": 1}
    assert (rig.services.buffers.disk.used, rig.services.buffers.memory.used) == (0, 0)


def test_a_held_stream_goes_on_when_only_the_connection_has_room_again() -> None:
    rig = Http2Rig(opens_windows=False)
    answer = rig.ask()
    rig.h2.connection.increment_flow_control_window(10_000_000, 1)
    rig.talk()
    rig.reply(large(100_000))
    assert (len(answer.body), answer.ended) == (65_535, False)
    rig.h2.connection.increment_flow_control_window(10_000_000)
    rig.talk()
    assert (len(answer.body), answer.ended, rig.is_held(rig.upstream)) == (100_000, True, False)


# -- clients that leave --------------------------------------------------------------------------------------------------


def test_a_client_that_half_closes_and_hears_nothing_has_left() -> None:
    rig = LaneRig()
    get(rig)
    rig.half_close()
    rig.pass_time(0.9)
    assert rig.upstream.leased
    rig.pass_time(0.2)
    assert (rig.upstream.cut, rig.end, rig.events.bounds) == (True, "close", {"half_close_seconds": 1})


def test_a_client_that_half_closes_gets_what_flows() -> None:
    rig = LaneRig()
    get(rig)
    rig.half_close()
    answer = large(1000)
    for start in range(0, len(answer), 100):
        rig.pass_time(0.8)
        rig.respond(answer[start : start + 100])
    assert rig.sent == answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


# -- answers before the end of a body ------------------------------------------------------------------------------------


def test_the_rest_of_a_refused_upload_is_taken_and_the_stream_ends_without_a_reset() -> None:
    rig = Http2Rig()
    number = rig.h2.request([*post(), (b"x-do", b"reject")], end=False)
    for _ in range(20):
        rig.h2.connection.send_data(number, b"z" * 10_000)
        rig.talk()
    rig.h2.connection.end_stream(number)
    rig.talk()
    answer = rig.h2.answers[number]
    assert (answer.status, answer.ended, answer.reset) == (403, True, None)
    assert rig.http2.streams.open == {}
