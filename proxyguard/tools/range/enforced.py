"""A rule set under test with everything that is in shadow acting, as when all is put in force; or in emergency mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.policy.model import Policy

ENFORCED: Final = "enforced"
"""What this is called beside the presets of the rules."""


def enforced(policy: Policy) -> Policy:
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


def in_emergency(policy: Policy) -> Policy:
    """The rules for emergencies act."""
    rule_sets = tuple(
        replace(each, rules=tuple(replace(rule, emergency=False) for rule in each.rules)) for each in policy.rule_sets
    )
    return Policy(rule_sets, f"{policy.digest}+emergency")
