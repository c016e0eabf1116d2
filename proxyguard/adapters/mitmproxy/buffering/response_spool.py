"""What a client has not taken of one response: in memory first, then in blocks of the worker's file.

First in, first out. Takes whatever comes, and says when it is full: then no more is to be read from the upstream.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from proxyguard.adapters.mitmproxy.buffering.buffers import Buffers
from proxyguard.adapters.mitmproxy.buffering.spool_file import BLOCK_BYTES
from proxyguard.core.request import Headers, Request
from proxyguard.core.settings import Buffering
from proxyguard.http.http1.heads import ResponseHead

PIECE_BYTES: Final = 64 * 1024
"""What is given out at once; one read of a socket is as much."""

STREAMS: Final = (b"text/event-stream", b"application/grpc")
"""Beginnings of content types whose messages are to arrive one by one."""


def is_streamed(buffering: Buffering, request: Request, response: ResponseHead | None) -> bool:
    """Whether a response is passed on no faster than its client takes it: by setting, by the site's word, or as it never ends."""
    if not buffering.response_bytes or response is None or buffering.excepts(request.path):
        return True
    for name, value in response.headers:
        match name.lower():
            case b"content-type" if value.lower().startswith(STREAMS):
                return True
            case b"x-accel-buffering" if value.lower() == b"no":
                return True
            case _:
                pass
    return False


class ResponseSpool:
    """One per response that its client falls behind with. `trailers` are set once the response is whole, None before.

    In order: `_memory`, of at most `response_bytes`, then blocks, then `_tail`, which becomes the next block. `is_full`: the tail
    is as long as a block and has no room in the file; at most one read of the upstream's socket comes on top.
    """

    __slots__ = (
        "_blocks", "_buffers", "_memory", "_most_blocks", "_most_in_memory", "_network", "_tail", "is_full", "is_held",
        "trailers",
    )  # fmt: skip

    def __init__(self, buffers: Buffers, buffering: Buffering, network: str) -> None:
        self._buffers = buffers
        self._most_in_memory = buffering.response_bytes
        self._most_blocks = buffering.file_bytes // BLOCK_BYTES
        self._network = network
        self._memory = bytearray()
        self._blocks: deque[int] = deque()
        self._tail = bytearray()
        self.is_full = False
        self.is_held = False
        """Whether the upstream is not read because of this."""
        self.trailers: Headers | None = None

    @property
    def is_empty(self) -> bool:
        """Whether everything was taken."""
        return not (self._memory or self._blocks or self._tail)

    def add(self, data: bytes) -> None:
        """More of the response."""
        is_first = not self._blocks and not self._tail
        if (
            is_first
            and len(self._memory) + len(data) <= self._most_in_memory
            and self._buffers.memory.take(self._network, len(data))
        ):
            self._memory += data
            return
        self._tail += data
        self._store()

    def hold(self, data: bytes) -> bool:
        """All of a response, which is in memory already; False when neither there nor in the file is room for it."""
        if self._buffers.memory.take(self._network, len(data)):
            self._memory += data
            return True
        self.add(data)
        return not self.is_full

    def take(self) -> bytes:
        """The next piece, empty when there is none. Raises OSError when the file gives nothing back."""
        if self._memory:
            piece = bytes(self._memory[:PIECE_BYTES])
            del self._memory[: len(piece)]
            self._buffers.memory.give(self._network, len(piece))
        elif self._blocks:
            number = self._blocks[0]
            piece = self._buffers.file.read(number, BLOCK_BYTES)
            self._blocks.popleft()
            self._release(number)
            self._store()
        else:
            piece = bytes(self._tail[:PIECE_BYTES])
            del self._tail[: len(piece)]
            self._store()
        return piece

    def close(self) -> None:
        """Forget what was not taken."""
        self._buffers.memory.give(self._network, len(self._memory))
        self._memory.clear()
        self._tail.clear()
        while self._blocks:
            self._release(self._blocks.popleft())

    def _store(self) -> None:
        """Write whole blocks of the tail to the file, as far as there is room."""
        tail = self._tail
        while len(tail) >= BLOCK_BYTES and len(self._blocks) < self._most_blocks:
            if not self._buffers.disk.take(self._network, BLOCK_BYTES):
                break
            number = self._buffers.file.write(bytes(tail[:BLOCK_BYTES]))
            if number < 0:
                self._buffers.disk.give(self._network, BLOCK_BYTES)
                break
            self._blocks.append(number)
            del tail[:BLOCK_BYTES]
        self.is_full = len(tail) >= BLOCK_BYTES

    def _release(self, number: int) -> None:
        self._buffers.file.release(number)
        self._buffers.disk.give(self._network, BLOCK_BYTES)
