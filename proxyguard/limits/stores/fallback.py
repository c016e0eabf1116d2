"""What counts while a store outside this process is down: the three declared behaviours, and the figures that show them.

Knows nothing of sockets. Bans are not its business: those known in this process stay in force in each case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import time
from typing import assert_never

from proxyguard.core.settings import Counting, OnStoreDown
from proxyguard.limits.charge import Charge
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import Outcome, StoreUnavailable, uncounted

logger = logging.getLogger(__name__)

OnState = Callable[[bool, str], None]
"""Called when a store went down (False) or came back (True), with why, for the log and for a metric."""


def log_state(up: bool, why: str) -> None:  # noqa: FBT001 - the shape of OnState
    """Write one line per change of state."""
    if up:
        logger.info("the store answers again: %s", why)
    else:
        logger.warning("the store is down: %s", why)


class Fallback:
    """Answers charges while the store is down, and remembers whether it is."""

    def __init__(self, on_down: OnStoreDown, counting: Counting, on_state: OnState = log_state) -> None:
        self.on_down = on_down
        self.up = False
        self.changed = time()
        """When it went down or came back, Unix seconds."""
        self.outages = 0
        self.answers = 0
        self._counting = counting
        self._on_state = on_state
        self._local: MemoryStore | None = None

    def charge(self, charges: Sequence[Charge], now: float) -> Outcome:
        """The answer of the declared behaviour. Raises StoreUnavailable when that is to refuse."""
        self.answers += 1
        match self.on_down:
            case OnStoreDown.LOCAL:
                if self._local is None:
                    counting = self._counting
                    self._local = MemoryStore(keys=counting.keys, bans=1, on_full=counting.on_full, wall=CLOCK.wall)
                return self._local.charge(charges, (), now)
            case OnStoreDown.OPEN:
                return uncounted(charges)
            case OnStoreDown.CLOSED:
                raise StoreUnavailable("the store is down, and store.on_down is closed")
            case _:
                assert_never(self.on_down)

    def tidy(self, now: float) -> None:
        """As `MemoryStore.tidy`."""
        if self._local is not None:
            self._local.tidy(now)

    def went_down(self, why: str) -> None:
        """Answer here from now on. Says so once per outage."""
        if self.up:
            self.up, self.changed = False, time()
            self.outages += 1
            self._on_state(False, why)  # noqa: FBT003 - the shape of OnState

    def came_back(self, why: str) -> None:
        """The store answers again."""
        if not self.up:
            self.up, self.changed = True, time()
            self._on_state(True, why)  # noqa: FBT003 - the shape of OnState
