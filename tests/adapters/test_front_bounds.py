"""Bounds on requests under way, over real sockets: what waits, what is refused with which status, and that all is counted out."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import pytest

from proxyguard.core.address import Network
from proxyguard.core.settings import Bounds, Site, Trust, Upstream
from tests.adapters.front_rig import LOOPBACK, FrontRig, ScriptedUpstream, fronted, rest, run, until

FAST = b"GET /fast HTTP/1.1\r\nHost: fast.example\r\nConnection: close\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: slow.example\r\nConnection: close\r\n\r\n"
FEW = Bounds(requests=100, requests_per_network=100, upstream_queue=2, upstream_queue_seconds=0.2)


class Gate:
    """An upstream that answers requests for /slow when told, and others at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b" /slow" in head:
                self.inside += 1
                await self.open.wait()
                self.inside -= 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


def site(host: str, upstream: ScriptedUpstream, connections: int | None = None) -> Site:
    return Site(hosts=(host,), upstreams=(Upstream("http", LOOPBACK, upstream.port),), upstream_connections=connections)


async def ask_many(rig: FrontRig, count: int, data: bytes = SLOW) -> list[asyncio.Task[bytes]]:
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(rig.ask(data)))
        await asyncio.sleep(0.005)
    return tasks


def status(answer: bytes) -> bytes:
    return answer[9:12]


def stat(rig: FrontRig, name: str) -> int:
    return rig.front.stat(name)


def test_a_full_site_has_a_queue_and_then_says_so_while_another_site_goes_on() -> None:
    async def scenario() -> None:
        gate = Gate()
        upstream = ScriptedUpstream(gate)
        await upstream.start()
        sites = (site("slow.example", upstream, 3), site("fast.example", upstream))
        async with fronted(gate, sites=sites, bounds=FEW) as rig:
            asked = await ask_many(rig, 6)
            assert status(await asked[5]) == b"503"
            assert b"\r\nRetry-After: 5\r\n" in await asked[5]
            assert (stat(rig, "requests_queued"), stat(rig, "upstream_leases"), gate.inside) == (2, 3, 3)
            assert status(await rig.ask(FAST)) == b"200"
            assert [status(await task) for task in asked[3:5]] == [b"503", b"503"], "a wait has an end"
            late = await ask_many(rig, 1)
            gate.open.set()
            assert [status(await task) for task in (*asked[:3], *late)] == [b"200"] * 4
            assert sorted(fault for _, fault in rig.served if fault) == [
                "upstream-queue-full", "upstream-queue-timeout", "upstream-queue-timeout",
            ]  # fmt: skip
        await upstream.stop()

    run(scenario())


def test_a_client_that_leaves_the_queue_is_forgotten() -> None:
    async def scenario() -> None:
        gate = Gate()
        upstream = ScriptedUpstream(gate)
        await upstream.start()
        async with fronted(gate, sites=(site("slow.example", upstream, 1),), bounds=FEW) as rig:
            first = await ask_many(rig, 1)
            _, writer = await rig.connect()
            writer.write(SLOW)
            await until(lambda: stat(rig, "requests_queued") == 1)
            writer.transport.abort()
            await until(lambda: stat(rig, "requests_queued") == 0)
            assert stat(rig, "requests_under_way") == 1
            gate.open.set()
            assert status(await first[0]) == b"200"
        await upstream.stop()

    run(scenario())


def test_one_network_has_its_share_of_a_site_and_the_rest_of_another() -> None:
    async def scenario() -> None:
        gate = Gate()
        upstream = ScriptedUpstream(gate)
        await upstream.start()
        sites = (site("slow.example", upstream), site("fast.example", upstream))
        async with fronted(gate, sites=sites, bounds=replace(FEW, requests_per_network=8)) as rig:
            asked = await ask_many(rig, 5)
            refused = await asked[4]
            assert refused.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert b"\r\nConnection: close\r\n" in await rig.ask(SLOW.replace(b"close", b"keep-alive"))
            assert b"\r\nRetry-After: 5\r\n" in refused
            assert rig.events.bounds == {"requests_per_network": 2}
            assert rig.served == [(429, "requests-per-network")] * 2
            assert status(await rig.ask(FAST)) == b"200"
            reader, writer = await rig.connect("127.7.7.7")
            writer.write(SLOW)
            await until(lambda: gate.inside == 5)
            gate.open.set()
            assert status(await rest(reader)) == b"200"
            writer.close()
            assert [status(await task) for task in asked[:4]] == [b"200"] * 4
        await upstream.stop()

    run(scenario())


def test_all_together_have_a_bound() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with fronted(gate, bounds=FEW) as rig:
            runtime = rig.front._runtime
            assert runtime is not None
            under_way = runtime.services.under_way
            under_way.capacity = under_way.capacity._replace(requests=2)
            asked = await ask_many(rig, 3)
            refused = await asked[2]
            assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"\r\nRetry-After: 5\r\n" in refused
            assert (rig.events.bounds, rig.served) == ({"requests": 1}, [(503, "requests")])
            gate.open.set()
            assert [status(await task) for task in asked[:2]] == [b"200"] * 2

    run(scenario())


def test_idle_connections_give_way_to_those_that_are_needed() -> None:
    async def scenario() -> None:
        gate = Gate()
        upstreams = [ScriptedUpstream(gate) for _ in range(3)]
        for upstream in upstreams:
            await upstream.start()
        sites = tuple(site(f"{number}.example", upstream) for number, upstream in enumerate(upstreams))
        async with fronted(gate, sites=sites, bounds=Bounds(requests=8, requests_per_network=8)) as rig:
            for host in (b"0", b"1", b"2") * 2:
                ask = SLOW.replace(b"slow.example", host + b".example")
                gate.open.clear()
                asked = await ask_many(rig, 2, ask)
                gate.open.set()
                await asyncio.gather(*asked)
                assert stat(rig, "upstream_connections") <= 4
                assert stat(rig, "upstream_leases") == 0
        for upstream in upstreams:
            await upstream.stop()

    run(scenario())


def test_connections_count_for_the_client_that_a_proxy_header_names() -> None:
    async def scenario() -> None:
        trust = Trust(proxies=(Network.parse("127.0.0.0/8"),), proxy_protocol=True)
        named = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
        async with fronted(trust=trust, bounds=Bounds(connections_per_network=2)) as rig, AsyncExitStack() as stack:
            held = []
            for _ in range(2):
                reader, writer = await rig.connect()
                stack.callback(writer.close)
                writer.write(named + FAST.replace(b"close", b"keep-alive"))
                assert status(await reader.readuntil(b"hi")) == b"200"
                held.append(writer)
            assert await rig.ask(named + FAST) == b""
            assert rig.events.bounds == {"connections_per_network": 1}
            assert status(await rig.ask(named.replace(b"203.0.113.9", b"198.51.100.1") + FAST)) == b"200"
            assert status(await rig.ask(b"PROXY UNKNOWN\r\n" + FAST)) == b"200"
            held[0].close()
            await until(lambda: stat(rig, "connections") == 1)
            assert status(await rig.ask(named + FAST)) == b"200"

    run(scenario())


@pytest.mark.parametrize("seed", range(6))
def test_whatever_ends_a_request_it_is_counted_out(seed: int) -> None:
    """Clients that leave or reset, upstreams that answer, fail, stall or break off, time-outs, and a drain in the middle."""
    chance = random.Random(seed)

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(chance.random() * 0.03)
            match chance.randrange(6):
                case 0:
                    writer.transport.abort()
                    return
                case 1:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
                    return
                case 2:
                    await asyncio.sleep(0.3)  # longer than it may take
                case 3:
                    writer.write(b"nonsense\r\n\r\n")
                case _:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    async def client(rig: FrontRig) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, RuntimeError):  # uvloop: written after the end
            reader, writer = await rig.connect(f"127.0.{chance.randrange(3)}.1")
            for _ in range(chance.randrange(1, 5)):
                wish = chance.choice([b"", b"X-Do: delay\r\n", b"X-Do: reject\r\n", b"X-Do: tarpit\r\n"])
                body = chance.choice([b"", b"Content-Length: 4\r\n"])
                method = b"POST" if body else b"GET"
                writer.write(method + b" / HTTP/1.1\r\nHost: a.example\r\n" + wish + body + b"\r\n")
                if body:
                    await asyncio.sleep(chance.random() * 0.02)
                    writer.write(b"abcd"[: chance.choice([2, 4, 4])])
                if chance.random() < 0.3:
                    break
                async with asyncio.timeout(chance.random() * 0.3):
                    await reader.readuntil(b"hi")
            if chance.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()

    async def scenario() -> None:
        bounds = Bounds(
            requests=16, requests_per_network=6, upstream_queue=2, upstream_queue_seconds=0.1,
            upstream_first_byte_seconds=0.15, body_gap_seconds=0.1, upstream_gap_seconds=0.1, idle_seconds=0.5,
        )  # fmt: skip
        async with fronted(upstream, bounds=bounds) as rig:
            clients = [asyncio.create_task(client(rig)) for _ in range(60)]
            if seed % 3 == 0:
                await asyncio.sleep(0.1)
                await rig.front.drain(0.05)
            await asyncio.gather(*clients)
            await until(lambda: stat(rig, "connections") == 0)
            assert (stat(rig, "requests_under_way"), stat(rig, "requests_delayed"), stat(rig, "upstream_leases")) == (0, 0, 0)
            runtime = rig.front._runtime
            assert runtime is not None
            assert runtime.services.under_way.networks == 0

    run(scenario())


def test_an_upgraded_connection_counts_until_it_is_closed() -> None:
    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        await reader.read()

    async def scenario() -> None:
        async with fronted(switch) as rig:
            reader, writer = await rig.connect()
            writer.write(
                b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            assert (stat(rig, "requests_under_way"), stat(rig, "upstream_leases")) == (1, 1)
            writer.close()
            await until(lambda: (stat(rig, "requests_under_way"), stat(rig, "upstream_leases")) == (0, 0))

    run(scenario())
