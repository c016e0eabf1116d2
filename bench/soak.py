"""Half an hour of mixed load, with an eye on memory: readers, scripts, floods, uploads, streams, WebSockets, rude clients.

The load is bounded (so many clients of each kind, each with pauses) and goes to loopback only. Every ten seconds resident
memory, connections and faults are noted. At the end all clients leave, and every connection must be gone soon after.

Held to: memory rises by at most 1 MB a minute after the first five minutes (or the first sixth of a shorter run), no traceback
in the log, no internal error in the metrics, no connection left over.

Run: `python -m bench.soak [--minutes 30] [--workers 1] [--tls] [--json FILE]`. Exit code 1 when it does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Final, NamedTuple

import aiohttp

from tests.end_to_end.nginx import nginx
from tests.end_to_end.processes import Proxyguard, proxyguard, sample_site

MIB: Final = 1024 * 1024
SAMPLE_SECONDS: Final = 10.0
MAX_SLOPE: Final = 1.0
"""MB a minute."""
GONE_SECONDS: Final = 90.0
"""Longer than idle connections are kept."""

READER: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Accept": "text/html,*/*;q=0.8",
    "Accept-Language": "en",
}
SCRIPT: Final = {"User-Agent": "python-requests/2.32.3"}


class Sample(NamedTuple):
    """What was seen at one moment; memory in MB."""

    seconds: float
    memory: float
    connections: float
    faults: float


@dataclass
class Soak:
    """The load under way, and what came of it."""

    guard: Proxyguard
    seed: int
    ends: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often each kind of client saw each status or fault."""
    samples: list[Sample] = field(default_factory=list)

    def on(self) -> bool:
        return time.monotonic() < self.ends

    def trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.guard.authority) if self.guard.authority else None


type Client = Callable[[Soak, random.Random, aiohttp.ClientSession], Awaitable[str]]


async def reader(soak: Soak, chance: random.Random, session: aiohttp.ClientSession) -> str:
    """A page with its assets."""
    paths = [f"/profiles/{chance.randrange(1, 600)}", "/static/style.css", "/static/site.js", "/static/logo.svg"]
    for path in paths:
        async with session.get(soak.guard.url + path, headers=READER) as answer:
            await answer.read()
    return str(answer.status)


async def script(soak: Soak, chance: random.Random, session: aiohttp.ClientSession) -> str:
    """A library's user agent, refused."""
    async with session.get(f"{soak.guard.url}/profiles/{chance.randrange(1, 600)}", headers=SCRIPT) as answer:
        await answer.read()
        return str(answer.status)


async def flooder(soak: Soak, chance: random.Random, session: aiohttp.ClientSession) -> str:
    """Sign-ups: a few pass, the rest is held; leaves after a while."""
    form = {"email": f"p{chance.randrange(10**6)}@example.net", "password": "x"}
    timeout = aiohttp.ClientTimeout(total=chance.uniform(1, 20))
    try:
        async with session.post(f"{soak.guard.url}/signup", data=form, headers=READER, timeout=timeout) as answer:
            await answer.read()
            return str(answer.status)
    except TimeoutError:
        return "held"


async def uploader(soak: Soak, chance: random.Random, session: aiohttp.ClientSession) -> str:
    """A few megabytes, sometimes given up in the middle."""
    size, give_up = chance.randrange(1, 8), chance.random() < 0.2

    async def blocks() -> AsyncIterator[bytes]:
        for number in range(size * 16):
            if give_up and number == size * 8:
                raise ConnectionAbortedError
            yield bytes(64 * 1024)

    try:
        async with session.put(f"{soak.guard.url}/upload", data=blocks(), headers=READER) as answer:
            return str(answer.status if (await answer.json())["bytes"] == size * MIB else "short")
    except (ConnectionAbortedError, aiohttp.ClientError):
        return "given up" if give_up else "fault"


async def downloader(soak: Soak, chance: random.Random, session: aiohttp.ClientSession) -> str:
    """Up to 32 MB, sometimes left in the middle."""
    size, leave = chance.randrange(1, 32) * MIB, chance.random() < 0.3
    async with session.get(f"{soak.guard.url}/bytes/{size}", headers=READER) as answer:
        received = 0
        async for block in answer.content.iter_chunked(256 * 1024):
            received += len(block)
            if leave and received > size // 2:
                answer.close()
                return "left"
        return str(answer.status) if received == size else "short"


async def listener(soak: Soak, chance: random.Random, session: aiohttp.ClientSession) -> str:
    """An event stream for a minute or so."""
    count = chance.randrange(5, 120)
    async with session.get(f"{soak.guard.url}/events?interval=0.5&count={count}", headers=READER) as answer:
        return str(answer.status) if (await answer.read()).count(b"data: ") == count else "short"


async def talker(soak: Soak, chance: random.Random, session: aiohttp.ClientSession) -> str:
    """A WebSocket with an echo every half second."""
    async with session.ws_connect(f"{soak.guard.url.replace('http', 'ws', 1)}/ws", headers=READER) as socket:
        for number in range(chance.randrange(5, 60)):
            await socket.send_str(str(number))
            if await socket.receive_str() != str(number):
                return "wrong echo"
            await asyncio.sleep(0.5)
    return "closed"


async def idler(soak: Soak, chance: random.Random, _session: aiohttp.ClientSession) -> str:
    """Connects and says little or nothing, or half a head, then leaves or waits to be closed."""
    source = f"127.{chance.randrange(1, 200)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    said = chance.choice([b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01", b"\x00" * 200, b"GET / HTTP/9.9\r\n\r\n"])
    reading, writing = await asyncio.open_connection("127.0.0.1", soak.guard.port, local_addr=(source, 0))
    try:
        writing.write(said)
        async with asyncio.timeout(chance.uniform(0.5, 30)):
            return "closed" if not await reading.read(65536) else "answered"
    except (TimeoutError, ConnectionResetError):
        return "left"
    finally:
        writing.close()


CLIENTS: Final[dict[Client, tuple[int, float]]] = {
    reader: (24, 0.3),
    script: (16, 0.1),
    flooder: (24, 0.2),
    uploader: (3, 1.0),
    downloader: (3, 1.0),
    listener: (16, 0.5),
    talker: (16, 0.5),
    idler: (64, 0.2),
}
"""How many of each kind there are at once, and the mean pause between two visits of one, in seconds."""


async def visits(soak: Soak, client: Client, number: int, pause_seconds: float) -> None:
    """One client of a kind, again and again, on a new connection about every tenth visit."""
    chance = random.Random(f"{soak.seed} {client.__name__} {number}")
    while soak.on():
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=soak.trust() or True), timeout=timeout) as session:
            for _ in range(chance.randrange(1, 20)):
                if not soak.on():
                    return
                try:
                    outcome = await client(soak, chance, session)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    outcome = type(error).__name__
                soak.outcomes[f"{client.__name__} {outcome}"] += 1
                await asyncio.sleep(chance.expovariate(1 / pause_seconds))


def metric(text: str, name: str) -> float:
    """The sum of a metric over its labels; 0 when it has not been counted yet."""
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return sum(float(value) for label, _, value in rows if label.partition("{")[0] == name)


def look(soak: Soak, began: float) -> Sample:
    """One sample of the running instance."""
    text = soak.guard.admin("/metrics")
    connections, faults = metric(text, "proxyguard_connections"), metric(text, "proxyguard_internal_errors_total")
    return Sample(time.monotonic() - began, soak.guard.memory_bytes() / 1e6, connections, faults)


async def run(soak: Soak, seconds: float) -> None:
    """The whole load, sampled."""
    began = time.monotonic()
    soak.ends = began + seconds
    load = [
        asyncio.ensure_future(visits(soak, client, number, pause))
        for client, (count, pause) in CLIENTS.items()
        for number in range(count)
    ]
    while soak.on():
        await asyncio.sleep(min(SAMPLE_SECONDS, max(0.1, soak.ends - time.monotonic())))
        sample = await asyncio.to_thread(look, soak, began)
        soak.samples.append(sample)
        print(
            f"{sample.seconds / 60:5.1f} min {sample.memory:7.1f} MB {sample.connections:5.0f} connections "
            f"{sample.faults:3.0f} faults {soak.outcomes.total():8,d} visits",
            flush=True,
        )
    for one in load:
        one.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*load, return_exceptions=True)


async def left_over(soak: Soak) -> float:
    """Connections that are still there GONE_SECONDS after everyone left; 0 as soon as all are gone."""
    ends = time.monotonic() + GONE_SECONDS
    while (count := look(soak, 0).connections) > 0 and time.monotonic() < ends:  # noqa: ASYNC110 - a gauge of another process
        await asyncio.sleep(0.5)
    return count


def slope(samples: list[Sample]) -> float:
    """MB a minute after the first sixth (of thirty minutes: five)."""
    steady = [sample for sample in samples if sample.seconds > samples[-1].seconds / 6]
    return linear_regression([sample.seconds / 60 for sample in steady], [sample.memory for sample in steady]).slope


def main() -> int:
    """Soak, print, write JSON, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proxyguard-soak-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(nginx(folder / "upstream", stack.enter_context(sample_site(folder))))
        settings, alpn = f"workers: {options.workers}\n", "h2" if options.tls else ""
        guard = stack.enter_context(proxyguard(folder / "guard", upstream, settings=settings, alpn=alpn))
        soak = Soak(guard, options.seed)

        async def whole() -> float:
            await run(soak, options.minutes * 60)
            return await left_over(soak)

        remaining = asyncio.run(whole())
        tracebacks = guard.said().count("Traceback")
    rise = slope(soak.samples)
    faults = soak.samples[-1].faults
    for outcome, count in sorted(soak.outcomes.items()):
        print(f"{count:8,d} {outcome}")
    print(
        f"memory {rise:+.2f} MB/min, {tracebacks} tracebacks, {faults:.0f} internal errors, {remaining:.0f} connections left over"
    )
    if options.json:
        figures = {
            "slope_mb_per_minute": rise, "tracebacks": tracebacks, "internal_errors": faults, "left_over": remaining,
            "outcomes": soak.outcomes, "samples": [sample._asdict() for sample in soak.samples],
        }  # fmt: skip
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(rise > MAX_SLOPE or tracebacks > 0 or faults > 0 or remaining > 0)


if __name__ == "__main__":
    sys.exit(main())
