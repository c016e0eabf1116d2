"""An upstream on raw sockets: keeps the bytes of every request that came whole, and answers as it is told.

What a message is, is judged by llhttp, not by proxyguard's own parser.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import httptools

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

HEAD_END: Final = b"\r\n\r\n"


@dataclass
class Received:
    """One whole request: its head as the very bytes that came, its body decoded, its trailers."""

    head: bytes
    body: bytes
    trailers: list[tuple[bytes, bytes]]
    connection: int
    """The number of the connection that it came on."""

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    def field(self, name: bytes) -> list[bytes]:
        """The values of a header."""
        lines = (line.partition(b": ") for line in self.head.removesuffix(HEAD_END).split(b"\r\n")[1:])
        return [value for found, _, value in lines if found.lower() == name]


class Reading:
    """One request as it comes in."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.raw = b""
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.whole = False

    def feed(self, data: bytes) -> None:
        """Take bytes of this request. Raises httptools.HttpParserError where they are none."""
        self.raw += data
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.whole = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            self.trailers.append((name, value))

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.whole = True

    def received(self, connection: int) -> Received:
        return Received(self.raw.partition(HEAD_END)[0] + HEAD_END, self.body, self.trailers, connection)


type Handler = Callable[[socket.socket, Received], None]


def answer_ok(connection: socket.socket, _: Received) -> None:
    """200 without a body."""
    connection.sendall(OK)


@dataclass
class RawUpstream:
    """Listens from its making on; `close` ends it."""

    handler: Handler = answer_ok
    """Writes the answer to a whole request."""
    before_body: Handler | None = None
    """Called once when a head has come whose body has not."""
    whole: list[Received] = field(default_factory=list)
    partial: list[bytes] = field(default_factory=list)
    """What had come of requests whose connection ended before they were whole."""
    faults: list[str] = field(default_factory=list)
    """What llhttp could not read."""
    connections: int = 0

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        reading, told = Reading(), False
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                try:
                    reading.feed(data)
                except httptools.HttpParserError as error:
                    self.faults.append(f"{error}: {reading.raw[:200]!r}")
                    return
                if reading.has_head and not reading.whole and not told and self.before_body is not None:
                    told = True
                    self.before_body(connection, reading.received(number))
                if reading.whole:
                    received = reading.received(number)
                    self.whole.append(received)
                    reading, told = Reading(), False
                    self.handler(connection, received)
        if reading.raw:
            self.partial.append(reading.raw)


@contextlib.contextmanager
def raw_upstream(handler: Handler = answer_ok, before_body: Handler | None = None) -> Iterator[RawUpstream]:
    """A raw upstream for the length of a block."""
    made = RawUpstream(handler, before_body)
    try:
        yield made
    finally:
        made.close()
