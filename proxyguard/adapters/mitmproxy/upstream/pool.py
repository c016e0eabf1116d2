"""The upstreams of all sites, their connections shared between all clients of a worker: whose turn it is, and which are healthy.

Round robin over all addresses of a site's upstreams. One that cannot be connected to is left out and probed until it answers;
when all are out, all are tried. Knows nothing of HTTP: whoever has a connection on lease says whether it may be used again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from errno import EPROTO
from functools import partial
from math import inf
from typing import Any, Final

from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.addresses import UpstreamAddresses
from proxyguard.adapters.mitmproxy.upstream.connection import ConnectionUser, UpstreamConnection, UpstreamTarget
from proxyguard.adapters.mitmproxy.upstream.group import UpstreamGroup, authority_of
from proxyguard.adapters.mitmproxy.upstream.health import HealthChecker
from proxyguard.adapters.mitmproxy.upstream.http2_target import Http2Target
from proxyguard.adapters.mitmproxy.upstream.outages import Outages, reason_of
from proxyguard.adapters.mitmproxy.upstream.slots import UpstreamSlots
from proxyguard.core.settings import Bounds, HealthCheck, Site, Upstream, UpstreamReuse, UpstreamTls

PROBE_SECONDS: Final[tuple[float, ...]] = (0.5, 1.0, 2.0, 4.0)
"""Waits between probes of an address that is out; the last one repeats."""

HEAD_START_SECONDS: Final = 0.25
"""How long one address of several has to accept before the next is tried as well (RFC 8305 section 8 advises 250 ms)."""

type _Opened = tuple[UpstreamConnection | None, str]
"""A connection, or None and a token for what went wrong."""


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
        self._upstreams: dict[
            tuple[Upstream, UpstreamTls, UpstreamReuse, tuple[HealthCheck, bytes] | None, bool], UpstreamAddresses
        ] = {}
        self._targets: set[UpstreamTarget] = set()
        self._groups: list[UpstreamGroup] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._outages = Outages(loop)

    def group(self, site: Site) -> UpstreamGroup:
        """The upstreams of a site. Those with the same upstream share its connections, unless each asks it for its own health.

        Raises OSError for a CA file.
        """
        checked = None
        if site.health is not None:
            host = authority_of(site.upstreams[0]) if "*" in site.hosts[0] else site.hosts[0].encode("ascii")
            checked = site.health, host
        group = UpstreamGroup(
            [self._addresses(upstream, site, checked) for upstream in site.upstreams], self._slots.site(site.upstream_connections)
        )
        self._groups.append(group)
        if checked is not None:
            self._keep(self._loop.create_task(HealthChecker(group, *checked).run()))
        return group

    def take(self, group: UpstreamGroup, user: ConnectionUser, *, is_repeatable: bool) -> UpstreamConnection | None:
        """Lease an idle connection of the upstream whose turn it is. None without one, or without a slot: then `connect`.

        `is_repeatable`: the request may be sent again, should the upstream close the connection at this very moment.
        """
        target = group.turn() if group.slots.is_free else None
        connection = None if target is None else target.take_idle(is_repeatable=is_repeatable)
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
        self._outages.close()
        for upstream in self._upstreams.values():
            upstream.stop()
        for target in self._targets:
            for connection in tuple(target.open):
                connection.close()

    @property
    def is_open(self) -> bool:
        """Whether any connection or attempt is left."""
        return bool(self._tasks) or any(target.open for target in self._targets)

    def counts(self) -> dict[str, int]:
        """Open and idle connections, and upstreams that are out."""
        targets = [target for target in self._targets if target.open or not target.is_retired]
        return {
            "upstream_connections": sum(len(target.open) for target in targets),
            **self._slots.counts(),
            "upstream_idle": sum(target.idle_count for target in targets),
            "upstreams_out": sum(target.is_out for target in targets),
        }

    def states(self) -> list[dict[str, Any]]:
        """Each address with the upstream that it is of, and its state: `up`, `unreachable` or `ill` (health checks).

        One that accepts no connection has `since` (Unix seconds), `why`, and how many requests were `hurt`, too.
        """
        states = [self._state(target) for group in self._groups for target in group.targets]
        for name in {name for group in self._groups for name in group.unknown}:
            outage = self._outages.find(name)
            if outage is not None:
                states.append({"upstream": name, "address": "", "state": "unreachable", **outage.as_data()})
        return states

    def _state(self, target: UpstreamTarget) -> dict[str, Any]:
        address, outage = target.upstream.path or target.address, self._outages.find(target.name)
        found = {"upstream": str(target.upstream), "address": address, "state": target.state}
        if outage is None:
            return found
        return {**found, "state": "unreachable", **outage.as_data()}

    async def _connect(
        self, group: UpstreamGroup, user: ConnectionUser, done: Callable[[UpstreamConnection | None, str], None], *, fresh: bool
    ) -> None:
        fault = await group.slots.wait()
        connection = None
        if not fault:
            try:
                connection, fault = await self._find(group, fresh=fresh)
            finally:
                if connection is None:
                    group.slots.give_back()
                    self._outages.hurt({*group.unknown, *(target.name for target in group.targets)})
        if connection is not None:
            connection.slots = group.slots
            connection.leases += 1
            connection.user = user
            connection.deadline = inf
        done(connection, fault)

    async def _find(self, group: UpstreamGroup, *, fresh: bool) -> _Opened:
        """An idle connection or a new one, names looked up again where no known address answers."""
        lookups = group.refresh()
        if lookups and not group.targets:
            await asyncio.wait(lookups, timeout=self._bounds.upstream_connect_seconds)
            lookups = []
            for name in group.unknown:
                self._began(self._outages.failed(name, "its name has no address"), name, group)
        tried = group.candidates()
        connection, fault = await self._first(tried, group, fresh=fresh)
        if connection is None and lookups:
            await asyncio.wait(lookups, timeout=self._bounds.upstream_connect_seconds)
            moved = tuple(target for target in group.candidates() if target not in tried)
            if moved:
                connection, fault = await self._first(moved, group, fresh=fresh)
        return connection, fault

    async def _first(self, targets: Sequence[UpstreamTarget], group: UpstreamGroup, *, fresh: bool) -> _Opened:
        """The first connection that one of the targets gives. Each has a head start over the next.

        Those that are overtaken go on: one that fails is left out, a connection that comes late is kept for others.
        """
        fault = "upstream-connect"
        waiting = list(targets)
        attempts: dict[asyncio.Task[_Opened], UpstreamTarget] = {}
        try:
            while waiting or attempts:
                if waiting:
                    target = waiting.pop(0)
                    idle = None if fresh else target.take_idle(is_repeatable=True)
                    if idle is not None:
                        return idle, ""
                    if not waiting and not attempts:
                        return await self._open(target, group)
                    attempts[self._loop.create_task(self._open(target, group))] = target
                ended, _ = await asyncio.wait(
                    attempts, timeout=HEAD_START_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for slow in attempts.values() if not ended else ():
                    slow.is_slow = True
                opened = [(attempts.pop(task), *task.result()) for task in ended]
                won = [
                    (target, connection) for target, connection, _ in opened if connection is not None and not connection.closed
                ]
                for target, connection in won[1:]:
                    self._spare(target, group, connection)
                if won:
                    return won[0][1], ""
                fault = (opened[-1][2] if opened else "") or fault
        except asyncio.CancelledError:
            for task in attempts:
                task.cancel()
            raise
        finally:
            for task, target in attempts.items():
                self._keep(task)
                task.add_done_callback(partial(self._keep_late, target, group))
        return None, fault

    async def _open(self, target: UpstreamTarget, group: UpstreamGroup) -> _Opened:
        fault, why = "upstream-connect", "it closed the connection"
        self._make_room()
        try:
            connection = await target.connect()
        except TimeoutError:
            fault, why = "upstream-connect-timeout", "it does not accept connections in time"
        except ssl.SSLError as error:
            fault, why = "upstream-tls", f"TLS failed: {error.reason or error}"
            self._on_error("upstream-tls", error)
        except OSError as refused:
            why = reason_of(refused)
            if refused.errno == EPROTO:
                fault = "upstream-http2"
                self._on_error("upstream-http2", refused)
        else:
            if not connection.closed:
                target.is_slow = False
                self._outages.connected(target.name)
                return connection, ""
        self._began(self._outages.failed(target.name, why), target.name, group)
        self._leave_out(target, group)
        return None, fault

    def _make_room(self) -> None:
        """Close an idle connection if one more would make more than there are slots. The caller has taken one already."""
        if self._slots.used + sum(target.idle_count for target in self._targets) > self._slots.total:
            max(self._targets, key=lambda target: target.idle_count).close_oldest()

    def _leave_out(self, target: UpstreamTarget, group: UpstreamGroup) -> None:
        """A site's only address is always tried; one of several is left out until a probe gets through."""
        if target.is_unreachable or len(group.targets) == 1:
            return
        target.is_unreachable = True
        self._keep(self._loop.create_task(self._probe(target, group)))

    def _began(self, began: bool, name: str, group: UpstreamGroup) -> None:  # noqa: FBT001 - what failed() returned
        if began:
            self._keep(self._loop.create_task(self._watch(name, group)))

    async def _watch(self, name: str, group: UpstreamGroup) -> None:
        """Try an address that is down until it is up, though no client may ask: readiness can depend on it."""
        attempt = 0
        while (outage := self._outages.find(name)) is not None:
            await asyncio.sleep(PROBE_SECONDS[min(attempt, len(PROBE_SECONDS) - 1)])
            attempt += 1
            if outage.settling is not None:
                continue
            group.refresh()
            for target in group.targets:
                if target.name == name and not target.is_unreachable:  # else _probe does it
                    try:
                        self._spare(target, group, await target.connect())
                    except OSError as refused:
                        self._outages.failed(name, reason_of(refused))
                    else:
                        self._outages.connected(name)

    async def _probe(self, target: UpstreamTarget, group: UpstreamGroup) -> None:
        attempt = 0
        while target.is_unreachable and not target.is_retired:
            await asyncio.sleep(PROBE_SECONDS[min(attempt, len(PROBE_SECONDS) - 1)])
            attempt += 1
            try:
                connection = await target.connect()
            except OSError:
                continue
            target.is_unreachable = target.is_slow = False
            self._outages.connected(target.name)
            self._spare(target, group, connection)

    def _spare(self, target: UpstreamTarget, group: UpstreamGroup, connection: UpstreamConnection) -> None:
        """Keep a connection that nobody waits for, unless the site has as many as it may: each may hold a worker."""
        if group.slots.is_free:
            target.keep_idle(connection)
            self._make_room()
        else:
            connection.close()

    def _keep_late(self, target: UpstreamTarget, group: UpstreamGroup, task: asyncio.Task[_Opened]) -> None:
        """An attempt has ended when another connection had been taken."""
        if not task.cancelled() and task.exception() is None:
            connection, _ = task.result()
            if connection is not None:
                self._spare(target, group, connection)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                self._on_error("upstream", error)

    def _addresses(self, upstream: Upstream, site: Site, checked: tuple[HealthCheck, bytes] | None) -> UpstreamAddresses:
        tls, reuse = site.upstream_tls, site.upstream_reuse
        is_http2 = site.speaks_http2(upstream)
        key = upstream, tls, reuse, checked, is_http2
        found = self._upstreams.get(key)
        if found is None:
            context = _tls_context(tls, is_http2=is_http2) if upstream.scheme == "https" else None
            name = tls.name or upstream.host

            made = partial(Http2Target, self._keep) if is_http2 else UpstreamTarget

            def make(address: str) -> UpstreamTarget:
                target = made(upstream, context, name, self._wheel, self._bounds, self._clock, self._buffer, reuse, address)
                self._targets.add(target)
                return target

            found = UpstreamAddresses(upstream, make, self._regroup, self._loop, self._clock)
            self._upstreams[key] = found
        return found

    def _regroup(self) -> None:
        """A name stands for other addresses than before."""
        self._targets = {target for target in self._targets if target.open or not target.is_retired}
        for group in self._groups:
            group.regroup()
        targets = [target for target in self._targets if not target.is_retired]
        self._outages.connected(*{str(target.upstream) for target in targets} - {target.name for target in targets})
        self._outages.keep({target.name for target in targets} | {upstream.name for upstream in self._upstreams.values()})


def _tls_context(tls: UpstreamTls, *, is_http2: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if is_http2:
        context.set_alpn_protocols(["h2"])
    return context
