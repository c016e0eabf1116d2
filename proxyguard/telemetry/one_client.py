"""Notices the classic misconfiguration: nearly all traffic seems to come from one private address.

Then a proxy or load balancer stands in front and is not in `trust.proxies`, so every limit and ban would hit everyone. Knows
nothing of what is done about it.
"""

from __future__ import annotations

import logging
from ipaddress import ip_address
from typing import Final

from proxyguard.core.address import Address

WINDOW_REQUESTS: Final = 2000
"""Requests per verdict: more than one person behind a private address makes in a sitting."""

SHARE: Final = 0.95

REPEAT_WINDOWS: Final = 500
"""The warning is logged again after so many windows with the same verdict: once in a million requests."""

logger = logging.getLogger(__name__)


class OneClientWatch:
    """Observes every client address; `suspected` is 1 while the last window looked like one private client."""

    __slots__ = ("_candidate", "_hits", "_left", "_quiet", "suspected")

    def __init__(self) -> None:
        self._candidate: Address | None = None
        self._hits = 0
        self._left = WINDOW_REQUESTS
        self._quiet = 0
        self.suspected = 0

    def observe(self, client: Address) -> None:
        """Count one request. The first client of a window stands for it: one that sends 95 % is nearly always first."""
        self._left -= 1
        candidate = self._candidate
        if candidate is None:
            self._candidate = client
            self._hits = 1
        elif candidate.number == client.number:
            self._hits += 1
        if self._left <= 0:
            self._judge()

    def _judge(self) -> None:
        candidate, hits = self._candidate, self._hits
        self._candidate, self._hits, self._left = None, 0, WINDOW_REQUESTS
        if candidate is None or hits < SHARE * WINDOW_REQUESTS or not ip_address(candidate.text).is_private:
            self.suspected = 0
            self._quiet = 0
            return
        self.suspected = 1
        self._quiet -= 1
        if self._quiet < 0:
            self._quiet = REPEAT_WINDOWS
            logger.warning(
                "%d of the last %d requests seem to come from one private address in %s: limits and bans would hit everyone. "
                "If a proxy or load balancer stands in front, add it to trust.proxies",
                hits,
                WINDOW_REQUESTS,
                candidate.network_key(),
            )
