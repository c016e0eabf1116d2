"""Limits, names and tests that deserve a second look: PG030, PG035, PG040 and PG041."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.units import duration_text
from proxyguard.limits.limit import KeyPart
from proxyguard.policy.bundled import is_bundled
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.view import PolicyView, RuleView
from proxyguard.tools.lint.words import rule_at

MIN_NAME: Final = 6
"""Names shorter than this differ by one letter for good reasons."""

PACE_SECONDS: Final = 60.0
"""A rate over less than a minute is a pace, as nginx has it (`rate=2r/s burst=10`): its burst is compared with a minute."""


def maintenance(view: PolicyView) -> Iterator[Finding]:
    """PG030, PG035, PG040 and PG041."""
    yield from _bursts(view)
    yield from _single_values(view)
    yield from _similar(view)
    yield from _untested_shadows(view)


def _bursts(view: PolicyView) -> Iterator[Finding]:
    for item in view.live:
        limit = item.rule.limit
        if limit is None:
            continue
        seconds = max(limit.period_seconds, PACE_SECONDS)
        most = int(limit.amount * seconds / limit.period_seconds)
        if limit.burst <= most:
            continue
        message = (
            f"the limit of '{item.rule.name}' lets {limit.burst} through at once, "
            f"more than its rate allows in a whole period ({most} in {duration_text(seconds)})"
        )
        hint = f"burst: {most} or less, or a rate over the time that you mean"
        yield item.finding("PG030", message, hint, place=item.source.find_key(item.rule, "limit", "burst"))


_FOLLOWS: Final[Mapping[str, frozenset[str]]] = {
    "client": frozenset({"network", "country", "asn", "network_kind"}),
    "user_agent": frozenset({"bot", "claimed_kind"}),
    "path": frozenset({"loose_path", "path_segment"}),
}
"""Parts of a key by what has but one value of them."""


def _single_values(view: PolicyView) -> Iterator[Finding]:
    """PG035: different values of a part that is in the key, or follows from one that is."""
    for item in view.live:
        limit = item.rule.limit
        of = None if limit is None else limit.count.of
        fixing = None if limit is None or of is None else next((part for part in limit.per if _fixes(part, of)), None)
        if fixing is None:
            continue
        counted = f"it counts different values of {of} for each {fixing}, which has one"
        message = f"the limit of '{item.rule.name}' is never exceeded: {counted}"
        hint = f"leave {fixing} out of per, or count something else, such as {{distinct: path}}"
        yield item.finding("PG035", message, hint, place=item.source.find_key(item.rule, "limit", "count"))


def _fixes(part: KeyPart, of: KeyPart) -> bool:
    return part == of or of.kind in _FOLLOWS.get(part.kind, ())


def _similar(view: PolicyView) -> Iterator[Finding]:
    """Names that are equal but for hyphens, a plural, or one letter that was left out."""
    seen: dict[str, RuleView] = {}
    for item in view.every:
        name = item.rule.name
        if len(name) < MIN_NAME:
            continue
        variants = _variants(name)
        other = next((seen[variant] for variant in variants if variant in seen), None)
        if other is not None and not _are_distinguishable(name, other.rule.name):
            is_hidden = is_bundled(item.rule_set.file) and not is_bundled(other.rule_set.file)
            mine, like = (other, item) if is_hidden else (item, other)
            message = f"the name '{mine.rule.name}' is easily mistaken for {rule_at(like.rule)}"
            hint = "metrics, records and commands tell rules apart by name: make the difference plain"
            yield mine.finding("PG040", message, hint, place=mine.source.find_key(mine.rule, "name"))
        for variant in variants:
            seen.setdefault(variant, item)


def _variants(name: str) -> set[str]:
    plain = name.replace("-", "")
    return {plain, *(plain[:at] + plain[at + 1 :] for at in range(len(plain)))}


def _are_distinguishable(one: str, other: str) -> bool:
    """Whether two names differ in a number or in a short part (`-a`, `-v6`): those count or sort something."""
    if re.findall(r"\d+", one) != re.findall(r"\d+", other):
        return True
    parts = set(one.split("-")) ^ set(other.split("-"))
    return bool(parts) and all(len(part) <= 2 for part in parts)


def _untested_shadows(view: PolicyView) -> Iterator[Finding]:
    expected = {step.expect.rule for rule_set in view.policy.rule_sets for test in rule_set.tests for step in test.steps}
    for item in view.live:
        name = item.rule.name
        if item.mode is Mode.SHADOW and name not in expected:
            message = f"no test expects '{name}', which waits in shadow"
            hint = f"write what it must stop and what it must not: expect: … by {name}; tests run it as if it were in force"
            yield item.finding("PG041", message, hint)
