"""Puts the requests of one log in the order of time, within a window.

Servers write a line when a request ends, load balancers and CDNs deliver in batches: lines are a little out of order. A
request waits until one has been read that is later by the window. A line that is later still than that keeps its place; when a
log jumps back far, again and again, it is in no order that a replay could follow, and is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

from proxyguard.core.units import duration_text, format_time
from proxyguard.tools.replay.logged_request import LoggedRequest

REORDER_SECONDS: Final = 10.0
"""The window unless the operator gives another."""

MAX_REORDER_SECONDS: Final = 86_400.0

MAX_WAITING: Final = 200_000
"""Requests that wait at most, about 200 MB; beyond, the earliest goes on before its time."""

FAR_SECONDS: Final = 600.0
"""Back by more than this, another log may have begun."""

MAX_JUMPS: Final = 20
"""Jumps far back after which a log is refused: nobody joins that many logs in the wrong order."""


class LogDisordered(Exception):
    """A log is not in the order of time. The message says where."""


class Order:
    """Counts what was out of order in one log. `place`: where the line that was read last is, as FILE:LINE."""

    __slots__ = ("_jumps", "_place", "_window", "crowded", "late", "worst_place", "worst_seconds")

    def __init__(self, window: float, place: Callable[[], str]) -> None:
        self._window = window
        self._place = place
        self._jumps = 0
        self.late = 0
        """Lines that came too late to be put in order, not counting jumps far back."""
        self.worst_seconds = 0.0
        self.worst_place = ""
        self.crowded = 0
        """Requests that went on early for want of room."""

    def sorted(self, entries: Iterable[LoggedRequest]) -> Iterator[LoggedRequest]:
        """The entries by time, as far as the window reaches. Raises LogDisordered."""
        waiting: deque[LoggedRequest] = deque()  # in order as they were read
        strayed: list[tuple[float, int, LoggedRequest]] = []  # a heap of those that were not
        window = self._window
        far = max(window, FAR_SECONDS)
        newest = gone = float("-inf")
        count = 0
        for entry in entries:
            time = entry.time
            if time >= newest:
                waiting.append(entry)
                if time == newest and len(waiting) < MAX_WAITING:
                    continue  # nothing has become due
                newest = time
            elif time < newest - far:
                self._jump(time, newest)
                yield from _drained(waiting, strayed)
                waiting.append(entry)
                newest, gone = time, float("-inf")
            elif time >= newest - window and time >= gone:
                count += 1
                heappush(strayed, (time, count, entry))
            else:
                if time < gone:
                    self._too_late(newest - time)
                gone = max(gone, time)
                yield entry
            end = newest - window
            while strayed and strayed[0][0] <= end:
                first = next(_drained(waiting, strayed))
                gone = first.time
                yield first
            while waiting and waiting[0].time <= end:
                first = waiting.popleft()
                gone = first.time
                yield first
            if len(waiting) + len(strayed) > MAX_WAITING:
                self.crowded += 1
                first = next(_drained(waiting, strayed))
                gone = first.time
                yield first
        yield from _drained(waiting, strayed)

    def _too_late(self, seconds: float) -> None:
        self.late += 1
        if seconds > self.worst_seconds:
            self.worst_seconds, self.worst_place = seconds, self._place()

    def _jump(self, time: float, newest: float) -> None:
        self._jumps += 1
        if self._jumps >= MAX_JUMPS:
            back = newest - time
            raise LogDisordered(
                f"{self._place()}: the log is not in the order of time: this line is of {format_time(time)} UTC, "
                f"{duration_text(round(back))} before one above it, and it is the {MAX_JUMPS}th time that it jumps back so far\n"
                f"  hint: sort it by time before it is read; or put its lines in order with --reorder {_suggested(back)}; "
                "several logs go in as several files, which are merged"
            )

    def note(self, name: str) -> str:
        """What the operator should know about the order of this log; '' when all is well."""
        found = []
        if self.late:
            noun = "line is" if self.late == 1 else "lines are"
            found.append(
                f"{self.late:,} {noun} too late for the window of {duration_text(self._window)}, the worst by "
                f"{self.worst_seconds:,.0f} s at {self.worst_place}: the clock stood still; "
                f"--reorder {_suggested(self.worst_seconds)} puts them in order"
            )
        if self.crowded:
            found.append(
                f"more than {MAX_WAITING:,} requests were in the window of {duration_text(self._window)}: "
                f"{self.crowded:,} went on early"
            )
        return f"{name}: " + "; ".join(found) if found else ""


def _drained(waiting: deque[LoggedRequest], strayed: list[tuple[float, int, LoggedRequest]]) -> Iterator[LoggedRequest]:
    """Takes out the requests of both by time, those that were in order first."""
    while waiting or strayed:
        if waiting and not (strayed and strayed[0][0] < waiting[0].time):
            yield waiting.popleft()
        else:
            yield heappop(strayed)[2]


def _suggested(seconds: float) -> str:
    """A round duration that is long enough, as `--reorder` takes it."""
    for choice in (10, 30, 60, 300, 600, 1800, 3600, 7200, 21_600, 43_200):
        if seconds < choice:
            return duration_text(choice)
    return duration_text(MAX_REORDER_SECONDS)
