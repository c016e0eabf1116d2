"""The keys that limits count by and bans are remembered by: short strings made from a request.

Decides what of a request may appear in a key: addresses as they are, short plain hosts and paths as they are, everything else
(headers, cookies, query parameters, user agents, long or odd texts) as a keyed hash, so that no secret of a client is ever in
a key, a log or a shared store. Equal in every process that has the same secret. Knows nothing of stores.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, assert_never

from proxyguard.core.address import Prefixes
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.core.request import Request, Values
from proxyguard.limits.charge import distinct_key
from proxyguard.limits.limit import REQUESTS, KeyKind, KeyPart, Limit, Missing, Window
from proxyguard.policy.fields.field_type import AnyValues, ArisingValues, FieldType, KeyForm, NamedValues, SingleValue
from proxyguard.policy.fields.registry import field_type, read_name
from proxyguard.policy.model import Field

Shown = Callable[[Request], str | None]
"""One part of a key as text; None when the request lacks it."""

BY_CLIENT: Final = (KeyPart(KeyKind.CLIENT),)
"""What a ban is for when its rule has no limit to say."""

BY_NETWORK: Final = (KeyPart(KeyKind.NETWORK),)

HASH_BYTES: Final = 8
"""16 hexadecimal digits: a table of a million keys has a chance of 3e-8 of two that are one."""

MISSING: Final = "-"
"""Stands for a part that the request lacks; no value is ever shown like this."""

_PLAIN: Final = re.compile(rb"[A-Za-z0-9._~/:\[\]-]{2,64}|/")
"""Hosts and paths that may stand in a key as they are: nothing that separates parts, nothing long."""


class KeyMaker:
    """Makes the keys of one policy."""

    __slots__ = ("_hasher", "_prefixes", "_reading")

    def __init__(self, secret: bytes, prefixes: Prefixes, reading: SiteReading = STRICT) -> None:
        """`secret` may have any length."""
        self._reading = reading
        self._hasher = blake2b(key=blake2b(secret, digest_size=32).digest(), digest_size=HASH_BYTES)
        self._prefixes = prefixes

    def limit_key(self, rule_set: str, rule: str, limit: Limit, *, shadow: bool) -> Shown:
        """The key of a limited rule's counter; None when the limit does not apply.

        It stays the same as long as rule set, rule and limit do, and starts anew when one of them changes.
        """
        counter = self._counter_key(rule_identity(rule_set, rule, limit, shadow=shadow), limit.per, limit.missing)
        if limit.count.of is None:
            return counter
        value_of = self._counter_key("", (limit.count.of,), limit.missing)

        def with_value(request: Request) -> str | None:
            key, value = counter(request), value_of(request)
            return None if key is None or value is None else distinct_key(key, self._digest(value.encode()))

        return with_value

    def _counter_key(self, start: str, per: tuple[KeyPart, ...], missing: Missing) -> Shown:
        parts = tuple(self._part(part) for part in per)
        client = self._client
        if per == BY_CLIENT:
            return lambda request: f"{start}|{client(request)}"

        def key(request: Request) -> str | None:
            text = start
            for part in parts:
                value = part(request)
                if value is None:
                    if missing is Missing.SKIP:
                        return None
                    value = MISSING if missing is Missing.SHARED else f"@{client(request)}"
                text = f"{text}|{value}"
            return text

        return key

    def ban_key(self, per: tuple[KeyPart, ...]) -> Callable[[Request], str]:
        """The key of a ban, such as `client:203.0.113.9` or `header.x-api-key:<hash>`, parts joined by `+`.

        A request that lacks a part is banned by its client address: nobody is banned for what others left out as well.
        """
        parts = tuple((str(part), self._part(part)) for part in per)

        def key(request: Request) -> str:
            shown = []
            for name, part in parts:
                value = part(request)
                if value is None:
                    return self.client_ban_key(request)
                shown.append(f"{name}:{value}")
            return "+".join(shown)

        return key

    def own_ban_keys(self, request: Request) -> tuple[str, str]:
        """The keys of the bans that every request is looked for by: of its client, and of the client's network."""
        return request.client.ban_keys(self._prefixes)

    def client_ban_key(self, request: Request) -> str:
        """The key of a ban by client address."""
        return request.client.ban_keys(self._prefixes)[0]

    def session_key(self, session: Field) -> Shown:
        """The keyed hash of what identifies a session: a cookie or a header; None when the request has none."""
        return self._part(KeyPart(session.kind, session.name))

    def _part(self, part: KeyPart) -> Shown:
        match part.kind:
            case KeyKind.CLIENT:
                return self._client
            case KeyKind.NETWORK:
                return lambda request: request.client.network_key(self._prefixes)
            case KeyKind.SITE:
                return lambda _request: "*"
            case KeyKind.ACCOUNT:
                return lambda request: request.account_key
            case _:
                return self._of_field(field_type(part.kind), part.name.encode())

    def _of_field(self, field: FieldType, name: bytes) -> Shown:
        name = read_name(field, name, self._reading)
        source, is_plain = field.source, field.key is KeyForm.PLAIN
        if field.key_value is not None:
            source = SingleValue(field.key_value)
        match source:
            case SingleValue(value_of):
                if is_plain:
                    return lambda request: self._plain_or_hash(value_of(request))
                return lambda request: self.hashed(value_of(request))
            case NamedValues(by_name):
                return lambda request: self._hash_of(by_name(request).get(name))
            case AnyValues(values_of):
                return lambda request: self._hash_of(values_of(request))
            case ArisingValues():
                raise TypeError(f"{field.kind} is no part of a key")
            case _:
                assert_never(source)

    def _client(self, request: Request) -> str:
        return request.client.client_key(self._prefixes)

    def _plain_or_hash(self, text: bytes) -> str:
        return text.decode("ascii") if _PLAIN.fullmatch(text) else f"#{self.hashed(text)}"

    def _hash_of(self, values: Values | None) -> str | None:
        return self.hashed(b"\0".join(values)) if values else None

    def hashed(self, text: bytes) -> str:
        """A header's, cookie's or query parameter's only value as it stands in a key."""
        return self._digest(text).hex()

    def _digest(self, text: bytes) -> bytes:
        hasher = self._hasher.copy()
        hasher.update(text)
        return hasher.digest()


def rule_identity(rule_set: str, rule: str, limit: Limit, *, shadow: bool) -> str:
    """What all keys of one limited rule begin with: its name, and six digits of its rule set and limit."""
    terms: tuple[object, ...] = (
        rule_set, limit.amount, limit.period_seconds, limit.burst, [str(p) for p in limit.per], str(limit.missing)
    )  # fmt: skip
    count = limit.count
    if count != REQUESTS or limit.window is not Window.SLIDING:
        terms += (str(count.kind), count.statuses, str(count.of), str(limit.window), limit.time_zone)
    mark = "!" if shadow else "~"
    return f"{rule}{mark}{blake2b(repr(terms).encode(), digest_size=3).hexdigest()}"
