"""Notes in a connection's facts what its frames show of the program that wrote them."""

from __future__ import annotations

from typing import Final

from proxyguard.core.connection_facts import (
    PATH_INDEXED,
    PATH_ON_4,
    PATH_ON_5,
    PATH_OTHERWISE,
    ROOT_INDEXED,
    ROOT_ON_4,
    ROOT_ON_5,
    ConnectionFacts,
)
from proxyguard.http.http2.frames import Frame
from proxyguard.http.http2.hpack import LITERAL, Field, FieldDecoder

MAX_NOTED: Final = 16
"""Settings and PRIORITY frames that are noted; browsers send up to 9 and 6."""

_ON_4: Final = LITERAL | 0x04
_ON_5: Final = LITERAL | 0x05


def note_request(facts: ConnectionFacts, decoder: FieldDecoder, fields: list[Field], *, is_first: bool) -> None:
    """A request's fields, as `decoder` has just read them."""
    path = b""
    for place in range(min(len(fields), MAX_NOTED)):
        name, value = fields[place]
        if not name.startswith(b":"):
            break
        if name == b":path":
            path = value
    if is_first:
        facts.pseudo = _first_letters(fields)
    if path:
        facts.path_forms |= _form(decoder.path_form, path)
    if decoder.is_wasteful:
        facts.is_wasteful = True


def _first_letters(fields: list[Field]) -> bytes:
    """Those of the pseudo-fields, behind the colon."""
    found = b""
    for name, _ in fields[:MAX_NOTED]:
        if not name.startswith(b":"):
            break
        found += name[1:2]
    return found


def _form(coding: int, path: bytes) -> int:
    """How a path was coded; that of `/index.html` is not judged, since it has a number of its own."""
    is_root = path == b"/"
    if coding == 0:
        if path == b"/index.html":
            return 0
        return ROOT_INDEXED if is_root else PATH_INDEXED
    if coding == _ON_4:
        return ROOT_ON_4 if is_root else PATH_ON_4
    if coding == _ON_5:
        return ROOT_ON_5 if is_root else PATH_ON_5
    return PATH_OTHERWISE


def note_priority(facts: ConnectionFacts, frame: Frame) -> None:
    """A PRIORITY frame before the first request: `stream:exclusive:depends on:weight`."""
    payload = frame.payload
    if len(payload) == 5 and facts.priorities.count(b",") < MAX_NOTED:
        on = int.from_bytes(payload[:4], "big")
        text = b"%d:%d:%d:%d" % (frame.stream, on >> 31, on & 0x7FFFFFFF, payload[4] + 1)
        facts.priorities = facts.priorities + b"," + text if facts.priorities else text
