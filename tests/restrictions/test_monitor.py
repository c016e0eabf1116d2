"""The monitor tick by tick: when restrictions come on, go off, step, and are rolled back."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.policy.model import Alarm, Restriction, RollBack, Shed
from proxyguard.restrictions.alarms import Meter, Signals, Totals
from proxyguard.restrictions.monitor import (
    MOVES,
    PRECEDENCE,
    Ended,
    GivenRestriction,
    Load,
    Look,
    Monitor,
    Overrides,
    Reason,
    Started,
    identity,
)
from proxyguard.restrictions.pauses import Pause

CALM, LOUD = Signals(10.0, 0.1, 0.0), Signals(900.0, 0.1, 0.0)
AFTER_EASING = Signals(450.0, 0.1, 0.0)

BY_TIME = Restriction(name="slow", why="Because.", start=100.0, until=1000.0)
BY_ALARM = replace(BY_TIME, name="auto", start=None, alarm=Alarm(requests_per_second=500.0, for_seconds=3.0), hold_seconds=5.0)
STANDBY = replace(BY_TIME, name="prepared", start=None, standby=True)
SHED = replace(
    BY_ALARM, name="shed", shed=Shed(every_seconds=4.0, steps=("suspected", "anonymous", "new")), steps=3, hold_seconds=600.0
)


class Run:
    """A monitor with its orders, on a clock of its own."""

    def __init__(self, *restrictions: Restriction) -> None:
        self.restrictions = restrictions
        self.monitor = Monitor()
        self.orders = Overrides()

    def look(self, now: float, signals: Signals = CALM, collateral: dict[str, tuple[int, int]] | None = None) -> Look:
        return self.monitor.look(self.restrictions, self.orders, signals, collateral or {}, now)

    def on(self, now: float, signals: Signals = CALM) -> list[str]:
        return [each.restriction.name for each in self.look(now, signals).standings if each.on]


def test_one_by_time_is_on_from_its_beginning_to_its_end() -> None:
    run = Run(BY_TIME)
    assert [run.on(now) for now in (0.0, 99.9, 100.0, 999.9, 1000.0)] == [[], [], ["slow"], ["slow"], []]


def test_what_changes_is_said_once() -> None:
    run = Run(BY_TIME)
    assert [run.look(now).changes for now in (0.0, 100.0, 101.0, 1000.0, 1001.0)] == [
        (),
        (("slow", "on: by time"),),
        (),
        (("slow", "off: it is over"),),
        (),
    ]


def test_one_on_standby_waits_for_its_command_and_keeps_to_both_ends() -> None:
    run = Run(STANDBY)
    assert run.on(10.0) == []
    run.orders = run.orders.start("prepared", since=20.0, until=50.0)
    standing = run.look(20.0).standings[0]
    assert (standing.on, standing.reason, standing.since, standing.ends) == (True, "by command", 20.0, 50.0)
    assert run.on(50.0) == []
    run.orders = run.orders.start("prepared", since=60.0, until=5000.0)
    assert run.look(60.0).standings[0].ends == 1000.0
    assert run.on(1000.0) == []


def test_one_ended_by_command_stays_off_until_it_is_started_or_changed() -> None:
    run = Run(BY_TIME)
    assert run.on(100.0) == ["slow"]
    run.orders = run.orders.end("slow", Ended(101.0, "ended by command", identity(BY_TIME)))
    assert run.on(102.0) == []
    run.restrictions = (replace(BY_TIME, why="Because of others."),)
    assert run.on(103.0) == ["slow"]
    run.restrictions = (BY_TIME,)
    assert run.on(104.0) == []
    run.orders = run.orders.start("slow", 105.0, None)
    assert run.on(105.0) == ["slow"]


def test_an_alarm_has_to_last_and_is_held() -> None:
    run = Run(BY_ALARM)
    assert [run.on(now, LOUD) for now in (0.0, 1.0, 2.0)] == [[], [], []]
    assert run.on(2.5, CALM) == []
    assert [run.on(now, LOUD) for now in (3.0, 5.0, 5.9, 6.0)] == [[], [], [], ["auto"]]
    assert [run.on(now, CALM) for now in (7.0, 10.9)] == [["auto"], ["auto"]]
    assert run.on(11.0, CALM) == []
    assert run.on(12.0, LOUD) == []


def test_an_alarm_does_not_outlive_the_restriction() -> None:
    run = Run(BY_ALARM)
    assert [run.on(now, LOUD) for now in (990.0, 994.0, 999.0, 1000.0)] == [[], ["auto"], ["auto"], []]


@pytest.mark.parametrize("after", [CALM, LOUD])
def test_an_alarm_of_before_a_command_does_not_count_when_the_command_ends(after: Signals) -> None:
    run = Run(BY_ALARM)
    assert run.on(1.0, LOUD) == []
    run.orders = run.orders.start("auto", 2.0, 100.0)
    assert [run.on(float(now), CALM) for now in range(2, 100)] == [["auto"]] * 98
    assert run.on(100.0, after) == []


def test_load_is_shed_step_by_step_and_back_the_same_way() -> None:
    run = Run(SHED)

    def step(now: float, signals: Signals) -> int:
        return run.look(now, signals).standings[0].step

    assert [step(float(now), LOUD) for now in range(17)] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]
    assert [step(float(now), AFTER_EASING) for now in range(17, 24)] == [3] * 7
    assert [step(float(now), CALM) for now in range(24, 36)] == [2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0]
    assert run.on(36.0, CALM) == []


def test_one_that_touches_the_wrong_people_is_rolled_back() -> None:
    spared = replace(BY_TIME, roll_back=RollBack("signed-in", 0.05))
    run = Run(spared)
    run.look(100.0)
    assert run.look(101.0, collateral={"slow": (19, 19)}).rolled_back == ()
    assert run.look(101.0, collateral={"slow": (1, 20)}).rolled_back == ()
    assert run.look(102.0, collateral={"slow": (5, 100)}).rolled_back == ()
    look = run.look(103.0, collateral={"slow": (6, 100)})
    words = "rolled back: it touched 6 of 100 signed-in clients, more than 5 %"
    assert look.rolled_back == (("slow", words),)
    assert look.changes == (("slow", f"off: {words}"),)
    run.orders = run.orders.end("slow", Ended(103.0, words, identity(spared)))
    assert run.look(104.0).standings[0].reason == words


def order_of(step: tuple[str, str], at: float, orders: Overrides) -> Overrides:
    what, name = step
    match what:
        case "start":
            return orders.start(name, at, None)
        case "give":
            return orders.give(name, GivenRestriction(at, 1000.0, {"name": name}))
        case _:
            return orders.end(name, Ended(at, "ended by command", "id"))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["start", "give", "end"]), st.sampled_from("ab")), max_size=8))
def test_instances_that_heard_the_same_orders_agree_whoever_heard_what_first(steps: list[tuple[int, str, str]]) -> None:
    instances = [Overrides(), Overrides(), Overrides()]
    every = Overrides()
    for at, (instance, what, name) in enumerate(steps):
        instances[instance] = order_of((what, name), float(at), instances[instance])
        every = order_of((what, name), float(at), every)
    found, *others = (first.merged(second).merged(third) for first, second, third in permutations(instances))
    assert all(other == found for other in others)
    assert found.merged(found) == found
    # Who only hears of an end, or of a start, of something that was also given, knows no less than who gave it.
    assert {*found.started, *found.given} == {*every.started, *every.given}
    assert [found.ending(name) for name in "ab"] == [every.ending(name) for name in "ab"]


def test_one_is_rolled_back_as_soon_as_twenty_were_seen() -> None:
    run = Run(replace(BY_TIME, roll_back=RollBack("signed-in", 0.05)))
    run.look(100.0)
    look = run.look(101.0, collateral={"slow": (2, 20)})
    assert look.rolled_back == (("slow", "rolled back: it touched 2 of 20 signed-in clients, more than 5 %"),)
    assert (look.standings[0].cause, look.standings[0].on) == (Reason.ROLLED_BACK, False)


def test_of_a_start_and_an_end_in_the_same_second_the_end_counts() -> None:
    ended = Overrides().end("slow", Ended(5.0, "ended by command", "id"))
    started = Overrides().start("slow", 5.0, None).give("slow", GivenRestriction(5.0, 1000.0, {"name": "slow"}))
    for merged in (ended.merged(started), started.merged(ended)):
        assert merged == ended


def test_an_alarm_knows_a_move_for_every_load() -> None:
    assert set(MOVES) == {(raised, load) for raised in (False, True) for load in Load}
    assert [reason for reason, _ in PRECEDENCE] == [each for each in Reason if each is not Reason.ROLLED_BACK]


def test_orders_that_no_longer_matter_are_forgotten() -> None:
    orders = Overrides().start("prepared", 1.0, 50.0).start("gone", 1.0, None)
    orders = orders.end("slow", Ended(1.0, "ended by command", identity(BY_TIME)))
    assert orders.only((BY_TIME, STANDBY), 10.0).started.keys() == {"prepared"}
    assert orders.only((BY_TIME, STANDBY), 50.0).started == {}
    assert orders.only((BY_TIME, STANDBY), 50.0).ended.keys() == {"slow"}
    assert orders.only((replace(BY_TIME, status=503),), 50.0).ended == {}
    kept = orders.only((BY_TIME, STANDBY), 10.0)
    assert kept.only((BY_TIME, STANDBY), 11.0) is kept


BOUNDS = (0.1, 1.0, 10.0, 10.0)


def totals(requests: int, *within: int, errors: int = 0) -> Totals:
    return Totals(requests, sum(within), errors, within)


def test_the_meter_sees_the_last_ten_ticks() -> None:
    meter = Meter(BOUNDS)
    assert meter.feed(totals(1000, 5, 0, 0, 0), 0.0) == Signals()
    signals = meter.feed(totals(1200, 5, 95, 5, 0, errors=20), 1.0)
    assert (signals.requests_per_second, signals.upstream_p95_seconds, signals.upstream_error_share) == (200.0, 1.0, 0.2)
    for tick in range(2, 13):
        signals = meter.feed(totals(1200, 5, 95, 5, 0, errors=20), float(tick))
    assert signals == Signals(0.0, None, None)


@pytest.mark.parametrize(
    ("within", "p95"), [((100, 0, 0, 0), 0.095), ((0, 100, 0, 0), 0.955), ((90, 0, 10, 0), 5.5), ((0, 0, 0, 100), 10.0)]
)
def test_the_percentile_lies_between_two_bounds(within: tuple[int, ...], p95: float) -> None:
    meter = Meter(BOUNDS)
    meter.feed(totals(0, 0, 0, 0, 0), 0.0)
    assert meter.feed(totals(100, *within), 1.0).upstream_p95_seconds == pytest.approx(p95)


def test_few_answers_say_nothing_and_a_new_process_begins_anew() -> None:
    meter = Meter(BOUNDS)
    meter.feed(totals(0, 0, 0, 0, 0), 0.0)
    assert meter.feed(totals(19, 0, 0, 19, 0, errors=19), 1.0) == Signals(19.0, None, None)
    assert meter.feed(totals(3, 0, 0, 0, 0), 2.0) == Signals()


def test_the_counts_of_workers_add_up() -> None:
    assert totals(5, 1, 2, errors=1).plus(totals(7, 3, 4, 5)) == Totals(12, 15, 1, (4, 6, 5))


def test_pauses_are_kept_beside_other_orders_until_their_time_is_over() -> None:
    first, second = Pause(0.0, 10.0, 10.0), Pause(5.0, 20.0, 20.0)
    orders = Overrides().start("slow", 1.0, None).pause("a", first)
    assert (orders.paused, orders.started) == ({"a": first}, {"slow": Started(1.0, None)})
    merged = orders.merged(Overrides().pause("b", second))
    assert merged.paused == {"a": first, "b": second}
    kept = merged.only([BY_TIME], second.kept - 0.001)
    assert (kept.paused, kept.started) == ({"b": second}, {"slow": Started(1.0, None)})
    assert merged.only([BY_TIME], second.kept).paused == {}
    ahead = merged.only([BY_TIME], BY_TIME.until + 5.0, 10.0)
    assert ahead.started == {"slow": Started(1.0, None)}
    assert merged.only([BY_TIME], BY_TIME.until + 5.0).started == {}
