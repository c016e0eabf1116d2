"""What our own refusals charge to the limits that count them, so that a limit grows into a ban.

By default they count what a client used up alone (the limits with `client` or `account` in their key), and what follows from
that: the refusals of rules that ask how often it was refused. Never a rule without a limit, a limit that others can use up, or a
temporary restriction: nobody is banned for what somebody else did. A limit that names rules counts theirs, those without a limit
included. Pure, as the engine. See docs/adr/0050.
"""

from __future__ import annotations

from proxyguard.core.decision import Decision
from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.store import Outcome
from proxyguard.policy.compile.compile import CompiledRule
from proxyguard.policy.compile.keys import AMBIGUOUS
from proxyguard.policy.engine import Match


def refusals(found: Match, outcome: Outcome, decision: Decision) -> tuple[Charge, ...]:
    """The charges of a decision that refuses; none when it forwards, or when a ban was in force."""
    if decision.forwards or outcome.ban is not None:
        return ()
    rule = _refusing(found, decision)
    return () if rule is None else charged(found, rule)


def charged(found: Match, rule: CompiledRule | None, cost: float = 1.0) -> tuple[Charge, ...]:
    """What refusals of a request by a rule charge; None: by a limit of the client's own."""
    policy, request = found.policy, found.request
    owner = found.client.owner
    charges: list[Charge] = []
    for counter in policy.counting_refusals:
        limit = counter.limit
        if limit is None or counter.key is None or not (rule is None or _counts(limit.count.rules, rule, found)):
            continue
        if counter.condition.holds(found.facts, found.score, found.tags):
            key = counter.key.of(request)
            if key is not None and key != AMBIGUOUS:
                charges.append(Charge(key, limit, cost, stops=False, owed=True, owner=owner))
    return tuple(charges)


def _refusing(found: Match, decision: Decision) -> CompiledRule | None:
    """The rule that refuses."""
    for rule, _, _ in found.steps:
        if rule.name == decision.rule and rule.enforced:
            return rule
    return None


def _counts(named: tuple[str, ...], rule: CompiledRule, found: Match) -> bool:
    """Whether a rule's refusal of a request counts, where a limit counts the refusals of these rules."""
    if rule.is_own is not None and not rule.is_own(found.request):
        return False
    if named:
        return rule.name in named
    return (rule.is_own is not None or rule.reads_refusals) and not rule.restriction
