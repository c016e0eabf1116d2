"""Whose word is taken: the networks of the proxies in front of this one, as one table that every layer asks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from proxyguard.core.address import Address, Network


class TrustedNetworks:
    """Networks as sorted ranges without overlaps, IPv4 and IPv6 in one table."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last, _ in sorted(networks):
            if self._firsts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(last, self._lasts[-1])
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def contains(self, peer: Address) -> bool:
        """Whether a peer is one of the trusted proxies."""
        if not self._firsts:
            return False
        number = peer.number
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]
