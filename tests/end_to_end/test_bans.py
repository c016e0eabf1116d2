"""`proxyguard bans` and a running instance: addresses, networks and values are refused until the ban ends or is lifted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.end_to_end.members import visit
from tests.end_to_end.processes import Proxyguard, command, proxyguard, wait_until
from tests.paths import ROOT

RULES = """
name: keys
rules:
  - name: greedy-key
    why: Nobody needs the search a thousand times an hour.
    when: {path: /search}
    limit: {rate: 1000/hour, per: [header.x-api-key], missing: skip}
    action: {ban: {for: 1h}}
"""

type Bans = Callable[..., str]


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def guard(request: pytest.FixtureRequest, folder: Path, upstream: str) -> Iterator[Proxyguard]:
    (folder / "rules").mkdir()
    (folder / "rules" / "keys.yaml").write_text(RULES)
    settings = f"workers: {request.param}\nstore: {{snapshot: {folder}/snapshot}}\n"
    with proxyguard(folder, upstream, rules=folder / "rules", settings=settings) as running:
        yield running


@pytest.fixture
def bans(guard: Proxyguard, folder: Path) -> Bans:
    """The command, with what it said."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(part) for part in command("bans", *arguments, "--config", folder / "proxyguard.yaml")],
            capture_output=True, text=True, timeout=60, check=True, cwd=ROOT,
            env={"PROXYGUARD_ADMIN": f"127.0.0.1:{guard.admin_port}", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        return done.stdout

    return run


def statuses(guard: Proxyguard, *addresses: str) -> list[int]:
    """What each address gets; 0 is a connection that was closed."""
    return [visit(guard, address, "/").status for address in addresses]


def test_what_is_banned_is_refused_by_all_workers_until_it_is_lifted(guard: Proxyguard, bans: Bans) -> None:
    bans("add", "127.6.1.1", "--for", "1h", "--note", "ticket 4711")
    bans("add", "127.6.2.0/23", "--for", "1h", "--then", "drop")
    bans("add", "127.6.9.4/30", "--for", "1h")
    banned = ("127.6.1.1", "127.6.2.9", "127.6.3.9", "127.6.9.4", "127.6.9.7")
    wait_until(lambda: statuses(guard, *banned) == [403, 0, 0, 403, 403], "the bans in all workers", within=2)
    for _ in range(5):
        assert statuses(guard, *banned) == [403, 0, 0, 403, 403]
        assert statuses(guard, "127.6.1.2", "127.6.4.1", "127.6.9.8") == [200, 200, 200]
    assert [json.loads(line)["key"] for line in bans("export").splitlines()].count("client:127.6.1.1") == 1
    assert "deny 127.6.2.0/24;" in bans("export", "--format", "nginx")
    bans("remove", "127.6.2.0/23")
    bans("remove", "127.6.1.1")
    wait_until(lambda: statuses(guard, *banned) == [200, 200, 200, 403, 403], "the end of two bans", within=2)


def test_a_value_of_a_header_is_banned_and_the_ban_ends_by_itself(guard: Proxyguard, bans: Bans) -> None:
    def ask(key: str) -> requests.Response:
        return guard.get("/", headers={"X-Api-Key": key})

    bans("add", "header.x-api-key=greedy", "--for", "4s")
    wait_until(lambda: {ask("greedy").status_code for _ in range(8)} == {403}, "the ban in all workers", within=3)
    assert ask("modest").status_code == 200
    wait_until(lambda: {ask("greedy").status_code for _ in range(8)} == {200}, "its end")
    assert bans("list") == "no bans are in force\n"
