"""The public keys that hosts publish for the signatures of their bots (Web Bot Auth).

draft-meunier-http-message-signatures-directory: a JSON Web Key Set at a well-known path. Only hosts that the operator allows are
asked, never one that a request names; in the background, with bounds. A host that fails keeps its last keys for a day.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from proxyguard.guard.origin.background import Background
from proxyguard.guard.origin.https_fetch import FetchFailed, fetch

WELL_KNOWN: Final = "/.well-known/http-message-signatures-directory"

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 100
TIMEOUT_SECONDS: Final = 10.0
FRESH_SECONDS: Final = 3600.0
"""After which a directory is fetched again."""
RETRY_SECONDS: Final = 60.0
"""The least between two fetches, for one that failed and for a key that it does not have."""
KEPT_SECONDS: Final = 86_400.0
"""How long keys count that could not be fetched again."""

type Keys = Mapping[str, Ed25519PublicKey | None]
"""By their thumbprint (RFC 7638), which is their `keyid`; and OTHERS where there are keys that are not read."""

OTHERS: Final = ""

type FetchText = Callable[[str], bytes]


def parse_directory(text: bytes) -> Keys:
    """The Ed25519 keys of a directory, and whether there are others. Raises ValueError."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise ValueError("it is no JSON Web Key Set")  # noqa: TRY004 - a fault of the text
    read = [_key(each) for each in keys[:MAX_KEYS]]
    ours: Keys = dict(each for each in read if each is not None)
    return ours if None not in read and len(keys) <= MAX_KEYS else {**ours, OTHERS: None}


def _key(jwk: Any) -> tuple[str, Ed25519PublicKey] | None:
    if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("x"), str):
        return None
    try:
        raw = base64.urlsafe_b64decode(jwk["x"].rstrip("=") + "=" * (-len(jwk["x"].rstrip("=")) % 4))
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        return None
    return thumbprint(raw), key


def thumbprint(raw: bytes) -> str:
    """The RFC 7638 thumbprint of an Ed25519 key (RFC 8037, appendix A.3)."""
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    digest = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class _Directory:
    __slots__ = ("asked", "fetched", "is_asking", "keys")

    def __init__(self) -> None:
        self.keys: Keys = {}
        self.fetched = float("-inf")
        self.asked = float("-inf")
        self.is_asking = False


class KeyDirectories:
    """The directories of the allowed hosts. Called from one thread; fetches run in the background."""

    def __init__(
        self, background: Background, hosts: tuple[str, ...], clock: Callable[[], float], fetch: FetchText | None = None
    ) -> None:
        self._background = background
        self._clock = clock
        self._fetch = fetch or _fetch
        self._directories = {host: _Directory() for host in hosts}
        self._arrived: deque[tuple[str, Keys | None]] = deque()
        self.counts: Counter[str] = Counter()
        """Fetches by what came of them."""

    def __contains__(self, host: str) -> bool:
        return host in self._directories

    def are_in(self, text: bytes) -> bool:
        """Whether the name of any of the hosts stands in a text."""
        text = text.lower()
        return any(host.encode() in text for host in self._directories)

    def find(self, host: str, key_id: str) -> Ed25519PublicKey | bool | None:
        """A key of an allowed host; False: the host has no such key; None: not known (yet), or it may be one that is not read."""
        while self._arrived:
            self._take(*self._arrived.popleft())
        directory = self._directories[host]
        now = self._clock()
        key = directory.keys.get(key_id)
        age = now - directory.fetched
        is_wanted = age > FRESH_SECONDS or (key is None and age > RETRY_SECONDS)
        if is_wanted and not directory.is_asking and now - directory.asked > RETRY_SECONDS:
            directory.asked = now
            directory.is_asking = True
            self._background.submit(self._ask(host))
        if age > KEPT_SECONDS:
            return None
        if key is None and not directory.is_asking and age <= FRESH_SECONDS and OTHERS not in directory.keys:
            return False
        return key

    def _take(self, host: str, keys: Keys | None) -> None:
        directory = self._directories[host]
        directory.is_asking = False
        self.counts["failed" if keys is None else "fetched"] += 1
        if keys is not None:
            directory.keys = keys
            directory.fetched = self._clock()

    async def _ask(self, host: str) -> None:
        keys: Keys | None = None
        try:
            keys = parse_directory(await asyncio.to_thread(self._fetch, f"https://{host}{WELL_KNOWN}"))
        except (FetchFailed, ValueError):
            keys = None
        finally:
            self._arrived.append((host, keys))


def _fetch(url: str) -> bytes:
    return fetch(url, max_bytes=MAX_BYTES, timeout_seconds=TIMEOUT_SECONDS)
