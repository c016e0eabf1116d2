"""Taking a policy apart: everything that only it holds is freed, in short steps; what others hold stays."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest

from proxyguard.policy.compile.compile import CompiledRule, compile_policy
from proxyguard.policy.compile.teardown import dismantle
from proxyguard.policy.model import Policy, Rule
from proxyguard.policy.parse.file import parse_rule_set

MANY = "name: many\nrules:\n" + "".join(
    f"  - {{name: r{n}, action: reject, when: {{path: /{n}, user_agent: {{word: w{n}}}, not: {{method: POST}}}}}}\n"
    for n in range(300)
)


class Part:
    """Something that can be watched. Its module's name makes it one of ours."""

    __module__ = "proxyguard.test"

    def __init__(self, *held: Any) -> None:
        self.held = held


def function_holding(part: Part) -> Callable[[], Part]:
    """A closure, as conditions are compiled to."""
    return lambda: part


def test_all_that_only_the_parts_hold_is_freed_and_what_others_hold_stays() -> None:
    shared = Part()
    leaf = Part()
    root = Part([Part(leaf, shared)], {"key": Part(shared)}, function_holding(leaf))
    watched = [ref(root), ref(leaf), ref(root.held[0][0])]
    parts = [root]
    del root, leaf
    dismantle(parts, lambda: None)
    assert parts == []
    assert [watch() for watch in watched] == [None, None, None]
    assert sys.getrefcount(shared) == 2


def counted() -> Counter[str]:
    """How many rules there are in memory, written and compiled."""
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, CompiledRule | Rule))


@pytest.mark.thorough
def test_a_compiled_policy_leaves_nothing_behind_and_breathes_meanwhile() -> None:
    gc.collect()
    before = counted()
    rule_set, _ = parse_rule_set(MANY)
    assert rule_set is not None
    written = Policy((rule_set,))
    policy: list[Any] = [compile_policy(written, secret=b"x" * 32, yield_control=lambda: None)]
    assert (counted() - before)["CompiledRule"] == 300
    breaths: list[int] = []
    gc.disable()
    try:
        dismantle(policy, lambda: breaths.append(1))
        assert (counted() - before)["CompiledRule"] == 0
    finally:
        gc.enable()
    assert len(breaths) > 20
    assert sum(len(each.rules) for each in written.rule_sets) == 300
