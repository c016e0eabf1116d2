"""Keeps the tallies of shadow rules over restarts, in a file beside the one that the operator named for what is kept.

Written whole, every minute and at the end, and swapped in. At most telemetry.shadow.MAX_RULES rules, 8 KB each; no client's
address, only networks. Of rules that changed meanwhile nothing is taken over. Knows nothing of how decisions are tallied.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from proxyguard.core.settings import Settings
from proxyguard.instance.kept_file import KeptFile
from proxyguard.limits.clock import CLOCK
from proxyguard.telemetry.shadow import WINDOW_SECONDS, TallyWindow

SAVE_SECONDS: Final = 60.0
"""What a kill -9 can lose of them."""

MAX_BYTES: Final = 16 * 1024 * 1024

logger = logging.getLogger(__name__)


def tally_file(settings: Settings) -> Path | None:
    """Where they are kept: beside the snapshot, else beside the file of orders; None: nowhere."""
    beside = settings.store.snapshot or settings.restrictions_file
    return None if beside is None else beside.with_name(f"{beside.name}.tallies")


class KeptTallies(KeptFile):
    """What was tallied before this start, added to what is tallied now."""

    def __init__(
        self, path: Path | None, collect: Callable[[], Awaitable[TallyWindow]], marks: Callable[[], Mapping[str, str]]
    ) -> None:
        """`collect` adds up the workers' tallies; `marks` are those of the rules in shadow now (see InForce)."""
        super().__init__(path, "tallies of shadow rules", SAVE_SECONDS)
        self._collect = collect
        self._marks = marks
        self._earlier: dict[str, Any] | None = None
        self._earlier_marks: Mapping[str, str] = {}
        if path is not None:
            self._load(path)

    async def window(self) -> TallyWindow:
        """The last 24 hours, as far as they are known."""
        found = await self._collect()
        if self._earlier is not None and self._is_of_now(self._earlier, CLOCK()):
            marks = self._marks()
            same = [rule for rule, mark in marks.items() if self._earlier_marks.get(rule) == mark]
            found.add_earlier(self._earlier, same, marks.keys() - set(same))
        return found

    @staticmethod
    def _is_of_now(earlier: dict[str, Any], now: float) -> bool:
        """Whether it says something of the last 24 hours. What several starts handed on ends as what one did: a day after it was
        a day old."""
        return bool(earlier["saved"] > now - WINDOW_SECONDS and earlier["since"] > now - 2 * WINDOW_SECONDS)

    async def _save(self, path: Path) -> None:
        data = (await self.window()).as_data()
        await asyncio.to_thread(_write, path, data, dict(self._marks()), CLOCK())

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                plain = json.loads(file.read(MAX_BYTES))
            shift = CLOCK.line(0.0)
            earlier = {**plain["tally"], "saved": float(plain["saved"]) + shift, "seen_recently": [], "enforce": {}}
            earlier["since"] = float(earlier["since"]) + shift
            earlier["begun"] = {str(rule): float(at) + shift for rule, at in earlier["begun"].items()}
            for hits in earlier["shadow"].values():
                hits["first"], hits["last"] = float(hits["first"]) + shift, float(hits["last"]) + shift
            TallyWindow.joined([earlier])
            self._earlier_marks = {str(rule): str(mark) for rule, mark in plain["marks"].items()}
            self._earlier = earlier
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - whatever is in it, the site starts
            logger.warning("tallies of shadow rules in %s cannot be read, and begin anew: %r", path, error)


def _write(path: Path, data: dict[str, Any], marks: dict[str, str], now: float) -> None:
    """Times in the file are those of the wall. Addresses of clients stay out of it."""
    ahead = CLOCK.wall(0.0)
    for hits in data["shadow"].values():
        hits.update(first=hits["first"] + ahead, last=hits["last"] + ahead, top_clients={})
    tally = {
        **data,
        "since": data["since"] + ahead,
        "begun": {rule: at + ahead for rule, at in data["begun"].items()},
        "enforce": {},
        "seen_recently": [],
    }
    fresh = path.with_name(f"{path.name}.new")
    with contextlib.closing(os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")) as file:
        json.dump({"saved": now + ahead, "marks": marks, "tally": tally}, file)
    fresh.replace(path)
