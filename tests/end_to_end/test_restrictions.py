"""Temporary restrictions on a running instance: limits by class changed by saving a file, reasons told, and an end."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from proxyguard.admin import client as control
from tests.contracts.servers import valkey
from tests.end_to_end.processes import ROOT, Proxyguard, command, proxyguard, wait_until

SECONDS_TO_TAKE_EFFECT = 4.0
"""Two seconds on a machine that has them; this one may be running a dozen other tests."""

WHO = """\
name: who-is-who
account: {key: cookie.session, class_header: X-Account-Class, remember: 1h}
classes:
  - {name: signed-in, when: {account: present}}
"""


class Members(BaseHTTPRequestHandler):
    """A site that says of every session that begins with `member` whose it is, and repeats what it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(500 if self.path.startswith("/broken") else 200)
        if "session=member" in self.headers.get("Cookie", ""):
            self.send_header("X-Account-Class", "member")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's signature
        """Say nothing."""


@contextmanager
def members() -> Iterator[str]:
    """Run the site of members; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Members)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def restriction(anonymous: int, signed_in: int, ends: datetime) -> str:
    return (
        "name: restrictions\nrestrictions:\n"
        "  - name: slow-reading\n"
        "    why: Somebody copies our members' posts.\n"
        "    when: {path: {prefix: /posts/}}\n"
        f"    classes: {{anonymous: {anonymous}/day, signed-in: {signed_in}/day}}\n"
        f"    until: {ends:%Y-%m-%dT%H:%M:%SZ}\n"
    )


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
    socket = Path(tempfile.gettempdir()) / f"proxyguard-{guard.admin_port}.sock"
    every = control.ask(socket, "restrictions-list")["restrictions"]
    return next((each for each in every if each["name"] == name), {"on": False, "reason": "unknown"})


@pytest.mark.parametrize("workers", [1, 2])
def test_limits_by_class_follow_the_file_and_are_gone_at_their_end(folder: Path, workers: int) -> None:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "00-who.yaml").write_text(WHO)
    with members() as site, proxyguard(folder / "guard", site, rules=rules, settings=f"workers: {workers}\n") as guard:
        assert allowed(guard, most=30) == 30
        assert "x-account-class" not in ask(guard, session="member-1").headers
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)

        def in_force_soon(limits: dict[str, str]) -> None:
            saved = time.monotonic()
            wait_until(lambda: is_on(limits), 10, "the change")
            assert time.monotonic() - saved < SECONDS_TO_TAKE_EFFECT

        def is_on(limits: dict[str, str]) -> bool:
            standing = listed(guard, "slow-reading")
            return bool(standing["on"]) and standing["classes"] == limits

        for anonymous, signed_in in ((4, 8), (6, 12), (3, 5)):
            (rules / "90-restrictions.yaml").write_text(restriction(anonymous, signed_in, ends))
            in_force_soon({"anonymous": f"{anonymous} requests a day", "signed-in": f"{signed_in} requests a day"})
            session = f"member-{anonymous}"
            for _ in range(10):  # each worker hears of a session by itself
                ask(guard, "/", session)
            assert allowed(guard) == anonymous
            assert allowed(guard, session) == signed_in
        refused = ask(guard)
        assert refused.status_code == 429
        told = refused.json()
        assert told["message"] == "Somebody copies our members' posts."
        assert told["limit"] == "3 requests a day"
        assert told["ends"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
        assert 0 < int(refused.headers["Retry-After"]) <= 20
        assert refused.headers["RateLimit-Policy"] == '"slow-reading-anonymous";q=3;w=86400'
        record = guard.wait_for_record(lambda each: each["rule"] == "slow-reading-signed-in", "a record of a member")
        assert record["class"] == "signed-in"
        wait_until(lambda: ask(guard).status_code == 200, 30, "the end")
        assert datetime.now(UTC) >= ends
        wait_until(lambda: listed(guard, "slow-reading")["reason"] == "it is over", 3, "the keeper's look")


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
        with proxyguard(folder / "guard", site, rules=rules, settings=settings) as guard:
            for _ in range(5):
                ask(guard, "/posts/1")
            tried = restrict(
                guard, folder, "preview", "--class", "anonymous=3/hour", "--path-prefix", "/posts/", "--json"
            )
            assert tried["classes"] == [{"class": "anonymous", "limit": "3 requests an hour", "seen": 1, "touched": 1}]
            assert (tried["not_kept"], tried["exact"]) == (0, True)
            said = restrict(
                guard, folder, "start", "slow", "--class", "anonymous=2/hour", "--path-prefix", "/posts/",
                "--until", "1h", "--why", "We are overloaded.",
            )["said"]  # fmt: skip
            assert said.startswith("slow is on until ")
            assert allowed(guard) == 2
            assert ask(guard).json()["message"] == "We are overloaded."
            restrict(guard, folder, "start", "prepared", "--until", "30m")
            assert [ask(guard, "/prepared").status_code for _ in range(2)] == [200, 429]
        with proxyguard(folder / "guard", site, rules=rules, settings=settings) as guard:
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
    with members() as site, proxyguard(folder / "guard", site, rules=rules) as guard:
        ask(guard, "/", "member-1")

        def anonymous_is_refused() -> bool:
            ask(guard, "/broken", "member-1")
            return ask(guard, "/broken").status_code == 503

        wait_until(anonymous_is_refused, 20, "the first step")
        assert ask(guard, "/", "member-1").status_code == 200
        assert ask(guard).headers["Retry-After"] == "2"
        assert listed(guard, "brown-out")["shedding"][0] == "anonymous"
        wait_until(lambda: ask(guard, "/").status_code == 200, 40, "the way back")
        assert not listed(guard, "brown-out")["on"]


def test_instances_that_share_a_store_share_orders(folder: Path) -> None:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "90-restrictions.yaml").write_text(
        "name: restrictions\nrestrictions:\n"
        "  - {name: prepared, why: Prepared., classes: {anonymous: 1/hour}, until: 2090-01-01, standby: true}\n"
    )
    socket = folder / "store.sock"
    settings = f"store: {{url: 'unix://{socket}'}}\nkey_secret: 0123456789abcdef\n"
    with (
        members() as site,
        valkey(socket),
        proxyguard(folder / "guard", site, rules=rules, settings=settings) as guard,
        proxyguard(folder / "other", site, rules=rules, settings=settings + "workers: 2\n") as other,
    ):
        assert not listed(other, "prepared")["on"]
        restrict(guard, folder, "start", "prepared", "--until", "10m")
        wait_until(lambda: bool(listed(other, "prepared")["on"]), 3, "the start on the other instance")
        assert [ask(each).status_code for each in (guard, other)] == [200, 429]
        restrict(guard, folder, "end", "prepared")
        wait_until(lambda: not listed(other, "prepared")["on"], 3, "the end on the other instance")
        assert [ask(each).status_code for each in (guard, other)] == [200, 200]
