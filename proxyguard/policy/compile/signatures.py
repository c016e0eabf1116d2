"""Whether a value carries a signature made with a secret that only the site knows: cookies and tokens that cannot be made up.

An HMAC over what stands before the last separator: JSON Web Tokens with HS256/384/512 (RFC 7515 section 5.2), and the cookies of
most frameworks. The algorithm is the rule's, never the token's own claim. Says nothing of what a token contains: one that has
expired is still signed.
"""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, assert_never

from proxyguard.policy.matchers import Encoding, Signed

MAX_REMEMBERED: Final = 4096
"""Values whose answer is kept, so that a session is checked once and not with each request. One check takes about 2 µs."""

MAX_REMEMBERED_BYTES: Final = 1024
"""Longer values are checked each time: what is kept stays below 4 MiB."""


def checker(signed: Signed) -> Callable[[bytes], bool]:
    """Asks whether a value is signed; remembers some answers."""
    remembered = lru_cache(MAX_REMEMBERED)(partial(is_signed, signed))
    return lambda value: remembered(value) if len(value) <= MAX_REMEMBERED_BYTES else is_signed(signed, value)


def is_signed(signed: Signed, value: bytes) -> bool:
    """Whether the signature is right. Takes the same time wherever a wrong one differs."""
    if not value.startswith(signed.prefix):
        return False
    message, separator, given = value[len(signed.prefix) :].rpartition(signed.separator)
    if not separator:
        return False
    made = hmac.digest(signed.secret, message, signed.digest)
    match signed.encoding:
        case Encoding.HEX:
            return hmac.compare_digest(made.hex().encode(), given.lower())
        case Encoding.BASE64URL:
            return hmac.compare_digest(urlsafe_b64encode(made).rstrip(b"="), given.rstrip(b"="))
        case Encoding.BASE64:
            return hmac.compare_digest(b64encode(made).rstrip(b"="), given.rstrip(b"="))
        case _:
            assert_never(signed.encoding)
