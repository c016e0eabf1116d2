"""The front: listens, gives each connection its driver, and drains. What a worker starts and stops."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any, Final

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.capacity import Capacity, capacity_of, files_wanted, note_lowered
from proxyguard.adapters.mitmproxy.driver import ClientConnection
from proxyguard.adapters.mitmproxy.embed import Embedding, LayerFactory, Stack
from proxyguard.adapters.mitmproxy.listener import (
    BACKLOG,
    ListenFault,
    listen_of,
    open_sockets,
    raise_file_limit,
    remove_files,
    tune,
)
from proxyguard.adapters.mitmproxy.masking import Masking
from proxyguard.adapters.mitmproxy.memory import Trimmer
from proxyguard.adapters.mitmproxy.pending_checks import PendingChecks
from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.runtime import Runtime
from proxyguard.adapters.mitmproxy.services import FrontServices, Route
from proxyguard.adapters.mitmproxy.tarpit import Dripper
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.tls.certificates import CertificateFault, Certificates
from proxyguard.adapters.mitmproxy.under_way import UnderWay
from proxyguard.adapters.mitmproxy.upstream.group import authority_of
from proxyguard.adapters.mitmproxy.upstream.pool import UpstreamPool
from proxyguard.adapters.mitmproxy.upstream.slots import UpstreamSlots
from proxyguard.adapters.mitmproxy.upstream.small_file import fetch_file
from proxyguard.core.address import Address
from proxyguard.core.settings import Bounds, Listen, Settings
from proxyguard.guard.interfaces import Checker, FileAnswer, FrontEvents
from proxyguard.http.forwarded import ClientAddressResolver
from proxyguard.http.page_template import TemplateFault, load_page_template
from proxyguard.http.responses import TARPIT_BODY
from proxyguard.policy.sites import HostTable
from proxyguard.telemetry.accept_errors import LINE_SECONDS, AcceptErrors

LONGEST_TICK_SECONDS: Final = 0.25
SHORTEST_TICK_SECONDS: Final = 0.01
MAX_FILE_BYTES: Final = 512 * 1024
"""Of what `ask_site` reads of an answer."""

DRIP_TICK_SECONDS: Final = 0.05
"""Drips of 10,000 held clients come in twenty small portions a second, so that nobody else waits long for one of them."""

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
        hop: bytes = b"",
    ) -> None:
        """`hop` is this instance's mark on what it forwards (see FrontServices).

        `sockets` are bound ones to listen on instead of `settings.listen`; `clock` counts seconds, monotonic.
        """
        self._settings = settings
        self._checker = checker
        self._events = events
        self._given = tuple(sockets)
        self._refuse = refuse_at_accept
        self._http2_layer = http2_layer if settings.http2 else None
        self._clock = clock
        self._hop = hop
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._runtime: Runtime | None = None
        self._certificates: Certificates | None = None
        self._drip_wheel: TimerWheel | None = None
        self._accept_errors = AcceptErrors("listen")
        self._look: asyncio.TimerHandle | None = None
        self.addresses: tuple[Listen, ...] = ()

    async def start(self) -> None:
        """Bind and listen. Raises OSError (with a message for the operator) when an address or a certificate cannot be used."""
        settings = self._settings
        try:
            load_page_template(settings.refusal_page.template)
        except TemplateFault as fault:
            raise ListenFault(f"refusal_page.template: {fault}") from fault
        runtime = self._build(asyncio.get_running_loop())
        self._sockets = list(self._given)
        try:
            for listen in settings.listen if not self._given else ():
                self._sockets += open_sockets(listen, shared_port=settings.workers > 1)
            self.addresses = tuple(listen_of(listening, settings.listen) for listening in self._sockets)
            for listen, listening in zip(self.addresses, self._sockets, strict=True):
                tune(listening)
                self._servers.append(await self._serve(runtime, listening, listen))
        except OSError as error:
            self._stop_listening()
            if isinstance(error, ListenFault):
                raise
            named = ", ".join(map(str, settings.listen))
            raise ListenFault(f"listen: cannot listen on {named}: {error.strerror or error}") from error
        runtime.loop.set_exception_handler(self._accept_errors.handle)
        self._look_for_files(runtime.loop)

    async def _serve(self, runtime: Runtime, listening: socket.socket, listen: Listen) -> asyncio.Server:
        """Accept clients on one socket. Only whoever made a Unix socket removes its file."""
        connection = partial(ClientConnection, runtime, listen)
        if not listen.path:
            return await runtime.loop.create_server(connection, sock=listening, backlog=BACKLOG)
        kept: dict[str, Any] = {}
        if sys.version_info >= (3, 13) and isinstance(runtime.loop, asyncio.BaseEventLoop):
            kept = {"cleanup_socket": False}
        return await runtime.loop.create_unix_server(connection, sock=listening, backlog=BACKLOG, **kept)

    async def drain(self, seconds: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Stop accepting, let requests finish for at most `seconds` or until `hurried`, then end everything.

        Nothing is left running.
        """
        self._stop_listening()
        runtime = self._runtime
        if runtime is None:
            return
        runtime.services.draining = True
        runtime.services.dripper.close()
        for connection in tuple(runtime.connections):
            connection.drain()
        await self._until(lambda: hurried() or not runtime.admission.open, seconds)
        for connection in tuple(runtime.connections):
            connection.abort()
        runtime.checks.cancel()
        runtime.masking.close()
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

    def certificate_ends(self) -> list[float]:
        """When the certificates end that are served, the first first, in Unix seconds."""
        return self._certificates.ends() if self._certificates is not None else []

    def configure(self, settings: Settings) -> None:
        """Go by these bounds from the next connection on, and by this budget of tarpits from the next one on."""
        self._settings = settings
        if self._runtime is not None:
            self._runtime.services.configure(settings)

    def release_tarpits(self) -> None:
        """Let every client go that is held in a tarpit."""
        if self._runtime is not None:
            self._runtime.services.dripper.release_all()

    def stats(self) -> dict[str, int]:
        """What is held at the moment."""
        runtime = self._runtime
        if runtime is None:
            return {}
        return {
            "connections": runtime.admission.open,
            "tarpits": len(runtime.services.dripper),
            "requests_under_way": runtime.services.under_way.total,
            "requests_delayed": runtime.services.under_way.delayed,
            "buffered_bytes": runtime.services.buffers.memory.used,
            "spooled_bytes": runtime.services.buffers.disk.used,
            **runtime.pool.counts(),
        }

    def upstreams(self) -> list[dict[str, Any]]:
        """Each address of the upstreams, and whether it is up (see UpstreamPool.states)."""
        return [] if self._runtime is None else self._runtime.pool.states()

    async def ask_site(self, host: bytes, path: str) -> FileAnswer:
        """Ask the upstream of a host for a small file, as no client did; see `interfaces.AskSite`."""
        route = None if self._runtime is None else self._runtime.services.routes.find(host)
        return FileAnswer(0) if route is None else await fetch_file(route.group, host, path, MAX_FILE_BYTES)

    def tarpit_seconds(self) -> float:
        """How long clients have been held in tarpits so far."""
        return 0.0 if self._runtime is None else self._runtime.services.dripper.seconds()

    def stat(self, name: str) -> int:
        """One of the numbers of `stats`; 0 before the start."""
        return self.stats().get(name, 0)

    @property
    def bounds_in_force(self) -> dict[str, int]:
        """The bounds of this worker, as far as they depend on its open files."""
        return {} if self._runtime is None else self._runtime.services.under_way.capacity._asdict()

    def _build(self, loop: asyncio.AbstractEventLoop) -> Runtime:
        settings, clock, events = self._settings, self._clock, self._events
        wheel = TimerWheel(loop, tick_seconds(settings.bounds), clock, events.internal_error)
        self._drip_wheel = TimerWheel(loop, DRIP_TICK_SECONDS, clock, events.internal_error)
        buffer = ReadBuffer()
        sites = sum(bool(site.upstreams) for site in settings.sites)
        room = measure_room(settings.bounds, sites)
        slots = UpstreamSlots(room.upstream_connections, max(1, sites), room.queue, settings.bounds.upstream_queue_seconds)
        pool = UpstreamPool(loop, settings.bounds, wheel, clock, events.internal_error, buffer, slots)
        routes = HostTable(
            (host, Route(site, pool.group(site), authority_of(site.upstreams[0]), settings.keeps_override(site), site.is_http2))
            for site in settings.sites
            if site.upstreams
            for host in site.hosts
        )
        dripper = Dripper(settings.tarpit, TARPIT_BODY, self._drip_wheel, clock, events.tarpits_held)
        resolver = ClientAddressResolver(settings.trust)
        bounds = replace(settings.bounds, connections=room.connections, connections_per_network=room.connections_per_network)
        trimmer = Trimmer(loop)
        admission = Admission(bounds, settings.counting.prefixes, resolver.trusted, self._refuse, trimmer.count)
        under_way = UnderWay(room, settings.counting.prefixes, resolver.trusted, several_sites=sites > 1)
        services = FrontServices(
            settings, self._checker, events, clock, routes, dripper, resolver, admission, under_way, self._hop
        )
        protocols = (b"h2", b"http/1.1") if self._http2_layer is not None else (b"http/1.1",)
        try:
            self._certificates = Certificates(settings.sites, protocols, clock)
        except CertificateFault as fault:
            raise ListenFault(f"certificate: {fault}") from fault
        embedding = Embedding(Stack(services, self._certificates, self._http2_layer))
        checks = PendingChecks(loop, services)
        self._runtime = Runtime(loop, services, embedding, pool, wheel, admission, set(), buffer, checks, Masking(loop))
        return self._runtime

    def _look_for_files(self, loop: asyncio.AbstractEventLoop) -> None:
        """See every second that there is a file left. Without one, uvloop closes new connections and says nothing."""
        try:
            os.close(os.dup(self._sockets[0].fileno()))
        except OSError as error:
            self._accept_errors.record(error)
        self._look = loop.call_later(LINE_SECONDS, self._look_for_files, loop)

    def _stop_listening(self) -> None:
        if not self._given:
            remove_files(self._sockets)
        if self._look is not None:
            self._look.cancel()
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


def measure_room(bounds: Bounds, sites: int) -> Capacity:
    """Raise the limit of open files as far as it is needed and can be, and share out what there is."""
    wanted = files_wanted(bounds)
    files = raise_file_limit(wanted)
    if files < 0:  # no limit at all
        files = wanted
    capacity = capacity_of(bounds, files, sites)
    note_lowered(bounds, capacity, files)
    return capacity


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
