"""What the control plane knows of the rules in force, without holding the rules themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from proxyguard.core.decision import ACTION_NAMES, Ban, Mode
from proxyguard.core.problems import Problem
from proxyguard.instance.loaded_rules import LoadedRules
from proxyguard.policy.given import GIVEN_NAME
from proxyguard.policy.model import Restriction, rules_by_mode


class InForce(NamedTuple):
    """A summary of the rules in force. `modes` has the effective mode of each rule, by name; `counts` how many have each.

    `given` names the restrictions that commands gave; `banned_by` has the kinds of keys that rules ban, as those keys begin;
    `actions` what the rules of files do, by name, without the rules that classes and restrictions are made of; `marks` of rules
    in shadow change when what they look at or would do does.
    """

    digest: str
    files: tuple[Path, ...]
    modes: Mapping[str, Mode]
    counts: Mapping[str, int]
    restrictions: tuple[Restriction, ...]
    classes: tuple[str, ...]
    given: frozenset[str]
    banned_by: frozenset[str]
    actions: Mapping[str, str]
    marks: Mapping[str, str]
    emergency: tuple[str, ...] = ()
    """Rules that only record until emergency mode is on."""
    stale: tuple[Problem, ...] = ()
    """What is wrong with lists that are in force with their content of before."""

    @classmethod
    def of(cls, loaded: LoadedRules, mode: Mode) -> InForce:
        """Summarise a policy for a process of this mode."""
        policy = loaded.policy
        modes: dict[str, Mode] = {}
        banned_by: set[str] = set()
        actions: dict[str, str] = {}
        marks: dict[str, str] = {}
        for rule, own in rules_by_mode(policy, mode):
            modes[rule.name] = own
            if not rule.restriction and ":" not in rule.name:
                actions[rule.name] = ACTION_NAMES[type(rule.action)]
            if own is Mode.SHADOW:
                marks[rule.name] = blake2b(repr((rule.when, rule.limit, rule.action)).encode(), digest_size=8).hexdigest()
            if own is Mode.ENFORCE and isinstance(rule.action, Ban) and rule.limit is not None:
                banned_by.add("+".join(str(part) for part in rule.limit.per))
        count = Counter(modes.values())
        return cls(
            policy.digest,
            loaded.files,
            modes,
            {each.value: count[each] for each in Mode},
            policy.restrictions,
            policy.classes,
            frozenset(each.name for one in policy.rule_sets if one.name == GIVEN_NAME for each in one.restrictions),
            frozenset(banned_by),
            actions,
            marks,
            tuple(rule.name for rule, own in rules_by_mode(policy, mode) if rule.emergency and own is not Mode.OFF),
            loaded.stale,
        )
