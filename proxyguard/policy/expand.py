"""What an operator writes in one place and the engine sees as plain rules: classes of clients.

A class becomes a rule that attaches a tag, in a rule set that comes before all others and applies to every site. Knows nothing of
YAML or of evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from proxyguard.decision import Tag
from proxyguard.policy.model import (
    CLASS_MARK,
    AllOf,
    ClientClass,
    Field,
    FieldKind,
    Not,
    Rule,
    RuleSet,
    Test,
    Text,
    TextKind,
)

COMMON_NAME = "classes:"
"""The name of the rule set that comes first; no file's name has a colon."""


def expanded(rule_sets: Iterable[RuleSet]) -> tuple[RuleSet, ...]:
    """The rule sets as the engine sees them."""
    every = tuple(rule_sets)
    source = next((each for each in every if each.classes or each.account is not None), None)
    if source is None:
        return every
    account = next((each.account for each in every if each.account is not None), None)
    defining = next((each for each in every if each.classes), source)
    common = RuleSet(
        name=COMMON_NAME,
        file=defining.file,
        rules=tuple(_class_rules(defining.classes)),
        account=account,
        classes=defining.classes,
        common=True,
    )
    return (common, *(replace(each, account=None, classes=()) for each in every))


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
