"""What operators decided about restrictions, kept in a file: started, ended, and restrictions given by command alone.

Two files side by side: the orders, and `NAME.rules`, a rule file of the restrictions that no other file has, which is read with
the rules. Written whole and swapped in, so that a crash leaves the old or the new. Knows nothing of when a restriction is on.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from proxyguard.restrictions import Ended, Orders, Started

RULE_SET: Final = "by-command"
"""The name of the rule set of restrictions given by command."""

MAX_BYTES: Final = 4 * 1024 * 1024

logger = logging.getLogger(__name__)


def rules_beside(path: Path) -> Path:
    """The rule file of the restrictions that were given by command."""
    return path.with_name(f"{path.name}.rules")


class OrderFile:
    """The orders of an instance: `orders`, and the restrictions `given` by command alone, as YAML would say them."""

    def __init__(self, path: Path) -> None:
        """Read what is there. A file that cannot be read is set aside and reported: no order is worth a site that is down."""
        self.path = path
        self.rules = rules_beside(path)
        self.orders = Orders()
        self.given: dict[str, dict[str, Any]] = {}
        try:
            self._read()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.error("the orders in %s cannot be read and are set aside: %s", path, error)  # noqa: TRY400 - the message has it all
            self.orders, self.given = Orders(), {}
            try:
                path.replace(path.with_name(f"{path.name}.damaged"))
            except OSError as failed:
                logger.error("%s cannot be set aside: %s", path, failed.strerror)  # noqa: TRY400 - as above

    def keep(self, orders: Orders, given: Mapping[str, dict[str, Any]] | None = None) -> None:
        """Put orders in force and write them. Raises OSError when they cannot be written; they are in force all the same."""
        self.orders = orders
        if given is not None:
            self.given = dict(given)
            _write(self.rules, {"name": RULE_SET, "restrictions": list(self.given.values())} if self.given else None)
        plain = {
            "started": {name: [order.since, order.until] for name, order in orders.started.items()},
            "ended": {name: [order.at, order.reason, order.identity] for name, order in orders.ended.items()},
            "given": self.given,
        }
        _write(self.path, plain)

    def _read(self) -> None:
        with self.path.open("rb") as file:
            plain = json.loads(file.read(MAX_BYTES))
        started = {
            str(name): Started(float(since), _number(until)) for name, (since, until) in plain["started"].items()
        }
        ended = {str(name): Ended(float(at), str(why), str(what)) for name, (at, why, what) in plain["ended"].items()}
        self.given = {str(name): dict(each) for name, each in plain["given"].items()}
        self.orders = Orders(started, ended)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _write(path: Path, plain: object) -> None:
    """Write JSON whole, for this user only, or remove the file."""
    if plain is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(plain, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
