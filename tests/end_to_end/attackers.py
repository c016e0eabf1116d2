"""One address that tries to use up what all share: a process of its own, so that it does not slow down who measures.

Each attack opens its connections, sends its requests, and holds everything until it is ended. Frames are encoded once, so that a
connection costs the attacker next to nothing.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection

from tests.end_to_end.processes import Running

STREAMS: Final = 100
"""What one connection may have open by the settings."""


def frames(method: str, host: str, path: str, *, whole: bool) -> bytes:
    """The preface and STREAMS requests."""
    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    for _ in range(STREAMS):
        fields = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        connection.send_headers(connection.get_next_available_stream_id(), fields, end_stream=whole)
    return connection.data_to_send()


ATTACKS: Final[dict[str, tuple[int, str, Callable[[str], bytes]]]] = {
    "gets": (24, "h2", lambda host: frames("GET", host, "/slow", whole=True)),
    "open posts": (24, "h2", lambda host: frames("POST", host, "/body", whole=False)),
    "http1": (1340, "http/1.1", lambda host: f"GET /slow HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()),
    "many gets": (212, "h2", lambda host: frames("GET", host, "/slow", whole=True)),
    "delays": (24, "h2", lambda host: frames("GET", host, "/delayed", whole=True)),
}
"""By name: connections, protocol, and what is sent on each."""


def attack(name: str, port: int, host: str, source: str) -> None:
    """Attack until killed. Prints a line once everything is sent."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    count, alpn, made = ATTACKS[name]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is the one who attacks
    context.set_alpn_protocols([alpn])
    data = made(host)
    held, refused = [], 0
    for _ in range(count):
        try:
            plain = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
            held.append(context.wrap_socket(plain, server_hostname=host))
            held[-1].sendall(data)
        except OSError:
            refused += 1
    print(f"{len(held)} connections, {refused} refused", flush=True)
    while True:
        time.sleep(1)


@contextlib.contextmanager
def attacker(name: str, port: int, host: str, log: Path, source: str = "127.0.0.1") -> Iterator[Running]:
    """An attack that runs meanwhile."""
    running = Running.start([sys.executable, "-m", __name__, name, str(port), host, source], log)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


if __name__ == "__main__":
    attack(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
