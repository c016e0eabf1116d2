"""How signed bytes stand in a cookie of the firewall's own, and the field that sets it. Knows nothing of what the bytes say."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hmac import compare_digest

from proxyguard.core.request import Headers


def set_cookie(name: bytes, signed: bytes, mac: bytes, seconds: float, *, is_secure: bool) -> Headers:
    """The field that gives a client a cookie for this host and all of its paths, which no script can read."""
    secure = b"; Secure" if is_secure else b""
    text = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%b"
    return ((b"Set-Cookie", text % (name, urlsafe_b64encode(signed + mac), seconds, secure)),)


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
