"""`proxyguard restrict`: what is asked of the instance, and how its answers are worded. The instance is played."""

from __future__ import annotations

import json
import re
from time import time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main

SLOW: dict[str, Any] = {
    "name": "slow", "on": True, "reason": "by command", "why": "Busy.", "since": 1.0, "ends": 1_793_847_600.0,
    "until": 1_793_847_600.0, "classes": {"anonymous": "60 requests an hour"}, "shedding": [], "refused": 14_209,
    "spared": None, "by_command": True,
}  # fmt: skip
SHED: dict[str, Any] = {
    **SLOW, "name": "brown-out", "reason": "by the alarm of another instance", "ends": None, "classes": {},
    "shedding": ["suspected", "anonymous"],
}  # fmt: skip
PREVIEW: dict[str, Any] = {
    "classes": [{"class": "anonymous", "limit": "60 requests an hour", "seen": 41_250, "touched": 9_318}],
    "not_kept": 7, "exact": True, "left_out": [], "workers": 1,
}  # fmt: skip

type Heard = list[tuple[str, Any]]


@pytest.fixture
def answers() -> dict[str, dict[str, Any]]:
    return {
        "restrictions-list": {"restrictions": [SLOW, SHED, {**SLOW, "on": False, "reason": "it is over"}], "signals": {}},
        "restrictions-preview": dict(PREVIEW),
        "restrictions-start": {**SLOW, "saved": True},
        "restrictions-end": {"name": "slow", "on": False, "reason": "ended by command", "saved": True},
    }


@pytest.fixture
def heard(answers: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Heard:
    """What the instance was asked."""
    heard: Heard = []

    def send_command(_path: Any, name: str, arguments: Any = None) -> dict[str, Any]:
        heard.append((name, arguments))
        return answers[name]

    monkeypatch.setattr("proxyguard.cli.running_instance.send_command", send_command)
    monkeypatch.setenv("COLUMNS", "160")
    return heard


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["restrict", *arguments, "--control", "x.sock"])


def test_the_list_says_how_each_stands(heard: Heard) -> None:
    lines = [" ".join(line.split()) for line in run("list").output.splitlines()]
    assert lines == [
        "name state ends (UTC) refused what it does",
        "slow on, by command 2026-11-05 03:00:00 14,209 anonymous 60 requests an hour",
        "brown-out on, by the alarm of another instance - 14,209 refuses suspected, anonymous",
        "slow off: it is over 2026-11-05 03:00:00 - anonymous 60 requests an hour",
    ]


@pytest.mark.parametrize(
    ("found", "last"),
    [
        ({}, "in the last hour, as far as this instance ran; 7 requests were not kept"),
        ({"left_out": ["header.x", "method"], "exact": False}, "not looked at: header.x, method; so at most that many"),
        ({"exact": False}, "counted by parts of the site, of which its paths are a part: so at most that many"),
    ],
)
def test_a_preview_says_what_it_does_not_know(
    heard: Heard, answers: dict[str, dict[str, Any]], found: dict[str, Any], last: str
) -> None:
    answers["restrictions-preview"] |= found
    lines = run("preview", "--class", "anonymous=60/hour", "--path-prefix", "/posts/").output.splitlines()
    assert " ".join(lines[1].split()) == "anonymous 60 requests an hour 41,250 9,318"
    assert lines[-1] == last
    assert heard[0][1] == {"name": None, "classes": {"anonymous": "60/hour"}, "path_prefix": "/posts/"}


def test_a_start_and_an_end_say_when_they_may_be_forgotten(heard: Heard, answers: dict[str, dict[str, Any]]) -> None:
    assert run("start", "slow").output == "slow is on until 2026-11-05 03:00:00 UTC\n"
    assert run("end", "slow").output == "slow has ended\n"
    for name in ("restrictions-start", "restrictions-end"):
        answers[name]["saved"] = False
    unsaved = "  not written to its file, or not known to the shared store yet: the log says which\n"
    assert run("start", "slow").output.endswith(unsaved)
    assert run("end", "slow").output == f"slow has ended\n{unsaved}"
    assert json.loads(run("end", "slow", "--json").output)["saved"] is False
    assert json.loads(run("start", "slow", "--json").output)["on"] is True


def test_an_end_is_a_duration_or_a_moment(heard: Heard) -> None:
    run("start", "slow", "--until", "2h")
    run("start", "slow", "--until", "2090-11-05T03:00Z")
    first, second = (arguments["until"] for _, arguments in heard)
    assert first == pytest.approx(time() + 7200, abs=60)
    assert second == 3_813_534_000.0


@pytest.mark.parametrize("text", ["soon", "2090-07-08", "20900708", "2090-07-08 18:00:30", "2090-07-08T18:00"])
def test_the_time_that_a_hint_proposes_is_taken(heard: Heard, text: str) -> None:
    refused = run("start", "slow", "--until", text)
    found = re.search(r"20\d\d-\S+Z", refused.stderr)
    assert (refused.exit_code, heard) == (2, [])
    assert found
    assert run("start", "slow", "--until", found[0]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("start", "a", "--class", "anonymous=1/day", "--until", "1h"), "say --why: those whom it stops read it"),
        (("start", "a", "--class", "anonymous=1/day", "--why", "x"), "say --until: what nobody ends stays for years"),
        (("start", "a", "--path-prefix", "/x"), "--path-prefix goes with --class"),
        (("start", "a", "--until", "soon"), "'soon' is neither a duration (2h) nor a time (20"),
        (("start", "a", "--until", "2090-07-08T18:00"), "has no time zone: 2090-07-08T18:00Z is UTC"),
        (("start", "a", "--until", "2090-07-08"), "has no time zone: 2090-07-08T00:00Z is UTC"),
        (("start", "a", "--until", "2020-01-01"), "'2020-01-01' is past: it is 20"),
        (("start", "a", "--until", "2020-01-01T18:00Z"), "'2020-01-01T18:00Z' is past: it is 20"),
        (("preview",), "name a restriction, or say limits with --class; one of the two"),
        (("preview", "--class", "anonymous"), "'anonymous' is not CLASS=RATE"),
        (("preview", "--class", "new=1/day", "--class", "new=9/day"), "'new' is limited twice: to 1/day, and to 9/day"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_asks_nothing(heard: Heard, arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, heard) == (2, [])
    assert words in " ".join(done.stderr.split())
