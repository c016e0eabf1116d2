"""Tables and filters, mostly zero, as JSON can hold them: what is learned is kept so over restarts."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Final
from zlib import compress, decompressobj
from zlib import error as ZlibError  # noqa: N812 - an exception's name

PIECE_BYTES: Final = 128 * 1024
"""Of what is kept, a text: 0.3 ms."""


def packed(plain: bytes) -> list[str]:
    """Bytes, mostly zero, as short texts: a thread that makes or writes one holds up no request."""
    return [b64encode(compress(plain[at : at + PIECE_BYTES], 1)).decode() for at in range(0, len(plain), PIECE_BYTES)]


def unpacked(texts: list[str] | str, size: int) -> bytes:
    """The bytes of texts of `packed`. Raises TypeError and ValueError when they are not `size` many."""
    plain = bytearray()
    try:
        for text in [texts] if isinstance(texts, str) else texts:  # as one it was before
            if len(plain) <= size:
                plain += decompressobj().decompress(b64decode(text), size + 1 - len(plain))
    except ZlibError as error:
        raise ValueError(str(error)) from error
    if len(plain) != size:
        raise ValueError(f"{len(plain)} bytes instead of {size}")
    return bytes(plain)
