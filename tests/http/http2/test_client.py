"""The client's side of HTTP/2: what a server may send and hold up, and that nothing it sends ends in another way than a fault."""

from __future__ import annotations

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadResponse
from proxyguard.http.http1.heads import Body, End, ResponseHead
from proxyguard.http.http2 import frames
from proxyguard.http.http2.client import Http2Client, RequestStream
from proxyguard.http.http2.errors import ErrorCode, Http2Fault
from proxyguard.http.http2.stream_response import StreamResponse
from tests.examples import examples

BOUNDS = Bounds(buffer_bytes=65_536)
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
SETTLED = frames.settings(())
OK = Encoder().encode([(":status", "200"), ("x", "y")])


class Connection:
    """A client that has been settled, and what it sends."""

    def __init__(self) -> None:
        self.client = Http2Client(BOUNDS, 0.0)
        self.client.greet()
        self.client.feed(SETTLED, 0.0)

    def ask(self, *, whole: bool = True) -> RequestStream:
        response = StreamResponse(BOUNDS)
        response.begin(b"GET")
        stream = self.client.begin(GET, response, None)
        if whole:
            self.client.sender.end(stream.out)
        return stream

    def sent(self) -> list[frames.Frame]:
        """The frames that went out since the last call."""
        self.client.pump(0.0)
        data = b"".join(self.client.sender.parts).removeprefix(frames.PREFACE)
        self.client.sender.parts.clear()
        return list(frames.Http2FrameReader(is_server=False).feed(data))


def kinds(connection: Connection) -> list[int]:
    return [frame.kind for frame in connection.sent()]


def test_streams_are_numbered_as_they_go_out_and_one_that_never_went_out_is_not_reset() -> None:
    connection = Connection()
    connection.sent()
    first, second = connection.ask(), connection.ask()
    assert connection.client.end(first, ErrorCode.CANCEL) is False
    assert [(frame.kind, frame.stream) for frame in connection.sent()] == [(frames.HEADERS, 3)]
    assert connection.client.end(second, ErrorCode.CANCEL) is True
    assert [(frame.kind, frame.stream) for frame in connection.sent()] == [(frames.RST_STREAM, 3)]
    assert connection.client.streams == {}


def test_a_stream_that_is_not_given_back_may_fill_its_window_and_no_more() -> None:
    connection = Connection()
    stream = connection.ask()
    client = connection.client
    client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, OK), 0.0)
    size = stream.window.size
    for start in range(0, size, 16_384):
        client.feed(frames.frame(frames.DATA, 0, 1, b"x" * min(16_384, size - start)), 0.0)
    assert stream.received == size
    connection.sent()
    client.give_back(stream)
    assert [(frame.kind, frame.stream, frames.number(frame.payload)) for frame in connection.sent()] == [
        (frames.WINDOW_UPDATE, 1, size)
    ]
    for _ in range(size // 16_384 + 1):
        client.feed(frames.frame(frames.DATA, 0, 1, b"x" * 16_384), 0.0)
    with pytest.raises(BadResponse, match="unasked"):
        stream.response.feed(b"")
    assert client.streams == {}


def test_what_a_stream_holds_takes_nothing_from_the_others() -> None:
    connection = Connection()
    held, other = connection.ask(), connection.ask()
    client = connection.client
    for number in (1, 3):
        client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS, number, OK.replace(b"\x40", b"\x00")), 0.0)
    for _ in range(4):
        client.feed(frames.frame(frames.DATA, 0, 1, b"x" * 16_384), 0.0)
    for _ in range(1000):
        client.feed(frames.frame(frames.DATA, 0, 3, b"x" * 16_384), 0.0)
        client.give_back(other)
    assert held.received == 65_536
    assert sum(len(event.data) for event in other.response.feed(b"") if isinstance(event, Body)) == 16_384_000


def test_a_goodbye_refuses_what_was_not_looked_at_and_lets_the_rest_go_on() -> None:
    connection = Connection()
    taken, left = connection.ask(), connection.ask()
    connection.sent()
    connection.client.feed(frames.goaway(1, ErrorCode.NO_ERROR), 0.0)
    assert (taken.is_refused, left.is_refused, connection.client.takes_requests) == (False, True, False)
    connection.client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, OK), 0.0)
    assert [type(event) for event in taken.response.feed(b"")] == [ResponseHead, End]


def test_late_frames_of_a_stream_that_was_reset_are_read_and_forgotten() -> None:
    connection = Connection()
    first = connection.ask()
    connection.sent()
    connection.client.end(first, ErrorCode.CANCEL)
    encoder = Encoder()
    late = encoder.encode([(":status", "200"), ("x-table", "kept")])
    connection.client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, late), 0.0)
    connection.client.feed(frames.frame(frames.DATA, frames.END_STREAM, 1, b"x"), 0.0)
    second = connection.ask()
    again = encoder.encode([(":status", "200"), ("x-table", "kept")])
    connection.client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS, second.out.number, again), 0.0)
    head = second.response.feed(b"")[0]
    assert isinstance(head, ResponseHead)
    assert head.headers == ((b"x-table", b"kept"),)


def test_pieces_on_their_way_when_a_request_is_taken_back_do_not_cost_the_others_their_connection() -> None:
    connection = Connection()
    taken_back, other = connection.ask(), connection.ask()
    connection.sent()
    connection.client.end(taken_back, ErrorCode.CANCEL)
    connection.client.feed(frames.frame(frames.DATA, 0, 1, b"x" * 6) * 10_000, 0.0)
    connection.client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 3, OK), 0.0)
    assert other.response.is_whole


def test_the_secrets_of_a_request_are_in_no_table() -> None:
    connection = Connection()
    secret = (b"authorization", b"Bearer 1234567890"), (b"cookie", b"id=1234567890"), (b":path", b"/1234567890")
    for _ in range(2):
        response = StreamResponse(BOUNDS)
        response.begin(b"GET")
        connection.client.begin([*GET[:3], secret[2], *secret[:2]], response, None)
        text = b"".join(frame.payload for frame in connection.sent() if frame.kind == frames.HEADERS)
        assert text.count(b"1234567890") == 3


FRAMES = st.tuples(
    st.sampled_from([*range(10), 0x20]),
    st.integers(0, 255),
    st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 99]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([OK, OK + OK, b"\x88", b"\0\0\0\1", b"\0\0\0\x07", b"\0" * 8, b"\0\3\0\0\0\0", b"\0\4\0\0\0\0"]),
    ),
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(FRAMES, max_size=30), st.integers(1, 4000))
def test_whatever_a_server_sends_ends_in_a_fault_or_in_events(sent: list[tuple[int, int, int, bytes]], cut: int) -> None:
    connection = Connection()
    streams = [connection.ask(), connection.ask(whole=False)]
    connection.sent()
    client = connection.client
    text = b"".join(frames.frame(kind, flags, stream, payload) for kind, flags, stream, payload in sent)
    try:
        for start in range(0, len(text), cut):
            client.feed(text[start : start + cut], 0.0)
    except Http2Fault:
        pass
    for stream in streams:
        try:
            events = stream.response.feed(b"")
        except BadResponse as bad:
            events = list(bad.events)
        heads = [event for event in events if isinstance(event, ResponseHead) and event.status >= 200]
        assert len(heads) <= 1
        assert sum(isinstance(event, End) for event in events) == stream.response.is_whole
        assert client.streams.get(stream.out.number) in (stream, None)
    client.pump(0.0)
