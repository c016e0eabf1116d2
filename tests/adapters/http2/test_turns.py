"""The HTTP/2 lane does a little for each connection in a turn of the loop: nothing is lost by it, nobody waits for it long."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from proxyguard.core.request import Request
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.chunked import ChunkedDecoder
from proxyguard.http.http2 import frames
from proxyguard.http.http2.budget import WORK_PER_TURN
from proxyguard.http.http2.errors import ErrorCode
from proxyguard.http.http2.frames import frame
from tests.adapters.fakes import HeaderChecker
from tests.adapters.front_rig import run
from tests.adapters.http2.rig import GET, HEARD, HELLO, WARNING, Fields, Http2Rig, ping, post, wish
from tests.adapters.http2.test_front import connected, http2_fronted
from tests.adapters.http2.test_layer import OK, block, headers

A_TURN = 5
"""How many of the smallest requests are looked at in a turn, at most."""

REJECTED = wish(b"reject")


def odd(count: int) -> list[int]:
    """The numbers of so many streams."""
    return list(range(1, 2 * count, 2))


def taken_back(count: int, fields: Fields = GET) -> bytes:
    """Requests, each followed by its reset."""
    return b"".join([headers(number, fields) + frames.rst_stream(number, ErrorCode.CANCEL) for number in odd(count)])


def paths(requests: list[Request]) -> list[bytes]:
    return [request.target for request in requests]


def answers(rig: Http2Rig) -> int:
    """How many heads of answers were sent."""
    start = count = 0
    while start < len(rig.sent):
        count += rig.sent[start + 3] == frames.HEADERS
        start += 9 + int.from_bytes(rig.sent[start : start + 3])
    return count


def numbered(number: int) -> Fields:
    return [*GET[:3], (b":path", b"/%d" % number)]


def test_a_burst_of_requests_is_looked_at_in_turns_and_in_order() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, *[headers(number, numbered(number)) for number in odd(60)])
    seen = []
    while rig.turn_awaited:
        seen.append(len(rig.requests))
        assert rig.reading_held
        rig.end_turn()
    assert not rig.reading_held
    assert all(last - first <= A_TURN for first, last in pairwise([0, *seen]))
    assert len(seen) > 5
    assert paths(rig.requests) == [b"/%d" % number for number in odd(60)]
    assert len(rig.upstreams) == 60


def test_a_few_requests_need_no_further_turn() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, *[headers(number) for number in odd(4)])
    assert (len(rig.requests), rig.turn_awaited, rig.reading_held) == (4, False, False)


def test_answers_of_a_turn_are_sent_when_it_ends() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, *[headers(number, REJECTED) for number in odd(20)])
    answered = answers(rig)
    assert 0 < answered == len(rig.requests) <= A_TURN
    rig.end_turn()
    assert answered < answers(rig) == len(rig.requests)


@pytest.mark.parametrize("fields", [GET, REJECTED, wish(b"limit"), wish(b"tarpit"), wish(b"delay")])
def test_what_is_taken_back_at_once_is_checked_and_recorded_but_asks_for_no_upstream(fields: Fields) -> None:
    rig = Http2Rig()
    rig.raw(HELLO, taken_back(50, fields))
    assert (len(rig.requests), len(rig.served), rig.upstreams, rig.end) == (50, 50, [], "")
    assert rig.http2.streams.open == {}


def test_rapid_resets_are_bounded_in_each_turn_and_in_all() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, taken_back(1000))
    last = 0
    while not rig.end:
        assert len(rig.requests) - last <= A_TURN
        last = len(rig.requests)
        rig.end_turn()
    assert (len(rig.requests), rig.upstreams, dict(rig.events.bounds)) == (201, [], {"http2_resets": 1})
    assert rig.sent.endswith(ErrorCode.ENHANCE_YOUR_CALM.to_bytes(4))
    assert rig.served == [(499, "client-gone")] * 201


@pytest.mark.parametrize(
    "flood",
    [ping(), frames.window_update(0, 1), frames.settings([]), frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\1"), headers(1)],
    ids=["ping", "window-update", "settings", "priority", "requests-of-a-closed-stream"],
)
def test_frames_that_carry_nothing_have_their_turns_too(flood: bytes) -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, headers(1), frames.rst_stream(1, ErrorCode.CANCEL), headers(3), headers(3), flood * 1500)
    turns = 0
    while rig.turn_awaited and not rig.end:
        rig.end_turn()
        turns += 1
    assert turns >= 1500 // WORK_PER_TURN or rig.end == "close"


def test_a_block_that_costs_more_than_a_turn_is_read_all_the_same() -> None:
    rig = Http2Rig()
    rig.raw(HELLO, frame(frames.HEADERS, 5, 1, block([*GET, *[(b"x", b"z" * 100)] * 60])), headers(3))
    assert rig.requests[0].header_index[b"x"][0] == b"z" * 100
    assert len(rig.requests) == 2


CONVERSATION = (
    HELLO,
    *[headers(number, numbered(number)) for number in odd(12)],
    headers(25, post((b"content-length", b"11")), end=False),
    frame(frames.DATA, 0, 25, b"hello "),
    frames.rst_stream(3, ErrorCode.CANCEL),
    *[headers(number, REJECTED) for number in range(27, 67, 2)],
    frame(frames.DATA, frames.PADDED | 1, 25, b"\x03world\0\0\0"),
    ping(),
    headers(67, post(), end=False),
    frame(frames.HEADERS, 1, 69, block(GET)[:4]),
    frame(frames.CONTINUATION, 4, 69, block(GET)[4:]),
    frame(frames.DATA, 0, 67, b"z" * 300),
    headers(67, [(b"x-sum", b"1")]),
    frames.window_update(0, 1000),
    headers(71, [*GET, (b"connection", b"close")]),
)
LAST_WORD = headers(72) + headers(73)
"""An even number ends the connection."""


class Outcome(NamedTuple):
    """All that a conversation comes to."""

    paths: list[bytes]
    served: list[tuple[int, str]]
    got: list[tuple[bytes, bytes]]
    """What each upstream got: head and body."""
    bad: dict[str, int]
    end: str
    last: bytes


def read_back(got: bytes) -> tuple[bytes, bytes]:
    """A request as it went upstream; its chunks are as the bytes came, and mean nothing."""
    head, _, body = got.partition(b"\r\n\r\n")
    if b"Transfer-Encoding" in head:
        parts: list[bytes] = []
        ChunkedDecoder(100, 100).decode(body, 0, parts)
        body = b"".join(parts)
    return head, body


def outcome(pieces: list[bytes]) -> Outcome:
    """Each piece waits until reading goes on, as in a socket."""
    rig = Http2Rig(gathers=True)
    for piece in (*pieces, LAST_WORD):
        rig.feed(piece)
        rig.end_turns()
    got = [read_back(upstream.got) for upstream in rig.upstreams]
    return Outcome(paths(rig.requests), sorted(rig.served), got, dict(rig.events.bad), rig.end, rig.sent[-17:])


@pytest.mark.long
def test_the_same_comes_out_however_the_bytes_are_cut_into_reads_and_turns() -> None:
    said = b"".join(CONVERSATION)
    whole = outcome([said])
    assert len(whole.paths) == 12 + 1 + 20 + 1 + 1
    assert [body for _, body in whole.got if body] == [b"hello world", b"z" * 300]
    assert (whole.bad, whole.end) == ({"connection-field": 1, "http2-protocol": 1}, "close")
    assert whole.last == frames.goaway(71, ErrorCode.PROTOCOL_ERROR)
    for place in range(1, len(said)):
        assert outcome([said[:place], said[place:]]) == whole, place
    assert outcome(list(CONVERSATION)) == whole
    assert outcome([said[place : place + 1] for place in range(len(said))]) == whole


def test_bodies_keep_their_windows_over_turns() -> None:
    rig = Http2Rig(Bounds(buffer_bytes=65_536), gathers=True)
    parts = [HELLO, *[headers(number, post(), end=False) for number in odd(3)]]
    for _ in range(400):
        parts += [frame(frames.DATA, 0, number, b"z" * 50) for number in odd(3)]
    parts += [frame(frames.DATA, 1, number, b"end") for number in odd(3)]
    rig.raw(*parts)
    assert rig.reading_held
    rig.end_turns()
    for upstream in rig.upstreams:
        body = upstream.got.partition(b"\r\n\r\n")[2]
        assert body.count(b"z") == 20_000
        assert body.endswith(b"3\r\nend\r\n0\r\n\r\n")
    window = rig.http2.streams.intake._window
    assert window.left + window.due == window.size


def test_an_answer_goes_out_while_its_client_is_behind() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, headers(1), ping() * 2 * WORK_PER_TURN)
    rig.sent = b""
    rig.respond(OK)
    rig.end_turn()
    assert rig.reading_held
    assert rig.sent.endswith(b"hi")


def test_a_request_that_waits_for_its_turn_when_we_say_goodbye_is_taken() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, *[headers(number) for number in odd(30)])
    rig.drain()
    rig.end_turns()
    assert rig.sent.count(WARNING) == 1
    assert len(rig.upstreams) == 30
    rig.raw(HEARD)
    assert rig.sent.endswith(frames.goaway(59, ErrorCode.NO_ERROR))


def test_a_request_that_waits_for_its_turn_when_patience_ends_is_told_so() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, *[headers(number) for number in odd(30)])
    rig.drain()
    rig.end_turn()
    seen = len(rig.requests)
    rig.pass_time(1.1)  # something holds the loop up
    rig.end_turns()
    assert frames.goaway(2 * seen - 1, ErrorCode.NO_ERROR) in rig.sent
    assert len(rig.requests) == seen < 30


@pytest.mark.parametrize("way", ["vanish", "half_close"])
def test_a_client_that_leaves_while_its_requests_wait_leaves_nothing_behind(way: str) -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, *[headers(number) for number in odd(30)])
    seen = len(rig.requests)
    getattr(rig, way)()
    assert rig.end == "close"
    assert not any(upstream.leased for upstream in rig.upstreams)
    rig.end_turns()
    assert len(rig.requests) == len(rig.served) == seen < 30


def test_a_client_that_says_goodbye_behind_its_requests_gets_all_answers() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, *[headers(number, REJECTED) for number in odd(30)], frames.goaway(0, ErrorCode.NO_ERROR))
    rig.end_turns()
    assert (answers(rig), rig.end) == (30, "close")


def test_a_goodbye_of_the_client_does_not_cut_off_what_it_sent_after() -> None:
    rig = Http2Rig(gathers=True)
    rejected = [headers(number, REJECTED) for number in odd(30)]
    rig.raw(HELLO, frames.goaway(0, ErrorCode.NO_ERROR), *rejected)
    rig.end_turns()
    assert (answers(rig), rig.end) == (30, "close")


def test_a_client_that_takes_nothing_has_no_turns_until_it_does() -> None:
    rig = Http2Rig(gathers=True)
    rig.raw(HELLO, frames.window_update(0, 10_000_000))
    rig.stall()
    rig.raw(*[headers(number, wish(b"reject")) for number in odd(2000)])
    turns = 0
    while rig.turn_awaited:
        rig.end_turn()
        turns += 1
    assert rig.reading_held
    assert 64 * 1024 < rig.http2._pace.unsent_bytes < 70 * 1024
    assert len(rig.requests) < 500
    rig.unstall()
    rig.end_turns()
    assert (len(rig.requests), rig.reading_held) == (2000, False)


def test_no_time_runs_for_a_client_that_waits_for_its_turn() -> None:
    rig = Http2Rig(Bounds(idle_seconds=3.0), gathers=True)
    rig.raw(HELLO, *[headers(number, REJECTED) for number in odd(30)], headers(61)[:-1])
    rig.pass_time(10.0)
    assert (rig.end, dict(rig.events.bounds)) == ("", {})
    rig.end_turns()
    rig.pass_time(2.9)
    assert dict(rig.events.bounds) == {}
    rig.pass_time(0.2)
    assert dict(rig.events.bounds) == {"idle_seconds": 1}


def test_others_are_served_between_the_turns_of_a_burst(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            http2_fronted(tmp_path) as (rig, certificate),
            connected(rig, certificate) as one,
            connected(rig, certificate) as other,
        ):
            for connection, sign in ((one, b"1"), (other, b"2")):
                numbers = [connection.client.request([*REJECTED, (b"x-sign", sign)]) for _ in range(90)]
                connection.flush()
            await other.ended(*numbers)
            assert isinstance(rig.checker, HeaderChecker)
            signs = b"".join(request.header_index[b"x-sign"][0] for request in rig.checker.requests)
            assert len(re.findall(rb"1+|2+", signs)) > 10
            assert max(map(len, re.findall(rb"1+|2+", signs))) <= 3 * A_TURN

    run(scenario())
