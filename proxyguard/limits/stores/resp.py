"""One connection to Valkey or Redis: commands written at once, answers received in order, TLS and log-in by URL.

Knows the protocol (RESP 2, read by hiredis) and nothing of what is stored. Any error that nobody waits for ends it.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from proxyguard.limits.stores.store import StoreUnavailable

Answer = Callable[[Any], None]
"""Called with one answer: bytes, int, None, a list of these, or a hiredis.ReplyError."""

DEFAULT_PORT: Final = 6379

TLS_SCHEMES: Final = ("rediss", "valkeys")
SCHEMES: Final = ("redis", "valkey", *TLS_SCHEMES, "unix")

pack: Final[Callable[[tuple[Any, ...]], bytes]] = hiredis.pack_command
"""A command as bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyUrl:
    """Where a server is and how to log in. `path` is a Unix socket; without it host and port count."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str = ""
    username: str = ""
    password: str = ""
    database: int = 0
    tls: bool = False
    ca: str = ""
    """A file with the authorities to trust; empty: the system's."""

    @classmethod
    def parse(cls, text: str) -> ValkeyUrl:
        """Read `redis[s]://[user][:password]@host[:port][/database][?ca=FILE]` or `unix://[user][:password]@/path[?db=N]`.

        `valkey` and `valkeys` mean the same as `redis` and `rediss`. Raises ValueError, never showing the password.
        """
        try:
            url = urlsplit(text)
        except ValueError:
            raise ValueError("a store's URL cannot be read") from None  # the reason would show the password
        if url.scheme not in SCHEMES:
            raise ValueError(f"a store's URL begins with {', '.join(SCHEMES)}, not {url.scheme!r}")
        options = {name: values[-1] for name, values in parse_qs(url.query).items()}
        unix = url.scheme == "unix"
        database = options.pop("db", "") or ("" if unix else url.path.strip("/"))
        ca = options.pop("ca", "")
        if options:
            raise ValueError(f"a store's URL has the options ca and db, not {', '.join(sorted(options))}")
        if database and not database.isdecimal():
            raise ValueError(f"a store's database is a number, not {database!r}")
        if unix and not url.path:
            raise ValueError("a unix:// URL needs the path of a socket")
        return cls(
            host=url.hostname or "localhost",
            port=url.port or DEFAULT_PORT,
            path=unquote(url.path) if unix else "",
            username=unquote(url.username or ""),
            password=unquote(url.password or ""),
            database=int(database or 0),
            tls=url.scheme in TLS_SCHEMES,
            ca=ca,
        )

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def is_unknown_script(answer: Any) -> bool:
    """Whether the server has forgotten a script, after SCRIPT FLUSH or a failover. Nothing was done, and the server is well."""
    return isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT")


def text_of(answer: Any) -> str:
    """What may be said of an answer that is an error, or none at all.

    Servers repeat the arguments of a command that they do not know: a password, or addresses.
    """
    if isinstance(answer, hiredis.ReplyError):
        return str(answer).partition(", with args beginning")[0]
    return str(answer) if isinstance(answer, StoreUnavailable) else f"it said what is no answer ({type(answer).__name__})"


class Script:
    """A Lua script: its text, and the digest that it is called by."""

    __slots__ = ("digest", "text")

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath(name).read_bytes()
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()


class Connection(asyncio.Protocol):
    """A stream of commands and answers. `on_end` is called once with why it ended, unless it was closed here."""

    def __init__(self, on_end: Callable[[Connection, str], None]) -> None:
        self._on_end = on_end
        self._reader = hiredis.Reader()
        self._awaited: deque[Answer] = deque()
        self._transport: asyncio.Transport | None = None
        self._open = True

    @classmethod
    async def open(cls, url: ValkeyUrl, on_end: Callable[[Connection, str], None]) -> Connection:
        """Connect and log in. Raises OSError (certificates that do not verify included) and StoreUnavailable."""
        loop = asyncio.get_running_loop()
        if url.path:
            _, connection = await loop.create_unix_connection(lambda: cls(on_end), url.path)
        else:
            context = ssl.create_default_context(cafile=url.ca or None) if url.tls else None
            _, connection = await loop.create_connection(lambda: cls(on_end), url.host, url.port, ssl=context)
        try:
            if url.password:
                await connection.call(*(("AUTH", url.username, url.password) if url.username else ("AUTH", url.password)))
            if url.database:
                await connection.call("SELECT", url.database)
        except BaseException:
            connection.close()
            raise
        return connection

    def send(self, data: bytes, *answers: Answer) -> None:
        """Write commands, packed; `answers` are called with what each of them gets."""
        if self._open and self._transport is not None:
            self._awaited.extend(answers)
            self._transport.write(data)

    async def call(self, *command: Any) -> Any:
        """One command and its answer. Raises StoreUnavailable for an error, or when the connection ends."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def on_answer(answer: Any) -> None:
            if not future.done():
                future.set_result(answer)

        self.send(pack(command), on_answer)
        if not self._open:
            raise StoreUnavailable("the connection ended")
        answer = await future
        if isinstance(answer, Exception):
            error = StoreUnavailable(text_of(answer))
            error.__cause__ = answer  # compiled, `raise … from` does not set it
            raise error
        return answer

    def close(self) -> None:
        """Close at once. Those who wait learn of the end; nobody of anything after."""
        self._end("closed", notify=False)
        if self._transport is not None:
            self._transport.abort()

    def fail(self, why: str) -> None:
        """End the connection because of what it said."""
        self._end(why, notify=True)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"the connection ended ({error or 'closed by the server'})", notify=True)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while self._open and (answer := reader.gets()) is not False:
                self._awaited.popleft()(answer)
        except (hiredis.ProtocolError, IndexError) as error:
            self.fail(f"the server said something that is no answer: {type(error).__name__}")

    def _end(self, why: str, *, notify: bool) -> None:
        if not self._open:
            return
        self._open = False
        waiting, self._awaited = self._awaited, deque()
        error = StoreUnavailable(why)
        for on_answer in waiting:
            on_answer(error)
        if notify:
            self._on_end(self, why)
