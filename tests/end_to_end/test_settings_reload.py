"""Each setting that can be reloaded changes what a running instance does; a reload says which others need a restart."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proxyguard.settings.table import SETTINGS
from tests.end_to_end.processes import Proxyguard, Running, accepts, proxyguard, tell, told, wait_until
from tests.ports import free_port

RULES = """\
name: r
rules:
  - {name: secret, when: {path: /secret}, action: reject}
  - {name: pit, when: {path: /pit}, action: {tarpit: {hold: 60s, drip: 100ms, drip_bytes: 16}}}
"""

LUCK = {"PROXYGUARD_AUDIT_PASSES": ""}
"""The file says which passes are recorded, as it is what is reloaded."""

ASKED = 8
"""Connections to ask on, so that both workers are asked."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    (folder / "rules").mkdir()
    (folder / "rules" / "r.yaml").write_text(RULES)
    return folder


def base(folder: Path) -> str:
    return f"workers: 2\ncontrol: {folder}/control.sock\n"


@pytest.fixture(scope="module")
def guard(folder: Path) -> Iterator[Proxyguard]:
    """An instance with two workers in front of a site that answers everything with 200."""
    port = free_port()
    site = Running.start([sys.executable, "-m", "tests.end_to_end.waiting_upstream", str(port)], folder / "site.log")
    site.wait_for(lambda: accepts(port), "the site listens")
    with proxyguard(
        folder, f"http://127.0.0.1:{port}", rules=folder / "rules", settings=base(folder), environment=LUCK
    ) as running:
        yield running
    site.end(signal.SIGKILL)


def answers(guard: Proxyguard, request: str, seconds: float = 5.0) -> bytes:
    """All that comes on one connection until it is closed, or for so long."""
    found = b""
    with socket.create_connection(("127.0.0.1", guard.port)) as client:
        client.sendall(request.encode())
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            client.settimeout(left)
            try:
                data = client.recv(65536)
            except (TimeoutError, ConnectionError):
                break
            if not data:
                return found + b"(closed)"
            found += data
    return found


def status(guard: Proxyguard, path: str = "/", fields: str = "", body: str = "") -> int:
    """The status of a request, from every worker that is asked."""
    method = "POST" if body else "GET"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    request = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}{fields}\r\n{body}"
    found = {int(answers(guard, request)[9:12]) for _ in range(ASKED)}
    assert len(found) == 1, found
    return found.pop()


def pit(guard: Proxyguard) -> bytes:
    """The beginning of what a client in the tarpit gets."""
    return answers(guard, "GET /pit HTTP/1.1\r\nHost: a\r\n\r\n", 0.3)[:12]


def pit_is_over(guard: Proxyguard, seconds: float) -> bool:
    return answers(guard, "GET /pit HTTP/1.1\r\nHost: a\r\n\r\n", seconds).endswith(b"(closed)")


def admin_by_name(guard: Proxyguard) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", guard.admin_port, timeout=5)
    connection.request("GET", "/healthz", headers={"Host": "metrics.example"})
    return connection.getresponse().status


def records_of_passes(guard: Proxyguard) -> bool:
    """Whether all plain passes are recorded, not just a sample."""
    path = "/plain-" + "".join(chr(ord("a") + int(digit)) for digit in str(time.monotonic_ns()))  # numbers would be redacted
    status(guard, path)
    refused = len([record for record in guard.records() if record["rule"] == "secret"])
    status(guard, "/secret")
    wait_until(lambda: len([record for record in guard.records() if record["rule"] == "secret"]) == refused + ASKED, "records")
    time.sleep(0.5)  # records of two workers come in any order
    return len([record for record in guard.records() if record["path"] == path]) == ASKED


class Case(NamedTuple):
    """What is written to the file, what is looked at, and what that gives before and after."""

    written: str
    probe: Callable[[Proxyguard], Any]
    before: Any
    after: Any


TWO = "GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2

CASES = {
    "admin_hosts": Case("admin_hosts: [metrics.example]", admin_by_name, 421, 200),
    "paths": Case("paths: {ignore_case: true}", lambda guard: status(guard, "/SECRET"), 200, 403),
    "mode": Case("mode: shadow", lambda guard: status(guard, "/secret"), 403, 200),
    "bounds.head_size": Case(
        "bounds: {head_size: 2KiB, field_size: 1KiB, target_size: 1KiB}",
        lambda guard: status(guard, fields=f"A: {'x' * 900}\r\nB: {'x' * 900}\r\nC: {'x' * 900}\r\n"), 200, 431,
    ),
    "bounds.field_size": Case("bounds: {field_size: 256B}", lambda guard: status(guard, fields=f"A: {'x' * 300}\r\n"), 200, 431),
    "bounds.header_count": Case(
        "bounds: {header_count: 8}", lambda guard: status(guard, fields="".join(f"A{n}: x\r\n" for n in range(9))), 200, 431
    ),
    "bounds.target_size": Case("bounds: {target_size: 256B}", lambda guard: status(guard, f"/{'x' * 300}"), 200, 414),
    "bounds.body_size": Case("bounds: {body_size: 10B}", lambda guard: status(guard, body="x" * 11), 200, 413),
    "bounds.requests_per_connection": Case(
        "bounds: {requests_per_connection: 1}", lambda guard: answers(guard, TWO, 0.3).count(b"HTTP/1.1 200"), 2, 1
    ),
    "tarpit.connections": Case("tarpit: {connections: 0, per_network: 0}", pit, b"HTTP/1.1 200", b"HTTP/1.1 403"),
    "tarpit.per_network": Case("tarpit: {per_network: 0}", pit, b"HTTP/1.1 200", b"HTTP/1.1 403"),
    "tarpit.hold": Case("tarpit: {hold: 1s}", lambda guard: pit_is_over(guard, 2.5), before=False, after=True),
    "tarpit.bytes_per_connection": Case(
        "tarpit: {bytes_per_connection: 64B}", lambda guard: pit_is_over(guard, 2.5), before=False, after=True
    ),
    "audit.passes": Case("audit: {passes: 1}", records_of_passes, before=False, after=True),
}  # fmt: skip

BY_ITSELF = {
    "failure_mode", "preset", "admin_loopback_reads", "admin_token", "admin_token_file", "admin_read_token",
    "admin_read_token_file",
}  # fmt: skip
"""What they do shows elsewhere: when a check fails (tests/guard), in other rules, on the dashboard (tests/instance/admin)."""


def test_each_setting_that_can_be_reloaded_is_here() -> None:
    assert CASES.keys() | BY_ITSELF == {setting.path for setting in SETTINGS if setting.reload}


@pytest.mark.parametrize(("path", "case"), CASES.items(), ids=CASES)
def test_a_reload_changes_what_is_done_and_changes_it_back(guard: Proxyguard, folder: Path, path: str, case: Case) -> None:
    file = folder / "proxyguard.yaml"
    assert case.probe(guard) == case.before
    file.write_text(f"{base(folder)}{case.written}\n")
    answer = told(folder, "reload")["settings"]
    assert (path in answer["applied"], answer["restart"], answer["report"]) == (True, [], "")
    wait_until(lambda: case.probe(guard) == case.after, f"the effect of {case.written}")
    file.write_text(base(folder))
    guard.process.send_signal(signal.SIGHUP)
    wait_until(lambda: guard.said().count(f"settings reloaded: {', '.join(answer['applied'])}\n") > 1, "the way back")
    wait_until(lambda: case.probe(guard) == case.before, "the end of the effect")


def test_what_needs_a_restart_is_named_and_never_applied(guard: Proxyguard, folder: Path) -> None:
    file = folder / "proxyguard.yaml"
    more = "mode: shadow\ndrain_timeout: 5s\nbounds: {connections: 3000}\nstore: {snapshot: x}\nupstream_reuse: never\n"
    file.write_text(base(folder) + more)
    done = tell(folder, "reload")
    assert (done.returncode, done.stdout.splitlines()[1:]) == (
        0,
        [
            "settings in force: mode",
            "settings NOT applied, restart needed for: bounds.connections, store.snapshot, drain_timeout, upstream_reuse",
        ],
    )
    assert told(folder, "status")["mode"] == "shadow"
    file.write_text(f"{base(folder)}mode: off\nmodus: x\n")
    done = tell(folder, "reload")
    assert done.returncode == 1
    assert "unknown key 'modus'" in done.stderr
    assert "not applied: the settings of before stay in force\nthe rules are in force, digest " in done.stderr
    assert told(folder, "status")["mode"] == "shadow"
    file.write_text(base(folder))
    (folder / "rules" / "s.yaml").write_text("name: [\n")
    done = tell(folder, "reload")
    assert done.returncode == 1
    assert done.stderr.endswith("not applied: the rules of before stay in force\nsettings in force: mode\n")
    assert status(guard, "/secret") == 403
    (folder / "rules" / "s.yaml").unlink()


def test_a_worker_that_starts_later_has_the_settings_of_the_reload(guard: Proxyguard, folder: Path) -> None:
    (folder / "proxyguard.yaml").write_text(f"{base(folder)}mode: shadow\n")
    assert told(folder, "reload")["settings"]["applied"] == ["mode"]
    workers = told(folder, "status")["workers"]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(told(folder, "status")["workers"]) == 2 and told(folder, "status")["workers"] != workers, "new ones")
    assert status(guard, "/secret") == 200
