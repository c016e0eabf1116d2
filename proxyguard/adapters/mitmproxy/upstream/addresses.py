"""The addresses of one upstream, each a target of its own: looked up before the first connection, and again now and then.

A name is looked up only while connections are wanted. What it last stood for is kept when a look-up fails. Knows nothing of turns
or health.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamTarget
from proxyguard.core.settings import Upstream

LOOKUP_SECONDS: Final = 5.0
"""How old the addresses of a name may be when a connection is opened; resolvers tell us no TTL."""

UNKNOWN_SECONDS: Final = 0.5
"""Between look-ups of a name that has not stood for any address yet."""

MAX_ADDRESSES: Final = 64
"""Addresses of one name that are used; the others are left alone."""


class UpstreamAddresses:
    """The targets of one upstream. `make` makes the target of an address, `on_change` is called after `targets` changed."""

    def __init__(
        self,
        upstream: Upstream,
        make: Callable[[str], UpstreamTarget],
        on_change: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
    ) -> None:
        self.name = str(upstream)
        self._upstream = upstream
        self._make = make
        self._on_change = on_change
        self._loop = loop
        self._now = now
        self._lookup: asyncio.Task[None] | None = None
        self._looked_up = -inf
        self._is_name = not upstream.path and not _is_address(upstream.host)
        self.targets: tuple[UpstreamTarget, ...] = () if self._is_name else (make(upstream.host),)

    def refresh(self) -> asyncio.Task[None] | None:
        """The look-up under way, begun now if the addresses are old; None when they are fixed or fresh. One runs at a time."""
        age = LOOKUP_SECONDS if self.targets else UNKNOWN_SECONDS
        if self._lookup is None and self._is_name and self._now() >= self._looked_up + age:
            self._lookup = self._loop.create_task(self._look_up())
        return self._lookup

    def stop(self) -> None:
        """Wait for no look-up any more."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _look_up(self) -> None:
        upstream = self._upstream
        try:
            found = await self._loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        finally:
            self._lookup = None
            self._looked_up = self._now()
        names = dict.fromkeys(_host_of(address) for family, _, _, _, address in found if family in _FAMILIES)
        before = {target.address: target for target in self.targets}
        kept = sorted(names, key=lambda name: name not in before)[:MAX_ADDRESSES]  # those that are used remain
        if not kept or set(kept) == before.keys():
            return
        self.targets = tuple(before.pop(name) if name in before else self._make(name) for name in kept)
        for gone in before.values():
            gone.retire()
        self._on_change()


_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host_of(address: tuple[int, bytes] | tuple[str, int] | tuple[str, int, int, int]) -> str:
    """The address as a text to connect to, with its zone if it has one."""
    host = str(address[0])
    zone = address[3] if len(address) == 4 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host
