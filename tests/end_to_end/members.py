"""A site with members, in this process, and its visitors: each with an address of the loopback network of their own.

The site says of every session whose it is, repeats the header fields that it was sent, and remembers who signed up when.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, NamedTuple

from tests.end_to_end.processes import Proxyguard


@dataclass
class Site:
    """A running site of members."""

    url: str = ""
    sign_ups: list[tuple[float, str]] = field(default_factory=list)
    """When (monotonic seconds) and from which address, in order of arrival."""

    def signed_up(self, *addresses: str) -> list[float]:
        """When sign-ups from these addresses arrived."""
        return [at for at, address in self.sign_ups if address in addresses]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: ClassVar[Site]

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self._answer(500 if self.path.startswith("/broken") else 200, body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/signup":
            self.site.sign_ups.append((time.monotonic(), self.headers.get("X-Forwarded-For", "")))
        self._answer(201, b"welcome")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if "session=member" in self.headers.get("Cookie", ""):
            self.send_header("X-Account-Class", "known")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's signature
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def members() -> Iterator[Site]:
    """Run the site."""
    site = Site()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


class Seen(NamedTuple):
    """An answer as a visitor sees it. Status 0: the connection was refused or closed."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


REFUSED = Seen(0, http.client.HTTPMessage(), b"")


def visit(guard: Proxyguard, address: str, path: str, *, method: str = "GET", session: str = "", accept: str = "*/*") -> Seen:
    """One request on a connection of its own, from an address of 127.0.0.0/8."""
    connection = http.client.HTTPConnection("127.0.0.1", guard.port, timeout=20, source_address=(address, 0))
    headers = {"Accept": accept, "User-Agent": "Mozilla/5.0"} | ({"Cookie": f"session={session}"} if session else {})
    try:
        connection.request(method, path, b"name=ada" if method == "POST" else None, headers)
        response = connection.getresponse()
        return Seen(response.status, response.headers, response.read())
    except (http.client.HTTPException, ConnectionError):
        return REFUSED
    finally:
        connection.close()
