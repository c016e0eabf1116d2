"""What every store promises, as tables of calls and answers; each store's test module runs all of them.

A case is a function that drives a `Driver`. Time is the case's own: the drivers of remote stores pass it on, so the same
tables hold for a store whose own clock decides in production.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol

import pytest

from proxyguard.core.decision import Drop, Reject, Tarpit
from proxyguard.limits.charge import Charge, Usage, distinct_key
from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart, Limit, Window
from proxyguard.limits.stores.notes import MAX_NOTE_BYTES, MAX_NOTES, StoreNote
from proxyguard.limits.stores.store import BanRecord, BanTerms, Outcome

START = 1_800_000_000.0
CLIENT = (KeyPart(KeyKind.CLIENT),)
THREE_A_MINUTE = Limit(3, 60.0, 3, CLIENT)
FIVE_A_MINUTE = Limit(5, 60.0, 5, CLIENT)
THREE_VALUES = Limit(3, 60.0, 3, CLIENT, count=Count(CountKind.DISTINCT, of=KeyPart(KeyKind.PATH)))
THREE_BY_THE_CALENDAR = Limit(3, 60.0, 3, CLIENT, window=Window.CALENDAR)
THREE_IN_ANY_MINUTE = Limit(3, 60.0, 3, CLIENT, window=Window.SLIDING_LOG)
THREE_UNDER_WAY = Limit(3, 30.0, 3, CLIENT, count=Count(CountKind.CONCURRENT))
TEN_MINUTES = BanTerms(600.0, Reject())


class Driver(Protocol):
    """A store as the cases see it: synchronous, with the time in hand."""

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str] = (), now: float = START) -> Outcome: ...
    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float = START) -> BanRecord: ...
    def unban(self, key: str, now: float = START) -> bool: ...
    def bans(self, now: float = START) -> list[BanRecord]: ...
    def put_note(self, name: str, text: str, until: float = START + 600.0, now: float = START) -> bool: ...
    def notes(self, now: float = START) -> list[StoreNote]: ...


def hashed(value: str) -> bytes:
    return blake2b(value.encode(), digest_size=8).digest()


def usages_are(outcome: Outcome, *expected: tuple[bool, int, float]) -> None:
    assert outcome.ban is None
    assert [(usage.exceeded, usage.remaining) for usage in outcome.usages] == [one[:2] for one in expected]
    for usage, one in zip(outcome.usages, expected, strict=True):
        assert usage.retry_after_seconds == pytest.approx(one[2], abs=0.01)


def the_fourth_of_three_is_exceeded_and_says_when_to_come_back(store: Driver) -> None:
    charge = [Charge("rule|a", THREE_A_MINUTE)]
    for remaining in (2, 1, 0):
        usages_are(store.charge(charge), (False, remaining, 0.0))
    usages_are(store.charge(charge), (True, 0, 20.0))
    usages_are(store.charge(charge, now=START + 5), (True, 0, 15.0))
    usages_are(store.charge(charge, now=START + 20), (False, 0, 0.0))


def keys_are_counted_apart(store: Driver) -> None:
    for _ in range(3):
        store.charge([Charge("rule|a", THREE_A_MINUTE)])
    usages_are(store.charge([Charge("rule|a", THREE_A_MINUTE)]), (True, 0, 20.0))
    usages_are(store.charge([Charge("rule|b", THREE_A_MINUTE)]), (False, 2, 0.0))


def a_backlog_given_back_leaves_no_trace(store: Driver) -> None:
    for _ in range(3):
        store.charge([Charge("rule|a", THREE_A_MINUTE)])
    usages_are(store.charge([Charge("rule|a", THREE_A_MINUTE)], now=START + 60), (False, 2, 0.0))


def an_empty_batch_answers_nothing(store: Driver) -> None:
    assert store.charge([]) == Outcome(None, ())


def a_batch_is_counted_whole(store: Driver) -> None:
    batch = [Charge("rule|a", THREE_A_MINUTE), Charge("other|a", FIVE_A_MINUTE, 2.0)]
    usages_are(store.charge(batch), (False, 2, 0.0), (False, 3, 0.0))
    usages_are(store.charge(batch), (False, 1, 0.0), (False, 1, 0.0))


def a_stopping_excess_leaves_the_whole_batch_uncounted(store: Driver) -> None:
    for _ in range(3):
        store.charge([Charge("rule|a", THREE_A_MINUTE)])
    batch = [Charge("first|a", FIVE_A_MINUTE), Charge("rule|a", THREE_A_MINUTE), Charge("last|a", FIVE_A_MINUTE)]
    usages_are(store.charge(batch), (False, 5, 0.0), (True, 0, 20.0), (False, 5, 0.0))
    usages_are(store.charge([Charge("first|a", FIVE_A_MINUTE)]), (False, 4, 0.0))


def an_excess_that_does_not_stop_lets_the_rest_be_counted(store: Driver) -> None:
    for _ in range(3):
        store.charge([Charge("rule|a", THREE_A_MINUTE, stops=False)])
    batch = [Charge("rule|a", THREE_A_MINUTE, stops=False), Charge("other|a", FIVE_A_MINUTE)]
    usages_are(store.charge(batch), (True, 0, 20.0), (False, 4, 0.0))
    usages_are(store.charge([Charge("other|a", FIVE_A_MINUTE)]), (False, 3, 0.0))


def a_key_twice_in_one_batch_is_charged_twice(store: Driver) -> None:
    twice = [Charge("rule|a", THREE_A_MINUTE), Charge("rule|a", THREE_A_MINUTE)]
    usages_are(store.charge(twice), (False, 2, 0.0), (False, 1, 0.0))
    assert [usage.exceeded for usage in store.charge(twice).usages] == [False, True]
    usages_are(store.charge([Charge("rule|a", THREE_A_MINUTE)]), (False, 0, 0.0))


def a_cost_of_zero_only_looks(store: Driver) -> None:
    look = [Charge("rule|a", THREE_A_MINUTE, 0.0)]
    for _ in range(5):
        usages_are(store.charge(look), (False, 3, 0.0))
    store.charge([Charge("rule|a", THREE_A_MINUTE, 3.0)])
    usages_are(store.charge(look), (True, 0, 20.0))


def an_owed_cost_is_counted_over_the_limit(store: Driver) -> None:
    store.charge([Charge("bytes|a", THREE_A_MINUTE, 4.0, stops=False, owed=True)])
    usages_are(store.charge([Charge("bytes|a", THREE_A_MINUTE, 0.0)]), (True, 0, 40.0))


def fractions_of_a_unit_add_up(store: Driver) -> None:
    for _ in range(12):
        assert not store.charge([Charge("seconds|a", THREE_A_MINUTE, 0.25)]).usages[0].exceeded
    assert store.charge([Charge("seconds|a", THREE_A_MINUTE, 0.25)]).usages[0].exceeded


def a_banned_key_is_refused_before_anything_is_counted(store: Driver) -> None:
    banned = store.ban("client|a", "sign-up-flood", "too many", BanTerms(600.0, Tarpit(30.0, 1.0, 2)))
    outcome = store.charge([Charge("rule|a", THREE_A_MINUTE)], ["client|b", "client|a"], START + 1)
    assert outcome == Outcome(banned, ())
    usages_are(store.charge([Charge("rule|a", THREE_A_MINUTE)], ["client|b"], START + 1), (False, 2, 0.0))


def a_reserved_unit_is_given_back(store: Driver) -> None:
    for limit in (THREE_A_MINUTE, THREE_BY_THE_CALENDAR, THREE_IN_ANY_MINUTE):
        key = f"rule|{limit.window}"
        give_back = [Charge(key, limit, -1.0, stops=False, owed=True)]
        store.charge(give_back)
        for _ in range(5):
            store.charge([Charge(key, limit)])
            store.charge([Charge(key, limit)])
            store.charge(give_back * 2)
        store.charge(give_back * 9)
        assert [store.charge([Charge(key, limit)]).usages[0].exceeded for _ in range(4)] == [False, False, False, True]


def requests_under_way_are_counted_until_they_end(store: Driver) -> None:
    begin = Charge("rule|a", THREE_UNDER_WAY)
    end = begin.arisen(-1.0)
    for remaining in (2, 1, 0):
        usages_are(store.charge([begin], now=START + 1), (False, remaining, 0.0))
    usages_are(store.charge([begin], now=START + 2), (True, 0, 1.0))
    usages_are(store.charge([Charge("rule|b", THREE_UNDER_WAY)], now=START + 2), (False, 2, 0.0))
    store.charge([end], now=START + 3)
    store.charge([end], now=START + 3)
    usages_are(store.charge([begin], now=START + 3), (False, 1, 0.0))
    both = [begin, Charge("other|a", THREE_A_MINUTE, 4.0)]
    usages_are(store.charge(both, now=START + 3), (False, 0, 0.0), (False, 0, 0.0))
    assert [usage.exceeded for usage in store.charge(both, now=START + 3).usages] == [True, True]
    usages_are(store.charge([begin.at_cost(0.0)], now=START + 3), (True, 0, 1.0))


def a_batch_that_stops_leaves_nothing_under_way(store: Driver) -> None:
    store.charge([Charge("full|a", THREE_A_MINUTE, 3.0)])
    for _ in range(5):
        outcome = store.charge([Charge("rule|a", THREE_UNDER_WAY), Charge("full|a", THREE_A_MINUTE)])
        usages_are(outcome, (False, 3, 0.0), (True, 0, 20.0))


def a_ban_record_keeps_what_was_said(store: Driver) -> None:
    terms = BanTerms(600.0, Reject(status=451, message="Ask us.", retry_after_seconds=9.5), note="ticket 7, ü")
    record = store.ban("client|2001:db8::/64", "rule-name", "why it is so", terms)
    assert record == BanRecord(
        key="client|2001:db8::/64",
        since=START,
        until=START + 600.0,
        rule="rule-name",
        reason="why it is so",
        then=Reject(status=451, message="Ask us.", retry_after_seconds=9.5),
        strikes=1,
        note="ticket 7, ü",
    )
    assert store.bans(START + 1) == [record]


def a_ban_ends_at_its_time(store: Driver) -> None:
    store.ban("client|a", "rule", "", TEN_MINUTES)
    assert store.charge([], ["client|a"], START + 599.0).ban is not None
    assert store.charge([], ["client|a"], START + 600.0).ban is None
    assert store.bans(START + 600.0) == []


def banning_the_banned_returns_the_ban_in_force(store: Driver) -> None:
    first = store.ban("client|a", "rule", "", TEN_MINUTES)
    assert store.ban("client|a", "other", "", BanTerms(60.0, Drop()), START + 10) == first


def each_ban_in_a_row_lasts_longer_up_to_the_cap(store: Driver) -> None:
    terms = BanTerms(60.0, Reject(), escalation=4.0, max_seconds=1000.0, forget_seconds=3600.0)
    now, lasted = START, []
    for _ in range(5):
        record = store.ban("client|a", "rule", "", terms, now)
        lasted.append(record.until - record.since)
        now = record.until + 1.0
    assert lasted == [60.0, 240.0, 960.0, 1000.0, 1000.0]
    assert record.strikes == 5


def good_behaviour_until_the_forget_time_clears_the_strikes(store: Driver) -> None:
    terms = BanTerms(60.0, Reject(), escalation=2.0, forget_seconds=100.0)
    store.ban("client|a", "rule", "", terms)
    assert store.ban("client|a", "rule", "", terms, START + 159.0).strikes == 2
    assert store.ban("client|a", "rule", "", terms, START + 159.0 + 120.0 + 100.0).strikes == 1


def a_cap_below_the_first_ban_does_not_shorten_it(store: Driver) -> None:
    record = store.ban("client|a", "rule", "", BanTerms(604_800.0, Drop(), max_seconds=86_400.0))
    assert record.until == START + 604_800.0


def unban_lifts_once_and_forgets_the_strikes(store: Driver) -> None:
    terms = BanTerms(60.0, Reject(), escalation=2.0)
    store.ban("client|a", "rule", "", terms)
    assert store.unban("client|a", START + 1) is True
    assert store.unban("client|a", START + 1) is False
    assert store.unban("client|never", START + 1) is False
    assert store.charge([], ["client|a"], START + 1).ban is None
    assert store.ban("client|a", "rule", "", terms, START + 2).strikes == 1


def unban_of_an_ended_ban_says_there_was_none(store: Driver) -> None:
    store.ban("client|a", "rule", "", TEN_MINUTES)
    assert store.charge([], ["client|a"], START + 700.0).ban is None
    assert store.unban("client|a", START + 700.0) is False


def a_calendar_window_gives_all_back_at_its_edge(store: Driver) -> None:
    """START is 08:00 in UTC, 13:45 in Kathmandu: two days end at different times."""
    for zone, until_midnight in (("UTC", 57_600.0), ("Asia/Kathmandu", 36_900.0)):
        charge = [Charge(f"{zone}|a", Limit(3, 86_400.0, 3, CLIENT, window=Window.CALENDAR, time_zone=zone))]
        for remaining in (2, 1, 0):
            usages_are(store.charge(charge), (False, remaining, 0.0))
        usages_are(store.charge(charge), (True, 0, until_midnight))
        usages_are(store.charge(charge, now=START + until_midnight - 1.0), (True, 0, 1.0))
        usages_are(store.charge(charge, now=START + until_midnight), (False, 2, 0.0))


def a_look_at_a_calendar_window_changes_nothing(store: Driver) -> None:
    limit = Limit(2, 3600.0, 2, CLIENT, window=Window.CALENDAR)
    usages_are(store.charge([Charge("rule|a", limit, 0.0)]), (False, 2, 0.0))
    store.charge([Charge("rule|a", limit, 5.0, stops=False, owed=True)])
    usages_are(store.charge([Charge("rule|a", limit, 0.0)]), (True, 0, 3600.0))


def the_same_value_is_counted_once(store: Driver) -> None:
    def visits(*pages: str, now: float = START) -> Outcome:
        return store.charge([Charge(distinct_key("rule|a", hashed(page)), THREE_VALUES) for page in pages], now=now)

    usages_are(visits("/a"), (False, 2, 0.0))
    usages_are(visits("/a"), (False, 2, 0.0))
    usages_are(visits("/b", "/c"), (False, 1, 0.0), (False, 0, 0.0))
    usages_are(visits("/d", now=START + 10.0), (True, 0, 50.0))
    usages_are(visits("/b", now=START + 10.0), (False, 0, 0.0))
    usages_are(visits("/d", now=START + 60.0), (False, 2, 0.0))


def values_are_not_counted_when_the_batch_stops(store: Driver) -> None:
    stopping = Charge("other|a", Limit(1, 3600.0, 1, CLIENT))
    day = Limit(9, 86_400.0, 9, CLIENT, window=Window.CALENDAR)
    store.charge([stopping])
    batch = [Charge(distinct_key("rule|a", hashed("/a")), THREE_VALUES), Charge("day|a", day), stopping]
    usages_are(store.charge(batch), (False, 3, 0.0), (False, 9, 0.0), (True, 0, 3600.0))
    usages_are(store.charge(batch[:2]), (False, 2, 0.0), (False, 8, 0.0))


def many_values_are_counted_within_the_stated_error(store: Driver) -> None:
    """1,000 +- 10 %, and values that fall on registers that are set: the hashes are fixed, and so is the outcome."""
    limit = Limit(1000, 3600.0, 1000, CLIENT, count=Count(CountKind.DISTINCT, of=CLIENT[0]))
    passed = 0
    for start in range(0, 1200, 50):
        batch = [Charge(distinct_key("rule|a", hashed(str(n))), limit, stops=False) for n in range(start, start + 50)]
        passed += sum(not usage.exceeded for usage in store.charge(batch).usages)
    assert passed == 1120


def values_go_on_being_counted_when_the_amount_changes(store: Driver) -> None:
    """As it does with limits that learn: 128 values are kept one by one, and become a sketch for who is asked for more."""
    narrow = Limit(90, 86_400.0, 90, CLIENT, count=Count(CountKind.DISTINCT, of=CLIENT[0]), window=Window.CALENDAR)
    wide = Limit(141, 86_400.0, 141, CLIENT, count=narrow.count, window=Window.CALENDAR)

    def visit(page: int, limit: Limit) -> Usage:
        return store.charge([Charge(distinct_key("rule|a", hashed(str(page))), limit, stops=False)]).usages[0]

    for page in range(40):
        assert not visit(page, narrow).exceeded
    assert [visit(40, limit).remaining for limit in (wide, narrow, wide)] == [99, 48, 99]
    assert sum(not visit(page, narrow).exceeded for page in range(41, 141)) == 50


def a_log_gives_each_unit_back_after_a_whole_period(store: Driver) -> None:
    charge = [Charge("rule|a", THREE_IN_ANY_MINUTE)]
    for remaining, later in ((2, 0.0), (1, 20.0), (0, 50.0)):
        usages_are(store.charge(charge, now=START + later), (False, remaining, 0.0))
    usages_are(store.charge(charge, now=START + 59.9), (True, 0, 0.1))
    usages_are(store.charge(charge, now=START + 60.0), (False, 0, 0.0))
    usages_are(store.charge(charge, now=START + 60.0), (True, 0, 20.0))
    usages_are(store.charge([charge[0].at_cost(0.0)], now=START + 80.0), (False, 1, 0.0))


def a_batch_that_stops_leaves_logs_as_they_were(store: Driver) -> None:
    stopping = Charge("other|a", Limit(1, 60.0, 1, CLIENT, window=Window.SLIDING_LOG))
    long = Charge("long|a", Limit(500, 3600.0, 500, CLIENT, window=Window.SLIDING_LOG))
    store.charge([stopping])
    batch = [Charge("rule|a", THREE_IN_ANY_MINUTE), long, stopping, long]
    usages_are(store.charge(batch), (False, 3, 0.0), (False, 500, 0.0), (True, 0, 60.0), (False, 500, 0.0))
    usages_are(store.charge(batch[:2]), (False, 2, 0.0), (False, 499, 0.0))


def a_log_admits_exactly_its_amount_of_500_at_once(store: Driver) -> None:
    limit = Limit(137, 3600.0, 137, CLIENT, window=Window.SLIDING_LOG)
    passed = 0
    for start in range(0, 500, 50):
        batch = [Charge("rule|a", limit, stops=False)] * 50
        passed += sum(not usage.exceeded for usage in store.charge(batch, now=START + start / 1000).usages)
    assert passed == 137


def a_log_keeps_what_is_owed_over_the_limit(store: Driver) -> None:
    owed = Charge("rule|a", THREE_IN_ANY_MINUTE, 1.0, stops=False, owed=True)
    for second in range(5):
        store.charge([owed], now=START + second)
    usages_are(store.charge([Charge("rule|a", THREE_IN_ANY_MINUTE)], now=START + 5), (True, 0, 57.0))


def a_note_is_read_until_its_end(store: Driver) -> None:
    assert store.put_note("b", "ticket 7, ü\0", START + 60.0)
    assert store.put_note("a", "", START + 600.0, START + 1)
    b, a = StoreNote("b", "ticket 7, ü\0", START, START + 60.0), StoreNote("a", "", START + 1, START + 600.0)
    assert [store.notes(now) for now in (START + 1, START + 60.0, START + 600.0)] == [[a, b], [a], []]


def a_note_takes_the_place_of_the_one_before_it(store: Driver) -> None:
    for text, until, now in (("z", 600.0, 0.0), ("a", 30.0, 0.0), ("b", 40.0, 1.0), ("c", 50.0, -5.0)):
        assert store.put_note("name", text, START + until, START + now)
        found = store.notes(START + now)
        assert [(note.name, note.text, note.until) for note in found] == [("name", text, START + until)]
    assert store.notes(START + 1)[0].since == pytest.approx(START + 1, abs=1e-4)  # a clock set back does not undo it


def a_note_that_has_ended_leaves_its_name_free(store: Driver) -> None:
    store.put_note("name", "old", START + 60.0)
    assert store.put_note("name", "new", START + 90.0, START + 60.0)
    assert store.notes(START + 60.0) == [StoreNote("name", "new", START + 60.0, START + 90.0)]


def notes_are_no_bans(store: Driver) -> None:
    store.put_note("client:a", "note")
    assert store.charge([], ["client:a"]).ban is None
    record = store.ban("client:a", "rule", "", TEN_MINUTES)
    assert store.unban("client:a", START + 1)
    assert (store.bans(START + 1), [note.text for note in store.notes(START + 1)], record.key) == ([], ["note"], "client:a")


def what_is_over_or_too_long_is_no_note(store: Driver) -> None:
    assert not store.put_note("name", "text", START)
    assert not store.put_note("name", "ü" * (MAX_NOTE_BYTES // 2))
    assert store.put_note("name", "ü" * (MAX_NOTE_BYTES // 2 - 2))
    assert len(store.notes()) == 1


def full_notes_refuse_new_names_and_keep_the_old(store: Driver) -> None:
    names = sorted(str(number) for number in range(MAX_NOTES))
    for name in names:
        assert store.put_note(name, "", START + 60.0 + int(name))
    assert not store.put_note("new", "")
    assert store.put_note("7", "changed", START + 2000.0)
    assert [note.name for note in store.notes()] == names
    assert store.put_note("new", "", START + 2000.0, START + 60.0)
    assert [note.name for note in store.notes(START + 60.0)] == [*names[1:], "new"]


CASES: list[Callable[[Driver], None]] = [
    the_fourth_of_three_is_exceeded_and_says_when_to_come_back,
    keys_are_counted_apart,
    a_backlog_given_back_leaves_no_trace,
    an_empty_batch_answers_nothing,
    a_batch_is_counted_whole,
    a_stopping_excess_leaves_the_whole_batch_uncounted,
    an_excess_that_does_not_stop_lets_the_rest_be_counted,
    a_key_twice_in_one_batch_is_charged_twice,
    a_cost_of_zero_only_looks,
    an_owed_cost_is_counted_over_the_limit,
    fractions_of_a_unit_add_up,
    a_banned_key_is_refused_before_anything_is_counted,
    a_reserved_unit_is_given_back,
    requests_under_way_are_counted_until_they_end,
    a_batch_that_stops_leaves_nothing_under_way,
    a_ban_record_keeps_what_was_said,
    a_ban_ends_at_its_time,
    banning_the_banned_returns_the_ban_in_force,
    each_ban_in_a_row_lasts_longer_up_to_the_cap,
    good_behaviour_until_the_forget_time_clears_the_strikes,
    a_cap_below_the_first_ban_does_not_shorten_it,
    unban_lifts_once_and_forgets_the_strikes,
    unban_of_an_ended_ban_says_there_was_none,
    a_calendar_window_gives_all_back_at_its_edge,
    a_look_at_a_calendar_window_changes_nothing,
    the_same_value_is_counted_once,
    values_are_not_counted_when_the_batch_stops,
    many_values_are_counted_within_the_stated_error,
    values_go_on_being_counted_when_the_amount_changes,
    a_log_gives_each_unit_back_after_a_whole_period,
    a_batch_that_stops_leaves_logs_as_they_were,
    a_log_admits_exactly_its_amount_of_500_at_once,
    a_log_keeps_what_is_owed_over_the_limit,
    a_note_is_read_until_its_end,
    a_note_takes_the_place_of_the_one_before_it,
    a_note_that_has_ended_leaves_its_name_free,
    notes_are_no_bans,
    what_is_over_or_too_long_is_no_note,
    full_notes_refuse_new_names_and_keep_the_old,
]

over_all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)

__all__ = ["CASES", "START", "Driver", "Usage", "over_all_cases"]
