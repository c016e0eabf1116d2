"""A crowd of clients in a process of its own: connects from many addresses of loopback, says one thing, and holds on.

Light on purpose (plain blocking sockets, one after the other, nothing read once held), so that what is measured beside it is
the proxy. As a program it holds until a line or the end of its standard input; `Crowd` runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

CLIENTS_OF_ONE_ADDRESS: Final = 40
"""Below every bound that counts by client network."""

TIMEOUT_SECONDS: Final = 30.0

SAYINGS: Final = {
    "nothing": b"",
    "page": b"GET /about HTTP/1.1\r\nHost: localhost\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\r\n"
    b"Accept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate\r\n\r\n",
    "scan": b"GET /profiles/1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: heldbot/1.0\r\nAccept: */*\r\n\r\n",
    "half a head": b"GET /profiles/1 HTTP/1.1\r\nHost: localhost\r\n",
}
"""What a client sends once connected. Every saying that is a whole request waits for the first bytes of its answer."""


def raise_file_limit() -> None:
    """As many open files as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sources(first: int = 0) -> Iterator[str]:
    """Addresses of loopback, each as often as one client network may connect."""
    for number in itertools.count(first):
        address = f"127.{10 + number // 60000}.{number // 250 % 240}.{1 + number % 250}"
        yield from itertools.repeat(address, CLIENTS_OF_ONE_ADDRESS)


def join(port: int, source: str, saying: bytes, trust: ssl.SSLContext | None) -> socket.socket:
    """One client: connected, has said its saying, and has seen an answer begin."""
    connection = socket.socket()
    connection.settimeout(TIMEOUT_SECONDS)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    if trust is not None:
        connection = trust.wrap_socket(connection, server_hostname="localhost")
    if saying:
        connection.sendall(saying)
    if saying.endswith(b"\r\n\r\n"):
        answer = connection.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"client {source}: answered {answer[:80]!r}")
    return connection


def crowd(port: int, count: int, saying: bytes, trust: ssl.SSLContext | None, rate: float) -> list[socket.socket]:
    """Join one after the other, at most `rate` a second."""
    held: list[socket.socket] = []
    began = time.monotonic()
    for source in itertools.islice(sources(), count):
        held.append(join(port, source, saying, trust))
        time.sleep(max(0.0, began + len(held) / rate - time.monotonic()))
    return held


def come_and_go(port: int, count: int, saying: bytes) -> None:
    """Join and leave at once, `count` times."""
    for source in itertools.islice(sources(5000), count):
        join(port, source, saying, None).close()


def main() -> None:
    """Hold a crowd for whoever started this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("saying", choices=SAYINGS)
    parser.add_argument("--rate", type=float, default=4000.0, help="clients a second, at most (default 4000)")
    parser.add_argument("--authority", type=Path, help="speak TLS, and trust this certificate")
    parser.add_argument("--leave", action="store_true", help="each leaves as soon as its answer begins")
    options = parser.parse_args()
    raise_file_limit()
    trust = ssl.create_default_context(cafile=options.authority) if options.authority else None
    saying = SAYINGS[options.saying]
    if options.leave:
        come_and_go(options.port, options.count, saying)
        return
    held = crowd(options.port, options.count, saying, trust, options.rate)
    print(f"held {len(held)}", flush=True)
    sys.stdin.readline()
    for connection in held:
        connection.close()
    print("left", flush=True)


@dataclass
class Crowd:
    """A crowd that holds, as seen from the process that wanted it."""

    process: subprocess.Popen[str]

    @classmethod
    @contextlib.contextmanager
    def of(cls, port: int, count: int, saying: str, *more: str | Path) -> Iterator[Self]:
        """Joined when the block begins; gone, whatever happens, after it."""
        command = [sys.executable, "-m", "bench.crowd", str(port), str(count), saying, *map(str, more)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            made = cls(process)
            made.hear(f"held {count}")
            yield made
        finally:
            process.kill()
            process.communicate()

    def hear(self, wanted: str) -> None:
        """Wait for a line. Raises RuntimeError when another one comes, or the end."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        if said != wanted:
            raise RuntimeError(f"the crowd said {said!r} instead of {wanted!r}")

    def leave(self) -> None:
        """All clients close their connections."""
        assert self.process.stdin is not None
        self.process.stdin.write("leave\n")
        self.process.stdin.flush()
        self.hear("left")


if __name__ == "__main__":
    main()
