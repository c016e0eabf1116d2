"""Frames: the same whatever way the bytes are cut, each fault with its code, and what we write read back by another library."""

from __future__ import annotations

import pytest
from hyperframe.frame import Frame as TheirFrame

from proxyguard.http.http2 import frames
from proxyguard.http.http2.errors import ConnectionFault, ErrorCode
from proxyguard.http.http2.frames import PREFACE, Http2FrameReader, field_block, frame

MIXED = b"".join([
    PREFACE,
    frames.settings([(4, 70_000)]),
    frame(frames.HEADERS, frames.END_HEADERS, 1, b"block"),
    frame(frames.DATA, 0, 1, b"some body"),
    frame(frames.DATA, frames.PADDED, 1, b"\x03abc\0\0\0"),
    frame(frames.DATA, frames.PADDED, 1, b"\x02\0\0"),
    frame(frames.DATA, 0, 1, b""),
    frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\1\0"),
    frame(frames.DATA, frames.END_STREAM | frames.PADDED, 1, b"\0end"),
    frame(0xEE, 0xFF, 77, b"an extension"),
    frame(frames.PING, 0, 0, b"12345678"),
])  # fmt: skip


def read(pieces: list[bytes]) -> list[tuple[int, int, int, bytes, int]]:
    """Kind, flags, stream, payload and flow-controlled size; pieces of one DATA frame put together."""
    reader = Http2FrameReader()
    found: list[tuple[int, int, int, bytes, int]] = []
    for piece in pieces:
        for one in reader.feed(piece):
            before = found[-1] if found else None
            if one.kind == frames.DATA and before is not None and before[0] == frames.DATA and not before[1]:
                found[-1] = (0, one.flags, one.stream, before[3] + one.payload, before[4] + one.size)
            else:
                found.append((one.kind, one.flags, one.stream, one.payload, one.size))
    assert not reader.is_inside
    return found


def test_frames_are_read_in_order_and_padding_counts_for_flow_control_only() -> None:
    assert read([MIXED]) == [
        (frames.SETTINGS, 0, 0, b"\0\4\0\1\x11p", 0),
        (frames.HEADERS, 4, 1, b"block", 0),
        (frames.DATA, 0, 1, b"some bodyabc", 9 + 7 + 3),
        (frames.WINDOW_UPDATE, 0, 0, b"\0\0\1\0", 0),
        (frames.DATA, 1, 1, b"end", 4),
        (0xEE, 0xFF, 77, b"an extension", 0),
        (frames.PING, 0, 0, b"12345678", 0),
    ]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10, 50])
def test_frames_do_not_depend_on_the_cut(step: int) -> None:
    whole = read([MIXED])
    assert read([MIXED[place : place + step] for place in range(0, len(MIXED), step)]) == whole
    for place in range(len(MIXED)):
        assert read([MIXED[:place], MIXED[place:]]) == whole


def test_body_bytes_are_passed_on_before_their_frame_is_complete() -> None:
    reader = Http2FrameReader()
    list(reader.feed(PREFACE))
    (piece,) = reader.feed(frame(frames.DATA, frames.END_STREAM, 1, b"z" * 1000)[:100])
    assert (piece.payload, piece.flags, piece.size) == (b"z" * 91, 0, 91)
    assert not reader.is_inside
    assert reader._held == b""


FAULTS = [
    ("another-preface", b"GET / HTTP/1.1\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    ("too-large", PREFACE + b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR),
    ("huge", PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR),
    ("data-on-connection", PREFACE + frame(frames.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    ("headers-on-connection", PREFACE + frame(frames.HEADERS, 4, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    ("reset-on-connection", PREFACE + frame(frames.RST_STREAM, 0, 0, b"abcd"), ErrorCode.PROTOCOL_ERROR),
    ("settings-on-stream", PREFACE + frame(frames.SETTINGS, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
    ("ping-on-stream", PREFACE + frame(frames.PING, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),
    ("goaway-on-stream", PREFACE + frame(frames.GOAWAY, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),
    ("short-ping", PREFACE + frame(frames.PING, 0, 0, b"1234567"), ErrorCode.FRAME_SIZE_ERROR),
    ("short-reset", PREFACE + frame(frames.RST_STREAM, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
    ("short-priority", PREFACE + frame(frames.PRIORITY, 0, 1, b"abcd"), ErrorCode.FRAME_SIZE_ERROR),
    ("short-window-update", PREFACE + frame(frames.WINDOW_UPDATE, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
    ("short-goaway", PREFACE + frame(frames.GOAWAY, 0, 0, b"1234567"), ErrorCode.FRAME_SIZE_ERROR),
    ("odd-settings", PREFACE + frame(frames.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
    ("full-settings-ack", PREFACE + frame(frames.SETTINGS, frames.ACK, 0, b"123456"), ErrorCode.FRAME_SIZE_ERROR),
    ("padding-of-nothing", PREFACE + frame(frames.DATA, frames.PADDED, 1, b""), ErrorCode.FRAME_SIZE_ERROR),
    ("padding-too-long", PREFACE + frame(frames.DATA, frames.PADDED, 1, b"\x04abc"), ErrorCode.PROTOCOL_ERROR),
]


@pytest.mark.parametrize(("data", "code"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_frame_that_no_state_allows_ends_the_connection(data: bytes, code: ErrorCode) -> None:
    for pieces in ([data], [data[place : place + 1] for place in range(len(data))]):
        with pytest.raises(ConnectionFault) as caught:
            read(pieces)
        assert caught.value.code is code


@pytest.mark.parametrize(
    ("flags", "payload", "block"),
    [
        (0, b"block", b"block"),
        (frames.PADDED, b"\x02block\0\0", b"block"),
        (frames.HAS_PRIORITY, b"\0\0\0\0\0block", b"block"),
        (frames.PADDED | frames.HAS_PRIORITY, b"\x01\0\0\0\0\0block\0", b"block"),
        (frames.PADDED, b"\x00", b""),
        (frames.HAS_PRIORITY, b"\0\0\0\0\0", b""),
        (frames.PADDED, b"", ErrorCode.FRAME_SIZE_ERROR),
        (frames.PADDED, b"\x06block", ErrorCode.PROTOCOL_ERROR),
        (frames.HAS_PRIORITY, b"\0\0\0\0", ErrorCode.PROTOCOL_ERROR),
        (frames.PADDED | frames.HAS_PRIORITY, b"\x01\0\0\0\0\0", ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_padding_and_priority_are_no_part_of_a_field_block(flags: int, payload: bytes, block: bytes | ErrorCode) -> None:
    given = frames.Frame(frames.HEADERS, flags, 1, payload)
    if isinstance(block, bytes):
        assert field_block(given) == block
    else:
        with pytest.raises(ConnectionFault) as caught:
            field_block(given)
        assert caught.value.code is block


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        (frames.ENABLE_PUSH, 2, ErrorCode.PROTOCOL_ERROR),
        (frames.INITIAL_WINDOW_SIZE, 1 << 31, ErrorCode.FLOW_CONTROL_ERROR),
        (frames.MAX_FRAME_SIZE, 16_383, ErrorCode.PROTOCOL_ERROR),
        (frames.MAX_FRAME_SIZE, 1 << 24, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_settings_that_the_protocol_forbids_end_the_connection(name: int, value: int, code: ErrorCode) -> None:
    with pytest.raises(ConnectionFault) as caught:
        frames.read_settings(frames.settings([(name, value)])[9:])
    assert caught.value.code is code


WRITTEN = [
    (frames.settings([(3, 100), (4, 5)]), "SettingsFrame"),
    (frames.SETTINGS_ACK, "SettingsFrame"),
    (frames.ping_ack(b"12345678"), "PingFrame"),
    (frames.window_update(3, 1000), "WindowUpdateFrame"),
    (frames.rst_stream(3, ErrorCode.CANCEL), "RstStreamFrame"),
    (frames.goaway(3, ErrorCode.ENHANCE_YOUR_CALM), "GoAwayFrame"),
    (frames.headers(3, b"block", end=True), "HeadersFrame"),
    (frames.data_header(3, 4, end=True) + b"body", "DataFrame"),
]


@pytest.mark.parametrize(("data", "name"), WRITTEN, ids=[name for _, name in WRITTEN])
def test_what_we_write_is_what_others_read(data: bytes, name: str) -> None:
    theirs, length = TheirFrame.parse_frame_header(memoryview(data[:9]))
    theirs.parse_body(memoryview(data[9:]))
    assert (type(theirs).__name__, length) == (name, len(data) - 9)


def test_a_large_field_block_goes_on_in_continuations() -> None:
    block = bytes(range(256)) * 200
    found = list(Http2FrameReader().feed(PREFACE + frames.headers(5, block, end=True)))
    assert [(one.kind, one.flags) for one in found] == [(1, 1), (9, 0), (9, 0), (9, 4)]
    assert b"".join(one.payload for one in found) == block
