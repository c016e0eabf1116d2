"""Logs in the W3C's extended format: IIS, and CloudFront's standard logs. The log names its fields itself, in `#Fields:`.

"Extended Log File Format" (W3C working draft WD-logfile-960323). IIS writes `+` for a space in a value; CloudFront separates by
tabs and percent-encodes, older logs twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.tools.replay.formats.format_type import LogSample, Make
from proxyguard.tools.replay.formats.text import moment, number
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest, NotAnEntry
from proxyguard.tools.replay.requests import VERSIONS, last_address, read_address, read_host, read_target

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "date": ("date",),
    "time": ("time",),
    "client": ("c-ip",),
    "forwarded_for": ("x-forwarded-for", "cs(x-forwarded-for)"),
    "method": ("cs-method",),
    "stem": ("cs-uri-stem", "cs-uri"),
    "query": ("cs-uri-query",),
    "status": ("sc-status",),
    "size": ("sc-bytes",),
    "version": ("cs-protocol-version", "cs-version"),
    "host": ("x-host-header", "cs-host", "cs(host)"),
    "scheme": ("cs-protocol",),
    "user": ("cs-username",),
}
"""The fields that may hold each part of a request, in lower case, the best first."""

NEEDED: Final = ("date", "time", "client", "method", "stem")

_HEADER: Final = re.compile(r"cs\(([\w-]+)\)")
_DIRECTIVE: Final = b"#Fields:"
_RAW_IN_STEM: Final = re.compile(rb"[^!-~]")

_NOTHING: Final = frozenset({b"-", b""})


class _Layout(NamedTuple):
    """Columns of the parts and of header fields."""

    columns: dict[str, int]
    headers: tuple[tuple[int, bytes], ...]
    width: int
    is_cloudfront: bool

    @property
    def lacks(self) -> list[str]:
        return [NAMES[part][0] for part in NEEDED if part not in self.columns]

    @property
    def knowledge(self) -> Knowledge:
        pairs = (
            (FieldKind.QUERY, "query"), (FieldKind.HTTP_VERSION, "version"), (FieldKind.HOST, "host"),
            (FieldKind.SCHEME, "scheme"),
        )  # fmt: skip
        names = {name.decode().lower() for _, name in self.headers} | ({"host"} if "host" in self.columns else set())
        costs = ((CountKind.STATUSES, "status"), (CountKind.BYTES, "size"))
        return Knowledge(
            kinds=frozenset(kind for kind, part in pairs if part in self.columns),
            headers=frozenset(names),
            cookies=None if "cookie" in names else frozenset(),
            costs=frozenset(kind for kind, part in costs if part in self.columns),
        )


def _layout(directive: bytes) -> _Layout:
    fields = directive.removeprefix(_DIRECTIVE).decode("ascii", "replace").split()
    lower = [name.lower() for name in fields]
    columns = {}
    for part, names in NAMES.items():
        best = next((name for name in names if name in lower), None)
        if best is not None:
            columns[part] = lower.index(best)
    headers = tuple(
        (at, found[1].encode())
        for at, name in enumerate(fields)
        if (found := _HEADER.fullmatch(name)) is not None and found[1].lower() not in {"host", "x-forwarded-for"}
    )
    return _Layout(columns, headers, len(fields), any(name.startswith("x-edge-") for name in lower))


class _Reader:
    """Reads lines by the latest `#Fields:`."""

    def __init__(self, first: _Layout, *, forwarded: bool) -> None:
        self._first = self._layout = first
        self._forwarded = forwarded
        self._changed = ""

    def reset(self) -> None:
        self._layout, self._changed = self._first, ""

    def parse(self, line: bytes) -> LoggedRequest:
        if line[:1] == b"#":
            if line.startswith(_DIRECTIVE):
                self._take(_layout(line))
            raise NotAnEntry
        if self._changed:
            raise LineError(self._changed)
        layout = self._layout
        values = line.split(b"\t" if b"\t" in line else b" ")
        if len(values) < layout.width:
            raise LineError(f"it has {len(values)} fields, and #Fields names {layout.width}")
        return self._request(layout, values)

    def _take(self, layout: _Layout) -> None:
        """Go on with other fields; when some are gone that the report counts on, refuse the lines."""
        gone = [NAMES[part][0] for part in self._first.columns if part not in layout.columns]
        names = {name.lower() for _, name in layout.headers}
        gone += [f"cs({name.decode()})" for _, name in self._first.headers if name.lower() not in names]
        self._changed = f"#Fields changed within the log: it no longer has {', '.join(gone)}" if gone else ""
        self._layout = layout

    def _request(self, layout: _Layout, values: Sequence[bytes]) -> LoggedRequest:
        columns = layout.columns

        def value(part: str) -> bytes | None:
            at = columns.get(part)
            return None if at is None or values[at] in _NOTHING else values[at]

        method, stem = value("method"), value("stem")
        if method is None or stem is None:
            raise NoRequest
        client = value("client")
        listed = value("forwarded_for") if self._forwarded or client is None else None
        if listed is None and client is None:
            raise LineError("it names no client address")
        target = _RAW_IN_STEM.sub(lambda odd: b"%%%02X" % odd[0][0], stem)
        query = value("query")
        if query is not None:
            target += b"?" + query
        readable = _from_cloudfront if layout.is_cloudfront else _from_iis
        host = read_host(value("host") or b"")
        headers = [(b"Host", host)] if host else []
        headers += [(name, readable(values[at])) for at, name in layout.headers if values[at] not in _NOTHING]
        return LoggedRequest(
            moment(values[columns["date"]] + b"T" + values[columns["time"]]),
            last_address(readable(listed)) if listed is not None else read_address(client or b""),
            method, read_target(method, target), VERSIONS.get((value("version") or b"").upper(), b"1.1"), tuple(headers),
            status=number(value("status") or b""), bytes_sent=number(value("size") or b""), user=value("user") is not None,
            referer=any(name.lower() == b"referer" for name, _ in headers), host=host, scheme=(value("scheme") or b"").lower(),
        )  # fmt: skip


def _from_cloudfront(text: bytes) -> bytes:
    """A value as it was: `%20`, and `%2520` of logs that were encoded twice."""
    once = unquote_to_bytes(text)
    return unquote_to_bytes(once) if b"%2520" in text else once


def _from_iis(text: bytes) -> bytes:
    return text.replace(b"+", b" ")


def w3c(name: str, *, cloudfront: bool) -> Make:
    """Makes the reader of a log whose `#Fields:` are, or are not, CloudFront's."""

    def make(sample: LogSample) -> LogFormat | None:
        directive = next((line for line in (*sample.directives, *sample.lines) if line.startswith(_DIRECTIVE)), None)
        if directive is None:
            return None
        layout = _layout(directive)
        if layout.is_cloudfront is not cloudfront or layout.lacks:
            return None
        reader = _Reader(layout, forwarded=sample.forwarded)
        return LogFormat(name, layout.knowledge, reader.parse, reset=reader.reset)

    return make
