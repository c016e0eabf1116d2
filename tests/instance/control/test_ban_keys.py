"""What an operator names, and the keys that requests are looked for by."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address, Network, Prefixes
from proxyguard.instance.control.ban_keys import MAX_KEYS, BanKeys, NoBanKey
from proxyguard.limits.limit import KeyKind, KeyPart
from proxyguard.policy.compile.keys import KeyMaker
from tests import build

SECRET = b"secret"
KEYS = BanKeys(SECRET, Prefixes())
MAKER = KeyMaker(SECRET, Prefixes())
BANNED_BY = ("header.x-api-key", "client+path")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("192.0.2.7", ["client:192.0.2.7"]),
        ("::ffff:192.0.2.7", ["client:192.0.2.7"]),
        ("2001:db8:7::1", ["client:2001:db8:7::/64"]),
        ("192.0.2.7/32", ["client:192.0.2.7"]),
        ("192.0.2.8/30", ["client:192.0.2.8", "client:192.0.2.9", "client:192.0.2.10", "client:192.0.2.11"]),
        ("192.0.2.0/24", ["network:192.0.2.0/24"]),
        ("192.0.2.0/23", ["network:192.0.2.0/24", "network:192.0.3.0/24"]),
        ("2001:db8:7::/48", ["network:2001:db8:7::/48"]),
        ("2001:db8:6::/47", ["network:2001:db8:6::/48", "network:2001:db8:7::/48"]),
        ("2001:db8:7::/63", ["client:2001:db8:7::/64", "client:2001:db8:7:1::/64"]),
        ("2001:db8:7::/96", ["client:2001:db8:7::/64"]),
        ("client:192.0.2.7", ["client:192.0.2.7"]),
        ("client:2001:db8:7::1", ["client:2001:db8:7::/64"]),
        ("client:2001:db8:7::/64", ["client:2001:db8:7::/64"]),
        ("network:192.0.2.0/24", ["network:192.0.2.0/24"]),
        ("header.x-api-key:0123456789abcdef", ["header.x-api-key:0123456789abcdef"]),
        ("client:192.0.2.7+path:/signup", ["client:192.0.2.7+path:/signup"]),
    ],
)
def test_what_stands_for_what(text: str, keys: list[str]) -> None:
    assert KEYS.of(text, BANNED_BY) == keys


@pytest.mark.parametrize("network", ["198.51.0.0/16", "2001:db8::/40", "192.0.2.0/25", "2001:db8:7::/56"])
def test_requests_from_anywhere_in_a_network_are_looked_for_by_one_of_its_keys_and_others_are_not(network: str) -> None:
    keys = KEYS.of(network, BANNED_BY)
    assert len(keys) == len(set(keys)) <= MAX_KEYS
    first, last, _ = Network.parse(network)

    def is_banned(number: int) -> bool:
        request = build.request(client=Address(number).text)
        return bool(set(MAKER.own_ban_keys(request)) & set(keys))

    assert all(is_banned(number) for number in (first, first + 1, (first + last) // 2, last))
    assert not any(is_banned(number) for number in (first - 1, last + 1))


def test_a_value_is_named_as_it_is_sent_and_kept_as_a_hash() -> None:
    request = build.request(headers=(("X-Api-Key", "3f7a=b1"),))
    expected = MAKER.ban_key((KeyPart(KeyKind.HEADER, "x-api-key"),))(request)
    assert KEYS.of("header.X-Api-Key=3f7a=b1", BANNED_BY) == [expected]
    assert "3f7a" not in expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is neither an address, nor a network, nor a ban's key\n  hint: 192.0.2.7, 192.0.2.0/24,"),
        ("example.com", "'example.com' is neither an address"),
        ("client:somebody", "'client:somebody' is neither an address"),
        ("client:", "'client:' is neither an address"),
        ("colour=blue", "'colour=blue' is neither an address"),
        ("192.0.2.7/24", "'192.0.2.7/24' is an address within a network\n  hint: name one of the two"),
        (
            "10.0.0.0/8",
            "'10.0.0.0/8' would be 65,536 bans, at most 256 are named at once\n  hint: to refuse it, write a rule: when:",
        ),
        ("2001:db8:7::/52", "'2001:db8:7::/52' would be 4,096 bans"),
        (
            "cookie.session=abc",
            "no rule bans by cookie.session, so nobody would look at a ban of 'cookie.session=abc'\n  hint: bans are by client,",
        ),
        ("restriction-end:slow", "no rule bans by restriction-end, so nobody"),
    ],
)
def test_what_cannot_be_banned_says_why(text: str, words: str) -> None:
    with pytest.raises(NoBanKey) as caught:
        KEYS.of(text, BANNED_BY)
    assert str(caught.value).startswith(words)
