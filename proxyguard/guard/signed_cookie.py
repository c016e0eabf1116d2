"""How signed bytes stand in a cookie of the firewall's own, and the field that sets it. Knows nothing of what the bytes say."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest
from typing import Final

from proxyguard.core.request import Headers

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def set_cookie(name: bytes, signed: bytes, mac: bytes, seconds: float, *, is_secure: bool) -> Headers:
    """The field that gives a client a cookie for this host and all of its paths, which no script can read."""
    value = b2a_base64(signed + mac, newline=False).translate(_URL_SAFE)
    return ((b"Set-Cookie", name + b"=" + value + _attributes(seconds, is_secure)),)


@lru_cache(maxsize=64)
def _attributes(seconds: float, is_secure: bool) -> bytes:  # noqa: FBT001 - by position, half the cost
    """What follows the value: of each kind of cookie and scheme the same."""
    return b"; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%b" % (seconds, b"; Secure" if is_secure else b"")


def read_cookie(value: bytes, version: int, signed_bytes: int, mac_bytes: int, sign: Callable[[bytes], bytes]) -> bytes | None:
    """The signed bytes of a cookie's value, of which the first is the version; None for all that is not ours, byte for byte.

    What has another length is not even decoded, and of several ways to write the same bytes one is taken.
    """
    if len(value) * 3 != (signed_bytes + mac_bytes) * 4:
        return None
    try:
        raw = urlsafe_b64decode(value)
    except ValueError:
        return None
    signed = raw[:signed_bytes]
    if len(raw) != signed_bytes + mac_bytes or signed[0] != version or urlsafe_b64encode(raw) != value:
        return None
    return signed if compare_digest(sign(signed), raw[signed_bytes:]) else None
