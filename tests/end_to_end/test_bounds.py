"""With 2,048 open files, one address that tries to use them up costs nobody else anything: no other site, no health check.

The attacks are run as processes of their own against the real command; a client of another network asks the other site meanwhile.
A second instance that nobody attacks is asked in turn with the first: it shows what the machine alone makes of an answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.adapters.certificates import write_certificate
from tests.end_to_end.attackers import ATTACKS, attacker
from tests.end_to_end.processes import Proxyguard, Running, accepts, proxyguard, wait_until
from tests.ports import free_port

pytestmark = pytest.mark.alone

FILES: Final = 2048
ATTACK_SECONDS: Final = float(os.environ.get("ATTACK_SECONDS", "5"))
"""Longer for a measurement."""
PAUSE_SECONDS: Final = 0.02
OTHER_NETWORK: Final = "127.9.9.9"
"""Whoever uses the other site."""
ATTACKER: Final = "127.0.0.1"
BUSY_SECONDS: Final = 0.1
"""What the attacker's share of a small machine may add to any answer."""
SHARE: Final = float(os.environ.get("ATTACK_SHARE", "0.5"))
"""Which answers are compared. On a shared machine the slowest hundredth says nothing; 0.99 to measure on one of its own."""

OK: Final = b"HTTP/1.1 200 OK"

RULES: Final = """\
name: delays
rules:
  - name: held-back
    why: Something that holds requests back.
    when: {path: /delayed}
    action: {delay: 20s}
"""


@dataclass
class Answers:
    """What a client met: seconds of each answer, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def share(self, part: float) -> float:
        """The time within which this share of the answers came."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(part * len(self.seconds)))]


def ask(port: int, host: str, path: str = "/", source: str = OTHER_NETWORK) -> bytes:
    """One request on a TLS connection of its own: the status line."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 5, (source, 0)) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return connection.recv(4096).partition(b"\r\n")[0]


def timed(answers: Answers, ask_once: Callable[[], bytes], expected: bytes) -> None:
    """Ask once, and note what came of it."""
    started = time.monotonic()
    try:
        got = ask_once()
        answers.seconds.append(time.monotonic() - started)
        if got != expected:
            answers.faults.append(repr(got))
    except OSError as error:
        answers.faults.append(repr(error))


@dataclass
class Measured:
    """Answers of a site of the attacked instance, of the same site of the calm one, and of the attacked one's health check."""

    attacked: Answers = field(default_factory=Answers)
    calm: Answers = field(default_factory=Answers)
    health: Answers = field(default_factory=Answers)


def measure(guard: Proxyguard, calm: Proxyguard, seconds: float) -> Measured:
    """Ask all three in turn."""
    measured = Measured()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        timed(measured.attacked, lambda: ask(guard.port, "b.test"), OK)
        timed(measured.calm, lambda: ask(calm.port, "b.test"), OK)
        if len(measured.calm.seconds) % 5 == 0:
            timed(measured.health, lambda: guard.admin("/healthz").encode(), b"ok\n")
        time.sleep(PAUSE_SECONDS)
    return measured


def number(guard: Proxyguard, name: str) -> float:
    """One number of the metrics."""
    found = re.search(rf"^proxyguard_{name} (\S+)$", guard.admin("/metrics"), re.MULTILINE)
    assert found, name
    return float(found[1])


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxyguard, Proxyguard]]:
    """Two instances that may open FILES files, each with two sites, each site with an upstream of its own."""
    folder = tmp_path_factory.mktemp("bounds")
    (folder / "rules").mkdir()
    (folder / "rules/delays.yaml").write_text(RULES)
    certificate = write_certificate(folder, "test", "a.test", "b.test")
    pair = f"{{chain: {certificate.chain}, key: {certificate.key}}}"
    with contextlib.ExitStack() as stack:
        started = []
        for name in ("attacked", "calm"):
            settings = "sites:\n"
            for host in ("a.test", "b.test"):
                port = free_port()
                command = [sys.executable, "-m", "tests.end_to_end.waiting_upstream", str(port)]
                upstream = Running.start(command, folder / f"{port}.log")
                stack.callback(upstream.end)
                upstream.wait_for(lambda port=port: accepts(port), "the upstream listens")  # type: ignore[misc]
                settings += f"  - {{hosts: {host}, upstream: 'http://127.0.0.1:{port}', certificate: {pair}}}\n"
            made = proxyguard(folder / name, "", rules=folder / "rules", settings=settings, files=FILES)
            started.append(stack.enter_context(made))
        yield started[0], started[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_one_address_costs_nobody_else_anything(name: str, instances: tuple[Proxyguard, Proxyguard], tmp_path: Path) -> None:
    guard, calm = instances
    with attacker(name, guard.port, "a.test", tmp_path / "attack.log") as running:
        measured = measure(guard, calm, ATTACK_SECONDS)
        neighbour = ask(guard.port, "b.test", source=ATTACKER)
        said = running.said()
        status = json.loads(guard.admin("/status"))["front"]
    attacked, undisturbed, health = measured.attacked, measured.calm, measured.health
    print(
        f"{name}: {said.strip()}; {len(attacked.seconds)} requests, p50 {attacked.share(0.5) * 1000:.1f} ms (calm "
        f"{undisturbed.share(0.5) * 1000:.1f}), p99 {attacked.share(0.99) * 1000:.1f} ms (calm "
        f"{undisturbed.share(0.99) * 1000:.1f}), health at most {max(health.seconds) * 1000:.1f} ms; {status}"
    )
    assert status["requests_under_way"] == (22 if name == "delays" else 112), "as many as the attacker may have"
    assert (attacked.faults, health.faults) == ([], [])
    assert neighbour == OK, "even whoever shares the attacker's address can use the other site"
    assert attacked.share(SHARE) <= 1.5 * undisturbed.share(SHARE) + BUSY_SECONDS
    assert health.share(SHARE) <= 0.1
    wait_until(lambda: number(guard, "requests_under_way") == 0, "everything came back")
    assert ask(guard.port, "a.test", source=ATTACKER) == OK
    assert "Traceback" not in guard.said()
