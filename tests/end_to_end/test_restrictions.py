"""Temporary restrictions on running instances: by command, by an alarm, over restarts, and from one instance to others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from proxyguard.instance.control import client as control
from proxyguard.instance.control.socket_file import control_folder
from tests.contracts.servers import valkey
from tests.end_to_end.members import members
from tests.end_to_end.processes import Proxyguard, command, proxyguard, wait_until
from tests.paths import ROOT

WHO = """\
name: who-is-who
account: {key: cookie.session, class_header: X-Account-Class, remember: 1h}
classes:
  - {name: signed-in, when: {account: present}}
"""


def ask(guard: Proxyguard, path: str = "/posts/1", session: str = "") -> requests.Response:
    headers = {"Accept": "application/json"} | ({"Cookie": f"session={session}"} if session else {})
    return guard.get(path, headers=headers)


def allowed(guard: Proxyguard, session: str = "", most: int = 60) -> int:
    """How many requests pass before one is refused with 429."""
    for passed in range(most):
        if ask(guard, session=session).status_code == 429:
            return passed
    return most


def restrict(guard: Proxyguard, folder: Path, *arguments: str) -> dict[str, Any]:
    """A command about restrictions, with its answer as JSON where it has one."""
    done = subprocess.run(
        [str(part) for part in command("restrict", *arguments, "--config", folder / "guard" / "proxyguard.yaml")],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        env={"PROXYGUARD_ADMIN": f"127.0.0.1:{guard.admin_port}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout) if "--json" in arguments else {"said": done.stdout}
    return found


def listed(guard: Proxyguard, name: str) -> dict[str, Any]:
    """How one restriction stands, asked at the control socket."""
    socket = control_folder() / f"{guard.admin_port}.sock"
    every = control.send_command(socket, "restrictions-list")["restrictions"]
    return next((each for each in every if each["name"] == name), {"on": False, "reason": "unknown"})


def test_a_restriction_by_command_has_an_end_and_survives_a_restart(folder: Path) -> None:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "00-who.yaml").write_text(WHO)
    (rules / "90-restrictions.yaml").write_text(
        "name: restrictions\nrestrictions:\n"
        "  - {name: prepared, why: Prepared., when: {path: /prepared}, classes: {anonymous: 1/hour},\n"
        "     until: 2090-01-01, standby: true}\n"
    )
    settings = f"restrictions: {{file: {folder}/orders}}\n"
    with members() as site:
        with proxyguard(folder / "guard", site.url, rules=rules, settings=settings) as guard:
            for _ in range(5):
                ask(guard, "/posts/1")
            tried = restrict(guard, folder, "preview", "--class", "anonymous=3/hour", "--path-prefix", "/posts/", "--json")
            assert tried["classes"] == [{"class": "anonymous", "limit": "3 requests an hour", "seen": 1, "touched": 1}]
            assert (tried["not_kept"], tried["exact"]) == (0, True)
            said = restrict(
                guard, folder, "start", "slow", "--class", "anonymous=2/hour", "--path-prefix", "/posts/",
                "--until", "1h", "--why", "We are overloaded.",
            )["said"]  # fmt: skip
            assert said.startswith("slow is on until ")
            assert allowed(guard) == 2
            assert ask(guard).json()["detail"] == "We are overloaded."
            restrict(guard, folder, "start", "prepared", "--until", "30m")
            assert [ask(guard, "/prepared").status_code for _ in range(2)] == [200, 429]
        with proxyguard(folder / "guard", site.url, rules=rules, settings=settings) as guard:
            assert allowed(guard) == 2
            assert [ask(guard, "/prepared").status_code for _ in range(2)] == [200, 429]
            restrict(guard, folder, "end", "slow")
            restrict(guard, folder, "end", "prepared")
            assert [ask(guard, path).status_code for path in ("/posts/1", "/prepared")] == [200, 200]
            assert listed(guard, "prepared")["reason"] == "ended by command"
            assert listed(guard, "slow") == {"on": False, "reason": "unknown"}


def test_load_is_shed_step_by_step_and_taken_back(folder: Path) -> None:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "00-who.yaml").write_text(WHO)
    (rules / "90-restrictions.yaml").write_text(
        "name: restrictions\nrestrictions:\n"
        "  - name: brown-out\n    why: Too many visitors.\n    until: 2090-01-01\n"
        "    start_when: {upstream_errors: 50%, for: 1s}\n    shed: {every: 2s, steps: [anonymous, signed-in]}\n"
    )
    with members() as site, proxyguard(folder / "guard", site.url, rules=rules) as guard:
        ask(guard, "/", "member-1")

        def anonymous_is_refused() -> bool:
            ask(guard, "/broken", "member-1")
            return ask(guard, "/broken").status_code == 503

        wait_until(anonymous_is_refused, "the first step")
        assert ask(guard, "/", "member-1").status_code == 200
        assert ask(guard).headers["Retry-After"] == "2"
        assert listed(guard, "brown-out")["shedding"][0] == "anonymous"
        wait_until(lambda: ask(guard, "/").status_code == 200, "the way back")
        assert not listed(guard, "brown-out")["on"]


SHARED = """\
name: restrictions
restrictions:
  - {name: prepared, why: Prepared., classes: {anonymous: 1/hour}, until: 2090-01-01, standby: true}
  - name: brown-out
    why: Too many visitors.
    until: 2090-01-01
    start_when: {upstream_errors: 50%, for: 1s}
    shed: {every: 30s, steps: [anonymous]}
"""

WITHIN_SECONDS = 5.0
TOLD_SECONDS = 0.5
"""A second, on a machine that has one; this one may be running other tests."""


@pytest.fixture
def pair(folder: Path) -> Iterator[tuple[Proxyguard, Proxyguard]]:
    """Two instances on one server, the other one with two workers."""
    rules, socket = folder / "rules", folder / "store.sock"
    rules.mkdir()
    (rules / "00-who.yaml").write_text(WHO)
    (rules / "90-restrictions.yaml").write_text(SHARED)
    settings = f"store: {{url: 'unix://{socket}', timeout: 2s}}\nkey_secret: 0123456789abcdef\n"
    with (
        members() as site,
        valkey(socket),
        proxyguard(folder / "guard", site.url, rules=rules, settings=settings) as guard,
        proxyguard(folder / "other", site.url, rules=rules, settings=settings + "workers: 2\n") as other,
    ):
        yield guard, other


def soon(holds: Callable[[], bool], what: str) -> None:
    """Wait until an instance says so, and then until each of its workers has been told."""
    wait_until(holds, what, within=WITHIN_SECONDS)
    time.sleep(TOLD_SECONDS)


def test_what_one_instance_starts_and_ends_all_start_and_end(pair: tuple[Proxyguard, Proxyguard], folder: Path) -> None:
    guard, other = pair
    assert not listed(other, "prepared")["on"]
    restrict(guard, folder, "start", "prepared", "--until", "10m")
    soon(lambda: bool(listed(other, "prepared")["on"]), "the start on the other instance")
    assert [ask(each).status_code for each in pair] == [200, 429]
    restrict(guard, folder, "end", "prepared")
    soon(lambda: not listed(other, "prepared")["on"], "the end on the other instance")
    assert [ask(each).status_code for each in pair] == [200, 200]


def test_one_given_to_one_instance_holds_on_all_even_while_the_rule_files_are_broken(
    pair: tuple[Proxyguard, Proxyguard], folder: Path
) -> None:
    guard, other = pair
    (folder / "rules" / "91-broken.yaml").write_text("name: [\n")
    words = ("--class", "anonymous=2/hour", "--path-prefix", "/search/", "--until", "1h", "--why", "Overloaded.")
    restrict(guard, folder, "start", "slow", *words)
    soon(lambda: bool(listed(other, "slow")["on"]), "the start on the other instance")
    answers = [ask(each, "/search/x") for each in (other, guard, other, other, guard)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:2] == [200, 200]
    assert statuses[-2:] == [429, 429]  # between them one may pass that came before its worker had heard
    assert answers[-1].json()["detail"] == "Overloaded."
    assert ask(other, "/elsewhere").status_code == 200
    restrict(guard, folder, "end", "slow")
    soon(lambda: listed(other, "slow")["reason"] == "unknown", "the end on the other instance")
    assert [ask(each, "/search/x").status_code for each in pair] == [200, 200]


def test_an_alarm_of_one_instance_holds_on_all_until_somebody_ends_it(pair: tuple[Proxyguard, Proxyguard], folder: Path) -> None:
    guard, other = pair
    assert ask(other).status_code == 200

    def alarmed() -> bool:
        ask(guard, "/broken", "member-1")
        return bool(listed(guard, "brown-out")["on"])

    wait_until(alarmed, "the alarm")
    soon(lambda: ask(other).status_code == 503, "the refusal by an instance that saw no error")
    assert listed(other, "brown-out")["reason"] == "by the alarm of another instance"
    restrict(guard, folder, "end", "brown-out")
    soon(lambda: ask(other).status_code == 200, "the end on the other instance")
    assert listed(other, "brown-out")["reason"] == "ended by command"


def test_workers_and_instances_that_start_find_what_is_on_before_their_first_request(
    pair: tuple[Proxyguard, Proxyguard], folder: Path
) -> None:
    guard, other = pair
    restrict(guard, folder, "start", "slow", "--class", "anonymous=1/day", "--until", "1h", "--why", "Overloaded.")
    soon(lambda: bool(listed(other, "slow")["on"]), "the start on the other instance")
    soon(lambda: {ask(other).status_code for _ in range(20)} == {429}, "the start in both of its workers")
    before = set(other.family()[1:])
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    answers: list[int] = []

    def replaced() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            answers.append(ask(other).status_code)
        return len(set(other.family()[1:]) - before) == 2 and answers.count(429) > 40

    wait_until(replaced, "answers of two new workers")
    assert set(answers) == {429}
    settings = (folder / "other" / "proxyguard.yaml").read_text()
    with members() as site, proxyguard(folder / "third", site.url, rules=folder / "rules", settings=settings) as third:
        assert ask(third).status_code == 429
