"""Real Valkey or Redis servers for tests, on sockets and ports of their own, without persistence."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

BINARIES = ("valkey-server", "redis-server")
START_SECONDS = 30.0
SILENT = ("--save", "", "--appendonly", "no")
"""Nothing is kept on disk; a Sentinel knows neither."""


def binary() -> str:
    """The server to test against: PROXYGUARD_TEST_VALKEY, or the first that is installed."""
    for name in (os.environ.get("PROXYGUARD_TEST_VALKEY", ""), *BINARIES):
        if name and (path := shutil.which(name)):
            return path
    raise FileNotFoundError(f"none of {', '.join(BINARIES)} is installed: apt-get install redis-server")


@contextmanager
def valkey(path: Path, *options: str, first: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A server on the Unix socket `path`, and on a port when `options` say so. `first`: a configuration file, `--sentinel`."""
    given = options if "--port" in options or "--tls-port" in options else ("--port", "0", *options)
    path.unlink(missing_ok=True)
    process = subprocess.Popen(
        [binary(), *first, "--unixsocket", str(path), *SILENT[: 0 if first else None], "--dir", str(path.parent), *given],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(path, process)
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers on a Unix socket: there is no clock to pass to another process."""
    deadline = monotonic() + START_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                if monotonic() > deadline or process.poll() is not None:
                    raise
                sleep(0.01)
            else:
                return


def command(path: Path, *words: str) -> bytes:
    """Send one command in words and return the start of the raw answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.recv(65536)
