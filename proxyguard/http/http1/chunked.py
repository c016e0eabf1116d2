"""The chunked transfer coding (RFC 9112 section 7.1), decoded as it comes, for both parsers.

Extensions are checked for length and characters, and dropped. Holds at most one chunk-size line or one trailer section.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.http.claims import may_be_trailer
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.fields import BARE_LF, read_fields
from proxyguard.http.http1.heads import END, Body, End, RequestEvent, ResponseEvent

MAX_SIZE_LINE: Final = 256
"""Size and extensions with the CRLF; no known client sends extensions at all."""

MAX_CHUNK_BYTES: Final = 1 << 53

OVERHEAD_BYTES: Final = 16 * 1024
"""Chunk-size lines may exceed 16 bytes a chunk plus twice the data by this much in all, else a client makes us read
extensions for nothing (CVE-2023-39326)."""

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e]*)?\r\n")
_PADDED_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
"""Some servers pad the size with spaces; an upstream may."""


class _Place(Enum):
    SIZE = 1
    DATA = 2
    DATA_END = 3
    TRAILER = 4
    DONE = 5


class ChunkedDecoder:
    """Decodes one body: a request's, unless `lenient`, as servers may pad chunk sizes. `max_bytes` bounds it, None does not."""

    __slots__ = (
        "_held", "_left", "_lenient", "_max_bytes", "_max_fields", "_max_trailer", "_overhead", "_place", "_received",
        "_size_line", "trailers",
    )  # fmt: skip

    def __init__(self, max_trailer_bytes: int, max_fields: int, max_bytes: int | None = None, *, lenient: bool = False) -> None:
        self._max_trailer = max_trailer_bytes
        self._max_fields = max_fields
        self._max_bytes = max_bytes
        self._lenient = lenient
        self._received = 0
        self._size_line = _PADDED_SIZE_LINE if lenient else _SIZE_LINE
        self._place = _Place.SIZE
        self._left = 0
        self._overhead = 0
        self._held = bytearray()
        self.trailers: Headers = ()

    @property
    def done(self) -> bool:
        """Whether the last chunk and the trailers have been read."""
        return self._place is _Place.DONE

    def read(self, data: bytes, start: int, events: list[RequestEvent] | list[ResponseEvent]) -> int:
        """Read on from `data[start:]`, appending a Body and, after the last chunk, an End; returns the place after it.

        Raises Malformed. The Body before the fault is among the events of a request only.
        """
        parts: list[bytes] = []
        try:
            start = self.decode(data, start, parts)
        except Malformed:
            if not self._lenient:
                self._take(parts, events)  # it came before the fault, and may be too large before it
            raise
        self._take(parts, events)
        if self.done:
            events.append(End(self.trailers) if self.trailers else END)
        return start

    def _take(self, parts: list[bytes], events: list[RequestEvent] | list[ResponseEvent]) -> None:
        """Append what was decoded. Raises Malformed for the byte that is too much."""
        if parts:
            piece = parts[0] if len(parts) == 1 else b"".join(parts)
            self._received += len(piece)
            if self._max_bytes is not None and self._received > self._max_bytes:
                raise Malformed("body-size")
            events.append(Body(piece))

    def decode(self, data: bytes, start: int, parts: list[bytes]) -> int:
        """Read on from `data[start:]`, appending body bytes to `parts`; returns the place after what was read.

        Stops before the end of `data` only when `done`. Raises Malformed.
        """
        end = len(data)
        while start < end:
            match self._place:
                case _Place.SIZE:
                    start = self._read_size(data, start)
                case _Place.DATA:
                    piece = data[start : start + self._left]
                    parts.append(piece)
                    start += len(piece)
                    self._left -= len(piece)
                    if not self._left:
                        self._place = _Place.DATA_END
                case _Place.DATA_END:
                    start = self._read_data_end(data, start)
                case _Place.TRAILER:
                    start = self._read_trailers(data, start)
                case _Place.DONE:
                    break
        return start

    def _read_size(self, data: bytes, start: int) -> int:
        held = self._held
        stop = data.find(b"\n", start, start + MAX_SIZE_LINE - len(held)) + 1
        if not stop:
            held += data[start : start + MAX_SIZE_LINE]
            if len(held) >= MAX_SIZE_LINE:
                raise Malformed("chunk")
            return len(data)
        line = bytes(held) + data[start:stop] if held else data[start:stop]
        held.clear()
        match = self._size_line.fullmatch(line)
        if match is None:
            raise Malformed("bare-lf" if not line.endswith(b"\r\n") else "chunk")
        size = int(match[1], 16)
        if size > MAX_CHUNK_BYTES:
            raise Malformed("chunk-size")
        self._overhead = max(0, self._overhead + len(line) - 16 - 2 * size)
        if self._overhead > OVERHEAD_BYTES:
            raise Malformed("chunk-overhead")
        self._left = size
        self._place = _Place.DATA if size else _Place.TRAILER
        return stop

    def _read_data_end(self, data: bytes, start: int) -> int:
        wanted = b"\n" if self._held else b"\r\n"
        found = data[start : start + len(wanted)]
        if not wanted.startswith(found):
            raise Malformed("chunk")
        if found == wanted:
            self._held.clear()
            self._place = _Place.SIZE
        else:
            self._held += found
        return start + len(found)

    def _read_trailers(self, data: bytes, start: int) -> int:
        held = self._held
        if not held and data.startswith(b"\r\n", start):
            self._place = _Place.DONE
            return start + 2
        room = self._max_trailer - len(held)
        scanned = len(held)
        before = max(0, scanned - 3)
        held += data[start : start + room]
        if held.startswith(b"\r\n"):
            stop = 2
        else:
            stop = held.find(b"\r\n\r\n", before) + 4
            if stop < 4:
                if BARE_LF.search(held, before) is not None:
                    raise Malformed("bare-lf")
                if len(held) >= self._max_trailer:
                    raise Malformed("trailer-size")
                return len(data)
            section = bytes(held[: stop - 2])
            fields = read_fields(section, 0, len(section))
            if len(fields) > self._max_fields:
                raise Malformed("trailer-size")
            self.trailers = tuple(field for field in fields if may_be_trailer(field[0]))
        held.clear()
        self._place = _Place.DONE
        return start + stop - scanned
