"""What looks like a campaign against the items of a site: alarms for operators, never verdicts. One per process.

Four signs, by family of items and by the hour: reads of clients with nothing to show for themselves, of ids one after the other,
of ids beside those that somebody else just read, and of items that nobody reads again. A sign is an alarm when there is more than
twice of it than usual in this hour (`limits.hourly`), and more of it among the reads than usual: a crowd that reads as people do
is none. Anybody can set off an alarm, and whoever shuffles ids avoids two of them: that is why nothing follows from one.

Nothing of a person is kept: owners of networks, kinds of client, and sketches of how many clients there were.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from proxyguard.core.address import Prefixes
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.busiest import Busiest
from proxyguard.core.decision import Allow
from proxyguard.core.distinct import Distinct
from proxyguard.core.item import Item
from proxyguard.core.jar import FRESH, OLD, PROVEN
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Request
from proxyguard.guard.acquaintances import KNOWN
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.http.fingerprints.claimed_kind import claimed_kind
from proxyguard.limits.bloom import places, put
from proxyguard.limits.hourly import HOUR_SECONDS, budget
from proxyguard.limits.learning import Learning

SIGNED_IN: Final = "signed-in"
VERIFIED: Final = "verified-bot"
EARLIER: Final = "known"
PROVEN_NOW: Final = "proven"
WITH_COOKIE: Final = "cookie"
UNPROVEN: Final = "unproven"
STANDINGS: Final = (SIGNED_IN, VERIFIED, EARLIER, PROVEN_NOW, WITH_COOKIE, UNPROVEN)
"""What a client has to show for itself, the most first."""

SIGNS: Final = ("unproven", "sequence", "neighbours", "once")

MAX_FAMILIES: Final = 16
"""Families of items that are watched, about 150 KiB each; the first ones that are read."""

CELLS: Final = 32
"""Owners and kinds named of a family."""

CLIENTS: Final = 8_192
"""Clients whose last id is remembered; the one that read the longest ago gives way."""

NEIGHBOUR_SECONDS: Final = 600.0
NEIGHBOURS: Final = 16_384
"""Ids remembered of each ten minutes, of all families; further ones are not."""

BLOOM_BITS: Final = 1 << 19
BLOOM_MASK: Final = BLOOM_BITS - 1
PROBES: Final = 3
"""Of an hour with 100,000 different items one in twelve is taken for one that was read again."""

LEAST_READS: Final = 100
HASHES: Final = 2_048
"""Clients whose hash is kept at hand: half a megabyte, and two more where each was counted last in an hour of its own."""

TIMES: Final = 2.0
SHARE_TIMES: Final = 1.5
EVALUATE_EVERY: Final = 64
FIRST_EVALUATE_EVERY: Final = 8
KEPT_SECONDS: Final = 86_400.0


class Campaign(NamedTuple):
    """An alarm of the last 24 hours, with the evidence of the moment when it was last on. Times are the line's."""

    family: str
    sign: str
    began: float
    last: float
    reads: int
    signs: int
    usual: float
    usual_reads: float
    evidence: dict[str, Any]


class _Client:
    """The keyed hash of a client, and where it was counted last: there, once more would be for nothing."""

    __slots__ = ("counted", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.counted: Distinct | None = None


class _Family:
    """What was read of one family in this hour."""

    __slots__ = (
        "again", "cells", "clients", "distinct", "hour", "index", "name", "neighbours", "reads", "repeated", "seen", "sequence",
        "standings",
    )  # fmt: skip

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.begin(-1)

    def begin(self, hour: int) -> None:
        """Begin another hour."""
        self.hour = hour
        self.reads = self.sequence = self.neighbours = self.distinct = self.repeated = 0
        self.standings: dict[str, int] = dict.fromkeys(STANDINGS, 0)
        self.clients: dict[str, Distinct] = {each: Distinct() for each in STANDINGS}
        self.cells = Busiest(CELLS)
        self.seen = bytearray(BLOOM_BITS // 8)
        self.again = bytearray(BLOOM_BITS // 8)

    def saw(self, number: Number64) -> None:
        """Take in that an item was read."""
        first, step = places(number, BLOOM_MASK)
        if put(self.seen, first, step, BLOOM_MASK, PROBES):
            self.distinct += 1
        elif put(self.again, first, step, BLOOM_MASK, PROBES):
            self.repeated += 1

    def count(self, sign: str) -> int:
        """How much there is of a sign."""
        if sign == "sequence":
            return self.sequence
        if sign == "neighbours":
            return self.neighbours
        if sign == "once":
            return max(0, self.distinct - self.repeated)
        return self.standings[UNPROVEN]

    def evidence(self) -> dict[str, Any]:
        """Who read, and where from."""
        return {
            "standings": {each: [self.standings[each], self.clients[each].as_data()] for each in STANDINGS},
            "cells": [[asn, owner, kind.decode(), counts.requests] for (asn, owner, kind), counts in self.cells.top(CELLS)],
        }


class Campaigns:
    """Watches who reads which items."""

    __slots__ = ("_clients", "_families", "_found", "_key", "_known", "_learning", "_near", "_near_turn", "_prefixes", "_wall")

    def __init__(self, secret: bytes, prefixes: Prefixes, learning: Learning, wall: Callable[[float], float]) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"campaigns").digest()
        self._prefixes = prefixes
        self._learning = learning
        self._wall = wall
        self._families: dict[bytes, _Family] = {}
        self._clients: OrderedDict[int, int] = OrderedDict()
        self._known: dict[str, _Client] = {}
        self._near: list[dict[int, int]] = [{}, {}]
        self._near_turn = 0
        self._found: dict[tuple[str, str], Campaign] = {}

    def observe(self, item: Item, ticket: Ticket, served: Served, now: float) -> None:
        """Take in a request for an item that the site answered. What an allow rule let through is nobody's campaign."""
        if served.upstream_seconds is None or isinstance(ticket.decision.action, Allow):
            return
        family = self._families.get(item.family)
        if family is None:
            if len(self._families) >= MAX_FAMILIES:
                return
            family = self._families[item.family] = _Family(item.family.decode("ascii", "replace"), len(self._families))
        self._turn(family, now)
        request = ticket.request
        client = self._client(request)
        standing = standing_of(request)
        family.reads += 1
        family.standings[standing] += 1
        clients = family.clients[standing]
        if client.counted is not clients:
            clients.add(client.number)
            client.counted = clients
        origin = request.origin
        owner, asn = ("", 0) if origin is None else (origin.owner or "", origin.asn or 0)
        family.cells.add((asn, owner, claimed_kind(request.user_agent).kind), 0, 0, 0)
        if item.number is not None:
            family.saw(item.number)
        if item.ordinal >= 0:
            self._follow(family, item, client.number, now)
        if family.reads % (EVALUATE_EVERY if family.reads > LEAST_READS else FIRST_EVALUATE_EVERY) == 0:
            self._evaluate(family, now)

    def found(self, now: float) -> list[Campaign]:
        """The alarms of the last 24 hours, the last one first."""
        for family in self._families.values():
            self._turn(family, now)
            self._evaluate(family, now)
        self._found = {key: each for key, each in self._found.items() if now - each.last < KEPT_SECONDS}
        return sorted(self._found.values(), key=_by_time)

    def count_on(self, now: float) -> int:
        """How many alarms are on."""
        return sum(each.last >= now for each in self.found(now))

    def as_data(self, now: float) -> list[dict[str, Any]]:
        """The alarms of the last 24 hours, for another process. Times are the wall's."""
        return [
            {
                "name": f"{each.family}:{each.sign}", "on": each.last >= now, "began": self._wall(each.began),
                "last": self._wall(each.last), "reads": each.reads, "count": each.signs, "usual": each.usual,
                "usual_reads": each.usual_reads, **each.evidence,
            }
            for each in self.found(now)
        ]  # fmt: skip

    def standings(self, now: float) -> dict[str, list[Any]]:
        """Reads of this hour by what their clients have to show for themselves, and a sketch of the clients."""
        found: dict[str, list[Any]] = {}
        for family in self._families.values():
            self._turn(family, now)
        for each in STANDINGS:
            reads = sum([family.standings[each] for family in self._families.values()])
            clients = Distinct.joined([family.clients[each] for family in self._families.values()])
            found[each] = [reads, clients.as_data()]
        return found

    def _follow(self, family: _Family, item: Item, client: int, now: float) -> None:
        """Compare an id with those that the client and others read before."""
        turn = int(now / NEIGHBOUR_SECONDS)
        if turn != self._near_turn:
            self._near = [{}, self._near[0] if turn == self._near_turn + 1 else {}]
            self._near_turn = turn
        place = item.ordinal * MAX_FAMILIES + family.index  # ids beside each other are so many apart
        before, behind = place - MAX_FAMILIES, place + MAX_FAMILIES
        clients = self._clients
        last = clients.get(client, -1)
        clients[client] = place
        if last < 0:
            if len(clients) > CLIENTS:
                clients.popitem(last=False)
        else:
            clients.move_to_end(client)
            if last in (before, behind):
                family.sequence += 1
        for near in self._near:
            if near and (near.get(before, client) != client or near.get(behind, client) != client):
                family.neighbours += 1
                break
        if len(self._near[0]) < NEIGHBOURS:
            self._near[0][place] = client

    def _turn(self, family: _Family, now: float) -> None:
        hour = int(self._wall(now) // HOUR_SECONDS)
        if hour != family.hour:
            family.begin(hour)

    def _evaluate(self, family: _Family, now: float) -> None:
        """Compare the hour with what is usual, and teach what it brought."""
        reads = self._learning.hours(f"campaign/{family.name}", now)
        for sign in SIGNS:
            hours = self._learning.hours(f"campaign/{family.name}/{sign}", now)
            count = family.count(sign)
            usual, usual_reads = hours.usual(), reads.usual()
            is_alarm = (
                usual >= 0.0
                and family.reads >= LEAST_READS
                and count > budget(usual, TIMES)
                and count * max(1.0, usual_reads) > SHARE_TIMES * usual * family.reads
            )
            hours.observe(float(count), is_refused=is_alarm)
            if is_alarm:
                known = self._found.get((family.name, sign))
                began = known.began if known is not None and now - known.last < HOUR_SECONDS else now
                self._found[family.name, sign] = Campaign(
                    family.name, sign, began, now, family.reads, count, usual, usual_reads, family.evidence()
                )
        reads.observe(float(family.reads), is_refused=False)

    def _client(self, request: Request) -> _Client:
        key = request.client.client_key(self._prefixes)
        known = self._known.get(key)
        if known is None:
            number = int.from_bytes(blake2b(key.encode(), key=self._key, digest_size=8).digest())
            known = keep_at_hand(self._known, HASHES, key, _Client(number))
        return known


def standing_of(request: Request) -> str:
    """What the client of a request has to show for itself."""
    if request.account_key is not None:
        return SIGNED_IN
    if request.origin is not None and request.origin.identity is not None:
        return VERIFIED
    states = request.jar.states
    if request.visitor == KNOWN or OLD in states:
        return EARLIER
    if PROVEN in states:
        return PROVEN_NOW
    return WITH_COOKIE if FRESH in states else UNPROVEN


def _by_time(campaign: Campaign) -> tuple[float, str, str]:
    return -campaign.last, campaign.family, campaign.sign
