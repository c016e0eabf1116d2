"""How signed bytes stand in a cookie of the firewall's own, and the field that sets it. Knows nothing of what the bytes say."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest
from typing import Final

from proxyguard.core.request import Headers, Values

_TAB: Final = 9
_SPACE: Final = 32
_QUOTE: Final = 34
_SEMICOLON: Final = 59
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def set_cookie(begins: bytes, signed_and_mac: bytes, attributes: bytes) -> Headers:
    """The field that gives a client a cookie; `begins` is its name with a `=`."""
    value = b2a_base64(signed_and_mac)[:-1].translate(_URL_SAFE)  # to cut off the end of the line costs less than to ask for none
    return ((b"Set-Cookie", begins + value + attributes),)


@lru_cache(maxsize=64)
def cookie_attributes(seconds: float, is_secure: bool) -> bytes:  # noqa: FBT001 - by position, half the cost
    """What follows the value of a cookie for this host and all of its paths, which no script can read."""
    return b"; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%b" % (seconds, b"; Secure" if is_secure else b"")


def named_cookies(lines: Values, mark: bytes) -> list[bytes]:
    """The values of the cookies of a name, as `Request.cookies` has them; `mark` is the name with a `=`.

    Such as reads all cookies costs too much for each request.
    """
    found = []
    for line in lines:
        at = line.find(mark)
        while at >= 0:
            before, end = at - 1, line.find(b";", at)
            while before >= 0 and (line[before] == _SPACE or line[before] == _TAB):
                before -= 1
            if before < 0 or line[before] == _SEMICOLON:
                value = line[at + len(mark) :] if end < 0 else line[at + len(mark) : end]
                if value and (value[0] == _QUOTE or value[-1] <= _QUOTE):
                    value = value.rstrip(b" \t").strip(b'"')
                found.append(value)
            at = -1 if end < 0 else line.find(mark, end)
    return found


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
