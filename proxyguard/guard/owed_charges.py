"""Charges what an exchange cost once it is over, or gives back what was reserved for it. No exchange waits for a remote store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.held import is_held
from proxyguard.limits.stores.store import AsyncStore, Outcome, Store, StoreUnavailable
from proxyguard.policy.engine import owed
from proxyguard.telemetry.metrics import Metrics

MAX_SETTLING: Final = 10_000
"""Charges for responses that may wait for a remote store at a time; further ones are not made."""


class OwedCharges:
    """Charges that have arisen, of one guard."""

    __slots__ = ("_metrics", "_settling", "_store", "_wall")

    def __init__(self, store: Store | AsyncStore, metrics: Metrics, wall: Callable[[float], float]) -> None:
        self._store = store
        self._metrics = metrics
        self._wall = wall
        self._settling: set[asyncio.Future[Outcome]] = set()

    def put_right(self, charges: tuple[Charge, ...], response: tuple[int, int, float | None], since: float, now: float) -> None:
        """Charge what an exchange cost, or give back what was reserved for it; `since` is the wall's, `now` the line's."""
        status, bytes_sent, upstream_seconds = response
        self.charge(owed(charges, status, bytes_sent, upstream_seconds, since=since, now=self._wall(now)), now)

    def charge(self, costs: tuple[Charge, ...], now: float) -> None:
        """Charge what has arisen by now, a time of the line."""
        if not costs:
            return
        if len(self._settling) >= MAX_SETTLING:
            self._metrics.bound_exceeded("settling")
            costs = tuple(filter(is_held, costs))  # nobody else would give those back
            if not costs:
                return
        try:
            outcome = self._store.charge(costs, (), now)
            if not isinstance(outcome, Outcome):
                waiting = asyncio.ensure_future(outcome)
                self._settling.add(waiting)
                waiting.add_done_callback(self._settled)
        except StoreUnavailable:
            return  # requests are refused already while the store is down
        except Exception as error:  # noqa: BLE001 - the response is out: there is nothing to refuse
            self._metrics.internal_error("settle", error)

    def _settled(self, waiting: asyncio.Future[Outcome]) -> None:
        self._settling.discard(waiting)
        error = None if waiting.cancelled() else waiting.exception()
        if isinstance(error, Exception) and not isinstance(error, StoreUnavailable):
            self._metrics.internal_error("settle", error)
