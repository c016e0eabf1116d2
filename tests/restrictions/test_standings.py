"""What the monitor says of each restriction: why it is on or off, until when, how far it sheds load, and whom it follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyguard.policy.model import Place, Restriction, RollBack
from proxyguard.restrictions.alarms import Signals
from proxyguard.restrictions.monitor import Ended, GivenRestriction, Look, Monitor, Overrides, identity
from tests.restrictions.test_monitor import BY_ALARM, BY_TIME, CALM, LOUD, SHED, STANDBY, Run

NOTHING = Overrides()
ENDED_BY_HAND = NOTHING.end("slow", Ended(1.0, "ended by command", identity(BY_TIME)))


@pytest.mark.parametrize(
    ("restriction", "orders", "now", "on", "words", "ends"),
    [
        (BY_TIME, NOTHING, 99.0, False, "it has not begun", None),
        (BY_TIME, NOTHING, 100.0, True, "by time", 1000.0),
        (BY_TIME, NOTHING, 1000.0, False, "it is over", None),
        (BY_TIME, ENDED_BY_HAND, 100.0, False, "ended by command", None),
        (BY_TIME, NOTHING.start("slow", 1.0, None), 2.0, True, "by command", 1000.0),
        (STANDBY, NOTHING, 100.0, False, "it waits for a command", None),
        (BY_ALARM, NOTHING, 100.0, False, "it waits for an alarm", None),
    ],
)
def test_a_restriction_stands_for_a_reason(
    restriction: Restriction, orders: Overrides, now: float, on: bool, words: str, ends: float | None
) -> None:
    [standing] = Monitor().look((restriction,), orders, CALM, {}, now).standings
    assert standing.restriction is restriction
    assert (standing.on, standing.reason, standing.ends, standing.step) == (on, words, ends, 0)
    assert standing.since == (now if on else None)


def look(monitor: Monitor, now: float, signals: Signals, alarms: dict[str, int], *, of: Restriction = SHED) -> Look:
    return monitor.look((of,), NOTHING, signals, {}, now, alarms)


def test_the_alarm_of_another_instance_is_followed_as_far_as_it_sheds() -> None:
    monitor = Monitor()
    followed = [look(monitor, 10.0 + step, CALM, {"shed": step}) for step in (1, 2, 9)]
    assert [each.standings[0].restriction for each in followed] == [SHED] * 3
    assert [(each.standings[0].on, each.standings[0].step) for each in followed] == [(True, 1), (True, 2), (True, 3)]
    assert {each.standings[0].reason for each in followed} == {"by the alarm of another instance"}
    assert followed[0].changes == (("shed", "on: by the alarm of another instance"),)
    assert [each.alarms for each in followed] == [{}] * 3  # what is followed is not said again: it would never end
    off = look(monitor, 20.0, CALM, {"others": 1})
    assert (off.standings[0].on, off.standings[0].step) == (False, 0)
    assert off.changes == (("shed", "off: it waits for an alarm"),)


def test_an_alarm_of_one_s_own_is_told_with_its_step_and_the_higher_step_counts() -> None:
    monitor = Monitor()
    for now in (0.0, 1.0, 2.0):
        assert look(monitor, now, LOUD, {}).alarms == {}
    raised = look(monitor, 3.0, LOUD, {"shed": 2})
    assert (raised.alarms, raised.standings[0].reason, raised.standings[0].step) == ({"shed": 1}, "by alarm", 2)
    assert look(monitor, 7.0, LOUD, {"shed": 1}).alarms == {"shed": 2}


def test_what_is_followed_can_be_rolled_back() -> None:
    spared = replace(BY_ALARM, roll_back=RollBack("signed-in", 0.05))
    monitor = Monitor()
    look(monitor, 1.0, CALM, {"auto": 1}, of=spared)
    found = monitor.look((spared,), NOTHING, CALM, {"auto": (20, 20)}, 2.0, {"auto": 1})
    words = "rolled back: it touched 20 of 20 signed-in clients, more than 5 %"
    assert (found.rolled_back, found.standings[0].on, found.standings[0].reason) == ((("auto", words),), False, words)
    assert found.standings[0].restriction is spared


def test_one_that_is_not_on_yet_is_not_rolled_back() -> None:
    spared = replace(BY_TIME, roll_back=RollBack("signed-in", 0.05))
    assert Run(spared).look(100.0, collateral={"slow": (20, 20)}).rolled_back == ()


def test_shedding_begins_anew_after_it_was_over() -> None:
    monitor = Monitor()

    def step(now: float, signals: Signals) -> int:
        return look(monitor, now, signals, {}).standings[0].step

    assert [step(now, LOUD) for now in (0.0, 3.0, 7.0)] == [0, 1, 2]
    assert [step(now, CALM) for now in (11.0, 15.0, 16.0)] == [1, 0, 0]
    assert [step(now, LOUD) for now in (20.0, 22.9, 23.0)] == [0, 0, 1]


def test_an_end_by_command_lowers_the_alarm_too() -> None:
    run = Run(BY_ALARM)
    assert [run.on(now, LOUD) for now in (0.0, 3.0)] == [[], ["auto"]]
    run.orders = run.orders.end("auto", Ended(4.0, "ended by command", identity(BY_ALARM)))
    assert run.on(4.0, LOUD) == []
    run.orders = Overrides()
    assert run.on(5.0, CALM) == []


def test_the_identity_is_that_of_what_a_restriction_does() -> None:
    assert identity(replace(BY_TIME, place=Place("elsewhere.yaml", 7, 1))) == identity(BY_TIME)
    assert identity(replace(BY_TIME, until=1000.5)) != identity(BY_TIME)
    assert len(identity(BY_TIME)) == 16


def test_orders_are_kept_until_the_second_in_which_they_end() -> None:
    given = GivenRestriction(1.0, 60.0, {"name": "given"})
    orders = ENDED_BY_HAND.start("prepared", 1.0, 50.0).give("given", given)
    known = (BY_TIME, STANDBY)
    assert orders.given == {"given": given}
    assert orders.only(known, 49.9) is orders
    assert (orders.only(known, 50.0).started, orders.only(known, 59.9).given) == ({}, {"given": given})
    assert orders.only(known, 60.0).given == {}
    endless = ENDED_BY_HAND.start("prepared", 1.0, None)
    assert endless.only(known, 999.9) == endless
    assert endless.only(known, 1000.0) == Overrides()
