"""TLS that ends at the front, and TLS to upstreams."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import ssl
from pathlib import Path

import pytest

from proxyguard.adapters.mitmproxy.listener import ListenFault
from proxyguard.adapters.mitmproxy.tls.layer import TlsLayer
from proxyguard.adapters.mitmproxy.tls.openssl import SSL
from proxyguard.core.settings import Bounds, Certificate, Site, Upstream, UpstreamHttp, UpstreamTls
from tests.adapters.certificates import write_certificate
from tests.adapters.fakes import HeaderChecker
from tests.adapters.front_rig import LOOPBACK, FrontRig, fronted, hello, rest, run, until

GET = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nhi"


def client_context(*trusted: Certificate, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for certificate in trusted:
        context.load_verify_locations(certificate.chain)
    context.set_alpn_protocols(list(protocols))
    return context


async def connect(rig: FrontRig, context: ssl.SSLContext, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, rig.port, ssl=context, server_hostname=name)


def site(certificate: Certificate, port: int, *hosts: str) -> Site:
    return Site(hosts=hosts, upstreams=(Upstream("http", LOOPBACK, port),), certificate=certificate)


def test_requests_over_tls_are_served_and_called_https(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            reader, writer = await connect(rig, client_context(certificate, protocols=("h2", "http/1.1")), "a.example")
            writer.write(GET * 3)
            assert await reader.readexactly(3 * len(OK)) == OK * 3
            tls = writer.get_extra_info("ssl_object")
            assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
            assert isinstance(rig.checker, HeaderChecker)
            assert {request.scheme for request in rig.checker.requests} == {b"https"}
            writer.close()
            await until(lambda: rig.front.stats()["connections"] == 0)

    run(scenario())


def test_certificates_are_chosen_by_name_and_unknown_names_refused(tmp_path: Path) -> None:
    a = write_certificate(tmp_path, "a", "a.example")
    b = write_certificate(tmp_path, "b", "*.b.example")

    async def scenario() -> None:
        async with fronted() as behind:
            port = behind.upstream.port
            async with fronted(sites=(site(a, port, "a.example"), site(b, port, "*.b.example"))) as rig:
                for trusted, name in ((a, "a.example"), (b, "www.b.example")):
                    _, writer = await connect(rig, client_context(trusted), name)
                    writer.close()
                with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
                    await connect(rig, client_context(a, b), "c.example")
                unnamed = client_context(a)
                unnamed.check_hostname = False
                _, writer = await connect(rig, unnamed, "")
                writer.close()
                assert rig.events.bad == {"tls-name": 1}

    run(scenario())


def test_a_name_with_a_final_dot_is_the_name_without_it(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate, "hosts": ("a.example",)}) as rig:
            context = client_context(certificate)
            context.check_hostname = False
            reader, writer = await connect(rig, context, "A.example.")
            writer.write(GET)
            assert await reader.readexactly(len(OK)) == OK
            writer.close()

    run(scenario())


def test_a_renewed_certificate_is_shown_to_new_connections_only(tmp_path: Path) -> None:
    first = write_certificate(tmp_path, "a", "a.example")
    before = client_context(first)

    async def scenario() -> None:
        async with fronted(site={"certificate": first}) as rig:
            reader, writer = await connect(rig, before, "a.example")
            write_certificate(tmp_path, "a", "a.example")
            rig.front.refresh_certificates()
            after = client_context(first)
            _, new = await connect(rig, after, "a.example")
            new.close()
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(rig, before, "a.example")
            writer.write(GET)
            assert await reader.readexactly(len(OK)) == OK
            writer.close()

    run(scenario())


def test_a_certificate_that_becomes_unreadable_is_reported_and_the_old_one_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            certificate.chain.write_text("not a certificate")
            context = client_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            for _ in range(3):  # said once
                rig.front.refresh_certificates()
            [first] = caplog.messages
            served = "the certificate cannot be renewed, the one of before is served: "
            assert first.startswith(f"{served}{certificate.chain} with {certificate.key}: ")
            assert caplog.records[0].exc_info is None
            caplog.clear()
            certificate.chain.unlink()
            for _ in range(3):
                rig.front.refresh_certificates()
            assert caplog.messages == [f"{served}{certificate.chain}: No such file or directory"]
            assert rig.events.errors == []  # no fault of ours
            assert len(rig.front.certificate_ends()) == 1
            _, writer = await connect(rig, context, "a.example")
            writer.close()

    run(scenario())


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")
    os.truncate(certificate.key, 10)

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}):
            pass

    with pytest.raises(ListenFault, match=f"certificate: {certificate.chain} with {certificate.key}: "):
        run(scenario())


def test_old_tls_is_refused(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")
    old = client_context(certificate)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1_1
    old.maximum_version = ssl.TLSVersion.TLSv1_1

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await connect(rig, old, "a.example")

    run(scenario())


def test_plain_http_on_a_tls_port_is_a_400(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            answer = await rig.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert rig.upstream.connections == 0

    run(scenario())


@pytest.mark.parametrize(
    ("data", "bound"),
    [
        (b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + b"z" * 16000, "client_hello_bytes"),
        (b"\x16\x03\x01\x40\x00\x01", "tls_handshake_seconds"),
        (b"", "head_seconds"),
    ],
    ids=["large-hello", "slow-hello", "silent"],
)
def test_handshakes_are_bounded(tmp_path: Path, data: bytes, bound: str) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")
    bounds = Bounds(client_hello_bytes=8192, tls_handshake_seconds=0.1, head_seconds=0.2)

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}, bounds=bounds) as rig:
            assert len(await rig.ask(data)) in (0, 7)
            assert rig.events.bounds == {bound: 1}

    run(scenario())


class ByHand:
    """A TLS client whose packets the test sends."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    async def shake_hands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int = 65536) -> None:
        """Send the handshake in pieces of `size` bytes."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                data = self.outgoing.read()
                for at in range(0, len(data), size):
                    writer.write(data[at : at + size])
                    await asyncio.sleep(0)
                self.incoming.write(await reader.read(65536))
            else:
                return

    async def read(self, reader: asyncio.StreamReader, count: int) -> bytes:
        got = b""
        while len(got) < count:
            try:
                got += self.tls.read(count)
            except ssl.SSLWantReadError:
                self.incoming.write(await reader.read(65536))
        return got


def test_a_hello_in_single_bytes_is_understood(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            context = client_context(certificate)
            client = ByHand(context, "a.example")
            reader, writer = await rig.connect()
            await client.shake_hands(reader, writer, size=1)
            client.tls.write(GET)
            writer.write(client.outgoing.read())
            assert await client.read(reader, len(OK)) == OK
            writer.close()

    run(scenario())


async def asked_and_left(rig: FrontRig, certificate: Certificate) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a request and a goodbye were sent in one packet."""
    client = ByHand(client_context(certificate), "a.example")
    reader, writer = await rig.connect()
    await client.shake_hands(reader, writer)
    client.tls.write(GET)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    writer.write(client.outgoing.read())
    return reader, writer


def test_a_request_and_a_goodbye_in_one_packet_are_answered(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            reader, writer = await asked_and_left(rig, certificate)
            expected = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            assert len(await rest(reader)) > len(expected)
            assert rig.served == [(200, "")]
            writer.close()

    run(scenario())


def held_by_openssl() -> int:
    """Bytes that came and were not read, of all connections over TLS."""
    gc.collect()
    layers = [each for each in gc.get_objects() if isinstance(each, TlsLayer) and each.tls is not None]
    place = SSL._ffi.new("char **")  # type: ignore[attr-defined]
    return sum(SSL._lib.BIO_get_mem_data(layer.tls._into_ssl, place) for layer in layers)  # type: ignore[attr-defined]


def test_what_follows_a_goodbye_is_thrown_away(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")
    begun, more = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await more.wait()
        writer.write(OK)

    async def scenario() -> None:
        async with fronted(slow, site={"certificate": certificate}, bounds=Bounds(half_close_seconds=20.0)) as rig:
            reader, writer = await asked_and_left(rig, certificate)
            await begun.wait()
            for _ in range(64):
                writer.write(b"z" * 65536)
                await writer.drain()
            assert held_by_openssl() == 0
            more.set()
            assert len(await rest(reader)) > len(OK)
            assert rig.served == [(200, "")]
            writer.close()

    run(scenario())


@pytest.mark.parametrize("request_", [b"", GET])
def test_what_is_no_tls_after_the_handshake_ends_the_connection(tmp_path: Path, request_: bytes) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await rest(reader)

    async def scenario() -> None:
        async with fronted(silent, site={"certificate": certificate}) as rig:
            client = ByHand(client_context(certificate), "a.example")
            reader, writer = await rig.connect()
            await client.shake_hands(reader, writer)
            if request_:
                client.tls.write(request_)
            writer.write(client.outgoing.read())
            await until(lambda: rig.upstream.connections == bool(request_))
            writer.write(b"\x17\x03\x03\x00\x20" + b"z" * 32)
            await rest(reader)
            await until(lambda: rig.front.stats()["connections"] == 0)
            assert rig.served == ([(499, "client-gone")] if request_ else [])
            writer.close()

    run(scenario())


def test_a_tarpit_drips_over_tls_and_a_drop_says_nothing(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            reader, writer = await connect(rig, client_context(certificate), "a.example")
            writer.write(GET.replace(b"\r\n\r\n", b"\r\nX-Do: tarpit\r\n\r\n"))
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(9) == b"<!doctype"
            assert rig.front.stats()["tarpits"] == 1
            writer.transport.abort()
            await until(lambda: rig.front.stats()["tarpits"] == 0)
            reader, writer = await connect(rig, client_context(certificate), "a.example")
            writer.write(GET.replace(b"\r\n\r\n", b"\r\nX-Do: drop\r\n\r\n"))
            assert await rest(reader) == b""
            writer.close()

    run(scenario())


def test_large_bodies_pass_over_tls(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")
    size = 8_000_000

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(80):
            writer.write(b"z" * (size // 80))
            await writer.drain()

    async def scenario() -> None:
        async with fronted(large, site={"certificate": certificate}) as rig:
            reader, writer = await connect(rig, client_context(certificate), "a.example")
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            assert len(await reader.readexactly(size)) == size
            writer.close()

    run(scenario())


def test_a_connection_that_ends_says_so_in_tls(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": certificate}) as rig:
            reader, writer = await connect(rig, client_context(certificate), "a.example")
            writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert await reader.read() == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            writer.close()

    run(scenario())


# -- TLS to upstreams ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "tls", "status"),
    [
        ("127.0.0.1", {"ca": True}, b"200 OK"),
        ("inner.example", {"ca": True, "name": "inner.example"}, b"200 OK"),
        ("inner.example", {"ca": True}, b"503 Service Unavailable"),
        ("127.0.0.1", {}, b"503 Service Unavailable"),
        ("other.example", {"verify": False}, b"200 OK"),
    ],
)
def test_upstream_certificates_are_verified(tmp_path: Path, named: str, tls: dict[str, bool | str], status: bytes) -> None:
    certificate = write_certificate(tmp_path, "inner", named)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    how = UpstreamTls(
        ca=certificate.chain if tls.get("ca") else None,
        name=str(tls["name"]) if "name" in tls else None,
        verify=bool(tls.get("verify", True)),
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await hello(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
        upstream = Upstream("https", LOOPBACK, server.sockets[0].getsockname()[1])
        async with fronted(upstreams=(upstream,), site={"upstream_tls": how}) as rig:
            answer = await rig.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert answer.startswith(b"HTTP/1.1 %b\r\n" % status)
            if status.startswith(b"503"):
                assert {where for where, _ in rig.events.errors} == {"upstream-tls"}
                rig.events.errors.clear()
        server.close()

    run(scenario())


@pytest.mark.parametrize("http", [UpstreamHttp.HTTP1, UpstreamHttp.HTTP2])
def test_a_name_that_tls_does_not_take_is_a_503_and_no_wait(tmp_path: Path, http: UpstreamHttp) -> None:
    certificate = write_certificate(tmp_path, "inner", "inner.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    async def scenario() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0, ssl=context)
        upstream = Upstream("https", LOOPBACK, server.sockets[0].getsockname()[1])
        how = {"upstream_tls": UpstreamTls(name="inner..example"), "upstream_http": http}
        async with fronted(upstreams=(upstream,), site=how) as rig:
            answer = await rig.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert answer.startswith(b"HTTP/1.1 503 ")
        server.close()

    run(scenario())
