"""Several sites in one instance: certificates by name, renewed live, unknown hosts, and whose requests these are.

The real command with its settings file; upstreams on raw sockets say which site was meant.
"""

from __future__ import annotations

import signal
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxyguard.core.settings import Certificate
from proxyguard.telemetry.one_client import WINDOW_REQUESTS
from tests.adapters.certificates import write_certificate
from tests.end_to_end.processes import Proxyguard, proxyguard, tell, wait_until
from tests.end_to_end.raw_upstream import RawUpstream, Received, raw_upstream

NO_RULES = """\
name: nothing
rules:
  - name: nothing
    why: These tests are about connections, not about rules.
    when: {path: /nobody-asks-for-this}
    action: reject
"""


def naming(name: bytes):  # type: ignore[no-untyped-def]  # a handler, see raw_upstream
    """An upstream that answers with its name."""

    def answer(connection: socket.socket, _: Received) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))

    return answer


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("rules")
    (folder / "nothing.yaml").write_text(NO_RULES)
    return folder


class Sites:
    """An instance with two sites over TLS."""

    def __init__(self, guard: Proxyguard, folder: Path, shop: Certificate, blog: Certificate) -> None:
        self.guard = guard
        self.folder = folder
        self.shop = shop
        self.blog = blog


def trusting(*certificates: Certificate, alpn: str = "http/1.1") -> ssl.SSLContext:
    context = ssl.create_default_context()
    for certificate in certificates:
        context.load_verify_locations(certificate.chain)
    context.set_alpn_protocols([alpn])
    return context


def connect(guard: Proxyguard, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", guard.port), timeout=10)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def ask(connection: socket.socket, host: bytes, *, end: bytes = b"") -> bytes:
    """The first answer to a GET; all of it when it ends with `end`."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: %b\r\nUser-Agent: reader/1.0\r\n\r\n" % host)
    got = connection.recv(65536)
    while end and not got.endswith(end):
        part = connection.recv(65536)
        assert part, f"only {got!r} came"
        got += part
    return got


@pytest.fixture
def sites(tmp_path: Path, rules: Path) -> Iterator[Sites]:
    shop = write_certificate(tmp_path, "shop", "shop.example")
    blog = write_certificate(tmp_path, "blog", "*.blog.example")
    with raw_upstream(naming(b"the shop")) as one, raw_upstream(naming(b"the blog")) as two:
        settings = f"""\
sites:
  - hosts: shop.example
    upstream: {one.url}
    certificate: {{chain: {shop.chain}, key: {shop.key}}}
  - hosts: "*.blog.example"
    upstream: {two.url}
    certificate: {{chain: {blog.chain}, key: {blog.key}}}
"""
        with proxyguard(tmp_path / "guard", "", rules=rules, settings=settings) as guard:
            yield Sites(guard, tmp_path, shop, blog)
            assert "Traceback" not in guard.said()


def test_each_site_shows_its_certificate_and_has_its_upstream(sites: Sites) -> None:
    with connect(sites.guard, trusting(sites.shop), "shop.example") as connection:
        assert ask(connection, b"shop.example").endswith(b"the shop")
    with connect(sites.guard, trusting(sites.blog), "ada.blog.example") as connection:
        assert ask(connection, b"ada.blog.example").endswith(b"the blog")


def test_a_host_that_nobody_knows_is_said_plainly(sites: Sites) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        connect(sites.guard, trusting(sites.shop, sites.blog), "unknown.example")
    with connect(sites.guard, trusting(sites.shop), "shop.example") as connection:
        answer = ask(connection, b"unknown.example")
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"This server does not answer for that site." in answer
    assert b"mitmproxy" not in answer.lower()


def test_no_certificate_of_mitmproxys_own_is_ever_shown(sites: Sites) -> None:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    ours = {ssl.PEM_cert_to_DER_cert(one.chain.read_text()) for one in (sites.shop, sites.blog)}
    for name in ("shop.example", "x.blog.example", "127.0.0.1", "unknown.example", "mitm.it"):
        try:
            with connect(sites.guard, anybody, name) as connection:
                assert connection.getpeercert(binary_form=True) in ours
        except ssl.SSLError:
            assert name in ("127.0.0.1", "unknown.example", "mitm.it")


def test_a_renewed_certificate_is_shown_after_a_hangup_and_no_connection_is_lost(sites: Sites) -> None:
    before = trusting(sites.shop)
    with connect(sites.guard, before, "shop.example") as old:
        assert ask(old, b"shop.example").endswith(b"the shop")
        write_certificate(sites.folder, "shop", "shop.example")
        sites.guard.process.send_signal(signal.SIGHUP)
        after = trusting(sites.shop)

        def renewed() -> bool:
            try:
                with connect(sites.guard, after, "shop.example") as new:
                    return ask(new, b"shop.example").endswith(b"the shop")
            except ssl.SSLCertVerificationError:
                return False

        wait_until(renewed, "the renewed certificate is shown")
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(sites.guard, before, "shop.example")
        assert ask(old, b"shop.example").endswith(b"the shop")


def test_a_certificate_that_breaks_is_reported_and_the_old_one_kept(sites: Sites) -> None:
    before = trusting(sites.shop)
    sites.shop.chain.write_text("-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n")
    sites.guard.process.send_signal(signal.SIGHUP)
    wait_until(lambda: str(sites.shop.chain) in sites.guard.said(), "the fault is in the log")
    with connect(sites.guard, before, "shop.example") as connection:
        assert ask(connection, b"shop.example").endswith(b"the shop")


# -- whose requests these are --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream(naming(b"served")) as made:
        yield made


@pytest.fixture(scope="module")
def behind_a_balancer(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream, rules: Path) -> Iterator[Proxyguard]:
    """127.0.0.0/24 is a load balancer that begins every connection with a PROXY header."""
    settings = "trust: {proxies: [127.0.0.0/24], proxy_protocol: true}\naudit: {passes: 1}\nprivacy: full\n"
    with proxyguard(tmp_path_factory.mktemp("guard"), upstream.url, rules=rules, settings=settings) as guard:
        yield guard


def from_source(guard: Proxyguard, source: str, data: bytes) -> bytes:
    """What comes back first to some bytes from an address of loopback."""
    with socket.socket() as connection:
        connection.settimeout(10)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", guard.port))
        connection.sendall(data)
        try:
            return connection.recv(65536)
        except ConnectionResetError:
            return b""


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: reader/1.0\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n"

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2 = V2_SIGNATURE + b"\x21\x11" + struct.pack("!H4s4sHH", 12, bytes([203, 0, 113, 10]), bytes([192, 0, 2, 1]), 4712, 443)
V2_IPV6 = (
    V2_SIGNATURE
    + b"\x21\x21"
    + struct.pack("!H", 36)
    + socket.inet_pton(socket.AF_INET6, "2001:db8::9")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 4713, 443)
)


@pytest.mark.parametrize(
    ("header", "client"),
    [(V1, "203.0.113.9"), (V2, "203.0.113.10"), (V2_IPV6, "2001:db8::9")],
    ids=["version 1", "version 2", "version 2 with IPv6"],
)
def test_a_proxy_header_of_a_trusted_peer_names_the_client(
    behind_a_balancer: Proxyguard, upstream: RawUpstream, header: bytes, client: str
) -> None:
    upstream.whole.clear()
    assert from_source(behind_a_balancer, "127.0.0.1", header + REQUEST).endswith(b"served")
    assert upstream.whole[0].field(b"x-forwarded-for") == [client.encode()]
    assert upstream.whole[0].field(b"x-real-ip") == [client.encode()]
    behind_a_balancer.wait_for_record(lambda record: record.get("client") == client, f"a record of {client}")


@pytest.mark.parametrize(
    ("source", "data", "status"),
    [
        ("127.0.0.1", REQUEST, b""),
        ("127.0.0.1", b"PROXY TCP4 203.0.113.9 192.0.2.1 99999 443\r\n" + REQUEST, b""),
        ("127.1.0.1", V1 + REQUEST, b"HTTP/1.1 400 "),
        ("127.1.0.1", V2 + REQUEST, b"HTTP/1.1 400 "),
    ],
    ids=["trusted without a header", "trusted with a broken one", "untrusted, version 1", "untrusted, version 2"],
)
def test_without_a_right_header_from_a_right_peer_nothing_is_served(
    behind_a_balancer: Proxyguard, upstream: RawUpstream, source: str, data: bytes, status: bytes
) -> None:
    upstream.whole.clear()
    answer = from_source(behind_a_balancer, source, data)
    assert answer.startswith(status)
    assert bool(answer) == bool(status)
    assert upstream.whole == []


def test_who_is_not_trusted_needs_no_header(behind_a_balancer: Proxyguard, upstream: RawUpstream) -> None:
    upstream.whole.clear()
    assert from_source(behind_a_balancer, "127.1.0.1", REQUEST).endswith(b"served")
    assert upstream.whole[0].field(b"x-forwarded-for") == [b"127.1.0.1"]


def test_all_traffic_from_one_private_address_is_warned_of(tmp_path: Path, upstream: RawUpstream, rules: Path) -> None:
    """A proxy in front that nobody named: every limit would hit everyone."""
    with proxyguard(tmp_path, upstream.url, rules=rules) as guard:
        assert "\nproxyguard_one_client_suspected 0.0\n" in guard.admin("/metrics")
        with guard.connect() as connection:
            for _ in range(WINDOW_REQUESTS):
                assert ask(connection, b"x", end=b"served").startswith(b"HTTP/1.1 200 ")
        assert "\nproxyguard_one_client_suspected 1.0\n" in guard.admin("/metrics")
        warned = [line for line in guard.said().splitlines() if "trust.proxies" in line]
    assert len(warned) == 1
    assert "2000 of the last 2000 requests seem to come from one private address in 127.0.0.0/24" in warned[0]


AS_READ = """\
name: as-read
rules:
  - {name: sign-up, when: {path: /signup}, action: reject}
  - {name: deletes, when: {method: DELETE}, action: {reject: {status: 409}}}
  - {name: reads, when: {path: {prefix: /read}}, limit: {rate: 1/hour, per: [host, path]}, action: reject}
"""


def status(guard: Proxyguard, host: str, target: str, *fields: str, method: str = "GET") -> int:
    with socket.create_connection(("127.0.0.1", guard.port), timeout=20) as connection:
        lines = "".join(f"{each}\r\n" for each in (f"Host: {host}", "Connection: close", *fields))
        connection.sendall(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_each_site_reads_paths_and_methods_in_its_own_way_after_a_reload_too(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "as-read.yaml").write_text(AS_READ)
    override = "X-HTTP-Method-Override: DELETE"
    post = ("Content-Length: 0", override)
    with raw_upstream() as upstream:
        settings = f"""\
control: {tmp_path / "control.sock"}
sites:
  - {{hosts: express.test, upstream: "{upstream.url}", paths: express, method_override: true}}
  - {{hosts: php.test, upstream: "{upstream.url}", paths: php}}
  - {{hosts: strict.test, upstream: "{upstream.url}"}}
"""
        with proxyguard(tmp_path / "guard", "", rules=rules, settings=settings) as guard:
            for turn in range(2):
                seen = {
                    host: [
                        status(guard, f"{host}.test", path)
                        for path in ("/signup", "/SIGNUP", "/signup/", "/signup/x", "/SignUp/?a")
                    ]
                    for host in ("express", "php", "strict")
                }
                assert seen == {
                    "express": [403, 403, 403, 200, 403],
                    "php": [403, 200, 403, 200, 200],
                    "strict": [403, 200, 200, 200, 200],
                }
                upstream.whole.clear()
                assert [status(guard, f"{host}.test", "/x", *post, method="POST") for host in seen] == [409, 200, 200]
                assert [one.field(b"x-http-method-override") for one in upstream.whole] == [[], []]
                first = 200 if turn == 0 else 429  # counters outlive a reload, and each site has its own
                got = [[status(guard, f"{host}.test", path) for path in ("/read", "/READ")] for host in seen]
                assert got == [[first, 429], [first, 200], [first, 200]]
                (rules / "more.yaml").write_text(NO_RULES)
                assert tell(tmp_path, "reload").returncode == 0
            upstream.whole.clear()
            assert status(guard, "express.test", "/x", "Content-Length: 0", "X-HTTP-Method-Override: PUT", method="POST") == 200
            assert [one.field(b"x-http-method-override") for one in upstream.whole] == [[b"PUT"]]
            upstream.whole.clear()
            unclear = ("Content-Length: 0", "X-Method: PUT", override)
            assert [status(guard, f"{host}.test", "/x", *unclear, method="POST") for host in seen] == [400, 200, 200]
            assert status(guard, "express.test", "/x?_%6dethod=DELETE", "Content-Length: 0", method="POST") == 400
            assert status(guard, "php.test", "/x", "Content-Length: 0", "X.HTTP.Method.Override: DELETE", method="POST") == 200
            assert [b"delete" in one.head.lower() for one in upstream.whole] == [False] * 3
            assert "Traceback" not in guard.said()
