"""The pace of one request's body: whether it comes fast enough, and how much of it is held before an upstream is asked for.

A body up to the setting is held until it is whole. A longer one goes on as it comes, once as much has come at the rate that is
asked of it while an upstream waits; of a client that is slower more is held first. Knows nothing of the bytes.
"""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy.buffering.budget import Budget
from proxyguard.core.settings import Bounds

SLOW_FACTOR: Final = 16
"""How many times what is held of others is held of a client that is too slow to send to an upstream: 1 MiB by default."""


class RequestBody:
    """One per request with a body that is not whole when the request is let pass. Times are the worker's clock."""

    __slots__ = ("_bounds", "_budget", "_gap", "_held", "_most", "_moved", "_network", "_received", "_since", "_started", "_then")

    def __init__(self, bounds: Bounds, budget: Budget, network: str, most: int, now: float, *, is_talk: bool = False) -> None:
        """`most` is how many bytes are held before an upstream is asked for; 0: none, and no least rate is asked.

        `is_talk`: it is one side of a conversation, where being silent for as long as the upstream may is no fault.
        """
        self._bounds = bounds
        self._gap = bounds.upstream_gap_seconds if is_talk else bounds.body_gap_seconds
        self._budget = budget
        self._network = network
        self._most = most
        self._held = 0
        self._received = 0
        self._started = now
        self._moved = now
        self._since = now
        self._then = 0

    def hold(self, size: int) -> bool:
        """Count bytes that are held; False when there is no room for them."""
        if not self._budget.take(self._network, size):
            return False
        self._held += size
        return True

    def let_go(self) -> None:
        """What was held has gone to the upstream, or is thrown away."""
        self._budget.give(self._network, self._held)
        self._held = 0

    def arrived(self, size: int, now: float) -> None:
        """Take note of bytes of the body."""
        self._received += size
        self._moved = now

    def goes_on(self, now: float) -> bool:
        """Whether so much has come, and at such a rate, that an upstream may get the rest as it comes."""
        if self._received < self._most:
            return False
        fast = self._received >= (now - self._started) * self._bounds.upload_rate
        return fast or self._received >= self._most * SLOW_FACTOR

    def restart(self, now: float) -> None:
        """Time begins anew: what kept the client from sending was not its own doing."""
        self._moved = self._since = now
        self._then = self._received

    @property
    def due(self) -> float:
        """When to look again."""
        return min(self._moved, self._since) + self._gap

    def check(self, rate: int, now: float, *, excused: float = 0.0) -> str:
        """The name of the bound that the client has exceeded, or "". `excused`: until then it could not send."""
        gap = self._gap
        self._moved = max(self._moved, excused)
        if now >= self._moved + gap:
            return "body_gap_seconds"
        if now >= self._since + gap:
            came = self._received - self._then
            if self._most and excused < self._since and came < (now - self._since) * rate:
                return "request_rate" if self._held else "upload_rate"
            self._since = now
            self._then = self._received
        return ""
