"""Lets the calendar follow the clock on the wall, and has the last minutes' times at hand."""

from __future__ import annotations

import asyncio

from proxyguard.limits.clock import CLOCK, LOOK_SECONDS
from proxyguard.telemetry.metrics import Metrics


async def watch_clock(counts: Metrics) -> None:
    """Look at the clock and at the times, until cancelled."""
    while True:
        CLOCK.look()
        counts.look(CLOCK())
        await asyncio.sleep(LOOK_SECONDS)
