"""Rules edited while the command runs: a good edit takes effect, a broken one changes nothing, no connection is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest
import requests

from tests.end_to_end.processes import RULES, Proxyguard, proxyguard, tell, told, wait_until

AGENT = {"User-Agent": "our-agent/1.0"}

NO_AGENTS = """\
name: no-agents
rules:
  - name: no-agents
    why: This agent has gone mad.
    when: {user_agent: {word: our-agent}}
    action: {reject: {status: 410}}
"""

KEPT = """\
name: kept
rules:
  - name: three-an-hour
    when: {path: /login}
    limit: {rate: 3/hour, per: [client]}
    action: {reject: {status: 429}}
  - name: stuck
    when: {path: /stuck}
    action: {tarpit: {hold: 120s, drip: 100ms}}
"""

FAILING_TEST = NO_AGENTS + "tests: [{request: {user_agent: our-agent/1}, expect: pass by default}]\n"


@pytest.fixture
def edited(folder: Path, upstream: str) -> Iterator[tuple[Proxyguard, Path]]:
    """proxyguard with a copy of those bundled rules whose tests take few requests, and the copy."""
    rules = folder / "rules"
    shutil.copytree(RULES, rules, ignore=shutil.ignore_patterns("1*.yaml", "6*.yaml", "kits", "presets"))
    with proxyguard(folder / "guard", upstream, rules=rules, settings=f"control: {folder}/control.sock\n") as running:
        yield running, rules


def status(guard: Proxyguard) -> int:
    return guard.get("/profiles/1", headers=AGENT).status_code


PAUSE_SECONDS = 0.01
"""Between two requests of a client: rules are read at a low priority, and clients without a pause take all of a small machine."""


class Load:
    """Two clients that ask all the time, one on new connections and one on a kept-alive one."""

    def __init__(self, guard: Proxyguard) -> None:
        self.seen: list[object] = []
        self._guard = guard
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(close,)) for close in (True, False)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, close: bool) -> None:
        headers = AGENT | ({"Connection": "close"} if close else {})
        with requests.Session() as session:
            while not self._over.wait(PAUSE_SECONDS):
                try:
                    found = session.get(f"{self._guard.url}/api/profiles/1", headers=headers, timeout=20)
                    self.seen.append(found.status_code)
                except requests.RequestException as error:
                    self.seen.append(repr(error))


def test_a_new_file_takes_effect_and_a_broken_one_changes_nothing(edited: tuple[Proxyguard, Path]) -> None:
    guard, rules = edited
    assert status(guard) == 200
    (rules / "05-no-agents.yaml").write_text(NO_AGENTS)
    wait_until(lambda: status(guard) == 410, "the new rule")
    (rules / "05-no-agents.yaml").write_text(NO_AGENTS.replace("reject", "rejct"))
    wait_until(lambda: "unknown action 'rejct'" in guard.said(), "the report")
    assert status(guard) == 410
    (rules / "05-no-agents.yaml").unlink()
    wait_until(lambda: status(guard) == 200, "the rule is gone")


def test_a_hangup_reloads_at_once_without_losing_a_request(edited: tuple[Proxyguard, Path]) -> None:
    guard, rules = edited
    with Load(guard) as load:
        for text, expected in ((NO_AGENTS.replace("reject", "tag").replace("{status: 410}", "mad"), 200), (NO_AGENTS, 410)):
            (rules / "05-no-agents.yaml").write_text(text)
            guard.process.send_signal(signal.SIGHUP)
            wait_until(lambda expected=expected: status(guard) == expected, "the reload")  # type: ignore[misc]  # mypy: a lambda with a default
    assert set(load.seen) <= {200, 410}
    assert load.seen.count(200) > 0


def write(name: str, text: str | bytes) -> Callable[[Path], None]:
    """An edit: this file with this content."""
    data = text.encode() if isinstance(text, str) else text

    def edit(rules: Path) -> None:
        (rules / name).write_bytes(data)

    return edit


def link_to_nowhere(rules: Path) -> None:
    (rules / "06-link.yaml").symlink_to(rules / "missing" / "file.yaml")


def replace_directory_by_file(rules: Path) -> None:
    shutil.rmtree(rules)
    rules.write_text("")


BROKEN_EDITS: list[tuple[str, Callable[[Path], None], str]] = [
    ("syntax", write("06.yaml", NO_AGENTS + "  - name: [\n"), "06.yaml:8:1: error: the file ends here"),
    ("unknown key", write("06.yaml", NO_AGENTS.replace("when", "whne")), "06.yaml:5:5: error: "),
    ("failing test in the file", write("06.yaml", FAILING_TEST), "expected pass by default, got reject by no-agents"),
    ("missing list file", write("06.yaml", NO_AGENTS + "lists: {bad: {file: lists/gone.txt}}\n"), "gone.txt"),
    ("unreadable file", link_to_nowhere, "06-link.yaml"),
    ("huge file", write("06.yaml", NO_AGENTS + "#" * (17 << 20)), "06.yaml"),
    ("empty file", write("06.yaml", ""), "06.yaml:1:1: error: the file is empty"),
    ("deleted directory", shutil.rmtree, "the rules directory does not exist"),
    ("a file in place of the directory", replace_directory_by_file, "the rules directory is not a directory"),
]


def test_every_kind_of_broken_edit_is_refused_with_a_report_and_no_request_notices(
    edited: tuple[Proxyguard, Path], folder: Path
) -> None:
    guard, rules = edited
    good = folder / "good"
    shutil.copytree(rules, good)
    digest = told(folder, "status")["policy"]
    with Load(guard) as load:
        for kind, edit, said in BROKEN_EDITS:
            edit(rules)
            done = tell(folder, "reload")
            assert done.returncode == 1, kind
            assert said in done.stderr, f"{kind}: {done.stderr}"
            assert "Traceback" not in done.stderr, kind
            assert done.stderr.endswith("not applied: the rules of before stay in force\n"), kind
            now = told(folder, "status")
            assert now["policy"] == digest, kind
            assert said in now["reload"]["report"], kind
            if rules.is_dir():
                shutil.rmtree(rules)
            else:
                rules.unlink(missing_ok=True)
            shutil.copytree(good, rules)
        assert tell(folder, "reload").returncode == 0
        metrics = guard.admin("/metrics")
    assert set(load.seen) == {200}
    assert len(load.seen) > 100
    assert told(folder, "status")["reload"]["result"] == "applied"
    refused = next(line for line in metrics.splitlines() if 'reloads_total{result="refused"}' in line)
    assert float(refused.split()[1]) >= len(BROKEN_EDITS)
    assert f'proxyguard_policy_info{{digest="{digest}"}} 1.0' in metrics


@pytest.mark.parametrize("workers", [1, 2])
def test_counters_bans_and_held_tarpits_survive(folder: Path, upstream: str, workers: int) -> None:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "10.yaml").write_text(KEPT)
    settings = f"workers: {workers}\ncontrol: {folder}/control.sock\n"
    with proxyguard(folder / "guard", upstream, rules=rules, settings=settings) as guard:
        assert tell(folder, "bans", "add", "192.0.2.77", "--for", "1h").returncode == 0
        asked = [guard.get("/login", headers={"Connection": "close"}).status_code for _ in range(2)]
        with guard.connect() as held:
            held.sendall(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
            assert held.recv(1)
            (rules / "05.yaml").write_text(NO_AGENTS)
            done = tell(folder, "reload")
            assert (done.returncode, done.stdout[:8]) == (0, "applied:")
            assert status(guard) == 410
            asked += [guard.get("/login", headers={"Connection": "close"}).status_code for _ in range(2)]
            for _ in range(10):
                assert held.recv(1)
        assert asked[-1] == 429
        assert 429 not in asked[:3]
        bans = tell(folder, "bans", "export").stdout.splitlines()
        assert [json.loads(ban)["key"] for ban in bans] == ["client:192.0.2.77"]


@pytest.mark.parametrize("delay", [0.0, 0.6, 1.2])
def test_a_worker_that_dies_during_a_reload_comes_back_with_the_new_rules(folder: Path, upstream: str, delay: float) -> None:
    """Whenever it dies: before it is given the rules, while it compiles them, or when it has them."""
    rules = folder / "rules"
    rules.mkdir()
    many = "name: many\nrules:\n" + "".join(f"  - {{name: r{n}, action: reject, when: {{path: /r/{n}}}}}\n" for n in range(4000))
    (rules / "10.yaml").write_text(many)
    settings = f"workers: 2\ncontrol: {folder}/control.sock\n"
    with proxyguard(folder / "guard", upstream, rules=rules, settings=settings) as guard:
        wait_until(lambda: len(told(folder, "status")["workers"]) == 2, "both workers")
        workers = told(folder, "status")["workers"]
        (rules / "05.yaml").write_text(NO_AGENTS)
        reloading = threading.Thread(target=tell, args=(folder, "reload"))
        reloading.start()
        time.sleep(delay)  # where in the reload it hits is what differs from run to run
        os.kill(workers[-1], signal.SIGKILL)
        reloading.join(60)

        def all_refused() -> bool:
            try:
                answers = [guard.get("/profiles/1", headers=AGENT | {"Connection": "close"}) for _ in range(12)]
            except requests.RequestException:
                return False
            return {answer.status_code for answer in answers} == {410} and len(told(folder, "status")["workers"]) == 2

        wait_until(all_refused, "both workers have the new rules")
        assert workers[0] in told(folder, "status")["workers"]


def git(rules: Path, *arguments: str) -> None:
    who = ("-c", "user.name=ops", "-c", "user.email=ops@example.org")
    subprocess.run(["git", *who, *arguments], cwd=rules, check=True, capture_output=True)


def test_a_git_checkout_an_editors_rename_and_a_list_file_are_noticed(edited: tuple[Proxyguard, Path]) -> None:
    guard, rules = edited
    git(rules, "init", "-q", "-b", "main")
    git(rules, "add", ".")
    git(rules, "commit", "-qm", "as shipped")
    git(rules, "checkout", "-qb", "agents")
    (rules / "lists").mkdir(exist_ok=True)
    (rules / "lists" / "mad.txt").write_text("another-agent\n")
    listing = NO_AGENTS.replace("rules:", "lists: {mad: {file: lists/mad.txt}}\nrules:").replace("our-agent}", "$mad}")
    (rules / "05-no-agents.yaml").write_text(listing)
    git(rules, "add", ".")
    git(rules, "commit", "-qm", "no agents")
    git(rules, "checkout", "-q", "main")
    git(rules, "checkout", "-q", "agents")
    wait_until(lambda: '"applied"} 0.0' not in guard.admin("/metrics"), "the checkout")
    assert status(guard) == 200
    (rules / "lists" / "mad.txt.new").write_text("another-agent\nour-agent\n")
    (rules / "lists" / "mad.txt.new").rename(rules / "lists" / "mad.txt")
    wait_until(lambda: status(guard) == 410, "the longer list")
    git(rules, "checkout", "-qf", "main")
    wait_until(lambda: status(guard) == 200, "the other branch")


def test_the_link_swap_of_a_mounted_configmap_is_noticed(folder: Path, upstream: str) -> None:
    """As Kubernetes does it: files are links into ..data, which is a link that a new one replaces."""
    rules = folder / "rules"
    for version, text in (("..2026_01", NO_AGENTS.replace("our-agent", "nobody")), ("..2026_02", NO_AGENTS)):
        (rules / version).mkdir(parents=True)
        (rules / version / "10.yaml").write_text(text)
    (rules / "..data").symlink_to("..2026_01")
    (rules / "10.yaml").symlink_to("..data/10.yaml")
    with proxyguard(folder / "guard", upstream, rules=rules) as guard:
        assert status(guard) == 200
        (rules / "..data_tmp").symlink_to("..2026_02")
        (rules / "..data_tmp").rename(rules / "..data")
        shutil.rmtree(rules / "..2026_01")
        wait_until(lambda: status(guard) == 410, "the swap")
