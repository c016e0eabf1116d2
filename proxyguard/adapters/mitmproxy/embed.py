"""mitmproxy inside this process: the one addon that the front needs, and the hooks that its layers ask for.

The addon says which layer comes next and which certificate to show. Nothing of mitmproxy listens, logs, or makes a CA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxyguard.adapters.mitmproxy.http1.layer import Http1Layer
from proxyguard.adapters.mitmproxy.private import (
    Client,
    ConnectionState,
    Context,
    Layer,
    NextLayer,
    NextLayerHook,
    Options,
    Server,
    StartHook,
    TlsData,
    TlsStartClientHook,
    first_bytes,
    hook_argument,
)
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.adapters.mitmproxy.tls.certificates import Certificates
from proxyguard.adapters.mitmproxy.tls.layer import TlsLayer
from proxyguard.adapters.mitmproxy.tls.openssl import new_buffer
from proxyguard.adapters.mitmproxy.tls.records import BUFFER_BYTES

HTTP2: Final = b"h2"

NO_SERVER: Final = Server(address=None)

LayerFactory = Callable[[Context, FrontServices, ClientState], Layer]
"""Makes the layer that speaks HTTP on a connection."""


class ConnectionContext(Context):
    """mitmproxy's context of a connection, with what our layers share with the driver.

    Its `server` is one description that all share: upstream connections come from the pool, each with its own.
    """

    def __init__(self, client: Client, options: Options, link: ClientState) -> None:  # replaces, to save a Server a connection
        self.client = client
        self.options = options
        self.server = NO_SERVER
        self.layers = []
        self.link = link


class Stack:
    """The addon: chooses layers and certificates."""

    def __init__(self, services: FrontServices, certificates: Certificates, http2_layer: LayerFactory | None = None) -> None:
        self._services = services
        self._certificates = certificates
        self._http2_layer = http2_layer
        self._record_buffer = new_buffer(BUFFER_BYTES)
        """For the records of one connection at a time: nothing waits between reading and handing on."""

    def next_layer(self, asked: NextLayer) -> None:
        """mitmproxy's extension point: which protocol comes next on a connection."""
        context = asked.context
        assert isinstance(context, ConnectionContext)  # noqa: S101 - the driver makes no others
        link = context.link
        if self._certificates and not context.client.tls:
            if first_bytes(asked)[:1] == b"\x16":
                asked.layer = TlsLayer(context, self._services, link, self._record_buffer)
                return
            layer: Layer = Http1Layer(context, self._services, link, misdirected=not link.redirects)
        elif context.client.alpn == HTTP2 and self._http2_layer is not None:
            layer = self._http2_layer(context, self._services, link)
        else:
            layer = Http1Layer(context, self._services, link)
        link.layer = asked.layer = layer

    def tls_start_client(self, start: TlsData) -> None:
        """Which certificate to show; without one the handshake fails."""
        start.ssl_conn = self._certificates.for_name(start.conn.sni)


class Embedding:
    """A direct way from the hooks of mitmproxy's layers to the one addon; no Master, which would load forty others (20 MiB)."""

    def __init__(self, stack: Stack) -> None:
        self._options = Options()
        self._hooks: dict[str, Callable[[Any], None]] = {
            NextLayerHook.name: stack.next_layer, TlsStartClientHook.name: stack.tls_start_client,
        }  # fmt: skip

    def context(self, peer: tuple[str, int], local: tuple[str, int], link: ClientState) -> ConnectionContext:
        """A new connection, as mitmproxy describes it."""
        client = Client(peername=peer, sockname=local, state=ConnectionState.OPEN)
        return ConnectionContext(client, self._options, link)

    def run_hook(self, hook: StartHook) -> None:
        """Have the addon do what a layer asks for, if it is among what it does."""
        call = self._hooks.get(hook.name)
        if call is not None:
            call(hook_argument(hook))
