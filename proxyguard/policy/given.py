"""Restrictions that commands gave and no file has: as JSON between instances, as rules beside those of the files.

They never stand in the way of a file: one whose names a file has, or whose class no file defines any more, is left out. Knows
nothing of who gave them or whether they are on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from proxyguard.core.problems import Problem
from proxyguard.policy.expand import with_restrictions
from proxyguard.policy.model import ANONYMOUS, Policy, Restriction, RuleSet
from proxyguard.policy.parse.file import parse_rule_set

GIVEN_NAME: Final = "command:"
"""The name of the rule set of given restrictions, which applies to every site; no file's name has a colon."""

type Plain = Mapping[str, Any]
"""A restriction as a rule file would say it: `name`, `why`, `classes`, `until`, and `when` if it has a condition."""


def plain_restriction(name: str, why: str, classes: Mapping[str, str], until: str, path_prefix: str = "") -> Plain:
    """What a rule file would say."""
    plain = {"name": name, "why": why, "classes": dict(classes), "until": until}
    return {**plain, "when": {"path": {"prefix": path_prefix}}} if path_prefix else plain


def read_given(plain: Plain) -> tuple[Restriction | None, tuple[Problem, ...]]:
    """One restriction, or what a rule file with it would be refused for."""
    rule_set, problems = _read((plain,))
    return (None if rule_set is None else rule_set.restrictions[0]), problems


def with_given(policy: Policy, given: Sequence[Plain]) -> Policy:
    """A policy of files, and the given restrictions that go together with it, as its last rule set."""
    rules = {rule.name for rule_set in policy.rule_sets for rule in rule_set.rules}
    restrictions = {each.name for each in policy.restrictions}
    classes = (ANONYMOUS, *policy.classes)
    fitting: list[Plain] = []
    for plain in given:
        restriction, _ = read_given(plain)
        if restriction is None or any(name not in classes for name, _ in restriction.limits):
            continue
        names = {f"{restriction.name}-{name}" for name, _ in restriction.limits}
        if restriction.name not in restrictions and rules.isdisjoint(names):
            rules |= names
            restrictions.add(restriction.name)
            fitting.append(plain)
    rule_set, _ = _read(fitting) if fitting else (None, ())
    if rule_set is None:
        return policy
    last = with_restrictions(replace(rule_set, name=GIVEN_NAME), policy.account is not None, policy.classes)
    # Whether one is on says its tag: a command gives a duration, which the clock on the wall must not end.
    lasting = replace(last, rules=tuple(replace(rule, expires=None) for rule in last.rules))
    return Policy((*policy.rule_sets, lasting), policy.digest)


def _read(given: Sequence[Plain]) -> tuple[RuleSet | None, tuple[Problem, ...]]:
    return parse_rule_set(json.dumps({"name": "given", "restrictions": list(given)}), "the command")
