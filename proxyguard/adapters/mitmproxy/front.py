"""The front: listens, gives each connection its driver, and drains. What a worker starts and stops."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Final

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.driver import ClientConnection
from proxyguard.adapters.mitmproxy.embed import Embedding, LayerFactory, Stack
from proxyguard.adapters.mitmproxy.listener import BACKLOG, ListenFault, open_sockets, raise_file_limit, tune
from proxyguard.adapters.mitmproxy.memory import Trimmer
from proxyguard.adapters.mitmproxy.pending_checks import PendingChecks
from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.runtime import Runtime
from proxyguard.adapters.mitmproxy.services import FrontServices, Route
from proxyguard.adapters.mitmproxy.tarpit import Dripper
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.tls.certificates import CertificateFault, Certificates
from proxyguard.adapters.mitmproxy.upstream.pool import UpstreamPool
from proxyguard.core.address import Address
from proxyguard.core.settings import Bounds, Listen, Settings, Upstream
from proxyguard.guard.interfaces import Checker, FrontEvents
from proxyguard.http.forwarded import ClientAddressResolver
from proxyguard.http.page_template import load_page_template
from proxyguard.http.responses import TARPIT_BODY
from proxyguard.policy.sites import HostTable

logger = logging.getLogger(__name__)

LONGEST_TICK_SECONDS: Final = 0.25
SHORTEST_TICK_SECONDS: Final = 0.01
DRIP_TICK_SECONDS: Final = 0.05
"""Drips of 10,000 held clients come in twenty small portions a second, so that nobody else waits long for one of them."""

SPARE_FILES: Final = 256
"""Files besides connections: listening sockets, logs, certificates, the loop's own."""

LAST_WORDS_SECONDS: Final = 0.5
"""After the drain's deadline: how long cut connections get to be torn down."""


def _nobody(_: Address) -> bool:
    return False


class Front:
    """Carries traffic between clients and upstreams, and asks `checker` about every request. One per process."""

    def __init__(
        self,
        settings: Settings,
        checker: Checker,
        events: FrontEvents,
        *,
        sockets: Sequence[socket.socket] = (),
        refuse_at_accept: Callable[[Address], bool] = _nobody,
        http2_layer: LayerFactory | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`sockets` are bound ones to listen on instead of `settings.listen`; `clock` counts seconds, monotonic."""
        self._settings = settings
        self._checker = checker
        self._events = events
        self._given = tuple(sockets)
        self._refuse = refuse_at_accept
        self._http2_layer = http2_layer if settings.http2 else None
        self._clock = clock
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._runtime: Runtime | None = None
        self._certificates: Certificates | None = None
        self._drip_wheel: TimerWheel | None = None
        self.addresses: tuple[Listen, ...] = ()

    async def start(self) -> None:
        """Bind and listen. Raises OSError (with a message for the operator) when an address or a certificate cannot be used."""
        settings = self._settings
        load_page_template()
        runtime = self._build(asyncio.get_running_loop())
        sockets = list(self._given) or open_sockets(settings.listen, shared_port=settings.workers > 1)
        self._sockets = sockets
        try:
            for listening in sockets:
                tune(listening)
                self._servers.append(
                    await runtime.loop.create_server(lambda: ClientConnection(runtime), sock=listening, backlog=BACKLOG)
                )
        except OSError as error:
            self._stop_listening()
            raise ListenFault(f"listen: cannot listen on {settings.listen}: {error.strerror or error}") from error
        names = [listening.getsockname() for listening in sockets]
        self.addresses = tuple(Listen(name[0], name[1]) for name in names)

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let requests finish for at most `seconds`, then end everything. Nothing is left running."""
        self._stop_listening()
        runtime = self._runtime
        if runtime is None:
            return
        runtime.services.draining = True
        runtime.services.dripper.release_all()
        for connection in tuple(runtime.connections):
            connection.drain()
        await self._until(lambda: not runtime.admission.open, seconds)
        for connection in tuple(runtime.connections):
            connection.abort()
        runtime.checks.cancel()
        runtime.pool.close()
        runtime.services.buffers.file.close()
        runtime.wheel.stop()
        if self._drip_wheel is not None:
            self._drip_wheel.stop()
        await self._until(lambda: not (runtime.admission.open or runtime.pool.is_open), LAST_WORDS_SECONDS)

    def refresh_certificates(self) -> None:
        """Look for renewed certificates now."""
        if self._certificates is not None:
            self._certificates.refresh()

    def stats(self) -> dict[str, int]:
        """What is held at the moment."""
        runtime = self._runtime
        if runtime is None:
            return {}
        return {
            "connections": runtime.admission.open,
            "tarpits": len(runtime.services.dripper),
            "delayed": runtime.services.delayed,
            "buffered_bytes": runtime.services.buffers.memory.used,
            "spooled_bytes": runtime.services.buffers.disk.used,
            **runtime.pool.counts(),
        }

    def _build(self, loop: asyncio.AbstractEventLoop) -> Runtime:
        settings, clock, events = self._settings, self._clock, self._events
        wheel = TimerWheel(loop, tick_seconds(settings.bounds), clock, events.internal_error)
        self._drip_wheel = TimerWheel(loop, DRIP_TICK_SECONDS, clock, events.internal_error)
        buffer = ReadBuffer()
        pool = UpstreamPool(loop, settings.bounds, wheel, clock, events.internal_error, buffer)
        routes = HostTable(
            (host, Route(site, pool.group(site), authority_of(site.upstreams[0])))
            for site in settings.sites
            if site.upstreams
            for host in site.hosts
        )
        dripper = Dripper(settings.tarpit, TARPIT_BODY, self._drip_wheel, clock, events.tarpits_held)
        resolver = ClientAddressResolver(settings.trust)
        bounds = replace(settings.bounds, connections=room_for_connections(settings.bounds.connections))
        trimmer = Trimmer(loop)
        admission = Admission(bounds, settings.counting.prefixes, resolver.trusted, self._refuse, trimmer.count)
        services = FrontServices(settings, self._checker, events, clock, routes, dripper, resolver, admission)
        protocols = (b"h2", b"http/1.1") if self._http2_layer is not None else (b"http/1.1",)
        try:
            self._certificates = Certificates(settings.sites, protocols, clock, events.internal_error)
        except CertificateFault as fault:
            raise ListenFault(f"certificate: {fault}") from fault
        embedding = Embedding(Stack(services, self._certificates, self._http2_layer))
        checks = PendingChecks(loop, services)
        self._runtime = Runtime(loop, services, embedding, pool, wheel, admission, set(), buffer, checks)
        return self._runtime

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def _until(self, over: Callable[[], bool], seconds: float) -> None:
        until = self._clock() + seconds
        await asyncio.sleep(0)
        while not over() and self._clock() < until:  # noqa: ASYNC110 - once in a process's life
            await asyncio.sleep(0.01)


def room_for_connections(wanted: int) -> int:
    """How many client connections fit under the limit of open files, raised if it can be; a quarter is kept for upstreams."""
    files = raise_file_limit(2 * wanted + SPARE_FILES)
    room = max(1, (files - SPARE_FILES) * 3 // 4)
    if room < wanted:
        logger.warning("bounds.connections: %d of %d, as this process may open only %d files", room, wanted, files)
    return min(room, wanted)


def authority_of(upstream: Upstream) -> bytes:
    """The Host of an upstream itself."""
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    return f"{host}:{upstream.port}".encode("idna" if not host.isascii() else "ascii")


def tick_seconds(bounds: Bounds) -> float:
    """The resolution of deadlines: an eighth of the shortest bound, between 10 and 250 ms."""
    shortest = min(
        bounds.head_seconds,
        bounds.idle_seconds,
        bounds.body_gap_seconds,
        bounds.send_gap_seconds,
        bounds.upgrade_idle_seconds,
        bounds.upstream_first_byte_seconds,
        bounds.upstream_gap_seconds,
        bounds.tls_handshake_seconds,
    )
    return min(LONGEST_TICK_SECONDS, max(SHORTEST_TICK_SECONDS, shortest / 8))
