"""A site with three workers that serve one request at a time, as gunicorn's do: slow clients do not keep others from it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import Proxyguard, proxyguard

pytestmark = pytest.mark.alone

WORKERS = 3
SLOW = 100
PAGE = b"x" * 3_000_000
MAX_SECONDS = 1.0
"""What others may wait at most on a busy machine; without holding bodies they wait for ever."""


def serve(listening: socket.socket) -> None:
    """One worker: a request from its head to the end of its response, then the next."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
                line = stream.readline()
                length = 0
                while (field := stream.readline().strip()) != b"":
                    if field.lower().startswith(b"content-length:"):
                        length = int(field[15:])
                stream.read(length)
                body = PAGE if b"/big" in line else b"hello"
                head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + body)


@pytest.fixture
def site() -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    for _ in range(WORKERS):
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def waits(guard: Proxyguard, count: int = 100, patience: float = 5.0) -> list[float]:
    """How long others wait for a small page, sorted."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        with guard.connect() as one:
            one.settimeout(patience)
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert one.recv(9999).startswith(b"HTTP/1.1 200 ")
        found.append(time.perf_counter() - began)
    return sorted(found)


@pytest.mark.parametrize("alpn", ["", "http/1.1"])
def test_slow_clients_leave_the_workers_to_others(tmp_path: Path, site: str, alpn: str) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "none.yaml").write_text("name: none\nrules:\n  - {name: none, when: {path: /none}, action: reject}\n")
    settings = f"buffering: {{directory: {tmp_path}}}\n"
    with proxyguard(tmp_path / "guard", site, rules=rules, settings=settings, alpn=alpn) as guard, contextlib.ExitStack() as slow:
        calm = waits(guard)[98]
        for _ in range(SLOW):
            one = slow.enter_context(guard.connect())
            one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nab")
        assert waits(guard)[98] <= max(2 * calm, MAX_SECONDS)
        for _ in range(SLOW):
            one = slow.enter_context(guard.connect(receive_bytes=4096))
            one.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        waits(guard, 1, patience=60.0)  # until the site has written 300 MB
        assert waits(guard)[98] <= max(2 * calm, MAX_SECONDS)
        assert guard.peak_memory_bytes() < 400 * 1024 * 1024
    assert "Traceback" not in guard.said()
