"""How a rule set is put under test: as it is written, or with everything that is in shadow acting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.policy.model import Policy

AS_WRITTEN: Final = "as-written"


def _as_written(policy: Policy) -> Policy:
    return policy


def _enforced(policy: Policy) -> Policy:
    """Every mode `shadow`, of rules, rule sets and restrictions, as `enforce`."""
    acting = {Mode.SHADOW: Mode.ENFORCE}
    rule_sets = tuple(
        replace(
            each,
            mode=acting.get(each.mode, each.mode),
            rules=tuple(replace(rule, mode=acting.get(rule.mode, rule.mode)) for rule in each.rules),
            restrictions=tuple(replace(one, mode=acting.get(one.mode, one.mode)) for one in each.restrictions),
        )
        for each in policy.rule_sets
    )
    return Policy(rule_sets, f"{policy.digest}+enforced")


PRESETS: Final[Mapping[str, Callable[[Policy], Policy]]] = MappingProxyType({AS_WRITTEN: _as_written, "enforced": _enforced})
"""By name. A preset that the rules themselves define is a row more."""
