"""A firewall made of bans that somebody found in a log: the address is refused without an answer while its ban lasts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple

from proxyguard.core.request import Request
from proxyguard.tools.range.firewall import PASSED, SiteOutcome, Verdict
from proxyguard.tools.range.overlays import Overlay


class LogBan(NamedTuple):
    """An address that is banned from a moment to another, seconds since the scenario began, and by what."""

    address: str
    begin: float
    end: float
    rule: str


class BanList:
    """Implements `firewall.Firewall`. The packet filter closes the door, so that a client sees no answer."""

    def __init__(self, bans: Iterable[LogBan]) -> None:
        self._bans: Final[dict[str, list[LogBan]]] = {}
        for ban in sorted(bans, key=lambda each: each.begin):
            known = self._bans.setdefault(ban.address, [])
            if not known or ban.begin >= known[-1].end:
                known.append(ban)
        self.count: Final = sum(map(len, self._bans.values()))

    def check(self, request: Request, now: float) -> Verdict:
        known = self._bans.get(request.client.text)
        if known is not None:
            at = bisect_right(known, now, key=lambda ban: ban.begin) - 1
            if at >= 0 and now < known[at].end:
                return Verdict(forwards=False, rule=known[at].rule)
        return PASSED

    def settle(self, verdict: Verdict, outcome: SiteOutcome, now: float) -> None:
        """Nothing is counted."""

    def order(self, overlay: Overlay | None, ends: float) -> None:
        """Operators order nothing of it."""
