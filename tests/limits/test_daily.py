"""What is usual for a key: the median of earlier days, whatever a client does today."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from proxyguard.limits.daily import (
    DAY_SECONDS,
    DAYS,
    KEYS_OF_NETWORK,
    LEAST_SURGE,
    MAX_KEYS,
    MOST_SURGES,
    DailyUse,
    place_of,
    rule_of,
)

NAME = "quota"
RULE = f"{NAME}~aaaaaa"
OFFICE = f"{RULE}|192.0.2.1"
HOME = f"{RULE}|198.51.100.9"
NETWORK = "network:192.0.2.0/24"


class Days:
    """A table on a clock of its own; each day begins at midnight."""

    def __init__(self) -> None:
        self.daily = DailyUse()
        self.today = 20_000

    def spend(self, use: dict[str, float], requests: int = 10) -> None:
        """One day on which keys used so much, in so many requests."""
        now = self.today * DAY_SECONDS
        self.daily.turn(now, now)
        for key, used in use.items():
            for at in range(requests):
                self.daily.observe(rule_of(key), key, NETWORK, used * (at + 1) / requests, 50.0)
        self.today += 1

    def restart(self) -> None:
        """The last day goes on with what was kept of it."""
        kept, self.daily = json.loads(json.dumps(self.daily.as_data())), DailyUse()
        self.daily.restore(kept, self.today * DAY_SECONDS)

    def usual(self, key: str) -> float:
        now = self.today * DAY_SECONDS
        self.daily.turn(now, now)
        return self.daily.usual(rule_of(key), key)


def test_nothing_is_usual_before_three_days_are_known() -> None:
    days = Days()
    found = []
    for _ in range(4):
        found.append(days.usual(OFFICE))
        days.spend({OFFICE: 500})
    assert found == [-1.0, -1.0, -1.0, 500.0]


def test_one_day_can_stand_for_a_week_and_what_comes_after_it_is_learned_as_ever() -> None:
    days = Days()
    days.spend({OFFICE: 500})
    assert days.usual(OFFICE) == -1.0
    days.daily.repeat_day()
    assert (days.usual(OFFICE), days.usual(HOME)) == (500.0, 0.0)
    for _ in range(3):
        days.spend({OFFICE: 100})
    assert days.usual(OFFICE) == 500.0
    days.spend({OFFICE: 100})
    assert days.usual(OFFICE) == 100.0


def test_today_does_not_count() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 100})
    assert days.usual(OFFICE) == 100.0
    days.daily.observe(NAME, OFFICE, NETWORK, 9_000, 50.0)
    assert days.daily.usual(NAME, OFFICE) == 100.0


def test_weekends_do_not_lower_what_is_usual() -> None:
    days = Days()
    for day in range(21):
        days.spend({OFFICE: 400 if day % 7 < 5 else 0, HOME: 10})
    assert days.usual(OFFICE) == 400.0


def test_three_days_of_seven_make_nothing_usual() -> None:
    days = Days()
    for day in range(14):
        days.spend({HOME: 600 if day % 7 < 3 else 10, OFFICE: 100})
    assert days.usual(HOME) == 0.0


def test_who_uses_all_it_has_needs_four_days_for_each_doubling() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 100})
    allowed = []
    for _ in range(12):
        mine = max(100.0, 2 * days.usual(HOME))
        allowed.append(mine)
        days.spend({HOME: mine, OFFICE: 100})
    assert allowed == [100.0] * 4 + [200.0] * 4 + [400.0] * 4


def test_a_key_that_stays_away_for_a_week_is_forgotten() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 400})
    for _ in range(8):
        days.spend({HOME: 100})
    assert days.usual(OFFICE) == 0.0
    days.spend({f"{RULE}|192.0.2.77": 100, f"{RULE}|192.0.2.78": 100})
    assert len(days.daily) == 3  # the office gave up its room


def test_what_is_far_below_the_limit_takes_no_room() -> None:
    days = Days()
    days.spend({HOME: 49.0})
    assert len(days.daily) == 0


def test_a_day_of_surge_teaches_nothing() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 100})
    crowd = {f"{RULE}|203.0.113.{each}": 300.0 for each in range(100)}
    for _ in range(5):
        days.spend({**crowd, OFFICE: 100}, requests=int(LEAST_SURGE / 10))
    assert days.usual(OFFICE) == 100.0
    assert days.usual(f"{RULE}|203.0.113.5") == 0.0


def test_after_a_week_a_surge_is_how_things_are() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 100})
    for _ in range(MOST_SURGES + 4):
        days.spend({f"{RULE}|203.0.113.{each}": 300.0 for each in range(100)}, requests=50)
    assert days.usual(f"{RULE}|203.0.113.5") == 300.0


def test_a_frozen_day_teaches_nothing() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 100})
    for _ in range(4):
        days.daily.freeze()
        days.spend({OFFICE: 900})
        days.daily.freeze()
    assert days.usual(OFFICE) == 100.0


def test_a_day_that_was_frozen_before_a_restart_teaches_nothing() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 100})
    for _ in range(4):
        days.spend({OFFICE: 900})
        days.daily.freeze()
        days.restart()
    assert days.usual(OFFICE) == 100.0


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
def test_a_day_is_one_of_the_time_zone_that_the_limit_has(zone: str) -> None:
    """Else what was used until midnight there would stand in two days."""
    daily = DailyUse()
    midnight = datetime(2026, 1, 5, tzinfo=ZoneInfo(zone)).timestamp()
    for day in range(14):
        for hour in range(24):
            now = midnight + day * DAY_SECONDS + hour * 3600.0
            daily.turn(now, now)
            daily.begin("quota", zone)
            daily.observe(NAME, OFFICE, NETWORK, 100.0 + hour if day % 2 else 0.0, 50.0)
        if day == 10:
            kept, daily = json.loads(json.dumps(daily.as_data())), DailyUse()
            daily.restore(kept, now)
    [(_, _, today, days)] = daily.as_data()["keys"].values()
    assert (today, days) == (123.0, [0.0, 123.0, 0.0, 123.0, 0.0, 123.0, 0.0])
    assert daily.usual(NAME, OFFICE) == 0.0


def test_what_was_kept_before_zones_had_days_is_taken_over() -> None:
    days = Days()
    for _ in range(4):
        days.spend({OFFICE: 100})
    kept = days.daily.as_data()
    del kept["zones"]
    kept["day"] = kept.pop("days")["UTC"]
    days.daily = DailyUse()
    days.daily.restore(kept, days.today * DAY_SECONDS)
    assert days.usual(OFFICE) == 100.0


def test_a_network_cannot_take_the_room_of_others() -> None:
    daily = DailyUse()
    daily.turn(0.0, 0.0)
    for each in range(5_000):
        daily.observe(NAME, f"{RULE}|2001:db8:0:{each:x}::/64", "network:2001:db8::/48", 900, 50.0)
    assert len(daily) == KEYS_OF_NETWORK
    assert daily.refusals == 5_000 - KEYS_OF_NETWORK
    daily.observe(NAME, OFFICE, NETWORK, 900, 50.0)
    assert len(daily) == KEYS_OF_NETWORK + 1


def test_a_full_table_keeps_whom_it_has() -> None:
    daily = DailyUse()
    daily.turn(0.0, 0.0)
    daily.observe(NAME, OFFICE, NETWORK, 900, 50.0)
    for each in range(MAX_KEYS + 10):
        daily.observe(NAME, f"{RULE}|{each}", f"network:{each // 100}", 900, 50.0)
    assert len(daily) == MAX_KEYS
    assert daily.refusals == 11
    for day in range(1, 4):
        daily.turn(day * DAY_SECONDS, day * DAY_SECONDS)
        daily.observe(NAME, OFFICE, NETWORK, 900, 50.0)
    assert daily.usual(NAME, OFFICE) == 900.0


def test_who_comes_every_day_does_not_keep_the_room_of_those_who_stayed_away() -> None:
    daily = DailyUse()
    daily.turn(0.0, 0.0)
    daily.begin("quota")
    for day in range(1, 20):
        daily.turn(day * DAY_SECONDS, day * DAY_SECONDS)
        daily.usual(NAME, OFFICE)  # asked for before each charge
        daily.observe(NAME, OFFICE, NETWORK, 900, 50.0)
        if day == 4:
            for each in range(MAX_KEYS - 1):
                daily.observe(NAME, f"{RULE}|{each}", f"network:{each // 100}", 900, 50.0)
    daily.observe(NAME, HOME, "network:198.51.100.0/24", 900, 50.0)
    assert daily.refusals == 0


@pytest.mark.parametrize("moved", [-40, -3, 3, 400])
def test_a_clock_that_is_set_moves_one_day_at_most(moved: int) -> None:
    days = Days()
    for _ in range(DAYS):
        days.spend({OFFICE: 300})
    now = days.today * DAY_SECONDS
    for minute in range(60):
        days.daily.turn(now + minute * 60, now + (moved * DAY_SECONDS if minute % 2 else 0) + minute * 60)
    assert days.daily.usual(NAME, OFFICE) == 300.0
    assert days.daily.as_data()["rules"]["quota"][0] == DAYS  # days that ended


def test_history_outlives_a_change_of_the_rate_and_of_the_mode() -> None:
    days = Days()
    for _ in range(7):
        days.spend({OFFICE: 300})
    assert days.usual("quota!bbbbbb|192.0.2.1") == 300.0
    assert days.usual("other~aaaaaa|192.0.2.1") == -1.0


def test_what_is_known_goes_through_json() -> None:
    days = Days()
    for _ in range(5):
        days.spend({OFFICE: 300, HOME: 80})
    other = DailyUse()
    now = days.today * DAY_SECONDS
    other.restore(json.loads(json.dumps(days.daily.as_data())), now)
    other.turn(now, now)
    assert (other.usual(NAME, OFFICE), other.usual(NAME, HOME), len(other)) == (300.0, 80.0, 2)


@pytest.mark.parametrize("data", [{}, {"day": 1, "rules": {"a": [1]}, "keys": {}}, {"day": 1, "rules": {}, "keys": {"a": 5}}])
def test_what_is_no_history_is_refused_and_changes_nothing(data: dict[str, object]) -> None:
    days = Days()
    for _ in range(4):
        days.spend({OFFICE: 300})
    with pytest.raises((KeyError, TypeError, ValueError)):
        days.daily.restore(data, 0.0)
    assert days.usual(OFFICE) == 300.0


def test_who_asks_for_it_is_forgotten_and_nobody_else() -> None:
    daily = DailyUse()
    daily.turn(0.0, 0.0)
    for client in ("192.0.2.1", "192.0.2.10"):
        daily.observe("of-a-client", f"of-a-client~abcdef|{client}", "192.0.2.0/24", 50.0, 1.0)
        daily.observe("of-both", f"of-both~abcdef|/a|{client}|x", "192.0.2.0/24", 50.0, 1.0)
    assert daily.forget("192.0.2.1") == 2
    assert [place for place in daily.as_data()["keys"] if place.endswith("192.0.2.1")] == []
    assert len(daily) == 2
    assert daily.forget("192.0.2.1") == 0


@pytest.mark.parametrize("mark", ["~", "!"])
def test_what_a_client_sent_is_no_part_of_the_name_of_a_rule(mark: str) -> None:
    key = f"quota{mark}aaaaaa|192.0.2.1|/~alice/a!b"
    assert rule_of(key) == "quota"
    assert place_of("quota", key) == "quota~|192.0.2.1|/~alice/a!b"
    assert rule_of(place_of("quota", key)) == "quota"
