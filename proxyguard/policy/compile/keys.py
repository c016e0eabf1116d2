"""The keys that limits count by and bans are remembered by: short strings made from a request.

Decides what of a request may appear in a key: addresses as they are, short plain hosts and paths as they are, everything else
(headers, cookies, query parameters, user agents, long or odd texts) as a keyed hash, so that no secret of a client is ever in
a key, a log or a shared store. Equal in every process that has the same secret. Knows nothing of stores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import product
from typing import Final

from proxyguard.core.address import Prefixes
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.core.request import Request, Values
from proxyguard.limits.charge import Charge, Owner, distinct_key
from proxyguard.limits.limit import OWN_KINDS, REQUESTS, Ambiguous, KeyKind, KeyPart, Limit, Missing, Window
from proxyguard.policy.fields.field_type import AnyValues, FieldType, KeyForm, NamedValues, SingleValue
from proxyguard.policy.fields.registry import field_type, read_name
from proxyguard.policy.model import Field

AMBIGUOUS: Final = "?"
"""Stands for a part that has several values, or one that cannot be known. No value is ever shown like this."""

MAX_CANDIDATES: Final = 512
"""Keys that an ambiguous request is looked for by among the bans, all that parsers let through of one part. Of several parts
those of the first and the last values, since sites read the first or the last."""

BY_CLIENT: Final = (KeyPart(KeyKind.CLIENT),)
"""What a ban is for when its rule has no limit to say."""

BY_NETWORK: Final = (KeyPart(KeyKind.NETWORK),)

HASH_BYTES: Final = 8
"""16 hexadecimal digits: a table of a million keys has a chance of 3e-8 of two that are one."""

MISSING: Final = "-"
"""Stands for a part that the request lacks; no value is ever shown like this."""

MAX_CLIENTS: Final = 2_048
"""Clients that a policy remembers, 1.5 KiB each where eight limits apply and 7 at most; then it begins anew."""

MAX_SLOTS: Final = 32
"""Limits whose charges are remembered with a client: somewhat more than the bundled rules have."""

MAX_PLAIN: Final = 64

_PLAIN: Final = re.compile(rb"[A-Za-z0-9._~/:\[\]-]{2,%d}|/" % MAX_PLAIN)
"""Hosts and paths that may stand in a key as they are: nothing that separates parts, nothing long."""


class Shown:
    """A key, or one part of one, as text. A class rather than a function: compiled, a method is found at a tenth of the cost."""

    slot: int = -1
    """Of a limit that counts by client or network alone: where `KnownClient.charges` has its charge; -1: nowhere."""

    def of(self, request: Request) -> str | None:
        """None when the request lacks it, AMBIGUOUS when sites may disagree about it."""
        raise NotImplementedError


class KnownClient:
    """What a policy remembers of a client: whose its requests are, and charges that are the same for each of them, by slot."""

    __slots__ = ("charges", "owner")

    def __init__(self, owner: Owner, slots: int) -> None:
        self.owner = owner
        self.charges: list[Charge | None] = [None] * slots


class _Called(Shown):
    """What a function says."""

    def __init__(self, function: Callable[[Request], str | None]) -> None:
        self._function = function

    def of(self, request: Request) -> str | None:
        return self._function(request)


class _Client(Shown):
    """The client's address, or a part of it."""

    def __init__(self, prefixes: Prefixes) -> None:
        self._prefixes = prefixes

    def of(self, request: Request) -> str:
        return request.client.client_key(self._prefixes)


class _Network(_Client):
    """The client's network."""

    def of(self, request: Request) -> str:
        return request.client.network_key(self._prefixes)


class _JarName(_Client):
    """The name of its cookie jar; the client where there is none."""

    def of(self, request: Request) -> str:
        return request.jar.name or request.client.client_key(self._prefixes)


class _Starting(Shown):
    """The key of a counter by client: no request lacks that."""

    def __init__(self, start: str, client: _Client) -> None:
        self._start = start
        self._client = client

    def of(self, request: Request) -> str:
        return self._start + self._client.of(request)


class _Counter(Shown):
    """The key of a counter. AMBIGUOUS only where the limit refuses what is: else the client stands for the part."""

    def __init__(self, start: str, parts: tuple[Shown, ...], client: _Client, limit: Limit) -> None:
        self._start = start
        self._parts = parts
        self._client = client
        self._missing = limit.missing
        self._refuses = limit.ambiguous is Ambiguous.REJECT

    def of(self, request: Request) -> str | None:
        text = ""
        for part in self._parts:
            value = part.of(request)
            if value is None:
                if self._missing is Missing.SKIP:
                    return None
                value = MISSING if self._missing is Missing.SHARED else "@" + self._client.of(request)
            elif value == AMBIGUOUS:
                if self._refuses:
                    return AMBIGUOUS
                value = "@" + self._client.of(request)
            text = f"{text}|{value}" if text else self._start + value
        return text


class KeyMaker:
    """Makes the keys of one policy."""

    __slots__ = ("_client", "_hasher", "_known", "_prefixes", "_reading", "_slots")

    def __init__(self, secret: bytes, prefixes: Prefixes, reading: SiteReading = STRICT) -> None:
        """`secret` may have any length."""
        self._reading = reading
        self._hasher = blake2b(key=blake2b(secret, digest_size=32).digest(), digest_size=HASH_BYTES)
        self._prefixes = prefixes
        self._client = _Client(prefixes)
        self._known: dict[str, KnownClient] = {}
        """By address."""
        self._slots = 0

    def known(self, request: Request) -> KnownClient:
        """What is remembered of the client of a request."""
        address = request.client.text
        known = self._known.get(address)
        if known is None:
            known = keep_at_hand(self._known, MAX_CLIENTS, address, KnownClient(self.own_ban_keys(request), self._slots))
        return known

    def limit_key(self, rule_set: str, rule: str, limit: Limit, *, shadow: bool) -> Shown:
        """The key of a limited rule's counter; None when the limit does not apply.

        It stays the same as long as rule set, rule and limit do, and starts anew when one of them changes.
        """
        start = f"{rule_identity(rule_set, rule, limit, shadow=shadow)}|"
        client, parts = self._client, tuple(self._part(part) for part in limit.per)
        counter = _Starting(start, client) if limit.per == BY_CLIENT else _Counter(start, parts, client, limit)
        if limit.count.of is None:
            if self._slots < MAX_SLOTS and all(part.kind in (KeyKind.CLIENT, KeyKind.NETWORK) for part in limit.per):
                counter.slot = self._slots
                self._slots += 1
            return counter
        value_of = self._counted_value(limit.count.of, limit.missing)

        def with_value(request: Request) -> str | None:
            key, value = counter.of(request), value_of(request)
            if key is None or value is None or key == AMBIGUOUS:
                return key if value is not None else None
            return distinct_key(key, self._digest(value.encode()))

        return _Called(with_value)

    def is_own(self, limit: Limit) -> Callable[[Request], bool]:
        """Whether a request is counted by what belongs to its client alone, so that nobody else can have used up the limit."""
        if any(part.kind == KeyKind.CLIENT for part in limit.per):
            return lambda _request: True
        own = tuple(self._part(part) for part in limit.per if part.kind in OWN_KINDS)
        if own and limit.missing is Missing.SEPARATE:
            return lambda _request: True
        return lambda request: any(part.of(request) is not None for part in own)

    def _counted_value(self, of: KeyPart, missing: Missing) -> Callable[[Request], str | None]:
        """What must differ. An ambiguous value counts as one that was not seen before, unless all of it was: never as none."""
        part, client = self._part(of), self._client

        def value_of(request: Request) -> str | None:
            value = part.of(request)
            if value is None:
                if missing is Missing.SKIP:
                    return None
                return MISSING if missing is Missing.SHARED else f"@{client.of(request)}"
            if value == AMBIGUOUS:
                return f"?{self.hashed(b''.join((request.target, *request.header_index.get(b'cookie', ()))))}"
            return value

        return value_of

    def ban_key(self, per: tuple[KeyPart, ...]) -> Callable[[Request], str]:
        """The key of a ban, such as `client:203.0.113.9` or `header.x-api-key:<hash>`, parts joined by `+`.

        A request that lacks a part, or has an ambiguous one, is banned by its client address: nobody is banned for what others
        left out as well, or by a name that somebody else gave.
        """
        parts = tuple((str(part), self._part(part)) for part in per)

        def key(request: Request) -> str:
            shown = []
            for name, part in parts:
                value = part.of(request)
                if value is None or value == AMBIGUOUS:
                    return self.own_ban_keys(request)[0]
                shown.append(f"{name}:{value}")
            return "+".join(shown)

        return key

    def looked_up(self, per: tuple[KeyPart, ...], session: Field | None = None) -> Callable[[Request], Iterable[str]]:
        """The keys that a request may be banned by: `ban_key`'s, and for an ambiguous request those of each of its values.

        `session` is what identifies an account: one is looked for by it also where the site's word is not known.
        """
        own = self.ban_key(per)
        candidates = tuple((str(part), self._part(part), self._candidates(_identified(part, session))) for part in per)
        doubts = tuple((None, AMBIGUOUS) if part.kind == KeyKind.ACCOUNT else (AMBIGUOUS,) for part in per)

        def keys(request: Request) -> Iterable[str]:
            unclear = sum(part.of(request) in doubt for (_, part, _), doubt in zip(candidates, doubts, strict=True))
            if not unclear:
                return (own(request),)
            most = int(MAX_CANDIDATES ** (1 / unclear))
            each = [[f"{name}:{value}" for value in values(request, most)] for name, _, values in candidates]
            return (own(request), *map("+".join, product(*each)))

        return keys

    def _candidates(self, part: KeyPart) -> Callable[[Request, int], Iterable[str]]:
        """The values of a part, at most so many: then the first and the last of them."""
        shown = self._part(part)
        values_of = self._values(part)
        as_text = self.hashed if values_of is None else self._as_text(field_type(part.kind))

        def candidates(request: Request, most: int) -> Iterable[str]:
            values = () if values_of is None else values_of(request)
            if len(values) < 2:
                value = shown.of(request)
                return () if value is None or value == AMBIGUOUS else (value,)
            half = most // 2
            return [as_text(value) for value in dict.fromkeys((*values[:half], *values[-half:]))]

        return candidates

    def own_ban_keys(self, request: Request) -> tuple[str, str]:
        """The keys of the bans that every request is looked for by: of its client, and of the client's network."""
        return request.client.ban_keys(self._prefixes)

    def position(self, request: Request) -> float:
        """Where the client of a request stands among all, 0 to 1: nobody who does not have the secret can choose it."""
        return int.from_bytes(self._digest(b"sample|" + self._client.of(request).encode())) / (1 << 8 * HASH_BYTES)

    def session_key(self, session: Field) -> Shown:
        """The keyed hash of what identifies a session: a cookie or a header; None when the request has none."""
        return self._part(KeyPart(session.kind, session.name))

    def _part(self, part: KeyPart) -> Shown:
        match part.kind:
            case KeyKind.CLIENT:
                return self._client
            case KeyKind.NETWORK:
                return _Network(self._prefixes)
            case KeyKind.SITE:
                return _Called(lambda _request: "*")
            case KeyKind.ACCOUNT:
                return _Called(lambda request: AMBIGUOUS if request.is_session_unclear else request.account_key)
            case KeyKind.JAR:
                return _JarName(self._prefixes)
            case KeyKind.ITEM:
                return _Called(_item)
            case _:
                values_of, field = self._values(part), field_type(part.kind)
                if values_of is None:
                    return self._of_field(field)
                as_text = self._as_text(field)
                return _Called(lambda request: _only(values_of(request), as_text))

    def _values(self, part: KeyPart) -> Callable[[Request], Values] | None:
        """The different values of a part that a request may have several of; None for other parts."""
        if part.kind in (KeyKind.CLIENT, KeyKind.NETWORK, KeyKind.SITE, KeyKind.ACCOUNT, KeyKind.JAR, KeyKind.ITEM):
            return None
        field = field_type(part.kind)
        if field.key_value is not None:
            return None
        match field.source:
            case NamedValues(whole=whole) if whole is not None and not part.name:
                return lambda request: _distinct(whole(request))
            case NamedValues(by_name=by_name, for_key=None):
                name = read_name(field, part.name.encode(), self._reading)
                return lambda request: _distinct(by_name(request).get(name, ()))
            case NamedValues(for_key=(canonical, values)):
                canonical_name = canonical(part.name.encode())
                return lambda request: values(request, canonical_name)
            case AnyValues(values_of):
                return lambda request: _distinct(values_of(request))
            case _:
                return None

    def _of_field(self, field: FieldType) -> Shown:
        source, is_plain = field.source, field.key is KeyForm.PLAIN
        if field.key_value is not None:
            source = SingleValue(field.key_value)
        match source:
            case SingleValue(value_of):
                if is_plain:
                    return _Called(lambda request: self._plain_or_hash(value_of(request)))
                return _Called(lambda request: self.hashed(value_of(request)))
            case _:
                raise TypeError(f"{field.kind} is no part of a key")

    def _plain_or_hash(self, text: bytes) -> str:
        is_word = 2 <= len(text) <= MAX_PLAIN and text.isalnum()  # a quick way to say the same of most
        return text.decode("ascii") if is_word or _PLAIN.fullmatch(text) else f"#{self.hashed(text)}"

    def _as_text(self, field: FieldType) -> Callable[[bytes], str]:
        """How a value of a field that may have several stands in a key."""
        return self._plain_or_hash if isinstance(field.source, AnyValues) and field.key is KeyForm.PLAIN else self.hashed

    def hashed(self, text: bytes) -> str:
        """A header's, cookie's or query parameter's only value, in its canonical form, as it stands in a key."""
        return self._digest(text).hex()

    def _digest(self, text: bytes) -> bytes:
        hasher = self._hasher.copy()
        hasher.update(text)
        return hasher.digest()


def _identified(part: KeyPart, session: Field | None) -> KeyPart:
    """What of a request says the value of a part: of an account its session."""
    return part if part.kind != KeyKind.ACCOUNT or session is None else KeyPart(session.kind, session.name)


def _distinct(values: Values) -> Values:
    """The values, each once."""
    return values if len(values) < 2 else tuple(dict.fromkeys(values))


def _only(values: Values, as_text: Callable[[bytes], str]) -> str | None:
    if len(values) == 1:
        return as_text(values[0])
    return AMBIGUOUS if values else None


def _item(request: Request) -> str | None:
    item = request.item
    if item is None:
        return None
    return AMBIGUOUS if item.number is None else str(item.number)


def rule_identity(rule_set: str, rule: str, limit: Limit, *, shadow: bool) -> str:
    """What all keys of one limited rule begin with: its name, and six digits of its rule set and limit."""
    terms: tuple[object, ...] = (
        rule_set, limit.amount, limit.period_seconds, limit.burst, [str(p) for p in limit.per], str(limit.missing)
    )  # fmt: skip
    count = limit.count
    if limit.ambiguous is not Ambiguous.CLIENT:
        terms += (str(limit.ambiguous),)
    if count.rules:
        terms += (count.rules,)
    if count != REQUESTS or limit.window is not Window.SLIDING:
        terms += (str(count.kind), count.statuses, str(count.of), str(limit.window), limit.time_zone)
    mark = "!" if shadow else "~"
    return f"{rule}{mark}{blake2b(repr(terms).encode(), digest_size=3).hexdigest()}"
