"""Rules edited while the command runs: a good edit takes effect, a broken one changes nothing, no connection is lost."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import RULES, Proxyguard, proxyguard, wait_until

AGENT = {"User-Agent": "our-agent/1.0"}

NO_AGENTS = """\
name: no-agents
rules:
  - name: no-agents
    why: This agent has gone mad.
    when: {user_agent: {word: our-agent}}
    action: {reject: {status: 410}}
"""


@pytest.fixture
def edited(folder: Path, upstream: str) -> Iterator[tuple[Proxyguard, Path]]:
    """proxyguard with a copy of the bundled rules, and the copy."""
    rules = folder / "rules"
    shutil.copytree(RULES, rules)
    with proxyguard(folder / "guard", upstream, rules=rules) as running:
        yield running, rules


def status(guard: Proxyguard) -> int:
    return guard.get("/profiles/1", headers=AGENT).status_code


def test_a_new_file_takes_effect_and_a_broken_one_changes_nothing(edited: tuple[Proxyguard, Path]) -> None:
    guard, rules = edited
    assert status(guard) == 200
    (rules / "05-no-agents.yaml").write_text(NO_AGENTS)
    wait_until(lambda: status(guard) == 410, 15, "the new rule")
    (rules / "05-no-agents.yaml").write_text(NO_AGENTS.replace("reject", "rejct"))
    wait_until(lambda: "unknown action 'rejct'" in guard.said(), 15, "the report")
    assert status(guard) == 410
    (rules / "05-no-agents.yaml").unlink()
    wait_until(lambda: status(guard) == 200, 15, "the rule is gone")


def test_a_hangup_reloads_at_once_without_losing_a_request(edited: tuple[Proxyguard, Path]) -> None:
    guard, rules = edited
    seen: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            seen.append(guard.get("/api/profiles/1", headers=AGENT | {"Connection": "close"}).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for text in (NO_AGENTS.replace("reject", "tag").replace("{status: 410}", "mad"), NO_AGENTS):
            (rules / "05-no-agents.yaml").write_text(text)
            guard.process.send_signal(signal.SIGHUP)
            wait_until(lambda: status(guard) == (410 if text is NO_AGENTS else 200), 15, "the reload")  # noqa: B023 - waited for in the loop
    finally:
        done.set()
        asking.join(20)
    assert set(seen) <= {200, 410}
    assert seen.count(200) > 0
