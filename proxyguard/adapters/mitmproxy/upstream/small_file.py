"""Asks a site's upstreams for a small file, such as robots.txt, on a connection of its own and as no client asked for it."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from proxyguard.adapters.mitmproxy.forwarded_fields import first_value
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.adapters.mitmproxy.upstream.group import UpstreamGroup
from proxyguard.guard.interfaces import FileAnswer
from proxyguard.http.http1.faults import BadResponse
from proxyguard.http.http1.heads import Body, End, ResponseHead

TIMEOUT_SECONDS: Final = 10.0

_PLAIN: Final = re.compile(r"/[!-~]{0,2000}", re.ASCII)
"""A target that is sent as it is."""


NO_FILE: Final = FileAnswer(0)


async def fetch_file(group: UpstreamGroup, host: bytes, path: str, max_bytes: int) -> FileAnswer:
    """Ask one of a site's upstreams for a file; of its body up to `max_bytes` are read, and a little more. Does not raise."""
    if _PLAIN.fullmatch(path) is None:
        return NO_FILE
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            lookups = group.refresh()
            if lookups and not group.targets:
                await asyncio.wait(lookups)
            target = group.turn()
            if target is None:
                return NO_FILE
            connection = await target.connect()
            reader = _Reader(max_bytes)
            connection.user = reader
            connection.server.parser.begin(b"GET")
            try:
                connection.transport.write(
                    b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: proxyguard-robots\r\nAccept: text/plain, */*;q=0.1\r\n"
                    b"Accept-Encoding: identity\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n" % (path.encode(), host)
                )
                return await reader.found
            finally:
                connection.close()
    except OSError:  # TimeoutError and TLS errors are such
        return NO_FILE


class _Reader:
    """Collects the final response on one connection. Implements ConnectionUser."""

    def __init__(self, max_bytes: int) -> None:
        self.found: asyncio.Future[FileAnswer] = asyncio.get_running_loop().create_future()
        self._max_bytes = max_bytes
        self._head: ResponseHead | None = None
        self._body = bytearray()

    def upstream_received(self, server: UpstreamServer, data: bytes) -> None:
        try:
            events = server.parser.feed(data)
        except BadResponse:
            self._end(NO_FILE)
            return
        for event in events:
            if isinstance(event, ResponseHead):
                if event.status >= 200:
                    self._head = event
            elif isinstance(event, Body):
                self._body += event.data
            elif isinstance(event, End):
                self._answered()
        if len(self._body) > self._max_bytes:
            self._answered()

    def upstream_closed(self, server: UpstreamServer) -> None:
        try:
            events = server.parser.eof()
        except BadResponse:
            events = []
        if any(isinstance(event, End) for event in events):
            self._answered()
        self._end(NO_FILE)

    def upstream_pace_changed(self) -> None:
        """A request of one head is written at once."""

    def upstream_stalled(self) -> None:
        self._end(NO_FILE)

    def _answered(self) -> None:
        head = self._head
        if head is None:
            return
        coding = first_value(head.headers, b"content-encoding").strip().lower()
        if coding not in (b"", b"identity") and head.status < 300:
            self._end(NO_FILE)
            return
        location = first_value(head.headers, b"location").decode("ascii", "replace")
        self._end(FileAnswer(head.status, bytes(self._body), location))

    def _end(self, answer: FileAnswer) -> None:
        if not self.found.done():
            self.found.set_result(answer)
