"""Which upstream addresses accept no connection, since when, and how many requests it hurt: for the log and for `status`.

One line when an address fails for the first time, one when it accepts again and went on doing so for SETTLED_SECONDS; none for
each request. Knows nothing of which addresses are left out.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterable
from time import time
from typing import Any, Final

SETTLED_SECONDS: Final = 1.0
"""An address that fails again within this never was up: at most one pair of lines a second for each."""

logger = logging.getLogger(__name__)


class Outage:
    """An address that accepts no connection. `since` is Unix seconds; `hurt` counts requests that no address could take."""

    __slots__ = ("hurt", "settling", "since", "why")

    def __init__(self, since: float, why: str) -> None:
        self.since = since
        self.why = why
        self.hurt = 0
        self.settling: asyncio.TimerHandle | None = None

    def as_data(self) -> dict[str, Any]:
        """What `status` says of it."""
        return {"since": self.since, "why": self.why, "hurt": self.hurt}


class Outages:
    """The outages of one worker's upstreams, by the name of the address; as many as there are addresses."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settled_seconds: float = SETTLED_SECONDS) -> None:
        self._loop = loop
        self._settled_seconds = settled_seconds
        self._down: dict[str, Outage] = {}

    def find(self, name: str) -> Outage | None:
        """The outage of an address; None: it is up as far as is known."""
        return self._down.get(name)

    def failed(self, name: str, why: str) -> bool:
        """An attempt to connect has failed. Returns whether that begins an outage."""
        outage = self._down.get(name)
        if outage is None:
            self._down[name] = Outage(time(), why)
            logger.warning("the upstream %s is down: %s", name, why)
            return True
        if outage.settling is not None:
            outage.settling.cancel()
            outage.settling = None
        return False

    def connected(self, *names: str) -> None:
        """A connection is there."""
        if not self._down:
            return
        for name in names:
            outage = self._down.get(name)
            if outage is not None and outage.settling is None:
                outage.settling = self._loop.call_later(self._settled_seconds, self._recovered, name)

    def hurt(self, names: Iterable[str]) -> None:
        """A request found none of these addresses up."""
        for name in names:
            outage = self._down.get(name)
            if outage is not None:
                outage.hurt += 1

    def keep(self, names: Collection[str]) -> None:
        """Forget all other addresses: no upstream's name stands for them any more."""
        for name in self._down.keys() - set(names):
            self._forget(name)

    def close(self) -> None:
        """Forget all."""
        self.keep(())

    def _recovered(self, name: str) -> None:
        outage = self._forget(name)
        seconds = time() - outage.since
        logger.info("the upstream %s is up again after %.0f s; %d requests were refused for it", name, seconds, outage.hurt)

    def _forget(self, name: str) -> Outage:
        outage = self._down.pop(name)
        if outage.settling is not None:
            outage.settling.cancel()
        return outage


def reason_of(error: OSError) -> str:
    """Why connecting failed, in the words of the system."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
