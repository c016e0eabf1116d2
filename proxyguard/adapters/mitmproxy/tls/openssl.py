"""What is used of pyOpenSSL. Apart from `private`: certificates are looked at by commands that load no proxy.

Once a handshake is over, records go through OpenSSL itself: pyOpenSSL raises an error for each read that finds no more, and looks
at each of its arguments, at five times the cost. tests/adapters/tls/test_records.py says what is relied upon.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL, crypto

__all__ = ["SSL", "WANT_READ", "crypto", "ffi", "lib", "new_buffer"]

lib: Final[Any] = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001 - as mitmproxy does
ffi: Final[Any] = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001

WANT_READ: Final[int] = lib.SSL_ERROR_WANT_READ


def new_buffer(size: int) -> Any:
    """Room for what OpenSSL gives."""
    return ffi.new("char[]", size)
