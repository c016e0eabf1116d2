"""A site of three gunicorn workers that serve one request at a time: slow clients do not keep others from it.

What others wait is compared with a calm moment before, and printed beside what they wait behind nginx in the same run.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.nginx import running_nginx
from tests.end_to_end.processes import Running, accepts, proxyguard
from tests.ports import free_port

pytestmark = [pytest.mark.alone, pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")]
pytest.importorskip("gunicorn", reason="gunicorn is not installed: requirements/spellings.txt")

WORKERS = 3
SLOW = 100
AT_ONCE_SECONDS = 0.1
"""A wait that nobody notices: on a busy machine, twice a calm moment may be less than chance."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--workers", WORKERS, "--worker-class", "sync", "--bind", f"127.0.0.1:{port}",
        "--backlog", 512, "tests.end_to_end.slow_site:application",
    ]  # fmt: skip
    running = Running.start([str(part) for part in command], tmp_path / "gunicorn.log")
    running.wait_for(lambda: accepts(port), "gunicorn listens")
    yield f"http://127.0.0.1:{port}"
    running.end()


@contextlib.contextmanager
def nginx(folder: Path, site: str) -> Iterator[int]:
    folder.mkdir()
    port = free_port()
    with running_nginx(folder, f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {site}; }} }}", port):
        yield port


Connect = Callable[[int], socket.socket]
"""A new connection to a front, with so many bytes of room for what it sends; 0: the system's."""


def waits(connect: Connect, count: int = 200, patience: float = 5.0) -> list[float]:
    """How long others wait for a small page, in seconds, sorted."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        with connect(0) as one:
            one.settimeout(patience)
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert one.recv(9999).startswith(b"HTTP/1.1 200 ")
        found.append(time.perf_counter() - began)
    return sorted(found)


def p99(found: list[float]) -> float:
    return found[len(found) * 99 // 100 - 1]


def attacked(connect: Connect) -> tuple[float, float, float]:
    """What others wait at the 99th percentile: in calm, beside slow bodies, beside slow readers too."""
    with contextlib.ExitStack() as slow:
        calm = p99(waits(connect))
        for _ in range(SLOW):
            one = slow.enter_context(connect(0))
            one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nab")
        beside_bodies = p99(waits(connect))
        for _ in range(SLOW):
            one = slow.enter_context(connect(4096))
            one.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        waits(connect, 1, patience=60.0)  # until the site has written 300 MB
        return calm, beside_bodies, p99(waits(connect))


def plainly(port: int) -> Connect:
    """Connect to a port of loopback in clear text."""

    def connect(receive_bytes: int) -> socket.socket:
        one = socket.socket()
        if receive_bytes:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        one.connect(("127.0.0.1", port))
        return one

    return connect


@pytest.mark.parametrize("alpn", ["", "http/1.1"])
def test_slow_clients_leave_the_workers_to_others(
    tmp_path: Path, site: str, alpn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "none.yaml").write_text("name: none\nrules:\n  - {name: none, when: {path: /none}, action: reject}\n")
    settings = f"buffering: {{directory: {tmp_path}}}\n"
    with nginx(tmp_path / "nginx", site) as port:
        beside = attacked(plainly(port))
    with proxyguard(tmp_path / "guard", site, rules=rules, settings=settings, alpn=alpn) as guard:
        ours = attacked(lambda size: guard.connect(receive_bytes=size))
        assert guard.peak_memory_bytes() < 400 * 1024 * 1024
        said = guard.said()
    with capsys.disabled():
        for name, found in (("nginx", beside), ("proxyguard" + (", TLS" if alpn else ""), ours)):
            calm, bodies, readers = (f"{each * 1000:.1f} ms" for each in found)
            print(f"\n{name}: p99 {calm} in calm, {bodies} beside slow bodies, {readers} beside slow readers too")
    assert max(ours[1:]) <= max(2 * ours[0], AT_ONCE_SECONDS)
    assert "Traceback" not in said
