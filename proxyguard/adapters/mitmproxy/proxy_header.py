"""The PROXY header before a connection's first byte, where a trusted proxy sends one: whom it names, and whether they may enter.

What the header may look like is proxy_protocol's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyguard.adapters.mitmproxy.services import ClientState
from proxyguard.http.proxy_protocol import BadProxyHeader, ProxyHeaderParser

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.runtime import Runtime


class RefusedPeer(Exception):
    """The connection is to be cut: what came is no PROXY header, or names somebody who is banned altogether."""


class ProxyHeaderReader:
    """One per connection that must begin with the header. `is_over` once it has been read."""

    __slots__ = ("_link", "_parser", "_runtime", "is_over")

    def __init__(self, link: ClientState, runtime: Runtime) -> None:
        self._link = link
        self._runtime = runtime
        self._parser = ProxyHeaderParser()
        self.is_over = False

    def read(self, data: bytes) -> bytes:
        """Read on; gives what follows the header, and makes whom it names the link's peer. Raises RefusedPeer."""
        runtime = self._runtime
        try:
            header = self._parser.feed(data)
        except BadProxyHeader as fault:
            runtime.services.events.bad_request(f"proxy-{fault.reason}")
            raise RefusedPeer from fault
        if header is None:
            return b""
        self.is_over = True
        if header.source is not None:
            self._link.peer = header.source
            if runtime.admission.is_refused(header.source):
                raise RefusedPeer
        return self._parser.rest()
