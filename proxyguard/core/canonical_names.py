"""The names of cookies and query parameters as any site may read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxyguard.core.reading import percent_decode

AROUND_NAMES: Final = b" \t\r\n\v\f\"'"
"""What readers of cookies and parameters drop around names and values."""
_AROUND_NAMES: Final = re.compile(rb"[ \t\r\n\v\f\"']")

_CANONICAL_NAMES: Final = re.compile(rb"[a-z0-9_&-]*+")
_NAME_TAIL: Final = re.compile(rb"[\0\[][^&]*+")
"""What readers drop from the end of a name, in names with `&` between them."""

_UNDERSCORES: Final = bytes.maketrans(b". \t", b"___")
"""PHP's names of parameters and cookies."""


def canonical_name(name: bytes) -> bytes:
    """The name of a cookie or a query parameter as any site may read it: `Session[]`, `session` and ` session ` are one."""
    return canonical_names((name,))[0]


def canonical_names(names: Sequence[bytes]) -> Sequence[bytes]:
    """`canonical_name` of each; all are read as one text, with `&` between them, since a query may have hundreds.

    In a name, `&` and `%26` become the control character 1.
    """
    text = b"&".join(names)
    if text.count(b"&") != len(names) - 1:
        if not names:
            return names
        text = b"&".join([name.replace(b"&", b"\1") for name in names])
    elif _CANONICAL_NAMES.fullmatch(text) is not None:
        return names
    return canonical_text(text).split(b"&")


def canonical_text(text: bytes) -> bytes:
    """As `canonical_names`, of names with `&` between them."""
    if text.find(b"%") >= 0:
        text = percent_decode(text.replace(b"%26", b"%01"))
    if text.find(b"[") >= 0 or text.find(b"\0") >= 0:
        text = _NAME_TAIL.sub(b"", text)
    if _AROUND_NAMES.search(text) is not None:
        text = b"&".join([name.strip(AROUND_NAMES) for name in text.split(b"&")])
    return text.translate(_UNDERSCORES).lower()
