"""The arithmetic of a sliding limit (GCRA, the generic cell rate algorithm): (state, now, limit, cost) -> (state, usage).

Each unit charged takes `period / amount` seconds to be given back; the units not given back yet are the backlog, and a
charge fits while the backlog stays within `burst` units. There are no window edges to wait for or to abuse. Knows
nothing of keys, tables or clocks.
"""

from __future__ import annotations

from typing import Final

from proxyguard.limits.charge import Usage, fitting
from proxyguard.limits.limit import Limit

State = complex
"""A pair of doubles in 32 bytes. `real`: the time (Unix seconds) from which the key may be forgotten; for GCRA that is when
the whole backlog is given back. `imag`: what `real` lost in rounding, so that a million small steps add up exactly."""

IMAG: Final = 1j
"""A sum with it costs less than a call of `complex`, and is exact: it adds zeros."""

UNSEEN: Final = 0j
"""The state of a key without a backlog."""

DEBT_BURSTS: Final = 2.0
"""A backlog never exceeds so many bursts: the bound on what one enormous response, a limit that an operator just
lowered, or a clock set back can make a client wait."""


def charge(
    state: State,
    now: float,
    limit: Limit,
    cost: float = 1.0,
    owed: bool = False,  # noqa: FBT001, FBT002 - positional: half the cost of the call
) -> tuple[State, Usage]:
    """Charge `cost` units, or none of them when they do not fit; then the state comes back as it was.

    A cost of 0 changes nothing and is exceeded when not even one unit would fit. A cost above the burst asks for the
    whole burst. An `owed` cost has already arisen: it is counted even when it does not fit. A negative one, owed, gives units
    back, never more than there are.
    """
    unit = limit.interval_seconds
    fits = limit.fits_seconds
    backlog = (state.real - now) + state.imag
    if cost == 1.0 and not owed:  # nearly all charges are for one unit, and fit
        after = backlog + unit if backlog > 0.0 else unit
        if after <= fits:
            whole = now + after
            return whole + IMAG * (after - (whole - now)), fitting(int((fits - after) / unit))
    room = limit.burst * unit
    most = DEBT_BURSTS * room
    if backlog <= 0.0:
        backlog = 0.0
    elif backlog > most:
        backlog = most
    asked = cost * unit if cost else unit
    if asked > room and not owed:
        asked = room
    after = backlog + asked
    if after < 0.0:
        if not backlog:
            return state, Usage(exceeded=False, remaining=limit.burst, retry_after_seconds=0.0)
        after = 0.0
    exceeded = after > fits
    if cost and (owed or not exceeded):
        backlog = after if after < most else most  # noqa: FURB136 - min() costs as much as the rest
        whole = now + backlog
        state = whole + IMAG * (backlog - (whole - now))
    left = fits - backlog
    return state, Usage(exceeded, int(left / unit) if left > 0.0 else 0, after - room if exceeded else 0.0)
