"""Discretion: what it keeps at hand changes nothing of what it says, and is bounded."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.privacy import Privacy, PrivacyPreset
from proxyguard.telemetry.discretion import (
    MAX_METHOD,
    MAX_PATH_KEPT,
    MAX_TEXT,
    MAX_TEXTS,
    MAX_USER_AGENT,
    Discretion,
    plain_family,
)

NOON = 1_800_000_000.0


def test_a_path_is_redacted_alike_the_first_time_and_later() -> None:
    discretion = Discretion(Privacy(), b"secret")
    paths = [b"/", b"/profiles/1", b"/profiles/jane.doe", b"/mail/jane@example.org", b"/a/" + b"x1" * 20, b"/%40", b"/\xff"]
    for path in [*paths, *paths]:
        assert discretion.path(path) == Discretion(Privacy(), b"secret").path(path)


def test_what_is_kept_of_paths_is_bounded() -> None:
    discretion = Discretion(Privacy(), b"secret")
    for number in range(MAX_TEXTS + 10):
        discretion.path(b"/p/%d" % number)
        assert len(discretion._path_texts) <= MAX_TEXTS
    kept = len(discretion._path_texts)
    discretion.path(b"/" + b"p" * MAX_PATH_KEPT)
    assert len(discretion._path_texts) == kept


@pytest.mark.parametrize(
    ("privacy", "prefixes", "networks"),
    [
        (Privacy(), Prefixes(), ("192.0.2.0/24", "2001:db8:1::/48")),
        (Privacy(), Prefixes(network_v4=16, network_v6=56), ("192.0.0.0/16", "2001:db8:1::/48")),
        (Privacy(network_v4=0), Prefixes(), ("", "2001:db8:1::/48")),
        (Privacy(preset=PrivacyPreset.STRICT), Prefixes(), ("", "")),
        (Privacy(preset=PrivacyPreset.FULL), Prefixes(network_v6=56), ("192.0.2.0/24", "2001:db8:1:200::/56")),
    ],
)
def test_a_network_is_written_as_far_as_it_may_be(privacy: Privacy, prefixes: Prefixes, networks: tuple[str, str]) -> None:
    discretion = Discretion(privacy, b"secret", prefixes)
    clients = Address.parse("192.0.2.7"), Address.parse("2001:db8:1:2ff::7")
    for client in clients:
        client.network_key(prefixes)  # remembered before
    assert tuple(map(discretion.network, clients)) == networks


def test_a_client_that_is_to_be_forgotten_is_kept_nowhere() -> None:
    discretion = Discretion(Privacy(), b"secret")
    name = discretion.client(Address.parse("192.0.2.7"), NOON)
    assert discretion.find(name) == "192.0.2.7"
    assert discretion.forget("192.0.2.7") == 1
    assert discretion.find(name) is None
    assert "192.0.2.7" not in discretion.pseudonyms._remembered
    assert discretion.client(Address.parse("192.0.2.7"), NOON) == name
    assert discretion.find(name) == "192.0.2.7"


def test_half_of_what_tells_of_a_person_does_not_stay_where_a_text_is_cut() -> None:
    discretion = Discretion(Privacy(), b"secret")
    for length in range(40):
        agent = discretion.agent(b"Bot " + b"x " * ((MAX_USER_AGENT - length) // 2) + b"erika.mustermann@example.com and more")
        path = discretion.path(b"/" + b"x/" * ((MAX_TEXT - length) // 2) + b"erika.mustermann@example.com/more")
        method = discretion.method(b"X" * (MAX_METHOD - min(length, MAX_METHOD)) + b"-4711081599")
        assert "eri" not in agent + path
        assert "4711" not in method
        assert (len(agent) <= MAX_USER_AGENT, len(path) <= MAX_TEXT, len(method) <= MAX_METHOD) == (True, True, True)


@pytest.mark.parametrize(
    "path", ["/page/%75sers/erika", "/page/users%2ferika", "/page/\uff55sers/erika", "/page/%2575sers/erika"]
)
def test_the_family_of_a_path_that_is_encoded_once_more_names_nobody(path: str) -> None:
    strict = Discretion(Privacy(preset=PrivacyPreset.STRICT), b"secret")
    assert strict.path(path.encode()) == strict.family(plain_family(path.encode())) == "/page/users/*"
