"""The HTTP/2 lane under random frames: it never raises, never hangs, never grows, and keeps its promises to driver and guard."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.settings import Bounds
from proxyguard.http.http2 import frames
from proxyguard.http.http2.budget import WORK_PER_TURN
from proxyguard.http.http2.errors import ErrorCode
from proxyguard.http.http2.frames import PREFACE, frame
from proxyguard.http.http2.hpack import FieldEncoder
from tests.adapters.http2.rig import GET, HELLO, Fields, Http2Rig, post, wish
from tests.examples import examples

BOUNDS = Bounds(
    head_seconds=2.0,
    idle_seconds=10.0,
    body_gap_seconds=3.0,
    send_gap_seconds=4.0,
    upstream_first_byte_seconds=5.0,
    upstream_gap_seconds=7.0,
    head_bytes=600,
    field_bytes=300,
    target_bytes=200,
    header_count=10,
    body_bytes=50_000,
    buffer_bytes=4096,
    requests_per_connection=12,
    http2_streams=5,
    http2_resets=8,
)


def block(fields: Fields) -> bytes:
    encoder = FieldEncoder()
    encoder.set_limit(0)
    return encoder.encode(fields)


NUMBERS = st.sampled_from([0, 1, 1, 1, 3, 3, 5, 7, 9, 11, 2, 0x7FFFFFFF])
WISHES = st.sampled_from([b"pass", b"reject", b"limit", b"drop", b"tarpit", b"delay", b"allow"])
HEADS = st.one_of(
    st.just(GET),
    WISHES.map(wish),
    st.just(post()),
    st.just(post((b"content-length", b"5"))),
    st.just(post((b"expect", b"100-continue"))),
    st.just([(b":method", b"HEAD"), *GET[1:]]),
    st.just([(b":method", b"CONNECT"), *GET[1:]]),
    st.just([*GET, (b"connection", b"close")]),
    st.just([*GET, (b"x", b"z" * 400)]),
    st.just([(b"x-trailer", b"1")]),
)
BLOCKS = st.one_of(HEADS.map(block), HEADS.map(block), HEADS.map(block), st.binary(max_size=20))
BODIES = st.sampled_from([b"", b"z", b"hello", b"z" * 40, b"z" * 5000, b"\x03abc\0\0\0", b"\xff"])
FRAMES = st.one_of(
    st.builds(lambda number, payload, end: frame(frames.HEADERS, 4 | end, number, payload), NUMBERS, BLOCKS, st.integers(0, 1)),
    st.builds(frame, st.just(frames.HEADERS), st.integers(0, 255), NUMBERS, BLOCKS),
    st.builds(frame, st.just(frames.CONTINUATION), st.sampled_from([0, 4]), NUMBERS, BLOCKS),
    st.builds(frame, st.just(frames.DATA), st.sampled_from([0, 0, 1, 8, 9]), NUMBERS, BODIES),
    st.builds(frames.window_update, NUMBERS, st.sampled_from([0, 1, 100, 70_000, 0x7FFFFFFF])),
    st.builds(frames.window_update, NUMBERS, st.just(1000)),
    st.builds(lambda number: frame(frames.RST_STREAM, 0, number, b"\0\0\0\x08"), NUMBERS),
    st.builds(lambda pair: frames.settings([pair]), st.tuples(st.integers(0, 7), st.sampled_from([0, 1, 5, 20_000, 1 << 31]))),
    st.sampled_from([frames.SETTINGS_ACK, frame(frames.PING, 0, 0, b"12345678"), frames.goaway(0, ErrorCode.NO_ERROR)]),
    st.builds(frame, st.integers(0, 12), st.integers(0, 255), NUMBERS, st.binary(max_size=12)),
)
RESPONSES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"HTTP/1.1 200 OK\r\n\r\nuntil", b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b"z" * 70_000, b"z" * 20_000, b"junk\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nraw", b"HTTP/1.1 103 Early Hints\r\n\r\n",
])  # fmt: skip
PLACES = st.integers(0, 9)
STEPS = st.one_of(
    st.tuples(st.just("feed"), st.lists(FRAMES, min_size=1, max_size=6).map(b"".join)),
    st.tuples(st.just("feed"), st.builds(lambda number, head: frames.headers(number, block(head), end=True),
                                         st.sampled_from([1, 3, 5, 7, 9, 11]), HEADS)),
    st.tuples(st.just("feed"), st.binary(min_size=1, max_size=30)),
    st.tuples(st.just("respond"), st.tuples(PLACES, RESPONSES)),
    st.tuples(st.just("respond"), st.tuples(PLACES, RESPONSES)),
    st.tuples(st.sampled_from(["upstream_closes", "block", "unblock", "drip"]), PLACES),
    st.tuples(st.sampled_from(["connect", "refuse", "drain", "vanish", "stall", "unstall", "end_turn", "end_turn"]), st.none()),
    st.tuples(st.just("pass_time"), st.sampled_from([0.1, 1.0, 3.1, 11.0])),
)  # fmt: skip


def take(rig: Http2Rig, what: str, value: object) -> None:
    """One step, if it is possible now: transports say nothing after the end, upstreams only on lease and while they are read."""
    leased = [upstream for upstream in rig.upstreams if upstream.leased]
    match what, value:
        case "feed", bytes(data) if not rig.reading_held:
            rig.feed(data)
        case "respond", (int(place), bytes(data)) if leased:
            upstream = leased[place % len(leased)]
            if not rig.is_held(upstream) and not rig.link.stalled:
                rig.respond_on(upstream, data)
        case "upstream_closes", int(place) if leased:
            rig.lose(leased[place % len(leased)])
        case (("block" | "unblock"), int(place)) if leased:
            upstream = leased[place % len(leased)]
            upstream.server.connection.is_blocked = what == "block"
            rig.pace(upstream, blocked=what == "block", talks=False)
        case "drip", int(place) if rig.holding.held:
            held = rig.holding.held[place % len(rig.holding.held)]
            if not held.is_closing():
                if place > 7:
                    held.close()
                elif not held.get_write_buffer_size():
                    held.write(b"zz")
        case "connect", _ if rig.leases:
            rig.connect()
        case "refuse", _ if rig.leases:
            rig.refuse_to_connect()
        case "end_turn", _:
            rig.end_turn()
        case "drain", _:
            rig.drain()
        case "vanish", _:
            rig.vanish()
            rig.end = rig.end or "vanished"
        case "stall", _:
            rig.stall()
        case "unstall", _:
            rig.unstall()
        case "pass_time", float(seconds):
            rig.now += seconds
            if not rig.link.stalled and rig.link.due <= rig.now:
                rig.tell_time()
        case _:
            pass


def check(rig: Http2Rig) -> None:
    """What holds at every moment."""
    streams = rig.http2.streams
    intake = streams.intake
    assert rig.events.errors == []
    assert len(streams.open) <= BOUNDS.http2_streams
    sender = streams.sender
    assert sender.queued == sum(stream.out.queued for stream in streams.open.values())
    assert sender.queued <= 32 * 1024 + 70_000
    held_input = sum(len(piece) for stream in streams.open.values() for piece in stream._inbox)
    assert held_input <= intake._window.size
    assert intake._window.left + intake._window.due + sum(
        stream._unacknowledged for stream in streams.open.values()
    ) == intake._window.size or bool(rig.end)  # fmt: skip
    assert not streams.connection.outbox.commands
    assert not streams.connection.outbox.ready
    assert not sender.parts or bool(rig.end)
    assert streams.connection.tarpits == sum(stream._tarpit is not None for stream in streams.open.values())
    assert {id(up.server) for up in rig.upstreams if up.leased} == {
        id(stream.server) for stream in streams.open.values() if stream.server is not None
    }
    assert all(streams.of_server(stream.server) is stream for stream in streams.open.values() if stream.server is not None)
    assert len(intake._reset_by_us) <= 256
    if not rig.end:
        assert rig.link.due < inf or streams.open or rig.reading_held
        assert rig.reading_held is (intake.is_behind or rig.http2._pace.is_choked)
        assert not intake.is_behind or rig.turn_awaited or rig.http2._pace.is_choked
        assert sum(map(len, intake._unread)) == 0  # what was read before reading was held is in the frames that wait
    else:
        assert not streams.open
        assert not streams._by_exchange
        assert (rig.services.under_way.total, rig.services.under_way.networks, rig.services.under_way.delayed) == (0, 0, 0)
        assert not [upstream for upstream in rig.upstreams if upstream.leased]


@given(st.lists(STEPS, max_size=30), st.booleans(), st.booleans(), st.sampled_from([1, 60, WORK_PER_TURN]))
@settings(max_examples=examples(250), deadline=None)
def test_whatever_happens_nothing_breaks_leaks_or_hangs(
    steps: list[tuple[str, object]], connects: bool, gathers: bool, work: int
) -> None:
    rig = Http2Rig(BOUNDS, connects=connects, gathers=gathers)
    rig.http2.streams.intake.work_per_turn = work
    rig.feed(HELLO)
    for what, value in steps:
        if rig.end:
            break
        take(rig, what, value)
        if not rig.turn_awaited or rig.end:
            check(rig)
    rig.end_turns()
    if rig.link.stalled and not rig.end:
        rig.unstall()
        rig.end_turns()
    for upstream in rig.upstreams:
        if upstream.leased and not rig.end:
            rig.lose(upstream)
    for held in rig.holding.held:
        held.abort()
    for _ in range(20):  # left alone, every connection comes to its end
        if rig.end:
            break
        rig.now += 20.0
        while rig.leases:
            rig.refuse_to_connect()
        rig.tell_time()
        rig.end_turns()
    assert rig.end
    check(rig)
    asked, served = len(rig.requests), len(rig.served)
    assert asked == served


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_any_bytes_at_all(data: bytes, greets: bool) -> None:
    rig = Http2Rig(BOUNDS)
    rig.feed((PREFACE if greets else b"") + data)
    check(rig)
