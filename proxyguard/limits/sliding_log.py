"""At most so many within any period: the time of each of the last ones (a sliding log).

Pure: (state, now, limit, cost) -> (state, usage). Times are kept in thousandths of a second, rounded up, and compared with a
moment that is rounded down: never more than `amount` within `period_seconds`, wherever one begins to measure. A clock that is set
back stands still until it has caught up, or, when it is off by more than the period, takes the log back with it: nobody waits
longer than two periods. Knows nothing of keys or tables; charge.lua reads the same bytes.
"""

from __future__ import annotations

from math import ceil, floor, isfinite
from struct import Struct
from typing import Final

from proxyguard.limits.charge import Usage
from proxyguard.limits.limit import Limit

MAX_AMOUNT: Final = 1_000
"""Times kept of one key: 4 KB, which each charge copies."""

TICKS: Final = 1_000.0
"""In a second. A month of them fits into 32 bits."""

EARLY: Final = 1e-3
"""Of a tick: the rounding of Unix seconds, so that who waits for exactly `retry_after_seconds` passes."""

UNSEEN: Final = b""

MARK: Final = 1

TIME_BYTES: Final = 4

_END: Final = Struct("<d")
_HEAD: Final = Struct("<ddHB")
"""When the state may be forgotten (Unix seconds), the tick that times count from, the limit's amount, MARK. An odd number of
bytes, which no sketch has. Times follow, the oldest first."""
_TIME: Final = Struct("<I")
_HEAD_BYTES: Final = _HEAD.size
_MOST_TICKS: Final = 1 << 32


def end_of(state: bytes) -> float:
    """When the state may be forgotten."""
    end: float = _END.unpack_from(state)[0]
    return end


def amount_of(state: bytes) -> int:
    """The amount of the limit that a state is of."""
    amount: int = _HEAD.unpack_from(state)[2]
    return amount


def is_log(state: bytes) -> bool:
    """Whether a state that lies beside sketches is a log."""
    return len(state) % 2 == 1


def is_sound(state: bytes) -> bool:
    """Whether bytes can be a state."""
    size = len(state) - _HEAD_BYTES
    if not 0 <= size <= MAX_AMOUNT * TIME_BYTES or size % TIME_BYTES:
        return False
    end, base, amount, mark = _HEAD.unpack_from(state)
    if mark != MARK or not size <= amount * TIME_BYTES <= MAX_AMOUNT * TIME_BYTES or not isfinite(end) or not 0 <= base < 1e15:
        return False
    times = [each[0] for each in _TIME.iter_unpack(state[_HEAD_BYTES:])]
    return times == sorted(times)


def charge(
    state: bytes,
    now: float,
    limit: Limit,
    cost: float = 1.0,
    owed: bool = False,  # noqa: FBT001, FBT002 - as in gcra
) -> tuple[bytes, Usage]:
    """As `gcra.charge`, in whole units. What is owed beyond the amount takes the oldest's place; the newest is given back."""
    period = ceil(limit.period_seconds * TICKS - EARLY)
    amount = limit.amount
    at = ceil(now * TICKS - EARLY)
    until = floor(now * TICKS + EARLY)
    base = at
    count = (len(state) - _HEAD_BYTES) // TIME_BYTES if state else 0
    if count:
        base = int(_HEAD.unpack_from(state)[1])
        newest = base + _time(state, count - 1)
        if newest - at > period:
            base += at - newest
        elif newest > at:
            at = newest
            until = newest - 1
    over = _over(state, count, until - period - base)
    used = count - over
    units = ceil(cost)
    if units < 0:
        if not used:
            return state, Usage(exceeded=False, remaining=amount, retry_after_seconds=0.0)
        kept = max(0, used + units)
        begin = _HEAD_BYTES + over * TIME_BYTES
        times = state[begin : begin + kept * TIME_BYTES]
        return _packed(times, base, period, amount, now), Usage(False, amount - kept, 0.0)  # noqa: FBT003 - as in memory
    asked = min(units or 1, amount)
    exceeded = used + asked > amount
    wait = 0.0
    if exceeded:
        awaited = over + min(used, used + asked - amount) - 1
        wait = max(0.0, (base + _time(state, awaited) + period) / TICKS - now) if awaited >= over else limit.period_seconds
    if units and (owed or not exceeded):
        dropped = max(0, used + asked - amount)
        times = state[_HEAD_BYTES + (over + dropped) * TIME_BYTES :]
        if not times:
            base = at
        elif at - base >= _MOST_TICKS:
            times, base = _moved(times, base)
        state = _packed(times + _TIME.pack(at - base) * asked, base, period, amount, now)
        used += asked - dropped
    return state, Usage(exceeded, amount - used, wait)


def _packed(times: bytes, base: int, period: int, amount: int, now: float) -> bytes:
    end = (base + _TIME.unpack_from(times, len(times) - TIME_BYTES)[0] + period) / TICKS if times else now
    return _HEAD.pack(end, base, amount, MARK) + times


def _moved(times: bytes, base: int) -> tuple[bytes, int]:
    """The same times, counted from the first of them."""
    first: int = _TIME.unpack_from(times)[0]
    return b"".join([_TIME.pack(each[0] - first) for each in _TIME.iter_unpack(times)]), base + first


def _time(state: bytes, at: int) -> int:
    time: int = _TIME.unpack_from(state, _HEAD_BYTES + at * TIME_BYTES)[0]
    return time


def _over(state: bytes, count: int, edge: int) -> int:
    """How many times, from the oldest on, are not after `edge`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if _time(state, middle) <= edge:
            low = middle + 1
        else:
            high = middle
    return low
