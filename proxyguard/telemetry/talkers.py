"""Who talks most, within the last minute, hour and day: clients, networks, user agents, paths, rules, referring hosts,
sites, and classes of bots that break robots.txt.

Bounded: each list keeps KEPT names a slice of time, so that what clients choose fills nothing; about 10 MiB in all. Counted in
slices of ten seconds, which are added up to five minutes and to an hour. Clients are numbers in memory and pseudonyms in every
answer. Knows nothing of what is done about anybody.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, Final

from proxyguard.core.address import DEFAULT_PREFIXES, Address, Prefixes, is_v4
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.busiest import Busiest, joined
from proxyguard.core.request import Request
from proxyguard.telemetry.discretion import LOOKED_AT, Discretion, plain_family

LISTS: Final = ("clients", "networks", "user_agents", "paths", "rules", "referers", "sites", "robots")

WINDOWS: Final = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0}

KEPT: Final = 64
"""Names that each list keeps of a slice."""

COUNTED: Final = 128
"""Names that each list of the slice under way is sure to have room for."""

SHOWN: Final = 50
"""Names of each list in an answer."""

SLICE_SECONDS: Final = 10.0

SLICES: Final = (("minute", 10.0, 6), ("hour", 300.0, 12), ("day", 3600.0, 24))
"""Windows, the length of a slice of each, and how many slices make the window."""

MINUTES: Final = 1500
"""Minutes whose totals are kept: a day and an hour, so that the last hour can be compared with the same of the day before."""

MAX_USER_AGENT: Final = 160
"""Characters that are shown."""

MAX_AGENT: Final = LOOKED_AT * MAX_USER_AGENT
"""Bytes that are told apart: more, as what is cut before it is redacted stays."""

_HOST: Final = re.compile(rb"(?:[^/?#]*@)?(\[[^/?#\]]*\]|[^/?#:@\[]*)")
_MARKS: Final = b"?#@:["
"""What may stand around a host, or in it."""

MAX_HOST: Final = 100

MAX_FAMILIES: Final = 4096
"""Paths whose family is remembered."""

MAX_PATH_REMEMBERED: Final = 128
"""Bytes of such a path."""

NO_USER_AGENT: Final = b"(none)"


class _Slice:
    """What came within a period."""

    __slots__ = ("microseconds", "refused", "requests", "sent", "since", "tops", "until")

    def __init__(self, since: float, capacity: int) -> None:
        self.since = since
        self.until = since
        """When the last of it came, at the latest."""
        self.requests = 0
        self.refused = 0
        self.sent = 0
        self.microseconds = 0
        self.tops = [Busiest(capacity) for _ in LISTS]

    def join(self, other: _Slice) -> None:
        if other.requests:
            self.until = max(self.until, other.until)
        self.requests += other.requests
        self.refused += other.refused
        self.sent += other.sent
        self.microseconds += other.microseconds
        for mine, theirs in zip(self.tops, other.tops, strict=True):
            mine.join(theirs)


class _Ring:
    """Slices of one length: those that are over, and the one under way."""

    __slots__ = ("over", "seconds", "under_way")

    def __init__(self, seconds: float, count: int, now: float) -> None:
        self.seconds = seconds
        self.over: deque[_Slice] = deque(maxlen=count)
        self.under_way = _Slice(now, KEPT)

    def add(self, finished: _Slice, now: float) -> None:
        """Add what came up to now."""
        self.under_way.join(finished)
        if now - self.under_way.since >= self.seconds:
            for top in self.under_way.tops:
                top.trim()
            self.over.append(self.under_way)
            self.under_way = _Slice(now, KEPT)

    def within(self, since: float) -> tuple[float, list[_Slice]]:
        """The slices that began since a time, and the one under way; from when on they hold all that came."""
        known = [each for each in self.over if each.since >= since]
        return max([since, *(each.until for each in self.over if each.since < since)]), [*known, self.under_way]


class Talkers:
    """Observes how exchanges ended. One per process; called from the event loop only."""

    def __init__(
        self,
        discretion: Discretion,
        prefixes: Prefixes = DEFAULT_PREFIXES,
        wall: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`clock` is steady; `wall` gives Unix seconds, for the names of the day and the history."""
        self._discretion = discretion
        self._prefixes = prefixes
        self._wall = wall
        self._clock = clock
        now = clock()
        self._began = now
        self._slice = _Slice(now, COUNTED)
        self._until = now + SLICE_SECONDS
        self._rings = {name: _Ring(seconds, count, now) for name, seconds, count in SLICES}
        self._history: deque[list[int]] = deque(maxlen=MINUTES)
        self._families: dict[bytes, str] = {}
        self._cut_v4 = 32 - prefixes.network_v4, 32 - prefixes.client_v4
        self._cut_v6 = 128 - prefixes.network_v6, 128 - prefixes.client_v6

    def observe(self, request: Request, rule: str, refused: int, sent: int, upstream_seconds: float | None) -> None:
        """Count one exchange. `refused` is 1 when a rule refused it; `rule` is empty when none decided."""
        now = self._clock()
        if now >= self._until:
            self._turn(now)
        microseconds = int(upstream_seconds * 1e6) if upstream_seconds is not None else 0
        current = self._slice
        current.requests += 1
        current.refused += refused
        current.sent += sent
        current.microseconds += microseconds
        number = request.client.number
        network, client = self._cut_v4 if is_v4(number) else self._cut_v6
        index = request.header_index
        agents = index.get(b"user-agent")
        agent = agents[0] if agents else NO_USER_AGENT
        host = request.host
        tops = current.tops
        tops[0].add(number >> client << client, refused, sent, microseconds)
        tops[1].add(number >> network << network, refused, sent, microseconds)
        # A text that is not cut is not copied, and has been hashed already.
        tops[2].add(agent if len(agent) <= MAX_AGENT else agent[:MAX_AGENT], refused, sent, microseconds)
        tops[3].add(self._family(request.path, -1 if refused else number >> network), refused, sent, microseconds)
        if rule:
            tops[4].add(rule, refused, sent, microseconds)
        referers = index.get(b"referer")
        if referers:
            referring = referring_host(referers[0])
            if referring and referring != host:
                tops[5].add(referring, refused, sent, microseconds)
        tops[6].add(host if len(host) <= MAX_HOST else host[:MAX_HOST], refused, sent, microseconds)
        robots = request.robots
        if robots is not None:
            for class_ in robots.classes:
                tops[7].add(class_, refused, sent, microseconds)

    def observe_refused_connection(self, client: Address, rule: str) -> None:
        """Count a connection that was refused before it could send a request."""
        now = self._clock()
        if now >= self._until:
            self._turn(now)
        current = self._slice
        current.requests += 1
        current.refused += 1
        network, bits = self._cut_v4 if client.is_v4 else self._cut_v6
        current.tops[0].add(client.number >> bits << bits, 1, 0, 0)
        current.tops[1].add(client.number >> network << network, 1, 0, 0)
        current.tops[4].add(rule, 1, 0, 0)

    def window(self, name: str) -> dict[str, Any]:
        """What came within `minute`, `hour` or `day`, as plain data for `joined_windows`. Raises KeyError for another name."""
        seconds = WINDOWS[name]
        now = self._clock()
        self._turn(now)
        since, slices = self._rings[name].within(now - seconds)
        wall = self._wall()
        return {
            "seconds": max(1.0, now - max(since, self._began)),
            "requests": sum(each.requests for each in slices),
            "refused": sum(each.refused for each in slices),
            "bytes": sum(each.sent for each in slices),
            "upstream_microseconds": sum(each.microseconds for each in slices),
            "lists": {
                name: self._rows(at, joined((each.tops[at] for each in slices), KEPT), wall) for at, name in enumerate(LISTS)
            },
        }

    def history(self) -> list[list[int]]:
        """Per minute of the last 25 hours: its start (Unix seconds), requests, refused, bytes sent, upstream milliseconds."""
        self._turn(self._clock())
        return [*self._history]

    def find(self, pseudonym: str) -> str | None:
        """The client of a list that a pseudonym of today or yesterday means, as a key; None when there is none."""
        return self._discretion.pseudonyms.find(pseudonym, self._clients(), self._wall())

    def name(self, client: str) -> str:
        """The pseudonym of today for an address, by which the client is then found; any other text is what it is."""
        try:
            key = Address.parse(client).client_key(self._prefixes)
        except ValueError:
            return client
        return self._discretion.name(key, self._wall())

    def _clients(self) -> Iterator[str]:
        seen: set[int] = set()
        for ring in self._rings.values():
            for each in (*ring.over, ring.under_way, self._slice):
                seen.update(each.tops[0].counts)
        for number in seen:
            yield Address(number).client_key(self._prefixes)

    def _turn(self, now: float) -> None:
        """Add the slice under way to what is kept, and begin another."""
        finished, self._slice = self._slice, _Slice(now, COUNTED)
        finished.until = min(now, self._until)
        self._until = now + SLICE_SECONDS
        for ring in self._rings.values():
            ring.add(finished, now)
        minute = int((self._wall() - (now - finished.since)) // 60) * 60
        history = self._history
        if not history or history[-1][0] != minute:
            history.append([minute, 0, 0, 0, 0])
        last = history[-1]
        last[1] += finished.requests
        last[2] += finished.refused
        last[3] += finished.sent
        last[4] += finished.microseconds // 1000

    def _family(self, path: bytes, network: int) -> str:
        """The family of a path. `network`: of the client, -1 when it was refused, which teaches nothing about the site."""
        families = self._families
        family = families.get(path)
        if family is None:
            if network >= 0:
                self._discretion.learn(path, network)
            family = plain_family(path)
            if len(path) <= MAX_PATH_REMEMBERED:
                keep_at_hand(families, MAX_FAMILIES, path, family)
        return family

    def _rows(self, at: int, busiest: Busiest, wall: float) -> list[list[Any]]:
        return [[self._shown(at, key, wall), *counts.row] for key, counts in busiest.top(KEPT)]

    def _shown(self, at: int, key: Any, wall: float) -> str:
        discretion = self._discretion
        match LISTS[at]:
            case "clients":
                address = Address(key)
                client = address.client_key(self._prefixes)
                return discretion.name(client, wall) if discretion.names_clients else client
            case "networks":
                return discretion.network_name(Address(key))
            case "user_agents":
                return discretion.agent(key)[:MAX_USER_AGENT]
            case "paths":
                return discretion.family(key)
            case "referers" | "sites":
                return discretion.host(key)
            case "robots":
                return str(key.decode())
            case _:
                return str(key)


def referring_host(referer: bytes) -> bytes:
    """The host of a Referer, in lower case, without a port; empty when there is none."""
    begin = referer.find(b"//") + 2
    if begin < 2:
        return b""
    end = referer.find(b"/", begin)
    host = referer[begin:] if end < 0 else referer[begin:end]
    if len(host.translate(None, _MARKS)) != len(host):
        found = _HOST.match(referer, begin)
        host = b"" if found is None else found[1]
    return host[:MAX_HOST].lower()


def joined_windows(several: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The windows of several workers as one, as `proxyguard top --json` prints it."""
    seconds, totals = 1.0, {"requests": 0, "refused": 0, "bytes": 0, "upstream_microseconds": 0}
    lists: dict[str, dict[str, list[int]]] = {name: {} for name in LISTS}
    for data in several:
        seconds = max(seconds, data["seconds"])
        for name in totals:
            totals[name] += data[name]
        for name, rows in data["lists"].items():
            for key, *counts in rows:
                kept = lists[name].get(key)
                lists[name][key] = counts if kept is None else [mine + more for mine, more in zip(kept, counts, strict=True)]
    requests = totals["requests"]
    return {
        "seconds": round(seconds, 1),
        "requests": requests,
        "refused": totals["refused"],
        "bytes": totals["bytes"],
        "upstream_seconds": round(totals["upstream_microseconds"] / 1e6, 3),
        "requests_per_second": round(requests / seconds, 2),
        "refused_share": round(totals["refused"] / requests, 4) if requests else 0.0,
        **{
            name: [_row(key, counts) for key, counts in sorted(rows.items(), key=lambda item: -item[1][0])[:SHOWN]]
            for name, rows in lists.items()
        },
    }


def joined_histories(several: Iterable[list[list[int]]]) -> list[list[int]]:
    """The histories of several workers as one, minute by minute."""
    minutes: dict[int, list[int]] = {}
    for history in several:
        for minute, *counts in history:
            kept = minutes.get(minute)
            minutes[minute] = counts if kept is None else [mine + more for mine, more in zip(kept, counts, strict=True)]
    return [[minute, *counts] for minute, counts in sorted(minutes.items())][-MINUTES:]


def _row(name: str, counts: list[int]) -> dict[str, Any]:
    requests, refused, sent, microseconds, unseen = counts
    row = {
        "name": name,
        "requests": requests,
        "refused": refused,
        "bytes": sent,
        "upstream_seconds": round(microseconds / 1e6, 3),
    }
    return {**row, "requests_at_most": requests + unseen}
