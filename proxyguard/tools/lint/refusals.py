"""Rules that apply to who was refused often, and stand where refusals come first."""

from __future__ import annotations

from collections.abc import Iterator

from proxyguard.core.decision import Mode
from proxyguard.limits.limit import CountKind
from proxyguard.policy.compile.normal_form import leaves
from proxyguard.policy.model import FieldKind
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.view import PolicyView, RuleView
from proxyguard.tools.lint.words import rule_at


def refusals(view: PolicyView) -> Iterator[Finding]:
    """PG032: such a rule behind a limit whose refusals it counts."""
    first: RuleView | None = None
    for item in view.live:
        if item.refuses and first is not None and _follows_refusals(item):
            message = (
                f"the rule '{item.rule.name}' applies to who was refused often, and {rule_at(first.rule)} refuses them before it"
            )
            hint = "put it before the limits, so that it decides as soon as there were enough refusals"
            yield item.finding("PG032", message, hint)
        limit = item.rule.limit
        if (
            first is None and item.refuses and item.mode is Mode.ENFORCE and not item.rule.restriction
            and limit is not None and limit.is_own and limit.count.kind is not CountKind.REFUSALS
        ):  # fmt: skip
            first = item


def _follows_refusals(item: RuleView) -> bool:
    limit = item.rule.limit
    counts = limit is not None and limit.count.kind is CountKind.REFUSALS
    return counts or any(leaf.test.field.kind == FieldKind.REFUSED and not leaf.negated for leaf in leaves(item.when))
