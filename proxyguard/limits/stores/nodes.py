"""Where the server is to be found: one node, several of which one is the primary, or what Sentinels say.

Reads the URL of a store, and finds out at each connect which nodes to try in which order. Which of them is the primary shows
when one of them takes a write. Knows nothing of what is stored.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode

from proxyguard.limits.stores.resp import DEFAULT_PORT, SCHEMES, Connection, ValkeyUrl
from proxyguard.limits.stores.store import StoreUnavailable

SENTINEL_PORT: Final = 26379
SENTINEL: Final = "+sentinel"

MAX_NODES: Final = 16

ENCODED: Final = "a / ? # [ or ] in the user name or password of a store's URL is written %2F %3F %23 %5B or %5D"

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)

NODE_SECONDS: Final = 0.5
"""For connecting to one of several nodes, TLS and log-in included; a single one may take as long as the whole connect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrl:
    """The nodes of a store. `master`: they are Sentinels, which know the node of that name."""

    nodes: tuple[ValkeyUrl, ...]
    master: str = ""
    database: int = 0
    """Of the master."""
    log_in: tuple[str, str] | None = None
    """User and password for the Sentinels; None: those of the master, if they ask for any."""

    @classmethod
    def parse(cls, text: str) -> StoreUrl:
        """Read a URL with one host or several, `redis://user:password@a:6379,b:6379/0`, or `redis+sentinel://a,b/master/0`.

        The options `sentinel_user` and `sentinel_password` log in to Sentinels. Raises ValueError, never showing a password.
        """
        scheme, separator, rest = text.partition("://")
        base = scheme.removesuffix(SENTINEL)
        if not separator or base not in SCHEMES or (base == "unix" and base != scheme):
            raise ValueError(
                f"a store's URL begins with {', '.join(f'{name}://' for name in SCHEMES)} or redis+sentinel://"
                + (f", not {scheme}://" if separator else "")
            )
        if base == "unix":
            log_in = rest.partition("/")[0]
            if log_in and (not log_in.endswith("@") or any(each in log_in for each in "?#[]")):
                raise ValueError(f"a unix:// URL is unix:///path or unix://user:password@/path; {ENCODED}")
            return cls(nodes=(ValkeyUrl.parse(text),))
        if "://" in rest.partition("?")[0]:
            raise ValueError("several hosts are written in one URL, redis://a:6379,b:6379")
        authority, path, query = _split(rest)
        log_in, at, hosts = authority.rpartition("@")
        places = hosts.split(",")
        if len(places) > MAX_NODES:
            raise ValueError(f"a store's URL names {MAX_NODES} hosts at most, not {len(places)}")
        is_sentinel = base != scheme
        master, database, sentinels = "", path, None
        if is_sentinel:
            query, sentinels = _sentinel_log_in(query)
            master, _, database = path.partition("/")
            if not master:
                raise ValueError("a Sentinel URL needs the name of the master after its hosts: redis+sentinel://a,b/mymaster")
        port = SENTINEL_PORT if is_sentinel else DEFAULT_PORT
        nodes = tuple(ValkeyUrl.parse(f"{base}://{log_in}{at}{_place(each, port)}/{database}{query}") for each in places)
        return cls(nodes=nodes, master=unquote(master), database=nodes[0].database, log_in=sentinels)

    def __str__(self) -> str:
        listed = ", ".join(str(node) for node in self.nodes)
        return f"{self.master} of the Sentinels {listed}" if self.master else listed

    @property
    def is_single(self) -> bool:
        return len(self.nodes) == 1 and not self.master

    @property
    def connect_seconds(self) -> float:
        """How much longer than to a single node it may take to connect."""
        return 0.0 if self.is_single else NODE_SECONDS * len(self.nodes) * (2 if self.master else 1)

    async def candidates(self, faults: list[str]) -> AsyncIterator[ValkeyUrl]:
        """The nodes to try, in order, each once. Adds to `faults` why a Sentinel was of no use."""
        if not self.master:
            for node in self.nodes:
                yield node
            return
        seen = set()
        for sentinel in self.nodes:
            try:
                async with asyncio.timeout(NODE_SECONDS):
                    found = await self._ask(sentinel)
            except (OSError, TimeoutError, StoreUnavailable, ValueError) as error:
                faults.append(f"Sentinel {sentinel}: {fault_of(error)}")
                continue
            if found not in seen:
                seen.add(found)
                yield found

    async def has_left(self, node: ValkeyUrl) -> bool:
        """Whether the first Sentinel that answers names another master than this node."""
        async for found in self.candidates([]):
            return found != node
        return False

    async def _ask(self, sentinel: ValkeyUrl) -> ValkeyUrl:
        """Where a Sentinel says that the master is. Log-in and TLS are as for the Sentinel."""
        connection = await Connection.open(replace(sentinel, database=0, username="", password=""), _ignore)
        try:
            user, password = self.log_in or (sentinel.username, sentinel.password)
            if password:
                try:
                    await connection.call(*(("AUTH", user, password) if user else ("AUTH", password)))
                except StoreUnavailable:
                    if self.log_in is not None:
                        raise  # without a log-in of their own, Sentinels often want none
            answer = await connection.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.master)
        finally:
            connection.close()
        if not isinstance(answer, list) or len(answer) != 2:
            raise StoreUnavailable(f"it knows no master {self.master!r}")
        return replace(sentinel, host=answer[0].decode(), port=int(answer[1]), database=self.database)


def _ignore(_connection: Any, _why: str) -> None:
    """Nobody waits for news of this connection."""


def _sentinel_log_in(query: str) -> tuple[str, tuple[str, str] | None]:
    """The query without the options of Sentinels, and what these say."""
    options = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    given = {name: value for name, value in options if name in ("sentinel_user", "sentinel_password")}
    rest = urlencode([pair for pair in options if pair[0] not in given])
    log_in = (given.get("sentinel_user", ""), given.get("sentinel_password", "")) if given else None
    return f"?{rest}" if rest else "", log_in


def fault_of(error: BaseException) -> str:
    """What to say of a node that could not be used."""
    if isinstance(error, TimeoutError):
        return f"no connection within {NODE_SECONDS * 1000:.0f} ms"
    return str(error) or type(error).__name__


def _split(rest: str) -> tuple[str, str, str]:
    """Authority, path without its first slash, and query with its question mark, of what follows `://`."""
    before, mark, query = rest.partition("?")
    authority, _, path = before.rpartition("@")[2].partition("/")
    log_in = before.rpartition("@")[0]
    if "@" in query or any(each in log_in for each in "/#[]"):
        raise ValueError(ENCODED)
    return (f"{log_in}@{authority}" if "@" in before else authority), path.strip("/"), mark + query


def _place(text: str, default_port: int) -> str:
    """A host with its port. Raises ValueError with what is wrong with it, never showing what may be a log-in without its `@`."""
    bare = text.startswith("[") and text.endswith("]")
    host, colon, port = (text, "", "") if bare else text.rpartition(":")
    if not colon:
        host, port = text, str(default_port)
    if not host:
        raise ValueError("a store's URL has an empty host name")
    if _HOST.fullmatch(host) is None and ":" not in host:
        raise ValueError(f"{host!r} in a store's URL is no host name")
    if ":" in host and not host.startswith("["):
        raise ValueError("an IPv6 address in a store's URL stands in brackets: [2001:db8::1]")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        found = f", not {port}" if port.isdecimal() else ""
        raise ValueError(f"a store's port is a number from 1 to 65535{found}; several hosts are written a:6379,b:6379")
    return f"{host}:{port}"
