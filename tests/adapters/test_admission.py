"""Who may connect, and for how long we wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.memory import Trimmer
from proxyguard.core.address import Address, Network, Prefixes
from proxyguard.core.settings import Bounds
from proxyguard.http.trusted_networks import TrustedNetworks

A = Address.parse("192.0.2.1")
NEIGHBOUR = Address.parse("192.0.2.200")
OTHER = Address.parse("198.51.100.1")
PROXY = Address.parse("10.0.0.1")
TRUSTED = TrustedNetworks((Network.parse("10.0.0.0/8"), Network.parse("fd00::/8")))


def admission(connections: int = 10, per_network: int = 3) -> Admission:
    bounds = Bounds(connections=connections, connections_per_network=per_network)
    return Admission(bounds, Prefixes(), TRUSTED, lambda _: True)


def test_connections_are_counted_by_network_and_in_all() -> None:
    door = admission(connections=5)
    assert [door.enter(peer) for peer in (A, NEIGHBOUR, A)] == [None] * 3
    assert door.enter(NEIGHBOUR) == "connections_per_network"
    assert [door.enter(OTHER), door.enter(OTHER)] == [None, None]
    assert door.enter(OTHER) == "connections"
    door.leave(A)
    assert (door.enter(NEIGHBOUR), door.open) == (None, 5)


def test_what_is_counted_in_is_counted_out() -> None:
    door = admission()
    for peer in (A, OTHER, PROXY):
        door.enter(peer)
    for peer in (A, OTHER, PROXY):
        door.leave(peer)
    assert (door.open, len(door._per_network)) == (0, 0)


def test_trusted_proxies_are_neither_counted_by_network_nor_refused() -> None:
    door = admission()
    assert [door.enter(PROXY) for _ in range(10)] == [None] * 10
    assert (door.enter(PROXY), door.is_refused(PROXY), door.is_refused(A)) == ("connections", False, True)
    assert not door.is_refused(Address.parse("fd00::1"))
    assert door.is_refused(Address.parse("fe80::1"))


@pytest.mark.parametrize(("used", "patience"), [(0, 1.0), (75, 1.0), (85, 0.6), (95, 0.2), (99, 0.1), (100, 0.1)])
def test_patience_shrinks_with_the_room(used: int, patience: float) -> None:
    door = admission(connections=100, per_network=1000)
    for _ in range(used):
        door.enter(PROXY)
    assert door.patience == pytest.approx(patience)


class Later:
    """A loop that keeps what is to be called."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_later(self, _: float, callback: Callable[[], None]) -> None:
        self.calls.append(callback)


def test_memory_is_given_back_once_a_crowd_has_left() -> None:
    later, trims = Later(), []
    loop: asyncio.AbstractEventLoop = later  # type: ignore[assignment]  # all that a trimmer asks of a loop
    trimmer = Trimmer(loop, lambda: trims.append(1))
    for is_open in (*range(1001), *range(1000, -1, -1)):
        trimmer.count(is_open)
    assert len(later.calls) == 1
    later.calls.pop()()
    assert trims == [1]
    for is_open in (*range(300), *range(300, -1, -1)):
        trimmer.count(is_open)
    assert later.calls == []
