"""Every matcher on every field, plain, negated, negated twice and combined: the compiled engine answers as the naive one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.address import Network
from proxyguard.core.decision import Action, Mode, Reject, Score, Tag
from proxyguard.core.request import Request
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.compile.conditions import SELECTIVITY
from proxyguard.policy.fields.registry import field_types
from proxyguard.policy.matchers import Encoding, Signed
from proxyguard.policy.model import (
    Absent,
    AllOf,
    AnyOf,
    AtLeast,
    AtMost,
    Condition,
    Field,
    InNetworks,
    Matcher,
    Not,
    Policy,
    Present,
    Test,
    Text,
    TextKind,
)
from tests.build import asks, policy, request, rule
from tests.examples import examples
from tests.naive import TallyStore, naive
from tests.policies import policies, requests
from tests.policy.test_engine_property import compiled_decision

SIGNED_VALUE = "7.xZIbe1QNDO0C3ayf2TpcF3xFYy-b0u86zttJ7_sXtFs"
MATCHERS: dict[str, Matcher] = {
    **{str(kind): Text(kind, (b"a",)) for kind in TextKind},
    "several texts": Text(TextKind.EQUAL, (b"a", b"7", b"vip", b"GET", b"/a")),
    "networks": InNetworks((Network.parse("192.0.2.0/24"),)),
    "present": Present(),
    "absent": Absent(),
    "at_least": AtLeast(5.0),
    "at_most": AtMost(5.0),
    "signed": Signed("V", b"k" * 16, encoding=Encoding.BASE64URL),
}
NAMES = {"header": "x", "cookie": "x", "query": "x", "path_segment": "1"}
FIELDS = [Field(kind, NAMES.get(kind, "")) for kind, row in field_types().items() if row.matchers]
OTHER = asks("header.y", Present())
SHAPES: dict[str, Callable[[Condition], Condition]] = {
    "plain": lambda one: one,
    "not": Not,
    "not not": lambda one: Not(Not(one)),
    "any of two nots": lambda one: AnyOf((Not(one), Not(OTHER))),
    "not all": lambda one: Not(AllOf((one, OTHER))),
    "not any": lambda one: Not(AnyOf((one, OTHER))),
    "all with a not": lambda one: AllOf((Not(one), OTHER)),
    "any or always-not": lambda one: AnyOf((one, Not(OTHER), asks("score", AtLeast(100.0)))),
}
VALUES = ("", "a", "b", "xax", "4", "7", SIGNED_VALUE)


def _requests() -> Iterator[Request]:
    """With and without each value in each place, and with and without what `OTHER` looks for."""
    for y in ((), (("y", "1"),)):
        yield request("/", client="198.51.100.1", headers=y, user_agent=None)
        for value in VALUES:
            headers = (("x", value), ("Cookie", f"x={value}"), *y)
            made = request(f"/{value}?x={value}", host=value, headers=headers, user_agent=value)
            made.account = value.encode()
            yield made


REQUESTS = tuple(_requests())


def _decides(conditions: list[Condition]) -> Policy:
    """Points, a tag and a class for some requests; then a rule with each condition, in shadow, so that all of them are asked."""
    gifts: tuple[tuple[str, Action, Condition], ...] = (
        ("points", Score(7.0), asks("header.x", Text(TextKind.EQUAL, (b"7",)))),
        ("tag", Tag("a"), asks("header.x", Text(TextKind.EQUAL, (b"a",)))),
        ("class", Tag("class:vip"), asks("header.x", Text(TextKind.EQUAL, (b"b",)))),
    )
    asking = [rule(f"asks-{at}", Reject(), condition, mode=Mode.SHADOW) for at, condition in enumerate(conditions)]
    return policy(*(rule(*gift) for gift in gifts), *asking)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("matcher", MATCHERS)
def test_every_matcher_in_every_shape(matcher: str, shape: str) -> None:
    fields = [field for field in FIELDS if matcher != "networks" or field_types()[field.kind].address is not None]
    tested = _decides([SHAPES[shape](Test(field, MATCHERS[matcher])) for field in fields])
    compiled = compile_policy(tested, secret=b"secret")
    hits: list[int] = []
    for asked in REQUESTS:
        expected = naive(tested, Mode.ENFORCE, asked, 0.0, TallyStore())
        assert compiled_decision(compiled, asked, 0.0, TallyStore()) == expected, asked
        hits.append(len(expected.shadow))
    assert 0 < sum(hits) < len(fields) * len(REQUESTS)


@pytest.mark.thorough
@settings(max_examples=examples(80), deadline=None)
@given(
    policies(),
    st.lists(requests(), min_size=1, max_size=3),
    st.fixed_dictionaries({key: st.sampled_from([0.0, 1e-6, 0.5, 1.0, 100.0]) for key in SELECTIVITY}),
)
def test_no_guess_at_selectivity_changes_a_decision(tested: Policy, asked: list[Request], guesses: dict[str, float]) -> None:
    before = dict(SELECTIVITY)
    SELECTIVITY.update(guesses)
    try:
        compiled = compile_policy(tested, secret=b"secret")
    finally:
        SELECTIVITY.update(before)
    for one in asked:
        expected = naive(tested, Mode.ENFORCE, one, 0.0, TallyStore())
        assert compiled_decision(compiled, one, 0.0, TallyStore()) == expected
