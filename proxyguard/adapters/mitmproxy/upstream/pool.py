"""The upstreams of all sites, their connections shared between all clients of a worker: whose turn it is, and which are healthy.

Round robin over a site's upstreams. One that cannot be connected to is left out and probed until it answers; when all are out,
all are tried. Knows nothing of HTTP: whoever has a connection on lease says whether it may be used again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.connection import ConnectionUser, UpstreamConnection, UpstreamTarget
from proxyguard.adapters.mitmproxy.upstream.slots import SiteSlots, UpstreamSlots, unbounded
from proxyguard.core.settings import Bounds, Site, Upstream, UpstreamTls

PROBE_SECONDS: Final[tuple[float, ...]] = (0.5, 1.0, 2.0, 4.0)
"""Waits between probes of an upstream that is out; the last one repeats."""


class UpstreamGroup:
    """The upstreams of one site, in turn, and the slots that the site has for connections to them."""

    __slots__ = ("_next", "slots", "targets")

    def __init__(self, targets: Sequence[UpstreamTarget], slots: SiteSlots | None = None) -> None:
        self.targets = tuple(targets)
        self.slots = slots or unbounded()
        self._next = 0

    def candidates(self) -> tuple[UpstreamTarget, ...]:
        """All that are healthy, or all when none is, beginning with whose turn it is."""
        order = self.targets[self._next :] + self.targets[: self._next]
        return tuple(target for target in order if not target.is_out) or order

    def turn(self) -> UpstreamTarget:
        """Pass the turn on; returns whose it is now."""
        if len(self.targets) == 1:
            return self.targets[0]
        self._next = (self._next + 1) % len(self.targets)
        return self.candidates()[0]


class UpstreamPool:
    """All upstream connections of a worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bounds: Bounds,
        wheel: TimerWheel,
        clock: Callable[[], float],
        on_error: Callable[[str, BaseException], None],
        buffer: ReadBuffer,
        slots: UpstreamSlots,
    ) -> None:
        self._loop = loop
        self._buffer = buffer
        self._slots = slots
        self._bounds = bounds
        self._wheel = wheel
        self._clock = clock
        self._on_error = on_error
        self._targets: dict[tuple[Upstream, UpstreamTls], UpstreamTarget] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def group(self, site: Site) -> UpstreamGroup:
        """The upstreams of a site. Those with the same upstream share its connections. Raises OSError for a CA file."""
        targets = [self._target(upstream, site.upstream_tls) for upstream in site.upstreams]
        return UpstreamGroup(targets, self._slots.site(site.upstream_connections))

    def take(self, group: UpstreamGroup, user: ConnectionUser) -> UpstreamConnection | None:
        """Lease an idle connection of the upstream whose turn it is; None without one, or without a slot: then `connect`."""
        connection = group.turn().take_idle() if group.slots.is_free else None
        if connection is not None:
            group.slots.take()
            connection.slots = group.slots
            connection.leases += 1
            connection.user = user
        return connection

    def connect(
        self,
        group: UpstreamGroup,
        user: ConnectionUser,
        done: Callable[[UpstreamConnection | None, str], None],
        *,
        fresh: bool = False,
    ) -> asyncio.Task[None]:
        """Open a connection to the first upstream that accepts one, and call `done` with it, or with None and a token.

        Waits for a slot of the site first. An upstream that has an idle connection by then gives that one, unless it is to be
        `fresh`. Cancelling the task gives up; `done` is then not called.
        """
        task = self._loop.create_task(self._connect(group, user, done, fresh=fresh))
        self._keep(task)
        return task

    def release(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """End a lease. `reusable` says that the last response was read whole and nothing else came."""
        connection.user = None
        if reusable:
            connection.target.keep_idle(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Cut every connection and stop every attempt."""
        for task in self._tasks:
            task.cancel()
        for target in self._targets.values():
            for connection in tuple(target.open):
                connection.close()

    @property
    def is_open(self) -> bool:
        """Whether any connection or attempt is left."""
        return bool(self._tasks) or any(target.open for target in self._targets.values())

    def counts(self) -> dict[str, int]:
        """Open and idle connections, and upstreams that are out."""
        targets = self._targets.values()
        return {
            "upstream_connections": sum(len(target.open) for target in targets),
            **self._slots.counts(),
            "upstream_idle": sum(target.idle_count for target in targets),
            "upstreams_out": sum(target.is_out for target in targets),
        }

    async def _connect(
        self, group: UpstreamGroup, user: ConnectionUser, done: Callable[[UpstreamConnection | None, str], None], *, fresh: bool
    ) -> None:
        fault = await group.slots.wait()
        connection = None
        if not fault:
            try:
                connection, fault = await self._open(group, fresh=fresh)
            finally:
                if connection is None:
                    group.slots.give_back()
        if connection is None:
            done(None, fault)
            return
        connection.slots = group.slots
        connection.leases += 1
        connection.user = user
        connection.deadline = inf
        done(connection, "")

    async def _open(self, group: UpstreamGroup, *, fresh: bool) -> tuple[UpstreamConnection | None, str]:
        fault = "upstream-connect"
        for target in group.candidates():
            connection = None if fresh else target.take_idle()
            if connection is None:
                self._make_room()
                try:
                    connection = await target.connect()
                except TimeoutError:
                    fault = "upstream-connect-timeout"
                except ssl.SSLError as error:
                    fault = "upstream-tls"
                    self._on_error("upstream-tls", error)
                except OSError:
                    fault = "upstream-connect"
            if connection is None or connection.closed:
                self._leave_out(target, group)
                continue
            return connection, ""
        return None, fault

    def _make_room(self) -> None:
        """Close an idle connection if one more would make more than there are slots. The caller has taken one already."""
        targets = self._targets.values()
        if self._slots.used + sum(target.idle_count for target in targets) > self._slots.total:
            max(targets, key=lambda target: target.idle_count).close_oldest()

    def _leave_out(self, target: UpstreamTarget, group: UpstreamGroup) -> None:
        """A site's only upstream is always tried; one of several is left out until a probe gets through."""
        if target.is_out or len(group.targets) == 1:
            return
        target.is_out = True
        self._keep(self._loop.create_task(self._probe(target)))

    async def _probe(self, target: UpstreamTarget) -> None:
        attempt = 0
        while target.is_out:
            await asyncio.sleep(PROBE_SECONDS[min(attempt, len(PROBE_SECONDS) - 1)])
            attempt += 1
            try:
                connection = await target.connect()
            except OSError:
                continue
            target.is_out = False
            target.keep_idle(connection)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                self._on_error("upstream", error)

    def _target(self, upstream: Upstream, tls: UpstreamTls) -> UpstreamTarget:
        target = self._targets.get((upstream, tls))
        if target is None:
            secure = upstream.scheme == "https"
            context = _tls_context(tls) if secure else None
            target = UpstreamTarget(
                upstream, context, tls.name or upstream.host, self._wheel, self._bounds, self._clock, self._buffer
            )
            self._targets[(upstream, tls)] = target
        return target


def _tls_context(tls: UpstreamTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
