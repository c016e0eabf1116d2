"""Names of bans: pseudonyms for clients, and back to the keys that are banned."""

from __future__ import annotations

from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.instance.control.ban_names import BanNames

NAMES = Pseudonyms(b"secret")
KEYS = ["client:203.0.113.9", "network:203.0.113.0/24", "client:203.0.113.9+path:/a", "client:2001:db8::/64"]


def test_clients_get_names_and_are_found_by_them_for_two_days() -> None:
    names = BanNames(NAMES, is_clear=False)
    for key in KEYS:
        shown = names.shown(key, 9.0)
        assert ("203.0.113.9" in shown, "db8" in shown) == (False, False)
        for later, known in ((9.0, True), (9.0 + 86_400, True), (9.0 + 2 * 86_400, False)):
            assert names.find(shown, KEYS, later) == (key if known and "client" in key else None)
    assert names.shown("network:203.0.113.0/24", 9.0) == "network:203.0.113.0/24"
    assert names.find(NAMES.name("2001:db8::/64", 9.0), KEYS, 9.0) == "client:2001:db8::/64"
    assert names.find("c-000000000000", KEYS, 9.0) is None


def test_in_the_clear_nothing_changes() -> None:
    assert [BanNames(NAMES, is_clear=True).shown(key, 9.0) for key in KEYS] == KEYS


def test_in_the_clear_a_ban_is_found_by_its_key_and_by_the_name_that_the_api_has_for_it() -> None:
    clear = BanNames(NAMES, is_clear=True)
    name = NAMES.name("203.0.113.9", 9.0)
    assert clear.find(f"client:{name}+path:/a", KEYS, 9.0) == clear.find(KEYS[2], KEYS, 9.0) == KEYS[2]
    assert clear.find(name, KEYS, 9.0) == KEYS[0]
