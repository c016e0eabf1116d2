"""From a request's head to its exchange: which site it is for, whose request it is, and how its client reached us."""

from __future__ import annotations

from proxyguard.adapters.mitmproxy.bad_requests import HOST_UNKNOWN
from proxyguard.adapters.mitmproxy.codec import Codec
from proxyguard.adapters.mitmproxy.exchange import Exchange
from proxyguard.adapters.mitmproxy.messages import Outbox
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.core.request import Request
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.method_override import acting_method


def open_exchange(
    services: FrontServices,
    link: ClientState,
    outbox: Outbox,
    codec: Codec,
    head: RequestHead,
    version: bytes,
    before: Request | None,
    now: float,
    *,
    whole: bool,
) -> Exchange | None:
    """The exchange of a request whose head was read, to be begun by the caller; None, and counted, if its host is unknown.

    `version` is the client's: `1.0`, `1.1`, `2`. `before` is the connection's last request, if facts may be taken over.
    """
    route = services.routes.find(head.host)
    if route is None:
        services.events.bad_request(HOST_UNKNOWN)
        return None
    client = services.resolver.resolve(link.peer, head.headers)
    scheme = services.resolver.scheme(link.peer, head.headers, link.scheme)
    method = acting_method(head) if route.keeps_override else head.method
    request = Request(client, method, scheme, head.host, head.target, head.headers, version, head.steady, head.referer_at)
    request.connection = link.facts
    if link.facts is None and services.resolver.reads_ja4:
        request.connection = services.resolver.connection(link.peer, head.headers)
    if before is not None:
        request.take_after(before)
    return Exchange(services, link, outbox, codec, head, request, route, now, whole=whole)
