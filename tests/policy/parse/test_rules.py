"""What rules, limits, actions and tests mean, as values."""

from datetime import UTC, datetime

import pytest

from proxyguard.core.decision import ALLOW, PASS, Ban, Delay, Drop, Mode, Reject, Score, Tag, Tarpit
from proxyguard.limits.limit import KeyKind, KeyPart, Limit, Missing, Window
from proxyguard.policy.model import ALWAYS, Expectation, Place, Rule, RuleSet, RuleTest, SampleRequest, TestStep
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.parse.limits import fault_of_window

CLIENT = KeyPart(KeyKind.CLIENT)


def parsed(text: str) -> RuleSet:
    rule_set, problems = parse_rule_set(text, "x.yaml")
    assert problems == ()
    assert rule_set is not None
    return rule_set


def rule(more: str) -> Rule:
    return parsed(f"name: x\nrules:\n  - name: y\n    {more}\n").rules[0]


def parsed_tests(text: str) -> tuple[RuleTest, ...]:
    return parsed(f"name: x\ntests:\n{text}").tests


ACTIONS = {
    "allow": ALLOW,
    "{allow: {}}": ALLOW,
    "pass": PASS,
    "reject": Reject(None, None, None),
    "{reject: {}}": Reject(None, None, None),
    "{reject: {status: 404, message: No., retry_after: 90s}}": Reject(404, "No.", 90.0),
    "tarpit": Tarpit(60.0, 2.0, 1),
    "{tarpit: {hold: 5m, drip: 500ms, drip_bytes: 8}}": Tarpit(300.0, 0.5, 8),
    "{delay: 1.5s}": Delay(1.5),
    "drop": Drop(),
    "{ban: {for: 10m}}": Ban(600.0, Reject(), 1.0, 86_400.0, 86_400.0),
    "{ban: {for: 10m, escalation: 2, max: 1w, forget: 2d, then: drop}}": Ban(600.0, Drop(), 2.0, 604_800.0, 172_800.0),
    "{ban: {for: 3d, then: {tarpit: {hold: 10s}}}}": Ban(259_200.0, Tarpit(10.0), 1.0, 259_200.0, 86_400.0),
    "{ban: {for: 3d, then: {reject: {status: 410}}}}": Ban(259_200.0, Reject(410), 1.0, 259_200.0, 86_400.0),
    "{score: 40}": Score(40.0),
    "{score: -2.5}": Score(-2.5),
    "{tag: a-b}": Tag("a-b"),
}


@pytest.mark.parametrize(("text", "expected"), ACTIONS.items(), ids=ACTIONS)
def test_an_action_means(text: str, expected: object) -> None:
    assert rule(f"when: {{path: /x}}\n    action: {text}").action == expected


LIMITS = {
    "{rate: 10/minute}": Limit(10, 60.0, 10, (CLIENT,), Missing.SHARED),
    "{rate: 5/second, burst: 20}": Limit(5, 1.0, 20, (CLIENT,), Missing.SHARED),
    "{rate: 300/hour, per: network}": Limit(300, 3600.0, 300, (KeyPart(KeyKind.NETWORK),), Missing.SHARED),
    "{rate: 1/day, per: [site]}": Limit(1, 86_400.0, 1, (KeyPart(KeyKind.SITE),), Missing.SHARED),
    "{rate: 20/90s}": Limit(20, 90.0, 20, (CLIENT,), Missing.SHARED),
    "{rate: 20/1.5h, missing: separate}": Limit(20, 5400.0, 20, (CLIENT,), Missing.SEPARATE),
    "{rate: 1/2d, per: [client, host, path, user_agent], missing: skip}": Limit(
        1, 172_800.0, 1,
        (CLIENT, KeyPart(KeyKind.HOST), KeyPart(KeyKind.PATH), KeyPart(KeyKind.USER_AGENT)), Missing.SKIP,
    ),
    "{rate: 1/minute, per: [header.X-Key, cookie.Session]}": Limit(
        1, 60.0, 1, (KeyPart(KeyKind.HEADER, "x-key"), KeyPart(KeyKind.COOKIE, "Session")), Missing.SHARED
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LIMITS.items(), ids=LIMITS)
def test_a_limit_means(text: str, expected: object) -> None:
    found = rule(f"limit: {text}\n    action: reject")
    assert found.limit == expected
    assert found.when == ALWAYS


EXPIRES = {
    "2026-02-01": datetime(2026, 2, 1, tzinfo=UTC),
    "2026-02-01T18:00Z": datetime(2026, 2, 1, 18, tzinfo=UTC),
    "2026-02-01 18:00:30+02:00": datetime(2026, 2, 1, 16, 0, 30, tzinfo=UTC),
    "'2026-02-01t18:00z'": datetime(2026, 2, 1, 18, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "expected"), EXPIRES.items(), ids=EXPIRES)
def test_a_rule_ends_at(text: str, expected: datetime) -> None:
    assert rule(f"when: {{path: /x}}\n    action: reject\n    expires: {text}").expires == expected.timestamp()


def test_a_rule_has_everything_that_its_file_says() -> None:
    found = parsed(
        "name: x\ndescription: What\n  it is.\nmode: shadow\nrules:\n"
        "  - name: y\n    why: |\n      Two\n      lines.\n    when: {path: /x}\n    mode: off\n    action: drop\n"
    )
    assert (found.name, found.file, found.description, found.mode) == ("x", "x.yaml", "What it is.", Mode.SHADOW)
    only = found.rules[0]
    assert (only.name, only.why, only.mode, only.expires, only.limit) == ("y", "Two lines.", Mode.OFF, None, None)
    assert only.place == Place("x.yaml", 6, 5)


def test_a_test_has_one_step() -> None:
    (test,) = parsed_tests("  - {name: It holds., request: {path: /x}, expect: reject by y}\n")
    place = Place("x.yaml", 3, 5)
    expected = TestStep(SampleRequest(path="/x"), 1, 0.0, Expectation("reject", "y"), place)
    assert test == RuleTest((expected,), place, "It holds.")


def test_steps_follow_each_other() -> None:
    (test,) = parsed_tests(
        "  - request: {}\n    repeat: 3\n    within: 1m\n    expect: pass by default\n"
        "    then:\n      - {request: {}, expect: {status: 429, score: 1.5}}\n      - {request: {}, expect: drop}\n"
    )
    assert [(step.repeat, step.within_seconds, step.expect, step.place.line) for step in test.steps] == [
        (3, 60.0, Expectation("pass", "default"), 3),
        (1, 0.0, Expectation(status=429, score=1.5), 8),
        (1, 0.0, Expectation("drop"), 9),
    ]
    (same,) = parsed_tests(
        "  - steps:\n      - {request: {}, repeat: 2}\n      - {request: {}, expect: {action: ban, rule: z}}\n"
    )
    assert [step.expect for step in same.steps] == [Expectation(), Expectation("ban", "z")]


def test_a_sketch_is_a_request() -> None:
    (test,) = parsed_tests(
        "  - request:\n      client: 2001:DB8::7\n      method: post\n      scheme: http\n      host: Example.ORG\n"
        "      path: /x?y=%20\n      http_version: 2.0\n      user_agent: curl/8\n"
        "      headers: {Accept: '*/*', X: [a, '']}\n      cookies: {s: 1, t: ''}\n    expect: pass\n"
    )
    assert test.steps[0].request == SampleRequest(
        client="2001:db8::7",
        method="POST",
        scheme="http",
        host="example.org",
        path="/x?y=%20",
        http_version="2",
        headers=(("User-Agent", "curl/8"), ("Accept", "*/*"), ("X", "a"), ("X", ""), ("Cookie", "s=1; t=")),
    )


@pytest.mark.parametrize(
    ("window", "amount", "seconds", "fits"),
    [
        (Window.SLIDING, 10**9, 0.1, True),
        (Window.SLIDING_LOG, 1000, 0.1, True),
        (Window.SLIDING_LOG, 1001, 0.1, False),
        (Window.CALENDAR, 10**9, 3600.0, True),
        (Window.CALENDAR, 1, 420.0, False),
    ],
)
def test_a_rate_fits_its_window_also_when_an_override_says_it(window: Window, amount: int, seconds: float, *, fits: bool) -> None:
    assert (fault_of_window(window, amount, seconds) is None) is fits
