"""Long work cut into short steps, so that a policy can be compiled in a thread beside a serving event loop.

One call into C (a sort, a set of patterns) holds the interpreter for its whole length; these helpers keep each call short
and call `yield_control` between them. Knows nothing of what is being built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Any, Final, Protocol

YieldControl = Callable[[], object]
"""Called between steps of a compilation; a reload passes one that lets other threads run."""


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


SORT_STEP: Final = 4096
"""Items sorted in one call: about a millisecond."""

WORK_STEP: Final = 512
"""Items of a plain loop between two breaths: about a millisecond."""


def never_yield() -> None:
    """Go on at once: nothing else is waiting."""


def in_steps[Item](items: Sequence[Item], yield_control: YieldControl) -> Iterator[Item]:
    """The items in order, with a breath after every WORK_STEP of them."""
    for start in range(0, len(items), WORK_STEP):
        yield from items[start : start + WORK_STEP]
        yield_control()


def sorted_in_steps[Item: _Ordered](items: Sequence[Item], yield_control: YieldControl) -> list[Item]:
    """Like `sorted`, without one long call."""
    if len(items) <= SORT_STEP:
        return sorted(items)
    runs = []
    for start in range(0, len(items), SORT_STEP):
        runs.append(sorted(items[start : start + SORT_STEP]))
        yield_control()
    ordered: list[Item] = []
    for count, item in enumerate(merge(*runs)):
        ordered.append(item)
        if count % WORK_STEP == 0:
            yield_control()
    return ordered
