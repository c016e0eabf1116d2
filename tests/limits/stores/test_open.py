"""What an instance opens to count in: what it shows, what it warns of, and when bans are saved."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxyguard.core.decision import Reject
from proxyguard.core.settings import Counting, Settings, StoreChoice
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.open import MemoryBackend, ValkeyBackend, open_backend
from proxyguard.limits.stores.store import BanTerms
from proxyguard.limits.stores.table_stats import GAUGES

SMALL = Settings(counting=Counting(keys=10, bans=10))
DAILY = Limit(5, 86_400.0, 5, (KeyPart(KeyKind.CLIENT),))
NOW = 1_800_000_000.0


def fill(store: MemoryStore, first: int, last: int, now: float = NOW) -> None:
    for number in range(first, last):
        store.charge([Charge(f"rule|{number}", DAILY)], (), now)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_the_gauges_are_those_of_the_store_and_of_the_watch() -> None:
    names = [name for name, _, _ in MemoryBackend(SMALL).gauges()]
    watched = ["store_keys_high", "store_keys_warnings", "store_bans_high", "store_bans_warnings"]
    assert names == [*GAUGES, *watched]


def test_a_table_that_fills_up_is_reported_once_and_again_after_it_was_well_below(caplog: pytest.LogCaptureFixture) -> None:
    books = MemoryBackend(SMALL)
    high = next(read for name, _, read in books.gauges() if name == "store_keys_high")
    fill(books.memory, 0, 7)
    books._fill.look()
    assert (warnings(caplog), high()) == ([], 0.0)
    fill(books.memory, 7, 9)
    for _ in range(3):
        books._fill.look()
    said = "the table of counters is 90 % full (9 of 10): full, new clients share counters or are not counted; see "
    assert (warnings(caplog), high()) == ([said + "counting.keys and counting.on_full"], 1.0)
    later = NOW + 2 * 86_400
    for step in range(2000):
        books.memory.tidy(later + step)
    books._fill.look()
    assert high() == 0.0
    fill(books.memory, 20, 29, later + 2000)
    books._fill.look()
    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize("settings", [SMALL, Settings(counting=Counting(bans=10), store=StoreChoice(url="redis://127.0.0.1:1"))])
def test_bans_are_watched_wherever_they_are_kept(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    books = open_backend(settings)
    for number in range(8):
        books.store.ban(f"client:{number}", "rule", "", BanTerms(60.0, Reject()), NOW)
    books._fill.look()
    assert warnings(caplog) == [
        "the table of bans is 80 % full (8 of 10): full, it drops the bans soonest to end; see counting.bans"
    ]


def test_a_ban_that_the_server_does_not_take_is_not_called_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxyguard.limits.stores.mirror.SAVED_SECONDS", 0.05)

    async def made() -> bool:
        books = ValkeyBackend(Settings(store=StoreChoice(url="redis://127.0.0.1:1")))
        await books.start()
        books.store.ban("client:192.0.2.1", "rule", "", BanTerms(60.0, Reject()), NOW)
        saved = await books.saved()
        await books.stop()
        return saved

    assert asyncio.run(made()) is False
