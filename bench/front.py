"""The front as every measurement starts it, and how its answers are read: in one place, so that figures can be compared."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.processes import RULES

type Part = str | Path


def front_options(config: Path, port: int, admin_port: int, upstream: str, audit: Path, rules: Path = RULES) -> list[Part]:
    """What stands behind `proxyguard`: as an operator runs it, with its audit log in a file and metrics on."""
    return [
        "run", "--config", config, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}",
        "--upstream", upstream, "--rules", rules, "--audit", audit,
    ]  # fmt: skip


def certificate_lines(folder: Path) -> str:
    """The lines of settings for TLS with `chain.pem` and `key.pem` of a folder."""
    return f"certificate: {{chain: {folder / 'chain.pem'}, key: {folder / 'key.pem'}}}\n"


def read_answer(peer: socket.socket, wanted: bytes = b"HTTP/1.1 200 ") -> None:
    """Read one answer with a Content-Length. Raises RuntimeError when it begins otherwise, or ends before its end."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(peer)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(wanted):
        raise RuntimeError(f"not a good answer: {head[:60]!r}")
    left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0]) - len(body)
    while left > 0:
        left -= len(_more(peer))


def _more(peer: socket.socket) -> bytes:
    data = peer.recv(65_536)
    if not data:
        raise RuntimeError("the connection ended within an answer")
    return data


def spaced(peers: Sequence[socket.socket], request: bytes, rate: int, seconds: float) -> list[float]:
    """Milliseconds of each request at `rate` requests a second, evenly spaced, over connections in turn.

    Each counts from when it was due, so that a late answer makes the requests behind it late as well.
    """
    times: list[float] = []
    due = time.perf_counter()
    for number in range(int(rate * seconds)):
        due += 1 / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        peer = peers[number % len(peers)]
        peer.sendall(request)
        read_answer(peer)
        times.append((time.perf_counter() - due) * 1000)
    return times
