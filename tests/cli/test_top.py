"""`proxyguard top`: what it prints of an answer, to a terminal, to a pipe and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from proxyguard.cli import main, running_instance
from proxyguard.cli.top import bars, plain, screen
from proxyguard.telemetry.talkers import LISTS

ROW = {
    "name": "curl/8\x1b[31m",
    "requests": 1200,
    "refused": 900,
    "bytes": 5000,
    "upstream_seconds": 0.1,
    "requests_at_most": 1207,
}

ANSWER: dict[str, Any] = {
    "window": "minute", "seconds": 60.0, "requests": 1500, "refused": 900, "bytes": 3_000_000, "upstream_seconds": 4.25,
    "requests_per_second": 25.0, "refused_share": 0.6, **{name: [] for name in LISTS}, "user_agents": [ROW, ROW],
    "history": [[1_700_000_040, 750, 0, 0, 0], [1_700_000_100, 1500, 900, 3_000_000, 4250]],
}  # fmt: skip


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def call(config: object, control: object, name: str, arguments: object = None) -> dict[str, Any]:
        asked.append((name, arguments))
        return ANSWER

    monkeypatch.setattr(running_instance, "call_instance", call)
    return asked


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["top", *arguments])


def test_one_look_as_text(questions: list[Any]) -> None:
    assert run("--window", "hour", "--rows", "1").output == (
        "last minute: 25.0 requests/s, 60.0% refused, 2.9 MiB sent, upstream busy for 4.2 s\n"
        "\n"
        "    requests  refused     bytes  user agents\n"
        "    1,200 +7      75%   4.9 KiB  curl/8\\x1b[31m\n"
    )
    assert questions == [("top", {"window": "hour"})]
    assert run("--list", "paths").output.count("\n") == 1


def test_one_look_as_json() -> None:
    assert json.loads(run("--once", "--json").output) == ANSWER


@pytest.mark.parametrize(("every", "says"), [("x", "'x' is not a number and a unit"), ("100ms", "less than 0.5s")])
def test_a_pause_that_is_none(every: str, says: str) -> None:
    wrong = run("--every", every)
    assert wrong.exit_code == 2
    assert says in wrong.output


def test_the_last_hour_as_bars() -> None:
    assert bars(ANSWER["history"], 1_700_000_110) == " " * 58 + "▄█"
    assert bars([], 1_700_000_110) == ""
    assert bars([[1_700_000_100, 0, 0, 0, 0]], 1_700_000_110) == ""


@pytest.mark.parametrize("width", [60, 100, 160])
def test_a_screen_fits_its_width_and_shows_nothing_raw(width: int) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(screen({**ANSWER, "paths": [{**ROW, "name": "/" + "x" * 300}]}, LISTS, 8, width))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b[31m" not in text
    assert "curl/8" in text
    assert plain(ANSWER, LISTS, 8).count("curl/8") == 2
