"""Who may read and who may act by the admin port: by a token, or to read only by coming from this machine.

A token stands in the header `Authorization: Bearer …` and nowhere else, so no browser sends it by itself, no page of another
site can act with it (CSRF), and no URL or log holds it. Knows nothing of what is read or done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from hashlib import blake2b
from hmac import compare_digest
from ipaddress import ip_address
from secrets import token_bytes
from typing import Final, NamedTuple

from proxyguard.core.settings import Settings

MAX_TOKEN: Final = 1024
"""Characters of a token that are looked at."""

_BEARER: Final = re.compile(r"bearer +([!-~]+) *", re.ASCII | re.IGNORECASE)

_LOCAL_HOST: Final = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])\.?(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)

FORWARDED: Final = (
    "forwarded",
    "via",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
)
"""What proxies add: who sends one of them comes from elsewhere, though the connection does not."""


class Right(IntEnum):
    """What a caller may do; each includes those below."""

    NOTHING = 0
    READ = 1
    WRITE = 2


class Caller(NamedTuple):
    """What a caller may do, and whether a token says so. `wrong`: it sent one that is none of ours."""

    right: Right
    by_token: bool = False
    wrong: bool = False


class Access:
    """Judges callers by the settings of now."""

    def __init__(self, settings: Settings) -> None:
        self._key = token_bytes(32)
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Go by these tokens from the next request on."""
        self._write = self._mark(settings.admin_access.token)
        self._read = self._mark(settings.admin_access.read_token)
        self._loopback_reads = settings.admin_access.loopback_reads
        self.has_tokens = self._write is not None

    def judge(self, peer: str, http_version: str, headers: Mapping[str, str]) -> Caller:
        """What who sends these headers may do from that address. They are looked for by small names; tokens in constant time."""
        given = headers.get("authorization")
        if given is not None:
            return self._by_token(given)
        if self._loopback_reads and is_from_here(peer, http_version, headers):
            return Caller(Right.READ)
        return Caller(Right.NOTHING)

    def _by_token(self, given: str) -> Caller:
        match = _BEARER.fullmatch(given[: MAX_TOKEN + 16])
        mark = self._mark(match[1] if match else "") or b""
        writes = compare_digest(mark, self._write or b"")
        reads = compare_digest(mark, self._read or b"")
        if match is None or not (writes or reads):
            return Caller(Right.NOTHING, wrong=True)
        return Caller(Right.WRITE if writes else Right.READ, by_token=True)

    def _mark(self, token: str | None) -> bytes | None:
        """A digest of a token, of one length whatever the token's."""
        return None if token is None else blake2b(token.encode(), key=self._key, digest_size=32).digest()


def is_from_here(peer: str, http_version: str, headers: Mapping[str, str]) -> bool:
    """Whether a program on this machine asks for itself: from a loopback address, for one, and not as a proxy for somebody else.

    Proxies name themselves in FORWARDED; one that does not often speaks HTTP/1.0 (nginx until told otherwise). In doubt a
    token decides.
    """
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    if not (mapped or address).is_loopback or http_version != "HTTP/1.1":
        return False
    if any(name in headers for name in FORWARDED) or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return False
    host = headers.get("host", "")
    origin = headers.get("origin")
    return _LOCAL_HOST.fullmatch(host) is not None and (origin is None or origin.partition("://")[2] == host)
