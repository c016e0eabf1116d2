"""Who signed a request: HTTP message signatures (RFC 9421) of bots, as draft-meunier-web-bot-auth-architecture uses them.

The only module that knows http-message-signatures. Fails closed: a signature proves only when it covers the authority and the
signer's name, was made just now, ends, was not sent before, and fits a key of an allowed host. One that cannot be judged (its
host is not allowed, its keys are not here yet) is unknown; one that is wrong is a failed claim.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from datetime import timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import http_sf
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature
from http_message_signatures.algorithms import ED25519

from proxyguard.core.request import Request, Values
from proxyguard.core.shares import Shares
from proxyguard.guard.origin.key_directories import WELL_KNOWN, KeyDirectories
from proxyguard.guard.origin.shared_nonces import SharedNonces

TAG: Final = "web-bot-auth"
MAX_FIELD_BYTES: Final = 4096
"""Of each of the three fields; those of bots have about 300 bytes."""
MAX_PARTS: Final = 64
"""Of each field: what separates its members, parameters and components, and what is escaped. Those of bots have about 10; to read
some hundred takes 10 ms, and anybody may send them."""
_SEPARATORS: Final = b",; \t(%\\"
MAX_COMPONENTS: Final = 20
SKEW_SECONDS: Final = 30.0
"""How far the signer's clock may be ahead."""
MAX_VALID_SECONDS: Final = 86_400.0
"""From `created` to `expires`; the draft's advice."""
MAX_NONCES: Final = 80_000
"""Nonces remembered, 20 MiB at most. One host may have as many as there is room for others: half of them when it is alone, 120
signed requests a second. What finds no room within the time is unknown."""
_MARK_BYTES: Final = 16

_HOST: Final = re.compile(r"[a-z0-9.-]+(?::[0-9]{1,5})?", re.ASCII)

_TARGET: Final = re.compile(rb"/(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*(?:\?(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?")
"""A target as RFC 3986 has it. Clients send others too (`/a|b`), of which the library makes nothing."""
_OF_TARGET: Final = frozenset({"@target-uri", "@request-target", "@path", "@query", "@query-param"})


class SignatureVerdict(NamedTuple):
    """What a signature says. `verified` None: it cannot be judged (yet)."""

    host: str
    """The host whose key it refers to; empty: none that is allowed."""
    verified: bool | None
    reason: str


class SeenNonces:
    """Nonces of valid signatures, until their time has passed. Bounded; never forgets one that still counts.

    A host may hold as many as are free: however many hosts fill their share, there is as much room for one more.
    """

    __slots__ = ("_by_host", "_seen", "capacity", "shared")

    def __init__(self, capacity: int = MAX_NONCES) -> None:
        self.capacity = capacity
        self._seen: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._by_host = Shares()
        self.shared: SharedNonces | None = None
        """What all workers of the instance have seen; None: there is one process."""

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, host: str, key_id: str, nonce: str, now: float, keep_seconds: float) -> bool | None:
        """Whether it is new; None: there is no room to remember it."""
        seen, by_host = self._seen, self._by_host
        while seen:
            mark, (end, whose) = next(iter(seen.items()))
            if end > now:
                break
            del seen[mark]
            by_host.take(whose)
        mark = hashlib.blake2b(f"{key_id} {nonce}".encode("utf-8", "surrogatepass"), digest_size=_MARK_BYTES).digest()
        if mark in seen:
            return False
        if by_host.of(host) >= self.capacity - len(seen):
            return None
        is_new = True if self.shared is None else self.shared.add(mark, now, now + keep_seconds)
        if not is_new:
            return is_new
        seen[mark] = (now + keep_seconds, host)
        by_host.add(host)
        return True


class Signatures:
    """Judges the signatures of requests."""

    def __init__(self, directories: KeyDirectories, max_age_seconds: float) -> None:
        self._directories = directories
        self._max_age_seconds = max_age_seconds
        self.nonces = SeenNonces()

    def judge(self, request: Request, now: float) -> SignatureVerdict | None:
        """The verdict about a request; None: it has no signature of a bot. `now` is Unix seconds. Never raises."""
        index = request.header_index
        inputs = index.get(b"signature-input")
        if inputs is None or not any(TAG.encode() in value for value in inputs):
            return None
        fields = (inputs, index.get(b"signature", ()), index.get(b"signature-agent", ()))
        if any(sum(map(len, values)) > MAX_FIELD_BYTES for values in fields):
            return _unknown("", "its fields are too long")
        texts = [b", ".join(values) for values in fields]
        if not self._directories.are_in(texts[2]):
            return _unknown("", "its host is not one of identity.directories")
        if any(len(text) - len(text.translate(None, _SEPARATORS)) > MAX_PARTS for text in texts):
            return _unknown("", "its fields have too many parts")
        try:
            found = _only_input(texts[0])
            host = _host(texts[2], found.agent_key)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _unknown("", "its fields cannot be read")
        if host not in self._directories:
            return _unknown("", "its host is not one of identity.directories")
        fault = self._fault(found, now)
        if fault:
            return _wrong(host, fault)
        if found.has_parts:  # whatever the client sends there would be taken apart, which takes up to 60 ms
            return _unknown(host, "it covers a part of a field")
        if not _OF_TARGET.isdisjoint(found.covered) and not _TARGET.fullmatch(request.target):
            return _unknown(host, "it covers a target that is written as no address may be")
        return self._verified(request, host, found, now)

    def _fault(self, found: _Input, now: float) -> str:
        """What is wrong with a signature, whatever the key says; empty: nothing."""
        created, expires = found.parameters.get("created"), found.parameters.get("expires")
        if type(created) is not int or type(expires) is not int:
            return "it does not say when it was made and when it ends"
        if created > now + SKEW_SECONDS:
            return "it was made in the future"
        if expires <= now:
            return "it has expired"
        if created < now - self._max_age_seconds:
            return "it was made too long ago"
        if not created < expires <= created + MAX_VALID_SECONDS:
            return "it is valid for too long"
        if "@authority" not in found.covered and "@target-uri" not in found.covered:
            return "it does not cover the authority"
        if "signature-agent" not in found.covered:
            return "it does not cover Signature-Agent"
        if len(found.covered) > MAX_COMPONENTS:
            return "it covers too much"
        return ""

    def _verified(self, request: Request, host: str, found: _Input, now: float) -> SignatureVerdict:
        key_id, nonce = found.parameters.get("keyid"), found.parameters.get("nonce")
        if not isinstance(key_id, str) or not key_id:
            return _wrong(host, "it names no key")
        key = self._directories.find(host, key_id)
        if key is None:
            return _unknown(host, f"{host} may have such a key, and it is not here")
        if isinstance(key, bool):
            return _wrong(host, f"{host} has no such key")
        verifier = _Verifier(signature_algorithm=ED25519, key_resolver=_OneKey(key))
        try:
            verifier.verify(_Message(request), expect_tag=TAG, max_age=None)
        except InvalidSignature:
            return _wrong(host, "it does not fit the request")
        except Exception:  # noqa: BLE001 - a stranger's fields decide what is raised here, and they prove nothing
            return _wrong(host, "it cannot be verified")
        mark = nonce if isinstance(nonce, str) and nonce else _digest(request.header_index[b"signature"], found.label)
        is_new = self.nonces.add(host, key_id, mark, now, self._max_age_seconds + SKEW_SECONDS)
        if is_new is None:
            return _unknown(host, "there is no room to remember its nonce")
        if is_new:
            return SignatureVerdict(host, verified=True, reason="")
        if mark is nonce:
            return _wrong(host, "it was sent before")
        return _unknown(host, "it has no nonce and came before, so that somebody else may have sent it again")


def _digest(fields: Values, label: str) -> str:
    """What stands for a nonce where there is none: two equal requests of the same second have the same signature. Of its bytes,
    as whoever sends it again may name and write it otherwise."""
    members: Any = http_sf.parse(b", ".join(fields), tltype="dictionary")
    signature: bytes = members[label][0]
    return hashlib.sha256(signature).hexdigest()


def _wrong(host: str, reason: str) -> SignatureVerdict:
    return SignatureVerdict(host, verified=False, reason=reason)


def _unknown(host: str, reason: str) -> SignatureVerdict:
    return SignatureVerdict(host, verified=None, reason=reason)


class _Input(NamedTuple):
    """A signature's input: its label, its parameters, the names of what it covers (one may come again with other parameters), and
    which member of Signature-Agent that is about; and whether it covers a part of another field, or of the query."""

    label: str
    parameters: dict[str, Any]
    covered: tuple[str, ...]
    agent_key: str | None
    has_parts: bool


def _only_input(text: bytes) -> _Input:
    """The only signature with the tag. Raises ValueError and others."""
    parsed: Any = http_sf.parse(text, tltype="dictionary")
    found = [
        (label, components, dict(parameters))
        for label, (components, parameters) in parsed.items()
        if isinstance(components, list) and parameters.get("tag") == TAG
    ]
    if len(found) != 1:
        raise ValueError("not one signature of a bot")
    label, components, parameters = found[0]
    keys = [inner.get("key") for name, inner in components if name == "signature-agent"]
    if len(keys) > 1:
        raise ValueError("several signers")
    has_parts = any(inner for name, inner in components if name != "signature-agent")
    return _Input(label, parameters, tuple(str(name) for name, _ in components), keys[0] if keys else None, has_parts)


def _host(text: bytes, key: str | None) -> str:
    """The host of a Signature-Agent, in the three forms that drafts of it had: an address, a string, the member of a dictionary
    that the signature covers. Raises ValueError and others."""
    text = text.strip()
    if text.startswith(b"https://"):
        value: Any = text.decode("ascii")
    elif text.startswith(b'"'):
        item: Any = http_sf.parse(text, tltype="item")
        value = item[0]
    else:
        members: Any = http_sf.parse(text, tltype="dictionary")
        (value, _) = members[key] if key is not None else next(iter(members.values())) if len(members) == 1 else ("", {})
    parts = urlsplit(value)
    host = str(parts.netloc).lower()
    if (
        parts.scheme != "https"
        or parts.path not in ("", "/", WELL_KNOWN)
        or parts.query
        or parts.fragment
        or not _HOST.fullmatch(host)
    ):
        raise ValueError("no address of a directory")
    return host


class _Verifier(HTTPMessageVerifier):
    """Leaves the times to `_fault`, which has looked at them, with the instance's clock."""

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        pass


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key: Any) -> None:
        self._key = key

    def resolve_public_key(self, key_id: str) -> Any:  # noqa: ARG002 - the library's name for it
        return self._key


class _Fields(NamedTuple):
    lines: tuple[tuple[str, str], ...]

    def items(self) -> tuple[tuple[str, str], ...]:
        return self.lines


class _Message:
    """A request as the library reads one."""

    def __init__(self, request: Request) -> None:
        host = request.first(b"host")
        if host is None:
            host = request.host
        self.method = request.method.decode("latin-1")
        target = request.target if _TARGET.fullmatch(request.target) else b"/"  # what covers it is not judged then
        self.url = f"{request.scheme.decode('latin-1')}://{host.decode('latin-1')}{target.decode('latin-1')}"
        self.headers = _Fields(tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers))
