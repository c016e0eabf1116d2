"""The lane under random events: it never raises, never hangs, never grows, and keeps its promises to driver and guard."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.adapters.mitmproxy.http1.connection_state import State
from proxyguard.adapters.mitmproxy.http1.pipeline import PARSED_AT_ONCE
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import REQUEST_FAULTS
from tests.adapters.fakes import HeaderChecker
from tests.adapters.http1.rig import LaneRig
from tests.examples import examples

BOUNDS = Bounds(
    head_seconds=2.0,
    idle_seconds=10.0,
    body_gap_seconds=3.0,
    upstream_first_byte_seconds=5.0,
    upstream_gap_seconds=7.0,
    upgrade_idle_seconds=20.0,
    head_bytes=600,
    field_bytes=300,
    target_bytes=200,
    header_count=10,
    body_bytes=5000,
    buffer_bytes=4096,
    requests_per_connection=6,
)

METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"get"])
WISHES = st.sampled_from([b"pass", b"reject", b"limit", b"drop", b"tarpit", b"delay", b"allow"])
FIELDS = st.sampled_from([
    b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"Accept: text/html\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Content-Length: 3\r\nContent-Length: 4\r\n", b"X : 1\r\n", b"Host: b\r\n",
])  # fmt: skip
BODIES = st.sampled_from([
    b"\r\n", b"Content-Length: 0\r\n\r\n", b"Content-Length: 5\r\n\r\nhello", b"Content-Length: 4000\r\n\r\n" + b"z" * 4000,
    b"Content-Length: 9\r\n\r\nzz", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nab",
])  # fmt: skip
REQUESTS = st.builds(
    lambda method, version, do, fields, body: (
        b"%b /x HTTP/%b\r\nHost: a.example\r\nX-Do: %b\r\n%b%b" % (method, version, do, fields, body)
    ),
    METHODS, st.sampled_from([b"1.1", b"1.0", b"1.1", b"2.0"]), WISHES, FIELDS, BODIES,
)  # fmt: skip
RESPONSES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"HTTP/1.1 200 OK\r\n\r\nuntil", b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nraw", b"junk\r\n\r\n",
    b"HTTP/1.1 500 No\r\nContent-Length: 10\r\nConnection: close\r\n\r\n12345", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
])  # fmt: skip
PLAIN = st.builds(lambda do: b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Do: %b\r\n\r\n" % do, WISHES)
STEPS = st.one_of(
    st.tuples(st.just("feed"), PLAIN),
    st.tuples(st.just("feed"), st.lists(PLAIN, min_size=1, max_size=3).map(b"".join)),
    st.tuples(st.just("feed"), st.lists(REQUESTS, min_size=1, max_size=4).map(b"".join)),
    st.tuples(st.just("feed"), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("respond"), st.lists(RESPONSES, min_size=1, max_size=2).map(b"".join)),
    st.tuples(st.just("respond"), st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("cut_feed"), st.tuples(REQUESTS, st.integers(1, 200))),
    st.tuples(st.sampled_from(["upstream_closes", "half_close", "vanish", "drain", "connect", "refuse"]), st.none()),
    st.tuples(st.just("pass_time"), st.sampled_from([0.1, 1.0, 3.1, 11.0])),
    st.tuples(st.just("room"), st.booleans()),
)


def take(rig: LaneRig, what: str, value: object) -> None:
    """One step, if it is possible now: transports say nothing after the end, and an upstream only while it is on lease."""
    leased = bool(rig.upstreams) and rig.upstream.leased
    match what, value:
        case "feed", bytes(data):
            if not rig.reading_held:
                rig.feed(data)
        case "cut_feed", (bytes(data), int(place)):
            if not rig.reading_held:
                rig.feed(data[:place] or data)
        case "respond", bytes(data) if leased:
            rig.respond(data)
        case "upstream_closes", _ if leased:
            rig.upstream_closes()
        case "half_close", _:
            rig.half_close()
        case "vanish", _:
            rig.vanish()
            rig.end = rig.end or "vanished"
        case "drain", _:
            rig.drain()
        case "connect", _ if rig.leases:
            rig.connect()
        case "refuse", _ if rig.leases:
            rig.refuse_to_connect()
        case "room", bool(room):
            rig.dripper.room = room
        case "pass_time", float(seconds):
            rig.pass_time(seconds)


def ended(rig: LaneRig) -> bool:
    return bool(rig.end)


@settings(max_examples=examples(250), deadline=None)
@given(steps=st.lists(STEPS, max_size=25), connects=st.booleans())
def test_whatever_happens_the_lane_keeps_its_promises(steps: list[tuple[str, object]], *, connects: bool) -> None:
    rig = LaneRig(BOUNDS, connects=connects)
    checker = rig.checker
    assert isinstance(checker, HeaderChecker)
    for what, value in steps:
        if rig.end:
            break
        take(rig, what, value)
        layer = rig.layer
        assert rig.events.errors == []
        assert (layer._outbox.commands, layer._outbox.ready) == ([], [])
        assert layer._codec._parts == []
        assert len(layer._pipeline._backlog) <= PARSED_AT_ONCE // 20
        assert len(layer._pipeline._unparsed) <= 20_000
        assert rig.services.under_way.delayed in (0, 1)
        assert sum(upstream.leased for upstream in rig.upstreams) <= 1
        waiting = rig.leases or rig.end
        assert waiting or rig.link.due < inf, "somebody waits for ever"
    if not rig.end:
        for _ in range(20):
            rig.connects = True
            while rig.leases:
                rig.connect()
            rig.pass_time(30.0)
            if ended(rig):
                break
        assert ended(rig), f"still {rig.layer._state} after ten minutes of silence"
    if rig.end == "vanished":
        assert rig.layer._state is State.CLOSED
    under_way = rig.services.under_way
    assert (under_way.delayed, under_way.total, under_way.networks) == (0, 0, 0)
    assert not any(upstream.leased for upstream in rig.upstreams)
    assert len(checker.settled) == len(checker.requests)
    assert rig.events.errors == []


@settings(max_examples=examples(150), deadline=None)
@given(data=st.lists(REQUESTS, min_size=1, max_size=5).map(b"".join), cuts=st.lists(st.integers(1, 2000), max_size=8))
def test_however_a_stream_is_cut_the_same_comes_out(data: bytes, cuts: list[int]) -> None:
    outcomes = []
    for places in ([], sorted({cut for cut in cuts if cut < len(data)}), range(1, len(data))):
        rig = LaneRig(BOUNDS)
        start = 0
        for place in [*places, len(data)]:
            if rig.end:
                break
            rig.feed(data[start:place])
            start = place
            answer(rig)
        checker = rig.checker
        assert isinstance(checker, HeaderChecker)
        got = [(request.method, request.target) for request in checker.requests]
        outcomes.append((got, [served for served in checker.served if served[1] not in REQUEST_FAULTS]))
    assert outcomes[0][0] == outcomes[1][0] == outcomes[2][0]


def answer(rig: LaneRig) -> None:
    """Let time pass for what is delayed, and the upstream answer what is whole, until there is nothing left to do."""
    while not ended(rig):
        if rig.services.under_way.delayed:
            rig.pass_time(0.06)
        elif rig.upstreams and rig.upstream.leased and rig.layer._pipeline.is_whole:
            checker = rig.checker
            assert isinstance(checker, HeaderChecker)
            body = b"" if checker.requests[-1].method == b"HEAD" else b"hi"
            rig.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
        else:
            return
