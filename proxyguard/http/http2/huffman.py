"""The Huffman code of RFC 7541 section 5.2, read four bits at a time with the states of the hpack library.

That library reads it in Python, which takes 20 times as long: browsers code every path and every Referer.
"""

from __future__ import annotations

from typing import Any, Final

from hpack import huffman_table

from proxyguard.http.http2.errors import ConnectionFault, ErrorCode

_STEPS: Final[Any] = vars(huffman_table)["HUFFMAN_TABLE"]
"""16 for each state: the next state, flags, and a symbol. Looked up without its type, a tuple of thousands."""
_NEXT: Final = bytes([step[0] for step in _STEPS])
_FLAGS: Final = bytes([step[1] for step in _STEPS])
_SYMBOLS: Final = bytes([step[2] for step in _STEPS])

_MAY_END: Final = 0x01
_HAS_SYMBOL: Final = 0x02
_IS_WRONG: Final = 0x04


def decode_huffman(text: bytes) -> bytes:
    """What the code stands for. Raises ConnectionFault(COMPRESSION_ERROR) for what is none, or is cut."""
    found: list[int] = []
    step = 0
    state = 0
    for place in range(len(text)):  # compiled, that is faster than to iterate
        byte = text[place]
        step = state << 4 | byte >> 4
        state = _NEXT[step]
        flags = _FLAGS[step]
        if flags & _HAS_SYMBOL:
            found.append(_SYMBOLS[step])
        step = state << 4 | byte & 0x0F
        state = _NEXT[step]
        if (flags | _FLAGS[step]) & _IS_WRONG:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)
        if _FLAGS[step] & _HAS_SYMBOL:
            found.append(_SYMBOLS[step])
    if text and not _FLAGS[step] & _MAY_END:
        raise ConnectionFault(ErrorCode.COMPRESSION_ERROR)
    return bytes(found)
