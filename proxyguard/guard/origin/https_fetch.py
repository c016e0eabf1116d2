"""Fetches one file over HTTPS: certificate verified, a bound on bytes and time, and never from another host than was allowed.

Blocks; for commands and background threads. The time is that of all connections, heads and bodies together; the system's resolver
has a time of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from time import monotonic
from typing import Final
from urllib.parse import urljoin, urlsplit

from proxyguard import __version__

MAX_REDIRECTS: Final = 3
_CHUNK_BYTES: Final = 64 * 1024
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class FetchFailed(Exception):
    """A file could not be fetched; the text says why."""


def fetch(url: str, *, max_bytes: int, timeout_seconds: float, context: ssl.SSLContext | None = None) -> bytes:
    """The body of a 200. Follows redirects within the host only. Raises FetchFailed."""
    ends = monotonic() + timeout_seconds
    first = url
    for _ in range(MAX_REDIRECTS + 1):
        try:
            _check(url, first)
            status, location, body = _get(url, max_bytes, ends, context or ssl.create_default_context())
            if status in _REDIRECTS and location:
                url = urljoin(url, location)
                continue
        except (OSError, http.client.HTTPException, ValueError) as error:
            if monotonic() >= ends:
                raise FetchFailed(f"{url} takes too long") from error
            said = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise FetchFailed(f"{url}: {said or type(error).__name__}") from error
        if status != 200:
            raise FetchFailed(f"{url} answers {status}")
        return body
    raise FetchFailed(f"{url} is redirected more than {MAX_REDIRECTS} times")


def _check(url: str, first: str) -> None:
    """Raises FetchFailed for an address that is not to be asked, ValueError for what is none."""
    parts, host = urlsplit(url), urlsplit(first).netloc
    if parts.scheme != "https":
        raise FetchFailed(f"{url} is not an https:// address")
    if parts.netloc != host or parts.username is not None:
        raise FetchFailed(f"{host} sends on to {parts.netloc}, another host")


class _Connection(http.client.HTTPSConnection):
    """One that ends in time: a timeout of the library's is for each address of a name, and for each read."""

    def __init__(self, host: str, port: int | None, ends: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, context=context)
        self._ends = ends
        self._tls = context
        self._raw: socket.socket | None = None
        """The socket; `sock` is taken away when the answer is to end with the connection."""
        self.watch = threading.Timer(self._left(), self._cut)
        self.watch.daemon = True

    def connect(self) -> None:
        """Connect to the first address that answers. Raises OSError."""
        failed: OSError = TimeoutError("timed out")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            raw = socket.socket(family, kind, protocol)
            try:
                raw.settimeout(self._left())
                raw.connect(address)
                raw.settimeout(self._left())
                self.sock = self._raw = self._tls.wrap_socket(raw, server_hostname=self.host)
            except OSError as error:
                raw.close()
                failed = error
                continue
            self.watch.start()
            return
        raise failed

    def _left(self) -> float:
        """The time that is left. Raises TimeoutError when there is none."""
        left = self._ends - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def _cut(self) -> None:
        if self._raw is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._raw, socket.SHUT_RDWR)


def _get(url: str, max_bytes: int, ends: float, context: ssl.SSLContext) -> tuple[int, str, bytes]:
    parts = urlsplit(url)
    connection = _Connection(parts.hostname or "", parts.port, ends, context)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"User-Agent": f"proxyguard/{__version__}", "Accept-Encoding": "identity"}
        connection.request("GET", target, headers=fields)
        answer = connection.getresponse()
        body = bytearray()
        while answer.status == 200:
            chunk = answer.read1(_CHUNK_BYTES)
            if not chunk:
                break
            body += chunk
            if len(body) > max_bytes:
                raise FetchFailed(f"{url} has more than {max_bytes:,} bytes")
        if monotonic() >= ends:  # what was cut may look like an end
            raise TimeoutError
        if answer.status == 200 and answer.length:
            raise FetchFailed(f"{url} broke off")
        return answer.status, answer.headers.get("Location", ""), bytes(body)
    finally:
        connection.watch.cancel()
        connection.close()
