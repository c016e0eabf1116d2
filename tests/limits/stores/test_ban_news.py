"""What instances tell each other of bans: made, lifted, taken over, remembered for a newcomer."""

from __future__ import annotations

from proxyguard.core.decision import Reject
from proxyguard.limits.stores.bans import BanNews, BanTable, EndingTable, Strike
from proxyguard.limits.stores.store import BanRecord, BanTerms

NOW = 1_800_000_000.0
HOUR = BanTerms(3600.0, Reject(), forget_seconds=600.0)
OTHERS = BanRecord("a", NOW - 5, NOW + 100, "theirs", "Because.", strikes=3)


def watched(capacity: int = 10) -> tuple[BanTable, list[BanNews]]:
    table, heard = BanTable(capacity), list[BanNews]()
    table.watchers.append(heard.append)
    return table, heard


def test_a_ban_made_and_lifted_is_told_once_each() -> None:
    table, heard = watched()
    record = table.ban("a", "rule", "why", HOUR, NOW)
    assert table.lift("a", NOW + 1)
    assert not table.lift("a", NOW + 2)
    assert heard == [BanNews("a", record, NOW + 4200.0), BanNews("a", None, NOW + 1)]


def test_a_ban_of_another_instance_is_taken_over_and_told_on() -> None:
    table, heard = watched()
    news = BanNews("a", OTHERS, NOW + 700)
    assert table.accept(news, NOW) == news
    assert heard == [news]
    assert table.find("a", NOW + 99.9) is OTHERS
    assert table.strikes(NOW) == [Strike("a", 3, NOW + 700)]


def test_a_ban_in_force_stands_and_is_the_answer_to_another() -> None:
    table, heard = watched()
    record = table.ban("a", "rule", "why", HOUR, NOW)
    assert table.accept(BanNews("a", OTHERS, NOW + 700), NOW) == BanNews("a", record, NOW + 4200.0)
    assert table.find("a", NOW) is record
    assert len(heard) == 1


def test_a_lift_by_another_instance_is_told_on_when_there_was_something_to_lift() -> None:
    table, heard = watched()
    table.ban("a", "rule", "why", HOUR, NOW)
    lift = BanNews("a", None, NOW + 1)
    assert [table.accept(lift, NOW + 1), table.accept(lift, NOW + 2)] == [lift, lift]
    assert heard[1:] == [lift]
    assert (table.find("a", NOW + 2), table.strikes(NOW + 2)) == (None, [])


def test_what_is_dropped_is_a_ban_or_strikes_or_both() -> None:
    table, heard = watched()
    table.adopt_strike(Strike("strikes", 2, NOW + 50), NOW)
    table._bans.put("ban", OTHERS, NOW + 50, NOW)
    assert [table.drop(key) for key in ("strikes", "ban", "nothing")] == [True, True, False]
    assert heard == []


def test_news_for_a_newcomer_are_of_bans_in_force() -> None:
    table, _ = watched()
    record = table.ban("a", "rule", "why", HOUR, NOW)
    assert table.news_of("a", NOW) == BanNews("a", record, NOW + 4200.0)
    assert table.news_of("a", NOW + 3600) is None
    assert table.news_of("b", NOW) is None
    table._bans.put("c", OTHERS, OTHERS.until, NOW)  # its strikes gave way in a full table
    assert table.news_of("c", NOW) == BanNews("c", OTHERS, OTHERS.until)


def test_what_is_remembered_of_a_key_is_its_ban_or_one_that_is_over_for_its_strikes() -> None:
    table, _ = watched()
    record = table.ban("a", "rule", "why", HOUR, NOW)
    assert table.memory_of("a", NOW) == BanNews("a", record, NOW + 4200.0)
    over = BanRecord("a", NOW + 3700, NOW + 3700, "", strikes=1)
    assert table.memory_of("a", NOW + 3700) == BanNews("a", over, NOW + 4200.0)
    assert table.memory_of("a", NOW + 4200) is None
    table.adopt_strike(Strike("b", 5, NOW + 9000), NOW)
    over = BanRecord("b", NOW + 1, NOW + 1, "", strikes=5)
    assert table.memory_of("b", NOW + 1) == BanNews("b", over, NOW + 9000)
    table._bans.put("c", OTHERS, OTHERS.until, NOW)
    assert table.memory_of("c", NOW) == BanNews("c", OTHERS, OTHERS.until)
    assert table.memory_of("d", NOW) is None


def test_an_entry_says_when_it_ends_also_when_it_has() -> None:
    table: EndingTable[int] = EndingTable(2)
    table.put("a", 1, NOW + 1, NOW)
    assert (table.end("a"), table.get("a", NOW + 2), table.end("b")) == (NOW + 1, None, None)


def test_each_entry_that_gives_way_is_counted() -> None:
    table: EndingTable[int] = EndingTable(1)
    for number in range(4):
        table.put(f"{number}", number, NOW + 10 + number, NOW)
    assert (table.evictions, list(table.keys)) == (3, ["3"])
