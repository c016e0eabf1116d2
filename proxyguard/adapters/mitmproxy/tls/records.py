"""A TLS connection after its handshake: bytes of the client become plain ones for the layers above, and theirs become records.

Takes the place of `layer.TlsLayer` once that has nothing left to do. What OpenSSL has to say goes before what is said because of
what was read. A goodbye (close_notify) ends what is read; what follows it is thrown away. A record of no known key ends the
connection, and so do changes of keys and refused handshakes that come with little data.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from proxyguard.adapters.mitmproxy.messages import Abort, Arrived, Heard, Listener, Order, Send, data_received
from proxyguard.adapters.mitmproxy.next_layer import ProtocolChooser
from proxyguard.adapters.mitmproxy.private import Client, CloseConnection, ConnectionClosed, ConnectionState, DataReceived
from proxyguard.adapters.mitmproxy.tls.openssl import SSL, WANT_READ, ffi, lib
from proxyguard.core.connection_facts import ConnectionFacts

BUFFER_BYTES: Final = 16 * 1024
"""Room for the plain bytes of one record; records are taken out in pieces of this size too."""

UPDATE_BYTES: Final = 1024
"""Of data that let a client change its keys once (KeyUpdate, RFC 8446 section 4.6.3), which takes 13 µs, a record 1 to 2;
clients do so once in gigabytes, if at all."""

MAX_CREDIT_BYTES: Final = 64 * UPDATE_BYTES
"""What a connection begins with, and has at most."""

_ELSEWHERE: Final[Any] = ffi.new("char **")  # where OpenSSL puts the place of what a BIO holds

_OPEN: Final = 0
_OVER: Final = 1
_BROKEN: Final = 2


class TlsEncryptor:
    """Makes records of what is said to one client, also of what is dripped to it after its layers are gone."""

    __slots__ = ("_buffer", "_from_tls", "_ssl", "_tls")

    def __init__(self, tls: SSL.Connection, buffer: Any) -> None:
        """`buffer` is of BUFFER_BYTES, and used by one connection at a time."""
        self._tls = tls
        self._buffer = buffer
        self._ssl: Any = tls._ssl  # noqa: SLF001 - as in openssl
        self._from_tls: Any = tls._from_ssl  # noqa: SLF001

    def __call__(self, data: bytes, /) -> bytes:
        """These bytes as records, which OpenSSL makes one at a time, behind whatever else it has for the client.

        None of a client that is gone or has broken the connection: nobody would read them.
        """
        rest: Any = data
        left = len(data)
        while left:
            size: int = lib.SSL_write(self._ssl, rest, left)
            if size <= 0:
                with suppress(SSL.Error):
                    self._tls._raise_ssl_error(self._ssl, size)  # noqa: SLF001
                break
            left -= size
            if left:
                rest = (ffi.from_buffer(data) if rest is data else rest) + size
        return self._taken_out()

    def _taken_out(self) -> bytes:
        found: list[bytes] = []
        size = BUFFER_BYTES
        while size == BUFFER_BYTES:
            size = lib.BIO_read(self._from_tls, self._buffer, BUFFER_BYTES)
            if size > 0:
                found.append(ffi.buffer(self._buffer, size)[:])
        return b"".join(found)


class TlsRecords:
    """The records of one connection; `facts`, if any, are told how long the first is."""

    __slots__ = (
        "_buffer", "_child", "_client", "_credit", "_facts", "_into_tls", "_is_closed", "_ssl", "_state", "_tls", "encryptor",
    )  # fmt: skip

    def __init__(self, tls: SSL.Connection, client: Client, child: Listener, facts: ConnectionFacts | None, buffer: Any) -> None:
        """`buffer` is as that of a TlsEncryptor."""
        self.encryptor = TlsEncryptor(tls, buffer)
        self._tls = tls
        self._client = client
        self._child = child
        self._facts = facts
        self._buffer = buffer
        self._ssl: Any = tls._ssl  # noqa: SLF001 - as in openssl
        self._into_tls: Any = tls._into_ssl  # noqa: SLF001
        self._state = _OVER if tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN else _OPEN
        self._is_closed = False
        self._credit = MAX_CREDIT_BYTES
        lib.SSL_clear_mode(self._ssl, lib.SSL_MODE_AUTO_RETRY)  # SSL_read returns after each record without data

    def handle_event(self, event: Heard) -> list[Order]:
        """As a layer, but all commands at once."""
        if isinstance(event, Arrived):
            if event.server is None:
                return self._received(event.data)
        elif event.__class__ is DataReceived:
            return self._received(event.data)
        elif event.__class__ is ConnectionClosed and event.connection is self._client:
            if self._is_closed or self._state == _OVER:
                return []
            self._is_closed = True
        return self._sealed(self._child.handle_event(event))

    def _received(self, data: bytes) -> list[Order]:
        if self._state != _OPEN:
            return []
        plain = self._read(data)
        found: list[Order] = []
        self._spend(32 * self._say(b"", found))  # alerts of a handshake that is refused, say, which nobody need read
        if plain:
            found += self._sealed(self._heard(plain))
        if self._state == _BROKEN:
            found.append(Abort(self._client))
        elif self._state == _OVER:
            self._client.state &= ~ConnectionState.CAN_READ
            found += self._sealed(self._child.handle_event(ConnectionClosed(self._client)))
        return found

    def _heard(self, plain: bytes) -> Iterable[Order]:
        """Tell the layer above, in mitmproxy's words only while it is not chosen."""
        child = self._child
        if isinstance(child, ProtocolChooser):
            chosen = child.chosen
            if chosen is None:
                return child.handle_event(data_received(self._client, plain))
            self._child = child = chosen
        return child.handle_event(Arrived(None, plain))

    def _read(self, data: bytes) -> bytes:
        """The plain bytes of all records that are whole; says in `_state` when they were the last."""
        ssl, buffer, facts = self._ssl, self._buffer, self._facts
        lib.BIO_write(self._into_tls, data, len(data))
        plain = b""
        while True:
            size: int = lib.SSL_read(ssl, buffer, BUFFER_BYTES)
            if size <= 0:
                if lib.SSL_get_error(ssl, size) != WANT_READ:
                    self._state = self._end_of(size)
                elif lib.BIO_get_mem_data(self._into_tls, _ELSEWHERE):
                    self._spend(UPDATE_BYTES)
                    if self._state == _OPEN:
                        continue
                break
            if facts is not None and facts.first_record < 0:
                facts.first_record = size
            piece: bytes = ffi.buffer(buffer, size)[:]
            plain = plain + piece if plain else piece
        self._credit = min(MAX_CREDIT_BYTES, self._credit + len(plain))
        return plain

    def _spend(self, size: int) -> None:
        """Have the connection pay for work that brought no data."""
        self._credit -= size
        if self._credit < 0:
            self._state = _BROKEN

    def _end_of(self, result: int) -> int:
        """Why no more can be read. Empties OpenSSL's list of errors, too, in which it would be found by another connection."""
        try:
            self._tls._raise_ssl_error(self._ssl, result)  # noqa: SLF001
        except SSL.ZeroReturnError:
            return _OVER
        except SSL.Error:
            pass
        return _BROKEN

    def _sealed(self, commands: Iterable[Order]) -> list[Order]:
        """Commands with what is to be sent to the client as records; on a broken connection nothing more can be said."""
        client = self._client
        found: list[Order] = []
        for command in commands:
            if isinstance(command, Send):
                if command.server is not None:
                    found.append(command)
                elif self._state != _BROKEN:
                    self._say(command.data, found)
                continue
            if isinstance(command, CloseConnection) and command.connection is client:
                with suppress(SSL.Error):  # the peer has already gone
                    self._tls.shutdown()
                self._say(b"", found)
            found.append(command)
        return found

    def _say(self, data: bytes, found: list[Order]) -> int:
        records = self.encryptor(data)
        if records:
            found.append(Send(None, records))
        return len(records)
