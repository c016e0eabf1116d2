"""Which networks an address lies in: all networks of a policy flattened into one sorted table of ranges.

Knows nothing of rules: a network carries marks (small numbers), and a look-up answers the marks of every network around
an address in one bisection, however the networks nest or overlap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from proxyguard.core.address import V4_BASE, Network
from proxyguard.policy.compile.cooperative import YieldControl, in_steps, never_yield, sorted_in_steps

Marks = tuple[int, ...]

V4_LAST: Final = V4_BASE + 0xFFFF_FFFF


class NetworkTable:
    """Sorted range starts and, beside each, the marks that hold from there on."""

    __slots__ = ("_marks", "_starts")

    def __init__(self, networks: Iterable[tuple[Network, int]], yield_control: YieldControl = never_yield) -> None:
        edges: list[tuple[int, int, int]] = []
        for network, mark in networks:
            for first, last in own_family(network):
                edges += ((first, mark, 1), (last + 1, mark, -1))
        self._starts = [0]
        self._marks: list[Marks] = [()]
        open_marks: dict[int, int] = {}
        known: dict[Marks, Marks] = {(): ()}
        for place, mark, step in in_steps(sorted_in_steps(edges, yield_control), yield_control):
            count = open_marks.get(mark, 0) + step
            if count:
                open_marks[mark] = count
            else:
                del open_marks[mark]
            self._set(place, tuple(sorted(open_marks)), known)

    def _set(self, place: int, marks: Marks, known: dict[Marks, Marks]) -> None:
        marks = known.setdefault(marks, marks)
        if self._starts[-1] == place:
            self._marks[-1] = marks
        else:
            self._starts.append(place)
            self._marks.append(marks)

    def find(self, number: int) -> Marks:
        """Marks of the networks that contain an address of the common line."""
        return self._marks[bisect_right(self._starts, number) - 1]

    def __len__(self) -> int:
        return len(self._starts)


def own_family(network: Network) -> tuple[tuple[int, int], ...]:
    """The ranges of a network without addresses of the other family: `::/0` means every IPv6 client, and no IPv4 one.

    The common line has IPv4 inside `::/80`; an IPv6 network around it becomes the range before and the range after.
    """
    first, last = network.first, network.last
    if first >= V4_BASE or last <= V4_LAST:
        return ((first, last),)
    return ((first, V4_BASE - 1), (V4_LAST + 1, last))
