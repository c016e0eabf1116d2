"""Every address of an upstream's name gets its share, and one that is dead costs nobody anything for long."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.addresses import LOOKUP_SECONDS, MAX_ADDRESSES, UpstreamAddresses
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamTarget
from proxyguard.core.settings import Bounds, Upstream
from tests.adapters.front_rig import FrontRig, fronted, run, until

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1")
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PATIENT = Bounds(upstream_connect_seconds=20.0)
HANGS = 19.0  # seconds: less than waiting for the time-out above; a busy machine may take some


class Servers:
    """A server on the same port of several loopback addresses, each of which answers with its own."""

    def __init__(self) -> None:
        self.port = 0
        self.servers: dict[str, asyncio.Server] = {}

    async def start(self, *hosts: str) -> None:
        for host in hosts:
            server = await asyncio.start_server(self._serve, host, self.port)
            self.port = server.sockets[0].getsockname()[1]
            self.servers[host] = server

    async def stop(self, *hosts: str) -> None:
        for host in hosts or tuple(self.servers):
            self.servers.pop(host).close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("sockname")[0].encode()
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(name), name))
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass


@contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """An address that answers no SYN: its backlog is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(0)
        held = [socket.socket(family) for _ in range(4)]
        for each in held:
            each.setblocking(False)  # noqa: FBT003 - the standard library's signature
            each.connect_ex((host, port))
        try:
            yield
        finally:
            for each in held:
                each.close()


class Resolver:
    """What a name stands for; takes the place of the loop's resolver."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.lookups = 0
        asyncio.get_running_loop().getaddrinfo = self.look_up  # type: ignore[assignment,method-assign]  # the loop's one resolver

    async def look_up(self, host: str, port: int, **_: Any) -> list[Any]:
        assert host == "site.test"
        self.lookups += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, port, 0, 0))
            if ":" in each
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in self.addresses
        ]


class Clock:
    """The worker's time, and how far a test has moved it."""

    offset = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.offset


async def asked(rig: FrontRig, count: int) -> list[str]:
    return [(await rig.ask(GET)).partition(b"\r\n\r\n")[2].decode() for _ in range(count)]


def site(port: int) -> tuple[Upstream, ...]:
    return (Upstream("http", "site.test", port),)


def test_all_addresses_of_a_name_are_used_in_turn() -> None:
    async def scenario() -> list[str]:
        servers = Servers()
        await servers.start(*HOSTS)
        resolver = Resolver(*HOSTS)
        async with fronted(upstreams=site(servers.port)) as rig:
            got = await asked(rig, 9)
            assert resolver.lookups == 1
        await servers.stop()
        return got

    got = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert {host: got[1:].count(host) for host in HOSTS} == dict.fromkeys(HOSTS, 2)


@pytest.mark.parametrize("dead", ["127.0.0.1", "::1"])
def test_an_address_that_drops_packets_costs_a_quarter_second_then_nothing(dead: str) -> None:
    async def scenario() -> None:
        servers = Servers()
        await servers.start("127.0.0.2")
        Resolver(dead, "127.0.0.2")
        with silent(dead, servers.port):
            async with fronted(upstreams=site(servers.port), bounds=PATIENT) as rig:
                began = time.monotonic()
                assert await asked(rig, 1) == ["127.0.0.2"]
                assert time.monotonic() - began < HANGS
                began = time.monotonic()
                assert await asked(rig, 20) == ["127.0.0.2"] * 20
                assert time.monotonic() - began < HANGS
                await servers.stop()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_an_address_that_drops_packets_is_out_after_one_time_out() -> None:
    async def scenario() -> None:
        servers = Servers()
        await servers.start("127.0.0.2")
        Resolver("127.0.0.1", "127.0.0.2")
        with silent("127.0.0.1", servers.port):
            async with fronted(upstreams=site(servers.port), bounds=Bounds(upstream_connect_seconds=0.5)) as rig:
                assert await asked(rig, 1) == ["127.0.0.2"]
                await until(lambda: rig.front.stats()["upstreams_out"] == 1)
                assert await asked(rig, 4) == ["127.0.0.2"] * 4
                await servers.stop()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_with_all_but_one_dead_a_request_still_finds_the_one() -> None:
    async def scenario() -> None:
        servers = Servers()
        await servers.start("127.0.0.3")
        with silent("127.0.0.1", servers.port), silent("::1", servers.port):
            behind = tuple(Upstream("http", host, servers.port) for host in ("127.0.0.1", "::1", "127.0.0.2", "127.0.0.3"))
            async with fronted(upstreams=behind, bounds=PATIENT) as rig:
                began = time.monotonic()
                assert set(await asked(rig, 10)) == {"127.0.0.3"}
                assert time.monotonic() - began < HANGS
        await servers.stop()

    run(scenario())


def test_when_all_are_dead_the_answer_comes_in_time_and_they_are_found_again() -> None:
    async def scenario() -> None:
        servers = Servers()
        await servers.start("127.0.0.1", "127.0.0.2")
        behind = tuple(Upstream("http", host, servers.port) for host in ("127.0.0.1", "127.0.0.2"))
        await servers.stop()
        async with fronted(upstreams=behind, bounds=PATIENT) as rig:
            assert (await rig.ask(GET)).startswith(b"HTTP/1.1 503")
            await servers.start("127.0.0.2")
            assert await asked(rig, 2) == ["127.0.0.2"] * 2
            await servers.start("127.0.0.1")
            await until(lambda: rig.front.stats()["upstreams_out"] == 0)
            assert set(await asked(rig, 4)) == {"127.0.0.1", "127.0.0.2"}
        await servers.stop()

    run(scenario())


def test_a_name_is_followed_when_it_moves_and_kept_when_it_is_lost() -> None:
    clock = Clock()

    async def scenario() -> None:
        servers = Servers()
        await servers.start("127.0.0.1", "127.0.0.2")
        resolver = Resolver("127.0.0.1")
        async with fronted(upstreams=site(servers.port), front={"clock": clock}) as rig:
            assert await asked(rig, 2) == ["127.0.0.1"] * 2
            resolver.addresses = ("127.0.0.2",)
            assert await asked(rig, 2) == ["127.0.0.1"] * 2
            assert resolver.lookups == 1
            clock.offset = LOOKUP_SECONDS
            await asked(rig, 1)  # begins the look-up, and does not wait for it
            assert await asked(rig, 2) == ["127.0.0.2"] * 2
            resolver.addresses = ()
            clock.offset = 3 * LOOKUP_SECONDS
            assert await asked(rig, 2) == ["127.0.0.2"] * 2
            assert resolver.lookups == 3
            await servers.stop("127.0.0.2")
            resolver.addresses = ("127.0.0.1",)
            clock.offset = 5 * LOOKUP_SECONDS
            assert await asked(rig, 2) == ["127.0.0.1"] * 2  # waits for it where nothing else is left
        await servers.stop()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_name_that_stands_for_nothing_yet_is_a_503_and_is_found_later() -> None:
    async def scenario() -> None:
        servers = Servers()
        await servers.start("127.0.0.1")
        resolver = Resolver()
        async with fronted(upstreams=site(servers.port)) as rig:
            assert (await rig.ask(GET)).startswith(b"HTTP/1.1 503")
            resolver.addresses = ("127.0.0.1",)
            await asyncio.sleep(0.55)
            assert await asked(rig, 1) == ["127.0.0.1"]
        await servers.stop()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_of_a_name_with_very_many_addresses_those_in_use_remain_whatever_the_order() -> None:
    async def scenario() -> None:
        names = [f"192.0.2.{each}" for each in range(1, MAX_ADDRESSES + 40)]
        resolver = Resolver(*names)
        loop, clock, changes, made = asyncio.get_running_loop(), Clock(), list[int](), list[str]()

        def make(address: str) -> UpstreamTarget:
            made.append(address)
            return UpstreamTarget(upstream, None, None, wheel, Bounds(), loop.time, ReadBuffer(), address=address)

        upstream = Upstream("http", "site.test", 80)
        wheel = TimerWheel(loop, 0.25, loop.time, lambda _where, _error: None)
        addresses = UpstreamAddresses(upstream, make, lambda: changes.append(len(addresses.targets)), loop, clock)
        for turn in range(3):
            clock.offset = turn * LOOKUP_SECONDS
            lookup = addresses.refresh()
            assert lookup is not None
            await lookup
            resolver.addresses = tuple(reversed(resolver.addresses))
        assert (changes, made) == ([MAX_ADDRESSES], names[:MAX_ADDRESSES])
        resolver.addresses = tuple(names[1:])
        clock.offset = 3 * LOOKUP_SECONDS
        lookup = addresses.refresh()
        assert lookup is not None
        await lookup
        assert (len(changes), made[MAX_ADDRESSES:]) == (2, [names[MAX_ADDRESSES]])

    asyncio.run(asyncio.wait_for(scenario(), 60))
