"""The PROXY header that a trusted proxy sends before a connection's first byte: reads it, and refuses a client that is banned.

The format itself is http.proxy_protocol's.
"""

from __future__ import annotations

from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.http.proxy_protocol import BadProxyHeader, ProxyHeaderParser


class RefusedPeer(Exception):
    """The connection is to be cut: what came is no PROXY header, or its source is banned or has too many connections."""


class ProxyHeaderReader:
    """One per connection that must begin with the header. `is_over` once it has been read."""

    __slots__ = ("_link", "_parser", "_services", "is_over")

    def __init__(self, link: ClientState, services: FrontServices) -> None:
        self._link = link
        self._services = services
        self._parser = ProxyHeaderParser()
        self.is_over = False

    def read(self, data: bytes) -> bytes:
        """Feed bytes; returns those after the header. Its source is counted in and becomes `link.peer`. Raises RefusedPeer."""
        services = self._services
        try:
            header = self._parser.feed(data)
        except BadProxyHeader as fault:
            services.events.bad_request(f"proxy-{fault.reason}")
            raise RefusedPeer from fault
        if header is None:
            return b""
        self.is_over = True
        if header.source is not None:
            if services.admission.is_refused(header.source):
                raise RefusedPeer
            bound = services.admission.enter_network(header.source)
            if bound is not None:
                services.events.bound_exceeded(bound)
                raise RefusedPeer
            self._link.peer = header.source
            if header.ended_tls:
                self._link.is_relayed = True
                self._link.scheme = b"https"
        return self._parser.rest()
