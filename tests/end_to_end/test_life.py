"""The command from start to end: refused rules, signals, an upstream that is not there."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from tests.end_to_end.processes import RULES, accepts, command, proxyguard
from tests.paths import ROOT
from tests.ports import free_port

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}

BROKEN = """\
name: broken
rules:
  - name: no-scripts
    when: {user_agnet: {word: curl}}
    action: rejct
"""

FAILING = """\
name: failing
rules:
  - name: no-scripts
    why: Scripts have the API.
    when: {user_agent: {word: curl}}
    action: reject
tests:
  - request: {user_agent: curl/8.5.0}
    expect: tarpit by no-scripts
"""


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (BROKEN, ["broken.yaml:4:12: error: unknown field 'user_agnet'", "broken.yaml:5:13: error: unknown action 'rejct'"]),
        (FAILING, ["broken.yaml:8:5: error: the test expected tarpit by no-scripts, got reject by no-scripts"]),
    ],
    ids=["misspelt", "failing test"],
)
def test_a_faulty_rule_file_is_reported_and_nothing_listens(folder: Path, rules: str, said: list[str]) -> None:
    (folder / "broken.yaml").write_text(rules)
    port, admin_port = free_port(), free_port()
    arguments = ("--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}", "--rules", folder)
    done = subprocess.run(
        [str(part) for part in command("run", "--upstream", "http://127.0.0.1:9", *arguments)],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    for line in said:
        assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert not accepts(port)
    assert not accepts(admin_port)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("door", ["listen", "admin"])
def test_a_taken_port_is_said_and_ends_with_1(folder: Path, door: str, workers: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"listen": free_port(), "admin": free_port()} | {door: port}
        addresses = [part for name, number in ports.items() for part in (f"--{name}", f"127.0.0.1:{number}")]
        arguments = (*addresses, "--workers", str(workers), "--rules", str(RULES), "--upstream", "http://127.0.0.1:9")
        done = subprocess.run(
            [str(part) for part in command("run", *arguments)],
            capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 1
    said = f"error: cannot start: {door}: cannot bind 127.0.0.1:{port}: Address already in use\n  hint: "
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_lets_requests_finish_and_ends_with_0(folder: Path, upstream: str) -> None:
    answers: list[tuple[int, bytes]] = []
    with proxyguard(folder, upstream) as running:

        def read_slowly() -> None:
            with requests.get(f"{running.url}/events?count=20&interval=0.1", headers=FIREFOX, stream=True, timeout=30) as got:
                started.set()
                answers.append((got.status_code, got.content))

        started = threading.Event()
        reader = threading.Thread(target=read_slowly)
        reader.start()
        assert started.wait(10)
        running.process.send_signal(signal.SIGTERM)
        reader.join(30)
        assert running.process.wait(30) == 0
        assert not accepts(running.port)
    assert answers == [(200, b"".join(b"data: %d\n\n" % number for number in range(1, 21)))]


def test_sigterm_does_not_wait_for_tarpits(folder: Path, upstream: str) -> None:
    with proxyguard(folder, upstream) as running, socket.create_connection(("127.0.0.1", running.port), timeout=10) as held:
        held.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: sqlmap/1.8\r\n\r\n")
        assert held.recv(1)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) == 0


def test_an_upstream_that_is_away_gives_an_error_of_ours_and_is_used_as_soon_as_it_is_back(folder: Path) -> None:
    port = free_port()
    with proxyguard(folder, f"http://127.0.0.1:{port}") as running:
        away = requests.get(running.url, headers=FIREFOX, timeout=20)
        assert away.status_code in {502, 503}
        assert str(port) not in away.text
        assert "mitmproxy" not in (away.text + str(away.headers)).lower()
        with upstream_answering(port):
            back = requests.get(running.url, headers=FIREFOX, timeout=20)
            assert (back.status_code, back.text) == (200, "back")


@contextlib.contextmanager
def upstream_answering(port: int):  # type: ignore[no-untyped-def]  # a generator of nothing
    """A web server that answers every connection once."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback")

    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
