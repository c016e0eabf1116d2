"""mitmproxy's client-side TLS layer, made fit for the open internet: a bound on the ClientHello, alerts, close_notify."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxyguard.adapters.mitmproxy.messages import Order, data_received
from proxyguard.adapters.mitmproxy.next_layer import ProtocolChooser
from proxyguard.adapters.mitmproxy.private import (
    ClientTLSLayer,
    CloseConnection,
    CommandGenerator,
    ConnectionClosed,
    Context,
    Event,
    Layer,
    SendData,
    TlsData,
    TLSLayer,
    TlsStartClientHook,
)
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.adapters.mitmproxy.tls.certificates import UNRECOGNIZED_NAME
from proxyguard.adapters.mitmproxy.tls.client_hello import BadHello, ClientHelloReader
from proxyguard.adapters.mitmproxy.tls.records import TlsRecords
from proxyguard.http.fingerprints.facts import connection_facts


class ReverseProxyMode(Layer):
    """Lies under TlsLayer in the stack, where mitmproxy has its proxy mode: its TLS layer looks for one."""

    def _handle_event(self, event: Event) -> CommandGenerator[None]:
        raise NotImplementedError(f"{event} reached a layer that is never asked")


class TlsLayer(ClientTLSLayer):
    """Establishes TLS with the client; the layer under it is asked for as soon as plain bytes come."""

    def __init__(self, context: Context, services: FrontServices, link: ClientState, buffer: Any) -> None:
        """`buffer` is for records; see `TlsRecords`."""
        ReverseProxyMode(context)
        super().__init__(context)
        self.child_layer = self._chooser = ProtocolChooser(context)
        self._services = services
        self._link = link
        self._buffer = buffer
        self._reader: ClientHelloReader | None = ClientHelloReader()
        self._records: TlsRecords | None = None
        link.scheme = b"https"
        link.handshaking = True
        link.due = services.clock() + services.bounds.tls_handshake_seconds * services.admission.patience

    def receive_handshake_data(self, data: bytes) -> CommandGenerator[tuple[bool, str | None]]:
        """Replaces mitmproxy's reading of the hello, which begins anew with every read, and goes on with the handshake."""
        reader = self._reader
        if reader is not None:
            self.recv_buffer += data
            if len(self.recv_buffer) > self._services.bounds.client_hello_bytes:
                self._services.events.bound_exceeded("client_hello_bytes")
                return False, "ClientHello too large"
            try:
                hello = reader.feed(data)
            except BadHello:
                self._services.events.bad_request("tls-hello")
                return False, "no ClientHello"
            if hello is None:
                return False, None
            self.conn.sni, self.conn.alpn_offers = hello.name, hello.protocols
            if not self._link.is_relayed and not self._services.resolver.trusted.contains(self._link.peer):
                self._link.facts = connection_facts(hello.body)
            yield from self.start_tls()
            if not self.tls:
                return False, "no certificate"
            data = bytes(self.recv_buffer)
            self._reader = None
            self.recv_buffer.clear()
        done, error = yield from TLSLayer.receive_handshake_data(self, data)
        if done:
            link, tls = self._link, self.tls
            link.handshaking = False
            if link.layer is None:
                link.due = self._services.clock() + self._services.bounds.head_seconds
            if link.facts is not None:
                link.facts.tls_version = tls.get_protocol_version_name().removeprefix("TLSv").encode()
            records = self._records = TlsRecords(tls, self.context.client, self._chooser, link.facts, self._buffer)
            link.encryptor = records.encryptor
        return done, error

    def receive_data(self, data: bytes) -> Iterator[Order]:  # type: ignore[override]  # the driver takes these too
        """What comes with the end of the handshake waits in OpenSSL until that is finished."""
        if self._records is not None:
            yield from self._records.handle_event(data_received(self.context.client, data))

    def receive_close(self) -> Iterator[Order]:  # type: ignore[override]  # likewise
        yield from self.event_to_child(ConnectionClosed(self.conn))

    def event_to_child(self, event: Event) -> Iterator[Order]:  # type: ignore[override]  # likewise
        if self._records is None:
            yield from super().event_to_child(event)
        else:
            yield from self._records.handle_event(event)

    def _handshake_finished(self, err: str | None) -> Iterator[Order]:  # type: ignore[override]  # likewise
        """Step aside: from here on every event goes to the records at once."""
        yield from super()._handshake_finished(err)
        if self._records is not None:
            self.handle_event = self._records.handle_event  # type: ignore[assignment,method-assign]  # as its NextLayer does
            yield from self._records.handle_event(data_received(self.context.client, b""))

    def start_tls(self) -> CommandGenerator[None]:
        """Ask for the certificate; a name without one is refused with the alert that says so."""
        start = TlsData(self.conn, self.context)
        yield TlsStartClientHook(start)
        if start.ssl_conn is None:
            self._services.events.bad_request("tls-name")
            yield SendData(self.conn, UNRECOGNIZED_NAME)
            yield CloseConnection(self.conn)
        else:
            self.tls = start.ssl_conn

    def on_handshake_error(self, err: str) -> CommandGenerator[None]:
        """Send the alert that lies ready in OpenSSL's buffer, close, and ignore all that follows."""
        self.conn.error = err
        if self.tls:
            yield from self.tls_interact()
        yield CloseConnection(self.tunnel_connection)
        self.event_to_child = self.errored  # type: ignore[method-assign]  # mitmproxy's own way of muting a failed layer
