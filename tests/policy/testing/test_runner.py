"""Tests inside rule files: virtual time, what they expect, and what a failure says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyguard.core.decision import Allow, Ban, Drop, Mode, Refusal, Reject, Score, Tag, Tarpit
from proxyguard.limits.limit import Ambiguous, KeyKind, KeyPart
from proxyguard.policy.model import Absent, Expectation, Place, Policy, Rule, RuleSet, RuleTest, SampleRequest, TestStep
from proxyguard.policy.testing.runner import SelfTest, run_tests, self_test
from tests.build import asks, equal, limit, policy, rule, score_at_least, word

PLACE = Place("rules/a.yaml", 7, 5)
CURL = SampleRequest(headers=(("User-Agent", "curl/8.5.0"),))
BROWSER = SampleRequest(headers=(("User-Agent", "Mozilla/5.0"),))


def step(sketch: SampleRequest, expect: Expectation, repeat: int = 1, within: float = 0.0) -> TestStep:
    return TestStep(sketch, repeat, within, expect, PLACE)


def expects(said: str, *, status: int | None = None, score: float | None = None) -> Expectation:
    action, _, name = said.partition(" by ")
    return Expectation(action or None, name or None, status, score)


def judged(*rules: Rule, steps: tuple[TestStep, ...], mode: Mode = Mode.ENFORCE, name: str = "") -> Policy:
    return policy(*rules, mode=mode, tests=(RuleTest(steps, PLACE, name),))


def report(whole: Policy) -> list[str]:
    return [str(failure.problem) for failure in run_tests(whole)]


FLOOD = rule("flood", Tarpit(), equal("path", "/signup"), limit(3))
SIGN_UP = SampleRequest(path="/signup")


@pytest.mark.parametrize(
    "expect",
    [
        expects("reject by curl"),
        expects("reject"),
        Expectation(rule="curl"),
        expects("", status=403),
        expects("reject by curl", status=403, score=5.0),
        Expectation(),
    ],
)
def test_what_is_expected_and_comes_is_no_failure(expect: Expectation) -> None:
    rules = (rule("points", Score(5), word("curl")), rule("curl", Reject(), word("curl")))
    assert run_tests(judged(*rules, steps=(step(CURL, expect),))) == ()


def test_requests_are_spread_over_the_time_given() -> None:
    passes, refused = expects("pass by default"), expects("tarpit by flood")
    assert report(judged(FLOOD, steps=(step(SIGN_UP, passes, 3, 1.0),))) == []
    assert report(judged(FLOOD, steps=(step(SIGN_UP, refused, 4, 1.0),))) == []
    assert report(judged(FLOOD, steps=(step(SIGN_UP, passes, 100, 2000.0),))) == []
    assert report(judged(FLOOD, steps=(step(SIGN_UP, passes, 3, 60.0), step(SIGN_UP, passes, 3, 60.0)))) == []


def test_a_request_that_a_limit_cannot_count_and_refuses_fails_a_test_in_words() -> None:
    counted = replace(limit(3, KeyPart(KeyKind.COOKIE, "session")), ambiguous=Ambiguous.REJECT)
    twice = SampleRequest(headers=(("Cookie", "session=a; session=b"),))
    rules = rule("first", Reject(), counted=counted), rule("last", Reject(), counted=limit(3))
    [said] = report(judged(*rules, steps=(step(twice, expects("reject by last")),)))
    assert said == (
        "rules/a.yaml:7:5: error: the test expected reject by last, got reject by first\n"
        "  hint: last was not looked at: first decided before it: sites may disagree about a part of its key"
    )


def test_each_test_counts_from_zero() -> None:
    test = RuleTest((step(SIGN_UP, expects("pass by default"), 3),), PLACE)
    assert run_tests(policy(FLOOD, tests=(test, test, test))) == ()


@pytest.mark.parametrize(("then", "name"), [(Reject(), "reject"), (Tarpit(), "tarpit"), (Drop(), "drop")])
def test_a_ban_is_expected_by_its_name_or_by_what_the_client_gets(then: Refusal, name: str) -> None:
    ban = rule("ban", Ban(60.0, then), equal("path", "/login"), limit(1))
    login = SampleRequest(path="/login")
    for said in ("ban by ban", "ban", f"{name} by ban", name):
        assert report(judged(ban, steps=(step(login, expects(said), 2), step(BROWSER, expects(said))))) == []
    (failure,) = report(judged(ban, steps=(step(login, expects("delay by ban"), 2),)))
    assert f"expected delay by ban, got ban by ban with answer {name}" in failure


def test_bans_last_through_the_steps_of_a_test() -> None:
    ban = rule("ban", Ban(60.0), equal("path", "/login"), limit(1))
    steps = (
        step(SampleRequest(path="/login"), expects("ban by ban", status=403), 2, 10.0),
        step(BROWSER, expects("ban by ban"), 1, 0.0),
        step(BROWSER, Expectation(), 2, 100.0),
        step(BROWSER, expects("pass by default")),
    )
    assert report(judged(ban, steps=steps)) == []


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("of_set", Mode)
def test_no_mode_makes_a_difference_to_a_test(mode: Mode, of_set: Mode) -> None:
    curl = rule("curl", Reject(), word("curl"), mode=mode)
    assert report(judged(curl, steps=(step(CURL, expects("reject by curl")),), mode=of_set)) == []
    assert len(report(judged(curl, steps=(step(CURL, expects("pass by default")),), mode=of_set))) == 1
    left_out = RuleTest((step(CURL, expects("pass by default")),), PLACE, without=("curl",))
    assert report(policy(curl, mode=of_set, tests=(left_out,))) == []


def test_a_rule_at_rest_that_is_in_the_way_is_named_with_what_leaves_it_out() -> None:
    rules = (rule("all", Reject(), mode=Mode.SHADOW), rule("curl", Tarpit(), word("curl")))
    assert report(judged(*rules, steps=(step(CURL, expects("tarpit by curl")),))) == [
        (
            "rules/a.yaml:7:5: error: the test expected tarpit by curl, got reject by all\n"
            "  hint: curl was not looked at: all decided before it: no condition to meet; "
            "tests look at no mode: without: [all] leaves the rule out"
        )
    ]


def _two_files(other: Rule, test: RuleTest, *rules: Rule) -> Policy:
    """The file `a` with the other rule, and after it `b` with the test and its rules."""
    first = RuleSet(name="a", file="a.yaml", rules=(other,))
    return Policy((first, RuleSet(name="b", file="b.yaml", rules=rules, tests=(test,))))


@pytest.mark.parametrize("mode", Mode)
def test_no_other_file_makes_a_difference_to_a_test(mode: Mode) -> None:
    curl = rule("curl", Tarpit(), word("curl"))
    test = RuleTest((step(CURL, expects("tarpit by curl")),), PLACE)
    assert report(_two_files(rule("all", Reject(), mode=mode), test, curl)) == []
    assert report(_two_files(rule("everybody", Allow(), word("curl"), mode=mode), test, curl)) == []


@pytest.mark.parametrize("mode", Mode)
def test_the_file_of_a_rule_that_a_test_names_joins(mode: Mode) -> None:
    suspicious = rule("suspicious", Reject(), score_at_least(5))
    points = rule("points", Score(5), word("curl"), mode=mode)
    together = RuleTest((step(CURL, expects("reject by suspicious")), step(BROWSER, expects("pass by default"))), PLACE)
    assert "suspicious: no: score is 0" in report(_two_files(points, together, suspicious))[0]
    first = RuleSet(name="a", file="a.yaml", rules=(points,), tests=(together,))
    assert report(Policy((first, RuleSet(name="b", file="b.yaml", rules=(suspicious,))))) == []


def test_a_file_without_rules_is_about_all_files_as_they_are_in_force() -> None:
    browser = RuleTest((step(CURL, expects("pass by default")),), PLACE)
    assert report(_two_files(rule("curl", Reject(), word("curl"), mode=Mode.SHADOW), browser)) == []
    assert len(report(_two_files(rule("curl", Reject(), word("curl")), browser))) == 1
    scripts = RuleTest((step(CURL, expects("reject by curl")),), PLACE)
    for mode in Mode:
        assert report(_two_files(rule("curl", Reject(), word("curl"), mode=mode), scripts)) == []


def test_a_rule_that_has_expired_keeps_its_tests() -> None:
    brief = rule("curl", Reject(), word("curl"), expires=1_000_000.0)
    assert report(judged(brief, steps=(step(CURL, expects("reject by curl"), 2, 86_400.0),))) == []


@pytest.mark.parametrize(
    ("rules", "steps", "message"),
    [
        (
            (rule("curl", Reject(), word("curl", "wget")),),
            (step(BROWSER, expects("reject by curl")),),
            (
                "the test expected reject by curl, got pass by default\n"
                "  hint: curl: no: user_agent 'Mozilla/5.0' has none of the words 'curl', 'wget'"
            ),
        ),
        (
            (rule("curl", Reject(), word("curl")),),
            (step(CURL, expects("pass by default")),),
            ("the test expected pass by default, got reject by curl\n  hint: curl decided: user_agent has the word 'curl'"),
        ),
        (
            (rule("all", Reject()), rule("curl", Tarpit(), word("curl"))),
            (step(CURL, expects("tarpit by curl")),),
            (
                "the test expected tarpit by curl, got reject by all\n"
                "  hint: curl was not looked at: all decided before it: no condition to meet"
            ),
        ),
        (
            (FLOOD,),
            (step(SIGN_UP, expects("tarpit by flood"), 3, 60.0),),
            (
                "the test expected tarpit by flood, got pass by default\n"
                "  hint: flood holds, but its limit (3 per 60 s, burst 3, per client) has 2 left after 3 requests in 60 s"
            ),
        ),
        (
            (rule("curl", Reject(), word("curl")),),
            (step(CURL, expects("reject by curl", status=429)),),
            (
                "the test expected reject by curl with status 429, got reject by curl with status 403\n"
                "  hint: curl decided: user_agent has the word 'curl'"
            ),
        ),
        (
            (rule("points", Score(5), word("curl")),),
            (step(CURL, Expectation(score=10.0)),),
            ("the test expected score 10, got pass by default with score 5\n  hint: no rule decided; applied: points (score)"),
        ),
        (
            (rule("all", Allow()), rule("curl", Reject(), word("curl"))),
            (step(CURL, Expectation(rule="curl", status=403)),),
            (
                "the test expected rule curl with status 403, got allow by all with no status of its own\n"
                "  hint: curl was not looked at: all decided before it: no condition to meet"
            ),
        ),
    ],
)
def test_a_failure_says_what_came_and_what_stood_in_the_way(
    rules: tuple[Rule, ...], steps: tuple[TestStep, ...], message: str
) -> None:
    assert report(judged(*rules, steps=steps)) == [f"rules/a.yaml:7:5: error: {message}"]


def test_a_failure_names_its_test_and_never_a_secret() -> None:
    rules = (rule("session", Reject(), equal("cookie.session", "x")),)
    sketch = SampleRequest(headers=(("Cookie", "session=hunter2"),))
    (line,) = report(judged(*rules, steps=(step(sketch, expects("reject by session")),), name="a stolen session"))
    assert line == (
        "rules/a.yaml:7:5: error: the test 'a stolen session' expected reject by session, got pass by default\n"
        "  hint: session: no: cookie.session <hidden, 7 bytes> does not equal 'x'"
    )


def test_only_the_first_failure_of_a_test_is_told_but_of_every_test() -> None:
    wrong = step(CURL, expects("drop by curl"))
    tests = tuple(RuleTest((wrong, wrong), PLACE) for _ in range(2))
    assert len(run_tests(policy(rule("curl", Reject(), word("curl")), tests=tests))) == 2


def test_rules_that_no_test_touches_are_named() -> None:
    rules = (
        rule("points", Score(5), asks("header.accept", Absent())),
        rule("tag", Tag("x"), word("curl")),
        rule("untouched-tag", Tag("y"), word("wget")),
        rule("watched", Reject(), word("curl"), mode=Mode.SHADOW),
        rule("off", Reject(), word("curl"), mode=Mode.OFF),
        rule("flood", Reject(), counted=limit(2)),
        rule("slow-flood", Reject(), counted=limit(200)),
        rule("suspicious", Reject(), score_at_least(100)),
    )
    test = RuleTest((step(CURL, expects("reject by flood"), 3),), PLACE, without=("watched", "off"))
    untouched = ("untouched-tag", "watched", "off", "slow-flood", "suspicious")
    assert self_test(policy(*rules, tests=(test,))) == SelfTest(1, (), untouched)


def test_a_policy_without_tests_has_no_failures() -> None:
    assert self_test(policy(rule("a", Reject()))) == SelfTest(0, (), ("a",))
