"""Lines that are out of order: sorted within a window, told of beyond it, refused when there is no order at all."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from proxyguard.tools.replay import order
from proxyguard.tools.replay.logged_request import LoggedRequest
from proxyguard.tools.replay.order import MAX_JUMPS, LogDisordered, Order

START = 1_795_424_400.0


def requests(times: Iterable[float]) -> list[LoggedRequest]:
    return [LoggedRequest(START + time, b"192.0.2.1", b"GET", b"/%d" % at, b"1.1", ()) for at, time in enumerate(times)]


def ordered(times: Iterable[float], window: float = 10.0) -> tuple[list[float], Order]:
    found = Order(window, lambda: "log:7")
    return [entry.time - START for entry in found.sorted(requests(times))], found


def test_a_log_in_order_stays_as_it_is() -> None:
    entries = requests([0, 0, 1, 1, 1, 30, 31])
    assert list(Order(10, str).sorted(entries)) == entries


def test_equal_times_keep_their_order() -> None:
    found = Order(10, str).sorted(requests([5, 3, 5, 3, 3]))
    assert [entry.target for entry in found] == [b"/1", b"/3", b"/4", b"/0", b"/2"]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_shuffled_within_the_window_is_sorted(seed: int) -> None:
    rng = random.Random(seed)
    times = sorted((at + rng.uniform(0, 9.9), at) for at in range(500))
    found, state = ordered([at for _, at in times])
    assert found == list(range(500))
    assert state.note("log") == ""


def test_a_line_that_is_too_late_keeps_its_place_and_is_named() -> None:
    found, state = ordered([0, 60, 100, 30, 101])
    assert found == [0, 60, 30, 100, 101]
    assert state.note("log") == (
        "log: 1 line is too late for the window of 10s, the worst by 70 s at log:7: the clock stood still; "
        "--reorder 5m puts them in order"
    )
    assert ordered([0, 60, 100, 30, 101], 300)[0] == [0, 30, 60, 100, 101]


def test_without_a_window_nothing_waits() -> None:
    entries = iter(requests([0, 1]))
    found = Order(0, str).sorted(entries)
    assert next(found).time == START
    assert ordered([3, 2], 0)[0] == [3, 2]


def test_another_log_may_begin_now_and_then_but_not_for_ever() -> None:
    again = [start + at for start in range(MAX_JUMPS - 1) for at in (0, 5000)]
    found, state = ordered(again)
    assert (len(found), state.late) == (len(again), 0)
    with pytest.raises(LogDisordered) as caught:
        ordered([*again, 0, 5000, 0, 5000, 0])
    assert str(caught.value).startswith(
        "log:7: the log is not in the order of time: this line is of 2026-11-23 09:00:00 UTC, 5000s before one above it, and it "
        "is the 20th time that it jumps back so far\n  hint: sort it by time before it is read; or put its lines in order with "
        "--reorder 2h;"
    )


def test_only_so_many_requests_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "MAX_WAITING", 4)
    found, state = ordered([0, 1, 2, 3, 4, 5, 1, 6])
    assert sorted(found) == [0, 1, 1, 2, 3, 4, 5, 6]
    assert state.crowded > 0
    assert "went on early" in state.note("log")
