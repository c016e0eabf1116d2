"""A TLS connection after its handshake: bytes of the client become plain ones for the layers above, and theirs become records.

Takes the place of `layer.TlsLayer` once that has nothing left to do. What OpenSSL has to say goes before what is said because of
what was read. A goodbye (close_notify) ends what is read; what follows it is thrown away. A record of no known key ends the
connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from proxyguard.adapters.mitmproxy.messages import Abort, data_received, send_data
from proxyguard.adapters.mitmproxy.private import (
    Client,
    CloseConnection,
    Command,
    ConnectionClosed,
    ConnectionState,
    DataReceived,
    Event,
    Layer,
    SendData,
)
from proxyguard.adapters.mitmproxy.tls.openssl import SSL, WANT_READ, ffi, lib
from proxyguard.core.connection_facts import ConnectionFacts

BUFFER_BYTES: Final = 16 * 1024
"""Room for the plain bytes of one record; records are taken out in pieces of this size too."""

_OPEN: Final = 0
_OVER: Final = 1
_BROKEN: Final = 2


class TlsRecords:
    """The records of one connection; `facts`, if any, are told how long the first is."""

    __slots__ = ("_buffer", "_child", "_client", "_facts", "_from_tls", "_into_tls", "_is_closed", "_ssl", "_state", "_tls")

    def __init__(self, tls: SSL.Connection, client: Client, child: Layer, facts: ConnectionFacts | None, buffer: Any) -> None:
        """`buffer` is of BUFFER_BYTES, and used by one connection at a time."""
        self._tls = tls
        self._client = client
        self._child = child
        self._facts = facts
        self._buffer = buffer
        self._ssl: Any = tls._ssl  # noqa: SLF001 - as in openssl
        self._into_tls: Any = tls._into_ssl  # noqa: SLF001
        self._from_tls: Any = tls._from_ssl  # noqa: SLF001
        self._state = _OVER if tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN else _OPEN
        self._is_closed = False

    def handle_event(self, event: Event) -> list[Command]:
        """As a layer, but all commands at once."""
        if event.__class__ is DataReceived:
            if event.connection is self._client:
                return self._received(event.data)
        elif event.__class__ is ConnectionClosed and event.connection is self._client:
            if self._is_closed or self._state == _OVER:
                return []
            self._is_closed = True
        return self._sealed(self._child.handle_event(event))

    def _received(self, data: bytes) -> list[Command]:
        if self._state != _OPEN:
            return []
        plain = self._read(data)
        found: list[Command] = []
        self._take_out(found)
        if plain:
            found += self._sealed(self._child.handle_event(data_received(self._client, plain)))
        if self._state == _BROKEN:
            found.append(Abort(self._client))
        elif self._state == _OVER:
            self._client.state &= ~ConnectionState.CAN_READ
            found += self._sealed(self._child.handle_event(ConnectionClosed(self._client)))
        return found

    def _read(self, data: bytes) -> bytes:
        """The plain bytes of all records that are whole; says in `_state` when they were the last."""
        ssl, buffer, facts = self._ssl, self._buffer, self._facts
        lib.BIO_write(self._into_tls, data, len(data))
        plain = b""
        while True:
            size: int = lib.SSL_read(ssl, buffer, BUFFER_BYTES)
            if size <= 0:
                break
            if facts is not None and facts.first_record < 0:
                facts.first_record = size
            piece: bytes = ffi.buffer(buffer, size)[:]
            plain = plain + piece if plain else piece
        if lib.SSL_get_error(ssl, size) != WANT_READ:
            self._state = self._end_of(size)
        return plain

    def _end_of(self, result: int) -> int:
        """Why no more can be read. Empties OpenSSL's list of errors, too, in which it would be found by another connection."""
        try:
            self._tls._raise_ssl_error(self._ssl, result)  # noqa: SLF001
        except SSL.ZeroReturnError:
            return _OVER
        except SSL.Error:
            pass
        return _BROKEN

    def _sealed(self, commands: Iterable[Command]) -> list[Command]:
        """Commands with what is to be sent to the client as records."""
        client = self._client
        found: list[Command] = []
        for command in commands:
            if command.__class__ is SendData and command.connection is client:
                self._write(command.data)
                self._take_out(found)
            elif isinstance(command, CloseConnection) and command.connection is client:
                self._say_goodbye()
                self._take_out(found)
                found.append(command)
            else:
                found.append(command)
        return found

    def _write(self, data: bytes) -> None:
        """Make records of plain bytes, of which OpenSSL makes one at a time. Of a client that is gone nobody reads them."""
        rest: Any = data
        left = len(data)
        while left:
            size: int = lib.SSL_write(self._ssl, rest, left)
            if size <= 0:
                with suppress(SSL.ZeroReturnError, SSL.SysCallError):
                    self._tls._raise_ssl_error(self._ssl, size)  # noqa: SLF001
                return
            left -= size
            if left:
                rest = (ffi.from_buffer(data) if rest is data else rest) + size

    def _say_goodbye(self) -> None:
        with suppress(SSL.Error):  # the peer has already gone
            self._tls.shutdown()

    def _take_out(self, found: list[Command]) -> None:
        """Add what OpenSSL has for the client."""
        buffer = self._buffer
        while True:
            size: int = lib.BIO_read(self._from_tls, buffer, BUFFER_BYTES)
            if size <= 0:
                return
            found.append(send_data(self._client, ffi.buffer(buffer, size)[:]))
            if size < BUFFER_BYTES:
                return
