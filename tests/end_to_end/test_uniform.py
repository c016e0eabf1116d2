"""Whether an account exists is not to be told from 8,000 answers of a real application behind the running firewall."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlencode

import pytest

from tests.account_oracle import Observation, accuracies
from tests.end_to_end.processes import Proxyguard, proxyguard

TRIES = 8_000
"""A coin is right in 50 % of so many guesses with a standard deviation of 0.71 %: 52 % is 2.8 of them, twice in a row."""

ASKERS = 80

GRID_SECONDS = 0.25
"""Of RULES. An answer takes that long, so askers that begin together ask together to the end: they begin one after the other."""

RULES = """\
name: forgotten-password
rules:
  - name: same-to-all
    when: {method: POST, path: /forgotten}
    action: {uniform: {body: "If there is such an account, we have sent a message to it.", grid: 250ms}}
"""


class Application(BaseHTTPRequestHandler):
    """Looks an address up in a database, and sends who has an account on, with a cookie, after some work; others are told no."""

    protocol_version = "HTTP/1.1"
    accounts = sqlite3.connect(":memory:", check_same_thread=False)
    lock = threading.Lock()

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        with self.lock:
            found = self.accounts.execute("SELECT name FROM accounts WHERE email = ?", (form["email"][0],)).fetchone()
        if found is None:
            self._answer(404, b"<p>There is no such account.</p>")
            return
        time.sleep(0.015)  # as long as a mail takes to be handed over
        self._answer(200, f"<p>Dear {found[0]}, please look into your mail.</p>".encode(), ("Set-Cookie", "reset=1"))

    def _answer(self, status: int, body: bytes, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*fields, ("Content-Type", "text/html"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as the test has, and says nothing of those that end."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def application() -> Iterator[str]:
    Application.accounts.execute("CREATE TABLE accounts (email TEXT PRIMARY KEY, name TEXT)")
    Application.accounts.executemany(
        "INSERT INTO accounts VALUES (?, ?)", [(_email(number), "Ada") for number in range(0, TRIES, 2)]
    )
    server = Server(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def _email(number: int) -> str:
    return f"person{number:05d}@example.net"


def _ask(guard: Proxyguard, path: str, numbers: list[int], after_seconds: float) -> list[Observation]:
    time.sleep(after_seconds)
    connection = HTTPConnection("127.0.0.1", guard.port, timeout=60)
    seen = []
    for number in numbers:
        form = urlencode({"email": _email(number)})
        started = time.perf_counter()
        connection.request("POST", path, form, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - started
        headers = tuple(field for field in answer.getheaders() if field[0] != "Date")
        seen.append(Observation(number % 2 == 0, answer.status, headers, body, seconds, not answer.will_close))
    connection.close()
    return seen


def _ask_all(guard: Proxyguard, path: str, tries: int) -> list[Observation]:
    """In the order of time."""
    numbers = Random(5).sample(range(TRIES), tries)
    with ThreadPoolExecutor(ASKERS) as pool:
        parts = pool.map(lambda at: _ask(guard, path, numbers[at::ASKERS], at * GRID_SECONDS / ASKERS), range(ASKERS))
        return [seen for together in zip(*parts, strict=True) for seen in together]


@pytest.mark.alone
@pytest.mark.thorough
def test_an_attacker_learns_nothing_from_8000_tries(tmp_path: Path, application: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "10.yaml").write_text(RULES)
    with proxyguard(tmp_path, application, rules=tmp_path / "rules") as guard:
        plain = accuracies(_ask_all(guard, "/elsewhere", 400))
        assert min(plain[each] for each in ("status", "length", "headers", "body")) == 1.0, plain
        even = accuracies(_ask_all(guard, "/forgotten", TRIES))
        if max(even.values()) > 0.52:
            even = accuracies(_ask_all(guard, "/forgotten", TRIES))
        assert max(even.values()) <= 0.52, even
