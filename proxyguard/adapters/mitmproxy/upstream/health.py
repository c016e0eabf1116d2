"""Active health checks: asks each address of a site now and then, and leaves out those that do not answer as they should.

One failure is no verdict: `down_after` in a row leave an address out, `up_after` good ones bring it back. Knows nothing of
clients' requests; addresses that cannot be connected to for those are the pool's to leave out.
"""

from __future__ import annotations

import asyncio
from typing import Final

from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer, UpstreamTarget
from proxyguard.adapters.mitmproxy.upstream.group import UpstreamGroup
from proxyguard.core.settings import HealthCheck
from proxyguard.http.http1.faults import BadResponse
from proxyguard.http.http1.heads import ResponseHead

CHECKS_AT_ONCE: Final = 16
"""Addresses of one site that are asked at the same time."""


class HealthChecker:
    """Checks the addresses of one site until it is cancelled. `host` is the Host of its requests."""

    def __init__(self, group: UpstreamGroup, check: HealthCheck, host: bytes) -> None:
        self._group = group
        self._check = check
        self._request = (
            b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: proxyguard-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            % (check.path.encode("ascii"), host)
        )
        self._streaks: dict[UpstreamTarget, int] = {}
        """By address: how many checks in a row spoke against what it counts as."""

    async def run(self) -> None:
        """Check all addresses, every `interval_seconds`."""
        while True:
            lookups = self._group.refresh()
            if lookups and not self._group.targets:
                await asyncio.wait(lookups, timeout=self._check.timeout_seconds)
            room = asyncio.Semaphore(CHECKS_AT_ONCE)
            targets = self._group.targets
            self._streaks = {target: self._streaks.get(target, 0) for target in targets}
            await asyncio.gather(*(self._look_at(target, room) for target in targets))
            await asyncio.sleep(self._check.interval_seconds)

    async def _look_at(self, target: UpstreamTarget, room: asyncio.Semaphore) -> None:
        async with room:
            is_well = await self._ask(target)
        if is_well is not target.is_ill:
            self._streaks[target] = 0
            return
        self._streaks[target] += 1
        if self._streaks[target] >= (self._check.up_after if is_well else self._check.down_after):
            target.is_ill = not is_well
            self._streaks[target] = 0

    async def _ask(self, target: UpstreamTarget) -> bool:
        """Whether one request on a connection of its own is answered with an expected status in time."""
        try:
            async with asyncio.timeout(self._check.timeout_seconds):
                connection = await target.connect()
                status = _FirstStatus()
                connection.user = status
                connection.server.parser.begin(b"GET")
                try:
                    connection.transport.write(self._request)
                    found = await status.found
                finally:
                    connection.close()
        except OSError:  # TimeoutError and TLS errors are such
            return False
        return found in self._check.statuses if self._check.statuses else 200 <= found < 400


class _FirstStatus:
    """Waits for the status of the final response on one connection; 0 when none came. Implements ConnectionUser."""

    def __init__(self) -> None:
        self.found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def upstream_received(self, server: UpstreamServer, data: bytes) -> None:
        try:
            heads = [event for event in server.parser.feed(data) if isinstance(event, ResponseHead) and event.status >= 200]
        except BadResponse:
            self._find(0)
            return
        if heads:
            self._find(heads[0].status)

    def upstream_closed(self, server: UpstreamServer) -> None:  # noqa: ARG002 - of ConnectionUser
        self._find(0)

    def upstream_pace_changed(self) -> None:
        """A request of one line is written at once."""

    def upstream_stalled(self) -> None:
        self._find(0)

    def _find(self, status: int) -> None:
        if not self.found.done():
            self.found.set_result(status)
