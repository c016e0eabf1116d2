"""What the engine decides, case by case: order, limits, bans, shadow, scores and tags."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxyguard.core.address import Prefixes
from proxyguard.core.decision import (
    PASS_BY_DEFAULT,
    Action,
    Allow,
    Ban,
    Decision,
    Delay,
    Drop,
    Mode,
    Pass,
    Quota,
    Reject,
    Score,
    ShadowHit,
    Tag,
    Tarpit,
)
from proxyguard.core.request import Request
from proxyguard.limits.charge import Charge, Usage
from proxyguard.limits.limit import KeyKind, KeyPart, Missing
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import BanTerms, Outcome
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.compile.keys import KeyMaker
from proxyguard.policy.engine import MAX_NOTED, BanOrder, Ruling, decide, match
from proxyguard.policy.error import PolicyError
from proxyguard.policy.explain.trace import trace_with
from proxyguard.policy.model import Absent, AllOf, AnyOf, AtMost, Condition, Not, Policy, Present, Rule
from tests.build import CLIENT, asks, client_in, equal, limit, policy, request, rule, score_at_least, word

SIGN_UP = equal("path", "/signup")

OWNER = ("client:192.0.2.1", "network:192.0.2.0/24")


def compiled(*rules: Rule, mode: Mode = Mode.ENFORCE) -> CompiledPolicy:
    return compile_policy(policy(*rules), mode=mode, secret=b"secret")


class Site:
    """A policy and a store, asked like the guard asks them."""

    def __init__(self, *rules: Rule, mode: Mode = Mode.ENFORCE) -> None:
        self.policy = compiled(*rules, mode=mode)
        self.store = MemoryStore(keys=100, bans=100)

    def rule(self, asked: Request, now: float = 0.0) -> Ruling:
        found = match(self.policy, asked, now)
        ruling = decide(found, self.store.charge(found.charges, found.ban_keys, now))
        if ruling.ban is not None:
            order = ruling.ban
            self.store.ban(order.key, order.rule, order.reason, order.terms, now)
        return ruling

    def decide(self, asked: Request, now: float = 0.0) -> Decision:
        return self.rule(asked, now).decision

    def said(self, asked: Request, now: float = 0.0) -> str:
        decision = self.decide(asked, now)
        return f"{decision.name} by {decision.rule}"


def test_nothing_applies_so_it_is_passed_by_default() -> None:
    assert Site().decide(request()) is PASS_BY_DEFAULT
    assert Site(rule("curl", Reject(), word("curl"))).decide(request()) is PASS_BY_DEFAULT


def test_a_decision_names_its_rule_and_reason() -> None:
    site = Site(rule("curl", Reject(404, "No.", 5.0), word("curl")))
    assert site.decide(request(user_agent="curl/8")) == Decision(
        action=Reject(404, "No.", 5.0), rule="curl", reason="because curl"
    )


def test_the_first_terminal_action_that_applies_ends_it() -> None:
    site = Site(rule("a", Tarpit(), word("a")), rule("b", Pass(), word("b")), rule("c", Reject()))
    assert site.said(request(user_agent="b a")) == "tarpit by a"
    assert site.said(request(user_agent="b")) == "pass by b"
    assert site.said(request(user_agent="c")) == "reject by c"


def test_allow_wins_from_the_last_place_over_everything_and_is_not_counted() -> None:
    site = Site(
        rule("flood", Ban(60.0), counted=limit(1)),
        rule("curl", Reject(), word("curl")),
        rule("office", Allow(), client_in("192.0.2.0/24")),
    )
    asked = request(user_agent="curl/8")
    site.store.ban("client:192.0.2.1", "by-hand", "", BanTerms(60.0, Drop()), 0.0)
    for _ in range(3):
        assert site.decide(asked) == Decision(action=Allow(), rule="office", reason="because office")
    found = match(site.policy, asked, 0.0)
    assert (found.charges, found.ban_keys) == ((), ())
    assert decide(found, Outcome(None, ())) == Ruling(Decision(action=Allow(), rule="office", reason="because office"), None)


def test_what_rules_in_shadow_would_have_allowed_is_noted_whatever_is_decided() -> None:
    noted = (ShadowHit("would", "allow"),)
    would = rule("would", Allow(), mode=Mode.SHADOW)
    site = Site(would, rule("office", Allow(), equal("path", "/office")))
    asked = request("/office")
    assert site.decide(asked) == Decision(action=Allow(), rule="office", reason="because office", shadow=noted)
    site.store.ban("client:192.0.2.1", "by-hand", "note", BanTerms(60.0, Drop()), 0.0)
    banned = Decision(action=Drop(), rule="by-hand", reason="note", banned=True, shadow=noted)
    assert site.decide(request()) == banned


def test_an_allow_rule_sees_no_points_and_only_the_tags_that_are_given() -> None:
    site = Site(
        rule("first", Allow(), equal("tag", "calm")), rule("points", Score(5.0)), rule("late", Allow(), score_at_least(1))
    )
    assert site.said(request()) == "pass by default"
    found = match(site.policy, request(), 0.0, frozenset({"calm"}))
    assert found.decision is not None
    assert found.decision.rule == "first"


def test_an_active_ban_comes_before_other_rules_and_counts_nothing() -> None:
    site = Site(rule("pass", Pass()), rule("never", Reject(), counted=limit(1)))
    site.store.ban("client:192.0.2.1", "by-hand", "note", BanTerms(60.0, Tarpit(5.0)), 0.0)
    assert site.decide(request(), 59.0) == Decision(action=Tarpit(5.0), rule="by-hand", reason="note", banned=True)
    assert site.said(request(), 61.0) == "pass by pass"


def test_a_limit_lets_its_burst_through_and_then_refuses_with_its_quota() -> None:
    site = Site(rule("flood", Tarpit(), SIGN_UP, limit(3)))
    for _ in range(3):
        assert site.decide(request("/signup")) is PASS_BY_DEFAULT
    decision = site.decide(request("/signup"))
    assert decision == Decision(action=Tarpit(), rule="flood", reason="because flood", quota=Quota(3, 60.0, 0, 20.0))
    assert site.decide(request("/other")) is PASS_BY_DEFAULT
    assert site.decide(request("/signup", client="192.0.2.2")) is PASS_BY_DEFAULT


def test_all_limits_of_a_request_are_one_batch_in_file_order() -> None:
    rules = (
        rule("a", Reject(), counted=limit(1)),
        rule("b", Score(10), counted=limit(2)),
        rule("c", Ban(5.0), counted=limit(3)),
        rule("d", Delay(1.0), counted=limit(4)),
        rule("e", Drop(), counted=limit(5), mode=Mode.SHADOW),
    )
    charges = match(compiled(*rules), request(), 0.0).charges
    assert [(charge.limit.burst, charge.cost, charge.stops) for charge in charges] == [
        (1, 1.0, True),
        (2, 1.0, False),
        (3, 1.0, True),
        (4, 1.0, False),
        (5, 1.0, False),
    ]
    assert len({charge.key for charge in charges}) == 5


@pytest.mark.parametrize("action", [Reject(), Tarpit(), Drop(), Ban(60.0)])
def test_a_refusal_that_is_certain_is_not_counted_by_limits_before_it(action: Action) -> None:
    policy = compiled(
        rule("pages", Reject(), counted=limit(2)), rule("curl", action, word("curl")), rule("later", Reject(), counted=limit(2))
    )
    refused = match(policy, request(user_agent="curl"), 0.0)
    assert [charge.cost for charge in refused.charges] == [0.0]
    assert [charge.cost for charge in match(policy, request(), 0.0).charges] == [1.0, 1.0]


@pytest.mark.parametrize("action", [Pass(), Delay(1.0)])
def test_what_is_forwarded_for_certain_is_counted_before_but_not_after(action: Action) -> None:
    rules = (rule("a", Reject(), counted=limit(1)), rule("ends", action), rule("b", Reject(), counted=limit(1)))
    assert [charge.cost for charge in match(compiled(*rules), request(), 0.0).charges] == [1.0]


def test_scores_add_up_and_the_threshold_sees_what_came_before_it() -> None:
    site = Site(
        rule("early", Reject(), score_at_least(1)),
        rule("no-accept", Score(40), asks("header.accept", Absent())),
        rule("no-language", Score(30), asks("header.accept-language", Absent())),
        rule("good", Score(-20), word("Firefox")),
        rule("suspicious", Reject(), score_at_least(60)),
    )
    assert site.decide(request()) == Decision(action=Reject(), rule="suspicious", reason="because suspicious", score=70.0)
    assert site.decide(request(user_agent="Firefox")) == Decision(action=Pass(), score=50.0)
    assert site.decide(request(headers=(("Accept", "*/*"),))).score == 30.0


def test_tags_wake_the_rules_that_ask_for_them() -> None:
    site = Site(
        rule("before", Reject(), equal("tag", "cloud")),
        rule("cloud", Tag("cloud"), client_in("198.51.100.0/24")),
        rule("odd", Tag("odd"), word("odd")),
        rule("cloud-sign-up", Tarpit(), AllOf((SIGN_UP, equal("tag", "cloud")))),
        rule("both", Drop(), AllOf((equal("tag", "cloud"), equal("tag", "odd")))),
        rule("any-tag", Delay(1.0), asks("tag", Present())),
    )
    assert site.said(request("/signup", client="198.51.100.1")) == "tarpit by cloud-sign-up"
    assert site.said(request(client="198.51.100.1", user_agent="odd")) == "drop by both"
    assert site.decide(request(user_agent="odd")) == Decision(
        action=Delay(1.0), rule="any-tag", reason="because any-tag", tags=frozenset({"odd"})
    )
    assert site.decide(request("/signup")) is PASS_BY_DEFAULT


def test_points_given_by_an_exceeded_limit_count_for_rules_without_a_limit() -> None:
    site = Site(rule("fast", Score(50), counted=limit(1)), rule("suspicious", Reject(), score_at_least(50)))
    assert site.decide(request()) is PASS_BY_DEFAULT
    assert site.said(request()) == "reject by suspicious"


def test_a_limited_rule_is_charged_by_the_score_of_rules_without_a_limit_only() -> None:
    site = Site(
        rule("fast", Score(50), counted=limit(1)),
        rule("fast-and-suspicious", Reject(), score_at_least(50), limit(1)),
        rule("odd", Score(50), word("odd")),
        rule("odd-and-suspicious", Tarpit(), score_at_least(50), limit(1)),
    )
    for _ in range(3):
        assert site.decide(request()).action == Pass()
    assert site.decide(request(user_agent="odd", client="192.0.2.9")) == Decision(action=Pass(), score=50.0)
    assert site.said(request(user_agent="odd", client="192.0.2.9")) == "tarpit by odd-and-suspicious"


def test_a_tag_given_by_a_limit_wakes_later_rules_when_it_is_exceeded() -> None:
    site = Site(rule("fast", Tag("fast"), counted=limit(1)), rule("stop", Drop(), equal("tag", "fast")))
    assert site.decide(request()) is PASS_BY_DEFAULT
    assert site.said(request()) == "drop by stop"


def test_rules_after_one_that_depends_on_counts_are_still_charged() -> None:
    rules = (
        rule("fast", Score(50), counted=limit(1)),
        rule("suspicious", Reject(), score_at_least(50)),
        rule("pages", Reject(), counted=limit(9)),
    )
    charges = match(compiled(*rules), request(), 0.0).charges
    assert [(charge.limit.burst, charge.cost) for charge in charges] == [(1, 1.0), (9, 1.0)]


def test_a_rule_that_the_score_so_far_decides_whatever_comes_is_still_open_when_a_limit_gives_points() -> None:
    site = Site(
        rule("fast", Score(-100), counted=limit(1)), rule("odd", Score(50)), rule("suspicious", Reject(), score_at_least(50))
    )
    assert site.said(request()) == "reject by suspicious"
    assert site.decide(request()) == Decision(action=Pass(), score=-50.0)


def test_shadow_rules_never_act_and_are_recorded_in_order() -> None:
    site = Site(
        rule("a", Reject(), mode=Mode.SHADOW),
        rule("b", Score(100), mode=Mode.SHADOW),
        rule("c", Tag("x"), mode=Mode.SHADOW),
        rule("d", Ban(60.0), mode=Mode.SHADOW),
        rule("e", Allow(), mode=Mode.SHADOW),
        rule("f", Drop(), score_at_least(1)),
        rule("g", Drop(), equal("tag", "x")),
        rule("end", Pass()),
        rule("after", Reject(), mode=Mode.SHADOW),
    )
    ruling = site.rule(request())
    hits = [("e", "allow"), ("a", "reject"), ("b", "score"), ("c", "tag"), ("d", "ban")]
    assert ruling == Ruling(
        Decision(action=Pass(), rule="end", reason="because end", shadow=tuple(ShadowHit(*hit) for hit in hits)), None
    )
    assert list(site.store.bans(0.0)) == []


def test_a_limit_in_shadow_counts_on_its_own_and_refuses_nobody() -> None:
    site = Site(rule("pages", Reject(), counted=limit(2), mode=Mode.SHADOW))
    assert [site.decide(request()).shadow for _ in range(3)] == [(), (), (ShadowHit("pages", "reject"),)]


def test_a_whole_process_in_shadow_acts_on_nothing_not_even_on_bans() -> None:
    site = Site(rule("ban", Ban(60.0)), rule("allow", Allow(), word("curl")), mode=Mode.SHADOW)
    site.store.ban("client:192.0.2.1", "by-hand", "", BanTerms(60.0, Drop()), 0.0)
    assert match(site.policy, request(), 0.0).ban_keys == ()
    assert site.decide(request()) == Decision(action=Pass(), shadow=(ShadowHit("ban", "ban"),))
    assert site.decide(request(user_agent="curl")).shadow == (ShadowHit("allow", "allow"), ShadowHit("ban", "ban"))


def test_a_process_that_is_off_looks_at_nothing() -> None:
    assert Site(rule("a", Reject()), mode=Mode.OFF).decide(request()) is PASS_BY_DEFAULT


def test_the_weakest_mode_wins() -> None:
    off = rule("off", Reject(), mode=Mode.OFF)
    on = rule("on", Reject())
    shadowed = compile_policy(policy(off, on, mode=Mode.SHADOW), secret=b"secret")
    assert [(info.name, info.mode) for info in shadowed.summary] == [("off", Mode.OFF), ("on", Mode.SHADOW)]
    assert [compiled_rule.name for compiled_rule in shadowed.rules] == ["on"]


def test_an_expired_rule_is_not_looked_at() -> None:
    site = Site(rule("brief", Reject(), expires=100.0), rule("brief-allow", Allow(), word("curl"), expires=50.0))
    assert site.said(request(), 99.9) == "reject by brief"
    assert site.decide(request(), 100.0) is PASS_BY_DEFAULT
    assert site.said(request(user_agent="curl"), 49.0) == "allow by brief-allow"
    assert site.said(request(user_agent="curl"), 50.0) == "reject by brief"


def test_a_ban_refuses_now_and_orders_the_same_for_later() -> None:
    terms = Ban(60.0, then=Drop(), escalation=2.0, max_seconds=600.0, forget_seconds=30.0)
    site = Site(rule("log-in-flood", terms, equal("path", "/login"), limit(1)))
    assert site.decide(request("/login")) is PASS_BY_DEFAULT
    ruling = site.rule(request("/login"))
    assert ruling.decision == Decision(action=Drop(), rule="log-in-flood", reason="because log-in-flood", banned=True)
    assert ruling.ban == BanOrder(
        "client:192.0.2.1", "log-in-flood", "because log-in-flood", BanTerms(60.0, Drop(), 2.0, 600.0, 30.0, owner=OWNER)
    )
    assert site.said(request("/other"), 59.0) == "ban by log-in-flood"
    assert site.decide(request("/other", client="192.0.2.2"), 59.0) is PASS_BY_DEFAULT
    assert site.decide(request("/other"), 61.0) is PASS_BY_DEFAULT


def test_a_ban_is_for_the_key_of_its_limit() -> None:
    network = KeyPart(KeyKind.NETWORK)
    api_key = KeyPart(KeyKind.HEADER, "x-api-key")
    site = Site(
        rule("net", Ban(60.0), SIGN_UP, limit(1, network)), rule("key", Ban(60.0), equal("path", "/api"), limit(1, api_key))
    )
    for _ in range(2):
        site.decide(request("/signup"))
    assert site.said(request("/x", client="192.0.2.77")) == "ban by net"
    keyed = request("/api", client="198.51.100.1", headers=(("X-Api-Key", "one"),))
    for _ in range(2):
        site.decide(keyed)
    assert site.said(request("/x", client="203.0.113.5", headers=(("X-Api-Key", "one"),))) == "ban by key"
    assert site.decide(request("/x", client="203.0.113.5", headers=(("X-Api-Key", "two"),))) is PASS_BY_DEFAULT
    assert site.decide(request("/x", client="203.0.113.5")) is PASS_BY_DEFAULT


def test_leaving_the_key_out_bans_only_who_left_it_out() -> None:
    site = Site(rule("key", Ban(60.0), counted=limit(1, KeyPart(KeyKind.HEADER, "x-api-key"))))
    site.decide(request())
    assert site.rule(request()).ban is not None
    assert site.said(request()) == "ban by key"
    assert match(site.policy, request(client="203.0.113.5"), 0.0).ban_keys == ("client:203.0.113.5", "network:203.0.113.0/24")


def test_the_keys_to_look_for_bans_by_are_the_client_its_network_and_those_of_enforced_ban_rules() -> None:
    network = KeyPart(KeyKind.NETWORK)
    rules = (
        rule("a", Ban(1.0), word("x"), limit(1, network)),
        rule("b", Ban(1.0), word("x"), limit(2, network)),
        rule("c", Ban(1.0), word("x"), limit(1, CLIENT, network)),
        rule("d", Ban(1.0), word("x"), limit(1, KeyPart(KeyKind.PATH)), mode=Mode.SHADOW),
    )
    assert match(compiled(*rules), request(), 0.0).ban_keys == (
        "client:192.0.2.1",
        "network:192.0.2.0/24",
        "client:192.0.2.1+network:192.0.2.0/24",
    )


def test_a_limit_that_skips_requests_without_its_key_does_not_apply_to_them() -> None:
    counted = limit(1, KeyPart(KeyKind.HEADER, "x-api-key"), missing=Missing.SKIP)
    site = Site(rule("keys", Reject(), counted=counted))
    for _ in range(3):
        assert site.decide(request()) is PASS_BY_DEFAULT
    assert match(site.policy, request(), 0.0).charges == ()


def test_a_second_user_agent_field_does_not_hide_the_first() -> None:
    site = Site(rule("curl", Reject(), word("curl")))
    assert site.said(request(headers=(("user-agent", "curl/8"),))) == "reject by curl"


def test_absent_and_empty_headers_differ() -> None:
    site = Site(rule("absent", Reject(), asks("header.accept", Absent())), rule("empty", Drop(), equal("header.accept", "")))
    assert site.said(request()) == "reject by absent"
    assert site.said(request(headers=(("Accept", ""),))) == "drop by empty"
    assert site.decide(request(headers=(("ACCEPT", "*/*"),))) is PASS_BY_DEFAULT


def test_a_condition_of_nothing_always_and_never_holds() -> None:
    assert Site(rule("always", Reject(), AllOf(()))).said(request()) == "reject by always"
    assert Site(rule("never", Reject(), AnyOf(()))).decide(request()) is PASS_BY_DEFAULT
    assert Site(rule("not-never", Reject(), Not(AnyOf(())))).said(request()) == "reject by not-never"


def test_a_bound_holds_when_some_server_reads_a_number_within_it() -> None:
    site = Site(rule("small", Reject(), asks("header.content-length", AtMost(10))))
    for value in ("nan", "", "9" * 30):
        assert site.decide(request(headers=(("Content-Length", value),))) is PASS_BY_DEFAULT
    for value in ("-inf", "1_0", "0x1", "1e0"):
        assert site.said(request(headers=(("Content-Length", value),))) == "reject by small"
    assert site.said(request(headers=(("Content-Length", " 10 "),))) == "reject by small"


def test_an_allow_rule_with_a_limit_is_refused() -> None:
    message = r"^rules/a\.yaml:1:1: rule a: an allow rule cannot have a limit, because it is never counted$"
    with pytest.raises(PolicyError, match=message):
        compiled(rule("a", Allow(), counted=limit(1)))


def test_the_engine_takes_what_the_store_says_in_order() -> None:
    found = match(compiled(rule("a", Score(1), counted=limit(1)), rule("b", Tag("b"), counted=limit(1))), request(), 0.0)
    usages = (
        Usage(exceeded=False, remaining=0, retry_after_seconds=0.0),
        Usage(exceeded=True, remaining=0, retry_after_seconds=1.0),
    )
    assert decide(found, Outcome(None, usages)).decision == Decision(action=Pass(), tags=frozenset({"b"}))


def test_an_empty_policy_is_a_policy() -> None:
    nothing = compile_policy(Policy((), "d0"), secret=b"")
    assert (nothing.digest, nothing.summary, nothing.rules) == ("d0", (), ())
    assert decide(match(nothing, request(), 0.0), Outcome(None, ())).decision is PASS_BY_DEFAULT


@pytest.mark.parametrize(
    ("asked_for", "counted"),
    [
        pytest.param(equal("tag", "two"), 1, id="a tag that nobody can give"),
        pytest.param(equal("tag", "one"), 2, id="a tag that usages can give"),
        pytest.param(AllOf((equal("tag", "one"), asks("header.y", Present()))), 1, id="it, and what is not so"),
        pytest.param(AnyOf((equal("tag", "one"), equal("path", "/"))), 1, id="it, or what is so"),
        pytest.param(Not(equal("tag", "one")), 2, id="the lack of it"),
        pytest.param(Not(asks("tag", Absent())), 2, id="any tag"),
    ],
)
def test_only_what_usages_can_change_is_left_open(asked_for: Condition, counted: int) -> None:
    """What a rule leaves open keeps those behind it from ending evaluation. How far requests are counted hangs on it, so it must
    not hang on which of a rule's tests the index looks for."""
    rules = (
        rule("counted", Tag("one"), counted=limit()),
        rule("asking", Score(1.0), asked_for),
        rule("end", Reject(), asks("score", AtMost(1.0))),
        rule("behind", Reject(), counted=limit()),
    )
    found = match(compiled(*rules), request(), 0.0)
    assert len(found.charges) == counted
    traced: list[int] = []

    def charge(charges: Sequence[Charge], _bans: Sequence[str]) -> Outcome:
        traced.append(len(charges))
        return Outcome(None, tuple(Usage(exceeded=False, remaining=0, retry_after_seconds=0.0) for _ in charges))

    trace_with(policy(*rules), request(), 0.0, charge, mode=Mode.ENFORCE, keys=KeyMaker(b"", Prefixes()))
    assert traced == [counted]


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(
            (
                rule("points", Score(1.0), counted=limit()),
                rule("sure", Tag("two")),
                rule("asking", Reject(), AllOf((equal("tag", "two"), score_at_least(1.0)))),
            ),
            id="a tag that is certain, and points that are not",
        ),
        pytest.param(
            (
                rule("one", Tag("one"), counted=limit()),
                rule("two", Tag("two"), Not(equal("tag", "one"))),
                rule("asking", Reject(), Not(equal("tag", "two"))),
            ),
            id="a tag that is given unless another is",
        ),
        pytest.param(
            (
                rule("one", Tag("one"), counted=limit()),
                rule("two", Tag("two")),
                rule("asking", Reject(), AllOf((equal("tag", "one"), equal("tag", "two")))),
            ),
            id="a tag that is certain, after one that is not",
        ),
        pytest.param(
            (
                rule("two", Tag("two")),
                rule("one", Tag("one"), counted=limit()),
                rule("asking", Reject(), AllOf((equal("tag", "one"), equal("tag", "two")))),
            ),
            id="a tag that is certain, before one that is not",
        ),
    ],
)
def test_what_hangs_on_a_limit_is_decided_when_it_is_known(between: tuple[Rule, ...]) -> None:
    site = Site(*between)
    assert site.decide(request()).forwards
    assert site.decide(request()).rule == "asking"


def test_what_was_noted_alike_is_one_decision_and_what_is_kept_of_them_is_bounded() -> None:
    site = Site(
        rule("points", Score(10), word("curl")), rule("tag", Tag("seen"), equal("path", "/tagged")),
        rule("would", Reject(), equal("method", "POST"), mode=Mode.SHADOW),
    )  # fmt: skip
    asked = [request(user_agent="curl"), request("/tagged"), request("/tagged", user_agent="curl"),
             request(user_agent="curl", method="POST")]  # fmt: skip
    first = [site.decide(each) for each in asked]
    assert first == [
        Decision(action=Pass(), score=10.0), Decision(action=Pass(), tags=frozenset({"seen"})),
        Decision(action=Pass(), score=10.0, tags=frozenset({"seen"})),
        Decision(action=Pass(), score=10.0, shadow=(ShadowHit("would", "reject"),)),
    ]  # fmt: skip
    assert all(site.decide(each) is decision for each, decision in zip(asked, first, strict=True))
    kept = site.policy.noted
    kept.update({(float(number), frozenset(), ()): PASS_BY_DEFAULT for number in range(1000, 1000 + MAX_NOTED)})
    assert site.decide(request("/tagged", user_agent="curl", method="POST")).score == 10.0
    assert len(kept) == 1
    kept.update({(float(number), frozenset(), ()): PASS_BY_DEFAULT for number in range(1000, 1000 + MAX_NOTED - 1)})
    assert len(kept) == MAX_NOTED
    assert site.decide(request(user_agent="curl")).score == 10.0
    assert len(kept) == 1


def test_a_charge_by_client_is_made_once_and_those_by_what_the_request_says_each_time() -> None:
    path = KeyPart(KeyKind.PATH)
    limits = [limit(5), limit(5, path), limit(5, CLIENT, path)]
    rules = compiled(*(rule(f"r{at}", Reject(), counted=each) for at, each in enumerate(limits)))
    first, again = match(rules, request("/a"), 0.0).charges, match(rules, request("/b"), 0.0).charges
    assert first[0] is again[0]
    assert [charge.key.partition("|")[2] for charge in again] == ["192.0.2.1", "/b", "192.0.2.1|/b"]
    other = match(rules, request("/a", client="192.0.2.2"), 0.0).charges
    assert (other[0].key.partition("|")[2], other[0].owner) == ("192.0.2.2", ("client:192.0.2.2", OWNER[1]))
    assert [charge.owner for charge in again] == [OWNER, OWNER, OWNER]
