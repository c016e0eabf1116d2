"""How bytes are taken from a socket: in pieces of one size, into one buffer of the worker, and not too many at a stretch.

Left alone, libuv reads up to 256 KB at a time, and 32 times from one socket before it looks at the next: a few large
downloads would make everybody else wait, and a client that stalls would hold that much more.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Final

READ_BYTES: Final = 64 * 1024

HIGH_WATER_BYTES: Final = 32 * 1024
"""Enough to keep a socket busy, as the kernel holds more; every client that stalls costs this and one read."""

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 256 * 1024
"""After the last answer: how long, at a time, and how much is still read and thrown away of a client that may be sending. What
comes for a closed socket has the kernel reset it and throw away what it has not sent (RFC 9112 section 9.6)."""

READS_AT_A_STRETCH: Final = 4
"""Full reads from one socket before the others get their turn."""


RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""A `struct linger` (socket(7)) by which closing sends RST."""


class ReadBuffer:
    """Room for one read. Every connection of a worker reads into it, each read being copied out at once."""

    __slots__ = ("view",)

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


class PiecewiseProtocol(asyncio.BufferedProtocol):
    """A protocol whose `on_data` gets what was read. `is_held` says whether reading is stopped for other reasons."""

    __slots__ = ("_buffer", "_full_reads", "_resting", "is_held", "transport")

    transport: asyncio.Transport

    def __init__(self, buffer: ReadBuffer) -> None:
        self._buffer = buffer
        self._full_reads = 0
        self._resting = False
        self.is_held = False

    def get_buffer(self, _: int) -> memoryview:
        return self._buffer.view

    def buffer_updated(self, size: int) -> None:
        if size < READ_BYTES:
            self._full_reads = 0
        else:
            self._full_reads += 1
            if self._full_reads >= READS_AT_A_STRETCH and not self.is_held:
                self._rest()
        self.on_data(self._buffer.view[:size].tobytes())

    def on_data(self, data: bytes) -> None:
        """Bytes that came."""
        raise NotImplementedError

    def hold_reading(self, *, held: bool) -> None:
        """Stop taking bytes, or go on."""
        if held is self.is_held:
            return
        self.is_held = held
        if not self._resting and not self.transport.is_closing():
            if held:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _rest(self) -> None:
        self._full_reads = 0
        self._resting = True
        self.transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        if not self.is_held and not self.transport.is_closing():
            self.transport.resume_reading()


def unsent_bytes(transport: asyncio.Transport) -> int:
    """What was written to a transport and has not reached the other side's system. A system call: not for every write.

    The transport alone would not tell: it is asked for more only when a third of what the kernel holds, which may be megabytes,
    has gone, and that takes a slow client minutes.
    """
    size = transport.get_write_buffer_size()
    try:
        waiting = ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError, AttributeError):  # closed meanwhile (its number is -1 then), or no socket of the system's
        return size
    return size + int.from_bytes(waiting, sys.byteorder)


def cut(transport: asyncio.Transport, *, is_error: bool = True) -> None:
    """Close a connection now. `is_error`: the other side sees a reset, and not an end, as a body may run until the close; the
    kernel throws away what it has not sent. A Unix socket knows no resets."""
    opened = transport.get_extra_info("socket") if is_error else None
    if opened is not None and opened.fileno() >= 0:  # the loop may have closed it and not told yet
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()


def high_water(buffer_bytes: int) -> int:
    """How much may wait to be written before reading from the other side stops, such that one more read still fits."""
    return max(READ_BYTES // 4, min(HIGH_WATER_BYTES, buffer_bytes - READ_BYTES))
