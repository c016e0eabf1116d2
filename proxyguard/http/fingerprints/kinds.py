"""The table of kinds, from `kinds.toml`: what each looks like, and which one a connection is.

Read once, when a rule or a record first asks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.http.fingerprints.client_hello import HelloTells
from proxyguard.http.fingerprints.http2_print import setting_ids

UNKNOWN: Final = b"unknown"
"""The kind of what was seen and is like nothing in the table."""

OLD_ALPS: Final = 17513
ALPS: Final = frozenset({OLD_ALPS, 17613})
"""Application settings of TLS: the draft's number, and the one that Chromium uses since version 133."""

LAST_WITH_OLD_ALPS: Final = 135
"""The newest Chromium that may send the draft's number: it went in steps. No setting changes it, unlike groups and ECH."""


class Speech:
    """One row of the table: its kind, and what must hold. None, -1 and empty: not asked."""

    __slots__ = (
        "alps", "at_least", "at_most", "ciphers", "compression", "grease", "group", "has", "hello", "kind", "lacks", "settings",
    )  # fmt: skip

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.kind: bytes = row["kind"].encode()
        self.hello: bytes = row.get("hello", "").encode()
        self.grease: bool | None = row.get("grease")
        self.has: frozenset[int] = frozenset(row.get("has", ()))
        self.lacks: frozenset[int] = frozenset(row.get("lacks", ()))
        self.group: int = row.get("groups", -1)
        self.compression: tuple[int, ...] = tuple(row.get("compression", ()))
        self.alps: bool = row.get("alps", False)
        self.ciphers: tuple[int, ...] = tuple(row.get("ciphers", ()))
        self.at_least: int = row.get("at_least", -1)
        self.at_most: int = row.get("at_most", 1 << 16)
        self.settings: tuple[int, ...] = tuple(row.get("settings", ()))

    def fits(self, tells: HelloTells) -> bool:
        """Whether a hello has all that the row asks of it."""
        extensions = tells.extensions
        return (
            (self.grease is None or self.grease is tells.has_grease)
            and (not self.compression or self.compression == tells.compression)
            and (not self.ciphers or self.ciphers == tells.ciphers[: len(self.ciphers)])
            and self.at_least <= tells.cipher_count <= self.at_most
            and self.has <= extensions
            and self.lacks.isdisjoint(extensions)
            and (self.group < 0 or self.group in tells.groups)
            and not (self.alps and tells.offers_http2 and tells.offers_tls13 and ALPS.isdisjoint(extensions))
        )


class BrowserHabits:
    """What a browser does above its hello."""

    __slots__ = ("head", "order", "pseudo", "settings", "spellings", "window")

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.settings: tuple[int, ...] = tuple(row["settings"])
        """Ids of SETTINGS, in order; some may be left out."""
        self.window: int = row["window"]
        self.pseudo: bytes = row["pseudo"].encode()
        self.head: tuple[bytes, ...] = tuple(name.encode() for name in row["head"])
        """The fields that an HTTP/1 request begins with, in their case."""
        self.order: dict[bytes, int] = {name.encode(): place for place, name in enumerate(row["order"])}
        self.spellings: dict[bytes, bytes] = {name: _spelt(name) for name in (b"host", b"connection", *self.order)}
        """Names in lower case, and as the browser writes them over HTTP/1."""


def _spelt(name: bytes) -> bytes:
    """A name as browsers write it over HTTP/1: each word with a capital, but client hints."""
    if name == b"te":
        return b"TE"
    return name if name.startswith(b"sec-ch-") else name.title()


class KindTable:
    """All of it."""

    __slots__ = ("_by_ciphers", "_clients", "_hellos", "browsers")

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._hellos: Sequence[Speech] = [Speech(row) for row in table["hello"]]
        self._clients: Sequence[Speech] = [Speech(row) for row in table["client"]]
        self._by_ciphers: dict[bytes, bytes] = {key.encode(): kind.encode() for key, kind in table["ja4"].items()}
        self.browsers: dict[bytes, BrowserHabits] = {name.encode(): BrowserHabits(row) for name, row in table["browser"].items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Every kind of a client, once, in the table's order."""
        return tuple(dict.fromkeys([row.kind.decode() for row in self._clients] + [UNKNOWN.decode()]))

    @property
    def hello_names(self) -> tuple[str, ...]:
        """Every kind of a hello."""
        return tuple(dict.fromkeys([row.kind.decode() for row in self._hellos] + [UNKNOWN.decode()]))

    def hello_kind(self, tells: HelloTells) -> bytes:
        """What kind of hello it is."""
        for row in self._hellos:
            if row.fits(tells):
                return row.kind
        return UNKNOWN

    def client_kind(self, tells: HelloTells, hello: bytes, facts: ConnectionFacts) -> bytes:
        """What speaks over a hello of this kind."""
        settings = setting_ids(facts.settings) if facts.is_http2 else ()
        for row in self._clients:
            if row.hello == hello and row.fits(tells) and (not row.settings or row.settings == settings):
                return row.kind
        return UNKNOWN

    def kind_of_ja4(self, print_: bytes) -> bytes:
        """The kind by the ciphers of a JA4 alone."""
        return self._by_ciphers.get(print_[11:23], UNKNOWN)


def newest_version(tells: HelloTells) -> int:
    """The newest version of Chromium that makes such a hello; 0: any."""
    return LAST_WITH_OLD_ALPS if OLD_ALPS in tells.extensions else 0


@cache
def kind_table() -> KindTable:
    """The table that comes with the program."""
    return KindTable(tomllib.loads((files(__package__) / "kinds.toml").read_text("utf-8")))
