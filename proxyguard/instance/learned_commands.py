"""What a worker tells of what it learned, and when it is not to learn: commands of the control plane to each worker."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.guard.campaigns import Campaigns
from proxyguard.instance.control.server import Command
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.learning import Learning

MAX_CELLS_SHOWN: Final = 500


class LearnedCommands:
    """`campaigns`, `cells` and `freeze-learning`."""

    def __init__(self, learning: Learning, campaigns: Campaigns) -> None:
        self._learning = learning
        self._campaigns = campaigns
        self.commands: dict[str, Command] = {
            "campaigns": self._list_campaigns,
            "cells": self._list_cells,
            "freeze-learning": self._freeze,
        }

    async def _list_campaigns(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {"campaigns": self._campaigns.as_data(CLOCK())}

    async def _list_cells(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What was used in this hour of limits that learn by cell; of which of these rules enough is known to bound anything."""
        now, learning = CLOCK(), self._learning
        known = [rule for rule in arguments["rules"] if learning.knows(rule, now)]
        cells = [list(each) for each in learning.this_hour(now)[:MAX_CELLS_SHOWN]]
        return {"cells": cells, "known": known, "standings": self._campaigns.standings(now)}

    async def _freeze(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """What comes in this hour and on this day is no guide to what is usual."""
        self._learning.freeze(CLOCK())
        return {}
