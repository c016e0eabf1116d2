"""Requests under way are counted in all, by network and by network and site; and they are counted out again."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.adapters.mitmproxy.capacity import Capacity
from proxyguard.adapters.mitmproxy.under_way import UnderWay
from proxyguard.core.address import Address, Network, Prefixes
from proxyguard.core.shares import Shares
from proxyguard.http.trusted_networks import TrustedNetworks

A = Address.parse("192.0.2.1")
NEIGHBOUR = Address.parse("192.0.2.200")
OTHER = Address.parse("198.51.100.1")
SIX = Address.parse("2001:db8:1:2::3")
SIX_NEIGHBOUR = Address.parse("2001:db8:1:ffff::3")
PROXY = Address.parse("10.0.0.1")
TRUSTED = TrustedNetworks((Network.parse("10.0.0.0/8"),))
ROOM = Capacity(
    connections=99, connections_per_network=99, requests=8, requests_per_network=4, requests_per_network_and_site=2,
    delayed=3, delayed_per_network=2, upstream_connections=99, queue=99,
)  # fmt: skip


def counter(*, several_sites: bool = False) -> UnderWay:
    return UnderWay(ROOM, Prefixes(), TRUSTED, several_sites=several_sites)


def test_one_network_has_its_share_and_all_together_theirs() -> None:
    under_way = counter()
    of_site = Shares()
    assert [under_way.enter(client, of_site) for client in (A, NEIGHBOUR, A, A)] == [""] * 4
    assert under_way.enter(NEIGHBOUR, of_site) == "requests_per_network"
    assert [under_way.enter(client, of_site) for client in (SIX, SIX_NEIGHBOUR, OTHER, OTHER)] == [""] * 4
    assert under_way.enter(OTHER, of_site) == "requests"
    under_way.leave(A, of_site)
    assert under_way.enter(OTHER, of_site) == ""
    assert (under_way.total, under_way.networks, len(of_site)) == (8, 3, 0)


def test_what_hangs_at_one_site_leaves_the_client_another() -> None:
    under_way = counter(several_sites=True)
    slow = Shares()
    fast = Shares()
    assert [under_way.enter(A, slow) for _ in range(3)] == ["", "", "requests_per_network"]
    assert [under_way.enter(NEIGHBOUR, fast) for _ in range(3)] == ["", "", "requests_per_network"]
    for of_site in (slow, slow, fast, fast):
        under_way.leave(A, of_site)
    assert (len(slow), len(fast), under_way.total, under_way.networks) == (0, 0, 0, 0)


def test_a_proxy_that_names_nobody_speaks_for_many() -> None:
    under_way = counter(several_sites=True)
    assert [under_way.enter(PROXY, Shares()) for _ in range(9)] == [""] * 8 + ["requests"]


def test_delays_have_a_share_of_their_own() -> None:
    under_way = counter()
    assert [under_way.delay(client) for client in (A, NEIGHBOUR, A, OTHER, OTHER)] == [True, True, False, True, False]
    under_way.resume(A)
    assert [under_way.delay(OTHER), under_way.delay(A)] == [True, False]
    assert under_way.delayed == 3


STEPS = st.tuples(
    st.sampled_from(["enter", "leave", "delay", "resume"]), st.sampled_from([A, NEIGHBOUR, OTHER, SIX, PROXY]), st.integers(0, 2)
)


@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=80), several=st.booleans())
def test_in_any_order_the_counts_are_those_of_what_is_there(steps: list[tuple[str, Address, int]], *, several: bool) -> None:
    under_way = counter(several_sites=several)
    sites = [Shares(), Shares(), Shares()]
    inside: list[tuple[Address, int]] = []
    delayed: list[Address] = []
    for what, client, site in steps:
        if what == "enter" and not under_way.enter(client, sites[site]):
            inside.append((client, site))
        elif what == "leave" and inside:
            gone, place = inside.pop(site % len(inside))
            under_way.leave(gone, sites[place])
        elif what == "delay" and under_way.delay(client):
            delayed.append(client)
        elif what == "resume" and delayed:
            under_way.resume(delayed.pop())
        assert under_way.total == len(inside) <= ROOM.requests
        assert under_way.delayed == len(delayed) <= ROOM.delayed
        networks = Counter(each.network_key() for each, _ in inside if each is not PROXY)
        assert max(networks.values(), default=0) <= ROOM.requests_per_network
    for client, site in inside:
        under_way.leave(client, sites[site])
    for client in delayed:
        under_way.resume(client)
    assert (under_way.total, under_way.delayed, under_way.networks, sum(map(len, sites)), len(under_way._delayed)) == (
        0,
        0,
        0,
        0,
        0,
    )
