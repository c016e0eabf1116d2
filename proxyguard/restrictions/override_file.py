"""What operators decided, kept in a file: restrictions started, ended, and given by command alone; pauses of rules.

Written whole and swapped in, so that a crash leaves the old or the new. Its times are those of the line, with a stamp of all
clocks, so that a restart reads them as they were meant. Knows nothing of when a restriction is on.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Final

from proxyguard.limits.clock import CLOCK, JITTER_SECONDS, ClockStamp, LineClock
from proxyguard.restrictions.monitor import Ended, GivenRestriction, Overrides, Started
from proxyguard.restrictions.pauses import Pause

MAX_BYTES: Final = 4 * 1024 * 1024

logger = logging.getLogger(__name__)


class OverrideFile:
    def __init__(self, path: Path, clock: LineClock = CLOCK) -> None:
        """Read what is there. A damaged file is set aside and reported: no order is worth a site that is down.

        What is no file, such as a folder that was named by mistake, stays where it is.
        """
        self.path = path
        self._clock = clock
        self.orders = Overrides()
        try:
            with path.open("rb") as file:
                self.orders = _read(file.read(MAX_BYTES), clock)
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever is in it, the site starts
            if not path.is_file():
                logger.error("the orders in %s cannot be read: %s", path, error)  # noqa: TRY400 - the message has it all
                return
            logger.error("the orders in %s cannot be read and are set aside: %s", path, error)  # noqa: TRY400 - the message has it all
            try:
                path.replace(path.with_name(f"{path.name}.damaged"))
            except OSError as failed:
                logger.error("%s cannot be set aside: %s", path, failed.strerror)  # noqa: TRY400 - as above

    def keep(self, orders: Overrides) -> bool:
        """Put orders in force and write them; whether they are on the disk. They are in force all the same."""
        self.orders = orders
        try:
            _write(self.path, orders, self._clock.stamp())
        except OSError as error:
            logger.error("the orders cannot be written to %s: %s", self.path, error.strerror)  # noqa: TRY400 - the message has it all
            return False
        return True


def _read(data: bytes, clock: LineClock) -> Overrides:
    """A file without a stamp has times of the wall."""
    plain = json.loads(data)
    later = clock.line(0.0)
    if "clock" in plain:
        boot, *moments = plain["clock"]
        stamp = ClockStamp(str(boot), *map(float, moments))
        shift = clock() - stamp.line - clock.since(stamp)
        later = shift if abs(shift) > JITTER_SECONDS else 0.0
    started = {
        str(name): Started(float(since) + later, None if until is None else float(until) + later)
        for name, (since, until) in plain["started"].items()
    }
    ended = {str(name): Ended(float(at) + later, str(why), str(what)) for name, (at, why, what) in plain["ended"].items()}
    given = {
        str(name): GivenRestriction(float(since) + later, float(until) + later, dict(said))
        for name, (since, until, said) in plain["given"].items()
    }
    paused = {
        str(name): Pause(float(since) + later, float(until) + later, float(kept) + later, str(why), str(by))
        for name, (since, until, kept, why, by) in plain.get("paused", {}).items()
    }
    return Overrides(started, ended, given, paused)


def _write(path: Path, orders: Overrides, stamp: ClockStamp) -> None:
    """Write the orders whole, for this user only."""
    plain = {
        "clock": list(stamp),
        "started": {name: [order.since, order.until] for name, order in orders.started.items()},
        "ended": {name: [order.at, order.reason, order.identity] for name, order in orders.ended.items()},
        "given": {name: [order.since, order.until, order.plain] for name, order in orders.given.items()},
        "paused": {name: [order.since, order.until, order.kept, order.why, order.by] for name, order in orders.paused.items()},
    }
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(plain, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
