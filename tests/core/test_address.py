"""Addresses: one number line, keys by prefix."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address, Network, Prefixes, address_number

WIDE = Prefixes(client_v4=24, client_v6=56, network_v4=16, network_v6=32)


@pytest.mark.parametrize(
    ("text", "canonical", "client", "network"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("::FFFF:c000:207", "192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("2001:DB8:0:1::9", "2001:db8:0:1::9", "2001:db8:0:1::/64", "2001:db8::/48"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64", "fe80::/48"),
        ("192.0.2.7%eth0", "192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("::1", "::1", "::/64", "::/48"),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0/24"),
    ],
)
def test_an_address_has_one_form_and_its_keys(text: str, canonical: str, client: str, network: str) -> None:
    address = Address.parse(text, port=443)
    assert (address.text, address.client_key(), address.network_key(), address.port) == (canonical, client, network, 443)


def test_prefix_lengths_are_settings() -> None:
    v4, v6 = Address.parse("198.51.100.77"), Address.parse("2001:db8:1:2ff::1")
    assert (v4.client_key(WIDE), v4.network_key(WIDE)) == ("198.51.100.0/24", "198.51.0.0/16")
    assert (v6.client_key(WIDE), v6.network_key(WIDE)) == ("2001:db8:1:200::/56", "2001:db8::/32")
    assert v4.client_key() == "198.51.100.77"


def test_odd_prefix_lengths_are_cut_to_the_bit() -> None:
    odd = Prefixes(client_v4=25, client_v6=24, network_v4=1, network_v6=1)
    v4, v6 = Address.parse("198.51.100.177"), Address.parse("fd00:1234:5678::1")
    assert (v4.client_key(odd), v4.network_key(odd)) == ("198.51.100.128/25", "128.0.0.0/1")
    assert (v6.client_key(odd), v6.network_key(odd)) == ("fd00:1200::/24", "8000::/1")


def test_keys_are_derived_once_and_each_for_the_prefixes_that_are_asked_for() -> None:
    address = Address.parse("192.0.2.77")
    for ask in (address.client_key, address.network_key, lambda prefixes: address.ban_keys(prefixes)[0]):
        assert ask(WIDE) is ask(WIDE)
    assert (address.client_key(), address.network_key()) == ("192.0.2.77", "192.0.2.0/24")
    assert address.ban_keys(WIDE) == ("client:192.0.2.0/24", "network:192.0.0.0/16")
    assert address.ban_keys() == ("client:192.0.2.77", "network:192.0.2.0/24")


def test_addresses_are_equal_by_their_number() -> None:
    mapped, other = Address.parse("::ffff:192.0.2.7", port=1), Address.parse("192.0.2.8")
    address = Address.parse("192.0.2.7", port=2)
    assert address == mapped
    assert address != other
    assert address != address.number
    assert len({address, mapped, other}) == 2
    assert hash(address) == hash(mapped) != hash(other)


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::g", "example.org", "1.2.3.4/32", "1.2.3.4:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.0/24", "192.0.2.0", "192.0.1.255"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
        ("192.0.2.0/24", "::ffff:192.0.2.1", "::c000:201"),
    ],
)
def test_networks_hold_their_addresses(network: str, inside: str, outside: str) -> None:
    parsed = Network.parse(network)
    assert parsed.text == network
    assert parsed.first <= parsed.last
    assert address_number(inside) in parsed
    assert address_number(outside) not in parsed


@pytest.mark.parametrize("text", ["192.0.2.1/24", "2001:db8::1/32", "192.0.2.0/33", "any", ""])
def test_networks_with_host_bits_or_without_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Network.parse(text)


def test_keys_follow_the_prefixes_that_are_asked_for() -> None:
    """One address may be asked about by two policies: a replay's and the one in force."""
    address = Address.parse("192.0.2.77")
    wide = Prefixes(client_v4=24, network_v4=16)
    assert address.ban_keys() == ("client:192.0.2.77", "network:192.0.2.0/24")
    assert address.ban_keys(wide) == ("client:192.0.2.0/24", "network:192.0.0.0/16")
    assert (address.client_key(wide), address.network_key(wide)) == ("192.0.2.0/24", "192.0.0.0/16")
    assert address.ban_keys() == ("client:192.0.2.77", "network:192.0.2.0/24")
