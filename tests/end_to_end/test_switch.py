"""The panic switch and pauses on real instances: two with two workers each on a server, over restarts, with each store."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.servers import valkey
from tests.end_to_end.processes import Proxyguard, Running, accepts, proxyguard, tell, told, wait_until
from tests.ports import free_port

RULES = """\
name: r
rules:
  - {name: no-curl, when: {user_agent: {word: curl}}, action: reject}
  - {name: wait, when: {path: /wait}, action: {delay: 30s}}
  - {name: pit, when: {path: /pit}, action: {tarpit: {hold: 60s}}}
  - {name: gone, when: {path: /gone}, action: drop}
  - {name: many, when: {path: /many}, limit: {rate: 2/hour}, action: reject}
  - {name: flood, when: {path: /flood}, limit: {rate: 2/hour}, action: {ban: {for: 1h, then: drop}}}
"""

PATHS = ("/", "/wait", "/pit", "/gone", "/many", "/flood")

REQUESTS = 10_000
CONNECTIONS = 20

WITHIN_SECONDS = 2.0
"""A second, on a machine that has one; this one may be running a dozen other tests."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A site that answers everything with 200."""
    port = free_port()
    running = Running.start([sys.executable, "-m", "tests.end_to_end.waiting_upstream", str(port)], tmp_path / "site.log")
    running.wait_for(lambda: accepts(port), "the site listens")
    yield f"http://127.0.0.1:{port}"
    running.end(signal.SIGKILL)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "r.yaml").write_text(RULES)
    return folder


@contextmanager
def instance(folder: Path, site: str, rules: Path, settings: str) -> Iterator[Proxyguard]:
    with proxyguard(folder, site, rules=rules, settings=f"{settings}control: {folder}/control.sock\n") as running:
        yield running


def status(port: int, path: str = "/", agent: str = "curl/8.5") -> int:
    """The status of one request on a connection of its own; 0 when it was closed."""
    with socket.socket() as client:
        client.settimeout(10)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n".encode())
            answer = client.recv(4096)
        except ConnectionError:
            return 0
    return int(answer[9:12]) if answer else 0


async def statuses(ports: list[int], count: int) -> Counter[int]:
    """The statuses of so many requests, over CONNECTIONS kept-alive connections to these ports in turn."""
    found: Counter[int] = Counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[number % len(ports)])
        for turn in range(count // CONNECTIONS):
            path, agent = PATHS[turn % len(PATHS)], "curl/8.5" if turn // len(PATHS) % 2 else "Firefox"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(4)
            found[int(head[9:12])] += 1
        writer.close()

    async with asyncio.timeout(300):
        await asyncio.gather(*(client(number) for number in range(CONNECTIONS)))
    return found


def everywhere(guards: tuple[Proxyguard, ...], wanted: int) -> bool:
    """Whether twenty connections to each, which all of its workers share, get this answer."""
    return all(status(guard.port) == wanted for guard in guards for _ in range(20))


def metric(guard: Proxyguard, name: str) -> float:
    return next(
        float(line.split()[-1]) for line in guard.admin("/metrics").splitlines() if line.startswith(f"proxyguard_{name} ")
    )


def test_nothing_is_refused_while_the_switch_is_on_and_it_ends_by_itself(tmp_path: Path, site: str, rules: Path) -> None:
    store = tmp_path / "store.sock"
    settings = f"workers: 2\nstore: {{url: 'unix://{store}', timeout: 2s}}\nkey_secret: 0123456789abcdef\n"
    with ExitStack() as ending, valkey(store):
        one, other = (ending.enter_context(instance(tmp_path / name, site, rules, settings)) for name in ("one", "other"))
        assert everywhere((one, other), 403)
        assert [status(one.port, "/flood", "Firefox") for _ in range(3)][:2] == [200, 200]
        wait_until(lambda: status(other.port, "/", "Firefox") == 0, "the ban on the other instance, refused at accept")

        began = time.monotonic()
        answer = told(tmp_path / "one", "shadow", "on", "--for", "10m", "--why", "people are refused")
        assert (answer["why"], answer["saved"], answer["survives"]) == ("people are refused", True, True)
        wait_until(lambda: everywhere((one, other), 200), "the switch on all workers of both", within=WITHIN_SECONDS + 3)
        took = time.monotonic() - began
        print(f"in force everywhere, and seen so by 40 connections, {took:.2f} s after the command was begun")
        assert asyncio.run(statuses([one.port, other.port], REQUESTS)) == {200: REQUESTS}
        shown = told(tmp_path / "other", "status")["shadow"]
        assert shown["why"] == "people are refused"
        assert shown["until"] == pytest.approx(answer["until"], abs=2)
        assert (metric(one, "shadow_switch"), metric(other, "shadow_switch")) == (1, 1)
        record = other.wait_for_record(lambda each: each["rule"] == "shadow-switch", "a record of what would have been done")
        assert (record["action"], record["mode"], record["status"]) == ("pass", "shadow", 200)
        assert record["shadow"][-1].split(" by ")[0] in {"reject", "tarpit", "drop", "delay", "ban"}

        one.process.kill()
        one.process.wait()
        again = ending.enter_context(instance(tmp_path / "one", site, rules, settings))
        assert everywhere((again, other), 200)

        told(tmp_path / "one", "shadow", "on", "--for", "3s")
        wait_until(lambda: everywhere((again, other), 0), "the end of the switch, and the ban of before")
        told(tmp_path / "other", "bans", "remove", "127.0.0.1")
        wait_until(lambda: everywhere((again, other), 403), "the end of the ban")
        assert told(tmp_path / "one", "status")["shadow"] is None
        assert "rules act again" in other.said()


KEPT = {
    "a snapshot": "store: {{snapshot: {folder}/snapshot}}\n",
    "a file of orders, two workers": "restrictions: {{file: {folder}/orders}}\nworkers: 2\n",
    "a snapshot, two workers": "store: {{snapshot: {folder}/snapshot}}\nworkers: 2\n",
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_switch_and_pauses_outlive_a_crash_without_a_server(tmp_path: Path, site: str, rules: Path, kept: str) -> None:
    folder, settings = tmp_path / "one", kept.format(folder=tmp_path)
    with instance(folder, site, rules, settings) as guard:
        assert everywhere((guard,), 403)
        assert told(folder, "shadow", "on", "--why", "x")["survives"]
        assert told(folder, "pause", "no-curl", "gone")["rules"] == ["no-curl", "gone"]
        assert everywhere((guard,), 200)
        guard.process.kill()
        guard.process.wait()
    with instance(folder, site, rules, settings) as guard:
        assert everywhere((guard,), 200)
        assert status(guard.port, "/pit", "Firefox") == 200
        assert told(folder, "shadow", "off")["paused"] == ["gone", "no-curl"]
        assert everywhere((guard,), 200)
        assert [status(guard.port, "/many", "Firefox") for _ in range(3)] == [200, 200, 429]
        assert tell(folder, "promote", "no-curl").returncode == 1
        told(folder, "resume", "no-curl")
        assert everywhere((guard,), 403)
        assert status(guard.port, "/gone", "Firefox") == 200
    with instance(folder, site, rules, settings) as guard:
        assert everywhere((guard,), 403)
        assert status(guard.port, "/gone", "Firefox") == 200


def test_a_client_in_a_tarpit_is_let_go(tmp_path: Path, site: str, rules: Path) -> None:
    folder = tmp_path / "one"
    with instance(folder, site, rules, "workers: 2\n") as guard, socket.create_connection(("127.0.0.1", guard.port)) as held:
        held.settimeout(10)
        held.sendall(b"GET /pit HTTP/1.1\r\nHost: a\r\n\r\n")
        held.recv(4096)
        answer: dict[str, Any] = told(folder, "shadow", "on")
        assert not answer["survives"]
        while held.recv(4096):
            pass
        wait_until(lambda: metric(guard, "tarpits") == 0, "no tarpit")


def test_rules_are_counted_once_whatever_is_reloaded(tmp_path: Path, site: str, rules: Path) -> None:
    folder = tmp_path / "one"
    with instance(folder, site, rules, "workers: 2\n") as guard:
        for _ in range(3):
            assert tell(folder, "reload").returncode == 0
        assert told(folder, "status")["rules"] == {"enforce": 6, "shadow": 0, "off": 0}
        assert 'proxyguard_rules{mode="enforce"} 6.0' in guard.admin("/metrics")
