"""Rules that a scenario puts in force beside the ones under test: what an operator orders in the middle of it, right or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxyguard.core.problems import format_report
from proxyguard.policy.error import PolicyError
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Overlay:
    """A folder of rules beside this module. `about` says what the operator did, for the report."""

    folder: str
    about: str
    hurts: str = ""
    """The cohort that a fault hurts; empty for an order that is no fault."""
    one_address: bool = False
    """Whether the trust in proxies is misset meanwhile, so that every request seems to come from the proxy's address."""


def with_overlay(base: Policy, overlay: Overlay) -> Policy:
    """The policy under test with the overlay's rule sets behind its own.

    Whose account a session is, and the classes, stay as the policy says, if it does. Raises PolicyError when the names collide.
    """
    loaded = load_policy(Path(__file__).parent / overlay.folder)
    if loaded.policy is None:
        raise PolicyError(format_report(loaded.problems))
    names = {rule_set.name for rule_set in base.rule_sets}
    has_classes = any(rule_set.account is not None or rule_set.classes for rule_set in base.rule_sets)
    added = [each for each in loaded.policy.rule_sets if not (has_classes and (each.account is not None or each.classes))]
    same = sorted(names & {each.name for each in added})
    if same:
        raise PolicyError(f"the rules under test have a rule set {same[0]!r}, as the scenario has")
    return Policy((*base.rule_sets, *added), f"{base.digest}+{overlay.folder}")
