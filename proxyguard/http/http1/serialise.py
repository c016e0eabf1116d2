"""Writes heads and chunks: what goes to an upstream or a client, made anew from what was parsed.

Hop-by-hop fields are replaced by our own, framing is written from what the parser understood. Order and spelling of the
other fields stay. Values must come from a parser or be free of CR, LF and NUL. Knows nothing of who is answered what.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.request import Headers
from proxyguard.http.claims import MAX_NAME_BYTES, folded, is_claim
from proxyguard.http.http1.heads import BodyKind, RequestHead, ResponseHead
from proxyguard.http.http1.names import HOP_BY_HOP, RESPONSE_HOP_BY_HOP
from proxyguard.http.reason_phrases import reason_phrase

LAST_CHUNK: Final = b"0\r\n\r\n"

_NOTHING: Final[frozenset[bytes]] = frozenset()
_WITHOUT_LENGTH: Final = frozenset({204})


MAX_REMEMBERED: Final = 1024
"""Names whose answer a filter remembers: clients send a few dozen. One that makes up names costs itself 3 µs a name, and now and
then everybody else the same, once for each name."""

MAX_FILTERS: Final = 64
"""Filters kept: one for each site's settings and account header."""


class _FieldFilter:
    """Which of a client's fields go upstream, by name in the spelling received."""

    __slots__ = ("_dropped", "_folded", "_keep", "known")

    def __init__(self, drop: frozenset[bytes], keep: frozenset[bytes] | None) -> None:
        self._dropped = HOP_BY_HOP | {b"host", b"content-length", b"expect"}
        self._folded = frozenset(map(folded, drop))
        self._keep = keep
        self.known: dict[bytes, bool] = {}
        """Answers so far, for names that are not too long."""

    def passes(self, name: bytes) -> bool:
        """Look at a name that is not known."""
        lower = name.lower()
        keep = self._keep
        found = lower not in self._dropped and folded(name) not in self._folded and (keep is None or not is_claim(name))
        if keep is not None and lower in keep:
            found = True
        if len(name) <= MAX_NAME_BYTES:
            keep_at_hand(self.known, MAX_REMEMBERED, name, found)
        return found


_filters: dict[tuple[frozenset[bytes], frozenset[bytes] | None], _FieldFilter] = {}


def _filter_of(drop: frozenset[bytes], keep: frozenset[bytes] | None) -> _FieldFilter:
    found = _filters.get((drop, keep))
    if found is None:
        found = keep_at_hand(_filters, MAX_FILTERS, (drop, keep), _FieldFilter(drop, keep))
    return found


class _ResponseFilter:
    """Which of an upstream's fields go to the client, by name in the spelling received; most names come again and again."""

    __slots__ = ("_dropped", "known")

    def __init__(self, drop: frozenset[bytes]) -> None:
        self._dropped = RESPONSE_HOP_BY_HOP | {b"content-length"} | drop
        self.known: dict[bytes, bool] = {}

    def passes(self, name: bytes) -> bool:
        """Look at a name that is not known."""
        found = name.lower() not in self._dropped
        if len(name) <= MAX_NAME_BYTES:
            keep_at_hand(self.known, MAX_REMEMBERED, name, found)
        return found


@lru_cache(maxsize=64)
def _response_filter(drop: frozenset[bytes]) -> _ResponseFilter:
    return _ResponseFilter(drop)


_UNCHANGED: Final = _ResponseFilter(_NOTHING)


def request_head(
    head: RequestHead,
    *,
    add: Iterable[tuple[bytes, bytes]] = (),
    drop: frozenset[bytes] = _NOTHING,
    keep: frozenset[bytes] | None = None,
    authority: bytes | None = None,
) -> bytes:
    """The head to send upstream, as HTTP/1.1 on a connection that is kept: its line, and `request_fields`."""
    return request_line(head) + request_fields(head, add=add, drop=drop, keep=keep, authority=authority)


def request_line(head: RequestHead) -> bytes:
    """The first line of `request_head`."""
    return b"%b %b HTTP/1.1\r\n" % (head.method, head.target)


def request_fields(
    head: RequestHead,
    *,
    add: Iterable[tuple[bytes, bytes]] = (),
    drop: frozenset[bytes] = _NOTHING,
    keep: frozenset[bytes] | None = None,
    authority: bytes | None = None,
) -> bytes:
    """What follows the first line of `request_head`, up to and with the empty line.

    `drop` holds lower-case names, which go in every spelling (`claims.folded`). Of what `claims` knows only the names in `keep`
    pass, in that one spelling; None lets all pass. `add` follows the client's fields. `authority` replaces the Host that the
    client named.
    """
    fields = _filter_of(drop, keep)
    known = fields.known
    nominated = head.nominated
    lines = [b"Host: " + (head.authority if authority is None else authority)]
    for name, value in head.headers:
        passes = known.get(name)
        if passes is None:
            passes = fields.passes(name)
        if passes and not (nominated and name.lower() in nominated and not (keep and name.lower() in keep)):
            lines.append(name + b": " + value)
    lines += [name + b": " + value for name, value in add]
    if head.body is BodyKind.CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif head.content_length is not None:
        lines.append(b"Content-Length: %d" % head.content_length)
    if head.expect_continue and b"expect" not in drop:
        lines.append(b"Expect: 100-continue")
    if head.upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + head.upgrade)
    elif head.te_trailers:
        lines.append(b"Connection: TE\r\nTE: trailers")
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def body_to_client(head: ResponseHead, version: bytes) -> BodyKind:
    """How the body of an upstream's response is framed for a client of this version: HTTP/1.0 knows no chunks."""
    if head.body is BodyKind.CHUNKED or head.body is BodyKind.UNTIL_CLOSE:
        return BodyKind.CHUNKED if version == b"1.1" else BodyKind.UNTIL_CLOSE
    return head.body


class _Written:
    """A head that is remembered, as it is sent to a client of HTTP/1.1 whose connection goes on; empty before the first time.

    `text` is `first`, the status and the fields, and `last`, what is said of the framing.
    """

    __slots__ = ("first", "head", "last", "text")

    def __init__(self, head: ResponseHead) -> None:
        self.head = head
        self.first = self.last = self.text = b""


_written: dict[int, _Written] = {}
"""By id of the head, which keeps it its own: to compare heads would cost more than to write them."""


def remember(head: ResponseHead) -> None:
    """Write a head once only, whoever is answered with it."""
    _written[id(head)] = _Written(head)


def forget_heads() -> None:
    """Those that `remember` was told of come no more."""
    _written.clear()


def response_head(
    head: ResponseHead,
    *,
    version: bytes = b"1.1",
    keep_alive: bool = True,
    add: Iterable[tuple[bytes, bytes]] = (),
    drop: frozenset[bytes] = _NOTHING,
) -> bytes:
    """The head to send to a client of `version`; the body must follow as `body_to_client` says.

    `keep_alive` is whether the connection goes on; a body until the close says `Connection: close` whatever it is. Interim
    responses and 101 get no options but the upgrade's.
    """
    is_usual = keep_alive and version == b"1.1" and not add and not drop
    base = head if head.base is None or head.nominated else head.base
    kept = _written.get(id(base)) if is_usual else None
    if kept is None:
        return _first_lines(head, add, drop) + _last_lines(head, version, keep_alive=keep_alive)
    if not kept.text:
        kept.first = _first_lines(base, add, drop)
        kept.last = _last_lines(base, version, keep_alive=keep_alive)
        kept.text = kept.first + kept.last
    return kept.text if base is head else kept.first + field_lines(head.headers[len(base.headers) :]) + kept.last


def _first_lines(head: ResponseHead, add: Iterable[tuple[bytes, bytes]], drop: frozenset[bytes]) -> bytes:
    """The status, and the fields that pass."""
    fields = _response_filter(drop) if drop else _UNCHANGED
    known = fields.known
    nominated = head.nominated
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)]
    for name, value in head.headers:
        passes = known.get(name)
        if passes is None:
            passes = fields.passes(name)
        if passes and not (nominated and name.lower() in nominated):
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines) + field_lines(add)


def _last_lines(head: ResponseHead, version: bytes, *, keep_alive: bool) -> bytes:
    """What is said of the framing and of the connection, and the empty line."""
    status = head.status
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        return b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    if status < HTTPStatus.OK:
        return b"\r\n"
    body = body_to_client(head, version)
    end = end_of_head(version, keep_alive=keep_alive and body is not BodyKind.UNTIL_CLOSE)
    if body is BodyKind.CHUNKED:
        return b"Transfer-Encoding: chunked\r\n" + end
    if head.content_length is not None and status not in _WITHOUT_LENGTH:
        return b"Content-Length: %d\r\n%b" % (head.content_length, end)
    return end


def own_head(status: int, headers: Iterable[tuple[bytes, bytes]], *, version: bytes = b"1.1", keep_alive: bool) -> bytes:
    """The head of an answer of our own; `headers` say its length."""
    return own_lines(status, headers) + end_of_head(version, keep_alive=keep_alive)


def own_lines(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The first lines of such a head: its status, and these fields."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason_phrase(status)) + field_lines(headers)


def field_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Fields, a line each."""
    return b"".join([b"%b: %b\r\n" % (name, value) for name, value in headers])


def end_of_head(version: bytes, *, keep_alive: bool) -> bytes:
    """The last lines of such a head: whether the connection goes on, and the empty line."""
    if not keep_alive:
        return b"Connection: close\r\n\r\n"
    return b"Connection: keep-alive\r\n\r\n" if version == b"1.0" else b"\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk; nothing for no data, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Headers = ()) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n" + b"".join([name + b": " + value + b"\r\n" for name, value in trailers]) + b"\r\n"
