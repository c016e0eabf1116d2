"""Tallies the clients that shadow rules would have stopped, and the protected ones that enforced rules stopped, for 24 hours.

A tally per rule in buckets of two hours: requests, different clients and networks, and of them those of protected classes (every
class of client but `anonymous`). Bounded: MAX_RULES rules, a kilobyte a count, TOP names. What a client and its
network are called, whoever makes it decides. Tallies of several workers can be joined. Knows nothing of why a rule applied.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.decision import STOPPING, Decision, Mode
from proxyguard.core.distinct import Distinct

WINDOW_SECONDS: Final = 86_400.0

BUCKET_SECONDS: Final = 7200.0

SEEN_SECONDS: Final = 600.0
"""Buckets of the protected clients seen: fine enough to say who was here in the last hour."""

RECENT_SECONDS: Final = 3600.0

MAX_RULES: Final = 128
"""Rules with a tally of their own in a mode, about 200 KiB each when all buckets are full; hits of further ones are not kept."""

MAX_BEGUN: Final = 20_000
"""Rules of which it is known since when they are tallied; more than a policy has in shadow."""

TOP: Final = 16
"""Networks and clients named per bucket, the busiest (space-saving: a newcomer takes the place and the count of the least)."""

MISSES: Final = 8
"""Only one of so many newcomers to a full list takes a place: looking for the least costs more than all the rest."""

MAX_CLIENTS_KNOWN: Final = 4096
"""Clients whose keys and hashes are kept at hand; scrapers come back."""

ANONYMOUS: Final = frozenset({"", "anonymous"})
"""Classes that protect nobody: none was defined, or none of them fits."""


class _Client:
    """A client's key, the name of its network, and the hashes that sketches count."""

    __slots__ = ("client", "client_key", "network", "network_name")

    def __init__(self, client_key: str, network_name: str, client: int, network: int) -> None:
        self.client_key = client_key
        self.network_name = network_name
        self.client = client
        self.network = network


class _Top:
    """The busiest keys: requests, those of protected clients, and how many may have come before the key was taken up."""

    __slots__ = ("_missed", "counts")

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}
        self._missed = 0

    def add(self, key: str, requests: int, protected: int, unseen: int = 0) -> None:
        counts = self.counts
        entry = counts.get(key)
        if entry is None:
            if len(counts) < TOP:
                entry = [0, 0, 0]
            else:
                self._missed += requests
                if self._missed < MISSES:
                    return
                before = counts.pop(_least(counts))
                entry = [0, 0, before[0] + before[2] + self._missed - requests]
                self._missed = 0
            counts[key] = entry
        entry[0] += requests
        if protected:
            entry[1] += protected
        if unseen:
            entry[2] += unseen


def _least(counts: dict[str, list[int]]) -> str:
    """Of the keys with the fewest requests the one that was taken up first."""
    return min(counts, key=lambda name: counts[name][0] + counts[name][2])


_NUMBERS: Final = ("requests", "protected_requests", "first", "last")

_DISTINCT: Final = ("clients", "networks", "protected")


@dataclass(slots=True, eq=False)
class Hits:
    """The requests that one rule stopped, or would have stopped, within a period."""

    requests: int = 0
    protected_requests: int = 0
    clients: Distinct = field(default_factory=Distinct)
    networks: Distinct = field(default_factory=Distinct)
    protected: Distinct = field(default_factory=Distinct)
    top_clients: _Top = field(default_factory=_Top)
    top_networks: _Top = field(default_factory=_Top)
    first: float = 0.0
    last: float = 0.0

    def join(self, other: Hits) -> None:
        self.requests += other.requests
        self.protected_requests += other.protected_requests
        self.clients.join(other.clients)
        self.networks.join(other.networks)
        self.protected.join(other.protected)
        for mine, theirs in ((self.top_clients, other.top_clients), (self.top_networks, other.top_networks)):
            for key, counts in theirs.counts.items():
                mine.add(key, *counts)
        firsts = [time for time in (self.first, other.first) if time]
        self.first = min(firsts, default=0.0)
        self.last = max(self.last, other.last)

    def as_data(self) -> dict[str, Any]:
        """Plain data for `from_data`, in another process."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            **{name: getattr(self, name).as_data() for name in _DISTINCT},
            "top_clients": self.top_clients.counts,
            "top_networks": self.top_networks.counts,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Hits:
        """The inverse of `as_data`."""
        made = cls()
        for name in _NUMBERS:
            setattr(made, name, data[name])
        for name in _DISTINCT:
            setattr(made, name, Distinct.from_data(data[name]))
        for top, names in ((made.top_clients, data["top_clients"]), (made.top_networks, data["top_networks"])):
            for key, counts in names.items():
                top.add(key, *counts)
        return made


@dataclass(slots=True)
class TallyWindow:
    """The tallies of the last 24 hours. `since` is when they began, if less than that is known (Unix seconds)."""

    since: float
    shadow: dict[str, Hits]
    enforce: dict[str, Hits]
    """Only requests of protected clients are here."""
    seen: Distinct
    """Protected clients, refused ones included."""
    seen_recently: Distinct
    """Those of the last hour."""
    left_out: int = 0
    """Hits of rules beyond MAX_RULES."""
    begun: dict[str, float] = field(default_factory=dict)
    """Shadow rules that are tallied only since later, because they changed or were not in shadow before."""

    def since_of(self, rule: str) -> float:
        """Since when a shadow rule is tallied."""
        return max(self.since, self.begun.get(rule, 0.0))

    def as_data(self) -> dict[str, Any]:
        """Plain data for `joined`."""
        return {
            "since": self.since,
            "shadow": {rule: hits.as_data() for rule, hits in self.shadow.items()},
            "enforce": {rule: hits.as_data() for rule, hits in self.enforce.items()},
            "seen": self.seen.as_data(),
            "seen_recently": self.seen_recently.as_data(),
            "left_out": self.left_out,
            "begun": self.begun,
        }

    @classmethod
    def joined(cls, several: Iterable[dict[str, Any]]) -> TallyWindow:
        """The windows of several workers as one; all of them know the same since the youngest began."""
        whole = cls(0.0, {}, {}, Distinct(), Distinct())
        for data in several:
            whole.since = max(whole.since, data["since"])
            whole._add(data)
            for rule, at in data["begun"].items():
                whole.begun[rule] = max(at, whole.begun.get(rule, 0.0))
        return whole

    def add_earlier(self, data: dict[str, Any], same: Iterable[str], others: Iterable[str]) -> None:
        """Add what was tallied before the last start: of the `same` shadow rules as then, not of `others` that are in shadow."""
        kept, began = set(same), self.since
        self.begun = {rule: max(began, self.begun.get(rule, 0.0)) for rule in others} | {
            rule: data["begun"].get(rule, data["since"]) for rule in kept
        }
        self._add({**data, "shadow": {rule: hits for rule, hits in data["shadow"].items() if rule in kept}})
        self.since = min(began, data["since"])

    def _add(self, data: dict[str, Any]) -> None:
        self.left_out += data["left_out"]
        self.seen.join(Distinct.from_data(data["seen"]))
        self.seen_recently.join(Distinct.from_data(data["seen_recently"]))
        for mine, theirs in ((self.shadow, data["shadow"]), (self.enforce, data["enforce"])):
            for rule, hits in theirs.items():
                mine.setdefault(rule, Hits()).join(Hits.from_data(hits))


class Tally:
    """Observes decisions. One per process; called from the event loop only."""

    def __init__(
        self,
        secret: bytes,
        prefixes: Prefixes,
        clock: Callable[[], float],
        name: Callable[[str], str] = str,
        name_network: Callable[[Address], str] | None = None,
    ) -> None:
        """`name` is what a client's key is called at the time of a report; `name_network` what its network is, None: its key."""
        self._name = name
        self._name_network = name_network
        self._secret = secret[:64]
        self._prefixes = prefixes
        self._clock = clock
        self._since = clock()
        self._hits: dict[Mode, dict[str, dict[int, Hits]]] = {Mode.SHADOW: {}, Mode.ENFORCE: {}}
        self._seen: dict[int, Distinct] = {}
        self._left_out = 0
        self._begun: dict[str, float] = {}
        self._known: dict[int, _Client] = {}

    def observe(self, client: Address, class_: str, decision: Decision) -> None:
        """Count one decision about a client of a class; worth calling when there is a class or a shadow hit."""
        is_protected = class_ not in ANONYMOUS
        stopped = [hit.rule for hit in decision.shadow if hit.action in STOPPING] if decision.forwards else []
        if not (is_protected or stopped):
            return
        now = self._clock()
        known = self._known.get(client.number) or self._learn(client)
        if is_protected:
            self._observe_bucket(now).add(known.client)
            if decision.refuses:
                self._count(Mode.ENFORCE, decision.rule, now, known, is_protected=True)
        for rule in stopped:
            self._count(Mode.SHADOW, rule, now, known, is_protected=is_protected)

    def forget(self, rule: str, mode: Mode) -> None:
        """Drop the tally of a rule in a mode: the rule has changed, or a watch over it begins."""
        self._hits[mode].pop(rule, None)
        if mode is Mode.SHADOW:
            self._begun.pop(rule, None)
            if len(self._begun) >= MAX_BEGUN:
                del self._begun[next(iter(self._begun))]  # of the others, it is the one that changed longest ago
            self._begun[rule] = self._clock()

    async def window(self, *, enforced_only: bool = False) -> TallyWindow:
        """The last 24 hours; `enforced_only` leaves out shadow rules and all that was seen before the last hour.

        Adding it up takes a millisecond a rule, so requests get their turn after each.
        """
        now = self._clock()
        self._drop_old(now)
        recent = int((now - RECENT_SECONDS) // SEEN_SECONDS)
        seen, seen_recently = Distinct(), Distinct()
        for bucket, clients in list(self._seen.items()):
            if bucket >= recent:
                seen_recently.join(clients)
            if not enforced_only:
                seen.join(clients)
            await sleep(0)
        return TallyWindow(
            since=max(self._since, now - WINDOW_SECONDS),
            shadow={} if enforced_only else await self._added_up(Mode.SHADOW),
            enforce=await self._added_up(Mode.ENFORCE),
            seen=seen,
            seen_recently=seen_recently,
            left_out=self._left_out,
            begun={} if enforced_only else dict(self._begun),
        )

    async def _added_up(self, mode: Mode) -> dict[str, Hits]:
        """Each rule's buckets as one, with the names that clients have now."""
        found: dict[str, Hits] = {}
        for rule, buckets in list(self._hits[mode].items()):
            whole = found[rule] = Hits()
            for hits in list(buckets.values()):
                whole.join(hits)
            top = whole.top_clients
            top.counts = {self._name(key): counts for key, counts in top.counts.items()}
            await sleep(0)
        return found

    def _count(self, mode: Mode, rule: str, now: float, known: _Client, *, is_protected: bool) -> None:
        rules = self._hits[mode]
        buckets = rules.get(rule)
        if buckets is None:
            if len(rules) >= MAX_RULES:
                self._drop_old(now)
            if len(rules) >= MAX_RULES:
                self._left_out += 1
                return
            buckets = rules[rule] = {}
        bucket = int(now // BUCKET_SECONDS)
        hits = buckets.get(bucket)
        if hits is None:
            self._drop_old(now)
            hits = rules.setdefault(rule, buckets)[bucket] = Hits()
            hits.first = now
        hits.requests += 1
        hits.last = now
        hits.clients.add(known.client)
        hits.networks.add(known.network)
        hits.top_clients.add(known.client_key, 1, is_protected)
        hits.top_networks.add(known.network_name, 1, is_protected)
        if is_protected:
            hits.protected_requests += 1
            hits.protected.add(known.client)

    def _observe_bucket(self, now: float) -> Distinct:
        bucket = int(now // SEEN_SECONDS)
        seen = self._seen.get(bucket)
        if seen is None:
            self._drop_old(now)
            seen = self._seen[bucket] = Distinct()
        return seen

    def _drop_old(self, now: float) -> None:
        oldest = int((now - WINDOW_SECONDS) // SEEN_SECONDS)
        for bucket in [bucket for bucket in self._seen if bucket <= oldest]:
            del self._seen[bucket]
        oldest = int((now - WINDOW_SECONDS) // BUCKET_SECONDS)
        for rules in self._hits.values():
            for rule, buckets in list(rules.items()):
                for bucket in [bucket for bucket in buckets if bucket <= oldest]:
                    del buckets[bucket]
                if not buckets:
                    del rules[rule]

    def _learn(self, client: Address) -> _Client:
        if len(self._known) >= MAX_CLIENTS_KNOWN:
            self._known.clear()
        keys = client.client_key(self._prefixes), client.network_key(self._prefixes)
        network = keys[1] if self._name_network is None else self._name_network(client)
        known = self._known[client.number] = _Client(keys[0], network, *map(self._hash, keys))
        return known

    def _hash(self, key: str) -> int:
        return int.from_bytes(blake2b(key.encode(), digest_size=8, key=self._secret).digest())
