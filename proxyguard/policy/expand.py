"""What an operator writes in one place and the engine sees as plain rules: classes of clients, temporary restrictions.

A class becomes a rule that attaches a tag, in a rule set that comes before all others and applies to every site. A restriction
becomes a rule for each class, after the rules of its file, which looks for the tag that says that the restriction is on: so it is
switched without compiling anything. A test of how often a client was refused becomes a rule that counts it and attaches a tag.
Knows nothing of YAML or of evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from proxyguard.core.decision import Reject, Tag
from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart, Limit, Missing, Window
from proxyguard.policy.matchers import REFUSED_MARK, Refused
from proxyguard.policy.model import (
    ALWAYS,
    ANONYMOUS,
    CLASS_MARK,
    AllOf,
    AtLeast,
    ClientClass,
    Condition,
    Field,
    FieldKind,
    Not,
    Restriction,
    Rule,
    RuleSet,
    Test,
    Text,
    TextKind,
    tests_of,
)
from proxyguard.policy.restriction import SUSPECTED, tag_of

BY_ACCOUNT = (KeyPart(KeyKind.ACCOUNT),)
BY_CLIENT = (KeyPart(KeyKind.CLIENT),)

COMMON_NAME = "classes:"
"""The name of the rule set that comes first; no file's name has a colon."""


def expanded(rule_sets: Iterable[RuleSet]) -> tuple[RuleSet, ...]:
    """The rule sets as the engine sees them."""
    every = tuple(rule_sets)
    account = next((each.account for each in every if each.account is not None), None)
    classes = next((each.classes for each in every if each.classes), ())
    names = tuple(each.name for each in classes)
    every = tuple(with_restrictions(each, account is not None, names) if each.restrictions else each for each in every)
    asked = tuple(dict.fromkeys(test.matcher for test in _tests(every) if isinstance(test.matcher, Refused)))
    counting = (_counting(asked),) if asked else ()
    source = next((each for each in every if each.classes or each.account is not None), None)
    if source is None:
        return (*counting, *every)
    defining = next((each for each in every if each.classes), source)
    common = RuleSet(
        name=COMMON_NAME,
        file=defining.file,
        rules=tuple(_class_rules(defining.classes)),
        account=account,
        classes=defining.classes,
        common=True,
    )
    return (*counting, common, *(replace(each, account=None, classes=()) for each in every))


def _tests(rule_sets: Iterable[RuleSet]) -> Iterator[Test]:
    for rule_set in rule_sets:
        for rule in rule_set.rules:
            yield from tests_of(rule.when)


def _counting(asked: Iterable[Refused]) -> RuleSet:
    """The rules that say how often a client was refused. Exact: each refusal is forgotten when it is as old as the time."""
    rules = tuple(
        Rule(
            name=each.tag,
            action=Tag(each.tag),
            limit=Limit(
                each.at_least, each.within_seconds, each.at_least, BY_CLIENT,
                count=Count(CountKind.REFUSALS, rules=each.rules), window=Window.SLIDING_LOG,
            ),
            why=f"the client was refused {each}",
        )
        for each in asked
    )  # fmt: skip
    return RuleSet(name=REFUSED_MARK, file="", rules=rules, common=True)


def with_restrictions(rule_set: RuleSet, has_accounts: bool, classes: tuple[str, ...]) -> RuleSet:  # noqa: FBT001 - no setting
    """A rule set with the rules of its restrictions, where all files together define these classes."""
    restrictions = tuple(_settled(each, has_accounts, classes) for each in rule_set.restrictions)
    rules = tuple(rule for each in restrictions for rule in _restriction_rules(each))
    return replace(rule_set, rules=rule_set.rules + rules, restrictions=restrictions)


def _settled(restriction: Restriction, has_accounts: bool, classes: tuple[str, ...]) -> Restriction:  # noqa: FBT001 - private
    """The restriction with what depends on other files: the key of its limits, the steps of shedding load."""
    if restriction.shed is not None:
        steps = restriction.shed.steps or (SUSPECTED, ANONYMOUS, *reversed(classes))
        return replace(restriction, shed=replace(restriction.shed, steps=steps), steps=len(steps))
    per, missing = (BY_ACCOUNT, Missing.SEPARATE) if has_accounts else (BY_CLIENT, Missing.SHARED)
    limits = tuple((name, limit if limit.per else replace(limit, per=per, missing=missing)) for name, limit in restriction.limits)
    return replace(restriction, limits=limits)


def _restriction_rules(restriction: Restriction) -> Iterator[Rule]:
    shed = restriction.shed
    if shed is not None:
        for number, step in enumerate(shed.steps or (), 1):
            suspected = Test(Field(FieldKind.SCORE), AtLeast(shed.suspected_score))
            who = suspected if step == SUSPECTED else _is_of(step)
            action = Reject(restriction.status, restriction.why, shed.every_seconds)
            yield _restriction_rule(restriction, step, tag_of(restriction.name, number), who, action, None)
    for name, limit in restriction.limits:
        action = Reject(restriction.status, restriction.why)
        yield _restriction_rule(restriction, name, tag_of(restriction.name), _is_of(name), action, limit)


def _restriction_rule(
    restriction: Restriction, suffix: str, tag: str, who: Condition, action: Reject, limit: Limit | None
) -> Rule:
    is_on = Test(Field(FieldKind.TAG), Text(TextKind.EQUAL, (tag.encode(),)))
    when = (is_on, who) if restriction.when == ALWAYS else (is_on, who, restriction.when)
    return Rule(
        name=f"{restriction.name}-{suffix}",
        action=action,
        when=AllOf(when),
        limit=limit,
        mode=restriction.mode,
        why=f"restriction {restriction.name}",
        expires=restriction.until,
        place=restriction.place,
        restriction=restriction.name,
    )


def _is_of(name: str) -> Condition:
    return Test(Field(FieldKind.CLASS), Text(TextKind.EQUAL, (name.encode(),)))


def _class_rules(classes: tuple[ClientClass, ...]) -> Iterator[Rule]:
    """The first class that holds is the class: each later one asks that no earlier one did."""
    earlier: tuple[bytes, ...] = ()
    for each in classes:
        name = CLASS_MARK + each.name
        when = each.when
        if earlier:
            when = AllOf((when, Not(Test(Field(FieldKind.TAG), Text(TextKind.EQUAL, earlier)))))
        yield Rule(name=name, action=Tag(name), when=when, why=f"the class {each.name}", place=each.place)
        earlier += (name.encode(),)
