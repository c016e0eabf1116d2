"""All checks of settings that can be read, as one list of concerns. The table is the order in which they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from proxyguard.core.problems import Problem
from proxyguard.core.settings import Settings
from proxyguard.instance.preflight.addresses import listeners, loops, trusted
from proxyguard.instance.preflight.certificates import certificates
from proxyguard.instance.preflight.concern import Concern, Weight
from proxyguard.instance.preflight.extras import extras
from proxyguard.instance.preflight.files import files
from proxyguard.instance.preflight.online import online
from proxyguard.instance.preflight.paths import paths
from proxyguard.instance.preflight.tables import folder, tables
from proxyguard.settings.given import SettingsAsGiven

CHECKS: Final[tuple[Callable[[Settings], Iterator[Concern]], ...]] = (
    listeners,
    loops,
    trusted,
    certificates,
    paths,
    files,
    extras,
    folder,
    tables,
)

SAID_BY_FRONT: Final = (files, folder, tables)
"""What an instance finds out for itself when it starts, and says in its log."""


class Weighed(NamedTuple):
    """A concern at its place, and how bad it is."""

    problem: Problem
    weight: Weight


def check_settings(found: SettingsAsGiven, *, asks: bool = False, starts: bool = False) -> list[Weighed]:
    """Everything that is wrong with settings as far as they could be read, by place.

    `asks`: other machines are asked too. `starts`: for an instance that is about to. What rests on a setting that could not be
    read is left out.
    """
    checks = [check for check in CHECKS if not (starts and check in SAID_BY_FRONT)]
    concerns: Iterable[Concern] = [concern for check in checks for concern in check(found.settings)]
    if asks:
        concerns = [*concerns, *asyncio.run(_asked(found.settings))]
    reported = {problem.place for problem in found.problems}
    weighed = [
        Weighed(found.problem(concern.key, concern.message, concern.hint), concern.weight)
        for concern in concerns
        if all(found.is_known(key) for key in (concern.key, *concern.also))
    ]
    return sorted(each for each in weighed if not each.problem.line or each.problem.place not in reported)


async def _asked(settings: Settings) -> list[Concern]:
    return [concern async for concern in online(settings)]
