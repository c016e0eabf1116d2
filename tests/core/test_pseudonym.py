"""Pseudonyms: the same within a day and a secret, found again among the clients that are known, worthless without the secret."""

from __future__ import annotations

from proxyguard.core.pseudonym import DAY_SECONDS, MAX_REMEMBERED, PATTERN, Pseudonyms

NOON = 20_000 * DAY_SECONDS + 43_200
CLIENTS = ["192.0.2.7", "192.0.2.8", "2001:db8::/64"]


def test_a_name_lasts_a_day_and_differs_by_secret() -> None:
    names = Pseudonyms(b"secret")
    name = names.name("192.0.2.7", NOON)
    assert PATTERN.fullmatch(name)
    assert name == names.name("192.0.2.7", NOON + 43_199) == Pseudonyms(b"secret").name("192.0.2.7", NOON - 43_200)
    assert name != names.name("192.0.2.7", NOON + 43_200)
    assert name != Pseudonyms(b"other").name("192.0.2.7", NOON)
    assert name != names.name("192.0.2.8", NOON)


def test_names_of_today_and_yesterday_are_found() -> None:
    names = Pseudonyms(b"secret")
    name = names.name("2001:db8::/64", NOON)
    assert names.find(name, CLIENTS, NOON) == "2001:db8::/64"
    assert names.find(name, CLIENTS, NOON + DAY_SECONDS) == "2001:db8::/64"
    assert names.find(name, CLIENTS, NOON + 2 * DAY_SECONDS) is None
    assert names.find(name, CLIENTS[:2], NOON) is None
    assert names.find("c-000000000000", CLIENTS, NOON) is None


def test_what_is_kept_at_hand_is_bounded_and_ends_with_the_day_or_when_it_is_to_be_forgotten() -> None:
    names = Pseudonyms(b"secret")
    for number in range(MAX_REMEMBERED + 10):
        assert names.name(f"client {number}", NOON) == Pseudonyms(b"secret").name(f"client {number}", NOON)
        assert len(names._remembered) <= MAX_REMEMBERED
    names.name("192.0.2.7", NOON)
    names.forget("192.0.2.7")
    assert "192.0.2.7" not in names._remembered
    names.name("192.0.2.8", NOON + DAY_SECONDS)
    assert [*names._remembered] == ["192.0.2.8"]
