"""What all connections of a worker share, and what the layers of one connection share with its driver."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from math import inf
from time import time
from typing import Final, NamedTuple, Protocol

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.buffering.buffers import Buffers
from proxyguard.adapters.mitmproxy.private import Layer
from proxyguard.adapters.mitmproxy.tarpit import Dripper, Encryptor
from proxyguard.adapters.mitmproxy.under_way import UnderWay
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.adapters.mitmproxy.upstream.group import UpstreamGroup
from proxyguard.core.address import Address
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.references import References
from proxyguard.core.request import Request
from proxyguard.core.settings import Settings, Site
from proxyguard.guard.interfaces import Checker, Forwarding, FrontEvents
from proxyguard.http.forwarded import ClientAddressResolver
from proxyguard.http.http1 import serialise
from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.method_override import METHOD_HEADERS
from proxyguard.http.responses import Pages
from proxyguard.policy.sites import HostTable
from proxyguard.telemetry.otel.trace_context import TRACE_FIELDS, TraceContext

HOP_FIELD: Final = b"X-Proxyguard-Hop"
"""Each instance that forwards a request adds one, with a mark that only it can know. Passed on as it comes: it says nothing."""


KEPT_BYTES: Final = 2048
"""Header fields for an upstream up to this are kept until the client's next request: nearly all are smaller."""


class Route(NamedTuple):
    """Where a host's requests go. `authority` is the Host for a request that came without one (HTTP/1.0)."""

    site: Site
    group: UpstreamGroup
    authority: bytes
    keeps_override: bool = False
    """Whether headers that name another method pass."""
    is_http2: bool = False
    """Whether all of the site's upstreams are spoken to in HTTP/2."""


class Upstreams(Protocol):
    """The upstream connections of one client connection, as an exchange knows them; in the product leases.Leases."""

    def take(self, group: UpstreamGroup, /, *, is_repeatable: bool) -> UpstreamServer | None:
        """Lease an idle connection at once; None when there is none, and a Lease command is needed.

        Without `is_repeatable` only one that the upstream surely still holds open.
        """
        ...


class ClientState:
    """One client connection as its layers and its driver both know it: the `link` between them.

    `peer` is the address that connected, or the source in a PROXY header; `scheme` is `http` or `https`. `due` is the next
    deadline of whichever layer is in charge, on the worker's clock, inf for none. `layer` is the one that speaks HTTP, if any.
    `multiplexed` is set by a layer that has a pace of its own for each upstream connection: a blocked one then holds up nothing
    else. `stalled` says that the client does not take what was written. `wake` has the layers look at the time at once,
    `wake_soon` sends them TurnEnds when this turn of the loop is over. `upstreams` is where idle connections are taken from.
    `redirects`: requests in clear text are answered with where they belong, the same address over https. `kept_fields` are those
    of the last request that went upstream, as most clients say the same of themselves each time. `facts` are what the connection
    shows of the client itself; None in clear text, and where a trusted proxy speaks TLS (`is_relayed`: as its PROXY header says).
    """

    __slots__ = (
        "due", "encryptor", "facts", "handshaking", "is_relayed", "kept_fields", "layer", "multiplexed", "peer", "redirects",
        "scheme", "stalled", "upstreams", "wake", "wake_soon",
    )  # fmt: skip

    def __init__(self, peer: Address, due: float) -> None:
        self.peer = peer
        self.scheme = b"http"
        self.due = due
        self.handshaking = False
        self.layer: Layer | None = None
        self.encryptor: Encryptor | None = None
        self.multiplexed = False
        self.stalled = False
        self.redirects = False
        self.upstreams: Upstreams | None = None
        self.kept_fields: KeptFields | None = None
        self.facts: ConnectionFacts | None = None
        self.is_relayed = False
        self.wake: Callable[[], None] | None = None
        self.wake_soon: Callable[[], None] | None = None


class KeptFields:
    """The header fields of a request as its upstream got them, around the value of its Referer, and what they were made of."""

    __slots__ = ("_after", "_authority", "_before", "_client", "_has_referer", "_hide", "_route", "_scheme", "_steady")

    def __init__(self, head: RequestHead, request: Request, route: Route, hide: bytes, text: bytes) -> None:
        self._steady = head.steady
        self._authority = head.authority
        self._client = request.client
        self._scheme = request.scheme
        self._route = route
        self._hide = hide
        self._before = text
        self._after = b""
        self._has_referer = False
        if head.referer_at >= 0:
            name, value = head.headers[head.referer_at]
            start, found, end = text.partition(b"\r\n%b: %b\r\n" % (name, value))
            if found:  # else it is not passed on, and changes nothing
                self._has_referer = True
                self._before = b"%b\r\n%b: " % (start, name)
                self._after = b"\r\n" + end

    def text_of(self, head: RequestHead, request: Request, route: Route, hide: bytes, hop: bytes) -> bytes:
        """Those of a later request on the same client connection, which `is_plain`; empty when they have to be made anew."""
        if (
            head.steady is not self._steady
            or request.client is not self._client
            or route is not self._route
            or head.authority != self._authority
            or request.scheme != self._scheme
            or hide != self._hide
        ):
            return b""
        if not self._has_referer:
            return self._before
        value = head.headers[head.referer_at][1]
        return b"" if hop and value.find(hop) >= 0 else self._before + value + self._after


def is_plain(head: RequestHead) -> bool:
    """Whether nothing but the client's fields decides what its upstream gets after the first line."""
    return head.body is BodyKind.NONE and head.content_length is None and head.upgrade is None and not head.expect_continue


class FrontServices:
    """The worker's settings, its ports to the rest of proxyguard, and its counters.

    `hop` marks what this instance forwards, so that it knows a request that comes back to it; empty for no mark.
    """

    def __init__(
        self,
        settings: Settings,
        checker: Checker,
        events: FrontEvents,
        clock: Callable[[], float],
        routes: HostTable[Route],
        dripper: Dripper,
        resolver: ClientAddressResolver,
        admission: Admission,
        under_way: UnderWay,
        hop: bytes = b"",
    ) -> None:
        self.checker = checker
        self.events = events
        self.clock = clock
        self.routes = routes
        self.dripper = dripper
        self.configure(settings)
        self.resolver = resolver
        self.admission = admission
        self.under_way = under_way
        self.buffers = Buffers(settings.buffer_budget, clock, events.bound_exceeded)
        self.pages = Pages(settings.refusal_page)
        self.draining = False
        self.hop = hop
        self._references = References()
        self._date = b""
        self._date_until = -inf

    def configure(self, settings: Settings) -> None:
        """Go by these settings, or by others than before."""
        self.settings = settings
        self.bounds = bounds = settings.bounds
        self.idle_seconds = bounds.idle_seconds  # these two apart, as they are asked for each request
        self.requests_per_connection = bounds.requests_per_connection
        self.dripper.budget = settings.tarpit

    def reference(self) -> str:
        """An opaque reference for an answer that no check stands behind."""
        return self._references.next()

    def date(self) -> bytes:
        """The Date of now, made once a second."""
        now = self.clock()
        if now >= self._date_until:
            self._date_until = now + 1.0
            self._date = formatdate(time(), usegmt=True).encode("ascii")
        return self._date

    def upstream_head(
        self, head: RequestHead, request: Request, route: Route, link: ClientState, forwarding: Forwarding | None = None
    ) -> bytes:
        """The request head as the upstream gets it: the client's, without what it may not say, with what we say.

        Empty when the request has passed this instance before: whatever upstream it goes to leads back here.
        """
        hide: bytes = b""
        trace: TraceContext | None = None
        if forwarding is not None:
            hide = forwarding.hide
            trace = forwarding.trace
        plain = trace is None and is_plain(head)
        kept = link.kept_fields
        hop = self.hop
        line = serialise.request_line(head)
        if kept is not None and plain:
            fields = kept.text_of(head, request, route, hide, hop)
            if fields:
                return b"" if hop and line.find(hop) >= 0 else line + fields
        authority = head.authority or route.authority
        drop, keep, add = self.resolver.forwarding_headers(head.headers, link.peer, request.client, request.scheme, authority)
        if route.keeps_override:
            drop = drop - METHOD_HEADERS
        if hide:
            drop, keep = drop | {hide}, keep - {hide}
        if trace is not None:
            drop, keep, add = drop | TRACE_FIELDS, keep - TRACE_FIELDS, (*add, *trace.fields)
        if hop:
            add = (*add, (HOP_FIELD, hop))
        text = serialise.request_fields(head, add=add, drop=drop, keep=keep, authority=authority)
        if hop and (text.count(hop) != 1 or line.find(hop) >= 0):
            return b""
        if plain and len(text) <= KEPT_BYTES:
            link.kept_fields = KeptFields(head, request, route, hide, text)
        return line + text
