"""Short scenes on an event loop and a real clock: run one, wait for what is to happen, charge a store that may take its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, time

import uvloop

from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.stores.store import AsyncStore, Outcome, Store

WAIT_SECONDS = 20.0
SCENE_SECONDS = 60

CLIENT = (KeyPart(KeyKind.CLIENT),)
HUNDRED_AN_HOUR = Limit(100, 3600.0, 100, CLIENT)


def run(scene: Awaitable[None]) -> None:
    """Run a scene on the loop that proxyguard runs on."""

    async def whole() -> None:
        async with asyncio.timeout(SCENE_SECONDS):
            await scene

    asyncio.run(whole(), loop_factory=uvloop.new_event_loop)


async def until(holds: Callable[[], bool]) -> float:
    """Wait until something holds; how long it took. Fails after WAIT_SECONDS."""
    started = monotonic()
    while not holds():
        assert monotonic() - started < WAIT_SECONDS
        await asyncio.sleep(0.002)
    return monotonic() - started


async def charged(store: Store | AsyncStore, key: str = "rule|a", limit: Limit = HUNDRED_AN_HOUR) -> Outcome:
    """What a store says of one request of now."""
    outcome = store.charge([Charge(key, limit)], (), time())
    return outcome if isinstance(outcome, Outcome) else await outcome
