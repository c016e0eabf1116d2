"""Tarpits: clients that are answered a few bytes at a time, and what holding them may cost.

A held client is one small protocol object on its transport; everything that read and judged the request has been let go. Its
budget is TarpitBudget: sockets in all and per client network, seconds, bytes. Knows nothing of HTTP but the bytes it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

from proxyguard.adapters.mitmproxy.timers import UNPLACED, TimerWheel
from proxyguard.core.decision import Tarpit
from proxyguard.core.shares import Shares
from proxyguard.core.tarpit_budget import TarpitBudget

DRIPS_PER_SECOND: Final = 1000
"""Writes a second over all held clients: about one per cent of a core. With more clients each waits longer for its bytes."""

DISCARDED_BYTES: Final = 64 * 1024
"""What a held client may go on sending before it is cut; reading on is how we notice that it left."""


BIN_BYTES: Final = 4096
"""Where it goes, all of it in the same place."""


class Encryptor(Protocol):
    """Turns plain bytes into those of an established TLS connection."""

    def __call__(self, data: bytes, /) -> bytes: ...


class TarpitConnection(asyncio.BufferedProtocol):
    """One held client. Buffered as the driver is: uvloop would keep the driver's methods if this had no such ones."""

    __slots__ = (
        "_bytes_left", "_discarded", "_drip_bytes", "_drip_seconds", "_dripper", "_encryptor", "_network", "_offset",
        "_on_gone", "_transport", "_until", "deadline", "placed_at", "since",
    )  # fmt: skip

    def __init__(
        self,
        dripper: Dripper,
        transport: asyncio.Transport,
        network: str,
        tarpit: Tarpit,
        now: float,
        encryptor: Encryptor | None,
        on_gone: Callable[[], None],
    ) -> None:
        self._dripper = dripper
        self._transport = transport
        self._network = network
        self._encryptor = encryptor
        self._on_gone = on_gone
        self.since = now
        self._until = now + min(tarpit.hold_seconds, dripper.budget.hold_seconds)
        self._bytes_left = dripper.budget.bytes_per_connection
        self._drip_bytes = max(1, tarpit.drip_bytes)
        self._drip_seconds = max(0.05, tarpit.drip_seconds)
        self._offset = 0
        self._discarded = 0
        self.deadline = min(now + self._drip_seconds, self._until)
        self.placed_at = UNPLACED

    def on_deadline(self, now: float) -> None:
        transport = self._transport
        if now >= self._until or self._bytes_left <= 0 or transport.is_closing():
            self.release()
            return
        if transport.get_write_buffer_size() == 0:
            data = self._dripper.text(self._offset, min(self._drip_bytes, self._bytes_left))
            self._offset += len(data)
            self._bytes_left -= len(data)
            transport.write(data if self._encryptor is None else self._encryptor(data))
        self.deadline = min(now + self._dripper.interval(self._drip_seconds), self._until)

    def release(self) -> None:
        """Let the client go: close, and forget what it has not taken."""
        self.deadline = inf
        transport = self._transport
        if transport.get_write_buffer_size():
            transport.abort()
        else:
            transport.close()

    def get_buffer(self, _: int) -> bytearray:
        return self._dripper.bin

    def buffer_updated(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DISCARDED_BYTES:
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self.deadline = inf
        self._dripper.forget(self)
        self._on_gone()

    @property
    def network(self) -> str:
        return self._network


class Dripper:
    """All held clients of a worker."""

    def __init__(
        self, budget: TarpitBudget, text: bytes, wheel: TimerWheel, clock: Callable[[], float], on_count: Callable[[int], None]
    ) -> None:
        self.budget = budget
        self.bin = bytearray(BIN_BYTES)
        self._text = text
        self._wheel = wheel
        self._clock = clock
        self._on_count = on_count
        self._held: set[TarpitConnection] = set()
        self._per_network = Shares()
        self._seconds = 0.0
        self._began = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self._held)

    def seconds(self) -> float:
        """How long clients have been held in all, those included that are held now; it never falls."""
        return self._seconds + len(self._held) * self._clock() - self._began

    def has_room(self, network: str) -> bool:
        """Whether one more client of this network may be held."""
        is_free = len(self._held) < self.budget.connections and not self._closed
        return is_free and self._per_network.of(network) < self.budget.per_network

    def hold(
        self,
        transport: asyncio.Transport,
        head: bytes,
        tarpit: Tarpit,
        network: str,
        *,
        encryptor: Encryptor | None = None,
        on_gone: Callable[[], None],
    ) -> None:
        """Take a client over from whatever served it. `head` is sent at once; `on_gone` is called when the connection is lost."""
        drip = TarpitConnection(self, transport, network, tarpit, self._clock(), encryptor, on_gone)
        transport.set_protocol(drip)
        transport.resume_reading()
        transport.write(head if encryptor is None else encryptor(head))
        self._held.add(drip)
        self._began += drip.since
        self._per_network.add(network)
        self._wheel.watch(drip)
        self._on_count(len(self._held))

    def forget(self, drip: TarpitConnection) -> None:
        """Free what a client that left was counted in."""
        self._wheel.forget(drip)
        if drip not in self._held:
            return
        self._held.remove(drip)
        self._seconds += self._clock() - drip.since
        self._began = self._began - drip.since if self._held else 0.0
        self._per_network.take(drip.network)
        self._on_count(len(self._held))

    def release_all(self) -> None:
        """Let every held client go."""
        for drip in tuple(self._held):
            drip.release()

    def close(self) -> None:
        """Let every held client go, and hold no more: a drain would wait for them."""
        self._closed = True
        self.release_all()

    def interval(self, wished_seconds: float) -> float:
        """How long a client waits for its next bytes while so many are held."""
        return max(wished_seconds, len(self._held) / DRIPS_PER_SECOND)

    def text(self, offset: int, count: int) -> bytes:
        """`count` bytes of the endless page, from `offset` on."""
        start = offset % len(self._text)
        piece = self._text[start : start + count]
        while len(piece) < count:
            piece += self._text[: count - len(piece)]
        return piece
