"""Compiling: which rules a request touches, and that the work is done in short steps."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Network
from proxyguard.core.decision import Allow, Ban, Mode, Reject, Score, Tag
from proxyguard.core.form import GuardedForm
from proxyguard.core.reading import PRESETS
from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart, Limit
from proxyguard.policy.compile.compile import MAX_FACTS, CompiledPolicy, RuleInfo, compile_policy
from proxyguard.policy.compile.conditions import NO_TAGS, Arisen, class_tag, hangs, triggers
from proxyguard.policy.compile.cooperative import in_steps, sorted_in_steps
from proxyguard.policy.compile.facts import FactNumbers
from proxyguard.policy.compile.keys import KeyMaker
from proxyguard.policy.compile.normal_form import normal_form
from proxyguard.policy.compile.numbers import number_of
from proxyguard.policy.compile.outside import AS_IT_IS
from proxyguard.policy.engine import match
from proxyguard.policy.error import PolicyError
from proxyguard.policy.items import ItemFamily
from proxyguard.policy.matchers import Refused
from proxyguard.policy.model import (
    Absent,
    AllOf,
    AnyOf,
    AtLeast,
    AtMost,
    Condition,
    InNetworks,
    Not,
    Policy,
    Present,
    Rule,
    RuleSet,
    Test,
    TextKind,
)
from tests.build import CLIENT, asks, client_in, equal, limit, policy, request, rule, score_at_least, text, word


def compiled(*rules: Rule) -> CompiledPolicy:
    return compile_policy(policy(*rules), secret=b"secret")


def touched(rules: CompiledPolicy, **what: str) -> list[str]:
    facts, _ = rules.find(request(**what), 0.0, AS_IT_IS)  # type: ignore[arg-type]  # strings only
    found = set(rules._always).union(*(rules._by_trigger.get(fact, ()) for fact in facts))
    return [rules.rules[position].name for position in sorted(found)]


@pytest.mark.parametrize(
    "when",
    [
        equal("path", "/a"),
        text("path", TextKind.PREFIX, "/a"),
        AllOf((equal("method", "GET"), equal("path", "/a"))),
        AllOf((asks("header.accept", Absent()), equal("path", "/a"))),
        AnyOf((equal("path", "/a"), word("other"))),
        Not(AnyOf((Not(equal("path", "/a")), asks("header.accept", Present())))),
        AllOf((AnyOf((equal("path", "/a"), equal("path", "/b"))), Not(word("curl")))),
    ],
)
def test_a_rule_is_looked_at_only_for_what_it_needs(when: Condition) -> None:
    rules = compiled(rule("a", Reject(), when))
    assert touched(rules, target="/a") == ["a"]
    assert touched(rules, target="/c") == []


@pytest.mark.parametrize(
    "when",
    [
        AllOf(()),
        Not(equal("path", "/a")),
        asks("header.accept", Absent()),
        AnyOf((equal("path", "/a"), asks("header.accept", Absent()))),
        asks("score", AtMost(10.0)),
        asks("score", AtLeast(0.0)),
        Not(equal("tag", "x")),
    ],
)
def test_a_rule_that_needs_nothing_is_always_looked_at(when: Condition) -> None:
    assert touched(compiled(rule("a", Reject(), when)), target="/c") == ["a"]


def test_rules_about_score_and_tags_wait_for_points_and_tags() -> None:
    rules = compiled(
        rule("points", Score(1), word("odd")),
        rule("tags", Tag("x"), word("odd")),
        rule("by-score", Reject(), score_at_least(1)),
        rule("by-tag", Reject(), equal("tag", "x")),
        rule("by-any-tag", Reject(), asks("tag", Present())),
    )
    assert touched(rules) == []
    assert touched(rules, user_agent="odd") == ["points", "tags"]
    assert rules.woken_by("score") == (2,)
    assert rules.woken_by("tag:x") == (3,)
    assert rules.woken_by("tag") == (4,)
    assert rules.woken_by("tag:y") == ()


def test_the_most_selective_part_of_a_condition_is_the_trigger() -> None:
    numbers = FactNumbers()
    path, host, scheme = equal("path", "/a"), equal("host", "example.org"), equal("scheme", "https")
    node = normal_form(AllOf((scheme, host, path, asks("header.accept", Present()))), numbers)
    everywhere = Counter(dict.fromkeys(range(4), 1))
    assert triggers(node, everywhere) == frozenset({numbers.of(path)})
    popular = Counter(
        {
            numbers.of(path): 1000,
            numbers.of(host): 1,
            numbers.of(scheme): 1000,
            numbers.of(asks("header.accept", Present())): 1000,
        }
    )
    assert triggers(node, popular) == frozenset({numbers.of(host)})


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (client_in("192.0.2.0/24"), equal("path", "/a")),
        (equal("path", "/a"), client_in("8.0.0.0/7")),
        (client_in("8.0.0.0/7"), asks("header.accept", Present())),
        (client_in("8.0.0.0/8"), equal("path", "/a")),
        (equal("path", "/a"), asks("header.accept", Present())),
        (asks("header.accept", Present()), text("path", TextKind.PREFIX, "/")),
        (text("host", TextKind.PREFIX, "ab"), asks("header.accept", Present())),
    ],
)
def test_what_fewer_requests_have_is_the_trigger(better: Test, worse: Test) -> None:
    numbers = FactNumbers()
    for parts in ((better, worse), (worse, better)):
        node = normal_form(AllOf(parts), numbers)
        assert triggers(node, Counter(dict.fromkeys(range(2), 1))) == frozenset({numbers.of(better)})


@pytest.mark.parametrize(
    ("when", "found"),
    [
        (equal("class", "staff", "paying"), frozenset({"tag:class:staff", "tag:class:paying"})),
        (equal("class", "staff", "anonymous"), None),
        (Not(equal("class", "staff")), None),
        (asks("refused", Refused(3, 60.0)), frozenset({"tag:refused:3/1m"})),
        (Not(asks("refused", Refused(3, 60.0))), None),
        (equal("tag", "a", "b"), frozenset({"tag:a", "tag:b"})),
    ],
)
def test_what_wakes_a_rule_about_what_rules_give(when: Condition, found: frozenset[str] | None) -> None:
    assert triggers(normal_form(when, FactNumbers()), Counter()) == found


@pytest.mark.parametrize(
    ("seldom", "often"),
    [
        (equal("path", "/a"), equal("network_kind", "hosting")),
        (text("path", TextKind.PREFIX, "/a/"), equal("method", "GET")),
        (equal("heat", "cold"), equal("network_kind", "hosting")),
        (equal("heat", "cold"), equal("jar", "none")),
        (asks("item", Present()), asks("asn", Present())),
        (word("curl"), equal("scheme", "https")),
        (equal("contradiction", "hello"), text("path", TextKind.PREFIX, "/")),
        (asks("asn", Present()), equal("scheme", "https")),
    ],
)
def test_a_rule_is_woken_by_what_is_true_of_fewest_requests(seldom: Test, often: Test) -> None:
    for tests in ((seldom, often), (often, seldom)):
        numbers = FactNumbers()
        node = normal_form(AllOf(tests), numbers)
        popularity = Counter(range(len(numbers.tests)))
        assert triggers(node, popularity) == frozenset((numbers.of(seldom),))


@pytest.mark.parametrize(("given", "allowed"), [(NO_TAGS, False), (frozenset({"staff"}), True)])
def test_an_allow_rule_that_asks_for_a_tag_is_asked_about_what_is_given(given: frozenset[str], *, allowed: bool) -> None:
    rules = compiled(rule("open", Allow(), AllOf((equal("path", "/a"), equal("tag", "staff")))))
    found = match(rules, request("/a"), 0.0, given)
    assert (found.decision is not None) is allowed


def test_an_allow_rule_sees_no_points() -> None:
    rules = compiled(rule("open", Allow(), AllOf((equal("path", "/a"), score_at_least(1)))))
    assert match(rules, request("/a"), 0.0).decision is None


def test_a_rule_that_asks_for_a_class_hangs_on_no_usage() -> None:
    asked = hangs(normal_form(AnyOf((equal("class", "staff"), equal("tag", "one"))), FactNumbers()))
    staff, one = frozenset({class_tag("staff")}), frozenset({"one"})
    assert not asked(frozenset(), Arisen(0.0, False, staff, staff | one))  # noqa: FBT003 - a tuple of C speed
    assert asked(frozenset(), Arisen(0.0, False, NO_TAGS, one))  # noqa: FBT003 - as above


def test_of_requests_with_very_many_facts_no_order_is_remembered() -> None:
    present = [asks(f"header.x{at}", Present()) for at in range(MAX_FACTS + 1)]
    rules = [rule(f"r{at}", Reject(), test) for at, test in enumerate(present[:-2])]
    made = compiled(*rules, rule("last", Reject(), AnyOf(tuple(present[-2:]))))
    for count in (MAX_FACTS - 1, MAX_FACTS, MAX_FACTS + 1):
        made.find(request(headers=tuple((f"X{at}", "a") for at in range(count))), 0.0, AS_IT_IS)
    assert [len(facts) for facts, _ in made._found.values()] == [MAX_FACTS - 1, MAX_FACTS]
    many = compiled(*(rule(f"r{at}", Reject(), equal("path", "/a")) for at in range(MAX_FACTS + 1)))
    many.find(request("/a"), 0.0, AS_IT_IS)
    assert many._found == {}
    many = compiled(*(rule(f"r{at}", Reject(), equal("path", "/a")) for at in range(MAX_FACTS)))
    many.find(request("/a"), 0.0, AS_IT_IS)
    assert [len(order) for _, order in many._found.values()] == [MAX_FACTS]


def test_a_decision_by_a_restriction_names_it() -> None:
    [made] = compiled(replace(rule("a", Reject()), restriction="july")).rules
    assert made.plain is not None
    assert made.plain.restriction == "july"


def test_keys_are_of_the_path_as_the_site_reads_it_and_shadow_counts_apart() -> None:
    by_path = limit(1, KeyPart(KeyKind.PATH))
    rules = (rule("a", Reject(), counted=by_path), rule("b", Reject(), counted=by_path, mode=Mode.SHADOW))
    made = compile_policy(policy(*rules), secret=b"secret", reading=PRESETS["tomcat"])
    plain, spelt = request("/a"), request("/a;b=1")
    for asked in (plain, spelt):
        asked.read_as(made.reading)
    maker = KeyMaker(b"secret", DEFAULT_PREFIXES, PRESETS["tomcat"])
    for each, shadow in zip(made.rules, (False, True), strict=True):
        assert each.key is not None
        assert each.key.of(plain) == each.key.of(spelt) == maker.limit_key("set-a", each.name, by_path, shadow=shadow).of(plain)


def test_a_policy_knows_what_it_asks_others_for() -> None:
    item, form = ItemFamily("pages", (b"/wiki/*",)), GuardedForm(name="sign-up", read=(b"/join",), post=(b"/join",))
    made = compile_policy(
        Policy((RuleSet(name="a", file="a.yaml", mode=Mode.ENFORCE, items=(item,), forms=(form,)),)), secret=b""
    )
    assert made.items is not None
    assert made.forms is not None
    assert not made.asks_visitors
    asking = compiled(rule("a", Reject(), equal("visitor", "new")))
    assert (asking.asks_visitors, asking.items, asking.forms) == (True, None, None)


@pytest.mark.long
def test_a_request_touches_few_of_ten_thousand_rules() -> None:
    rules = []
    for number in range(10_000):
        parts = (equal("method", "GET"), equal("host", "example.org"), word("Mozilla"), equal("path", f"/p{number}"))
        rules.append(rule(f"r{number}", Reject(), AllOf(parts[number % 3 :])))
    policy_of_many = compiled(*rules)
    assert touched(policy_of_many, target="/p77") == ["r77"]
    assert touched(policy_of_many, target="/other") == []


def test_equal_tests_are_one_fact() -> None:
    numbers = FactNumbers()
    assert numbers.of(word("curl")) == numbers.of(word("curl")) == numbers.of(text("header.user-agent", TextKind.WORD, "curl"))
    assert numbers.of(client_in("192.0.2.0/24")) == numbers.of(client_in("192.0.2.0/24"))
    networks = tuple(Network(number, number, "") for number in range(5000))
    assert numbers.of(asks("client", InNetworks(networks))) == numbers.of(asks("client", InNetworks(networks)))
    assert len(numbers.tests) == 3


def test_the_summary_tells_of_every_rule_in_file_order() -> None:
    rules = compiled(rule("a", Ban(5.0), counted=limit(1)), rule("b", Reject(), mode=Mode.OFF, expires=5.0))
    assert rules.summary == (
        RuleInfo("a", "set-a", "ban", Mode.ENFORCE, limited=True, expires=None),
        RuleInfo("b", "set-a", "reject", Mode.OFF, limited=False, expires=5.0),
    )
    assert (rules.digest, rules.mode, rules.rule_sets) == ("d1", Mode.ENFORCE, ("set-a",))


def test_rules_of_the_same_name_in_two_rule_sets_count_apart() -> None:
    one = RuleSet(name="one", file="one", rules=(rule("flood", Reject(), counted=limit(1)),))
    two = RuleSet(name="two", file="two", rules=(rule("flood", Reject(), counted=limit(1)),))
    both = compile_policy(Policy((one, two)), secret=b"secret")
    keys = [compiled_rule.key.of(request()) for compiled_rule in both.rules if compiled_rule.key is not None]
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    ("per", "of", "jars", "origin"),
    [
        ("client", "path", False, False),
        ("jar", "path", True, False),
        ("network", "jar", True, False),
        ("country", "path", False, True),
        ("client", "asn", False, True),
    ],
)
def test_what_a_limit_counts_by_or_counts_is_looked_up(per: str, of: str, jars: bool, origin: bool) -> None:
    count = Count(CountKind.DISTINCT, of=KeyPart(of))
    found = compiled(replace(rule("a", Reject(), equal("path", "/a")), limit=Limit(3, 60.0, 3, (KeyPart(per),), count=count)))
    assert (found.gives_jars, found.asks_origin) == (jars, origin)


def test_keys_survive_a_reload_that_changes_other_things() -> None:
    def key(*rules: Rule) -> str | None:
        shown = compiled(*rules).rules[-1].key
        return shown.of(request()) if shown is not None else None

    before = key(rule("flood", Reject(), word("a"), limit(5)))
    assert before == key(rule("other", Reject()), rule("flood", Tag("x"), counted=limit(5), expires=99.0))
    assert before != key(rule("flood", Reject(), word("a"), Limit(5, 60.0, 6, (CLIENT,))))


def test_a_pattern_that_cannot_be_compiled_is_a_policy_error() -> None:
    with pytest.raises(PolicyError, match="cannot be compiled"):
        compiled(rule("a", Reject(), text("path", TextKind.REGEX, "(a")))


def test_it_breathes_between_steps() -> None:
    breaths: list[None] = []
    rules = [rule(f"r{number}", Reject(), equal("path", f"/p{number}")) for number in range(3000)]
    compile_policy(policy(*rules), secret=b"", yield_control=lambda: breaths.append(None))
    assert len(breaths) > 3 * 3000 / 512


def test_sorting_in_steps_sorts() -> None:
    rng = random.Random(3)
    items = [rng.getrandbits(20) for _ in range(20_000)]
    breaths: list[None] = []
    assert sorted_in_steps(items, lambda: breaths.append(None)) == sorted(items)
    assert len(breaths) > 20
    assert list(in_steps(items, lambda: None)) == items


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"10", 10.0),
        (b" -1.5\t", -1.5),
        (b"+2", 2.0),
        (b"007", 7.0),
        (b"1.", None),
        (b".5", None),
        (b"1e3", None),
        (b"inf", None),
        (b"nan", None),
        (b"1_0", None),
        (b"", None),
        (b"\xd9\xa1", None),
        (b"1 2", None),
        (b"1\n", None),
        (b"9" * 18, float("9" * 18)),
        (b"9" * 19, None),
    ],
)
def test_which_values_are_numbers(value: bytes, number: float | None) -> None:
    assert number_of(value) == number
