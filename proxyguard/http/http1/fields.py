"""The strict reading of a header section, shared by requests, responses and trailers.

Follows RFC 9112 section 5, and refuses what it only tolerates: bare LF, folded lines, whitespace before the colon.
Knows nothing of framing or of which field means what.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.http.http1.faults import Malformed

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""RFC 9110 section 5.6.2."""

_FIELD: Final = re.compile(rb"^(" + TOKEN + rb"++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)\r\n", re.MULTILINE)
_NAME: Final = re.compile(TOKEN + rb"+")
BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_BARE_CR: Final = re.compile(rb"\r(?!\n)")


def read_fields(text: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """The fields in `text[start:end]`, which is empty or ends with the CRLF of the last one; a line begins at `start`.

    Values come without outer whitespace. Raises Malformed. Every match starts a line, ends at its CRLF and holds no other
    LF, so as many matches as there are LFs means that nothing was passed over.
    """
    fields: list[tuple[bytes, bytes]] = _FIELD.findall(text, start, end)
    if len(fields) != text.count(b"\n", start, end):
        raise Malformed(field_fault(text[start:end]))
    if text.find(b" \r\n", start, end) >= 0 or text.find(b"\t\r\n", start, end) >= 0:
        return [(name, value.rstrip(b" \t")) for name, value in fields]
    return fields


def field_fault(section: bytes) -> str:
    """Which reason a malformed header section is refused for."""
    if BARE_LF.search(section) is not None:
        return "bare-lf"
    if _BARE_CR.search(section) is not None:
        return "bare-cr"
    for line in section.split(b"\r\n")[:-1]:
        if line[:1] in (b" ", b"\t"):
            return "obs-fold"
        name, colon, _ = line.partition(b":")
        if not colon or _NAME.fullmatch(name) is None:
            spaced = colon and _NAME.fullmatch(name.rstrip(b" \t")) is not None
            return "space-before-colon" if spaced else "field-name"
    return "field-value"


def longest_field(section: bytes) -> int:
    """Bytes of the longest line in a well-formed header section, without its CRLF."""
    return max([len(line) for line in section.split(b"\r\n")])


MAX_LISTS: Final = 64
MAX_LIST_BYTES: Final = 64
"""Lists of tokens that are remembered, and bytes of each."""

_lists: dict[bytes, list[bytes]] = {}


def list_tokens(value: bytes) -> list[bytes]:
    """Members of a comma-separated list of tokens, each once, in lower case. Raises Malformed("connection") for what is none.

    Nearly all say `keep-alive`, `close` or `upgrade`: lists that come again are read once.
    """
    known = _lists.get(value)
    if known is not None:
        return known.copy()
    parts = dict.fromkeys(value.lower().split(b","))
    tokens = [token for part in parts if (token := part.strip(b" \t"))]
    if tokens and _NAME.fullmatch(b"".join(tokens)) is None:
        raise Malformed("connection")
    if len(value) <= MAX_LIST_BYTES:
        keep_at_hand(_lists, MAX_LISTS, value, tokens.copy())
    return tokens
