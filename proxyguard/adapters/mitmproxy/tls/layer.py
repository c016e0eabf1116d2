"""mitmproxy's client-side TLS layer, made fit for the open internet: a bound on the ClientHello, alerts, close_notify."""

from __future__ import annotations

from proxyguard.adapters.mitmproxy.messages import Abort
from proxyguard.adapters.mitmproxy.next_layer import ProtocolChooser
from proxyguard.adapters.mitmproxy.private import (
    ClientTLSLayer,
    CloseConnection,
    CommandGenerator,
    ConnectionClosed,
    ConnectionState,
    Context,
    DataReceived,
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
from proxyguard.adapters.mitmproxy.tls.openssl import SSL
from proxyguard.http.fingerprints.facts import connection_facts

READ_BYTES = 65535
"""More than the largest TLS record."""


class TlsEncryptor:
    """Encrypts what is dripped to a client after its layers are gone."""

    __slots__ = ("_connection",)

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection

    def __call__(self, data: bytes, /) -> bytes:
        self._connection.sendall(data)
        return self._connection.bio_read(READ_BYTES)


class ReverseProxyMode(Layer):
    """Lies under TlsLayer in the stack, where mitmproxy has its proxy mode: its TLS layer looks for one."""

    def _handle_event(self, event: Event) -> CommandGenerator[None]:
        raise NotImplementedError(f"{event} reached a layer that is never asked")


class TlsLayer(ClientTLSLayer):
    """Establishes TLS with the client; the layer under it is asked for as soon as plain bytes come."""

    def __init__(self, context: Context, services: FrontServices, link: ClientState) -> None:
        ReverseProxyMode(context)
        super().__init__(context)
        self.child_layer = ProtocolChooser(context)
        self._services = services
        self._link = link
        self._reader: ClientHelloReader | None = ClientHelloReader()
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
            self._link.handshaking = False
            self._link.encryptor = TlsEncryptor(self.tls)
            if self._link.layer is None:
                self._link.due = self._services.clock() + self._services.bounds.head_seconds
        return done, error

    def receive_data(self, data: bytes) -> CommandGenerator[None]:
        """Replaces mitmproxy's: OpenSSL would hold whatever follows a goodbye, which is thrown away, or what is no record of this
        connection, which ends it. How much of the first frames is in the first record tells browsers from others.
        """
        tls, facts = self.tls, self._link.facts
        if tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
            return
        if facts is not None and not facts.tls_version:
            facts.tls_version = tls.get_protocol_version_name().removeprefix("TLSv").encode()
        if data:
            tls.bio_write(data)
        plain = bytearray()
        is_over = is_broken = False
        try:
            while True:
                record = tls.recv(READ_BYTES)
                if facts is not None and facts.first_record < 0:
                    facts.first_record = len(record)
                plain += record
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            is_over = True
        except SSL.Error:
            is_broken = True
        yield from self.tls_interact()
        if plain:
            yield from self.event_to_child(DataReceived(self.conn, bytes(plain)))
        if is_broken:
            yield Abort(self.context.client)
        elif is_over:
            self.conn.state &= ~ConnectionState.CAN_READ
            yield from self.event_to_child(ConnectionClosed(self.conn))

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

    def send_close(self, command: CloseConnection) -> CommandGenerator[None]:
        try:
            self.tls.shutdown()
            yield from self.tls_interact()
        except SSL.Error:
            pass  # the peer has already gone
        yield from super().send_close(command)
