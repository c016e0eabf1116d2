"""What is known of a request beside what it says, for `explain`: each fact with where it comes from and how sure it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import click

from proxyguard.core.problems import Fault
from proxyguard.core.robots import RobotsVerdict
from proxyguard.policy.compile.compile import asks_origin, asks_robots
from proxyguard.policy.fields.bot import BOT
from proxyguard.policy.fields.connection import CLAIMED_KIND, CLIENT_KIND, CONTRADICTION
from proxyguard.policy.fields.field_type import FieldType
from proxyguard.policy.fields.origin import ROWS as ORIGIN
from proxyguard.policy.fields.origin import read_origin
from proxyguard.policy.fields.robots import ROWS as ROBOTS
from proxyguard.policy.fields.robots import read_robots
from proxyguard.policy.model import Policy, tests_of

if TYPE_CHECKING:
    from proxyguard.core.request import Request
    from proxyguard.guard.origin.facts import Fact

GIVEN: Final = "given on the command line"

_SHOWN: Final[tuple[tuple[FieldType, str, str], ...]] = (
    (BOT, "by its user agent, which proves nothing", "its user agent is that of no bot that is known here"),
    (CLAIMED_KIND, "by its user agent, which proves nothing", "its user agent names no browser"),
    (CLIENT_KIND, "by how its connection speaks, as far as kinds were recorded", "how it connects is not known here"),
    (
        CONTRADICTION,
        "its connection is not that of what its user agent names",
        "nothing that is known contradicts its user agent",
    ),
)
"""Fields that say what a client is, with what they rest on, and why there may be no value."""


def set_facts(
    policy: Policy, request: Request, given: tuple[str, ...], config: Path | None, robots_txt: Path | None
) -> list[Fact]:
    """Set what is known of a request, and say what that is, as far as rules ask for it or somebody gave it."""
    from proxyguard.guard.origin.facts import Fact  # noqa: PLC0415 - reads data that only some rules need

    words = _words(given)
    rules = [rule for rule_set in policy.rule_sets for rule in rule_set.rules]
    facts = []
    if words.keys() & {row.kind for row in ORIGIN}:
        request.origin = _read(read_origin, words)
        facts += [Fact(row.kind, words[row.kind], GIVEN) for row in ORIGIN if row.kind in words]
    elif any(map(asks_origin, rules)):
        facts += _origin_facts(request, config)
    if words.keys() & {row.kind for row in ROBOTS}:
        request.robots = _read(read_robots, words)
        facts += [Fact(row.kind, words[row.kind], GIVEN) for row in ROBOTS if row.kind in words]
    elif robots_txt is not None:
        facts += _robots_facts(request, robots_txt)
    elif any(map(asks_robots, rules)):
        facts.append(Fact("robots", "unknown", "the site's robots.txt is not known here: --robots FILE"))
    asked = {test.field.kind for rule in rules for test in tests_of(rule.when)}
    for row, source, none in _SHOWN:
        if row.kind in asked:
            values = [value.decode("utf-8", "backslashreplace") for value in row.values(request)]
            facts.append(Fact(row.kind, ", ".join(values) or "none", source if values else none))
    return facts


def _words(given: tuple[str, ...]) -> dict[str, str]:
    words = {name: value for name, _, value in (text.partition("=") for text in given)}
    known = [row.kind for row in (*ORIGIN, *ROBOTS)]
    unknown = sorted(words.keys() - set(known))
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is no fact that can be given: {', '.join(known)}", param_hint="--fact")
    return words


def _read[T](read: Callable[[Mapping[str, str]], T | None], words: Mapping[str, str]) -> T | None:
    try:
        return read(words)
    except Fault as fault:
        raise click.BadParameter(f"{fault.message}; {fault.hint}", param_hint="--fact") from fault


def _origin_facts(request: Request, config: Path | None) -> list[Fact]:
    from proxyguard.guard.origin.facts import facts_of  # noqa: PLC0415 - as above
    from proxyguard.guard.origin.origins import Origins  # noqa: PLC0415 - as above
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - as above

    settings = read_as_given(config, os.environ).settings
    origins = Origins(settings.origin, replace(settings.identity, reverse_dns=False), clock=monotonic, wall=time)
    data = origins.data
    request.origin = origins.find(request)
    origins.close()
    return facts_of(request.origin, request.client, data)


def _robots_facts(request: Request, path: Path) -> list[Fact]:
    from proxyguard.guard.origin.facts import Fact  # noqa: PLC0415 - as above
    from proxyguard.policy.robots.robots_txt import RobotsTxt, whole_lines  # noqa: PLC0415 - as above

    verdict: RobotsVerdict = RobotsTxt(whole_lines(path.read_bytes())).judge_request(request)
    request.robots = verdict
    group = f"by its group {verdict.group}" if verdict.group else "it has no group for this user agent"
    facts = [Fact("robots", verdict.word, f"{path} (version {verdict.version}), {group}; sure, if the user agent is true")]
    if verdict.crawl_delay is not None:
        facts.append(Fact("crawl_delay", f"{verdict.crawl_delay:g}", f"{path}, {group}"))
    return facts
