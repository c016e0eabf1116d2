"""Flattened networks answer as asking each network would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.address import MAX_NUMBER, V4_BASE, Network, address_number
from proxyguard.policy.compile.network_table import NetworkTable

small_ranges = st.tuples(st.integers(0, 40), st.integers(0, 12), st.integers(0, 5))


@given(st.lists(small_ranges, max_size=25), st.sampled_from([0, V4_BASE, V4_BASE + (1 << 32), MAX_NUMBER - 60]))
def test_every_address_has_the_marks_of_the_networks_around_it(ranges: list[tuple[int, int, int]], base: int) -> None:
    networks = [(Network(base + first, base + first + length, ""), mark) for first, length, mark in ranges]
    table = NetworkTable(networks)
    for offset in range(60):
        expected = {mark for network, mark in networks if base + offset in network}
        found = table.find(base + offset)
        assert set(found) == expected
        assert len(found) == len(expected)


def test_both_families_and_their_ends() -> None:
    texts = ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.255", "::/0", "2001:db8::/32"]
    table = NetworkTable((Network.parse(text), mark) for mark, text in enumerate(texts))

    def marks(address: str) -> set[int]:
        return set(table.find(address_number(address)))

    assert marks("192.0.2.255") == {0, 1, 2}
    assert marks("192.0.3.0") == {0}
    assert marks("0.0.0.0") == marks("255.255.255.255") == {0}
    assert marks("::ffff:192.0.3.0") == {0}
    assert marks("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff") == {3, 4}
    assert marks("2001:db9::") == {3}
    assert marks("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == {3}
    assert marks("::") == marks("::fffe:ffff:ffff") == marks("::1:0:0:0") == {3}


def test_an_empty_table_has_no_marks() -> None:
    assert NetworkTable(()).find(MAX_NUMBER) == ()
