"""Names of bans: pseudonyms for clients, and back to the keys that are banned."""

from __future__ import annotations

import pytest

from proxyguard.core.privacy import Privacy
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.instance.control.ban_names import BanNames
from proxyguard.telemetry.discretion import Discretion

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


STANDARD = Discretion(Privacy(), b"secret")
TEXTS = {"path": STANDARD.path, "host": STANDARD.host}
NAMED = [
    "client:203.0.113.9+path:/users/erika", "client:203.0.113.9+path:/users/anna", "path:/users/erika", "host:203.0.113.9",
    "path:/posts/1", "path:#9f86d081884c7d65",
]  # fmt: skip


@pytest.mark.parametrize("is_clear", [False, True])
def test_texts_of_clients_are_redacted_and_the_ban_is_found_all_the_same(*, is_clear: bool) -> None:
    names = BanNames(NAMES, is_clear=is_clear, texts=TEXTS)
    shown = [names.shown(key, 9.0) for key in NAMED]
    assert len({*shown}) == len(NAMED)
    for each in ("erika", "anna", *([] if is_clear else ["203.0.113"])):
        assert each not in " ".join(shown)
    assert shown[2].startswith("path:/users/[person]#")
    assert shown[4:] == NAMED[4:]
    assert [names.find(each, NAMED, 9.0) for each in shown] == [*NAMED[:4], None, None]
