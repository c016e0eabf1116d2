"""Accepts connections to the admin port and the control socket, also when the process has no file left.

A few files are held back for them: when accept fails, one of these is closed, and accepting succeeds. When none is left either,
it rests for a moment instead of asking again at once. What tornado does there is a traceback for every turn of the loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, Final

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream

from proxyguard.telemetry.accept_errors import AcceptErrors

RESERVED_FILES: Final = 16
"""Held back: a health check, a scrape and a few commands at once."""

MAX_CONNECTIONS: Final = 64
"""Open at once over all listeners; then the oldest is closed. Few processes ask, and each asks for little."""

ACCEPTED_AT_ONCE: Final = 16
"""Then others get their turn."""

REST_SECONDS: Final = 0.25


class Reserve:
    """Open files that are only there to be closed when one is needed."""

    def __init__(self, size: int = RESERVED_FILES) -> None:
        self._size = size
        self._files: list[int] = []
        self.fill()

    def fill(self) -> None:
        """Take back what was given, as far as there are files."""
        try:
            while len(self._files) < self._size:
                self._files.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:  # the next look comes soon
            return

    def give(self) -> bool:
        """Close one, so that another file can be opened; False when there is none."""
        if not self._files:
            return False
        os.close(self._files.pop())
        return True

    def close(self) -> None:
        """Close all."""
        while self.give():
            pass

    def __len__(self) -> int:
        return len(self._files)


class Acceptor:
    """Hands each connection of its sockets to `serve`, as a stream with the peer's address."""

    def __init__(self, serve: Callable[[IOStream, Any], object], errors: AcceptErrors, reserve: Reserve) -> None:
        self._serve = serve
        self._errors = errors
        self._reserve = reserve
        self._loop = asyncio.get_running_loop()
        IOLoop.current()  # made now: the first time, it opens files
        self._sockets: list[socket.socket] = []
        self._streams: list[IOStream] = []
        self._rests: dict[int, asyncio.TimerHandle] = {}

    def listen(self, sockets: list[socket.socket]) -> None:
        """Begin to accept on these bound sockets; they are closed by `stop`."""
        for listening in sockets:
            self._sockets.append(listening)
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def stop(self) -> None:
        """Stop accepting. Connections go on."""
        for rest in self._rests.values():
            rest.cancel()
        for listening in self._sockets:
            self._loop.remove_reader(listening.fileno())
            listening.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._errors.record(error)
                if not self._reserve.give():
                    self._rest(listening)
                    return
                continue
            connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._admit(IOStream(connection), address)
        self._reserve.fill()

    def _admit(self, stream: IOStream, address: object) -> None:
        self._streams = [each for each in self._streams if not each.closed()]
        if len(self._streams) >= MAX_CONNECTIONS:
            self._streams.pop(0).close()
        self._streams.append(stream)
        self._serve(stream, address)

    def _rest(self, listening: socket.socket) -> None:
        self._loop.remove_reader(listening.fileno())
        self._rests[listening.fileno()] = self._loop.call_later(REST_SECONDS, self._go_on, listening)

    def _go_on(self, listening: socket.socket) -> None:
        self._reserve.fill()
        self._loop.add_reader(listening.fileno(), self._accept, listening)
