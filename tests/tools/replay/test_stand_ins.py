"""Replay of a log with pseudonyms: networks as they were, clients told apart as they were."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from proxyguard.tools.replay.formats.stand_ins import StandIns


def test_each_pseudonym_gets_an_address_of_its_network() -> None:
    stand_ins = StandIns()
    names = [f"c-{number:012x}" for number in range(256)]
    found = [stand_ins.of(name, "203.0.113.0/24") for name in names]
    assert len(set(found)) == 256
    assert all(ip_address(each) in ip_network("203.0.113.0/24") for each in found)
    assert [stand_ins.of(name, "203.0.113.0/24") for name in names] == found
    assert len(stand_ins.notes()) == 1
    stand_ins.of("c-ffffffffffff", "203.0.113.0/24")
    assert len(stand_ins.notes()) == 2


def test_clients_of_ipv6_and_of_no_network_have_networks_of_their_own() -> None:
    stand_ins = StandIns()
    assert [stand_ins.of(f"c-{number:012x}", "2001:db8::/48") for number in range(2)] == ["2001:db8::", "2001:db8:0:1::"]
    assert [stand_ins.of(f"c-{number:012x}", "") for number in range(2, 4)] == ["fd00::", "fd00:0:1::"]
    assert stand_ins.of("c-00000000000a", "no network") == "fd00::"


def test_an_address_stays() -> None:
    stand_ins = StandIns()
    assert stand_ins.of("203.0.113.9", "") == "203.0.113.9"
    assert stand_ins.notes() == []
