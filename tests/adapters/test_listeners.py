"""Several listeners, Unix sockets on both sides, and the one that sends everybody to https."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from proxyguard.adapters.mitmproxy.listener import ListenFault, close_sockets, listen_of, open_sockets
from proxyguard.core.address import Network
from proxyguard.core.settings import Listen, Settings, Site, Trust, Upstream
from proxyguard.instance.shared_port import bind, distinct
from tests.adapters.certificates import write_certificate
from tests.adapters.front_rig import LOOPBACK, ScriptedUpstream, fronted, hello, rest, run
from tests.adapters.tls.test_certificates import OK
from tests.ports import free_port

GET = b"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"


def file_mode(path: str) -> int | None:
    """The permissions of a file, None when it is not there."""
    found = Path(path)
    return stat.S_IMODE(found.stat().st_mode) if found.exists() else None


async def ask_unix(path: str, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    answer = await rest(reader)
    writer.close()
    return answer


@pytest.mark.parametrize("runner", [run, lambda scenario: asyncio.run(asyncio.wait_for(scenario, 60))], ids=["uvloop", "asyncio"])
def test_clients_and_the_site_may_be_on_unix_sockets(tmp_path: Path, runner: object) -> None:
    front, behind = str(tmp_path / "front.sock"), str(tmp_path / "app.sock")

    async def scenario() -> None:
        upstream = ScriptedUpstream(hello)
        server = await asyncio.start_unix_server(upstream._serve, behind)
        listens = (Listen(LOOPBACK, 0), Listen("", 0, front, 0o600))
        async with fronted(upstreams=(Upstream("http", "localhost", 80, behind),), listen=listens) as rig:
            assert file_mode(front) == 0o600
            assert [str(address) for address in rig.front.addresses] == [f"{LOOPBACK}:{rig.port}", f"unix:{front}"]
            for _ in range(3):
                assert (await ask_unix(front, GET)).endswith(b"hi")
                assert (await rig.ask(GET)).endswith(b"hi")
            assert upstream.connections == 1
        server.close()
        assert file_mode(front) is None

    assert callable(runner)
    runner(scenario())


def test_who_connects_over_a_unix_socket_is_this_machine_and_is_trusted_only_when_told(tmp_path: Path) -> None:
    path = str(tmp_path / "front.sock")
    request = GET.replace(b"Host", b"X-Forwarded-For: 192.0.2.7\r\nHost")

    async def seen(trust: Trust) -> bytes:
        heads: list[bytes] = []

        async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)

        async with fronted(noting, listen=(Listen(LOOPBACK, 0), Listen("", 0, path)), trust=trust):
            await ask_unix(path, request)
        (line,) = [line for line in heads[0].split(b"\r\n") if line.startswith(b"X-Real-IP")]
        return line

    assert run(seen(Trust())) == b"X-Real-IP: 127.0.0.1"
    assert run(seen(Trust(proxies=(Network.parse("127.0.0.0/8"),)))) == b"X-Real-IP: 192.0.2.7"


@pytest.mark.parametrize(
    ("request_", "line", "location"),
    [
        (GET, b"301 Moved Permanently", b"https://a.example/x?y=1"),
        (GET.replace(b"GET", b"HEAD"), b"301 Moved Permanently", b"https://a.example/x?y=1"),
        (GET.replace(b"GET", b"POST"), b"308 Permanent Redirect", b"https://a.example/x?y=1"),
        (GET.replace(b"a.example", b"A.Example:8080"), b"301 Moved Permanently", b"https://a.example/x?y=1"),
        (GET.replace(b"GET /x?y=1", b"GET http://a.example/z"), b"301 Moved Permanently", b"https://a.example/z"),
        (GET.replace(b"GET /x?y=1", b"GET //evil.example/"), b"301 Moved Permanently", b"https://a.example//evil.example/"),
        (GET.replace(b"GET /x?y=1", b"OPTIONS *"), b"308 Permanent Redirect", b"https://a.example/"),
        (GET.replace(b"a.example", b"evil.example"), b"421 Misdirected Request", None),
        (b"GET / HTTP/1.0\r\n\r\n", b"421 Misdirected Request", None),
    ],
)
def test_one_listener_sends_clients_to_https(request_: bytes, line: bytes, location: bytes | None) -> None:
    async def scenario() -> None:
        site = {"hosts": ("a.example",)}
        async with fronted(listen=(Listen(LOOPBACK, 0, redirects=True),), site=site) as rig:
            answer = await rig.ask(request_)
            assert answer.split(b"\r\n")[0] == b"HTTP/1.1 " + line
            found = [each.partition(b": ")[2] for each in answer.split(b"\r\n") if each.lower().startswith(b"location:")]
            assert found == ([] if location is None else [location])
            assert rig.upstream.connections == 0

    run(scenario())


def test_the_listener_that_sends_clients_to_https_does_so_beside_one_that_speaks_tls(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        listens = (Listen(LOOPBACK, free_port(), redirects=True), Listen(LOOPBACK, free_port()))
        async with fronted(listen=listens, site={"hosts": ("a.example",), "certificate": certificate}) as rig:
            assert b"\r\nLocation: https://a.example/x?y=1\r\n" in await rig.ask(GET)
            rig.port = rig.front.addresses[1].port
            assert (await rig.ask(GET)).startswith(b"HTTP/1.1 400 ")

    run(scenario())


def test_a_client_without_a_host_is_sent_nowhere() -> None:
    async def scenario() -> bytes:
        async with fronted(listen=(Listen(LOOPBACK, 0, redirects=True),)) as rig:
            return await rig.ask(b"GET / HTTP/1.0\r\n\r\n")

    assert run(scenario()).startswith(b"HTTP/1.1 400 ")


def test_whom_a_trusted_proxy_served_over_https_is_not_sent_round_again() -> None:
    async def scenario() -> bytes:
        trust = Trust(proxies=(Network.parse("127.0.0.0/8"),))
        async with fronted(listen=(Listen(LOOPBACK, 0, redirects=True),), trust=trust) as rig:
            return await rig.ask(GET.replace(b"Host", b"X-Forwarded-Proto: https\r\nHost"))

    assert run(scenario()).endswith(b"hi")


@pytest.mark.parametrize("ended", [b"", b"\x20\x00\x05\x01\0\0\0\0"])
def test_who_came_to_a_proxy_over_tls_came_over_https(ended: bytes) -> None:
    addresses = b"\xcb\x00\x71\x09\x7f\0\0\x01\x12\x34\x01\xbb" + ended
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(addresses).to_bytes(2) + addresses
    heads: list[bytes] = []

    async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async def scenario() -> bytes:
        trust = Trust(proxies=(Network.parse("127.0.0.0/8"),), proxy_protocol=True)
        async with fronted(noting, listen=(Listen(LOOPBACK, 0, redirects=True),), trust=trust) as rig:
            return await rig.ask(header + GET)

    answer = run(scenario())
    if ended:
        assert b"\r\nX-Forwarded-Proto: https\r\n" in heads[0]
    else:
        assert answer.startswith(b"HTTP/1.1 301 ")


def test_a_socket_file_left_behind_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listen = Listen("", 0, str(path))
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    (made,) = open_sockets(listen, shared_port=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    made.listen(1)
    with pytest.raises(ListenFault, match="Address already in use"):
        open_sockets(listen, shared_port=False)
    close_sockets([made])
    path.write_text("precious")
    with pytest.raises(ListenFault, match="a file that is no socket is there already"):
        open_sockets(listen, shared_port=False)
    assert path.read_text() == "precious"
    with pytest.raises(ListenFault, match="No such file or directory"):
        open_sockets(Listen("", 0, str(tmp_path / "none/s")), shared_port=False)


def test_workers_share_one_unix_socket_and_have_a_tcp_socket_each(tmp_path: Path) -> None:
    listens = (Listen(LOOPBACK, 0, redirects=True), Listen("", 0, str(tmp_path / "s")), Listen(LOOPBACK, 0))
    bound = bind(Settings(listen=listens, workers=3, sites=(Site(),)))
    ports = {tuple(each.getsockname()[1] for each in sockets if each.family != socket.AF_UNIX) for sockets in bound}
    assert len(ports) == 1
    assert len({id(sockets[1]) for sockets in bound}) == 1
    assert len(distinct(bound)) == 7
    close_sockets(distinct(bound))
    assert not (tmp_path / "s").exists()


def test_a_socket_is_known_by_its_address() -> None:
    (made,) = open_sockets(Listen(LOOPBACK, 0), shared_port=False)
    port = made.getsockname()[1]
    plain, sends = Listen("10.0.0.1", port), Listen(LOOPBACK, port, redirects=True)
    assert listen_of(made, (plain, sends)) == sends
    assert listen_of(made, (Listen("site.internal", port, redirects=True),)) == sends
    made.close()
