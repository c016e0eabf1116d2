"""The upstreams of one site: whose turn it is, and which are left out. Knows nothing of how connections are opened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from proxyguard.adapters.mitmproxy.upstream.addresses import UpstreamAddresses
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamTarget
from proxyguard.adapters.mitmproxy.upstream.slots import SiteSlots, unbounded
from proxyguard.core.settings import Upstream

SHOWN: Final = 4
"""Upstreams of a site that a record names."""


class UpstreamGroup:
    """All addresses of a site's upstreams, in turn, and the slots that the site has for connections to them.

    `targets` is empty until the first name was looked up.
    """

    __slots__ = ("_next", "_upstreams", "slots", "targets")

    def __init__(self, upstreams: Sequence[UpstreamAddresses], slots: SiteSlots | None = None) -> None:
        self._upstreams = tuple(upstreams)
        self.slots = slots or unbounded()
        self._next = 0
        self.targets: tuple[UpstreamTarget, ...] = ()
        self.regroup()

    def regroup(self) -> None:
        """Take over the addresses of all upstreams; the same address under two names counts once for each."""
        self.targets = tuple(target for upstream in self._upstreams for target in upstream.targets)

    @property
    def unknown(self) -> list[str]:
        """Upstreams whose names stand for no address yet."""
        return [upstream.name for upstream in self._upstreams if not upstream.targets]

    def refresh(self) -> list[asyncio.Task[None]]:
        """Have names looked up whose addresses are old; the look-ups under way."""
        lookups = [upstream.refresh() for upstream in self._upstreams]
        return [lookup for lookup in lookups if lookup is not None]

    def candidates(self) -> tuple[UpstreamTarget, ...]:
        """All that are healthy, or all when none is, beginning with whose turn it is; those slow to connect come last."""
        order = self.targets[self._next :] + self.targets[: self._next]
        healthy = tuple(target for target in order if not target.is_out) or order
        swift = tuple(target for target in healthy if not target.is_slow)
        return healthy if len(swift) == len(healthy) else (*swift, *(target for target in healthy if target.is_slow))

    def turn(self) -> UpstreamTarget | None:
        """Pass the turn on; returns whose it is now, None while no address is known."""
        count = len(self.targets)
        if count <= 1:
            return self.targets[0] if count else None
        self._next = (self._next + 1) % count
        return self.candidates()[0]


def named(upstreams: Sequence[Upstream]) -> str:
    """All upstreams of a site in one text, for records."""
    more = f" and {len(upstreams) - SHOWN} more" if len(upstreams) > SHOWN else ""
    return ", ".join(map(str, upstreams[:SHOWN])) + more


def authority_of(upstream: Upstream) -> bytes:
    """The Host of an upstream itself."""
    if upstream.path:
        return upstream.host.encode("ascii")
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    return f"{host}:{upstream.port}".encode("idna" if not host.isascii() else "ascii")
