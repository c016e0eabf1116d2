"""`import:` and `override:` of a rule file: bundled rule sets by reference, and what is different about their rules here.

Reads them, and changes one rule as an override says. Which rules there are is `imports`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from proxyguard.core.decision import Ban
from proxyguard.core.problems import Fault, Report, name_hint, quoted
from proxyguard.core.units import duration_text
from proxyguard.core.yaml.kinds import RAW, Found, Key, KeyTable, Kind, items_of, one_or_more
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_each, read_mapping, read_or_report, read_text
from proxyguard.limits.limit import CountKind, Learned, Limit
from proxyguard.policy.actions.registry import ACTION, kind_of
from proxyguard.policy.bundled import BUNDLED_WORD, importable_names
from proxyguard.policy.model import Rule
from proxyguard.policy.parse.limits import LIMIT, fault_of_learned, fault_of_window, read_burst, read_rate
from proxyguard.policy.parse.modes import MODE
from proxyguard.policy.parse.rules import SHARED_KEYS, spared
from proxyguard.policy.parse.times import MOMENT

IMPORT_HINT: Final = f"{BUNDLED_WORD}/NAME, or {BUNDLED_WORD} for all but the kits"

_EXAMPLE: Final = "override: {http-libraries: {mode: shadow}}"


@dataclass(frozen=True, slots=True)
class Override:
    """What a file says about an imported rule, and where."""

    rule: str
    line: int
    column: int
    found: Found

    @property
    def changes_what_is_tested(self) -> bool:
        """Whether the rule does something else than its tests expect; they look at no mode and no end."""
        return bool(self.found.nodes.keys() & {"action", "limit"})


def _imports(node: Node, report: Report, _subject: str, around: Any) -> None:
    if not items_of(node):
        raise Fault("import is empty", f"import: {IMPORT_HINT}")
    around.parsed.imports += read_each(items_of(node), report, _import)


def _import(node: Node) -> tuple[str, int, int]:
    text = read_text(node, "import", 200).removesuffix(".yaml")
    known = [f"{BUNDLED_WORD}/{name}" for name in importable_names()]
    if text != BUNDLED_WORD and text not in known:
        raise Fault(f"there is no rule set {quoted(text)} to import", name_hint(text, [BUNDLED_WORD, *known], "rule sets"))
    return text, node.line, node.column


def _overrides(node: Node, report: Report, subject: str, around: Any) -> None:
    for entry in read_mapping(node, subject, _EXAMPLE):
        called = f"the override of {quoted(entry.key.text)}"
        rule, place = entry.key.text, (entry.key.line, entry.key.column)
        found = read_or_report(entry.value, report, lambda node: OVERRIDE.read(node, report, around, subject=called))  # noqa: B023 - called at once
        if found is not None:
            around.parsed.overrides.append(Override(rule, *place, found))


def overridden(rule: Rule, override: Override) -> Rule:
    """The rule as the override has it; what is wrong with that is in the override's report."""
    found = override.found
    limit = _limit(found, rule.limit) if "limit" in found.nodes else rule.limit
    changed = replace(
        rule,
        mode=found.get("mode", rule.mode) or rule.mode,
        expires=found.get("expires", rule.expires),
        action=found.get("action", rule.action) or rule.action,
        limit=limit,
    )
    if type(changed.action) is not type(rule.action):
        changed = replace(changed, when=spared(changed.action, rule.when))
    was, now = kind_of(rule.action), kind_of(changed.action)
    if was.effect is not now.effect:
        hint = f"{was.name} can become what does the same to a request; for another purpose write a rule of your own"
        found.complain("action", f"{quoted(rule.name)} cannot become {now.name}: it is {was.name}", hint)
    if isinstance(changed.action, Ban) and limit is not None and {part.kind for part in limit.per} <= SHARED_KEYS:
        found.complain("action", "the ban would be for everybody", "a ban is for the key of the rule's limit")
    return changed


def _limit(found: Found, limit: Limit | None) -> Limit | None:
    """The rule's limit with another rate, burst or learning. A burst that is not said is the rate's amount, as in any limit."""
    if limit is None or limit.count.kind is CountKind.CONCURRENT:
        found.complain("limit", "the rule has no limit with a rate", "take limit out")
        return limit
    try:
        said = LIMITS.read(found.nodes["limit"], found.report)
    except Fault as fault:
        found.complain("limit", fault.message, fault.hint)
        return limit
    rate = said.read("rate", lambda node: read_rate(node, limit.count)) or (limit.amount, limit.period_seconds)
    burst = said.read("burst", lambda node: read_burst(node, limit.count, limit.window))
    unfit = fault_of_window(limit.window, *rate)
    if unfit is not None:
        said.complain("rate", unfit.message, unfit.hint)
        return limit
    if limit.learned is not None and rate[1] != limit.period_seconds:
        period = duration_text(limit.period_seconds)
        said.complain("rate", f"the rule's limit learns by {period}", f"another amount, or another learned: {rate[0]}/{period}")
        return limit
    kept = rate[0] if "rate" in said.nodes else limit.burst
    changed = replace(limit, amount=rate[0], period_seconds=rate[1], burst=burst or kept)
    learned: Learned | None = said.get("learned")
    if learned is None:
        return changed
    unfit = (
        fault_of_learned(learned, rate[0])
        if limit.learned is not None
        else Fault("the rule's limit does not learn", "take learned out")
    )
    if unfit is not None:
        said.complain("learned", unfit.message, unfit.hint)
        return limit
    return replace(changed, learned=learned)


LIMITS: Final = KeyTable(
    subject="limit",
    example="limit: {rate: 30/minute, burst: 30}",
    keys={name: replace(LIMIT.keys[name], required=None) for name in ("rate", "burst", "learned")},
)

OVERRIDE: Final = KeyTable(
    subject="an override",
    example=_EXAMPLE,
    keys={
        "mode": Key(MODE, "`enforce`, `shadow` or `off`."),
        "limit": Key(
            replace(RAW, takes="limit", schema=LIMITS.schema(minProperties=1)),
            "Another `rate` or `burst`, or what a limit that learns has.",
        ),
        "action": Key(ACTION, "Another action that does the same to a request: refuse it, let it pass, or give it points."),
        "expires": Key(
            MOMENT,
            "The day (00:00 UTC) or time from which on the rule is not looked at.",
            examples=("2026-07-01", "2026-07-01T18:00Z"),
        ),
    },
)

IMPORT_KIND: Final = Kind(_imports, "rule sets", one_or_more({"type": "string", "pattern": f"^{BUNDLED_WORD}(/.+)?$"}))
OVERRIDE_KIND: Final = Kind(
    _overrides, "overrides by rule", {"type": "object", "additionalProperties": {"$ref": "#/definitions/override"}}
)
