"""The protocol between the workers of one machine and their store: frames of msgpack behind a four-byte length.

A worker sends Hello and receives Welcome; then Calls are answered by Outcomes in order, and News and Sighted travel both
ways. Both sides are the same release of this program: what does not decode ends the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from proxyguard.limits.charge import Owner, PackedUsage
from proxyguard.limits.stores.codec import PackedBan, PackedChange, PackedLimit
from proxyguard.limits.stores.store import StoreUnavailable

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""Ten thousand calls of a few kilobytes; a length above it is not one of ours."""

LENGTH_BYTES: Final = 4


class Hello(msgspec.Struct, tag="hello", array_like=True, frozen=True):
    """What the worker knows: up to which `sequence` of news of which life (`generation`) of the store; -1: not all bans."""

    generation: str
    sequence: int


class Welcome(msgspec.Struct, tag="welcome", array_like=True, frozen=True):
    """`whole`: all bans and notes follow, and bans not among them are over; else only the news since."""

    generation: str
    whole: bool


class Calls(msgspec.Struct, tag="calls", array_like=True, frozen=True):
    """Charges: (now, ban keys, charges, owner), a charge being (key, number of the limit, cost, stops, owed).

    `limits` gives numbers to limits, for the rest of the connection.
    """

    limits: list[tuple[int, PackedLimit]]
    calls: list[tuple[float, list[str], list[tuple[str, int, float, bool, bool]], Owner]]


class Outcomes(msgspec.Struct, tag="outcomes", array_like=True, frozen=True):
    """One (ban, usages) per call, in order."""

    outcomes: list[tuple[PackedBan | None, list[PackedUsage]]]


class News(msgspec.Struct, tag="news", array_like=True, frozen=True):
    """Bans made or lifted, and notes. From the store: `sequence` is that of the last, `complete` ends what a Welcome began."""

    news: list[PackedChange]
    sequence: int = 0
    complete: bool = False


class Sighted(msgspec.Struct, tag="sighted", array_like=True, frozen=True):
    """A message of `limits.sightings`: from a worker, and then from the store to all others."""

    message: bytes


FromWorker = Hello | Calls | News | Sighted
FromStore = Welcome | Outcomes | News | Sighted

_encoder = msgspec.msgpack.Encoder()
decode_from_worker = msgspec.msgpack.Decoder[FromWorker](FromWorker).decode
decode_from_store = msgspec.msgpack.Decoder[FromStore](FromStore).decode


def frame(message: object) -> bytes:
    """A message as bytes, with its length before it."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class MessageReader:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[bytes]:
        """The frames that are complete now. Raises StoreUnavailable for a length that is not one of ours."""
        buffer = self._buffer
        if not buffer and int.from_bytes(data[:LENGTH_BYTES], "big") == len(data) - LENGTH_BYTES:
            return (data[LENGTH_BYTES:],)  # one frame, whole: as nearly always
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= LENGTH_BYTES:
            end = start + LENGTH_BYTES + int.from_bytes(buffer[start : start + LENGTH_BYTES], "big")
            if end - start > MAX_FRAME_BYTES:
                raise StoreUnavailable(f"a frame of {end - start} bytes")
            if len(buffer) < end:
                break
            frames.append(bytes(buffer[start + LENGTH_BYTES : end]))
            start = end
        if start:
            del buffer[:start]
        return frames
