"""The part of a policy that a log can judge: conditions on what the log does not tell are taken out, soundly.

*Unknown* is neither present nor absent. A rule keeps the part of its condition that holds whatever the unknown fields were, so
that it never fires falsely for want of knowledge; a rule of which nothing is left is dropped. What is dropped or kept in part
is named. An `allow` or `pass` rule that cannot be judged stands in as a shadow of what it might let through, so that a report
can say how many of the stopped requests it may concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple, assert_never

from proxyguard.core.decision import Allow, Mode, Pass, Score, Tag
from proxyguard.policy.actions.registry import kind_of
from proxyguard.policy.model import (
    ALWAYS,
    Absent,
    AllOf,
    AnyOf,
    AtLeast,
    AtMost,
    Condition,
    FieldKind,
    Not,
    Policy,
    Rule,
    RuleSet,
    Test,
    Text,
    TextKind,
    tests_of,
)
from proxyguard.tools.replay.knowledge import Knowledge

NEVER: Final = AnyOf(())

MAYBE: Final = "?"
"""Ends the name of a stand-in; no rule's name can end like this."""


class Unjudged(NamedTuple):
    """A rule that the log cannot judge, wholly or in part, the fields it lacks, and what that does to the report."""

    rule: str
    rule_set: str
    action: str
    mode: Mode
    fields: tuple[str, ...]
    in_part: bool
    effect: str


class Judgeable(NamedTuple):
    """A policy cut down to what a log can judge."""

    policy: Policy
    unjudged: tuple[Unjudged, ...]


def judgeable(policy: Policy, knowledge: Knowledge) -> Judgeable:
    """The policy that a log with this knowledge can judge."""
    cut = _Cut(knowledge)
    rule_sets = tuple(cut.rule_set(rule_set) for rule_set in policy.rule_sets)
    return Judgeable(replace(policy, rule_sets=rule_sets), tuple(cut.unjudged))


Unknown = Callable[[Test, bool], bool]
"""Whether a test, negated or not, cannot be answered."""


class _Cut:
    """Walks the rules in order and remembers which scores and tags have become uncertain."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self.unjudged: list[Unjudged] = []
        self._tags: set[bytes] = set()
        self._more_points = False
        self._fewer_points = False

    def rule_set(self, rule_set: RuleSet) -> RuleSet:
        rules = [kept for rule in rule_set.rules for kept in self._rule(rule, rule_set)]
        return replace(rule_set, rules=tuple(rules))

    def _rule(self, rule: Rule, rule_set: RuleSet) -> Iterator[Rule]:
        mode = rule_set.mode_of(rule, Mode.ENFORCE)
        if mode is Mode.OFF:
            return
        uncounted = self._knowledge.lacks_of(rule.limit) if rule.limit is not None else []
        lacking = uncounted + [str(test.field) for test in tests_of(rule.when) if not self._knowledge.knows(test)]
        certain = without(rule.when, self._is_unknown, certain=True)
        arising = certain != without(rule.when, lambda _test, _negated: False, certain=True) and not lacking
        if not lacking and not arising and not self._depends(rule.when):
            yield rule
            return
        if uncounted:
            certain = NEVER
        fields = tuple(dict.fromkeys(lacking)) or tuple(self._arising_fields(rule.when))
        kind = kind_of(rule.action)
        effect = kind.unjudged(rule.action)
        self.unjudged.append(Unjudged(rule.name, rule_set.name, kind.name, mode, fields, certain != NEVER, effect))
        self._record_losses(rule)
        if isinstance(rule.action, Allow | Pass) and mode is Mode.ENFORCE and rule.limit is None:
            possible = without(rule.when, self._is_unknown, certain=False)
            yield replace(rule, name=rule.name + MAYBE, when=possible, mode=Mode.SHADOW)
        if certain != NEVER:
            yield replace(rule, when=certain)

    def _record_losses(self, rule: Rule) -> None:
        """Remember the tag or points that later rules may miss, because this rule may not fire."""
        match rule.action:
            case Tag(name):
                self._tags.add(name.encode())
            case Score(points):
                self._more_points = self._more_points or points > 0
                self._fewer_points = self._fewer_points or points < 0
            case _:
                pass

    def _is_unknown(self, test: Test, negated: bool) -> bool:  # noqa: FBT001 - the shape of Unknown
        """Tags and points that were not given for want of knowledge may only be missed, never believed absent."""
        if test.field.kind == FieldKind.TAG:
            asks_for_none = isinstance(test.matcher, Absent) is not negated
            return asks_for_none and self._reads_lost_tag(test)
        if test.field.kind == FieldKind.SCORE:
            if not isinstance(test.matcher, AtLeast | AtMost):
                return False
            wants_more = isinstance(test.matcher, AtLeast) is not negated
            return self._fewer_points if wants_more else self._more_points
        return not self._knowledge.knows(test)

    def _reads_lost_tag(self, test: Test) -> bool:
        if isinstance(test.matcher, Text) and test.matcher.kind is TextKind.EQUAL:
            return not self._tags.isdisjoint(test.matcher.texts)
        return bool(self._tags)

    def _depends(self, condition: Condition) -> bool:
        return any(True for _ in self._arising_fields(condition))

    def _arising_fields(self, condition: Condition) -> Iterator[str]:
        for test in tests_of(condition):
            if test.field.kind == FieldKind.SCORE and (self._more_points or self._fewer_points):
                yield "score"
            elif test.field.kind == FieldKind.TAG and self._reads_lost_tag(test):
                yield "tag"


def without(condition: Condition, unknown: Unknown, *, certain: bool, negated: bool = False) -> Condition:
    """The condition with its unknown tests decided: `certain` against it (it holds whatever they were), else in its favour.

    ALWAYS, NEVER, or one that has neither inside.
    """
    match condition:
        case Test():
            if not unknown(condition, negated):
                return condition
            return NEVER if certain is not negated else ALWAYS
        case Not(inner):
            inner = without(inner, unknown, certain=certain, negated=not negated)
            if inner in (ALWAYS, NEVER):
                return NEVER if inner == ALWAYS else ALWAYS
            return Not(inner)
        case AllOf(parts) | AnyOf(parts):
            neutral, ruling = (ALWAYS, NEVER) if isinstance(condition, AllOf) else (NEVER, ALWAYS)
            found = (without(part, unknown, certain=certain, negated=negated) for part in parts)
            kept = tuple(part for part in found if part != neutral)
            return ruling if ruling in kept else type(condition)(kept)
        case _:
            assert_never(condition)
