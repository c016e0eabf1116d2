"""How many requests are under way: by holder (a process that serves some of them), each until its lease ends.

Pure: (state, now, limit, holder, cost, owed) -> (state, usage). A holder says of each key how many it has, before a third of
the lease is over; what a dead one had is forgotten when its lease ends. Knows nothing of processes or tables.
"""

from __future__ import annotations

from math import inf
from typing import Final

from proxyguard.limits.charge import Usage
from proxyguard.limits.limit import Limit

type Holders = tuple[tuple[str, int, float], ...]
"""Holder, how many, until when (Unix seconds)."""

UNSEEN: Final[Holders] = ()

HERE: Final = ""
"""The holder of a store that ends with its process: its lease does not."""

RETRY_SECONDS: Final = 1.0
"""When to come again: nobody knows when a request will be over."""


def end_of(state: Holders) -> float:
    """When a state may be forgotten."""
    return max((end for _, _, end in state), default=0.0)


def charge(
    state: Holders,
    now: float,
    limit: Limit,
    holder: str = HERE,
    cost: float = 1.0,
    owed: bool = False,  # noqa: FBT001, FBT002 - as in gcra
) -> tuple[Holders, Usage]:
    """One more of a holder if it fits; a cost of 0 looks. Owed: so many less, or, when positive, this is how many it has."""
    own, others = 0, 0
    for name, count, end in state:
        if end > now:
            if name == holder:
                own = count
            else:
                others += count
    exceeded = False
    if owed:
        own = int(cost) if cost > 0 else max(0, own + int(cost))
    else:
        exceeded = own + others + 1 > limit.amount
        if cost and not exceeded:
            own += 1
    if cost and not exceeded:
        kept = tuple(entry for entry in state if entry[0] != holder and entry[2] > now)
        state = (*kept, (holder, own, inf if holder == HERE else now + limit.period_seconds)) if own else kept
    return state, Usage(exceeded, max(0, limit.amount - own - others), RETRY_SECONDS if exceeded else 0.0)
