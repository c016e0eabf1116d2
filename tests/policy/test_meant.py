"""Every word that other tools have where the rule language has another one gets its own hint, in its place."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files

import pytest

from proxyguard.policy.meant import meant
from proxyguard.policy.parse.file import parse_rule_set

RULE = "name: x\nrules:\n  - {name: y, %s}\n"
TEST = "name: x\nrules: [{name: y, when: {path: /y}, action: drop}]\ntests: [%s]\n"
RESTRICTION = "name: x\nrestrictions:\n  - {name: y, why: z, %s}\n"

PLACES = {
    "decision": TEST % "{request: {path: /}, expect: '%s'}",
    "step": TEST % "{steps: [{request: {path: /}, '%s': 1, expect: pass}]}",
    "request": TEST % "{request: {'%s': x}, expect: pass}",
    "restriction": RESTRICTION % "'%s': 1",
    "count": RULE % "limit: {rate: 10/minute, count: '%s'}, action: drop",
    "count-key": RULE % "limit: {rate: 10/minute, count: {'%s': 1}}, action: drop",
    "limit": RULE % "limit: {rate: 10/minute, '%s': 1}, action: drop",
    "window": RULE % "limit: {rate: 10/minute, window: '%s'}, action: drop",
    "matcher": RULE % "when: {user_agent: {'%s': x}}, action: drop",
    "account": "name: x\naccount: {key: cookie.s, '%s': y}\n",
    "form": "name: x\nform_guard: {y: {'%s': z}}\n",
    "item": "name: x\nitems: {y: {'%s': z}}\n",
    "class": "name: x\nclasses: [{name: y, '%s': z}]\n",
    "rule": RULE % "when: {path: /}, action: drop, '%s': 1",
    "signed": RULE % "when: {cookie.s: {signed: {'%s': x}}}, action: drop",
    "digest": RULE % "when: {cookie.s: {signed: {secret: X, digest: '%s'}}}, action: drop",
    "file": "name: x\n'%s': 1\nrules: [{name: y, when: {path: /y}, action: drop}]\n",
    "key-part": RULE % "limit: {rate: 10/minute, per: ['%s']}, action: drop",
    "mode": RULE % "when: {path: /}, action: drop, mode: '%s'",
    "option": RULE % "when: {path: /}, action: {%s: {'%%s': 1}}",
    "action": RULE % "when: {path: /}, action: '%s'",
    "time-of-day": RULE % "when: {time_of_day: {from: 22:00, until: 06:00, '%s': 1}}, action: drop",
    "refused": RULE % "when: {refused: {at_least: 1, within: 1m, '%s': 1}}, action: drop",
    "field": RULE % "when: {'%s': x}, action: drop",
}
OPTION_OF = {"then": "ban", "escalation": "ban"}

WORDS = [(place, word) for place in PLACES for word in meant(place)]


def test_every_place_is_tried() -> None:
    places = tomllib.loads((files("proxyguard.policy") / "meant.toml").read_text("utf-8"))
    assert set(places) == {*PLACES, "matcher-as-name"}
    assert len(WORDS) > 350
    for hints in places.values():
        words = [word for each in hints.values() for word in each]
        assert len(words) == len(set(words))


@pytest.mark.parametrize("place", PLACES)
def test_each_word_gets_its_hint(place: str) -> None:
    assert {word: hint for word, hint in meant(place).items() if hint not in set(hints_of(place, word))} == {}


def hints_of(place: str, word: str) -> Iterator[str]:
    """The hints of a file that has the word in that place."""
    text = PLACES[place]
    if place == "option":
        text %= OPTION_OF.get(meant(place)[word].split("'")[1], "reject")
    _, problems = parse_rule_set(text % word, "x.yaml")
    assert problems, f"{word} is no mistake"
    for problem in problems:
        yield problem.hint
