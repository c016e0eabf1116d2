"""A scripted HTTP/2 server on loopback: the h2 library in the server's role, and raw bytes where it would not go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

Fields = list[tuple[bytes, bytes]]


class Asked:
    """A request as the server got it."""

    def __init__(self, number: int, fields: Fields) -> None:
        self.number = number
        self.fields = fields
        self.body = b""
        self.trailers: Fields = []
        self.reset: int | None = None
        self.whole = asyncio.Event()

    @property
    def path(self) -> bytes:
        return dict(self.fields)[b":path"]


class Peer:
    """One connection of the server. `gone` is set when the other side has closed it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: dict[SettingCodes, int]) -> None:
        self._reader = reader
        self._writer = writer
        config = H2Configuration(client_side=False, header_encoding=None)
        config.validate_outbound_headers = config.normalize_outbound_headers = False
        self.h2 = H2Connection(config)
        self.h2.local_settings = Settings(client=False, initial_values={SettingCodes.MAX_HEADER_LIST_SIZE: 65_536, **settings})
        self.h2.initiate_connection()
        self.asked: dict[int, Asked] = {}
        self.goaway: int | None = None
        self.pings = 0
        self.opens_windows = True
        self.gone = asyncio.Event()
        self._new: asyncio.Queue[Asked | None] = asyncio.Queue()
        self.flush()

    async def request(self) -> Asked | None:
        """The next request whose head has come, None when the connection is over."""
        return await self._new.get()

    def respond(self, number: int, fields: Fields, body: bytes = b"", trailers: Fields | None = None) -> None:
        """A whole response, as far as it fits into the windows."""
        self.h2.send_headers(number, fields, end_stream=not body and trailers is None)
        if body:
            for start in range(0, len(body), 16_384):
                piece = body[start : start + 16_384]
                self.h2.send_data(number, piece, end_stream=trailers is None and start + len(piece) == len(body))
        if trailers is not None:
            self.h2.send_headers(number, trailers, end_stream=True)
        self.flush()

    def ok(self, asked: Asked, body: bytes = b"hi") -> None:
        """The usual response."""
        self.respond(asked.number, [(b":status", b"200"), (b"content-length", b"%d" % len(body))], body)

    def reset(self, number: int, code: ErrorCodes) -> None:
        self.h2.reset_stream(number, code)
        self.flush()

    def leave(self, last: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """GOAWAY, as bytes: the library would take no frame for older streams afterwards."""
        self.raw(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4) + int(code).to_bytes(4))

    def raw(self, data: bytes) -> None:
        """Any bytes."""
        self.flush()
        self._writer.write(data)

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    def close(self) -> None:
        self._writer.close()

    async def read(self) -> None:
        """Take in what comes until the connection is over."""
        with suppress(ProtocolError, OSError):
            while data := await self._reader.read(1 << 16):
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.flush()
        self.gone.set()
        self._new.put_nowait(None)

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived():
                asked = self.asked[event.stream_id] = Asked(event.stream_id, list(event.headers))
                self._new.put_nowait(asked)
            case DataReceived():
                self.asked[event.stream_id].body += event.data
                if self.opens_windows and event.flow_controlled_length:
                    with suppress(ProtocolError):
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case TrailersReceived():
                self.asked[event.stream_id].trailers = list(event.headers)
            case StreamEnded():
                self.asked[event.stream_id].whole.set()
            case StreamReset():
                self.asked[event.stream_id].reset = int(event.error_code)
                self.asked[event.stream_id].whole.set()
            case ConnectionTerminated():
                self.goaway = int(event.error_code or 0)
            case PingAckReceived():
                self.pings += 1
            case _:
                pass


class Http2Upstream:
    """A handler for `fronted`: `script` is run for each connection. `peers` are all there were."""

    def __init__(self, script: Callable[[Peer], Awaitable[None]], **settings: int) -> None:
        self._script = script
        self._settings = {SettingCodes[name]: value for name, value in settings.items()}
        self.peers: list[Peer] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, self._settings)
        self.peers.append(peer)
        reading = asyncio.create_task(peer.read())
        script = asyncio.ensure_future(self._script(peer))
        try:
            await peer.gone.wait()
        finally:
            for task in (reading, script):
                task.cancel()

    @property
    def asked(self) -> list[Asked]:
        """All requests of all connections."""
        return [asked for peer in self.peers for asked in peer.asked.values()]


async def serve(peer: Peer) -> None:
    """Answer every request once it is whole."""
    while (asked := await peer.request()) is not None:
        await asked.whole.wait()
        if asked.reset is None:
            peer.ok(asked)
