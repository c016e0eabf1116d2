"""The registry of actions: every action has a row, and a new one is a value, a module and a row, with nothing else to touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import jsonschema
import pytest

from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.decision import ACTION_NAMES, FORWARDING, Action, Refusal
from proxyguard.core.yaml.kinds import KEBAB, Kind, plain
from proxyguard.core.yaml.values import read_name
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.actions.ban import REFUSALS
from proxyguard.policy.actions.kind import ActionKind, Effect
from proxyguard.policy.actions.registry import ACTIONS, DECISIONS
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.model import Policy, SampleRequest
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.schema.schema import policy_schema
from proxyguard.policy.testing.runner import run_tests
from proxyguard.policy.testing.sample_requests import request_from_sample


def test_every_action_has_a_row() -> None:
    assert {row.value for row in ACTIONS.values()} == set(get_args(Action))
    assert list(ACTIONS) == list(ACTION_NAMES.values())


def test_rows_agree_with_the_values_that_the_front_goes_by() -> None:
    forwarding = {row.value for row in ACTIONS.values() if row.effect in (Effect.FORWARD, Effect.DELAY, Effect.ALTER)}
    assert forwarding == set(FORWARDING)
    assert {row.value for row in REFUSALS.values()} == set(get_args(Refusal))


def test_what_goes_on_decides_nothing() -> None:
    assert set(ACTIONS) - set(DECISIONS) == {"score", "tag", "jar"}


@dataclass(frozen=True, slots=True)
class Log:
    """Write the request down under a name and go on."""

    book: str


def _read(node: Any, _subject: str) -> Log:
    return Log(read_name(node, "the book"))


TEXT = """
name: x
rules:
  - {name: seen, when: {path: /a}, action: {log: visits}}
  - {name: stop, when: {path: {prefix: /}}, action: reject}
tests:
  - {request: {path: /a}, expect: reject by stop}
"""


@pytest.fixture
def logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new action: its value, its name and its row."""
    if BUILD_KIND != "interpreted":
        pytest.skip("compiled code checks that an action is one of the union")
    names: dict[type[Any], str] = ACTION_NAMES
    monkeypatch.setitem(names, Log, "log")
    row = ActionKind(
        value=Log,
        effect=Effect.GO_ON,
        about="Write the request down and go on to the next rule.",
        options=Kind(plain(_read), KEBAB.takes, KEBAB.schema),
        example="action: {log: visits}",
        meant=("record",),
        unjudged=lambda _: "what it would write down is missing here",
    )
    monkeypatch.setitem(ACTIONS, "log", row)


def parsed(text: str) -> Policy:
    rule_set, problems = parse_rule_set(text)
    assert problems == ()
    assert rule_set is not None
    return Policy((rule_set,))


@pytest.mark.usefixtures("logging")
def test_a_new_action_is_read() -> None:
    action: object = parsed(TEXT).rule_sets[0].rules[0].action
    assert action == Log("visits")


@pytest.mark.usefixtures("logging")
@pytest.mark.parametrize(
    ("action", "message", "hint"),
    [
        ("log", "the action 'log' needs a value", "action: {log: visits}"),
        ("{log: ''}", "the name of the book is empty", "lower-case letters, digits and hyphens: sign-up-flood"),
        ("record", "unknown action 'record'", "did you mean 'log'?"),
        ("{lgo: visits}", "unknown action 'lgo'", "did you mean 'log'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_new_action_is_reported(action: str, message: str, hint: str) -> None:
    _, problems = parse_rule_set(f"name: x\nrules: [{{name: y, when: {{path: /a}}, action: {action}}}]\n")
    assert [(problem.message, problem.hint) for problem in problems] == [(message, hint)]


@pytest.mark.usefixtures("logging")
def test_a_new_action_is_in_the_schema() -> None:
    schema = policy_schema()
    options = schema["definitions"]["action"]["anyOf"][1]["properties"]["log"]
    assert options == {**KEBAB.schema, "description": "Write the request down and go on to the next rule."}
    rule = {"name": "seen", "action": {"log": "visits"}}
    assert jsonschema.Draft7Validator(schema).is_valid({"name": "x", "rules": [rule]})


@pytest.mark.usefixtures("logging")
def test_a_new_action_that_ends_nothing_lets_the_next_rule_decide() -> None:
    policy = parsed(TEXT)
    found = match(compile_policy(policy, secret=b"s"), request_from_sample(SampleRequest(path="/a")), 0.0)
    assert found.steps is not None
    assert [rule.action_name for rule, _, _ in found.steps] == ["log", "reject"]
    outcome = MemoryStore(keys=10, bans=10).charge(found.charges, found.ban_keys, 0.0)
    assert decide(found, outcome).decision.rule == "stop"
    assert run_tests(policy) == ()


@pytest.mark.usefixtures("logging")
def test_a_new_action_is_explained() -> None:
    traced = trace(parsed(TEXT), request_from_sample(SampleRequest(path="/a")), 0.0)
    assert [(looked.rule, looked.action, str(looked.verdict)) for looked in traced.looked] == [
        ("seen", "log", "applies"),
        ("stop", "reject", "applies"),
    ]
    assert traced.decision.rule == "stop"
